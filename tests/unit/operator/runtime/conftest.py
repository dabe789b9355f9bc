"""The operator that the tests of its parts share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pfd_operator.runtime.operator import Operator
from tests.unit.operator.runtime.runtime_parts import operator_at


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    operator = await operator_at("http://127.0.0.1:1", tmp_path)
    yield operator
    operator.queue.close()
    await operator.api.close()
