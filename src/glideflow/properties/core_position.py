"""Where the core of a straight edge dislocation is, and how wide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.dislocations import DislocationCell
from glideflow.crystals.lattices import FloatArray
from glideflow.properties.results import CoreResult


@dataclass(frozen=True)
class CoreTracker:
    """The rows of atoms next to the glide plane, and what their spacings say of the core.

    The spacing of the upper row falls short of b, and that of the lower row exceeds it, by an amount that is
    concentrated at the core and sums up to b/2 each. A homogeneous shear changes neither.

    Attributes:
        upper: (R, n) atoms of the rows of plane 0, along x.
        lower: (R', n - 1) atoms of the rows of plane -1, along x.
        burgers_vector_angstrom: length of the Burgers vector.
        length_angstrom: period along x.
    """

    upper: NDArray[np.int64]
    lower: NDArray[np.int64]
    burgers_vector_angstrom: float
    length_angstrom: float

    def position(self, positions_angstrom: FloatArray, near_angstrom: float) -> float:
        """Core position in Å: circular mean of the misfit density, on the branch nearest to ``near_angstrom``."""
        x, weight = self._misfit(positions_angstrom)
        phase = 2j * np.pi / self.length_angstrom
        mean = np.sum(weight * np.exp(phase * x))
        angle = float(np.angle(mean)) * self.length_angstrom / (2 * np.pi)
        turns = np.rint((near_angstrom - angle) / self.length_angstrom)
        return angle + float(turns) * self.length_angstrom

    def core(self, positions_angstrom: FloatArray, near_angstrom: float) -> CoreResult:
        """Disregistry, position and width of the core."""
        position = self.position(positions_angstrom, near_angstrom)
        x, weight = self._misfit(positions_angstrom)
        x = position + (x - position + self.length_angstrom / 2) % self.length_angstrom - self.length_angstrom / 2
        order = np.argsort(x)
        x, rise = x[order], np.cumsum(weight[order])
        disregistry = rise - weight[order] / 2
        return CoreResult(
            x_angstrom=x,
            disregistry_angstrom=disregistry,
            position_angstrom=position,
            width_angstrom=_width(x, disregistry, self.burgers_vector_angstrom),
        )

    def _misfit(self, positions_angstrom: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Middles of the gaps along the rows and their misfits, which sum up to b."""
        parts = [
            self._row_misfit(positions_angstrom[rows, 0], sign / len(rows))
            for rows, sign in ((self.upper, 1.0), (self.lower, -1.0))
        ]
        return np.concatenate([x for x, _ in parts]), np.concatenate([weight for _, weight in parts])

    def _row_misfit(self, x: FloatArray, sign: float) -> tuple[FloatArray, FloatArray]:
        following = np.roll(x, -1, axis=1)
        gaps = following - x
        gaps[:, -1] += self.length_angstrom
        return (x + gaps / 2).ravel(), (sign * (self.burgers_vector_angstrom - gaps)).ravel()


def core_tracker(cell: DislocationCell) -> CoreTracker:
    """The tracker of a freshly built cell."""
    return CoreTracker(
        upper=_rows(cell, 0),
        lower=_rows(cell, -1),
        burgers_vector_angstrom=cell.burgers_vector_angstrom,
        length_angstrom=float(cell.cell_angstrom[0, 0]),
    )


def _rows(cell: DislocationCell, plane: int) -> NDArray[np.int64]:
    """Atoms of a plane by row (equal y), each row sorted along x."""
    members = np.flatnonzero(cell.plane == plane)
    y = cell.lattice_positions_angstrom[members, 1].round(4)
    x = cell.positions_angstrom[members, 0]
    return np.array([members[y == value][np.argsort(x[y == value])] for value in np.unique(y)])


def _width(x: FloatArray, disregistry: FloatArray, burgers: float) -> float:
    rising = np.maximum.accumulate(disregistry)
    quarter, three_quarters = np.interp([0.25 * burgers, 0.75 * burgers], rising, x)
    return float(three_quarters - quarter)
