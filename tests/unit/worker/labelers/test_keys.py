"""Keys of labels: what makes two calculations the same, and what does not."""

from ase import Atoms
from ase.build import bulk

from pfd_operator.contract.labeling import Engine
from pfd_worker.labelers.task import AimdSettings, Calculation

EMT = {"calculator": "ase.calculators.emt:EMT"}


def structure() -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=3)
    return atoms


def test_equal_content_has_an_equal_key_and_other_content_another():
    task, engine = Calculation(structure()), {"ase": EMT}
    key = task.key(engine)
    noisy = structure()
    noisy.positions += 1e-11
    assert Calculation(structure()).key(engine) == Calculation(noisy).key(engine) == key
    moved = structure()
    moved.positions[0, 0] += 1e-6
    aimd = Calculation(structure(), AimdSettings(steps=5, temperature_kelvin=300, timestep_fs=1, seed=5))
    others = {Calculation(moved).key(engine), task.key({"xtb": {}}), aimd.key(engine), key}
    assert len(others) == 4


def test_keys_of_labels_that_are_stored_do_not_change():
    given = {"cutoffEv": 200, "kSpacing": 1, "pseudopotentials": {"Cu": "Cu.psp8"}}
    content = {"content": {"program:abinit": "1" * 64, "file:Cu.psp8": "2" * 64}}
    for command in ({}, {"command": ["abinit"]}):
        engine = Engine.model_validate({"abinit": given | command}).to_json()
        key = Calculation(bulk("Cu")).key(engine | content)
        assert key == "0ef68806632eb4c7f1e4497785248f49affb1e46d56f0481a1f9049bece6a98c"
