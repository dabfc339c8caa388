"""LAMMPS' own minimiser on a cell with two rigid blocks, as an input script would run it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glideflow.engines.lammps import LammpsEngine, LammpsSession, wrapped
from glideflow.engines.protocol import Engine, FloatArray
from glideflow.errors import EngineError, NonFiniteError, PropertyError
from glideflow.potentials.record import Potential

if TYPE_CHECKING:
    from ase import Atoms

_MOVED, _FIXED = "moved", "fixed"
_STATISTICS = re.compile(r"Iterations, force evaluations = *(\d+) +(\d+)")
_CRITERION = re.compile(r"Stopping criterion = (.+)")


@dataclass(frozen=True)
class LammpsMinimum:
    """Where LAMMPS' minimiser stopped.

    Attributes:
        positions_angstrom: (N, 3) positions, atoms in the order in which the session was opened.
        energy_ev: potential energy.
        reaction_ev_per_angstrom: (3,) force of the crystal on the moved block.
        largest_force_ev_per_angstrom: largest force component on an atom of no block.
        evaluations: force evaluations made.
        criterion: why it stopped, in LAMMPS' words, e.g. ``energy tolerance``.
    """

    positions_angstrom: FloatArray
    energy_ev: float
    reaction_ev_per_angstrom: FloatArray
    largest_force_ev_per_angstrom: float
    evaluations: int
    criterion: str


class LammpsMinimiser(LammpsSession):
    """A session that minimises by LAMMPS' conjugate gradients (``min_style cg``, its defaults).

    The atoms of both blocks feel no force and stay where the caller puts them.

    Args:
        engine: who evaluates the potential, LAMMPS.
        potential: the potential.
        atoms: the cell.
        moved: (N,) atoms of the block whose reaction is measured.
        fixed: (N,) atoms of the other block.

    Raises:
        PropertyError: another engine evaluates the potential.
        PotentialError: LAMMPS refuses the potential.
    """

    def __init__(
        self,
        engine: Engine,
        potential: Potential,
        atoms: Atoms,
        moved: NDArray[np.bool_],
        fixed: NDArray[np.bool_],
    ) -> None:
        if not isinstance(engine, LammpsEngine):
            raise PropertyError(
                f"potential {potential.id} is evaluated by {engine.name}",
                expected="a potential that LAMMPS evaluates: its own minimiser is part of the protocol",
                next_step="use peierls_stress, whose minimiser works with every engine",
            )
        super().__init__(potential, atoms, engine.settings)
        try:
            self._command_all(_block_commands({_MOVED: moved, _FIXED: fixed}))
        except BaseException:
            self.close()
            raise

    def minimise(
        self,
        positions_angstrom: FloatArray,
        *,
        energy_tolerance: float,
        force_tolerance_ev_per_angstrom: float,
        max_evaluations: int,
    ) -> LammpsMinimum:
        """Run ``minimize energy_tolerance force_tolerance max_evaluations max_evaluations``.

        Args:
            positions_angstrom: (N, 3) where to start, the blocks included.
            energy_tolerance: relative change of the energy in one iteration at which it stops.
            force_tolerance_ev_per_angstrom: two-norm of all forces at which it stops.
            max_evaluations: force evaluations after which it stops.

        Raises:
            EngineError: LAMMPS stops with an error.
            NonFiniteError: energy or forces are not finite.
        """
        self._refuse_wrong_shape(positions_angstrom)
        log = Path(self._scratch.name) / "minimise.log"
        limits = f"{energy_tolerance:g} {force_tolerance_ev_per_angstrom:g} {max_evaluations} {max_evaluations}"
        try:
            self._put(positions_angstrom)
            self._command_all([f"log {log}", f"minimize {limits}", "log none"])
        except Exception as error:
            self._held = None
            raise EngineError(
                f"{self._label} stopped while minimising: {error}",
                expected="an energy for every configuration on the way",
                next_step="look for overlapping or lost atoms: the core may have disintegrated",
            ) from error
        return self._minimum(positions_angstrom, log.read_text(encoding="utf-8", errors="replace"))

    def _put(self, positions_angstrom: FloatArray) -> None:
        """Positions for LAMMPS, wrapped into the cell; the minimiser builds its own neighbour lists."""
        self._held = None
        self._lammps.set_points(wrapped(self._to_box(positions_angstrom), self._triangle, self._periodic)[0])

    def _minimum(self, start: FloatArray, log: str) -> LammpsMinimum:
        rotation = self._triangle.rotation
        points, forces, energy = self._lammps.points(), self._lammps.forces(), self._lammps.energy_ev()
        if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(points).all()):
            raise NonFiniteError(
                f"{self._label} gave a value that is not finite while minimising (energy {energy})",
                expected="finite energies, forces and positions",
                next_step="check the potential file for entries outside its tabulated range",
            )
        return LammpsMinimum(
            positions_angstrom=self._unwrapped(points, self._to_box(start)) @ rotation.T,
            energy_ev=energy,
            reaction_ev_per_angstrom=rotation @ self._lammps.fix_vector(_MOVED),
            largest_force_ev_per_angstrom=float(np.abs(forces).max()),
            evaluations=int(_found(_STATISTICS, log).group(2)),
            criterion=_found(_CRITERION, log).group(1).strip(),
        )

    def _unwrapped(self, points: FloatArray, near: FloatArray) -> FloatArray:
        """The periodic images of the points nearest to where the atoms started."""
        vectors = self._triangle.vectors_angstrom
        turns = np.rint(np.linalg.solve(vectors.T, (points - near).T).T)
        return points - np.where(self._periodic, turns, 0.0) @ vectors


def _block_commands(blocks: dict[str, NDArray[np.bool_]]) -> list[str]:
    commands = ["min_style cg"]
    for name, members in blocks.items():
        commands += [f"group {name} id {_id_ranges(members)}", f"fix {name} {name} setforce 0.0 0.0 0.0"]
    return commands


def _id_ranges(members: NDArray[np.bool_]) -> str:
    """LAMMPS ids (from 1) of the members as ranges, ``1:4 7:7``."""
    ids = [int(index) + 1 for index in np.flatnonzero(members)]
    runs = [[member for _, member in run] for _, run in groupby(enumerate(ids), lambda pair: pair[1] - pair[0])]
    return " ".join(f"{run[0]}:{run[-1]}" for run in runs)


def _found(pattern: re.Pattern[str], log: str) -> re.Match[str]:
    match = pattern.search(log)
    if match is None:
        raise EngineError(
            "LAMMPS does not say how its minimiser ended",
            expected="a line 'Iterations, force evaluations = ...' and one 'Stopping criterion = ...'",
            next_step="use the LAMMPS version of the lock file",
        )
    return match
