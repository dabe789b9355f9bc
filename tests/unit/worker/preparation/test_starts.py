"""Start structures: as they are given, varied, and not where the job says they are."""

import pytest
from ase.build import bulk, molecule
from ase.io import write

from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.stage import PreparedSystem
from pfd_operator.contract.systems import Perturb
from pfd_worker import stage_files
from pfd_worker.errors import StageError
from pfd_worker.preparation.starts import large_displacement, masses_not_taken, starts_of
from pfd_worker.stage_context import StageContext
from tests.unit.worker.stages.loop import TRAINING, Loop


def test_a_missing_config_map_and_a_missing_key_look_alike_and_are_both_named(tmp_path):
    system = {"name": "silicon", "structures": str(tmp_path / "nowhere" / "si.extxyz"), "perturb": {}}
    loop = Loop(tmp_path)
    params = {"stage": "prepare", "model": {"uri": "s3://pfd/p.pt"}, "systems": [system], "training": TRAINING}
    context = StageContext(loop.spec(params, 0, {}), loop.store, tmp_path)
    with pytest.raises(StageError) as caught:
        starts_of(context, context.spec.params, {}, set())
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.STRUCTURE_UNREADABLE)
    said = str(caught.value)
    assert said.startswith(
        "system silicon: there is no file si.extxyz. The job's namespace has no ConfigMap of the name"
    )
    assert "structures.configMap, or that one has no key si.extxyz" in said


def test_structures_are_kept_as_they_are_given_and_go_with_the_starts_to_another_job(tmp_path):
    write(tmp_path / "copper.extxyz", [bulk("Cu", cubic=True), bulk("Cu", a=3.7, cubic=True)])
    system = {"name": "copper", "structures": str(tmp_path / "copper.extxyz"), "perturb": {"count": 2}}
    loop = Loop(tmp_path)
    params = {"stage": "prepare", "model": {"uri": "s3://pfd/p.pt"}, "systems": [system], "training": TRAINING}
    context = StageContext(loop.spec(params, 0, {}), loop.store, tmp_path)
    with_masses: set[str] = set()
    structures, starts = starts_of(context, context.spec.params, {}, with_masses)
    assert not with_masses and masses_not_taken(with_masses) is None
    assert [atoms.cell.lengths()[0] for atoms in structures] == pytest.approx([3.61, 3.7])
    assert len(starts) == 4

    theirs = loop.committed(params, 0, {stage_files.STRUCTURES: structures, stage_files.STARTS: starts})
    inherited = params | {"systems": [], "starts": loop.store.uri(f"stages/{theirs.digest}/manifest.json")}
    context = StageContext(loop.spec(inherited, 0, {}), loop.store, tmp_path)
    assert [len(found) for found in starts_of(context, context.spec.params, {}, set())] == [2, 4]


def test_masses_of_isotopes_are_told_and_dropped(tmp_path):
    heavy = molecule("H2O", cell=[9, 9, 9], pbc=True)
    heavy.set_masses([15.999, 2.014, 2.014])
    write(tmp_path / "water.extxyz", [molecule("H2O", cell=[9, 9, 9], pbc=True), heavy])
    system = {"name": "water", "structures": str(tmp_path / "water.extxyz"), "perturb": {"count": 2}}
    loop = Loop(tmp_path)
    params = {"stage": "prepare", "model": {"uri": "s3://pfd/p.pt"}, "systems": [system], "training": TRAINING}
    context = StageContext(loop.spec(params, 0, {}), loop.store, tmp_path)
    with_masses: set[str] = set()
    structures, starts = starts_of(context, context.spec.params, {}, with_masses)
    assert not any(atoms.has("masses") or "own_masses" in atoms.info for atoms in [*structures, *starts])
    caution = masses_not_taken(with_masses)
    assert caution.reason == "MassesNotTaken" and "are in system water, and are not taken" in caution.message


def test_of_a_job_of_an_earlier_version_the_starts_are_taken_for_its_structures(tmp_path):
    starts = [bulk("Cu", cubic=True), bulk("Cu", a=3.7, cubic=True)]
    loop = Loop(tmp_path)
    params = {"stage": "prepare", "model": {"uri": "s3://pfd/p.pt"}, "training": TRAINING}
    theirs = loop.committed(params, 0, {stage_files.STARTS: starts})
    inherited = params | {"starts": loop.store.uri(f"stages/{theirs.digest}/manifest.json")}
    context = StageContext(loop.spec(inherited, 0, {}), loop.store, tmp_path)
    assert [len(found) for found in starts_of(context, context.spec.params, {}, set())] == [2, 2]


@pytest.mark.parametrize(
    ("material", "displacement", "remarked"), [("H2O", 0.1, True), ("H2O", 0.05, False), ("CO", 0.1, False)]
)
def test_displacements_that_heat_bonds_of_hydrogen_are_remarked(material, displacement, remarked):
    atoms = molecule(material)
    atoms.info["system"] = "mine"
    system = PreparedSystem(name="mine", structures="s3://pfd/mine.xyz", perturb=Perturb(displacement=displacement))
    caution = large_displacement([system], [atoms])
    assert (caution is not None) is remarked
    if remarked:
        assert caution.reason == "DisplacementLargeForHydrogen" and "mine 0.1 Å" in caution.message
