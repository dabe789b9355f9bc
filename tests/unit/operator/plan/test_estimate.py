"""What the learning curve says about the labels still needed, and when it had better say nothing."""

from __future__ import annotations

import pytest

from pfd_operator.api.status import IterationRecord, JudgedErrors
from pfd_operator.contract.limits import Convergence
from pfd_operator.plan.estimate import labels_needed

LIMIT = Convergence(force_rmse=0.1)


def records(*points: tuple[int | None, str]) -> list[IterationRecord]:
    return [
        IterationRecord(
            iteration=n,
            labels=0,
            training_frames=frames,
            holdout=JudgedErrors(force_rmse=error, energy_rmse_per_atom="0.001", frames=16),
        )
        for n, (frames, error) in enumerate(points)
    ]


def test_an_exact_power_law_is_extrapolated() -> None:
    needed = labels_needed(LIMIT, records((10, "0.4"), (40, "0.2"), (90, "0.1333333")))
    assert needed is not None
    assert needed.training_frames == pytest.approx(160, abs=1)
    assert needed.message == (
        f"a force RMSE of 0.1 eV/Å on the hold-out takes about 160 frames to train on ({needed.low} to {needed.high}), "
        "by the fit of 3 iterations; 90 are there, about 70 more are needed"
    )


def test_a_loose_fit_leaves_the_interval_open() -> None:
    needed = labels_needed(LIMIT, records((10, "0.30"), (20, "0.18"), (30, "0.28"), (40, "0.20")))
    assert needed is not None
    assert needed.high is None
    assert f"({needed.low} or more)" in needed.message


def test_errors_that_do_not_fall_are_called_so() -> None:
    needed = labels_needed(LIMIT, records((10, "0.2"), (20, "0.2"), (40, "0.2")))
    assert needed is not None
    assert needed.training_frames is None
    assert "is not reached by more labels of this kind" in needed.message


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(10, "0.3"), (20, "0.2")],
        [(10, "0.3"), (20, "0.2"), (40, "0.1")],
        [(None, "0.3"), (20, "0.2"), (40, "0.15")],
        [(10, "0.2"), (20, "0.1"), (40, "0.05"), (45, "0.11")],
    ],
    ids=["nothing", "two points", "reached", "of an older operator", "disproved by the newest"],
)
def test_nothing_is_said(points: list[tuple[int | None, str]]) -> None:
    assert labels_needed(LIMIT, records(*points)) is None
