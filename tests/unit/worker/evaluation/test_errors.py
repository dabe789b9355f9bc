import numpy as np
import pytest
from ase.build import bulk

from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError
from pfd_worker.evaluation.errors import (
    FrameError,
    frame_errors,
    squares_of_trajectories,
    summarise,
    worst_strata,
)
from pfd_worker.evaluation.report import error_report
from pfd_worker.evaluation.shift import apply_energy_shift, fit_energy_shift
from pfd_worker.frames import OF_TRAJECTORY, labelled
from pfd_worker.models.base import Prediction


def pair(offset_ev=0.0, force_error=0.0, virial_error=0.0, stratum="si/300K", element="Si", virial=True):
    atoms = bulk(element, "diamond", a=5.4, cubic=True)
    atoms.info["stratum"] = stratum
    label = np.eye(3) if virial else None
    frame = labelled(atoms, -40.0, np.zeros((8, 3)), label)
    return frame, Prediction(-40.0 + offset_ev, np.full((8, 3), force_error), np.eye(3) + virial_error)


def errors_of(*pairs, trajectories=None):
    frames = [frame.copy() for frame, _ in pairs]
    for number, (copy, (frame, _)) in enumerate(zip(frames, pairs, strict=True)):
        copy.calc = frame.calc
        copy.info["trajectory"] = f"t{number % (trajectories or len(frames))}"
    return frame_errors(frames, [predicted for _, predicted in pairs])


def test_metrics_are_what_their_names_say():
    metrics = summarise(errors_of(pair(0.8, 0.1, 0.4), pair(-0.8, 0.1, 0.4)))
    assert metrics.frames == 2
    assert metrics.force_rmse == pytest.approx(0.1)
    assert metrics.energy_rmse_per_atom == pytest.approx(0.1)
    assert metrics.virial_rmse_per_atom == pytest.approx(0.05)
    assert (metrics.force_rmse_low, metrics.force_rmse_high) == (None, None), "of two trajectories nothing follows"
    assert metrics.label_force_rms == 0.0


def test_worst_stratum_is_found_and_strata_are_reported_apart():
    errors = errors_of(pair(force_error=0.1), pair(force_error=0.5, stratum="si/900K"))
    metrics = summarise(errors)
    assert (metrics.worst_stratum, metrics.worst_stratum_force_rmse) == ("si/900K", pytest.approx(0.5))
    report = error_report(errors)
    assert report["strata"]["si/300K"]["forceRmse"] == pytest.approx(0.1)
    assert report["elements"]["Si"]["forceRmse"] == pytest.approx(metrics.force_rmse)


def test_temperatures_that_hardly_differ_are_reported_apart():
    near = [pair(force_error=0.1, stratum="si/300K"), pair(force_error=0.5, stratum="si/300.0001K")]
    found = error_report(errors_of(*near))["temperatures"]
    assert {name: error["forceRmse"] for name, error in found.items()} == pytest.approx({"300": 0.1, "300.0001": 0.5})


def test_errors_are_told_by_each_part_of_the_stratum():
    strata = ("si/300K/1bar", "si/600K/1bar", "si/600K/20000bar", "ge/600K", "data")
    made = [pair(force_error=0.1 * (n + 1), stratum=stratum) for n, stratum in enumerate(strata)]
    report = error_report(errors_of(*made))
    told = {
        group: {name: (error["frames"], error["forceRmse"]) for name, error in report[group].items()}
        for group in ("systems", "temperatures", "pressures")
    }
    rms = lambda *errors: pytest.approx(np.sqrt(np.mean(np.square(errors))))  # noqa: E731
    assert told == {
        "systems": {"ge": (1, rms(0.4)), "si": (3, rms(0.1, 0.2, 0.3))},
        "temperatures": {"300": (1, rms(0.1)), "600": (3, rms(0.2, 0.3, 0.4))},
        "pressures": {"1": (2, rms(0.1, 0.2)), "20000": (1, rms(0.3))},
    }


@pytest.mark.parametrize("unknown", [0, 3])
def test_the_energy_error_without_its_shift_counts_what_the_fit_has_taken(unknown):
    rng, squares = np.random.default_rng(1), []
    symbols = [("Na",) * n + ("Cl",) * (8 - n) for n in (2, 4, 2, 4)]
    for _ in range(200):
        energies = [*(8 * (0.3 + rng.normal(0, 0.01, 4))), *[None] * unknown]
        errors = [
            FrameError("s/300K", symbols[n % 4], energy, np.zeros((8, 3)), None) for n, energy in enumerate(energies)
        ]
        squares.append(error_report(errors)["energyRmsePerAtomShiftRemoved"] ** 2)
    assert np.sqrt(np.mean(squares)) == pytest.approx(0.01, rel=0.1)
    assert error_report(errors[:2])["energyRmsePerAtomShiftRemoved"] is None, "two shifts fit two frames"


def test_frames_without_virial_are_left_out_of_the_virial_error_only():
    assert summarise(errors_of(pair(virial=False))).virial_rmse_per_atom is None
    mixed = summarise(errors_of(pair(virial=False), pair(virial_error=0.8)))
    assert mixed.virial_rmse_per_atom == pytest.approx(0.1)


@pytest.mark.parametrize("bad", ["energy", "forces", "virial"])
def test_not_a_number_is_an_error_never_a_number(bad):
    frame, predicted = pair()
    values = {"energy": predicted.energy, "forces": predicted.forces, "virial": predicted.virial}
    values[bad] = values[bad] * np.nan
    with pytest.raises(StageError) as caught:
        frame_errors([frame], [Prediction(**values)])
    assert caught.value.reason is Reason.NOT_A_NUMBER


def test_an_empty_set_is_an_error_never_a_number():
    with pytest.raises(StageError) as caught:
        summarise([])
    assert caught.value.reason is Reason.NOT_A_NUMBER


@pytest.mark.parametrize(("trajectories", "known"), [(3, False), (4, True), (16, True)])
def test_frames_give_an_interval_if_they_are_of_enough_trajectories(trajectories, known):
    metrics = summarise(errors_of(*[pair(0.1 * n, 0.1 * n, 0.1) for n in range(16)], trajectories=trajectories))
    assert (metrics.frames, metrics.trajectories) == (16, trajectories)
    ends = (metrics.force_rmse_low, metrics.energy_rmse_per_atom_high, metrics.virial_rmse_per_atom_high)
    assert [end is not None for end in ends] == [known] * 3


def test_errors_of_two_models_are_compared_by_trajectory_and_quantity():
    squares = squares_of_trajectories(
        errors_of(*[pair(0.8, 0.1, 0.8)] * 3, pair(0.8, 0.2, virial=False), trajectories=2)
    )
    np.testing.assert_allclose(squares["force"], [2 * 24 * 0.01, 24 * 0.05])
    np.testing.assert_allclose(squares["energy"], [0.02, 0.02])
    np.testing.assert_allclose(squares["virial"], [2 * 9 * 0.01, 9 * 0.01])
    some = squares_of_trajectories(errors_of(pair(), pair(virial=False), trajectories=2))
    np.testing.assert_allclose(some["virial"], [0, 0])
    mixed = squares_of_trajectories(errors_of(pair(virial=False), pair(0.8, virial_error=0.8), trajectories=2))
    np.testing.assert_allclose(mixed["virial"], [0, 9 * 0.01])


def test_frames_that_a_user_gave_are_of_the_trajectories_that_their_file_says():
    frames = [pair()[0] for _ in range(3)]
    for atoms, of in zip(frames, ("a", "b", None), strict=True):
        atoms.info |= {"trajectory": "spec.data[0]"} | ({} if of is None else {OF_TRAJECTORY: of})
    errors = frame_errors(frames, [pair()[1]] * 3)
    assert [error.trajectory for error in errors] == ["a", "b", "spec.data[0]"]


def test_energies_and_virials_have_an_upper_end_of_their_own():
    metrics = summarise(errors_of(*[pair(n * 0.8, 0.1, n * 0.4) for n in range(8)]))
    assert metrics.energy_rmse_per_atom < metrics.energy_rmse_per_atom_high < 0.7
    assert metrics.virial_rmse_per_atom < metrics.virial_rmse_per_atom_high < 0.35
    equal = summarise(errors_of(*[pair(0.8, virial=False), pair(-0.8, virial_error=0.4)] * 4))
    assert equal.energy_rmse_per_atom_high == pytest.approx(0.1)
    assert equal.virial_rmse_per_atom_high == pytest.approx(0.05)
    few = summarise(errors_of(*[pair(0.8, virial=False)], *[pair(-0.8, virial_error=0.4)] * 3))
    assert few.virial_rmse_per_atom == pytest.approx(0.05)
    assert few.energy_rmse_per_atom_high == pytest.approx(0.1)
    assert few.virial_rmse_per_atom_high is None, "three trajectories have a virial: they say nothing"
    assert summarise(errors_of(pair(virial=False))).virial_rmse_per_atom_high is None


def test_each_quantity_has_a_worst_stratum_among_those_with_enough_frames():
    cold = [pair(0.8, 0.1, 0.4)] * 4
    hot = [pair(0.08, 0.5, 0.4, stratum="si/900K", virial=False)] * 3
    worst = worst_strata(errors_of(*cold, *hot))
    assert (worst.force.stratum, worst.force.rmse) == ("si/900K", pytest.approx(0.5))
    assert (worst.energy.stratum, worst.energy.rmse) == ("si/300K", pytest.approx(0.1))
    assert (worst.virial.stratum, worst.virial.rmse) == ("si/300K", pytest.approx(0.05))
    assert worst_strata(errors_of(*cold, *hot), fewest_frames=4).force.stratum == "si/300K"
    none = worst_strata(errors_of(*cold, *hot), fewest_frames=5)
    assert (none.force, none.energy, none.virial) == (None, None, None)


def test_energy_shift_is_found_per_element_and_leaves_forces_alone():
    rng = np.random.default_rng(1)
    errors = [
        FrameError("s", ("Si",) * n_si + ("C",) * n_c, 2.0 * n_si - 3.0 * n_c, rng.normal(size=(n_si + n_c, 3)), None)
        for n_si, n_c in [(8, 0), (4, 4), (2, 6), (6, 2)]
    ]
    shifts = fit_energy_shift(errors)
    assert shifts == pytest.approx({"Si": -2.0, "C": 3.0})
    shifted = apply_energy_shift(errors, shifts)
    assert summarise(shifted).energy_rmse_per_atom == pytest.approx(0, abs=1e-9)
    assert summarise(shifted).force_rmse == summarise(errors).force_rmse
    assert fit_energy_shift([]) == {}
