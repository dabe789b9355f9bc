"""Every mistake a user can make is told by prepare, in the user's words, before anything costs."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from pfd_operator.contract.result import CautionReason, ExitCode, Reason
from pfd_worker import stage_files
from pfd_worker.errors import StageError
from pfd_worker.frames import energy_of, labelled, read_frames
from pfd_worker.models.checkpoint import CheckpointInfo
from tests.unit.worker.stages.loop import Loop, prepare_params

pytestmark = pytest.mark.image


def system(folder, atoms, name="copper"):
    write(folder / f"{name}.extxyz", atoms)
    return {"name": name, "structures": str(folder / f"{name}.extxyz"), "perturb": {"count": 2}}


ABINIT = {"abinit": {"cutoffEv": 300, "kSpacing": 0.5, "pseudopotentials": {"Cu": "Cu.psp8"}}}
CASES = {
    "no branch": (lambda f: {"model": {"uri": f"file://{f}/p.pt"}}, Reason.BRANCH_REQUIRED, "Cold, Hot"),
    "other branch": (
        lambda f: {"model": {"uri": f"file://{f}/p.pt", "branch": "X"}}, Reason.UNKNOWN_BRANCH, "Cold, Hot",
    ),
    "no model": (lambda f: {"model": {"uri": f"file://{f}/none.pt"}}, Reason.MODEL_NOT_FOUND, "spec.model.uri: file"),
    "not a model": (lambda f: {"model": {"uri": f"file://{f}/text.pt"}}, Reason.NOT_A_CHECKPOINT, "text.pt"),
    "element": (
        lambda f: {"systems": [system(f, bulk("Pd", cubic=True), "palladium")]},
        Reason.UNKNOWN_ELEMENT, "palladium contains Pd",
    ),
    "overlap": (
        lambda f: {"systems": [system(f, bulk("Cu", a=1.6, cubic=True), "squeezed")]}, Reason.ATOMS_OVERLAP, "squeezed",
    ),
    "no file": (
        lambda f: {"systems": [{"name": "x", "structures": "/nowhere/x.cif", "perturb": {}}]},
        Reason.STRUCTURE_UNREADABLE, "system x",
    ),
    "no structures": (
        lambda f: {"systems": [{"name": "x", "structures": f"file://{f}/none.cif", "perturb": {}}]},
        Reason.STRUCTURE_UNREADABLE, "system x, structures.uri: file",
    ),
    "pseudopotential": (
        lambda f: {"engine": {"abinit": {"cutoffEv": 300, "kSpacing": 0.5, "pseudopotentials": {"Si": "Si.psp8"}}}},
        Reason.PSEUDOPOTENTIAL_MISSING, "contains Cu",
    ),
    "molecule": (
        lambda f: {"systems": [system(f, Atoms("Cu2", [[0, 0, 0], [0, 0, 2.2]]), "dimer")], "engine": ABINIT},
        Reason.STRUCTURE_UNREADABLE, "system dimer is not periodic",
    ),
    "template": (
        lambda f: {"training": {"template": {"loss": {"start_pref_g": 1}}}},
        Reason.TRAINING_TEMPLATE_INVALID, "start_pref_g",
    ),
    "no data": (lambda f: {"data": [{"uri": f"file://{f}/none.extxyz"}]}, Reason.DATA_INVALID, "spec.data[0].uri: "),
    "element of data": (
        lambda f: {"data": [{"uri": f"file://{f}/pd.extxyz"}]}, Reason.UNKNOWN_ELEMENT, "spec.data[0] contains Pd",
    ),
    "hold-out": (
        lambda f: {"holdout": [{"uri": f"file://{f}/bare.extxyz"}]}, Reason.DATA_INVALID,
        "spec.holdout.data[0], frame 0",
    ),
    "element of the hold-out": (
        lambda f: {"holdout": [{"uri": f"file://{f}/pd.extxyz"}]}, Reason.UNKNOWN_ELEMENT,
        "spec.holdout.data[0] contains Pd",
    ),
    "data": (lambda f: {"data": [{"uri": f"file://{f}/bare.extxyz"}]}, Reason.DATA_INVALID, "spec.data[0], frame 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_mistakes_are_named(case, tmp_path, pretrained):
    changes, reason, words = CASES[case]
    (tmp_path / "p.pt").write_bytes(pretrained.read_bytes())
    (tmp_path / "text.pt").write_text("this is not a model")
    write(tmp_path / "bare.extxyz", bulk("Cu"))
    write(tmp_path / "pd.extxyz", [labelled(bulk("Pd"), -1.0, np.zeros((1, 3)))] * 4)
    with pytest.raises(StageError) as caught:
        Loop(tmp_path).run(prepare_params(tmp_path, pretrained, **changes(tmp_path)))
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, reason)
    assert words in str(caught.value)


def test_result_names_what_was_read_and_its_digest_follows_the_content(tmp_path, pretrained):
    loop = Loop(tmp_path)
    first = loop.run(prepare_params(tmp_path, pretrained))
    summary = loop.manifest(first).summary
    assert summary["elements"] == ["Cu"]
    assert summary["source"].startswith("file://") and summary["source"].endswith(", branch Hot")
    assert set(summary["inputs_sha256"]) == {"model", "systems/copper"}
    assert (first.outcome.without_pressure, summary["systems"]) == ([], ["copper"])
    assert first.outcome.training_structures == {"Trajectories": 1, "Structures": 1}
    assert {stage_files.STRUCTURES, stage_files.STARTS} < set(loop.manifest(first).files)
    write(tmp_path / "copper.extxyz", bulk("Cu", a=3.7, cubic=True))
    assert loop.run(prepare_params(tmp_path, pretrained)).digest != first.digest


def test_a_molecule_is_told_to_have_no_pressure(tmp_path, pretrained):
    dimer = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.2]])
    systems = [system(tmp_path, dimer, "dimer"), system(tmp_path, bulk("Cu", cubic=True))]
    assert Loop(tmp_path).run(prepare_params(tmp_path, pretrained, systems=systems)).outcome.without_pressure == [
        "dimer"
    ]


def test_cells_short_for_the_model_are_a_caution(tmp_path, pretrained):
    systems = [system(tmp_path, bulk("Cu", cubic=True)), system(tmp_path, bulk("Cu", cubic=True).repeat(3), "large")]
    loop = Loop(tmp_path)
    (caution,) = loop.run(prepare_params(tmp_path, pretrained, systems=systems)).cautions
    assert caution.reason == CautionReason.SHORT_CELLS and "Å: copper 3.6 Å. It works" in caution.message
    systems[0]["perturb"]["supercell"] = [3, 3, 3]
    assert not loop.run(prepare_params(tmp_path, pretrained, systems=systems)).cautions


def test_an_element_the_model_was_never_trained_on_is_a_caution(tmp_path, pretrained, monkeypatch):
    monkeypatch.setattr(CheckpointInfo, "observed_elements", ["Al"])
    caution = Loop(tmp_path).run(prepare_params(tmp_path, pretrained)).cautions[0]
    assert caution.reason == CautionReason.UNOBSERVED_ELEMENTS and "spec.model has parameters for Cu" in caution.message


def test_user_data_keep_their_labels(tmp_path, pretrained):
    atoms = labelled(bulk("Cu", cubic=True), -1.0, np.zeros((4, 3)), np.eye(3))
    write(tmp_path / "data.extxyz", [atoms] * 3)
    loop = Loop(tmp_path)
    result = loop.run(prepare_params(tmp_path, pretrained, data=[{"uri": f"file://{tmp_path / 'data.extxyz'}"}]))
    loop.store.download(loop.manifest(result).files[stage_files.GIVEN_DATA].key, tmp_path / "given.extxyz")
    assert [energy_of(frame) for frame in read_frames(tmp_path / "given.extxyz")] == [-1.0] * 3


def test_a_hold_out_of_the_user_is_kept_beside_the_data(tmp_path, pretrained):
    write(tmp_path / "test.extxyz", [labelled(bulk("Cu", cubic=True), -1.0, np.zeros((4, 3)), np.eye(3))] * 4)
    loop, given = Loop(tmp_path), [{"uri": f"file://{tmp_path / 'test.extxyz'}"}]
    result = loop.manifest(loop.run(prepare_params(tmp_path, pretrained, holdout=given)))
    loop.store.download(result.files[stage_files.HOLD_OUT].key, tmp_path / "holdout.extxyz")
    assert {atoms.info["stratum"] for atoms in read_frames(tmp_path / "holdout.extxyz")} == {"copper/holdout.data[0]"}
    assert stage_files.GIVEN_DATA not in result.files
    assert "holdout.data/0" in result.summary["inputs_sha256"]


def test_jobs_that_are_trained_otherwise_share_what_was_prepared(tmp_path, pretrained):
    loop = Loop(tmp_path)
    first = loop.run(prepare_params(tmp_path, pretrained))
    assert loop.run(prepare_params(tmp_path, pretrained, training={"steps": 50})).digest == first.digest
    with pytest.raises(StageError, match="numb_stepz"):
        loop.run(prepare_params(tmp_path, pretrained, training={"template": {"training": {"numb_stepz": 1}}}))
