"""Polarity of a screw core in bcc: whether it keeps the twofold axes of the crystal (degenerate cores do not)."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from glideflow.crystals.lattices import FloatArray

if TYPE_CHECKING:
    from glideflow.crystals.dislocations import DislocationCell

_REACH = 3.5
"""Columns within so many of their distances from the core are looked at."""


def polarity(cell: DislocationCell, positions_angstrom: FloatArray, core: tuple[float, float]) -> float | None:
    """Polarity of a compact screw core, 0 (not degenerate) to 1 (fully polarised).

    Around the three columns A, C, E that enclose the core lie three more, B, D and F, each next to two of them. Along
    the ring ABCDEF the displacements along the line differ by steps that sum up to b, and the polarity is
    |d_AB + d_CD + d_EF - d_BC - d_DE - d_FA| / b (G. Wang, A. Strachan, T. Cagin, W. A. Goddard III, Phys. Rev. B 67,
    140101 (2003)). A twofold axis across the line exchanges the two sums.

    Args:
        cell: the cell of a screw.
        positions_angstrom: (N, 3) its atoms.
        core: position of the core along x, and its height above the plane on which it was built.

    Returns:
        None where the columns do not form a triangular lattice (only those of ⟨111⟩ in bcc do) or no single triangle
        of columns encloses the core.
    """
    places, moved = _columns(cell, positions_angstrom, core)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    step = distances[distances > 0.1].min()
    near = (distances > 0.1) & (distances < 1.15 * step)
    inner = np.linalg.norm(places, axis=1) < (_REACH - 1.1) * step
    if not (near[inner].sum(axis=1) == 6).all():
        return None
    burgers = cell.burgers_vector_angstrom
    triangles = [
        t for t in combinations(np.flatnonzero(inner).tolist(), 3) if all(near[i, j] for i, j in combinations(t, 2))
    ]
    enclosing = [t for t in triangles if abs(_around(moved, t, burgers).sum()) > burgers / 2]
    if len(enclosing) != 1:
        return None
    a, c, e = enclosing[0]
    outer = [_nearest(places, places[i] + places[j] - places[k]) for i, j, k in ((a, c, e), (c, e, a), (e, a, c))]
    steps = _around(moved, (a, outer[0], c, outer[1], e, outer[2]), burgers)
    return float(abs(steps[::2].sum() - steps[1::2].sum()) / burgers)


def _columns(
    cell: DislocationCell, positions_angstrom: FloatArray, core: tuple[float, float]
) -> tuple[FloatArray, FloatArray]:
    """Places (C, 2) of the columns of atoms near the core, relative to it, and their displacements along the line (C,).

    Only the first atom of a column counts: the line is straight. Columns beyond the border of the cell continue the
    lattice by the lattice vector (L, 0), with the lean of the cell vector as a displacement.
    """
    lattice = cell.lattice_positions_angstrom
    length, lean = cell.cell_angstrom[0, 0], cell.cell_angstrom[0, 1]
    glide_plane = (lattice[cell.plane == 0][0, 2] + lattice[cell.plane == -1][0, 2]) / 2
    _, first = np.unique(lattice[:, [0, 2]].round(3), axis=0, return_index=True)
    relative = lattice[first][:, [0, 2]] - [core[0], core[1] + glide_plane]
    turns = np.rint(relative[:, 0] / length)
    relative[:, 0] -= turns * length
    moved = positions_angstrom[first, 1] - lattice[first, 1] - turns * lean
    nearest = np.sort(np.linalg.norm(relative, axis=1))[:3].mean() * np.sqrt(3)  # the triangle around the core
    close = np.linalg.norm(relative, axis=1) < _REACH * nearest
    return relative[close], moved[close]


def _around(moved: FloatArray, ring: tuple[int, ...], burgers: float) -> FloatArray:
    """Differences of displacement from each column of a ring to the next, each within half a Burgers vector."""
    values = moved[list(ring)]
    differences = np.roll(values, -1) - values
    return np.asarray(differences - burgers * np.rint(differences / burgers))


def _nearest(places: FloatArray, wanted: FloatArray) -> int:
    return int(np.argmin(np.linalg.norm(places - wanted, axis=1)))
