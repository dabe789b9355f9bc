import numpy as np
import pytest
from ase.build import bulk

from pfd_worker.evaluation.errors import summarise
from pfd_worker.evaluation.noise import label_noise
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
    assert metrics.energy_rmse_per_atom == pytest.approx(0.01)
    assert metrics.virial_rmse_per_atom == pytest.approx(0.02)


def test_without_tighter_labels_nothing_is_known():
    assert label_noise(HOLDOUT, HOLDOUT) == []
    assert label_noise([label(7, "noise", -40.0, 0.1)], HOLDOUT) == []
