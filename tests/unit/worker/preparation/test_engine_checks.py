"""What ABINIT cannot label is told before anything is computed."""

import pytest
from ase import Atoms
from ase.build import bulk, molecule

from pfd_operator.contract.engine import Engine
from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.preparation.engine import check_engine

ABINIT = Engine.model_validate(
    {"abinit": {"cutoffEv": 300, "kSpacing": 0.5, "pseudopotentials": {"H": "H.psp8", "O": "O.psp8", "Cu": "Cu.psp8"}}}
)
VASP = Engine.model_validate(
    {"program": {"command": ["vasp_std"], "output": {"file": "vasprun.xml", "format": "vasp-xml"}}}
)
ORCA = Engine.model_validate({"program": {"command": ["orca"], "output": {"file": "out", "format": "orca-output"}}})
XTB = Engine.model_validate({"xtb": {}})


def start(atoms: Atoms, **changes) -> Atoms:
    atoms.info = {"system": "water"}
    for name, value in changes.items():
        setattr(atoms, name, value)
    return atoms


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "pbc F F F"),
        ({"cell": [9, 9, 9]}, "pbc F F F"),
        ({"cell": [9, 9, 9], "pbc": [True, True, False]}, "pbc T T F"),
    ],
)
def test_what_is_not_periodic_is_refused_for_plane_waves_only(changes, words):
    atoms = start(molecule("H2O"), **changes)
    for engine, name in ((ABINIT, "abinit"), (VASP, "program")):
        with pytest.raises(StageError, match=rf"system water .*{words}.*engine\.{name} .*pbc T T T") as caught:
            check_engine(engine, [start(bulk("Cu")), atoms])
        assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.STRUCTURE_UNREADABLE)
    check_engine(ORCA, [atoms])
    check_engine(XTB, [atoms])
    check_engine(None, [atoms])


def test_an_element_without_a_pseudopotential_is_named():
    with pytest.raises(StageError, match=r"system water contains Pd.*it has Cu, H, O") as caught:
        check_engine(ABINIT, [start(bulk("Pd"))])
    assert caught.value.reason is Reason.PSEUDOPOTENTIAL_MISSING


def test_a_molecule_in_a_periodic_box_is_labelled():
    check_engine(ABINIT, [start(molecule("H2O"), cell=[9, 9, 9], pbc=True)])
