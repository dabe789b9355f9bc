import numpy as np
import pytest
from ase.build import bulk

from pfd_worker.evaluation.errors import energy_rmse_per_atom, summarise
from pfd_worker.evaluation.noise import label_noise
from pfd_worker.evaluation.report import error_report
from pfd_worker.frames import labelled


def label(seed, purpose, energy, force, virial=None):
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=seed)
    atoms.info = {"purpose": purpose, "trajectory": f"t{seed}", "stratum": "si/300K"}
    return labelled(atoms, energy, np.full((8, 3), force), virial)


HOLDOUT = [label(n, "hold-out", -40.0 - n, 0.1, np.eye(3)) for n in range(4)]


def test_it_is_the_difference_to_tighter_labels_of_the_same_frames_whatever_the_zero_of_energy():
    tight = [label(n, "noise", -72.0 - n + (0.08 if n else -0.08), 0.13, np.eye(3) + 0.16) for n in (2, 0)]
    others = [label(9, "training", -40.0, 5.0)]
    metrics = summarise(label_noise([*HOLDOUT, *tight, *others], HOLDOUT), seed=1)
    assert metrics.frames == 2
    assert metrics.force_rmse == pytest.approx(0.03)
    # one of the two degrees of freedom is the shift's
    assert metrics.energy_rmse_per_atom == pytest.approx(0.01 * np.sqrt(2))
    assert metrics.virial_rmse_per_atom == pytest.approx(0.02)


def test_without_tighter_labels_nothing_is_known():
    assert label_noise(HOLDOUT, HOLDOUT) == []
    assert label_noise([label(7, "noise", -40.0, 0.1)], HOLDOUT) == []


def alloy(seed, purpose, energy, silicon=8):
    atoms = label(seed, purpose, energy, 0.1)
    forces = atoms.get_forces()
    atoms.symbols[silicon:] = "Ge"
    return labelled(atoms, energy, forces)


@pytest.mark.parametrize(("frames", "contents"), [(4, (8,)), (4, (8, 4)), (6, (8, 6, 2))])
def test_few_frames_tell_the_noise_of_the_energy_without_a_bias(frames, contents):
    rng, squares = np.random.default_rng(1), []
    for _ in range(100):
        silicon = [contents[number % len(contents)] for number in range(frames)]
        holdout = [alloy(n, "hold-out", 0.0, silicon[n]) for n in range(frames)]
        tight = [alloy(n, "noise", 8 * rng.normal(0, 0.01) - 5 * silicon[n], silicon[n]) for n in range(frames)]
        squares.append(energy_rmse_per_atom(label_noise(tight, holdout)) ** 2)
    assert np.sqrt(np.mean(squares)) == pytest.approx(0.01, rel=0.15)


@pytest.mark.parametrize("contents", [(8,), (8, 4)])
def test_no_more_frames_than_shifts_tell_nothing_of_the_energy(contents):
    holdout = [alloy(n, "hold-out", -40.0 - n, silicon) for n, silicon in enumerate(contents)]
    tight = [alloy(n, "noise", -41.0, silicon) for n, silicon in enumerate(contents)]
    errors = label_noise(tight, holdout)
    metrics = summarise(errors, seed=1)
    assert (metrics.energy_rmse_per_atom, metrics.energy_rmse_per_atom_high) == (None, None)
    assert metrics.force_rmse == pytest.approx(0.0)
    report = error_report(errors, seed=1)
    assert "energyRmsePerAtom" not in report and report["energyRmsePerAtomShiftRemoved"] is None
