"""Select: the frames worth a label, out of features only; then those frames are fetched."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.outcome import SelectOutcome
from pfd_operator.contract.result import Caution, CautionReason
from pfd_operator.contract.selection import HOLD_OUT, NOISE, TRAINING, Aimd, Apart, Purpose
from pfd_operator.contract.stage import Input, SelectParams
from pfd_worker import stage_files
from pfd_worker.aimd_starts import aimd_starts
from pfd_worker.explored import Explored
from pfd_worker.frames import Sampling, frames_one_by_one, read_frames, write_frames
from pfd_worker.label_files import write_frame_places, write_tasks
from pfd_worker.labelers.task import AimdSettings, Task
from pfd_worker.selection.choice import Choice, choose_frames
from pfd_worker.selection.contacts import close_contacts
from pfd_worker.selection.feature_map import FeatureMap, feature_map
from pfd_worker.selection.quotas import middles
from pfd_worker.selection.training_set import TrainingSet
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.summaries import SelectSummary, TrainSummary

_MOST_NAMED = 3


@dataclass(frozen=True)
class _Asked:
    """A frame to label, and what for."""

    atoms: Atoms
    purpose: Purpose
    sampling: Sampling
    novelty: float | None = None
    aimd: AimdSettings | None = None

    def task(self, number: int) -> Task:
        """Return its entry in the list; `number` is its row in the file of frames."""
        info = self.atoms.info
        stratum, trajectory, system = (str(info[key]) for key in ("stratum", "trajectory", "system"))
        kelvin, step = info.get("measured_kelvin"), int(info["step"]) if "step" in info else None
        return Task(
            number, self.purpose, self.sampling, stratum, trajectory, system, self.novelty, kelvin, step, self.aimd
        )


def run(context: StageContext) -> StageOutput:
    """Choose MD frames by purpose, and perturbed starts for AIMD where asked for; write one task list."""
    params = context.params(SelectParams)
    explored = Explored.of(context)
    explored.clear_checkpoints()
    training = _training_set(context, explored)
    if params.purpose == HOLD_OUT:
        explored = explored.typical()
    if params.frames and not explored.candidates:
        raise explored.no_candidates()
    choice, asked = _out_of_md(context, params, explored, training)
    cautions = [_few_candidates(params, explored)]
    if params.aimd is not None:
        starts = _starts_of_aimd(context, params.aimd, params.apart)
        cautions.append(_few_starts(params.aimd, len(starts)))
        asked += starts
    tasks = [each.task(number) for number, each in enumerate(asked)]
    tasks += once_more(tasks, params.noise_frames or 0)
    drawn = feature_map(explored.features, training.features, choice.samplings, seed_of(context.spec.seed, "map"))
    exploration = explored.counts(choice.novel)
    return StageOutput(
        files=_written(context.workdir, [each.atoms for each in asked], tasks, drawn),
        summary=SelectSummary(
            force_error_bound=_force_error_bound(context, choice.novelty),
            exploration=exploration.to_json(),
            asked_of_strata=explored.asked_of_strata,
            explore_pods=len(explored.shards),
            explore_seconds=explored.seconds,
        ),
        outcome=SelectOutcome(tasks=len(tasks), labels=sum(task.labels for task in tasks), exploration=exploration),
        cautions=cautions,
    )


def _out_of_md(
    context: StageContext, params: SelectParams, explored: Explored, training: TrainingSet
) -> tuple[Choice, list[_Asked]]:
    """Choose candidates, and push two atoms together in copies of some."""
    pushed = math.floor(params.close_contact_fraction * params.frames)
    choice, frames = _choose(context, params, explored, training, params.frames - pushed)
    seed = seed_of(context.spec.seed, "contacts", context.spec.iteration)
    contacts = close_contacts(frames, pushed, params.min_distance_factor, seed)
    if len(contacts) < pushed:
        # others take the places of those that could not be made, and those that could stay
        choice, frames = _choose(context, params, explored, training, params.frames - len(contacts))
    asked = []
    for atoms, (row, sampling) in zip(frames, choice.samplings.items(), strict=True):
        novelty = None if choice.novelty is None else float(choice.novelty[row])
        asked.append(_Asked(atoms, params.purpose, sampling, novelty))
    return choice, asked + [_Asked(atoms, params.purpose, Sampling.CLOSE_CONTACT) for atoms in contacts]


def _starts_of_aimd(context: StageContext, aimd: Aimd, apart: Apart) -> list[_Asked]:
    starts = read_frames(context.fetch(context.one(Input.PREPARE), stage_files.STARTS))
    dealt = aimd_starts(starts, aimd, apart, context.spec.seed)
    return [_Asked(atoms, TRAINING, Sampling.AIMD, aimd=settings) for atoms, settings in dealt]


def _written(folder: Path, frames: Sequence[Atoms], tasks: Sequence[Task], drawn: FeatureMap | None) -> dict[str, Path]:
    names = (stage_files.FRAMES, stage_files.FRAME_PLACES, stage_files.TASKS, stage_files.FEATURE_MAP)
    files = {name: folder / name for name in names}
    write_frames(files[stage_files.FRAMES], frames)
    write_frame_places(files[stage_files.FRAMES], files[stage_files.FRAME_PLACES])
    write_tasks(files[stage_files.TASKS], tasks)
    files[stage_files.FEATURE_MAP].write_text(json.dumps(None if drawn is None else drawn.to_json()))
    return files


def _few_candidates(params: SelectParams, explored: Explored) -> Caution | None:
    messages = [] if explored.why_left_out is None else [explored.why_left_out]
    candidates, unsampled = len(explored.candidates), explored.unsampled
    of_holdout = params.purpose == HOLD_OUT
    if unsampled:
        named = ", ".join(sorted(unsampled)[:_MOST_NAMED]) + (", …" if len(unsampled) > _MOST_NAMED else "")
        ended = "exploded before it gave a frame at its conditions"
        so = "no error is measured there" if of_holdout else "the even sample of this iteration has no frame of it"
        messages.append(f"all MD of {named} {ended}: {so}")
    if candidates < params.frames:
        asked = "holdout.frames" if of_holdout else "selection.framesPerIteration"
        messages.append(
            f"the MD gave {candidates} candidate frames {'that can be compared ' if explored.left_out else ''}where "
            f"{params.frames} were to be chosen (spec.{asked}): all are labelled, and nothing was selected. More steps "
            "or replicas, a smaller sampleEvery, or fewer frames would do"
        )
    reason = CautionReason.HOLD_OUT_SPARSE if of_holdout else CautionReason.FEW_CANDIDATES
    return Caution(reason=reason, message="; ".join(messages)) if messages else None


def _few_starts(aimd: Aimd, dealt: int) -> Caution | None:
    if dealt == aimd.trajectories:
        return None
    return Caution(
        reason=CautionReason.FEW_STARTS,
        message=f"{dealt} of {aimd.trajectories} starts are labelled (spec.aimd.trajectories), from which the first "
        "model learns: there are no more, since none is labelled twice. In a new job enlarge perturb.count (a quarter, "
        "but at least one, may be kept for the hold-out: with 1, take 3 or more), or ask for fewer trajectories",
    )


def once_more(tasks: Sequence[Task], count: int) -> list[Task]:
    """Return single points that are computed again by tighter settings: an even sample, or the newest to the labels.

    Settings that are good for most of the MD are worst where it has left what is known.
    """
    single = [task for task in tasks if task.aimd is None]
    known = [task for task in single if task.novelty is not None]
    newest = sorted(known, key=lambda task: task.novelty or 0.0, reverse=True)[:count]
    return [replace(task, purpose=NOISE) for task in newest or middles(single, min(count, len(single)))]


def _training_set(context: StageContext, explored: Explored) -> TrainingSet:
    """Return all frames labelled for training so far, by features of the model that explored.

    There are none to compare with if a worker of another version has reduced either's descriptors otherwise.
    """
    nothing = np.zeros((0, explored.features.shape[1]), dtype=np.float32)
    train = context.one(Input.TRAIN) if context.has(Input.TRAIN) else None
    if train is None or explored.feature_forms - {train.told(TrainSummary)["feature_form"]}:
        return TrainingSet.of(nothing, [])
    known = np.load(context.fetch(train, stage_files.DATASET_FEATURES))
    return TrainingSet.of(
        known if len(known) else nothing, frames_one_by_one(context.fetch(train, stage_files.DATASET))
    )


def _choose(
    context: StageContext, params: SelectParams, explored: Explored, training: TrainingSet, count: int
) -> tuple[Choice, list[Atoms]]:
    """Return which candidates are chosen, and those frames in the same order."""
    low = math.floor(params.low_energy_fraction * params.frames)
    even = math.ceil(params.representative_fraction * params.frames)
    seed = seed_of(context.spec.seed, "select", params.purpose, context.spec.iteration)
    choice = choose_frames(explored.candidates, count, even, low, params.novelty, explored.features, training, seed)
    return choice, explored.frames(choice.samplings)


def _force_error_bound(context: StageContext, novelty: NDArray[np.float64] | None) -> dict[str, float] | None:
    """Return what the force RMSE of MD frames is expected to stay below, in eV/Å: over all candidates.

    Their novelty times the scale below which 90 % of the last iteration's frames were; None before there are such.
    """
    scale = context.one(Input.TRAIN).told(TrainSummary)["error_of_novelty"] if context.has(Input.TRAIN) else None
    if scale is None or novelty is None:
        return None
    return {f"p{percent}": float(scale * np.percentile(novelty, percent)) for percent in (10, 50, 90, 100)}
