"""A pod that was told to end lingers once the operator's patience with it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from pfd_operator.contract.stage import StageSpec
from tests.chaos.pods import NODE_LOST_AFTER_SECONDS, Pod


def some_pod() -> Pod:
    return Pod("label-a1-x", "uid", "label-a1", 0, cast(StageSpec, None), "node-0")


@pytest.mark.parametrize(("seconds", "lingers"), [(-30, False), (5, False), (NODE_LOST_AFTER_SECONDS, True)])
def test_a_pod_lingers_after_the_patience_with_it(seconds: float, lingers: bool) -> None:
    pod = some_pod()
    pod.told_to_end({"deletionTimestamp": "2026-01-01T00:00:35Z"})
    assert pod.life.stopping.is_set()
    assert pod.grace_ends_at == datetime(2026, 1, 1, 0, 0, 35, tzinfo=UTC)
    assert pod.lingers(pod.grace_ends_at + timedelta(seconds=seconds)) is lingers


def test_a_pod_that_nobody_deleted_does_not_linger() -> None:
    pod = some_pod()
    assert not pod.lingers(datetime.now(UTC))
