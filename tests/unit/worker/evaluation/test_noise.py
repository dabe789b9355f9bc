import numpy as np
import pytest
from ase.build import bulk

from pfd_operator.contract.outcome import ErrorMetrics
from pfd_worker.evaluation.errors import energy_rmse_per_atom, summarise
from pfd_worker.evaluation.noise import differences, label_noise, not_converged, training_noise
from pfd_worker.evaluation.report import error_report
from pfd_worker.frames import labelled


def label(seed, energy, force, virial=None):
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=seed)
    atoms.info = {"trajectory": f"t{seed}", "stratum": "si/300K"}
    return labelled(atoms, energy, np.full((8, 3), force), virial)


HOLDOUT = [label(n, -40.0 - n, 0.1, np.eye(3)) for n in range(4)]


def test_it_is_the_difference_to_tighter_labels_of_the_same_frames_whatever_the_zero_of_energy():
    tight = [label(n, -72.0 - n + (0.08 if n else -0.08), 0.13, np.eye(3) + 0.16) for n in (2, 0)]
    metrics = summarise(label_noise(differences(tight, HOLDOUT)))
    assert metrics.frames == 2
    assert metrics.force_rmse == pytest.approx(0.03)
    # one of the two degrees of freedom is the shift's
    assert metrics.energy_rmse_per_atom == pytest.approx(0.01 * np.sqrt(2))
    assert metrics.virial_rmse_per_atom == pytest.approx(0.02)


def test_without_tighter_labels_nothing_is_known():
    assert label_noise(differences([], HOLDOUT)) == []
    assert label_noise(differences([label(7, -40.0, 0.1)], HOLDOUT)) == []


def alloy(seed, energy, silicon=8):
    atoms = label(seed, energy, 0.1)
    forces = atoms.get_forces()
    atoms.symbols[silicon:] = "Ge"
    return labelled(atoms, energy, forces)


@pytest.mark.parametrize(("frames", "contents"), [(4, (8,)), (4, (8, 4)), (6, (8, 6, 2))])
def test_few_frames_tell_the_noise_of_the_energy_without_a_bias(frames, contents):
    rng, squares = np.random.default_rng(1), []
    for _ in range(100):
        silicon = [contents[number % len(contents)] for number in range(frames)]
        holdout = [alloy(n, 0.0, silicon[n]) for n in range(frames)]
        tight = [alloy(n, 8 * rng.normal(0, 0.01) - 5 * silicon[n], silicon[n]) for n in range(frames)]
        squares.append(energy_rmse_per_atom(label_noise(differences(tight, holdout))) ** 2)
    assert np.sqrt(np.mean(squares)) == pytest.approx(0.01, rel=0.15)


@pytest.mark.parametrize("contents", [(8,), (8, 4)])
def test_no_more_frames_than_shifts_tell_nothing_of_the_energy(contents):
    holdout = [alloy(n, -40.0 - n, silicon) for n, silicon in enumerate(contents)]
    tight = [alloy(n, -41.0, silicon) for n, silicon in enumerate(contents)]
    errors = label_noise(differences(tight, holdout))
    metrics = summarise(errors)
    assert (metrics.energy_rmse_per_atom, metrics.energy_rmse_per_atom_high) == (None, None)
    assert metrics.force_rmse == pytest.approx(0.0)
    report = error_report(errors)
    assert "energyRmsePerAtom" not in report and report["energyRmsePerAtomShiftRemoved"] is None


TIGHT = [label(n, -72.0 - n + 0.04 * (-1) ** n, 0.1 + 0.03 * (-1) ** n, np.eye(3) + 0.16) for n in range(4)]
"""Of the hold-out: 0.03 eV/Å, 0.0058 eV and 0.02 eV of virial per atom off."""
MODEL = ErrorMetrics(frames=16, force_rmse=0.06, energy_rmse_per_atom=0.003, virial_rmse_per_atom=0.02)
BROKEN = {"energy": 0.3, "force": 0.39, "virial": 2.4}


def trained_on(seed=20, energy=0.0, force=0.0, virial=0.0):
    """Two labels of a frame, the one trained on so far off, in eV and eV/Å: the whole energy and each of the others."""
    kept = label(seed, -50.0 + energy, 0.1 + force, np.eye(3) + virial)
    kept.info |= {"trajectory": f"i001-training-silicon-s0-600K-10000bar-r{seed}", "step": 280}
    tight = label(seed, -82.0, 0.1, np.eye(3))
    tight.info["trajectory"] = kept.info["trajectory"]
    return kept, tight


def remark(*frames, model=MODEL, tight=TIGHT):
    found = differences(tight, HOLDOUT)
    checked = training_noise(differences([tighter for _, tighter in frames], [kept for kept, _ in frames]), found)
    assert len(checked) == len(frames)
    return not_converged(checked, label_noise(found), model)


def test_of_a_label_trained_on_the_shift_of_the_hold_out_is_no_error():
    kept, tight = trained_on(energy=0.3)
    found, of_holdout = differences([tight], [kept]), differences(TIGHT, HOLDOUT)
    ((frame, error),) = training_noise(found, of_holdout)
    assert frame is kept
    assert error.energy_ev == pytest.approx(0.3)
    germanium = differences([alloy(21, -80.0, 4)], [alloy(21, -50.0, 4)])
    ((_, error),) = training_noise(germanium, of_holdout)
    assert error.energy_ev is None, "no frame of the hold-out tells germanium's shift"
    assert training_noise(found, [])[0][1].energy_ev is None


@pytest.mark.parametrize("quantity", BROKEN)
def test_a_label_far_noisier_than_those_of_the_hold_out_is_named_with_what_to_do(quantity):
    said = remark(trained_on(19), trained_on(20, **{quantity: BROKEN[quantity]}))
    assert said.reason == "LabelsNotConverged"
    told = {"force": "0.39 eV/Å (hold-out 0.03)", "energy": "0.037 eV/atom (hold-out 0.0058)"}
    told["virial"] = "0.3 eV/atom virial (hold-out 0.02)"
    assert said.message == (
        "1 of 2 labels compared with tighter ones are far off. Worst: "
        f"i001-training-silicon-s0-600K-10000bar-r20, step 280, by {told[quantity]}. "
        "Tighten labeling.engine in a new job, or keep MD from there: lower temperatures or perturb.strain"
    )


def test_all_that_is_off_fits_into_a_remark():
    said = remark(trained_on(**BROKEN)).message
    assert "0.39 eV/Å" in said and "0.037 eV/atom" in said and "0.3 eV/atom virial" in said
    assert "[…]" not in said


@pytest.mark.parametrize(
    ("off", "model"),
    [
        ({"energy": 0.1, "force": 0.09, "virial": 0.3}, MODEL),
        # 3 times what the hold-out has would be so far; of four frames, sound ones may be
        ({"energy": 0.18}, MODEL),
        ({"force": 0.39}, MODEL.model_copy(update={"force_rmse": 0.4})),
        ({}, ErrorMetrics(frames=16, force_rmse=0.0)),
    ],
)
def test_what_chance_makes_or_the_model_errs_by_is_not_remarked(off, model):
    assert remark(trained_on(**off), model=model) is None


def test_without_pairs_of_the_hold_out_or_with_equal_ones_nothing_is_called_not_converged():
    assert remark(trained_on(force=1.0), tight=[]) is None
    same = [label(n, -40.0 - n, 0.1, np.eye(3)) for n in range(4)]
    assert remark(trained_on(), tight=same, model=ErrorMetrics(frames=4, force_rmse=0.0)) is None
    assert remark(trained_on(force=0.1), tight=same) is not None
