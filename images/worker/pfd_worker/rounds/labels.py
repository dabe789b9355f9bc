"""The labels of a label stage, all indexes together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set

from ase import Atoms

from pfd_operator.contract.result import Reason
from pfd_operator.contract.selection import HOLD_OUT, NOISE
from pfd_operator.contract.stage import Input
from pfd_worker import stage_files
from pfd_worker.errors import StageError, user_error
from pfd_worker.frames import Sampling, read_frames
from pfd_worker.label_files import read_failures, read_labels, read_tasks
from pfd_worker.labelers.base import LASTING_FAILURES
from pfd_worker.labelers.task import Calculation, Task
from pfd_worker.md.replay import AimdRun, read_aimd
from pfd_worker.stage_context import StageContext
from pfd_worker.store.manifests import Manifest, mark

_AIMD = "AIMD"


def collect_labels(
    context: StageContext, max_failed_fraction: float, label: Input = Input.LABEL, select: Input = Input.SELECT
) -> list[Atoms]:
    """Return the labelled frames of all indexes of a label stage.

    Parameters
    ----------
    context
        Of a train stage.
    max_failed_fraction
        Of the hold-out's tasks, which would stay without them, and of all others; those of indexes that failed finally
        have failed, too.
    label, select
        Inputs: the stage, and the one that gave it its tasks.

    Raises
    ------
    StageError
        LabelsFailed, if more of the tasks have no label than allowed.
    """
    tasks = read_tasks(context, select)
    frames, failures = read_labels(context, context.input(label))
    # not by label_key: equal structures are two tasks and one label
    aimd = {str(atoms.info["trajectory"]) for atoms in frames if _is_aimd(atoms)}
    # those that failed on their way have frames, too
    aimd -= {tasks[failure.task].trajectory for failure in failures if tasks[failure.task].aimd is not None}
    sound = Counter(str(atoms.info["purpose"]) for atoms in frames if not _is_aimd(atoms)) + Counter({_AIMD: len(aimd)})
    told = Counter(_kind(tasks[failure.task]) for failure in failures)
    asked = Counter(map(_kind, tasks))
    failed = Counter({kind: max(told[kind], asked[kind] - sound[kind]) for kind in asked})
    # a check of labels that are trained on only remarks; one of the hold-out also shows settings that never work
    remarked = {NOISE} if HOLD_OUT not in asked else set()
    for kinds in ({HOLD_OUT}, asked.keys() - {HOLD_OUT} - remarked):
        words = [failure.message for failure in failures if _kind(tasks[failure.task]) in kinds]
        _check_failures(context, label, failed, asked, kinds, max_failed_fraction, words)
    return frames


def _kind(task: Task) -> str:
    return task.purpose if task.aimd is None else _AIMD


def _check_failures(
    context: StageContext,
    label: Input,
    failed: Mapping[str, int],
    asked: Mapping[str, int],
    kinds: Set[str],
    max_failed_fraction: float,
    words: Sequence[str],
) -> None:
    lost, tasks = (sum(count for kind, count in counts.items() if kind in kinds) for counts in (failed, asked))
    if not tasks or lost / tasks <= max_failed_fraction:
        return
    what = "reference calculations" + (" of the hold-out" if kinds == {HOLD_OUT} else "")
    by_purpose = ", ".join(f"{kind} {failed[kind]} of {asked[kind]}" for kind in sorted(asked))
    last = words[-1] if words else "label pods ended without a verdict"
    too_many = (
        f"{lost} of {tasks} {what} have failed, more than the fraction {max_failed_fraction:g} that "
        f"spec.labeling.maxFailedFraction of the {context.spec.job.kind} allows (failed: {by_purpose})"
    )
    raise labels_failed(context, label, too_many, sum(failed.values()), f" The last failure:\n{last}")


def labels_failed(context: StageContext, label: Input, words: str, failed: int = 0, last: str = "") -> StageError:
    """Return the end of a job that lacks labels, with what failed how often and what to do.

    What need not fail again is computed again when the label stage is asked for anew, as a restart does: its cause may
    have been outside the job.

    Parameters
    ----------
    label
        Input: the stage.
    failed
        Tasks of it without a label; those that are no failures had no verdict.
    """
    manifests = context.input(label)
    by_index = read_failures(context, manifests)
    for manifest, mine in zip(manifests, by_index, strict=True):
        if not all(failure.lasting for failure in mine):
            mark(context.store, manifest, again=True)
    counts = Counter(failure.reason for mine in by_index for failure in mine)
    counts["without a verdict, their pods failed"] = max(0, failed - counts.total())
    how = ", ".join(f"{count} {reason}" for reason, count in counts.most_common() if count)
    iteration = context.spec.iteration if label is Input.LABEL else 0
    advice = f": {how}. {_what_to_do(counts, iteration)}" if how else "."
    return user_error(Reason.LABELS_FAILED, words + advice + last)


def _what_to_do(counts: Counter[str], iteration: int) -> str:
    lasting = " or ".join(sorted(LASTING_FAILURES))
    if not any(count for reason, count in counts.items() if reason not in LASTING_FAILURES):
        return (
            f"{lasting} follows from structure and settings, so it is not tried again: allow for more in "
            "spec.labeling.maxFailedFraction with a new spec.restart.id, or label with other settings in another job."
        )
    longer = ", here with a larger spec.labeling.timeoutSeconds" if counts["TimedOut"] else ""
    return (
        f"Remove the cause, then set spec.restart with fromIteration {iteration} and a new id{longer}: those that are "
        f"not {lasting} are computed once more, and labels that are there are found."
    )


def _is_aimd(atoms: Atoms) -> bool:
    return bool(atoms.info["sampling"] == Sampling.AIMD)


def aimd_runs(context: StageContext, previous: Manifest | None, labels: list[Atoms]) -> list[AimdRun]:
    """Return the job's AIMD trajectories: those that the last train stage kept, or those among the first labels."""
    if previous is None:
        return _labelled_now(context, labels)
    return read_aimd(context.fetch(previous, stage_files.AIMD))


def _labelled_now(context: StageContext, labels: list[Atoms]) -> list[AimdRun]:
    if not labels:
        return []
    starts = read_frames(context.fetch(context.one(Input.SELECT), stage_files.FRAMES))
    found: dict[str, list[Atoms]] = {}
    for atoms in labels:
        if _is_aimd(atoms):
            found.setdefault(str(atoms.info["trajectory"]), []).append(atoms)
    runs = []
    for task in read_tasks(context):
        # they are compared over the length of the shortest: one that failed on its way would cut all
        if task.aimd is not None and len(found.get(task.trajectory, [])) == task.aimd.steps:
            first, *later = found[task.trajectory]
            first = first.copy()
            # no label has velocities, but its task says how they were drawn
            first.set_velocities(Calculation(starts[task.frame], task.aimd).start().get_velocities())
            runs.append(AimdRun(task.system, task.aimd.timestep_fs, task.aimd.temperature_kelvin, (first, *later)))
    return runs
