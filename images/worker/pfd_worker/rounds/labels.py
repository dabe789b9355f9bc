"""The labels of a label stage, all indexes together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set

from ase import Atoms

from pfd_operator.contract.result import Caution, CautionReason, ExitCode, Reason
from pfd_worker import stage_files
from pfd_worker.errors import StageError
from pfd_worker.frames import Sampling, read_frames
from pfd_worker.label_files import read_labels, read_tasks
from pfd_worker.labelers.task import Calculation, Task
from pfd_worker.md.replay import AimdRun, read_aimd
from pfd_worker.stage_context import Manifest, StageContext

_HOLD_OUT = "hold-out"
_AIMD = "AIMD"


def collect_labels(
    context: StageContext, max_failed_fraction: float, label: str = "label", select: str = "select"
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
        LabelsFailed, if more of the tasks have no label than allowed, with the engine's last lines.
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
    for kinds in ({_HOLD_OUT}, asked.keys() - {_HOLD_OUT}):
        words = [failure.message for failure in failures if _kind(tasks[failure.task]) in kinds]
        _check_failures(context, failed, asked, kinds, max_failed_fraction, words)
    return frames


def _kind(task: Task) -> str:
    return task.purpose if task.aimd is None else _AIMD


def _check_failures(
    context: StageContext,
    failed: Mapping[str, int],
    asked: Mapping[str, int],
    kinds: Set[str],
    max_failed_fraction: float,
    words: Sequence[str],
) -> None:
    lost, tasks = (sum(count for kind, count in counts.items() if kind in kinds) for counts in (failed, asked))
    if not tasks or lost / tasks <= max_failed_fraction:
        return
    what = "reference calculations" + (" of the hold-out" if kinds == {_HOLD_OUT} else "")
    by_purpose = ", ".join(f"{kind} {failed[kind]} of {asked[kind]}" for kind in sorted(asked))
    last = words[-1] if words else "label pods ended without a verdict"
    raise StageError(
        ExitCode.USER_ERROR,
        Reason.LABELS_FAILED,
        f"{lost} of {tasks} {what} have failed, more than the fraction {max_failed_fraction:g} that "
        f"spec.labeling.maxFailedFraction of the {context.spec.job.kind} allows (failed: {by_purpose}). "
        f"The last failure:\n{last}",
    )


def _is_aimd(atoms: Atoms) -> bool:
    return bool(atoms.info["sampling"] == Sampling.AIMD)


def holdout_labels(context: StageContext, labels: list[Atoms], max_failed_fraction: float) -> list[Atoms]:
    """Return the frozen hold-out: among these labels, or those of the stage named `holdout`.

    Raises
    ------
    StageError
        LabelsFailed, if there is none, or if a stage of its own left more of its tasks without a label than allowed.
    """
    if "holdout" in context.spec.inputs:
        labels = collect_labels(context, max_failed_fraction, "holdout", "holdout-select")
    holdout = [atoms for atoms in labels if atoms.info["purpose"] == _HOLD_OUT]
    if not holdout:
        raise StageError(
            ExitCode.USER_ERROR,
            Reason.LABELS_FAILED,
            "no hold-out frame has a label, so no model can be measured. See failures.json of the label stage.",
        )
    return holdout


def shrunk_holdout(context: StageContext, holdout: Sequence[Atoms]) -> Caution | None:
    """Return a remark on a hold-out that lacks labels it was to have: it stays like this."""
    select = "holdout-select" if "holdout" in context.spec.inputs else "select"
    asked = sum(task.purpose == _HOLD_OUT for task in read_tasks(context, select))
    if len(holdout) >= asked:
        return None
    message = (
        f"{len(holdout)} of {asked} frames of the hold-out have a label, since the others' calculations failed; every "
        "error, and which model is the best, rests on these. Where time or memory was at fault, give more, and set "
        "spec.restart with the iteration of the hold-out"
    )
    return Caution(reason=CautionReason.HOLD_OUT_SHRUNK, message=message)


def aimd_runs(context: StageContext, previous: Manifest | None, labels: list[Atoms]) -> list[AimdRun]:
    """Return the job's AIMD trajectories: those that the last train stage kept, or those among the first labels."""
    if previous is None:
        return _labelled_now(context, labels)
    return read_aimd(context.fetch(previous, stage_files.AIMD))


def _labelled_now(context: StageContext, labels: list[Atoms]) -> list[AimdRun]:
    starts = read_frames(context.fetch(context.input("select")[0], stage_files.FRAMES))
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
