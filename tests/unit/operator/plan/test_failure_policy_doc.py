"""The failure policy that people read names every reason that the code can give."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfd_operator.api.conditions import OperatorReason
from pfd_operator.contract.result import Reason

PAGE = Path(__file__).parents[4] / "docs" / "failure-policy.md"


@pytest.mark.parametrize("reason", [*Reason, *OperatorReason])
def test_every_reason_is_explained(reason: Reason | OperatorReason) -> None:
    assert f"`{reason.value}`" in PAGE.read_text()
