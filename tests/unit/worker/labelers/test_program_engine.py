"""A whole label stage of `program` with a real DFT code in its own image, against the engine that knows the code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from pfd_operator.contract.engine import AbinitEngine
from pfd_operator.contract.outcome import LabelOutcome
from pfd_operator.contract.probe import PROBE_SCRIPT, probe_arguments
from pfd_worker import label_pod
from pfd_worker.frames import energy_of, virial_of
from pfd_worker.label_entries import Entry
from pfd_worker.labelers.abinit import AbinitLabeler
from pfd_worker.labelers.registry import external_labeler
from pfd_worker.labelers.task import Calculation
from tests.unit.worker.stages.label_tasks import context_of, desk_of, select
from tests.unit.worker.stages.loop import LABEL, Loop

ROOT = Path(__file__).parents[4]
PSEUDOPOTENTIAL = "Pseudodojo_nc_sr_04_pbe_standard_psp8/Si.psp8"
SETTINGS = AbinitEngine(cutoff_ev=250, k_spacing=2, pseudopotentials={"Si": PSEUDOPOTENTIAL})
STRUCTURE = ("ntypat", "znucl", "natom", "typat", "acell", "rprim", "xcart", "pseudos")
INPUT = """\
pseudos "@ABI_PSPDIR@/{pseudopotential}"
ntypat 1
znucl 14
acell 3*1 angstrom
{others}
"""
RUN = """\
{
  sed "s|@ABI_PSPDIR@|$ABI_PSPDIR|" input
  echo natom $(head -n 1 structure.extxyz) typat "$(head -n 1 structure.extxyz)*1"
  echo rprim; sed -n 3,5p POSCAR
  echo xred; tail -n +9 POSCAR
} > run.abi
"$@" run.abi || exit 1
awk -f result.awk run.abo structure.extxyz > result.extxyz
"""
RESULT = """\
FNR != NR && FNR == 1 { print; next }
FNR != NR && FNR == 2 {
  sub(/pos:R:3/, "pos:R:3:forces:R:3")
  printf "%s energy=%.10f stress=\\"%s\\"\\n", $0, energy * 27.211386246, stress
  next
}
FNR != NR { print $0 forces[FNR - 2]; next }
/^ *etotal/ { energy = $2 }
/^cartesian_forces:/ { reading = "forces" }
/^cartesian_stress_tensor:/ { reading = "stress" }
/^force_length_stats:|^pressure_GPa:|^\\.\\.\\./ { reading = "" }
/^- \\[/ && reading {
  gsub(/[][,]/, " ")
  unit = reading == "forces" ? 51.422067476 : 183.631577
  row = sprintf(" %.12f %.12f %.12f", $2 * unit, $3 * unit, $4 * unit)
  if (reading == "forces") forces[++n] = row
  else stress = stress row
}
"""


def in_image(folder: Path, *command: str) -> None:
    run_in = [str(ROOT / "hack/images/run-in.sh"), "-v", f"{folder}:{folder}", "-e", "ABI_PSPDIR=/usr/share/abinit/psp"]
    subprocess.run([*run_in, "abinit", *command], check=True, timeout=600)


def by_the_engine_that_knows_it(calculation: Calculation, folder: Path):
    folder.mkdir()
    labeler = AbinitLabeler(SETTINGS)
    labeler.write_inputs(calculation, folder)
    in_image(folder, "sh", "-c", f"cd {folder} && sh ./command.sh > engine.out 2>&1")
    (frame,) = labeler.read_outputs(calculation, folder, 0).frames
    return frame


def settings_for(calculation: Calculation) -> dict:
    variables = AbinitLabeler(SETTINGS).variables(calculation)
    others = "\n".join(
        f"{name} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in variables.items()
        if name not in STRUCTURE
    )
    files = {"input": INPUT.format(pseudopotential=PSEUDOPOTENTIAL, others=others), "run.sh": RUN, "result.awk": RESULT}
    command = ["sh", "run.sh", "abinit"]
    return {"command": command, "files": files, "requires": [f"/usr/share/abinit/psp/{PSEUDOPOTENTIAL}"]}


@pytest.mark.engine
def test_a_program_gives_the_labels_that_its_own_engine_gives(tmp_path):
    loop = Loop(tmp_path)
    selected = select(loop, ("Si", "Si"), trajectory=False)
    calculations = [entry.calculation for entry in entries(loop, selected)]
    context = context_of(loop, selected, "pod", LABEL | {"engine": {"program": settings_for(calculations[0])}})
    engine = context.spec.params.engine
    in_image(
        context.workdir,
        "sh",
        "-c",
        f'mkdir -p {context.workdir}/engine && cd {context.workdir}/engine && sh -c "$0" "$@"',
        PROBE_SCRIPT,
        "probe",
        *probe_arguments(engine),
    )
    label_pod.stage_in(context)
    in_image(context.workdir, "sh", str(context.workdir / "engine" / "run.sh"))
    folders = sorted((context.workdir / "engine" / "tasks").iterdir())
    read = [external_labeler(engine).read_outputs(*each, 0) for each in zip(calculations, folders, strict=True)]
    assert [verdict.message for verdict in read] == ["", ""]
    assert label_pod.stage_out(context).outcome == LabelOutcome(failed=0, reused=0)
    expected = by_the_engine_that_knows_it(calculations[0], tmp_path / "abinit")
    (found,) = read[0].frames
    assert energy_of(found) == pytest.approx(energy_of(expected), abs=1e-5)
    np.testing.assert_allclose(found.get_forces(), expected.get_forces(), atol=1e-3)
    np.testing.assert_allclose(virial_of(found), virial_of(expected), atol=1e-2)


def entries(loop: Loop, selected) -> list[Entry]:
    return desk_of(context_of(loop, selected, "desk")).entries
