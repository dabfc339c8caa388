"""Cells with one straight edge dislocation, periodic along the glide direction and along the line."""

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
    """An edge dislocation between two half crystals of n and n - 1 Burgers vectors in the same length.

    x is the glide direction (periodic), y the line direction (periodic), z the normal of the glide plane at z = 0.
    The atoms of the upper half (n Burgers vectors long) are compressed and those of the lower half stretched into
    the common length (n - 1/2) b.

    Attributes:
        positions_angstrom: (N, 3) starting positions with an arctan disregistry.
        lattice_positions_angstrom: (N, 3) where the atoms are in their perfect half crystals, unstrained.
        cell_angstrom: (3, 3) cell vectors as rows; the third has room beyond the free surfaces.
        plane: (N,) number of the atomic plane, 0, 1, ... above the glide plane and -1, -2, ... below.
        top: (N,) atoms of the rigid block at the top.
        bottom: (N,) atoms of the rigid block at the bottom.
        burgers_vector_angstrom: length of the Burgers vector.
        start_angstrom: position of the core in the starting positions.
    """

    positions_angstrom: FloatArray
    lattice_positions_angstrom: FloatArray
    cell_angstrom: FloatArray
    plane: NDArray[np.int64]
    top: NDArray[np.bool_]
    bottom: NDArray[np.bool_]
    burgers_vector_angstrom: float
    start_angstrom: float

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
        burgers_vectors: length of the upper half in Burgers vectors (the lower one is one shorter).
        height_angstrom: nominal height along the normal, the rigid blocks included.
        line_periods: periods along the line.
        rigid_thickness_angstrom: thickness of each rigid block.
    """

    burgers_vectors: int
    height_angstrom: float
    line_periods: int
    rigid_thickness_angstrom: float


def edge_dislocation(
    layers: LayeredCrystal,
    size: DislocationSize,
    cut: str = "wide",
    core_offset: float = 0.0,
    half_width_in_burgers: float = 2.0,
) -> DislocationCell:
    """Build a cell with one edge dislocation at its middle.

    The half crystals differ by one Burgers vector; each takes up half of the misfit with the displacement of a
    Peierls-Nabarro dislocation that widens with the distance from the glide plane, summed over the periodic
    images; the rigid blocks are strained uniformly.

    Args:
        layers: the crystal as a stack of planes.
        size: size of the cell.
        cut: ``wide`` or ``narrow`` spacing as the glide plane.
        core_offset: shift of the core from the middle, in Burgers vectors.
        half_width_in_burgers: half width of the arctan disregistry.

    Raises:
        SlipSystemError: the rigid blocks leave fewer than two mobile planes on a side.
    """
    above, below = _plane_counts(layers, size.height_angstrom)
    positions, planes = stack(layers, cut, below, above)
    burgers = layers.burgers_vector_angstrom
    length = (size.burgers_vectors - 0.5) * burgers
    halves = [
        _half_crystal(layers, size, positions[planes >= 0], planes[planes >= 0], size.burgers_vectors),
        _half_crystal(layers, size, positions[planes < 0], planes[planes < 0], size.burgers_vectors - 1),
    ]
    perfect = np.vstack([half[0] for half in halves])
    plane = np.concatenate([half[1] for half in halves])
    top = perfect[:, 2] > perfect[:, 2].max() - size.rigid_thickness_angstrom
    bottom = perfect[:, 2] < perfect[:, 2].min() + size.rigid_thickness_angstrom
    _refuse_rigid(plane, top, bottom, size)
    centre = 0.5 * length + core_offset * burgers
    strained = perfect.copy()
    strained[:, 0] = _with_misfit(perfect, plane >= 0, top | bottom, burgers, length, centre, half_width_in_burgers)
    cell = np.diag([length, size.line_periods * layers.period_angstrom[1], 0.0])
    cell[2, 2] = np.ptp(perfect[:, 2]) + 2 * _END_MARGIN_ANGSTROM
    lift = np.array([0.0, 0.0, _END_MARGIN_ANGSTROM - perfect[:, 2].min()])
    return DislocationCell(strained + lift, perfect + lift, cell, plane, top, bottom, burgers, centre)


def _plane_counts(layers: LayeredCrystal, height_angstrom: float) -> tuple[int, int]:
    """Planes above and below the cut for a nominal height; the upper half has the odd one."""
    spacing = layers.repeat_angstrom[2] / len(layers.plane_heights_angstrom)
    total = max(2, round(height_angstrom / spacing))
    return total - total // 2, total // 2


def _half_crystal(
    layers: LayeredCrystal, size: DislocationSize, stacked: FloatArray, planes: NDArray[np.int64], count: int
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Atoms of ``count`` Burgers vectors along x and the periods along y, for each plane."""
    burgers, line = layers.period_angstrom
    points = rectangular_points(layers)  # (P, 2)
    offsets_x, offsets_y = np.arange(count) * burgers, np.arange(size.line_periods) * line
    shifts = np.stack(np.meshgrid(offsets_x, offsets_y, indexing="ij"), axis=-1).reshape(-1, 1, 2) + points
    shifts = np.pad(shifts.reshape(-1, 2), ((0, 0), (0, 1)))
    positions = (stacked[:, None] + shifts[None]).reshape(-1, 3)
    positions[:, 0] %= count * burgers
    positions[:, 1] %= size.line_periods * line
    return positions, np.repeat(planes, len(shifts))


def _with_misfit(
    perfect: FloatArray,
    upper: NDArray[np.bool_],
    rigid: NDArray[np.bool_],
    burgers: float,
    length: float,
    centre: float,
    half_width_in_burgers: float,
) -> FloatArray:
    """X of the atoms after half of the misfit has been given to each half crystal.

    The upper half, of length L + b/2, is compressed around the core and the lower one, L - b/2, stretched. The
    concentration at the core fades out towards the rigid blocks, which are strained uniformly: anything else would
    remember where the core was built and pull it back there.
    """
    height = np.abs(perfect[:, 2])  # the stack has its glide plane at z = 0
    fade = np.clip(1.0 - height / height[rigid].min(), 0.0, 1.0)
    sign = np.where(upper, -1.0, 1.0)
    own_length = length - sign * burgers / 2
    scaled = perfect[:, 0] / own_length * length  # where the atom is after uniform strain
    half_width = half_width_in_burgers * burgers + height
    localised = misfit_profile(scaled - centre, half_width, length) - (scaled - centre) / length
    return np.asarray(scaled + sign * burgers / 2 * fade * localised)


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
