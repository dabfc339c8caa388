"""Rotation between a cell and the lower triangular form that LAMMPS wants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glideflow.engines.protocol import FloatArray
from glideflow.errors import EngineError


@dataclass(frozen=True)
class TriangularCell:
    """A cell in LAMMPS' orientation: a along x, b in the xy plane.

    Attributes:
        vectors_angstrom: (3, 3) lower triangular cell vectors as rows.
        rotation: (3, 3) proper rotation R with ``v_triangular = v @ R`` for row vectors v.
    """

    vectors_angstrom: FloatArray
    rotation: FloatArray

    @property
    def bounds_and_tilts(self) -> tuple[float, float, float, float, float, float]:
        """Edge lengths lx, ly, lz and tilt factors xy, xz, yz in Å."""
        v = self.vectors_angstrom
        return (v[0, 0], v[1, 1], v[2, 2], v[1, 0], v[2, 0], v[2, 1])

    @property
    def is_orthogonal(self) -> bool:
        """Whether all tilt factors vanish."""
        return bool(np.allclose(self.bounds_and_tilts[3:], 0.0, atol=1e-12))


def triangular_cell(cell_angstrom: FloatArray) -> TriangularCell:
    """Rotate a right-handed cell into LAMMPS' orientation by an LQ decomposition.

    Args:
        cell_angstrom: (3, 3) cell vectors as rows in Å.

    Raises:
        EngineError: the cell has no volume or is left-handed.
    """
    volume = float(np.linalg.det(cell_angstrom))
    if not np.isfinite(volume) or volume <= 1e-9:
        raise EngineError(
            f"the cell {np.asarray(cell_angstrom).tolist()} has the signed volume {volume:g} Å³",
            expected="three right-handed, linearly independent cell vectors",
            next_step="swap two cell vectors, or give the cell a third dimension",
        )
    orthogonal, upper = np.linalg.qr(cell_angstrom.T)
    signs = np.sign(np.diag(upper))
    rotation = orthogonal * signs
    return TriangularCell(np.tril(cell_angstrom @ rotation), rotation)
