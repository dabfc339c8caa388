"""A dislocation cell under a resolved shear stress as a function to be minimised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glideflow.crystals.dislocations import DislocationCell
from glideflow.crystals.lattices import FloatArray
from glideflow.engines.protocol import Session
from glideflow.properties.springs import Springs, find_bonds, inverse_by_factorisation, stiffness_matrix
from glideflow.units import EV_PER_A3_TO_MPA

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_ANCHOR_EV_PER_A2 = 1e-8
"""Added to the diagonal so that the factorisation never meets a zero pivot."""
BLOCK_AXES = (0, 2)
"""The rigid block at the top moves along the glide direction and along the normal."""


class DislocationProblem:
    """Energy of a dislocation cell whose bottom block is fixed and whose top block is rigid and loaded.

    Generalised coordinates: the (M, 3) displacements of the mobile atoms from the starting positions, flattened,
    then the displacement of the top block along x and z. The load is a force τ·A along x on the top block.

    Args:
        session: engine session on the cell's atoms.
        cell: the dislocation cell.
        springs: spring network for the preconditioner.
    """

    def __init__(self, session: Session, cell: DislocationCell, springs: Springs) -> None:
        self._session = session
        self._cell = cell
        self._mobile = np.flatnonzero(cell.mobile)
        self._afresh = True
        self.precondition = inverse_by_factorisation(self._stiffness(springs))

    @property
    def size(self) -> int:
        """Number of generalised coordinates."""
        return 3 * len(self._mobile) + len(BLOCK_AXES)

    def positions(self, coordinates: FloatArray) -> FloatArray:
        """(N, 3) positions in Å for generalised coordinates."""
        positions = self._cell.positions_angstrom.copy()
        positions[self._mobile] += coordinates[: -len(BLOCK_AXES)].reshape(-1, 3)
        for axis, shift in zip(BLOCK_AXES, coordinates[-len(BLOCK_AXES) :], strict=True):
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
        block_force = forces[self._cell.top].sum(axis=0)[list(BLOCK_AXES)]
        load = stress_mpa / EV_PER_A3_TO_MPA * self._cell.area_angstrom2
        block_force[0] += load
        gradient = -np.concatenate([forces[self._mobile].ravel(), block_force])
        return evaluation.energy_ev - load * float(coordinates[-len(BLOCK_AXES)]), gradient

    def work_ev(self, coordinates: FloatArray, stress_mpa: float) -> float:
        """Work of the load on the way to these coordinates."""
        return stress_mpa / EV_PER_A3_TO_MPA * self._cell.area_angstrom2 * float(coordinates[-len(BLOCK_AXES)])

    def shear_strain(self, coordinates: FloatArray) -> float:
        """Displacement of the top block along the glide direction over the height of the cell."""
        return float(coordinates[-len(BLOCK_AXES)]) / self._cell.height_angstrom

    def _stiffness(self, springs: Springs) -> csr_matrix:
        """Stiffness of the spring network in generalised coordinates."""
        from scipy.sparse import identity

        bonds = find_bonds(
            self._cell.positions_angstrom,
            self._cell.cell_angstrom,
            (True, True, False),
            springs.radii_angstrom,
            springs.range_angstrom,
        )
        full = stiffness_matrix(bonds, springs, len(self._cell.positions_angstrom))
        expand = self._expansion()
        stiffness: csr_matrix = (expand.T @ full @ expand + _ANCHOR_EV_PER_A2 * identity(self.size)).tocsr()
        return stiffness

    def _expansion(self) -> csr_matrix:
        """(3N, n) matrix from generalised coordinates to displacements of all atoms."""
        from scipy.sparse import coo_matrix

        mobile_rows = (3 * self._mobile[:, None] + np.arange(3)).ravel()
        mobile_columns = np.arange(len(mobile_rows))
        top = np.flatnonzero(self._cell.top)
        block_rows = np.concatenate([3 * top + axis for axis in BLOCK_AXES])
        block_columns = np.repeat(np.arange(len(BLOCK_AXES)) + len(mobile_rows), len(top))
        rows = np.concatenate([mobile_rows, block_rows])
        columns = np.concatenate([mobile_columns, block_columns])
        shape = (3 * len(self._cell.positions_angstrom), self.size)
        return coo_matrix((np.ones(len(rows)), (rows, columns)), shape=shape).tocsr()
