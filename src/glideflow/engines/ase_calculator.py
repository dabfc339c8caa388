"""Any ASE calculator as an engine, named by its import path."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from glideflow.crystals.lattices import reference_crystal
from glideflow.engines.protocol import Evaluation, FloatArray, checked
from glideflow.engines.range_probe import measured_range
from glideflow.errors import EngineError, PotentialError
from glideflow.potentials.calculator import factory_arguments

if TYPE_CHECKING:
    from ase import Atoms

    from glideflow.potentials.record import Potential

_CUTOFF_NAMES: Final = ("cutoff", "rcut", "rcut2", "rc")
_VACUUM_ANGSTROM: Final = 40.0


class AseEngine:
    """Adapter of ASE calculators: ``potential.calculator`` names a factory as ``module:factory``.

    The factory is called in this process, with the arguments of the potential.
    """

    name = "ase"

    @property
    def version(self) -> str:
        """Version of ASE."""
        from importlib.metadata import version

        return version("ase")

    def open(self, potential: Potential, atoms: Atoms) -> AseSession:
        """Start a session; see `glideflow.engines.protocol.Engine.open`."""
        calculator = calculator_from_path(potential.calculator, factory_arguments(potential))
        return AseSession(calculator, potential, atoms)


class AseSession:
    """One ASE calculator on one set of atoms; see `glideflow.engines.protocol.Session`."""

    def __init__(self, calculator: Any, potential: Potential, atoms: Atoms) -> None:  # noqa: ANN401 - ASE is untyped
        self._label = f"potential {potential.id} in {type(calculator).__name__}"
        self._atoms: Any = atoms.copy()  # type: ignore[no-untyped-call]
        self._atoms.set_chemical_symbols([potential.element] * len(atoms))
        self._atoms.calc = calculator
        self._element = potential.element
        self._given_cutoff_angstrom = potential.cutoff_angstrom
        self._evaluations = 0

    @property
    def evaluations(self) -> int:
        """Number of evaluations made."""
        return self._evaluations

    @functools.cached_property
    def cutoff_angstrom(self) -> float:
        """Range of the calculator: the one given with the potential, else the larger of a stated and a measured one.

        A calculator states it as an attribute or a parameter under one of the usual names (``cutoff``, ``rcut``,
        ``rcut2``, ``rc``). It is measured nevertheless, because what is stated may be where a smooth cutoff begins, or
        the cutoff of one layer of a message-passing network; see `glideflow.engines.range_probe.measured_range`.

        Raises:
            EngineError: it is neither given nor stated, and cannot be measured.
        """
        if self._given_cutoff_angstrom:
            return self._given_cutoff_angstrom
        stated = self._stated_cutoff_angstrom()
        try:
            return max(stated, self._measured_cutoff_angstrom())
        except EngineError:
            if stated:
                return stated
            raise

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
        self._refuse_other_shape(evaluation.forces_ev_per_angstrom)
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

    def _refuse_other_shape(self, forces: FloatArray) -> None:
        expected = (len(self._atoms), 3)
        if forces.shape != expected:
            raise EngineError(
                f"{self._label} gave forces of shape {forces.shape}",
                expected=f"a force on each atom: an array of shape {expected}",
                next_step="evaluate one structure with this calculator in ASE alone",
            )

    def _stated_cutoff_angstrom(self) -> float:
        """What the calculator says, or 0."""
        calculator = self._atoms.calc
        stated = getattr(calculator, "parameters", None) or {}
        values = [getattr(calculator, name, stated.get(name)) for name in _CUTOFF_NAMES]
        return next((float(v) for v in values if isinstance(v, int | float) and v > 0), 0.0)

    def _measured_cutoff_angstrom(self) -> float:
        spacing = reference_crystal(self._element, "fcc").nearest_neighbour_angstrom
        try:
            return measured_range(self._forces_in_vacuum, spacing)
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(
                f"{self._label}: its range could not be measured: {error}",
                expected="a calculator that evaluates a few atoms in empty space, or states its range",
                next_step="state the range: --cutoff on the command line, `cutoff` in the manifest",
            ) from error

    def _forces_in_vacuum(self, positions_angstrom: FloatArray) -> FloatArray:
        """(N, 3) forces on atoms of the element far from any image, for calculators that know periodic cells only."""
        from ase import Atoms

        cell = np.ptp(positions_angstrom, axis=0) + _VACUUM_ANGSTROM
        cluster: Any = Atoms([self._element] * len(positions_angstrom), positions_angstrom, cell=cell, pbc=True)
        cluster.calc = self._atoms.calc
        return np.array(cluster.get_forces(), dtype=float)

    def _read(self) -> Evaluation:
        periodic = bool(self._atoms.pbc.all())
        stress = self._atoms.get_stress(voigt=False) if periodic else np.zeros((3, 3))
        return Evaluation(
            energy_ev=float(self._atoms.get_potential_energy()),
            forces_ev_per_angstrom=np.array(self._atoms.get_forces(), dtype=float),
            stress_ev_per_angstrom3=np.asarray(stress, dtype=float),
        )


def calculator_from_path(path: str, arguments: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - ASE is untyped
    """Make the calculator that ``module:factory`` returns.

    Args:
        path: import path of the factory.
        arguments: its keyword arguments.

    Raises:
        PotentialError: the module or the factory does not exist, or the factory fails.
    """
    module_name, separator, factory_name = path.partition(":")
    try:
        if not separator:
            raise AttributeError("no ':' between module and factory")
        calculator = getattr(importlib.import_module(module_name), factory_name)(**(arguments or {}))
        if not hasattr(calculator, "get_property"):
            raise TypeError(f"it returned {calculator!r:.80}, which is no calculator")
    except Exception as error:
        raise PotentialError(
            f"cannot make an ASE calculator from {path!r}: {error}",
            expected="'module:factory' of a callable that returns an ASE calculator",
            next_step="install the module, correct the arguments, or write a small factory that sets the calculator up",
        ) from error
    return calculator
