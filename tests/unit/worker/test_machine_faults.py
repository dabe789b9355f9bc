import pytest

from pfd_worker.machine_faults import says_machine_fault


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RuntimeError: CUDA error: an illegal memory access was encountered", True),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", True),
        ("torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2251", True),
        ("OSError: [Errno 28] No space left on device", True),
        ("NCCL version 2.21.5+cuda12.4", False),
        ("KeyError: 'cuda'", False),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'input.json'", False),
    ],
)
def test_a_fault_of_the_machine_is_told_from_other_errors(text, expected):
    assert says_machine_fault(text) is expected
