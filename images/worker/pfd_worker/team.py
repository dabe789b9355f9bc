"""The pods that work on one result together: the first one leads, the others only train with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from pfd_operator.contract.stage import FIRST_NODE_VARIABLE, INDEX_VARIABLE, StageSpec, TrainParams


@dataclass(frozen=True)
class Team:
    """Which of them this pod is."""

    nodes: int = 1
    rank: int = 0
    first_node: str = "localhost"
    """Host name."""

    @property
    def leads(self) -> bool:
        """Whether this pod measures, keeps checkpoints, reports and commits."""
        return self.rank == 0


ALONE = Team()


def team_of(spec: StageSpec, environment: Mapping[str, str] = os.environ) -> Team:
    """Return the team that a stage's Job has given this pod."""
    if not isinstance(spec.params, TrainParams) or spec.params.training.nodes == 1:
        return ALONE
    rank = int(environment[INDEX_VARIABLE])
    return Team(spec.params.training.nodes, rank, environment[FIRST_NODE_VARIABLE])
