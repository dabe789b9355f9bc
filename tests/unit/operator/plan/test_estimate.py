"""What the learning curve says about the labels still needed, and when it had better say nothing."""

from __future__ import annotations

import pytest

from pfd_operator.api.status import IterationRecord, JudgedErrors
from pfd_operator.contract.limits import Convergence
from pfd_operator.plan.estimate import labels_needed

LIMIT = Convergence(force_rmse=0.1)


def records(*points: tuple[int | None, str] | tuple[int | None, str, str]) -> list[IterationRecord]:
    return [
        IterationRecord(
            iteration=n,
            labels=0,
            training_frames=frames,
            holdout=JudgedErrors(force_rmse=force, energy_rmse_per_atom=energy[0] if energy else "0.001", frames=16),
        )
        for n, (frames, force, *energy) in enumerate(points)
    ]


def test_an_exact_power_law_is_extrapolated() -> None:
    needed = labels_needed(LIMIT, records((10, "0.4"), (40, "0.2"), (90, "0.1333333")))
    assert needed is not None
    assert needed.training_frames == pytest.approx(160, abs=1)
    assert needed.message == (
        "the limit of 0.1 eV/Å for the force RMSE on the hold-out takes about 160 frames to train on "
        f"({needed.low} to {needed.high}), "
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


def test_an_error_that_falls_more_slowly_than_the_fit_takes_more_than_there_is() -> None:
    limit = Convergence(force_rmse=0.07)
    needed = labels_needed(limit, records((20, ".2"), (40, ".1"), (60, ".08"), (80, ".075"), (100, ".072")))
    assert needed is not None and (needed.training_frames, needed.low) == (None, 100)
    assert needed.high is not None and 150 < needed.high < 220
    assert f"takes more than the 100 frames to train on that are there, {needed.high} at most" in needed.message


def test_what_was_given_at_the_start_does_not_count() -> None:
    iterations = records((1000, "0.7"), (1010, "0.4"), (1040, "0.2"), (1090, "0.1333333"))
    needed = labels_needed(LIMIT, iterations, given_frames=1000)
    assert needed is not None and needed.training_frames == pytest.approx(160, abs=1)
    assert "beside the 1000 given ones, by the fit of 3 iterations; 90 are there, about 70 more" in needed.message


def test_it_is_about_the_limit_that_is_missed_by_most() -> None:
    iterations = records((10, "0.2", "0.04"), (40, "0.1", "0.02"), (90, "0.0666667", "0.0133333"))
    needed = labels_needed(Convergence(force_rmse=0.05, energy_rmse_per_atom=0.005), iterations)
    assert needed is not None and needed.training_frames == pytest.approx(640, abs=2)
    assert needed.message.startswith("the limit of 0.005 eV for the energy RMSE per atom on the hold-out takes about")
    needed = labels_needed(Convergence(force_rmse=0.1, energy_rmse_per_atom=0.005), iterations)
    assert needed is not None and needed.training_frames == pytest.approx(640, abs=2)


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(10, "0.3"), (20, "0.2")],
        [(10, "0.3"), (20, "0.2"), (40, "0.1")],
        [(None, "0.3"), (20, "0.2"), (40, "0.15")],
    ],
    ids=["nothing", "two points", "reached", "of an older operator"],
)
def test_nothing_is_said(points: list[tuple[int | None, str]]) -> None:
    assert labels_needed(LIMIT, records(*points)) is None
