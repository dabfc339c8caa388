"""LAMMPS' own minimisers on a whole periodic cell, atoms alone or with the box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from glideflow.config.engine import EngineSettings
from glideflow.engines import lammps_library
from glideflow.engines.lammps import LammpsSession, relaxation_style
from glideflow.engines.protocol import FloatArray
from glideflow.errors import EngineError, NonFiniteError
from glideflow.isolation.ranks import on_all_ranks
from glideflow.potentials.record import Potential
from glideflow.units import EV_PER_A3_TO_MPA

if TYPE_CHECKING:
    from ase import Atoms

_BOX_STEP = 1e-3
"""Largest relative change of the volume in one step of the box."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RelaxedCell:
    """A cell after a relaxation.

    Attributes:
        positions_angstrom: (N, 3) positions from the origin of the box, atoms in the order in which they were given.
        cell_angstrom: (3, 3) lower triangular cell vectors as rows.
        stress_mpa: (3, 3) stress, positive in tension.
        energy_ev: potential energy.
        largest_force_ev_per_angstrom: largest force component.
    """

    positions_angstrom: FloatArray
    cell_angstrom: FloatArray
    stress_mpa: FloatArray
    energy_ev: float
    largest_force_ev_per_angstrom: float


class LammpsRelaxation(LammpsSession):
    """A session that relaxes a periodic cell in LAMMPS' orientation.

    Args:
        potential: the potential, one that LAMMPS evaluates.
        atoms: the cell, its vectors lower triangular with a positive diagonal.
        engine: accelerator, threads, GPUs.

    Raises:
        PotentialError: LAMMPS refuses the potential.
        EngineError: LAMMPS refuses the atoms.
    """

    def __init__(self, potential: Potential, atoms: Atoms, engine: EngineSettings) -> None:
        self._style = relaxation_style(engine)
        super().__init__(potential, atoms, engine)

    def relax(self, *, steps: int, force_tolerance_ev_per_angstrom: float, box_steps: int = 0) -> RelaxedCell:
        """Relax the atoms by FIRE, then, if wanted, atoms and box by conjugate gradients to zero stress.

        With KOKKOS both are done by conjugate gradients, see `glideflow.engines.lammps.relaxation_style`.

        Args:
            steps: largest number of steps of FIRE (Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006)).
            force_tolerance_ev_per_angstrom: two-norm of all forces at which either ends.
            box_steps: largest number of iterations with the box; 0 keeps the box.

        Raises:
            EngineError: LAMMPS stops with an error.
            NonFiniteError: energy, forces or positions are not finite.
        """
        tolerance = f"{force_tolerance_ev_per_angstrom:g}"
        commands = [] if self._lammps.is_tilted() else ["change_box all triclinic"]
        commands += [f"min_style {self._style}", f"minimize 0.0 {tolerance} {steps} {10 * steps}"]
        if box_steps:
            commands += [
                f"fix box all box/relax tri 0.0 vmax {_BOX_STEP:g}",
                "min_style cg",
                f"minimize 0.0 {tolerance} {box_steps} {10 * box_steps}",
                "unfix box",
            ]
        try:
            self._command_all([*commands, "run 0 post no"])
        except Exception as error:
            raise EngineError(
                f"{self._label} stopped while relaxing: {error}",
                expected="a relaxed cell",
                next_step="look for overlapping atoms in the cell as built",
            ) from error
        return self._relaxed()

    def _relaxed(self) -> RelaxedCell:
        origin, cell = on_all_ranks(f"{lammps_library.__name__}:box", self._lammps.handle)
        forces, energy, points = self._lammps.forces(), self._lammps.energy_ev(), self._lammps.points()
        if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(points).all()):
            raise NonFiniteError(
                f"{self._label} gave a value that is not finite while relaxing (energy {energy})",
                expected="finite energies, forces and positions",
                next_step="look for overlapping atoms in the cell as built",
            )
        return RelaxedCell(
            positions_angstrom=points - origin,
            cell_angstrom=cell,
            stress_mpa=self._lammps.stress_ev_per_angstrom3() * EV_PER_A3_TO_MPA,
            energy_ev=energy,
            largest_force_ev_per_angstrom=float(np.abs(forces).max()),
        )
