"""What an iteration took: labels, and time of each stage, as the manifests that a train stage reads have it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pfd_operator.contract.result import LabelCounts
from pfd_operator.contract.stage import BudgetSoFar, Input
from pfd_worker.stage_context import StageContext
from pfd_worker.store.ledger import BookEntry, Ledger
from pfd_worker.store.manifests import Manifest
from pfd_worker.summaries import LabelSummary, SelectSummary

STAGES = ("prepare", "explore", "select", "label", "train")


@dataclass(frozen=True)
class StageTime:
    """The attempts at a stage that left a result."""

    pods: int
    seconds: float
    """Of all these pods together, from the start of their work to their results."""


@dataclass(frozen=True)
class LabelCost:
    """Labels that an iteration asked for."""

    computed: int
    """Of those, the job's own, failed ones included."""
    reused: int
    """Found in the store."""
    failed: int
    """Of the computed and found ones, those without a usable result."""
    computing_seconds: float
    """Time of the engine, or the teacher, for the job's own."""


@dataclass(frozen=True)
class Cost:
    """What one iteration took."""

    stages: dict[str, StageTime]
    """By name, see `STAGES`; train is known to the next iteration first."""
    labels: LabelCost

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "stages": {name: asdict(time) for name, time in self.stages.items()},
            "labels": {
                "computed": self.labels.computed,
                "reused": self.labels.reused,
                "failed": self.labels.failed,
                "computingSeconds": self.labels.computing_seconds,
            },
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Cost:
        """Read what `to_json` gave."""
        labels = dict(content["labels"])
        seconds = labels.pop("computingSeconds")
        stages = {name: StageTime(**time) for name, time in content["stages"].items()}
        return cls(stages, LabelCost(**labels, computing_seconds=seconds))


def cost_of(context: StageContext, previous: Manifest | None) -> Cost:
    """Return what led to this train stage; what came before the first one is part of the first iteration."""
    selects, labels = _read(context, Input.SELECT, Input.HOLD_OUT_SELECT), _read(context, Input.LABEL, Input.HOLD_OUT)
    stages = {"select": selects, "label": labels}
    if previous is None:
        stages["prepare"] = _read(context, Input.PREPARE)
    times = {name: _time(manifests) for name, manifests in stages.items() if manifests}
    told = [manifest.told(SelectSummary) for manifest in selects]
    if pods := sum(each["explore_pods"] for each in told):
        times["explore"] = StageTime(pods, round(sum(each["explore_seconds"] for each in told), 3))
    return Cost({name: times[name] for name in STAGES if name in times}, _label_cost(labels, context.spec.job.uid))


def _read(context: StageContext, *names: Input) -> list[Manifest]:
    return [manifest for name in names if context.has(name) for manifest in context.input(name)]


def _time(manifests: list[Manifest]) -> StageTime:
    return StageTime(len(manifests), round(sum(manifest.result.seconds for manifest in manifests), 3))


def _label_cost(manifests: list[Manifest], uid: str) -> LabelCost:
    # pods with tasks of equal structures have each the label in their books
    told = {entry["key"]: entry for manifest in manifests for entry in manifest.told(LabelSummary)["labels"]}
    entries = [BookEntry(**entry) for entry in told.values()]
    own = [entry for entry in entries if entry.paid_by == uid]
    return LabelCost(
        computed=sum(entry.labels for entry in own),
        reused=sum(entry.labels for entry in entries if entry.paid_by != uid),
        failed=sum(entry.failed for entry in entries),
        computing_seconds=round(sum(entry.seconds for entry in own), 3),
    )


@dataclass(frozen=True)
class Spending:
    """What the job has spent when its train stage ended, and what it may spend."""

    labels: LabelCounts
    """Of the ledger."""
    budget: BudgetSoFar | None
    """None: the stage was not started by the operator."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "labels": self.labels.to_json(),
            "budget": None if self.budget is None else self.budget.to_json(),
        }


def spending_of(context: StageContext) -> Spending:
    """Return the job's books."""
    return Spending(Ledger(context.store, context.spec.job.uid).count(), context.spec.budget)
