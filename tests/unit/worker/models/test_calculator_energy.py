"""A calculator that teaches tells the energy that its forces are derivatives of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from pfd_worker.models.calculator import CalculatorModel


class _Smeared(Calculator):  # type: ignore[misc]
    implemented_properties = ["energy", "free_energy", "forces"]

    def calculate(
        self, atoms: Atoms = None, properties: Sequence[str] = (), system_changes: Sequence[str] = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": -1.0, "free_energy": -2.0, "forces": np.zeros((len(self.atoms), 3))}


class _Unsmeared(_Smeared):
    implemented_properties = ["energy", "forces"]

    def calculate(
        self, atoms: Atoms = None, properties: Sequence[str] = (), system_changes: Sequence[str] = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        del self.results["free_energy"]


def test_with_smearing_it_is_the_free_energy() -> None:
    assert CalculatorModel(_Smeared).predict([Atoms("H")])[0].energy == -2.0


def test_a_slab_has_no_virial_to_teach() -> None:
    bulk, slab = (Atoms("Cu", cell=[3, 3, 3], pbc=[True, True, periodic]) for periodic in (True, False))
    in_bulk, in_slab = CalculatorModel(EMT).predict([bulk, slab])
    assert in_bulk.virial.any()
    assert not in_slab.virial.any()


def test_without_it_is_the_only_one() -> None:
    assert CalculatorModel(_Unsmeared).predict([Atoms("H")])[0].energy == -1.0
