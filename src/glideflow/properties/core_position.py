"""Where the core of a straight dislocation is, how wide, and of what it is made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.dislocations import DislocationCell, misfit_profile
from glideflow.crystals.lattices import FloatArray
from glideflow.properties.core_polarity import polarity
from glideflow.properties.results import CoreResult

IntArray = NDArray[np.int64]


class CorePoint(NamedTuple):
    """Where a core is: along the glide direction, and above the plane on which it was built."""

    x_angstrom: float
    z_angstrom: float


@dataclass(frozen=True)
class CoreTracker(ABC):
    """The rows of atoms next to the plane on which the core lies, and what their misfits say of it.

    A misfit is a change of the displacement along the Burgers vector from one atom of a row to the next. It is
    concentrated at the core and sums up to b/2 above the core and -b/2 below it. A homogeneous shear changes neither.
    """

    cell: DislocationCell

    @property
    def burgers_vector_angstrom(self) -> float:
        """Length of the Burgers vector."""
        return self.cell.burgers_vector_angstrom

    @property
    def length_angstrom(self) -> float:
        """Period along x."""
        return float(self.cell.cell_angstrom[0, 0])

    @abstractmethod
    def plane_above(self, positions_angstrom: FloatArray) -> int:
        """Number of the atomic plane just above the core: 0 where it was built."""

    @abstractmethod
    def _row_misfit(self, positions_angstrom: FloatArray, plane: int) -> tuple[FloatArray, FloatArray]:
        """Middles of the gaps along the rows of a plane, and the misfits there, averaged over parallel rows."""

    def position(self, positions_angstrom: FloatArray, near_angstrom: float) -> float:
        """Core position in Å: circular mean of the misfit density, on the branch nearest to ``near_angstrom``."""
        return self.locate(positions_angstrom, near_angstrom).x_angstrom

    def locate(self, positions_angstrom: FloatArray, near_angstrom: float) -> CorePoint:
        """Core position along x, on the branch nearest to ``near_angstrom``, and along z."""
        above = self.plane_above(positions_angstrom)
        x, weight = self._misfit(positions_angstrom, above)
        mean = np.sum(weight * np.exp(2j * np.pi / self.length_angstrom * x))
        angle = float(np.angle(mean)) * self.length_angstrom / (2 * np.pi)
        turns = np.rint((near_angstrom - angle) / self.length_angstrom)
        return CorePoint(angle + float(turns) * self.length_angstrom, self._height(above) - self._height(0))

    def glided(self, point: CorePoint, origin: CorePoint) -> bool:
        """Whether the core has glided on the way from ``origin`` to ``point``; see `DislocationCell.glide_angstrom`."""
        return bool(np.hypot(*np.subtract(point, origin)) >= self.cell.glide_angstrom)

    def core(self, positions_angstrom: FloatArray, near_angstrom: float) -> CoreResult:
        """Disregistry, position, width and structure of the core."""
        point = self.locate(positions_angstrom, near_angstrom)
        above = self.plane_above(positions_angstrom)
        x, weight = self._misfit(positions_angstrom, above)
        x = self._around(x, point.x_angstrom)
        order = np.argsort(x)
        x, weight = x[order], weight[order]
        disregistry = np.cumsum(weight) - weight / 2
        return CoreResult(
            x_angstrom=x,
            disregistry_angstrom=disregistry,
            position_angstrom=point.x_angstrom,
            width_angstrom=_width(x, disregistry, self.burgers_vector_angstrom),
            height_angstrom=point.z_angstrom,
            transverse_angstrom=self._transverse(positions_angstrom, above, x),
            polarity=polarity(self.cell, positions_angstrom, point) if self.cell.character == "screw" else None,
        )

    def _misfit(self, positions_angstrom: FloatArray, above: int) -> tuple[FloatArray, FloatArray]:
        """Middles of the gaps along the rows on both sides of the core and their misfits, which sum up to b."""
        upper, lower = (self._row_misfit(positions_angstrom, plane) for plane in (above, above - 1))
        return np.concatenate([upper[0], lower[0]]), np.concatenate([upper[1], -lower[1]])

    def _around(self, x: FloatArray, centre: float) -> FloatArray:
        """Positions along x brought into the period around a centre."""
        half = self.length_angstrom / 2
        return np.asarray(centre + (x - centre + half) % self.length_angstrom - half)

    def _height(self, above: int) -> float:
        """Height of the middle between a plane and the one below it, in the perfect crystal."""
        z, plane = self.cell.lattice_positions_angstrom[:, 2], self.cell.plane
        return float(z[plane == above][0] + z[plane == above - 1][0]) / 2

    def _transverse(self, positions_angstrom: FloatArray, above: int, x: FloatArray) -> FloatArray:
        """Disregistry across the Burgers vector in the glide plane at x, zero half a period away from the core."""
        axis = 1 - self.cell.slip_axis
        moved = (positions_angstrom - self.cell.lattice_positions_angstrom)[:, axis]
        sides = []
        for plane in (above, above - 1):
            members = np.flatnonzero(self.cell.plane == plane)
            sides.append(np.interp(x, positions_angstrom[members, 0], moved[members], period=self.length_angstrom))
        disregistry = sides[0] - sides[1]
        return np.asarray(disregistry - (disregistry[0] + disregistry[-1]) / 2)


@dataclass(frozen=True)
class _EdgeTracker(CoreTracker):
    """Along an edge's glide direction the spacings of atoms differ from b: smaller above, larger below."""

    rows: dict[int, IntArray] = field(default_factory=dict)

    def plane_above(self, positions_angstrom: FloatArray) -> int:
        return 0  # a straight edge cannot leave its plane without vacancies

    def _row_misfit(self, positions_angstrom: FloatArray, plane: int) -> tuple[FloatArray, FloatArray]:
        rows = self.rows[plane]
        x = positions_angstrom[rows, 0]
        gaps = np.roll(x, -1, axis=1) - x
        gaps[:, -1] += self.length_angstrom
        return (x + gaps / 2).ravel(), (self.burgers_vector_angstrom - gaps).ravel() / len(rows)


@dataclass(frozen=True)
class _ScrewTracker(CoreTracker):
    """Across a screw's columns of atoms the displacement along the line falls by b/2 above and rises by b/2 below.

    Differences between neighbouring columns mean something up to whole Burgers vectors only: wrapped into half of one,
    they sum up to -b/2 around the period in every plane above the core and to b/2 in every plane below. So the plane
    of the core is found wherever it has gone.
    """

    rows: dict[int, IntArray] = field(default_factory=dict)

    def plane_above(self, positions_angstrom: FloatArray) -> int:
        if self._is_above(positions_angstrom, 0) and not self._is_above(positions_angstrom, -1):
            return 0
        count = sum(self._is_above(positions_angstrom, plane) for plane in self.rows)
        lowest, highest = min(self.rows), max(self.rows)
        return int(np.clip(highest + 1 - count, lowest + 1, highest))

    def _is_above(self, positions_angstrom: FloatArray, plane: int) -> bool:
        return bool(self._row_misfit(positions_angstrom, plane)[1].sum() > 0)

    def _row_misfit(self, positions_angstrom: FloatArray, plane: int) -> tuple[FloatArray, FloatArray]:
        rows, burgers = self.rows[plane], self.burgers_vector_angstrom
        moved = (positions_angstrom - self.cell.lattice_positions_angstrom)[rows, 1]
        x = positions_angstrom[rows, 0]
        gaps, rises = np.roll(x, -1, axis=1) - x, np.roll(moved, -1, axis=1) - moved
        gaps[:, -1] += self.length_angstrom
        rises[:, -1] += self.cell.cell_angstrom[0, 1]
        rises -= burgers * np.rint(rises / burgers)
        return (x + gaps / 2).ravel(), -rises.ravel() / len(rows)


@dataclass(frozen=True)
class Dissociation:
    """Two partial dislocations fitted to a disregistry; see `dissociation`.

    Attributes:
        partials_angstrom: (2,) positions of the partials, ascending.
        half_width_angstrom: half width of each.
        residual_angstrom: root mean square difference between the disregistry and the fit.
    """

    partials_angstrom: FloatArray
    half_width_angstrom: float
    residual_angstrom: float

    @property
    def width_angstrom(self) -> float:
        """Distance between the partials."""
        return float(self.partials_angstrom[1] - self.partials_angstrom[0])

    @property
    def is_split(self) -> bool:
        """Whether the partials are apart: by more than 2√2 half widths.

        The misfit density halfway between them is then below two thirds of the peak of one alone.
        """
        return bool(self.width_angstrom > 2 * np.sqrt(2) * self.half_width_angstrom)


def dissociation(core: CoreResult, burgers_vector_angstrom: float, length_angstrom: float) -> Dissociation:
    """Fit two equal partial dislocations to the disregistry of a core.

    δ(x) = δ0 + b/2 [f(x - x1) + f(x - x2)] with f a periodic row of arctan steps of half width w, the solution of
    Peierls and Nabarro; least squares over x1, x2, w and δ0. Works on any stored core.

    Args:
        core: a core with its disregistry.
        burgers_vector_angstrom: length of the Burgers vector.
        length_angstrom: period of the cell along x.
    """
    from scipy.optimize import least_squares

    x, disregistry = core.x_angstrom, core.disregistry_angstrom

    def differences(parameters: FloatArray) -> FloatArray:
        middle, distance, width, offset = parameters
        profiles = [misfit_profile(x - middle - side * distance / 2, width, length_angstrom) for side in (-1, 1)]
        return np.asarray(offset + burgers_vector_angstrom / 2 * (1 + profiles[0] + profiles[1]) - disregistry)

    width = max(core.width_angstrom, 0.1 * burgers_vector_angstrom)
    guesses = [[core.position_angstrom, share * width, (1.1 - share) * width / 2, 0.0] for share in (0.3, 0.95)]
    bounds = ([-np.inf, 0.0, 0.02 * burgers_vector_angstrom, -np.inf], np.inf)
    fits = [least_squares(differences, guess, bounds=bounds, x_scale=width) for guess in guesses]
    best = min(fits, key=lambda fit: float(fit.cost))
    middle, distance, half_width, _ = (float(value) for value in best.x)
    return Dissociation(
        partials_angstrom=middle + distance / 2 * np.array([-1.0, 1.0]),
        half_width_angstrom=half_width,
        residual_angstrom=float(np.sqrt(np.mean(best.fun**2))),
    )


def core_tracker(cell: DislocationCell) -> CoreTracker:
    """The tracker of a freshly built cell."""
    if cell.character == "edge":
        return _EdgeTracker(cell, {plane: _rows(cell, plane, across=1) for plane in (0, -1)})
    mobile = np.unique(cell.plane[cell.mobile]).tolist()
    return _ScrewTracker(cell, {plane: _rows(cell, plane, across=0).T.copy() for plane in mobile})


def _rows(cell: DislocationCell, plane: int, across: int) -> IntArray:
    """Atoms of a plane by row (equal position on the axis ``across``), each row sorted along the other axis."""
    members = np.flatnonzero(cell.plane == plane)
    place = cell.lattice_positions_angstrom[members, across].round(4)
    order = cell.lattice_positions_angstrom[members, 1 - across]
    return np.array([members[place == value][np.argsort(order[place == value])] for value in np.unique(place)])


def _width(x: FloatArray, disregistry: FloatArray, burgers: float) -> float:
    rising = np.maximum.accumulate(disregistry)
    quarter, three_quarters = np.interp([0.25 * burgers, 0.75 * burgers], rising, x)
    return float(three_quarters - quarter)
