"""`make bench-lammps`: an exported student in LAMMPS and in ASE."""
