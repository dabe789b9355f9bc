"""Training survives being stopped, never promotes a bad model, and says no when labels are missing."""

import hashlib
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.io import write
from ase.stress import full_3x3_to_voigt_6_stress

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.frames import labelled
from pfd_worker.models.checkpoint import extract_branch
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.store.manifests import manifest_key
from tests.unit.worker.stages.loop import LABEL, TRAIN, Loop, iteration_zero, prepare_params, ref

pytestmark = pytest.mark.image
ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def labelled_loop(fine_tuned):
    return fine_tuned.loop, fine_tuned.first_refs


def test_a_stopped_training_goes_on_from_its_checkpoint(labelled_loop, tmp_path, pretrained, monkeypatch):
    loop, refs = labelled_loop
    # Long enough that no machine is done before it is told to stop.
    training = {"steps": 1000, "checkpointSeconds": 5}
    prepare = ref(loop.run(prepare_params(tmp_path, pretrained, training=training)))
    refs, params = {**refs, "prepare": prepare}, {**TRAIN, "training": training}
    stopping, seen = threading.Event(), []

    def stop_midway(percent: float, message: str) -> None:
        seen.append(percent)
        if percent > 20:
            stopping.set()

    with pytest.raises(StageError) as caught:
        loop.run(params, 0, refs, stopping=stopping, progress=stop_midway)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.PREEMPTED, Reason.PREEMPTED)
    assert loop.store.get(manifest_key(loop.spec(params, 0, refs).digest)) is None
    # the operator may be upgraded meanwhile
    monkeypatch.setattr(loop, "image", "image:2")
    resumed = loop.run(params, 0, refs)
    assert 0 < resumed.outcome.resumed_from_step < 1000
    assert resumed.outcome.errors.holdout.force_rmse > 0


def test_a_model_worse_than_its_baseline_is_never_the_best(tmp_path, pretrained):
    """Labels of another world in the training set: whatever is learned from them is worse on the hold-out."""
    rng, lies = np.random.default_rng(1), []
    for number in range(20):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.2, seed=number)
        # on the mean right: another zero of energy would be refused
        lies.append(labelled(atoms, 500.0 * (-1) ** number, rng.normal(0, 50, (4, 3)), np.eye(3)))
    write(tmp_path / "lies.extxyz", lies)
    loop = Loop(tmp_path)
    training = {"steps": 60, "checkpointSeconds": 60, "learningRateStart": 0.01, "validationFraction": 0}
    params = prepare_params(
        tmp_path, pretrained, data=[{"uri": f"file://{tmp_path / 'lies.extxyz'}"}], training=training
    )
    _, train = iteration_zero(loop, ref(loop.run(params)), {**TRAIN, "training": training})
    assert train.outcome.errors.holdout.force_rmse > train.outcome.errors.shifted.force_rmse
    assert train.outcome.errors.best == train.outcome.errors.shifted
    assert train.outcome.best_iteration is None
    # nor does it explore
    files = loop.manifest(train).files
    assert files["model.pt"].sha256 == files["best.pt"].sha256


class InHartree(Calculator):
    """A labeler that forgets to convert: the pre-trained model itself, so that nothing else is wrong."""

    implemented_properties = ["energy", "forces", "stress"]

    def __init__(self, model):
        super().__init__()
        self._model = DeepmdModel(Path(model))

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        label = self._model.predict([self.atoms])[0]
        stress = full_3x3_to_voigt_6_stress(-label.virial / self.atoms.get_volume())
        values = {"energy": label.energy, "forces": label.forces, "stress": stress}
        self.results = {name: value / units.Hartree for name, value in values.items()}


def test_labels_in_hartree_are_refused_before_anything_is_trained_on_them(tmp_path):
    checkpoint = ROOT / "examples/pretrained/dpa2-group-iv.pt"
    extract_branch(checkpoint, "Group_IV_Elements", tmp_path / "branch.pt", "here")
    write(tmp_path / "copper.extxyz", bulk("Si", cubic=True))
    engine = {"ase": {"calculator": f"{__name__}:InHartree", "parameters": {"model": str(tmp_path / "branch.pt")}}}
    model = {"uri": f"file://{checkpoint}", "branch": "Group_IV_Elements"}
    loop = Loop(tmp_path)
    prepare = ref(loop.run(prepare_params(tmp_path, checkpoint, model=model, engine=engine)))
    with pytest.raises(StageError, match=r"forces are 27 times smaller.*eV/Å") as caught:
        iteration_zero(loop, prepare, label={**LABEL, "engine": engine})
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.LABELS_FAILED)
    assert not (loop.last_workdir / "training").exists()


def test_too_many_failed_labels_end_the_job_with_the_engines_words(labelled_loop):
    loop, refs = labelled_loop
    manifest = loop.manifest(refs["label"], 0)
    failures = [{"task": n, "key": str(n), "reason": "SCF", "message": "scf not converged"} for n in range(4)]
    content = manifest.to_bytes()
    other = loop.store.root / "bad.json"
    other.write_text(json.dumps(failures))
    parsed = json.loads(content)
    parsed["files"]["failures.json"] = {
        "key": "bad.json", "sha256": hashlib.sha256(other.read_bytes()).hexdigest(), "bytes": other.stat().st_size,
    }  # fmt: skip
    digest = "a" * 64
    loop.store.put(manifest_key(digest, 0), json.dumps(parsed).encode())
    bad = {**refs, "label": refs["label"].model_copy(update={"digest": digest})}
    with pytest.raises(StageError) as caught:
        loop.run(TRAIN, 0, bad)
    assert caught.value.reason is Reason.LABELS_FAILED
    assert "4 of 6 reference calculations of the hold-out" in str(caught.value)
    assert "scf not converged" in str(caught.value)
