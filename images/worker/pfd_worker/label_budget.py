"""What a label stage may cost: its pods begin nothing unless all that they lack is within the job's budget."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from pfd_worker.errors import OverBudgetError
from pfd_worker.labelers.task import Task
from pfd_worker.stage_context import StageContext
from pfd_worker.store.at_once import at_once
from pfd_worker.store.ledger import Ledger


@dataclass(frozen=True)
class Cost:
    """A calculation, or all that a teacher labels in one index."""

    keys: tuple[str, ...]
    """By any of which the ledger knows that it is paid for."""
    labels: int
    is_free: Callable[[], bool] = lambda: False
    """Whether another job has paid for it."""


def check_budget(
    context: StageContext, tasks: Sequence[Task], costs: Callable[[Collection[str]], Sequence[Cost]]
) -> None:
    """Count what all pods of the stage lack, and what the job has paid for.

    What one of them pays for meanwhile is in the ledger and lacks no longer, so the sum stays: if the first pod may
    begin, all may, and if it may not, none.

    Parameters
    ----------
    tasks
        Of all pods of the stage.
    costs
        Returns what they ask for, given keys that are paid for: what has one of these may be left out.

    Raises
    ------
    OverBudgetError
        If the sum is more than the job may pay for.
    """
    budget = context.spec.budget
    if budget is None:
        return
    counts, paid = Ledger(context.store, context.spec.job.uid).read()
    left = max(0, budget.max_labels - counts.paid)
    if sum(task.labels for task in tasks) <= left:
        # most often, and without a look at the frames of other pods
        return
    asked = {cost.keys[0]: cost for cost in costs(paid)}
    lacking = [cost for cost in asked.values() if paid.isdisjoint(cost.keys)]
    if sum(cost.labels for cost in lacking) > left:
        free = at_once(lambda cost: cost.is_free(), lacking)
        lacking = [cost for cost, is_free in zip(lacking, free, strict=True) if not is_free]
    lacks = sum(cost.labels for cost in lacking)
    if lacks > left:
        raise OverBudgetError(counts, left, lacks, context.digest)
