"""Representative frames: an even sample of what MD visited, not chosen for being hard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_worker.selection.quotas import fair_quotas, middles


@dataclass(frozen=True)
class Candidate:
    """Where a candidate frame comes from."""

    stratum: str
    trajectory: str
    step: int
    brink: bool = False
    """The last sound frame of a trajectory that exploded."""
    composition: str = ""
    """System and formula: energies of equal ones can be compared."""
    energy_per_atom: float | None = None
    """By the model that explored, in eV; None if it is not known."""
    heating: bool = False
    """Before MD had its conditions; only trajectories that exploded have such."""

    @property
    def typical(self) -> bool:
        """Whether it is a frame of MD as it was asked for: others show where a model fails, and measure nothing."""
        return not (self.brink or self.heating)

    @classmethod
    def of(cls, atoms: Atoms) -> Candidate:
        """Return what explore's MD says of a frame."""
        about = {key: atoms.info[key] for key in ("stratum", "trajectory", "step", "brink", "heating")}
        composition = f"{atoms.info['system']} {atoms.get_chemical_formula()}"
        return cls(**about, composition=composition, energy_per_atom=atoms.info["potential_energy"] / len(atoms))


def select_representative(candidates: Sequence[Candidate], count: int, seed: int) -> list[int]:
    """Choose frames evenly over strata, then over trajectories, then over time.

    An error measured on them says how good the model is where MD goes; on frames chosen by distance it would say how
    good it is on outliers.

    Parameters
    ----------
    candidates
        In any order.
    count
        How many to choose; all that are typical if there are not as many.
    seed
        Decides who gets odd shares.

    Returns
    -------
    list of int
        Sorted rows of `candidates`.
    """
    rows: dict[str, dict[str, list[int]]] = {}
    for number, candidate in enumerate(candidates):
        if not candidate.typical:
            continue  # a model that fails sooner must not look worse where it has not failed
        rows.setdefault(candidate.stratum, {}).setdefault(candidate.trajectory, []).append(number)
    sizes = {stratum: sum(map(len, trajectories.values())) for stratum, trajectories in rows.items()}
    chosen: list[int] = []
    for stratum, quota in fair_quotas(sizes, count, seed).items():
        lengths = {name: len(members) for name, members in rows[stratum].items()}
        for name, share in fair_quotas(lengths, quota, seed_of(seed, stratum)).items():
            ordered = sorted(rows[stratum][name], key=lambda row: candidates[row].step)
            # the middles of equal parts of the trajectory: never its start, which resembles the given structure
            chosen += middles(ordered, share)
    return sorted(chosen)
