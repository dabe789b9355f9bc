"""Select: the frames worth a label, out of features only; then those frames are fetched."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.outcome import ExplorationCounts, ExploreOutcome, SelectOutcome
from pfd_operator.contract.result import Caution, CautionReason, Reason
from pfd_operator.contract.selection import NOISE, Aimd, Apart, Purpose
from pfd_operator.contract.stage import Input, SelectParams
from pfd_worker import stage_files
from pfd_worker.errors import StageError, user_error
from pfd_worker.frames import Sampling, frames_one_by_one, read_frames, reference_cell, write_frames
from pfd_worker.label_files import write_frame_places, write_tasks
from pfd_worker.labelers.task import AimdSettings, Task
from pfd_worker.selection.choice import Choice, Features, choose_frames
from pfd_worker.selection.compositions import composition_of, independent
from pfd_worker.selection.contacts import close_contacts
from pfd_worker.selection.feature_map import feature_map
from pfd_worker.selection.novelty import TrainingSet
from pfd_worker.selection.quotas import fair_quotas, middles
from pfd_worker.selection.representative import Candidate
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.start_pools import by_system, training_starts
from pfd_worker.store.manifests import Manifest
from pfd_worker.summaries import ExploreSummary, SelectSummary, TrainSummary

_Row = tuple[int, int, Candidate]
"""Shard, row in it, and what explore says of the candidate there."""
_MOST_NAMED = 3


def run(context: StageContext) -> StageOutput:
    """Choose MD frames by purpose, and perturbed starts for AIMD where asked for; write one task list."""
    params = context.params(SelectParams)
    shards = context.input(Input.EXPLORE)
    rows: list[_Row] = [
        (shard, number, Candidate(**row))
        for shard, path in enumerate(context.fetch_all(shards, stage_files.CANDIDATE_ROWS))
        for number, row in enumerate(json.loads(path.read_text()))
    ]
    pushed = math.floor(params.close_contact_fraction * params.frames)
    features = _features(context, shards)
    training = _training_set(context, features.shape[1])
    typical = [number for number, (_, _, row) in enumerate(rows) if row.typical]
    unsampled = _strata(shards) - {rows[number][2].stratum for number in typical}
    if params.purpose == "hold-out":
        rows, features = [rows[number] for number in typical], features[typical]
    if params.frames and not rows:
        raise _no_candidates(shards)
    choice, frames = _choose(context, params, features, training, rows, params.frames - pushed)
    contacts_seed = seed_of(context.spec.seed, "contacts", context.spec.iteration)
    contacts = close_contacts(frames, pushed, params.min_distance_factor, contacts_seed)
    if len(contacts) < pushed:
        # others take the places of those that could not be made, and those that could stay
        choice, frames = _choose(context, params, features, training, rows, params.frames - len(contacts))
    samplings = [*choice.samplings.values(), *[Sampling.CLOSE_CONTACT] * len(contacts)]
    frames += contacts
    novelties = [None if choice.novelty is None else float(choice.novelty[row]) for row in choice.samplings]
    novelties += [None] * len(contacts)
    tasks = [
        _task(atoms, number, params.purpose, sampling, novelty=novelty)
        for number, (atoms, sampling, novelty) in enumerate(zip(frames, samplings, novelties, strict=True))
    ]
    if params.aimd is not None:
        starts = read_frames(context.fetch(context.one(Input.PREPARE), stage_files.STARTS))
        for atoms, settings in _aimd(starts, params.aimd, params.apart, context.spec.seed):
            tasks.append(_task(atoms, len(frames), "training", Sampling.AIMD, aimd=settings))
            frames.append(atoms)
    tasks += once_more(tasks, params.noise_frames or 0)
    names = (stage_files.FRAMES, stage_files.FRAME_PLACES, stage_files.TASKS, stage_files.FEATURE_MAP)
    files = {name: context.workdir / name for name in names}
    write_frames(files[stage_files.FRAMES], frames)
    write_frame_places(files[stage_files.FRAMES], files[stage_files.FRAME_PLACES])
    write_tasks(files[stage_files.TASKS], tasks)
    drawn = feature_map(features, training.features, choice.samplings, seed_of(context.spec.seed, "map"))
    files[stage_files.FEATURE_MAP].write_text(json.dumps(None if drawn is None else drawn.to_json()))
    exploration = _exploration(context, shards, len(rows), choice.novel)
    return StageOutput(
        files=files,
        summary=SelectSummary(
            force_error_bound=_force_error_bound(context, choice.novelty),
            exploration=exploration.to_json(),
            explore_pods=len(shards),
            explore_seconds=sum(manifest.result.seconds for manifest in shards),
        ),
        outcome=SelectOutcome(tasks=len(tasks), labels=sum(task.labels for task in tasks), exploration=exploration),
        cautions=[_few_candidates(params, len(rows), unsampled)],
    )


def _strata(shards: Sequence[Manifest]) -> set[str]:
    """Return the strata that MD was begun in."""
    return {record["stratum"] for shard in shards for record in shard.told(ExploreSummary)["trajectories"]}


def _few_candidates(params: SelectParams, candidates: int, unsampled: Collection[str]) -> Caution | None:
    messages = []
    of_holdout = params.purpose == "hold-out"
    if unsampled:
        named = ", ".join(sorted(unsampled)[:_MOST_NAMED]) + (", …" if len(unsampled) > _MOST_NAMED else "")
        ended = "exploded before it gave a frame at its conditions"
        so = "no error is measured there" if of_holdout else "the even sample of this iteration has no frame of it"
        messages.append(f"all MD of {named} {ended}: {so}")
    if candidates < params.frames:
        asked = "holdout.frames" if of_holdout else "selection.framesPerIteration"
        messages.append(
            f"the MD gave {candidates} candidate frames where {params.frames} were to be chosen (spec.{asked}): all "
            "are labelled, and nothing was selected. More steps or replicas, a smaller sampleEvery, or fewer frames "
            "would do"
        )
    reason = CautionReason.HOLD_OUT_SPARSE if of_holdout else CautionReason.FEW_CANDIDATES
    return Caution(reason=reason, message="; ".join(messages)) if messages else None


def once_more(tasks: Sequence[Task], count: int) -> list[Task]:
    """Return single points that are computed again by tighter settings, spread evenly over those that there are."""
    single = [task for task in tasks if task.aimd is None]
    return [replace(task, purpose=NOISE) for task in middles(single, min(count, len(single)))]


def _exploration(
    context: StageContext, shards: Sequence[Manifest], candidates: int, novel: int | None
) -> ExplorationCounts:
    """Return what became of the MD, as far as it is known: sizes that limits of convergence are compared with."""
    told = [found for shard in shards if (found := shard.result.found(ExploreOutcome)) is not None]
    if context.missing(Input.EXPLORE) or len(told) < len(shards):
        # what a pod that failed finally had run is not known
        return ExplorationCounts(candidates=candidates, novel=novel)
    return ExplorationCounts(
        candidates=candidates,
        novel=novel,
        trajectories=sum(found.trajectories for found in told),
        exploded=sum(found.exploded for found in told),
    )


def _task(
    atoms: Atoms,
    number: int,
    purpose: Purpose,
    sampling: Sampling,
    novelty: float | None = None,
    aimd: AimdSettings | None = None,
) -> Task:
    stratum, trajectory, system = (str(atoms.info[key]) for key in ("stratum", "trajectory", "system"))
    kelvin, step = atoms.info.get("measured_kelvin"), int(atoms.info["step"]) if "step" in atoms.info else None
    return Task(number, purpose, sampling, stratum, trajectory, system, novelty, kelvin, step, aimd)


def _features(context: StageContext, shards: Sequence[Manifest]) -> Features:
    """Return the features of all candidates."""
    parts = [np.load(path) for path in context.fetch_all(shards, stage_files.FEATURES)]
    given = [part for part in parts if len(part)]
    return np.concatenate(given) if given else np.zeros((0, 0), dtype=np.float32)


def _training_set(context: StageContext, width: int) -> TrainingSet:
    """Return all frames labelled for training so far, by features of the model that explored.

    Parameters
    ----------
    width
        Number of features, for a set without frames.
    """
    nothing = np.zeros((0, width), dtype=np.float32)
    if not context.has(Input.TRAIN):
        return TrainingSet.of(nothing, [])
    train = context.one(Input.TRAIN)
    known = np.load(context.fetch(train, stage_files.DATASET_FEATURES))
    return TrainingSet.of(
        known if len(known) else nothing, frames_one_by_one(context.fetch(train, stage_files.DATASET))
    )


def _choose(
    context: StageContext,
    params: SelectParams,
    features: Features,
    training: TrainingSet,
    rows: Sequence[_Row],
    count: int,
) -> tuple[Choice, list[Atoms]]:
    """Return which candidates are chosen, and those frames in the same order."""
    candidates = [row for _, _, row in rows]
    low = math.floor(params.low_energy_fraction * params.frames)
    even = math.ceil(params.representative_fraction * params.frames)
    seed = seed_of(context.spec.seed, "select", params.purpose, context.spec.iteration)
    choice = choose_frames(candidates, count, even, low, params.novelty, features, training, seed)
    places = [rows[number][:2] for number in choice.samplings]
    return choice, _fetch_frames(context, context.input(Input.EXPLORE), places)


def _force_error_bound(context: StageContext, novelty: NDArray[np.float64] | None) -> dict[str, float] | None:
    """Return what the force RMSE of MD frames is expected to stay below, in eV/Å: over all candidates.

    Their novelty times the scale below which 90 % of the last iteration's frames were; None before there are such.
    """
    scale = context.one(Input.TRAIN).told(TrainSummary)["error_of_novelty"] if context.has(Input.TRAIN) else None
    if scale is None or novelty is None:
        return None
    return {f"p{percent}": float(scale * np.percentile(novelty, percent)) for percent in (10, 50, 90, 100)}


def _fetch_frames(context: StageContext, shards: Sequence[Manifest], places: Sequence[tuple[int, int]]) -> list[Atoms]:
    """Return the frames at (shard, row); shards that none was chosen from are not fetched."""
    chosen = sorted({shard for shard, _ in places})
    files = context.fetch_all([shards[shard] for shard in chosen], stage_files.CANDIDATES)
    loaded = {shard: read_frames(path) for shard, path in zip(chosen, files, strict=True)}
    return [loaded[shard][row] for shard, row in places]


def _aimd(starts: Sequence[Atoms], aimd: Aimd, apart: Apart, seed: int) -> list[tuple[Atoms, AimdSettings]]:
    """Deal AIMD trajectories over the systems; each starts from another perturbed structure while there are such.

    Compositions that others are no mixtures of come first: no other label tells where the reference has their zero of
    energy. Of one step there are no more than structures: it is its start, and the same one again would be the same
    label.
    """
    starts_of = {system: training_starts(found, apart) for system, found in by_system(starts).items()}
    pools, needed = _in_turn(starts_of, seed)
    most = {system: len(pool) if aimd.steps == 1 else aimd.trajectories for system, pool in pools.items()}
    result = []
    for system, count in fair_quotas(most, aimd.trajectories, seed_of(seed, "aimd"), needed).items():
        pool = pools[system]
        for number in range(count):
            atoms = pool[number % len(pool)]
            stratum = f"{system}/{aimd.temperature_kelvin:g}K/aimd"
            drawn = seed_of(seed, "aimd", system, number)
            settings = AimdSettings(aimd.steps, aimd.temperature_kelvin, aimd.timestep_fs, drawn)
            result.append((_with_origin(atoms, system, stratum, f"aimd-{system}-{number:03d}"), settings))
    return result


def _in_turn(pools: Mapping[str, Sequence[Atoms]], seed: int) -> tuple[dict[str, list[Atoms]], dict[str, int]]:
    """Return the starts of each system in a seeded order, and how many of them have a composition that is needed.

    Those come first, each composition once.
    """
    needed = independent(composition_of(atoms) for pool in pools.values() for atoms in pool)
    turns, counts = {}, {}
    for system, pool in pools.items():
        drawn = [pool[int(row)] for row in np.random.default_rng(seed_of(seed, "aimd", system)).permutation(len(pool))]
        first = {composition_of(atoms): row for row, atoms in reversed(list(enumerate(drawn)))}
        ahead = sorted(row for composition, row in first.items() if composition in needed)
        needed -= set(first)
        turns[system] = [*(drawn[row] for row in ahead), *(a for row, a in enumerate(drawn) if row not in ahead)]
        counts[system] = len(ahead)
    return turns, counts


def _with_origin(atoms: Atoms, system: str, stratum: str, trajectory: str) -> Atoms:
    copy = atoms.copy()
    copy.info = {
        "system": system,
        "stratum": stratum,
        "trajectory": trajectory,
        "start": int(atoms.info["start"]),
        "reference_cell": reference_cell(atoms),
    }
    return copy


def _no_candidates(shards: Sequence[Manifest]) -> StageError:
    records = [record for manifest in shards for record in manifest.told(ExploreSummary)["trajectories"]]
    ends = "; ".join(
        f"{record['name']} at step {record['exploded_at_step']}: {record['reason']}"
        for record in records[:3]
        if record["exploded_at_step"] is not None
    )
    return user_error(
        Reason.NO_CANDIDATES,
        f"MD gave no candidate frame in {len(records)} trajectories ({ends or 'shorter than sampleEvery'}). "
        "Lower the temperatures, timestepFs or selection.minDistanceFactor, check the model's branch, or make "
        "sampleEvery smaller than steps.",
    )
