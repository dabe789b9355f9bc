"""Defaults of stage pods count as if each job said them: in budgets, in labels, in what is drawn."""

from __future__ import annotations

from dataclasses import replace

from pfd_operator.api.stage_pods import StagePods
from pfd_operator.contract.stage import LabelParams, StageKind
from tests.unit.operator.plan.plan_samples import SETTINGS, Run, failed_pod, job_of, resource

GIVEN = StagePods.model_validate(
    {
        "defaults": {
            "nodeSelector": {"disk": "ssd"},
            "resources": {
                "prepare": {"limits": {"nvidia.com/gpu": 2}},
                "label": {"limits": {"memory": "4Gi"}},
            },
        }
    }
)
WITH_DEFAULTS = replace(SETTINGS, stage_pods=GIVEN)


def test_what_is_drawn_has_them_and_nothing_is_taken_for_a_change_of_the_spec() -> None:
    run = Run(settings=WITH_DEFAULTS)
    label = run.until(1, StageKind.LABEL)
    assert label.owner.spec.pods.label.node_selector == {"disk": "ssd"}
    assert isinstance(label.spec.params, LabelParams)
    assert label.spec.params.memory == "4Gi"
    assert run.resource.spec.pods.label.node_selector == {}
    plain = Run()
    assert (
        plain.until(0, StageKind.SELECT).spec.digest
        == Run(settings=WITH_DEFAULTS).until(0, StageKind.SELECT).spec.digest
    )
    assert plain.status.spec_digest == run.status.spec_digest


def test_gpus_of_the_defaults_share_the_budget() -> None:
    run = Run(resource(budget={"maxLabels": 40, "gpuHours": 1}), WITH_DEFAULTS)
    assert run.until(0, StageKind.PREPARE).active_deadline_seconds == 1800


def test_who_runs_out_of_the_defaults_memory_is_told_the_field_to_raise() -> None:
    run = Run(settings=WITH_DEFAULTS)
    label = run.until(1, StageKind.LABEL)
    killed = [failed_pod(137, index=i, name=f"pod-{i}", container_reason="OOMKilled") for i in range(2)]
    run.step(job_of(label, *killed, finished="Failed"))
    said = [event.message for event in run.decision.events]
    assert any("4Gi" in words and "spec.pods.label.resources.limits.memory" in words for words in said), said
