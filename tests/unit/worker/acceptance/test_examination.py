"""All measurements of one student, with a calculator as teacher and as student."""

import threading

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from pfd_operator.contract.distill import Acceptance
from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.settings import Exploration
from pfd_worker.acceptance.examination import Examination
from pfd_worker.errors import StageError
from pfd_worker.frames import labelled
from pfd_worker.models.calculator import CalculatorModel

ASKED = {"forceRMSE": 0.1, "sizes": [4], "stableMDPicoseconds": 0.05}


def copper():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=3)
    atoms.info = {"system": "copper", "slab": False}
    return atoms


def holdout():
    atoms = copper()
    predicted = CalculatorModel(EMT()).predict([atoms])[0]
    return [labelled(atoms, predicted.energy, predicted.forces, predicted.virial)]


def examination(stopping=None, progress=lambda percent, words: None, **asked):
    return Examination(
        teacher=CalculatorModel(EMT()),
        student=CalculatorModel(EMT()),
        start=copper(),
        acceptance=Acceptance.model_validate(ASKED | asked),
        exploration=Exploration.model_validate({"stages": [{"temperaturesKelvin": [300], "timestepFs": 2}]}),
        seed=5,
        stopping=stopping or threading.Event(),
        progress=progress,
    )


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr("pfd_worker.acceptance.examination.MD_ATOMS", 4)
    monkeypatch.setattr("pfd_worker.acceptance.examination.RDF_PICOSECONDS", 0.4)


@pytest.mark.parametrize(
    ("words", "asked"), [("constant energy", {}), ("structure", {"rdfOverlap": 0.5})], ids=["drift", "structure"]
)
def test_a_stop_in_the_last_measurement_is_no_verdict(words, asked):
    stopping = threading.Event()

    def stop_in_it(percent, message):
        if words in message:
            stopping.set()

    with pytest.raises(StageError) as caught:
        examination(stopping, stop_in_it, **asked).run(holdout(), [])
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.PREEMPTED, Reason.PREEMPTED)
