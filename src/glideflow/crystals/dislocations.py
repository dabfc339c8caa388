"""Cells with one straight edge or screw dislocation, periodic along the glide direction and along the line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import FloatArray
from glideflow.crystals.layers import LayeredCrystal, rectangular_points, stack
from glideflow.errors import SlipSystemError

if TYPE_CHECKING:
    from ase import Atoms

_END_MARGIN_ANGSTROM = 10.0
_MINIMUM_MOBILE_PLANES = 2


@dataclass(frozen=True)
class DislocationCell:
    """One straight dislocation between two half crystals; see `edge_dislocation` and `screw_dislocation`.

    x is the glide direction (periodic), y the line direction (periodic), z the normal of the glide plane.

    Attributes:
        positions_angstrom: (N, 3) starting positions with an arctan disregistry.
        lattice_positions_angstrom: (N, 3) where the atoms are in their perfect half crystals, unstrained.
        cell_angstrom: (3, 3) cell vectors as rows; the third has room beyond the free surfaces. The first leans by
            -b/2 along y for a screw.
        plane: (N,) number of the atomic plane, 0, 1, ... above the glide plane and -1, -2, ... below.
        top: (N,) atoms of the rigid block at the top.
        bottom: (N,) atoms of the rigid block at the bottom.
        burgers_vector_angstrom: length of the Burgers vector.
        start_angstrom: position of the core in the starting positions.
        valley_angstrom: distance along x after which the crystal looks the same again to the dislocation, whose line
            may be shifted along itself: the distance of neighbouring Peierls valleys.
        character: ``edge`` (Burgers vector along x) or ``screw`` (along y).
    """

    positions_angstrom: FloatArray
    lattice_positions_angstrom: FloatArray
    cell_angstrom: FloatArray
    plane: NDArray[np.int64]
    top: NDArray[np.bool_]
    bottom: NDArray[np.bool_]
    burgers_vector_angstrom: float
    start_angstrom: float
    valley_angstrom: float
    character: str = "edge"

    @property
    def slip_axis(self) -> int:
        """Axis of the Burgers vector, along which a resolved shear stress acts: 0 for an edge, 1 for a screw."""
        return 1 if self.character == "screw" else 0

    @property
    def block_axes(self) -> tuple[int, ...]:
        """Axes along which the rigid block at the top moves, the loaded one first.

        All three for a screw, so that no other shear stress builds up in a crystal that couples them.
        """
        return (1, 0, 2) if self.character == "screw" else (0, 2)

    @property
    def glide_angstrom(self) -> float:
        """How far the core has to move to have glided: one Burgers vector (edge), or into the next valley (screw).

        Nine tenths of the way to the next valley, because the height of a screw core is known only as one of the gaps
        between planes.
        """
        return 0.9 * self.valley_angstrom if self.character == "screw" else self.burgers_vector_angstrom

    @property
    def mobile(self) -> NDArray[np.bool_]:
        """(N,) atoms that relax freely."""
        return ~(self.top | self.bottom)

    @property
    def area_angstrom2(self) -> float:
        """Area of the glide plane in the cell."""
        return float(self.cell_angstrom[0, 0] * self.cell_angstrom[1, 1])

    @property
    def height_angstrom(self) -> float:
        """Distance between the lowest and the highest plane, as built."""
        return float(np.ptp(self.lattice_positions_angstrom[:, 2]))

    def atoms(self, element: str) -> Atoms:
        """The starting configuration as ASE atoms, moved so that it lies inside the cell."""
        from ase import Atoms

        return Atoms(
            [element] * len(self.positions_angstrom),
            positions=self.positions_angstrom,
            cell=self.cell_angstrom,
            pbc=(True, True, False),
        )


@dataclass(frozen=True, kw_only=True)
class DislocationSize:
    """Size of a dislocation cell.

    Attributes:
        burgers_vectors: length of the upper half in Burgers vectors (the lower one of an edge is one shorter; a screw
            cell has the nearest whole number of periods).
        height_angstrom: nominal height along the normal, the rigid blocks included.
        line_periods: periods along the line.
        rigid_thickness_angstrom: thickness of each rigid block.
    """

    burgers_vectors: int
    height_angstrom: float
    line_periods: int
    rigid_thickness_angstrom: float


def dislocation_cell(
    layers: LayeredCrystal, size: DislocationSize, cut: str = "wide", core_offset: float = 0.0, *, character: str
) -> DislocationCell:
    """A cell with a dislocation of the given character, ``edge`` or ``screw``; see the functions of these names.

    Raises:
        SlipSystemError: another character, or no room between the rigid blocks.
    """
    builders = {"edge": edge_dislocation, "screw": screw_dislocation}
    if character not in builders:
        raise SlipSystemError(
            f"the dislocation character {character!r}",
            expected="edge or screw",
            next_step="correct slip_systems.characters",
        )
    return builders[character](layers, size, cut, core_offset)


def edge_dislocation(
    layers: LayeredCrystal,
    size: DislocationSize,
    cut: str = "wide",
    core_offset: float = 0.0,
    half_width_in_burgers: float = 2.0,
) -> DislocationCell:
    """Build a cell with one edge dislocation at its middle (Osetsky and Bacon 2003).

    The half crystals, of n and n - 1 Burgers vectors, share the length (n - 1/2) b: the upper one is compressed and
    the lower one stretched. Each takes up half of the misfit with the displacement of a Peierls-Nabarro dislocation
    that widens with the distance from the glide plane, summed over the periodic images; the rigid blocks are strained
    uniformly.

    Args:
        layers: the crystal as a stack of planes.
        size: size of the cell.
        cut: ``wide`` or ``narrow`` spacing as the glide plane.
        core_offset: shift of the core from the middle, in Burgers vectors.
        half_width_in_burgers: half width of the arctan disregistry.

    Raises:
        SlipSystemError: the rigid blocks leave fewer than two mobile planes on a side.
    """
    burgers, line = layers.period_angstrom
    length = float((size.burgers_vectors - 0.5) * burgers)
    positions, planes = stack(layers, cut, *_planes_below_and_above(layers, size.height_angstrom))
    halves = [
        _repeated(layers, positions[side], planes[side], (count, size.line_periods))
        for side, count in ((planes >= 0, size.burgers_vectors), (planes < 0, size.burgers_vectors - 1))
    ]
    perfect, plane = (np.concatenate([half[part] for half in halves]) for part in (0, 1))
    top, bottom = _rigid_blocks(perfect, plane, size)
    sign = np.where(plane >= 0, -1.0, 1.0)
    scaled = perfect[:, 0] / (length - sign * burgers / 2) * length  # where the atom is after uniform strain
    centre = 0.5 * length + core_offset * burgers
    core = _Core(centre, half_width_in_burgers * burgers, length)
    strained = perfect.copy()
    strained[:, 0] = scaled + sign * burgers / 2 * core.concentration(scaled, perfect[:, 2], top | bottom)
    cell, lift = _open_cell(np.array([[length, 0.0], [0.0, size.line_periods * line]]), perfect)
    return DislocationCell(
        strained + lift, perfect + lift, cell, plane, top, bottom, float(burgers), centre, _area(layers) / float(line)
    )


def screw_dislocation(
    layers: LayeredCrystal,
    size: DislocationSize,
    cut: str = "wide",
    core_offset: float = 0.0,
    half_width_in_burgers: float = 0.3,
) -> DislocationCell:
    """Build a cell with one screw dislocation near its middle, as an array periodic along the glide direction.

    The line, and the Burgers vector b with it, lies along y. Across the length L along x the upper half is displaced
    by -b/2 along y and the lower half by +b/2, so that one half has slipped by b against the other from one border to
    the next. The displacement is periodic if the first cell vector leans by -b/2: the upper half then continues by the
    lattice vector (L, 0) and the lower half by (L, -b), each with b/2 to go (the shifted boundary of Rodney and Martin,
    Phys. Rev. B 61, 8714 (2000), for screws in the array of Osetsky and Bacon 2003). No half crystal is longer than
    the other; both are sheared by b/2L in their plane. As for an edge, that shear is concentrated at the core with the
    profile of a Peierls-Nabarro dislocation and uniform in the rigid blocks.

    Args:
        layers: the crystal as a stack of planes, in the frame of its slip system (x along the Burgers vector).
        size: size of the cell.
        cut: ``wide`` or ``narrow`` spacing as the glide plane.
        core_offset: shift of the core from the column of atoms that is closest to the middle, in distances between
            Peierls valleys.
        half_width_in_burgers: half width of the arctan disregistry.

    Raises:
        SlipSystemError: the rigid blocks leave fewer than two mobile planes on a side.
    """
    burgers, across = layers.period_angstrom
    valley = _area(layers) / float(burgers)
    periods = max(1, round((size.burgers_vectors - 0.5) * burgers / across))
    length = float(periods * across)
    positions, planes = stack(layers, cut, *_planes_below_and_above(layers, size.height_angstrom))
    perfect, plane = _repeated(layers, positions, planes, (size.line_periods, periods))
    # The line takes the place of x, and y x z that of y: a quarter turn about the normal.
    perfect = np.stack([(length - perfect[:, 1]) % length, perfect[:, 0], perfect[:, 2]], axis=1)
    top, bottom = _rigid_blocks(perfect, plane, size)
    sign = np.where(plane >= 0, -1.0, 1.0)
    # Above or below a column of atoms the core has the twofold axis of bcc, and lies in one triangle of columns.
    columns = perfect[plane == 0, 0]
    centre = float(columns[np.argmin(np.abs(columns - length / 2))] + core_offset * valley)
    core = _Core(centre, half_width_in_burgers * burgers, length)
    profile = perfect[:, 0] / length + core.concentration(perfect[:, 0], perfect[:, 2], top | bottom)
    sheared = perfect.copy()
    sheared[:, 1] += sign * burgers / 2 * profile
    periods_xy = np.array([[length, -burgers / 2], [0.0, size.line_periods * burgers]])
    cell, lift = _open_cell(periods_xy, perfect)
    return DislocationCell(
        sheared + lift, perfect + lift, cell, plane, top, bottom, float(burgers), centre, valley, "screw"
    )


@dataclass(frozen=True)
class _Core:
    """Where the misfit of one Burgers vector is concentrated.

    Attributes:
        centre_angstrom: position along x.
        half_width_angstrom: half width at the glide plane.
        length_angstrom: period along x.
    """

    centre_angstrom: float
    half_width_angstrom: float
    length_angstrom: float

    def concentration(self, x: FloatArray, height: FloatArray, rigid: NDArray[np.bool_]) -> FloatArray:
        """(N,) misfit profile in units of b less the uniform one, at the positions (N,) x and heights from the plane.

        It fades out towards the rigid blocks, which are strained uniformly: anything else would remember where the
        core was built and pull it back there.
        """
        distance = np.abs(height)
        fade = np.clip(1.0 - distance / distance[rigid].min(), 0.0, 1.0)
        relative = x - self.centre_angstrom
        profile = misfit_profile(relative, self.half_width_angstrom + distance, self.length_angstrom)
        return np.asarray(fade * (profile - relative / self.length_angstrom))


def _planes_below_and_above(layers: LayeredCrystal, height_angstrom: float) -> tuple[int, int]:
    """Planes below and above the cut for a nominal height; the upper half has the odd one."""
    spacing = layers.repeat_angstrom[2] / len(layers.plane_heights_angstrom)
    total = max(2, round(height_angstrom / spacing))
    return total // 2, total - total // 2


def _repeated(
    layers: LayeredCrystal, stacked: FloatArray, planes: NDArray[np.int64], counts: tuple[int, int]
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Stacked atoms repeated by whole rectangular periods along x and y, and the plane of each."""
    points = rectangular_points(layers)  # (P, 2)
    edges = np.array(counts) * layers.period_angstrom
    offsets = [np.arange(count) * period for count, period in zip(counts, layers.period_angstrom, strict=True)]
    shifts = np.stack(np.meshgrid(*offsets, indexing="ij"), axis=-1).reshape(-1, 1, 2) + points
    shifts = np.pad(shifts.reshape(-1, 2), ((0, 0), (0, 1)))
    positions = (stacked[:, None] + shifts[None]).reshape(-1, 3)
    positions[:, :2] %= edges
    return positions, np.repeat(planes, len(shifts))


def _rigid_blocks(
    perfect: FloatArray, plane: NDArray[np.int64], size: DislocationSize
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Atoms of the blocks at top and bottom."""
    height = perfect[:, 2]
    top = height > height.max() - size.rigid_thickness_angstrom
    bottom = height < height.min() + size.rigid_thickness_angstrom
    _refuse_rigid(plane, top, bottom, size)
    return top, bottom


def _open_cell(in_plane: FloatArray, perfect: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(3, 3) cell with room beyond the free surfaces, and the shift (3,) that brings the atoms into it."""
    cell = np.zeros((3, 3))
    cell[:2, :2] = in_plane
    cell[2, 2] = np.ptp(perfect[:, 2]) + 2 * _END_MARGIN_ANGSTROM
    return cell, np.array([0.0, 0.0, _END_MARGIN_ANGSTROM - perfect[:, 2].min()])


def _area(layers: LayeredCrystal) -> float:
    """Area of the plane lattice's primitive cell."""
    return float(np.linalg.det(layers.in_plane_angstrom))


def misfit_profile(x_angstrom: FloatArray, half_width_angstrom: FloatArray, length_angstrom: float) -> FloatArray:
    """A periodic row of arctan steps: rises by 1 per period, (1/π) Σ_n arctan((x - nL)/w).

    Summed in closed form, (1/π) arctan(tan(πx/L) / tanh(πw/L)), continued over the periods.
    """
    phase = np.pi * np.asarray(x_angstrom) / length_angstrom
    turns = np.floor(phase / np.pi + 0.5)
    inside = phase - turns * np.pi
    slope = np.tanh(np.pi * np.asarray(half_width_angstrom) / length_angstrom)
    return np.asarray(np.arctan2(np.sin(inside), np.cos(inside) * slope) / np.pi + turns)


def _refuse_rigid(
    plane: NDArray[np.int64], top: NDArray[np.bool_], bottom: NDArray[np.bool_], size: DislocationSize
) -> None:
    above = len(np.unique(plane[(plane >= 0) & ~top]))
    below = len(np.unique(plane[(plane < 0) & ~bottom]))
    if min(above, below) < _MINIMUM_MOBILE_PLANES:
        raise SlipSystemError(
            f"a cell {size.height_angstrom:g} Å high with rigid blocks of {size.rigid_thickness_angstrom:.1f} Å "
            f"leaves {above} mobile planes above and {below} below the glide plane",
            expected=f"at least {_MINIMUM_MOBILE_PLANES} on each side",
            next_step="raise peierls_stress.height_angstrom or lower peierls_stress.rigid_block_cutoffs",
        )
