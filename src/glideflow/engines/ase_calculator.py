"""Any ASE calculator as an engine, named by its import path."""

from __future__ import annotations

import importlib
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from glideflow.engines.protocol import Evaluation, FloatArray, checked
from glideflow.errors import EngineError, PotentialError

if TYPE_CHECKING:
    from ase import Atoms

    from glideflow.potentials.record import Potential

_DEFAULT_CUTOFF_ANGSTROM = 6.0
_CUTOFF_NAMES = ("cutoff", "rcut", "rcut2", "rc")


class AseEngine:
    """Adapter of ASE calculators: ``potential.calculator`` names a factory as ``module:factory``."""

    name = "ase"

    @property
    def version(self) -> str:
        """Version of ASE."""
        from importlib.metadata import version

        return version("ase")

    def open(self, potential: Potential, atoms: Atoms) -> AseSession:
        """Start a session; see `glideflow.engines.protocol.Engine.open`."""
        return AseSession(calculator_from_path(potential.calculator), potential, atoms)


class AseSession:
    """One ASE calculator on one set of atoms; see `glideflow.engines.protocol.Session`."""

    def __init__(self, calculator: Any, potential: Potential, atoms: Atoms) -> None:  # noqa: ANN401 - ASE is untyped
        self._label = f"potential {potential.id} in {type(calculator).__name__}"
        self._atoms: Any = atoms.copy()  # type: ignore[no-untyped-call]
        self._atoms.set_chemical_symbols([potential.element] * len(atoms))
        self._atoms.calc = calculator
        self._evaluations = 0

    @property
    def evaluations(self) -> int:
        """Number of evaluations made."""
        return self._evaluations

    @property
    def cutoff_angstrom(self) -> float:
        """Range that the calculator states, as an attribute or a parameter under one of the usual names.

        Where it states none, 6 Å are assumed: give such a calculator an attribute ``cutoff`` if its range is longer,
        as that of message-passing networks is, since rigid blocks take their thickness from here.
        """
        calculator = self._atoms.calc
        stated = getattr(calculator, "parameters", None) or {}
        values = [getattr(calculator, name, stated.get(name)) for name in _CUTOFF_NAMES]
        return next((float(v) for v in values if isinstance(v, int | float) and v > 0), _DEFAULT_CUTOFF_ANGSTROM)

    def evaluate(self, positions_angstrom: FloatArray, cell_angstrom: FloatArray | None = None) -> Evaluation:
        """Evaluate a configuration; see `glideflow.engines.protocol.Session.evaluate`.

        Whether values depend on earlier evaluations by their rounding is the calculator's affair: one that keeps
        neighbour lists over small moves gives the same values to 1e-13 eV, not bit by bit, whatever cell is given.
        """
        if cell_angstrom is not None:
            self._atoms.set_cell(cell_angstrom, scale_atoms=False)
        self._atoms.set_positions(positions_angstrom)
        self._evaluations += 1
        try:
            evaluation = self._read()
        except Exception as error:
            raise EngineError(
                f"{self._label} stopped: {error}",
                expected="an energy, forces and, for periodic cells, a stress",
                next_step="evaluate one structure with this calculator in ASE alone",
            ) from error
        return checked(evaluation, self._label)

    def close(self) -> None:
        """Forget the calculator."""
        self._atoms.calc = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> Evaluation:
        periodic = bool(self._atoms.pbc.all())
        stress = self._atoms.get_stress(voigt=False) if periodic else np.zeros((3, 3))
        return Evaluation(
            energy_ev=float(self._atoms.get_potential_energy()),
            forces_ev_per_angstrom=np.array(self._atoms.get_forces(), dtype=float),
            stress_ev_per_angstrom3=np.asarray(stress, dtype=float),
        )


def calculator_from_path(path: str) -> Any:  # noqa: ANN401 - ASE is untyped
    """Make the calculator that ``module:factory`` returns.

    Raises:
        PotentialError: the module or the factory does not exist, or the factory fails.
    """
    module_name, separator, factory_name = path.partition(":")
    try:
        if not separator:
            raise AttributeError("no ':' between module and factory")
        return getattr(importlib.import_module(module_name), factory_name)()
    except Exception as error:
        raise PotentialError(
            f"cannot make an ASE calculator from {path!r}: {error}",
            expected="'module:factory' of a callable without arguments that returns an ASE calculator",
            next_step="install the module, or write a small factory that sets the calculator up",
        ) from error
