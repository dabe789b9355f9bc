import pytest

from pfd_worker.team import ALONE, Team
from pfd_worker.training.launch import CHILD, PATIENCE_SECONDS, PORT, launched

PROGRAM = [*CHILD, "dp", "--pt", "train", "input.json"]


@pytest.mark.parametrize("gpus", [0, 1])
def test_one_process_needs_no_launcher(gpus):
    assert launched(PROGRAM, gpus, ALONE) == PROGRAM


def test_a_process_for_each_gpu_of_a_pod():
    assert launched(PROGRAM, 4, ALONE) == ["torchrun", "--standalone", "--nproc-per-node=4", "--no-python", *PROGRAM]


THIRD = Team(3, 2, "job-0.pfd-silicon-5f0c")


@pytest.mark.parametrize("gpus", [1, 8])
def test_nodes_meet_at_the_first(gpus):
    assert launched(PROGRAM, gpus, THIRD) == [
        "torchrun", "--nnodes=3", "--node-rank=2", "--master-addr=job-0.pfd-silicon-5f0c", f"--master-port={PORT}",
        f"--rdzv-conf=timeout={PATIENCE_SECONDS}", f"--nproc-per-node={gpus}", "--no-python", *PROGRAM,
    ]  # fmt: skip


def test_without_gpus_one_process_each_by_gloo():
    command = launched(PROGRAM, 0, THIRD)
    assert {"RANK=2", "WORLD_SIZE=3", "MASTER_ADDR=job-0.pfd-silicon-5f0c"} < set(command)
    assert command[0] == "env" and command[-len(PROGRAM) :] == PROGRAM
