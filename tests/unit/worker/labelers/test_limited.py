"""Calculators in a process of their own: computed as here, killed when their time is over, and begun anew."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from pfd_operator.contract.engine import Engine
from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError
from pfd_worker.frames import energy_of, virial_of
from pfd_worker.labelers.in_process import AseLabeler
from pfd_worker.labelers.registry import limited_labeler
from pfd_worker.labelers.task import Calculation


class Moody(EMT):
    """EMT that behaves as the first atom's element asks for, and tells in a folder who computes."""

    def __init__(self, folder, directory="."):
        super().__init__()
        self._folder = Path(folder)
        self.directory = directory

    def calculate(self, atoms=None, *given):
        (self._folder / f"computed-{os.getpid()}").touch()
        mood = atoms.get_chemical_symbols()[0]
        if mood == "Ag":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            (self._folder / "grandchild").write_text(str(child.pid))
            time.sleep(600)
        if mood == "Au":
            (Path(self.directory) / "WAVECAR").write_text("a large file")
            os.kill(os.getpid(), signal.SIGKILL)
        if mood == "Pd":
            raise KeyError("no such thing")
        if mood == "Pt":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        super().calculate(atoms, *given)


def moody(folder, seconds=60.0, **given):
    calculator = f"{__name__}:Moody"
    parameters = {"folder": str(folder), **given}
    engine = Engine.model_validate({"ase": {"calculator": calculator, "parameters": parameters}})
    return limited_labeler(engine, seconds)


def task(element="Cu", seed=1) -> Calculation:
    atoms = bulk(element, cubic=True)
    atoms.rattle(0.05, seed=seed)
    return Calculation(atoms)


def gone(pid: int) -> bool:
    """Tell whether a process has ended; who inherited it may not have taken notice yet."""
    for _ in range(100):
        try:
            if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def children(folder) -> set[str]:
    return {path.name for path in Path(folder).glob("computed-*")}


def test_one_child_computes_until_something_hangs_or_dies_in_it(tmp_path):
    with moody(tmp_path, seconds=5.0) as labeler:
        assert not children(tmp_path), "a stage that finds all labels needs none"
        first = [labeler.compute(task(seed=seed)) for seed in (1, 2)]
        assert len(children(tmp_path)) == 1
        hung, after, killed = (labeler.compute(task(element)) for element in ("Ag", "Cu", "Au"))
        raised, again = (labeler.compute(task(element)) for element in ("Pd", "Cu"))
        assert len(children(tmp_path)) == 3
        faulty, sound = (labeler.compute(task(element)) for element in ("Pt", "Cu"))
    assert hung.reason == "TimedOut"
    assert "spec.labeling.timeoutSeconds, 5 s" in hung.message
    assert gone(int((tmp_path / "grandchild").read_text())), "what the calculator had started has ended with it"
    assert after.ok
    assert killed.reason == "EngineKilled"
    assert (raised.reason, raised.message) == ("EngineError", "KeyError: 'no such thing'")
    assert again.ok, "whatever a calculator raises ends its own label only"
    assert (faulty.by_machine, sound.ok) == (True, True)
    assert len(children(tmp_path)) == 4, "a GPU that has failed answers its process no more"
    assert all(gone(int(name.removeprefix("computed-"))) for name in children(tmp_path))
    for seed, verdict in zip((1, 2), first, strict=True):
        (frame,), (here,) = verdict.frames, AseLabeler(EMT).compute(task(seed=seed)).frames
        assert energy_of(frame) == energy_of(here)
        np.testing.assert_array_equal(frame.get_forces(), here.get_forces())
        np.testing.assert_array_equal(virial_of(frame), virial_of(here))


def test_what_a_killed_calculation_has_written_goes_with_it(tmp_path, monkeypatch):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    disk = tmp_path / "disk"
    with moody(tmp_path, directory=str(disk)) as labeler:
        assert labeler.compute(task("Au")).reason == "EngineKilled"
        assert not list(temporary.iterdir())
        assert disk.is_dir() and not list(disk.iterdir())


@pytest.mark.parametrize(
    ("calculator", "reason"),
    [
        ({"calculator": "ase.calculators.emt:Nothing"}, Reason.DATA_INVALID),
        ({"calculator": "os:_exit", "parameters": {"status": 3}}, Reason.ENGINE_LOST),
    ],
)
def test_a_calculator_that_cannot_be_made_ends_the_stage(calculator, reason):
    engine = Engine.model_validate({"ase": calculator})
    with limited_labeler(engine, 60) as labeler, pytest.raises(StageError, match=r"spec\.labeling\.engine") as caught:
        labeler.compute(task())
    assert caught.value.reason is reason
