"""Interatomic potentials: records, sources (bundled with LAMMPS, folder, openkim-models, NIST), checks."""
