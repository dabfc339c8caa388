"""A network of springs that imitates a crystal's stiffness, as a preconditioner for relaxations.

The springs join neighbours of the first few shells, with a longitudinal and a transverse stiffness per shell, none
of them negative, fitted to the forces of lattice waves in the perfect crystal. The resulting matrix is positive
definite whatever the potential does and sparse; `glideflow.properties.row_waves` inverts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import Crystal, FloatArray, conventional_atoms, neighbour_shells
from glideflow.engines.protocol import Engine, Session
from glideflow.potentials.record import Potential

if TYPE_CHECKING:
    from ase import Atoms
    from scipy.sparse import csr_matrix

SHELLS = 3
_SUPERCELL_ANGSTROM = 14.0
_WAVE_AMPLITUDE_ANGSTROM = 5e-3
_SOFTEST = 0.02
"""Smallest longitudinal stiffness of the first shell, relative to a fit of that shell alone."""


@dataclass(frozen=True)
class Springs:
    """Spring constants by neighbour shell.

    Attributes:
        radii_angstrom: (S,) shell radii.
        range_angstrom: distance beyond which atoms are not joined.
        longitudinal_ev_per_angstrom2: (S,) stiffness along the bond.
        transverse_ev_per_angstrom2: (S,) stiffness across the bond.
    """

    radii_angstrom: FloatArray
    range_angstrom: float
    longitudinal_ev_per_angstrom2: FloatArray
    transverse_ev_per_angstrom2: FloatArray


@dataclass(frozen=True)
class Bonds:
    """Pairs of neighbours.

    Attributes:
        first: (B,) index of one atom.
        second: (B,) index of the other.
        direction: (B, 3) unit vector from the first to the second.
        shell: (B,) neighbour shell to which the distance is closest.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    direction: FloatArray
    shell: NDArray[np.int64]


def fit_springs(engine: Engine, potential: Potential, perfect: Crystal, shells: int = SHELLS) -> Springs:
    """Fit springs to the forces of lattice waves, long and short, by non-negative least squares."""
    from scipy.optimize import nnls

    radii = neighbour_shells(perfect, shells + 1)
    reach = float(radii[-2] + radii[-1]) / 2
    supercell = _supercell(perfect, potential.element)
    positions, cell = supercell.positions, supercell.cell.array
    bonds = find_bonds(positions, cell, (True, True, True), radii[:-1], reach)
    rows, targets = [], []
    with engine.open(potential, supercell) as session:
        for wave in _waves(positions, cell):
            force = _harmonic_force(session, positions, wave)
            weight = 1.0 / np.linalg.norm(force)
            rows.append(weight * _unit_forces(bonds, wave, len(radii) - 1))
            targets.append(weight * force.ravel())
    stiffness, _ = nnls(np.vstack(rows), np.concatenate(targets))
    return _sound_springs(radii[:-1], reach, stiffness, np.vstack(rows), np.concatenate(targets))


def find_bonds(
    positions_angstrom: FloatArray,
    cell_angstrom: FloatArray,
    periodic: tuple[bool, bool, bool],
    radii_angstrom: FloatArray,
    range_angstrom: float,
) -> Bonds:
    """Pairs closer than the range, each once, periodic images included."""
    from matscipy.neighbours import neighbour_list

    first, second, vector, distance = neighbour_list(
        "ijDd", positions=positions_angstrom, cell=cell_angstrom, pbc=np.array(periodic), cutoff=range_angstrom
    )
    once = (first < second) | ((first == second) & (_leading_sign(vector) > 0))
    first, second, vector, distance = first[once], second[once], vector[once], distance[once]
    shell = np.abs(distance[:, None] - radii_angstrom).argmin(axis=1)
    return Bonds(first.astype(np.int64), second.astype(np.int64), vector / distance[:, None], shell)


def stiffness_matrix(bonds: Bonds, springs: Springs, atom_count: int, axis: int) -> csr_matrix:
    """(N, N) sparse stiffness in eV/Å² of the spring network for displacements along one Cartesian axis.

    The coupling between the axes is left out: on dislocation cells relaxations then take as many steps (within
    5 %), and three small matrices cost much less than the large one.
    """
    from scipy.sparse import coo_matrix

    squared = bonds.direction[:, axis] ** 2
    longitudinal = springs.longitudinal_ev_per_angstrom2[bonds.shell]
    transverse = springs.transverse_ev_per_angstrom2[bonds.shell]
    stiffness = longitudinal * squared + transverse * (1.0 - squared)
    i, j = bonds.first, bonds.second
    rows, columns = np.concatenate([i, j, i, j]), np.concatenate([i, j, j, i])
    values = np.concatenate([stiffness, stiffness, -stiffness, -stiffness])
    return coo_matrix((values, (rows, columns)), shape=(atom_count, atom_count)).tocsr()


def _supercell(perfect: Crystal, element: str) -> Atoms:
    unit = conventional_atoms(perfect, element)
    repeats = np.ceil(_SUPERCELL_ANGSTROM / unit.cell.lengths()).astype(int)
    supercell: Atoms = unit * tuple(int(n) for n in repeats)
    return supercell


def _waves(positions: FloatArray, cell: FloatArray) -> list[FloatArray]:
    """(N, 3) displacement patterns: commensurate waves along axes, face and body diagonals, three polarisations."""
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    vectors = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, -1, 0), (1, 1, 1), (2, 1, 0)]
    patterns = []
    for index, vector in enumerate(vectors):
        phase = np.cos(positions @ (np.array(vector) @ reciprocal) + 0.3 * index)
        patterns += [_WAVE_AMPLITUDE_ANGSTROM * phase[:, None] * axis for axis in np.eye(3)]
    return patterns


def _harmonic_force(session: Session, positions: FloatArray, wave: FloatArray) -> FloatArray:
    plus = session.evaluate(positions + wave).forces_ev_per_angstrom
    minus = session.evaluate(positions - wave).forces_ev_per_angstrom
    return (plus - minus) / 2


def _unit_forces(bonds: Bonds, wave: FloatArray, shells: int) -> FloatArray:
    """(3N, 2S) forces of the pattern for unit stiffnesses: longitudinal of each shell, then transverse."""
    relative = wave[bonds.second] - wave[bonds.first]
    along = np.sum(relative * bonds.direction, axis=1)[:, None] * bonds.direction
    columns = []
    for part in (along, relative - along):
        for shell in range(shells):
            pull = part * (bonds.shell == shell)[:, None]
            force = np.zeros_like(wave)
            np.add.at(force, bonds.first, pull)
            np.add.at(force, bonds.second, -pull)
            columns.append(force.ravel())
    return np.array(columns).T


def _sound_springs(
    radii: FloatArray, reach: float, stiffness: FloatArray, design: FloatArray, target: FloatArray
) -> Springs:
    """The fitted springs, with the first shell never so soft that the network falls apart."""
    shells = len(radii)
    alone = abs(float(design[:, 0] @ target) / float(design[:, 0] @ design[:, 0]))
    longitudinal, transverse = stiffness[:shells].copy(), stiffness[shells:].copy()
    longitudinal[0] = max(longitudinal[0], _SOFTEST * alone)
    transverse[0] = max(transverse[0], _SOFTEST * alone)
    return Springs(radii, reach, longitudinal, transverse)


def _leading_sign(vectors: FloatArray) -> FloatArray:
    """Sign of the first component that is not zero: picks one of each pair v, -v."""
    rounded = np.where(np.abs(vectors) < 1e-9, 0.0, vectors)
    first = np.argmax(rounded != 0, axis=1)
    return np.asarray(np.sign(rounded[np.arange(len(rounded)), first]))
