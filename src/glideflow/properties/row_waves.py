"""The inverse of a spring network on rows of atoms, by waves along the rows.

Away from the core each half of a dislocation cell is a stack of straight rows of equally spaced atoms along x, and a
matrix that is the same for every atom of a row couples only waves of equal wave number. Of the matrix of the springs
as they are, the part that couples waves of equal wave number is kept: its optimal block-circulant approximation
(T. F. Chan, SIAM J. Sci. Stat. Comput. 9, 766, 1988), which is positive definite because the matrix is. What is left
are narrow bands, one per wave number, from the lowest row to the highest. Factorising them and solving with them costs
time and memory in proportion to the number of atoms, and relaxations take as many steps as with the whole matrix
factorised (within 10 %; measured by benchmarks/bench_minimisers.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from glideflow.crystals.dislocations import DislocationCell
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import PropertyError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csc_matrix, csr_matrix

    ComplexArray = NDArray[np.complex128]

_LEVELS = 10_000
"""Resolution of positions across the rows, in parts of the cell."""
_OFFSETS = 10_000_000
"""Offsets along the rows that agree to such a part of the period are the same."""
_LARGEST_UNEVENNESS = 1e-3


@dataclass(frozen=True)
class AtomRow:
    """Equally spaced unknowns along x.

    Attributes:
        members: (n,) their indices, in order along x.
        phase: place of the first one, in spacings from the border of the cell.
    """

    members: IntArray
    phase: float = 0.0


def rows_of(cell: DislocationCell) -> list[AtomRow]:
    """The rows of mobile atoms from the lowest to the highest; indices count mobile atoms only.

    Raises:
        PropertyError: a row is not evenly spaced.
    """
    x, y, z = cell.lattice_positions_angstrom[cell.mobile].T
    level = np.rint(y / cell.cell_angstrom[1, 1] * _LEVELS).astype(np.int64) % _LEVELS
    key = cell.plane[cell.mobile].astype(np.int64) * _LEVELS + level
    order = np.lexsort((x, key))
    rows = np.split(order, np.flatnonzero(np.diff(key[order])) + 1)
    return [_atom_row(members, x) for members in sorted(rows, key=lambda members: float(z[members[0]]))]


def inverse_by_waves(matrix: csr_matrix, rows: Sequence[AtomRow]) -> Callable[[FloatArray], FloatArray]:
    """A function that applies the inverse of the wave-by-wave part of a matrix, factorised once.

    Args:
        matrix: (n, n) symmetric positive definite.
        rows: rows that hold every unknown once, from the lowest to the highest. A row of one is an unknown of its own,
            such as the displacement of a rigid block.

    Returns:
        A function from (n,) vectors to (n,) vectors, linear, symmetric and positive definite.
    """
    from scipy.sparse.linalg import splu

    waves = _Waves(rows)
    factor = splu(waves.project(matrix), permc_spec="NATURAL", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return lambda vector: waves.synthesis(factor.solve(waves.analysis(vector)))


def _atom_row(members: IntArray, x: FloatArray) -> AtomRow:
    """A row from its atoms in ascending x; the one at the border may stand at either end."""
    spacing = np.median(np.diff(x[members]))
    place = x[members] / spacing
    phase = float(np.angle(np.exp(2j * np.pi * place).mean()) / (2 * np.pi)) % 1.0
    turns = np.rint(place - phase)
    if np.abs(place - phase - turns).max() > _LARGEST_UNEVENNESS or len(set(turns % len(members))) < len(members):
        raise PropertyError(
            f"a row of {len(members)} atoms is not evenly spaced",
            expected="straight rows along the glide direction in the perfect half crystals",
            next_step="build the cell with glideflow.crystals.dislocations",
        )
    return AtomRow(members[np.argsort(turns % len(members))], phase)


class _Waves:
    """Waves e^(2πi k (j + φ)/n)/√n on rows of n atoms, numbered by wave number and then by row.

    Of an even row the shortest wave, k = n/2, is real and has no partner -k: it couples to its like only.
    """

    def __init__(self, rows: Sequence[AtomRow]) -> None:
        self._counts = np.array([len(row.members) for row in rows])
        self._rows = rows
        k = np.arange(int(self._counts.max()) // 2 + 1)
        count = self._counts[:, None]
        kind = np.where(2 * k < count, k, -k)
        exists = 2 * k <= count
        self._kind = np.where(exists, kind, -len(k) - 1)
        row, wave = np.nonzero(exists)
        by_kind = np.lexsort((row, self._kind[row, wave]))
        self._number = np.full(exists.shape, -1)
        self._number[row[by_kind], wave[by_kind]] = np.arange(len(by_kind))
        self._batches = [self._batch(int(length)) for length in np.unique(self._counts)]

    def analysis(self, vector: FloatArray) -> ComplexArray:
        """Amplitudes of the waves in a vector."""
        amplitudes = np.empty(int(self._number.max()) + 1, dtype=np.complex128)
        for members, number, shift in self._batches:
            amplitudes[number] = np.fft.rfft(vector[members], axis=1, norm="ortho") * shift
        return amplitudes

    def synthesis(self, amplitudes: ComplexArray) -> FloatArray:
        """The vector with these amplitudes."""
        vector = np.empty(int(self._counts.sum()))
        for members, number, shift in self._batches:
            waves = amplitudes[number] * shift.conj()
            vector[members] = np.fft.irfft(waves, n=members.shape[1], axis=1, norm="ortho")
        return vector

    def project(self, matrix: csr_matrix) -> csc_matrix:
        """The part of a matrix that couples waves of the same kind, Hermitian, in the order of the numbering."""
        from scipy.sparse import coo_matrix

        first, second, offset, value = self._couplings(matrix)
        value = value / np.sqrt(self._counts[first] * self._counts[second])
        rows, columns, values = [], [], []
        for k in range(int(self._counts.max()) // 2 + 1):
            alike = (self._kind[first, k] == self._kind[second, k]) & (self._number[first, k] >= 0)
            rows.append(self._number[first[alike], k])
            columns.append(self._number[second[alike], k])
            values.append(value[alike] * np.exp(2j * np.pi * k * offset[alike]))
        size = int(self._number.max()) + 1
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        return coo_matrix(entries, shape=(size, size)).tocsc()

    def _batch(self, length: int) -> tuple[IntArray, IntArray, ComplexArray]:
        """Rows of equal length: members (r, n), numbers of their waves (r, n//2 + 1) and phase factors of these."""
        chosen = [row for row in self._rows if len(row.members) == length]
        members = np.array([row.members for row in chosen])
        k = np.arange(length // 2 + 1)
        turns = np.outer([row.phase for row in chosen], k) / length
        return members, self._number[self._counts == length, : len(k)], np.exp(-2j * np.pi * turns)

    def _couplings(self, matrix: csr_matrix) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
        """Sums of the matrix over pairs of rows and offsets along x: first row, second row, offset, sum."""
        row, place = np.empty(matrix.shape[0], dtype=np.int64), np.empty(matrix.shape[0])
        for index, atoms in enumerate(self._rows):
            row[atoms.members] = index
            place[atoms.members] = (np.arange(len(atoms.members)) + atoms.phase) / len(atoms.members)
        entries = matrix.tocoo()
        offset = place[entries.col] - place[entries.row]
        offset -= np.rint(offset)
        pair = row[entries.row] * len(self._rows) + row[entries.col]
        label = pair * (2 * _OFFSETS + 1) + np.rint(offset * _OFFSETS).astype(np.int64) + _OFFSETS
        _, example, where = np.unique(label, return_index=True, return_inverse=True)
        pair = pair[example]
        return (
            pair // len(self._rows),
            pair % len(self._rows),
            offset[example],
            np.bincount(where, weights=entries.data).astype(np.float64),
        )
