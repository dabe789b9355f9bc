from ase.build import bulk

from pfd_worker.models.groups import groups_of_equal_atoms


def test_frames_are_grouped_by_species_sequence_and_periodicity():
    molecule = bulk("Si", cubic=True)
    molecule.pbc = False
    frames = [bulk("Si", cubic=True), bulk("Ge", cubic=True), bulk("Si", cubic=True), molecule]
    assert groups_of_equal_atoms(frames) == [[0, 2], [1], [3]]
