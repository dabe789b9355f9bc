"""Keys of labels: what makes two calculations the same, and what does not."""

from ase import Atoms
from ase.build import bulk

from pfd_operator.contract.engine import Engine
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


def test_a_label_with_another_mesh_is_another_label_and_with_the_same_one_the_same():
    atoms = bulk("Cu", cubic=True)
    own, engine = Calculation(atoms).key(abinit({"Cu": "2"})), abinit({"Cu": "2"})
    keys = {}
    # 2π / 3.61 Å is 1.74: two divisions for a spacing of 1
    for factor in (1.0, 1.1, 2.0, 1 / 1.2):
        atoms.info["reference_cell"] = factor * atoms.cell.array
        keys[factor] = Calculation(atoms).key(engine)
        assert Calculation(atoms).key({"ase": EMT}) == Calculation(bulk("Cu", cubic=True)).key({"ase": EMT})
    assert keys[1.0] == keys[1.1] == own
    assert len(set(keys.values())) == 3
    fixed = Calculation(atoms).key(abinit({"Cu": "2"}, ngkpt=[4, 4, 4]))
    assert fixed == Calculation(bulk("Cu", cubic=True)).key(abinit({"Cu": "2"}, ngkpt=[4, 4, 4]))


def abinit(elements: dict[str, str], **extra: object) -> dict[str, object]:
    """An engine with what was found of it; pseudopotentials by element."""
    files = {f"file:{element}.psp8": digest * 64 for element, digest in elements.items()}
    settings = {"cutoffEv": 200, "kSpacing": 1, "pseudopotentials": {name: f"{name}.psp8" for name in elements}}
    engine = Engine.model_validate({"abinit": settings | {"extra": extra}}).to_json()
    return engine | {"content": {"program:abinit": "1" * 64, **files}}


def test_pseudopotentials_of_other_elements_are_no_part_of_a_label():
    copper = Calculation(bulk("Cu"))
    alone = copper.key(abinit({"Cu": "2"}, upawu={"Cu": 1.0}, nband=9))
    assert copper.key(abinit({"Cu": "2", "O": "3"}, upawu={"Cu": 1.0, "O": 0.0}, nband=9)) == alone
    others = [
        abinit({"Cu": "4", "O": "3"}, upawu={"Cu": 1.0, "O": 0.0}, nband=9),
        abinit({"Cu": "2", "O": "3"}, upawu={"Cu": 2.0, "O": 0.0}, nband=9),
        abinit({"Cu": "2"}, upawu={"Cu": 1.0}, nband=8),
    ]
    assert len({alone, *map(copper.key, others)}) == 4
    oxide = Calculation(bulk("CuO", "rocksalt", a=4.2))
    first, second = (oxide.key(abinit({"Cu": "2", "O": digest})) for digest in "35")
    assert first != second
