"""The protocol that every engine fulfils."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from glideflow.errors import NonFiniteError

if TYPE_CHECKING:
    from ase import Atoms

    from glideflow.potentials.record import Potential

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """Energy, forces and stress of one configuration.

    Attributes:
        energy_ev: potential energy in eV on the potential's own zero.
        forces_ev_per_angstrom: (N, 3) forces in eV/Å, atoms in the order in which the session was opened.
        stress_ev_per_angstrom3: (3, 3) symmetric Cauchy stress in eV/Å³, positive in tension; of no meaning in
            a direction that is not periodic.
    """

    energy_ev: float
    forces_ev_per_angstrom: FloatArray
    stress_ev_per_angstrom3: FloatArray


class Session(Protocol):
    """One set of atoms under one potential, evaluated again and again."""

    @property
    def evaluations(self) -> int:
        """Number of evaluations made."""

    @property
    def cutoff_angstrom(self) -> float:
        """Range of the interaction in Å: atoms farther apart exert no direct force on each other."""

    def evaluate(self, positions_angstrom: FloatArray, cell_angstrom: FloatArray | None = None) -> Evaluation:
        """Evaluate a configuration.

        Args:
            positions_angstrom: (N, 3) Cartesian positions in Å; atoms may lie outside the periodic cell.
            cell_angstrom: (3, 3) cell vectors as rows in Å, or None to keep the last one. Given the cell, even
                an unchanged one, an engine starts afresh, and the values are the same bit by bit whatever was
                evaluated before; without it, an engine may reuse neighbour lists, whose order rounds differently.

        Raises:
            EngineError: the engine cannot evaluate the configuration.
            NonFiniteError: energy, forces or stress are not finite.
        """

    def close(self) -> None:
        """Release what the session holds."""

    def __enter__(self) -> Self:
        """Return the session."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session."""


class Engine(Protocol):
    """A source of energies and forces."""

    @property
    def name(self) -> str:
        """Name for provenance, e.g. ``lammps``."""

    @property
    def version(self) -> str:
        """Version for provenance."""

    def open(self, potential: Potential, atoms: Atoms) -> Session:
        """Start a session on ``atoms`` (positions in Å, cell, periodicity; the species is the potential's element).

        Raises:
            PotentialError: the potential cannot be used by this engine.
            EngineError: the engine refuses the configuration.
        """


def evaluate_batch(session: Session, configurations: Iterable[FloatArray]) -> Iterator[Evaluation]:
    """Evaluate many configurations of the same atoms and cell in one session, in order."""
    for positions_angstrom in configurations:
        yield session.evaluate(positions_angstrom)


def checked(evaluation: Evaluation, what: str) -> Evaluation:
    """Return the evaluation if it is finite.

    Raises:
        NonFiniteError: energy, forces or stress hold NaN or infinity.
    """
    finite = np.isfinite(evaluation.energy_ev) and all(
        np.isfinite(array).all() for array in (evaluation.forces_ev_per_angstrom, evaluation.stress_ev_per_angstrom3)
    )
    if not finite:
        raise NonFiniteError(
            f"{what} gave a value that is not finite (energy {evaluation.energy_ev})",
            expected="finite energy, forces and stress",
            next_step="check the potential file for NaN or entries outside its tabulated range",
        )
    return evaluation
