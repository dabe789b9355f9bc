"""What explore left for select: candidates of all its pods, their features and frames, and what became of the MD."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

from pfd_operator.contract.outcome import ExplorationCounts, ExploreOutcome
from pfd_operator.contract.result import Reason
from pfd_operator.contract.stage import Input
from pfd_operator.contract.text import first_of
from pfd_worker import stage_files
from pfd_worker.errors import StageError, user_error
from pfd_worker.frames import read_rows
from pfd_worker.selection.choice import Features
from pfd_worker.selection.representative import Candidate
from pfd_worker.stage_context import StageContext
from pfd_worker.store.checkpoints import clear_checkpoints
from pfd_worker.store.manifests import Manifest
from pfd_worker.summaries import ExploreSummary, TrajectorySummary


@dataclass(frozen=True)
class Explored:
    """The MD of an iteration, and the candidates that it gave."""

    context: StageContext
    shards: Sequence[Manifest]
    """One for each explore pod."""
    candidates: Sequence[Candidate]
    places: Sequence[tuple[int, int]]
    """Shard of each candidate, and row in it."""
    features: Features
    """(n, d) of the candidates."""
    left_out: Sequence[Candidate] = ()
    """Those that nothing can be told of: the model's descriptors are not numbers."""

    @classmethod
    def of(cls, context: StageContext) -> Explored:
        """Return all that explore gave; nothing if no MD was asked for."""
        shards = context.input(Input.EXPLORE) if context.has(Input.EXPLORE) else []
        rows = [json.loads(path.read_text()) for path in context.fetch_all(shards, stage_files.CANDIDATE_ROWS)]
        parts = [np.load(path) for path in context.fetch_all(shards, stage_files.FEATURES)]
        given = [part for part in parts if len(part)]
        found = cls(
            context,
            shards,
            candidates=[Candidate(**row) for mine in rows for row in mine],
            places=[(shard, number) for shard, mine in enumerate(rows) for number in range(len(mine))],
            features=np.concatenate(given) if given else np.zeros((0, 0), dtype=np.float32),
        )
        sound = np.isfinite(found.features).all(axis=1)
        if sound.all():
            return found
        left_out = [found.candidates[number] for number in np.flatnonzero(~sound).tolist()]
        return replace(found._only(np.flatnonzero(sound).tolist()), left_out=left_out)

    def clear_checkpoints(self) -> None:
        """Remove what its pods kept to go on from."""
        for digest in {shard.told(ExploreSummary)["checkpoints"] for shard in self.shards}:
            if digest is not None:
                clear_checkpoints(self.context.store, digest)

    def typical(self) -> Explored:
        """Return the same without candidates of MD that was about to explode, or had not its conditions."""
        return self._only([number for number, candidate in enumerate(self.candidates) if candidate.typical])

    def _only(self, kept: Sequence[int]) -> Explored:
        return replace(
            self,
            candidates=[self.candidates[number] for number in kept],
            places=[self.places[number] for number in kept],
            features=self.features[kept],
        )

    @property
    def why_left_out(self) -> str | None:
        """What is left out, and why; None if nothing is."""
        if not self.left_out:
            return None
        # the name of a trajectory has its system in it
        named = first_of([f"{each.trajectory} at step {each.step}" for each in self.left_out], 2)
        return (
            f"{len(self.left_out)} candidates are left out, of which the model's descriptors are not numbers "
            f"({named}): the training may have diverged, or MD has left what the model knows"
        )

    @property
    def unsampled(self) -> Collection[str]:
        """Strata that MD was begun in, and that have no typical candidate, not even one that is left out."""
        begun = {record["stratum"] for record in self._trajectories}
        return begun - {each.stratum for each in (*self.candidates, *self.left_out) if each.typical}

    @property
    def asked_of_strata(self) -> dict[str, int]:
        """Candidates of each stratum, had no trajectory exploded; of a pod that failed finally nothing is known."""
        asked = Counter[str]()
        for record in self._trajectories:
            asked[record["stratum"]] += record["asked"]
        return dict(asked)

    @property
    def feature_forms(self) -> set[int]:
        """Forms that the features are of: one, but for pods of several versions."""
        return {shard.told(ExploreSummary)["feature_form"] for shard in self.shards}

    @property
    def seconds(self) -> float:
        """What the pods took together."""
        return sum(manifest.result.seconds for manifest in self.shards)

    def frames(self, numbers: Iterable[int]) -> list[Atoms]:
        """Return the frames of these candidates; of the others none is held, and shards of others are not fetched."""
        places = [self.places[number] for number in numbers]
        rows: defaultdict[int, list[int]] = defaultdict(list)
        for shard, row in places:
            rows[shard].append(row)
        files = self.context.fetch_all([self.shards[shard] for shard in rows], stage_files.CANDIDATES)
        found: dict[tuple[int, int], Atoms] = {}
        for (shard, mine), path in zip(rows.items(), files, strict=True):
            found.update(zip([(shard, row) for row in mine], read_rows(path, mine), strict=True))
        return [found[place] for place in places]

    def counts(self, novel: int | None) -> ExplorationCounts:
        """Return what became of the MD, as far as it is known: sizes that limits of convergence are compared with."""
        if not self.shards:
            return ExplorationCounts()
        told = [found for shard in self.shards if (found := shard.result.found(ExploreOutcome)) is not None]
        if self.context.missing(Input.EXPLORE) or len(told) < len(self.shards):
            # what a pod that failed finally had run is not known
            return ExplorationCounts(candidates=len(self.candidates), novel=novel)
        return ExplorationCounts(
            candidates=len(self.candidates),
            novel=novel,
            trajectories=sum(found.trajectories for found in told),
            exploded=sum(found.exploded for found in told),
        )

    def no_candidates(self) -> StageError:
        """Return the error that there is none, with the ends of the first trajectories."""
        records = self._trajectories
        ends = "; ".join(
            f"{record['name']} at step {record['exploded_at_step']}: {record['reason']}"
            for record in records[:3]
            if record["exploded_at_step"] is not None
        )
        return user_error(
            Reason.NO_CANDIDATES,
            f"MD gave no candidate frame in {len(records)} trajectories ({ends or 'shorter than sampleEvery'}). "
            "Lower the temperatures, timestepFs or selection.minDistanceFactor, check the model's branch, or make "
            "sampleEvery smaller than steps." + (f" Besides, {self.why_left_out}." if self.left_out else ""),
        )

    @property
    def _trajectories(self) -> list[TrajectorySummary]:
        return [record for shard in self.shards for record in shard.told(ExploreSummary)["trajectories"]]
