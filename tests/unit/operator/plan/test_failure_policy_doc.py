"""The failure policy that people read names every reason that the code can give."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfd_operator.api.conditions import OperatorReason
from pfd_operator.contract.result import Reason

PAGE = Path(__file__).parents[4] / "docs" / "failure-policy.md"
OF_FAILURES = (
    OperatorReason.IMAGE_PULL,
    OperatorReason.UNSCHEDULABLE,
    OperatorReason.SECRET_MISSING,
    OperatorReason.NON_ROOT,
    OperatorReason.CONFIG_ERROR,
    OperatorReason.POD_PENDING,
    OperatorReason.JOB_REFUSED,
    OperatorReason.ATTEMPTS_EXHAUSTED,
    OperatorReason.POD_LOST,
    OperatorReason.OUT_OF_MEMORY,
    OperatorReason.GPU_BUDGET,
    OperatorReason.DEADLINE,
    OperatorReason.STAGE_RETRIED,
)


@pytest.mark.parametrize("reason", [*Reason, *OF_FAILURES])
def test_every_reason_is_explained(reason: Reason | OperatorReason) -> None:
    assert f"`{reason.value}`" in PAGE.read_text()
