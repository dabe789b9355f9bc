"""What an iteration took, out of manifests in a store in a folder."""

import dataclasses

from pfd_operator.contract.location import StoreLocation
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import BudgetSoFar, JobIdentity, StageRef, StageSpec
from pfd_worker.report.costs import Cost, LabelCost, StageTime, cost_of, spending_of
from pfd_worker.stage_context import StageContext
from pfd_worker.store.ledger import BookEntry, Ledger
from pfd_worker.store.location import open_store
from pfd_worker.store.manifests import Manifest, manifest_key

INPUTS = ("prepare", "select", "label", "holdout", "holdout-select", "train")
DIGESTS = {name: f"{number:064x}" for number, name in enumerate(INPUTS)}


def label(key, paid_by, ok=True, labels=1, seconds=10.0):
    return {"key": key, "paid_by": paid_by, "labels": labels, "sound": labels * ok, "seconds": seconds}


def summary(name, index):
    summaries = {
        "select": {"explore_pods": 3, "explore_seconds": 300.0},
        "holdout-select": {"explore_pods": 2, "explore_seconds": 4000.0},
        "label": {
            "labels": [label(f"a{index}", "me", labels=5), label(f"b{index}", "me", ok=False), label("c", "other")]
        },
        "holdout": {"labels": [label("d", "me", labels=4, seconds=40.0)]},
    }
    return summaries.get(name, {})


def context_of(folder, inputs, budget=None):
    location = StoreLocation(directory=f"file://{folder / 'store'}")
    store = open_store(location)
    refs = {}
    for name in inputs:
        completions = 2 if name == "label" else 1 if name == "holdout" else None
        for index in range(completions or 1):
            place = None if completions is None else index
            result = StageResult(ok=True, seconds=12.5)
            manifest = Manifest(DIGESTS[name], name, place, {}, summary(name, index), result)
            store.put_if_absent(manifest_key(DIGESTS[name], place), manifest.to_bytes())
        refs[name] = StageRef(digest=DIGESTS[name], completions=completions)
    spec = StageSpec(
        job=JobIdentity(namespace="team", kind="FineTuneJob", name="copper", uid="me"),
        iteration=1, attempt=1, seed=7, digest="f" * 64, inputs=refs, store=location, budget=budget,
        params={"stage": "train", "training": {"steps": 10}, "maxFailedFraction": 0.2},
    )  # fmt: skip
    return StageContext(spec=spec, store=store, workdir=folder)


def test_pods_add_up_but_for_the_labels_that_two_have_and_other_jobs_labels_cost_nothing(tmp_path):
    context = context_of(tmp_path, ["prepare", "select", "label", "train"])
    cost = cost_of(context, context.input("train")[0])
    times = {"explore": StageTime(3, 300.0), "select": StageTime(1, 12.5), "label": StageTime(2, 25.0)}
    assert cost == Cost(times, LabelCost(computed=12, reused=1, failed=2, computing_seconds=40.0))
    assert Cost.from_json(cost.to_json()) == cost


def test_the_first_iteration_has_what_came_before_it(tmp_path):
    cost = cost_of(context_of(tmp_path, ["prepare", "select", "label", "holdout", "holdout-select"]), None)
    assert cost.stages["prepare"] == StageTime(1, 12.5) and cost.stages["label"] == StageTime(3, 37.5)
    assert cost.stages["select"] == StageTime(2, 25.0) and cost.stages["explore"] == StageTime(5, 4300.0)
    assert list(cost.stages) == ["prepare", "explore", "select", "label"]
    assert cost.labels.computed == 16 and cost.labels.computing_seconds == 80


def test_the_books_are_the_ledgers_and_the_operators(tmp_path):
    budget = BudgetSoFar(max_labels=60, max_iterations=4, gpu_hours=2, gpu_hours_used=0.5)
    context = context_of(tmp_path, [], budget)
    Ledger(context.store, "me").enter(BookEntry("a", "me", labels=5, sound=5, seconds=1.0))
    spent = spending_of(context).to_json()
    assert spent["labels"]["paid"] == 5
    assert spent["budget"] == {"maxLabels": 60, "maxIterations": 4, "gpuHours": 2.0, "gpuHoursUsed": 0.5}
    alone = dataclasses.replace(context, spec=context.spec.model_copy(update={"budget": None}))
    assert spending_of(alone).to_json()["budget"] is None
