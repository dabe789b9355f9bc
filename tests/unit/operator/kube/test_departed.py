"""A deleted Job is remembered while it may have pods, and no longer than its resource."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pfd_operator.contract.stage import StageKind
from pfd_operator.kube import departed
from pfd_operator.kube.departed import Departed
from pfd_operator.kube.observe import CachedJob
from pfd_operator.kube.owner import Owner
from pfd_operator.plan.observed import ObservedJob, ObservedPod

SILICON, CARBON = Owner("lab", "silicon"), Owner("lab", "carbon")
RUNS = ObservedPod("x", "Running")


class Around:
    """What the departed Jobs ask of the caches, and tell them."""

    def __init__(self) -> None:
        self.pods: tuple[ObservedPod, ...] = ()
        self.resources = {SILICON, CARBON}
        self.forgotten: list[str] = []
        self.departed = Departed(
            lambda job: replace(job.observed, pods=self.pods),
            lambda owner: owner in self.resources,
            lambda as_owner: self.forgotten.append(as_owner.uid),
        )


@pytest.fixture
def around() -> Around:
    return Around()


def job(uid: str, owner: Owner = SILICON) -> CachedJob:
    return CachedJob(("lab", uid), owner, "", ObservedJob(uid, uid, 1, StageKind.TRAIN, 1))


def test_it_is_shown_as_long_as_it_has_pods_or_may(around: Around, monkeypatch: pytest.MonkeyPatch) -> None:
    around.departed.add(job("a"))
    (seen,) = around.departed.of(SILICON)
    assert (seen.uid, seen.deleting) == ("a", True)
    assert around.departed.of(CARBON) == []
    monkeypatch.setattr(departed, "GRACE_SECONDS", 0.0)
    around.pods = (RUNS,)
    assert len(around.departed.of(SILICON)) == 1
    around.pods = (replace(RUNS, phase="Failed"),)
    assert around.departed.of(SILICON) == []
    assert (len(around.departed), around.forgotten) == (0, ["a"])


def test_one_that_is_there_after_all_has_not_departed(around: Around) -> None:
    around.departed.add(job("a"))
    around.departed.drop(job("a"))
    around.departed.drop(job("b"))
    assert (around.departed.of(SILICON), len(around.departed), around.forgotten) == ([], 0, [])


def test_those_of_resources_that_are_gone_do_not_add_up(around: Around) -> None:
    """Nobody looks at such a resource any more, so that nobody would find that their pods are gone."""
    around.pods = (RUNS,)
    around.departed.add(job("kept", CARBON))
    for number in range(100):
        around.departed.add(job(f"job-{number}", Owner("lab", f"gone-{number}")))
        assert len(around.departed) <= 4
    assert [each.uid for each in around.departed.of(CARBON)] == ["kept"]
    assert len(around.forgotten) >= 97 and "kept" not in around.forgotten
