import pytest

from pfd_worker.labelers.base import LabelFailure, Verdict

CUDA = "RuntimeError: CUDA error: an illegal memory access was encountered"


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        (LabelFailure.ENGINE_ERROR, CUDA, True),
        (LabelFailure.OUTPUT_UNREADABLE, "OSError: [Errno 5] Input/output error", True),
        (LabelFailure.ENGINE_ERROR, "KeyError: 'Cu'", False),
        (LabelFailure.ENGINE_ERROR, "CUDA error: out of memory", False),
        (LabelFailure.SCF_NOT_CONVERGED, CUDA, False),
        (None, CUDA, False),
    ],
)
def test_a_fault_of_the_machine_is_no_verdict_on_a_calculation(reason, message, expected):
    assert Verdict(reason=reason, message=message).by_machine is expected
