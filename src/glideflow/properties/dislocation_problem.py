"""A dislocation cell under a resolved shear stress as a function to be minimised."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from glideflow.crystals.dislocations import DislocationCell
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.engines.protocol import Session
from glideflow.properties.minimiser import Preconditioner
from glideflow.properties.row_waves import AtomRow, inverse_by_waves, rows_of
from glideflow.properties.springs import Bonds, Springs, find_bonds, stiffness_matrix
from glideflow.units import EV_PER_A3_TO_MPA

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_ANCHOR_EV_PER_A2 = 1e-8
"""Added to the diagonal so that the factorisation never meets a zero pivot."""


class DislocationProblem:
    """Energy of a dislocation cell whose bottom block is fixed and whose top block is rigid and loaded.

    Generalised coordinates: the (M, 3) displacements of the mobile atoms from the starting positions, flattened,
    then the displacement of the top block along the axes on which it moves (`DislocationCell.block_axes`). The load is
    a force τ·A on the top block along the first of them, that of the Burgers vector.

    Args:
        session: engine session on the cell's atoms.
        cell: the dislocation cell.
        springs: spring network for the preconditioner.
    """

    def __init__(self, session: Session, cell: DislocationCell, springs: Springs) -> None:
        self._session = session
        self._cell = cell
        self._block_axes = cell.block_axes
        self._mobile = np.flatnonzero(cell.mobile)
        self._afresh = True
        self.precondition = self._preconditioner(springs)

    @property
    def size(self) -> int:
        """Number of generalised coordinates."""
        return 3 * len(self._mobile) + self.block_size

    @property
    def block_size(self) -> int:
        """Number of the last coordinates, which move the block at the top."""
        return len(self._block_axes)

    def positions(self, coordinates: FloatArray) -> FloatArray:
        """(N, 3) positions in Å for generalised coordinates."""
        positions = self._cell.positions_angstrom.copy()
        positions[self._mobile] += coordinates[: -self.block_size].reshape(-1, 3)
        for axis, shift in zip(self._block_axes, coordinates[-self.block_size :], strict=True):
            positions[self._cell.top, axis] += shift
        return positions

    def start_afresh(self) -> None:
        """Make the next evaluations independent of the earlier ones, bit by bit."""
        self._afresh = True

    def energy_and_gradient(self, coordinates: FloatArray, stress_mpa: float) -> tuple[float, FloatArray]:
        """Enthalpy in eV under a resolved shear stress in MPa, and its gradient (n,) in eV/Å."""
        cell = self._cell.cell_angstrom if self._afresh else None
        self._afresh = False
        evaluation = self._session.evaluate(self.positions(coordinates), cell)
        forces = evaluation.forces_ev_per_angstrom
        block_force = forces[self._cell.top].sum(axis=0)[list(self._block_axes)]
        load = self._load_ev_per_angstrom(stress_mpa)
        block_force[0] += load
        gradient = -np.concatenate([forces[self._mobile].ravel(), block_force])
        return evaluation.energy_ev - load * float(coordinates[-self.block_size]), gradient

    def work_ev(self, coordinates: FloatArray, stress_mpa: float) -> float:
        """Work of the load on the way to these coordinates."""
        return self._load_ev_per_angstrom(stress_mpa) * float(coordinates[-self.block_size])

    def responses(self, equilibria: Sequence[tuple[float, FloatArray]]) -> list[tuple[FloatArray, FloatArray]]:
        """What the steps between equilibria under load say of the Hessian, for `Minimiser.pairs`.

        Between equilibria at two stresses the gradient of the energy changes by the difference of the loads, exactly.

        Args:
            equilibria: stresses in MPa and coordinates (n,), in the order in which they were found.
        """
        pairs = []
        for (stress_mpa, coordinates), (next_stress_mpa, next_coordinates) in itertools.pairwise(equilibria):
            change = np.zeros(self.size)
            change[-self.block_size] = self._load_ev_per_angstrom(next_stress_mpa - stress_mpa)
            pairs.append((next_coordinates - coordinates, change))
        return pairs

    def shear_strain(self, coordinates: FloatArray) -> float:
        """Displacement of the top block along the Burgers vector over the height of the cell."""
        return float(coordinates[-self.block_size]) / self._cell.height_angstrom

    def _load_ev_per_angstrom(self, stress_mpa: float) -> float:
        return stress_mpa / EV_PER_A3_TO_MPA * self._cell.area_angstrom2

    def _preconditioner(self, springs: Springs) -> Preconditioner:
        """Approximate inverse Hessian: the spring network in generalised coordinates, axis by axis."""
        bonds = find_bonds(
            self._cell.positions_angstrom,
            self._cell.cell_angstrom,
            (True, True, False),
            springs.radii_angstrom,
            springs.range_angstrom,
        )
        rows = rows_of(self._cell)
        inverses = [self._inverse_along(bonds, springs, rows, axis) for axis in range(3)]
        members = [self._coordinates_along(axis) for axis in range(3)]

        def precondition(gradient: FloatArray) -> FloatArray:
            smoothed = np.empty_like(gradient)
            for inverse, along in zip(inverses, members, strict=True):
                smoothed[along] = inverse(gradient[along])
            return smoothed

        return precondition

    def _inverse_along(self, bonds: Bonds, springs: Springs, rows: list[AtomRow], axis: int) -> Preconditioner:
        from scipy.sparse import identity

        full = stiffness_matrix(bonds, springs, len(self._cell.positions_angstrom), axis)
        expand = self._expansion_along(axis)
        matrix: csr_matrix = (expand.T @ full @ expand + _ANCHOR_EV_PER_A2 * identity(expand.shape[1])).tocsr()
        block = [AtomRow(np.array([len(self._mobile)]))] if axis in self._block_axes else []
        return inverse_by_waves(matrix, [*rows, *block])

    def _coordinates_along(self, axis: int) -> IntArray:
        """Generalised coordinates that move something along an axis: the mobile atoms', then the block's."""
        atoms = 3 * np.arange(len(self._mobile)) + axis
        block = [3 * len(self._mobile) + self._block_axes.index(axis)] if axis in self._block_axes else []
        return np.concatenate([atoms, np.array(block, dtype=atoms.dtype)])

    def _expansion_along(self, axis: int) -> csr_matrix:
        """(N, m) matrix from the generalised coordinates along an axis to the atoms' displacements along it."""
        from scipy.sparse import coo_matrix

        top = np.flatnonzero(self._cell.top) if axis in self._block_axes else np.array([], dtype=int)
        rows = np.concatenate([self._mobile, top])
        columns = np.concatenate([np.arange(len(self._mobile)), np.full(len(top), len(self._mobile))])
        shape = (len(self._cell.positions_angstrom), len(self._mobile) + (axis in self._block_axes))
        return coo_matrix((np.ones(len(rows)), (rows, columns)), shape=shape).tocsr()
