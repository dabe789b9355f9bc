"""AIMD trajectories are dealt so that the zeros of energy can be told, and evenly beyond that."""

from collections import Counter

import pytest
from ase import Atoms

from pfd_operator.contract.selection import Aimd, Apart
from pfd_worker.aimd_starts import aimd_starts
from pfd_worker.evaluation.shift import determined


def given_starts(**formulas):
    """Return starts of systems, four variations of each formula; the last variation is the hold-out's."""
    return [
        Atoms(formula, info={"system": system, "start": 4 * frame + n, "frame": frame, "variation": n})
        for system, mine in formulas.items()
        for frame, formula in enumerate(mine)
        for n in range(4)
    ]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    ("formulas", "trajectories"),
    [
        # six systems and three zeros of energy
        ({"a": ["CoO"], "b": ["Co2O2"], "c": ["LiCoO2"], "d": ["Li2Co2O4"], "e": ["Co3O4"], "f": ["CoO"]}, 3),
        # an alloy takes more than its share
        ({"alloy": ["AuCu", "AuCu3", "AuNi", "Au2Cu2", "AuCu2"], "gold": ["Au"], "more": ["Au4"]}, 4),
    ],
)
def test_each_independent_composition_has_an_aimd_trajectory_where_there_are_enough(formulas, trajectories, seed):
    starts = given_starts(**formulas)
    dealt = aimd_starts(starts, Aimd(trajectories=trajectories, steps=5), Apart.TRAJECTORIES, seed)
    assert len(dealt) == len({atoms.info["trajectory"] for atoms, _ in dealt}) == trajectories
    assert determined(*[[a.get_chemical_symbols() for a in part] for part in ([a for a, _ in dealt], starts)]).all()


def test_aimd_is_dealt_evenly_where_all_have_the_same_zeros():
    dealt = aimd_starts(
        given_starts(a=["Au"], b=["Au2"], c=["Au4"]), Aimd(trajectories=6, steps=5), Apart.TRAJECTORIES, 3
    )
    assert Counter(atoms.info["system"] for atoms, _ in dealt) == {"a": 2, "b": 2, "c": 2}
    assert len({(atoms.info["system"], atoms.info["start"]) for atoms, _ in dealt}) == 6
