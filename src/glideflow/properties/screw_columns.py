"""A screw dislocation seen along its line: columns of atoms, and the triangle of columns that encloses the core."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.dislocations import DislocationCell
from glideflow.crystals.lattices import FloatArray

IntArray = NDArray[np.int64]

_MARGIN_ANGSTROM = 15.0
"""Columns so close to the border of the cell along x are repeated on its other side."""
_LONGEST_EDGE = 2.5
"""Longest edge of a triangle in distances of neighbouring columns: those along the free surfaces are longer."""


@dataclass(frozen=True)
class ScrewColumns:
    """The columns of atoms of a screw's cell, as a triangulated lattice in the plane across the line.

    Going around a core, the displacements of neighbouring columns along the line add up to the Burgers vector b,
    around any other triangle to nothing. Each difference means something up to whole b only and is taken within b/2.

    Attributes:
        atoms: (C,) one atom of each column.
        places_angstrom: (C, 2) its x and z in the perfect crystal, beyond the border of the cell too.
        plane: (C,) its atomic plane.
        along_angstrom: (C,) its y in the perfect crystal, the lean of the cell vector for those beyond the border
            included.
        triangles: (T, 3) neighbouring columns, in one sense of rotation, each triangle of the period once.
        burgers_vector_angstrom: length of the Burgers vector.
    """

    atoms: IntArray
    places_angstrom: FloatArray
    plane: IntArray
    along_angstrom: FloatArray
    triangles: IntArray
    burgers_vector_angstrom: float

    def enclosures(self, positions_angstrom: FloatArray) -> tuple[IntArray, FloatArray]:
        """Triangles (K, 3) around which the displacements add up to something, and their winding numbers (K,).

        One triangle for a core that is compact or spread on one plane; more, of which one remains in the balance, for
        a core that is spread over several.
        """
        moved = positions_angstrom[self.atoms, 1] - self.along_angstrom
        winding = np.rint(self._differences(moved[self.triangles]).sum(axis=1) / self.burgers_vector_angstrom)
        around = np.flatnonzero(winding)
        return self.triangles[around], winding[around]

    def middle(self, positions_angstrom: FloatArray) -> IntArray | None:
        """The triangle (3,) closest to the middle of the core, None if the cell holds no core in balance."""
        found, winding = self.enclosures(positions_angstrom)
        if abs(winding.sum()) != 1:
            return None
        places = self.places_angstrom[found].mean(axis=1)
        balance = winding @ places / winding.sum()
        return np.asarray(found[np.argmin(np.linalg.norm(places - balance, axis=1))])

    def polarity(self, positions_angstrom: FloatArray) -> float | None:
        """Polarity of a bcc core, 0 (not degenerate) to 1 (fully polarised).

        Next to the columns A, C, E around the core lie B, D, F, each close to two of them. Along the ring ABCDEF the
        displacements differ by steps that add up to b, and the polarity is |d_AB + d_CD + d_EF - d_BC - d_DE - d_FA|
        over b (G. Wang, A. Strachan, T. Cagin, W. A. Goddard III, Phys. Rev. B 67, 140101 (2003)). The twofold axes
        of the crystal across the line exchange the two sums; a degenerate core has lost them.

        Returns:
            None where the core is spread so that no single triangle encloses it, and for lines other than ⟨111⟩ of
            bcc, whose columns are shifted against each other by thirds of b.
        """
        found, _ = self.enclosures(positions_angstrom)
        if len(found) != 1 or not self._in_thirds(found[0]):
            return None
        a, c, e = found[0].tolist()
        b, d, f = (self._opposite(*three) for three in ((a, c, e), (c, e, a), (e, a, c)))
        ring = [a, b, c, d, e, f]
        steps = self._differences(positions_angstrom[self.atoms[ring], 1] - self.along_angstrom[ring])
        return float(abs(steps[::2].sum() - steps[1::2].sum()) / self.burgers_vector_angstrom)

    def _differences(self, around: FloatArray) -> FloatArray:
        """Differences (..., n) from each of n columns to the next one and around, each within half of b."""
        burgers, differences = self.burgers_vector_angstrom, np.roll(around, -1, axis=-1) - around
        return np.asarray(differences - burgers * np.rint(differences / burgers))

    def _in_thirds(self, columns: IntArray) -> bool:
        along = self.along_angstrom[columns]
        thirds = 3 * (along - along[0]) / self.burgers_vector_angstrom
        near = np.rint(thirds).astype(int)
        return bool(np.allclose(thirds, near, atol=0.05) and set((near % 3).tolist()) == {0, 1, 2})

    def _opposite(self, first: int, second: int, third: int) -> int:
        """The column that makes the other triangle over the edge from the first to the second."""
        place = self.places_angstrom[first] + self.places_angstrom[second] - self.places_angstrom[third]
        return int(np.argmin(np.linalg.norm(self.places_angstrom - place, axis=1)))


def screw_columns(cell: DislocationCell) -> ScrewColumns:
    """The columns of a freshly built cell."""
    lattice, length, lean = cell.lattice_positions_angstrom, cell.cell_angstrom[0, 0], cell.cell_angstrom[0, 1]
    _, atoms = np.unique(lattice[:, [0, 2]].round(3), axis=0, return_index=True)
    left, right = lattice[atoms, 0] < _MARGIN_ANGSTROM, lattice[atoms, 0] > length - _MARGIN_ANGSTROM
    turns = np.concatenate([np.zeros(len(atoms)), np.ones(left.sum()), -np.ones(right.sum())])
    atoms = np.concatenate([atoms, atoms[left], atoms[right]])
    places = lattice[atoms][:, [0, 2]] + np.outer(turns * length, [1.0, 0.0])
    return ScrewColumns(
        atoms=atoms,
        places_angstrom=places,
        plane=cell.plane[atoms],
        # An image lies at (L, lean) from its atom and belongs to the lattice point at (L, 0) from the atom's.
        along_angstrom=lattice[atoms, 1] - turns * lean,
        triangles=_triangles(places, length),
        burgers_vector_angstrom=cell.burgers_vector_angstrom,
    )


def _triangles(places: FloatArray, length: float) -> IntArray:
    """Triangles between neighbouring columns whose middles lie within one period."""
    from scipy.spatial import Delaunay

    corners = Delaunay(places).simplices
    edges = [places[corners[:, j]] - places[corners[:, i]] for i, j in pairwise((0, 1, 2, 0))]
    lengths = np.linalg.norm(edges, axis=2)
    middle = places[corners, 0].mean(axis=1)
    inside = (middle >= 0) & (middle < length) & (lengths.max(axis=0) < _LONGEST_EDGE * lengths.min())
    clockwise = edges[0][:, 0] * edges[1][:, 1] < edges[0][:, 1] * edges[1][:, 0]
    oriented = np.where(clockwise[:, None], corners[:, ::-1], corners)
    return np.asarray(oriented[inside], dtype=np.int64)
