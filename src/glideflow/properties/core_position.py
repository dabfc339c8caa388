"""Where the core of a straight dislocation is, how wide, and of what it is made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.dislocations import DislocationCell, misfit_profile
from glideflow.crystals.lattices import FloatArray
from glideflow.properties.results import CoreResult
from glideflow.properties.screw_columns import ScrewColumns, screw_columns

IntArray = NDArray[np.int64]


class CorePoint(NamedTuple):
    """Where a core is: along the glide direction, and above the plane on which it was built."""

    x_angstrom: float
    z_angstrom: float


class _Level(NamedTuple):
    """Between which atomic planes a core lies, and at what height."""

    lower: int
    upper: int
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
    def _level(self, positions_angstrom: FloatArray) -> _Level:
        """The planes next to the core."""

    @abstractmethod
    def _row_misfit(self, positions_angstrom: FloatArray, plane: int, sign: float) -> tuple[FloatArray, FloatArray]:
        """Middles of the gaps along the rows of a plane, and sign times the misfits there, averaged over parallel rows.

        The sign is 1 above the core and -1 below it.
        """

    def _polarity(self, positions_angstrom: FloatArray) -> float | None:
        return None

    def position(self, positions_angstrom: FloatArray, near_angstrom: float) -> float:
        """Core position in Å: circular mean of the misfit density, on the branch nearest to ``near_angstrom``."""
        return self.locate(positions_angstrom, near_angstrom).x_angstrom

    def locate(self, positions_angstrom: FloatArray, near_angstrom: float) -> CorePoint:
        """Core position along x, on the branch nearest to ``near_angstrom``, and along z."""
        level = self._level(positions_angstrom)
        x, weight = self._misfit(positions_angstrom, level)
        mean = np.sum(weight * np.exp(2j * np.pi / self.length_angstrom * x))
        angle = float(np.angle(mean)) * self.length_angstrom / (2 * np.pi)
        turns = np.rint((near_angstrom - angle) / self.length_angstrom)
        return CorePoint(angle + float(turns) * self.length_angstrom, level.z_angstrom)

    def glided(self, point: CorePoint, origin: CorePoint) -> bool:
        """Whether the core has glided on the way from ``origin`` to ``point``; see `DislocationCell.glide_angstrom`."""
        return bool(np.hypot(*np.subtract(point, origin)) >= self.cell.glide_angstrom)

    def core(self, positions_angstrom: FloatArray, near_angstrom: float) -> CoreResult:
        """Disregistry, position, width and structure of the core."""
        point = self.locate(positions_angstrom, near_angstrom)
        level = self._level(positions_angstrom)
        x, weight = self._misfit(positions_angstrom, level)
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
            transverse_angstrom=self._transverse(positions_angstrom, level, x),
            polarity=self._polarity(positions_angstrom),
        )

    def _misfit(self, positions_angstrom: FloatArray, level: _Level) -> tuple[FloatArray, FloatArray]:
        """Middles of the gaps along the rows on both sides of the core and their misfits, which sum up to b."""
        upper = self._row_misfit(positions_angstrom, level.upper, 1.0)
        lower = self._row_misfit(positions_angstrom, level.lower, -1.0)
        return np.concatenate([upper[0], lower[0]]), np.concatenate([upper[1], lower[1]])

    def _around(self, x: FloatArray, centre: float) -> FloatArray:
        """Positions along x brought into the period around a centre."""
        half = self.length_angstrom / 2
        return np.asarray(centre + (x - centre + half) % self.length_angstrom - half)

    def _transverse(self, positions_angstrom: FloatArray, level: _Level, x: FloatArray) -> FloatArray:
        """Disregistry across the Burgers vector in the glide plane at x, zero half a period away from the core."""
        axis = 1 - self.cell.slip_axis
        moved = (positions_angstrom - self.cell.lattice_positions_angstrom)[:, axis]
        sides = []
        for plane in (level.upper, level.lower):
            members = np.flatnonzero(self.cell.plane == plane)
            sides.append(np.interp(x, positions_angstrom[members, 0], moved[members], period=self.length_angstrom))
        disregistry = sides[0] - sides[1]
        return np.asarray(disregistry - (disregistry[0] + disregistry[-1]) / 2)


@dataclass(frozen=True)
class _EdgeTracker(CoreTracker):
    """Along an edge's glide direction the spacings of atoms differ from b: smaller above, larger below."""

    rows: dict[int, IntArray]

    def _level(self, positions_angstrom: FloatArray) -> _Level:
        return _Level(-1, 0, 0.0)  # a straight edge cannot leave its plane without vacancies

    def _row_misfit(self, positions_angstrom: FloatArray, plane: int, sign: float) -> tuple[FloatArray, FloatArray]:
        rows = self.rows[plane]
        x = positions_angstrom[rows, 0]
        gaps = np.roll(x, -1, axis=1) - x
        gaps[:, -1] += self.length_angstrom
        return (x + gaps / 2).ravel(), (sign * (self.burgers_vector_angstrom - gaps)).ravel() / len(rows)


@dataclass(frozen=True)
class _ScrewTracker(CoreTracker):
    """Across a screw's columns of atoms the displacement along the line falls by b/2 above and rises by b/2 below.

    The planes next to the core are those of the triangle of columns around it, wherever it has gone. Differences
    between columns of a plane mean something up to whole Burgers vectors only; because their sum is known to be one
    half of b, each is taken between -b/4 and 3b/4 of the sense of that sum.
    """

    rows: dict[int, IntArray]
    columns: ScrewColumns
    glide_plane_angstrom: float

    def _level(self, positions_angstrom: FloatArray) -> _Level:
        columns = self.columns.middle(positions_angstrom)
        if columns is None:
            return _Level(-1, 0, 0.0)  # out of balance while it reacts with something else: as it was built
        planes, heights = self.columns.plane[columns], self.columns.places_angstrom[columns, 1]
        # The middle between the planes, not that of the triangle: a spread core may have the one or the other of two
        # neighbouring triangles around it.
        middle = (heights.min() + heights.max()) / 2 - self.glide_plane_angstrom
        return _Level(int(planes.min()), int(planes.max()), float(middle))

    def _row_misfit(self, positions_angstrom: FloatArray, plane: int, sign: float) -> tuple[FloatArray, FloatArray]:
        rows, burgers = self.rows[plane], self.burgers_vector_angstrom
        moved = (positions_angstrom - self.cell.lattice_positions_angstrom)[rows, 1]
        x = positions_angstrom[rows, 0]
        gaps, falls = np.roll(x, -1, axis=1) - x, sign * (moved - np.roll(moved, -1, axis=1))
        gaps[:, -1] += self.length_angstrom
        falls[:, -1] -= sign * self.cell.cell_angstrom[0, 1]
        falls -= burgers * np.floor((falls + burgers / 4) / burgers)
        return (x + gaps / 2).ravel(), falls.ravel() / len(rows)

    def _polarity(self, positions_angstrom: FloatArray) -> float | None:
        return self.columns.polarity(positions_angstrom)


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
    rows = {plane: _rows(cell, plane, across=0).T.copy() for plane in np.unique(cell.plane).tolist()}
    heights = [cell.lattice_positions_angstrom[cell.plane == plane, 2].mean() for plane in (-1, 0)]
    return _ScrewTracker(cell, rows, screw_columns(cell), float(np.mean(heights)))


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
