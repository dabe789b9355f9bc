import pytest

from pfd_worker.team import ALONE, Team
from pfd_worker.training.launch import PATIENCE_SECONDS, PORT, launched

PROGRAM = ["dp", "--pt", "train", "input.json"]


@pytest.mark.parametrize("gpus", [0, 1])
def test_one_process_needs_no_launcher(gpus):
    assert launched(PROGRAM, gpus, ALONE) == PROGRAM


def test_a_process_for_each_gpu_of_a_pod():
    assert launched(PROGRAM, 4, ALONE) == ["torchrun", "--standalone", "--nproc-per-node=4", "--no-python", *PROGRAM]


@pytest.mark.parametrize(("gpus", "processes"), [(0, 1), (1, 1), (8, 8)])
def test_nodes_meet_at_the_first(gpus, processes):
    command = launched(PROGRAM, gpus, Team(3, 2, "job-0.pfd-silicon-5f0c"))
    assert command == [
        "torchrun", "--nnodes=3", "--node-rank=2", "--master-addr=job-0.pfd-silicon-5f0c", f"--master-port={PORT}",
        f"--rdzv-conf=timeout={PATIENCE_SECONDS}",
        f"--nproc-per-node={processes}", "--no-python", *PROGRAM,
    ]  # fmt: skip
