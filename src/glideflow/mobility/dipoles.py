"""Periodic cells with a dipole of straight dislocations of any character on parallel {110} planes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import FloatArray
from glideflow.engines.cell import triangular_cell
from glideflow.mobility.blocks import BccMetal, Block, perfect_block, whole_periods
from glideflow.mobility.cells import DislocationCell, ReferenceLine
from glideflow.mobility.orientations import LineOrientation, line_orientation

BoolArray = NDArray[np.bool_]

IMAGES = 4
"""Periodic images on either side along x and z whose displacements are added."""


@dataclass(frozen=True)
class Cores:
    """Where the two lines of a dipole cross the plane y = 0, one above the other.

    The line below has the Burgers vector +b along +y, the one above -b. Between them an edge has one plane less.

    Attributes:
        x_angstrom: position of both along x.
        below_angstrom: height of the lower one.
        above_angstrom: height of the upper one.
    """

    x_angstrom: float
    below_angstrom: float
    above_angstrom: float

    @property
    def height_angstrom(self) -> float:
        """Distance of the two glide planes."""
        return self.above_angstrom - self.below_angstrom


def dipole(
    metal: BccMetal, orientation: LineOrientation, size_nm: tuple[float, float, float], *, images: int = IMAGES
) -> DislocationCell:
    """Build a cell with two straight dislocations of opposite sign, half a cell apart along the normal.

    A slab of thickness b sin θ between the cores is taken out of the perfect crystal, which leaves it perfect there.
    The atoms are displaced by the isotropic Volterra field with its cut between the cores, summed over periodic
    images; the linear part that the truncated sum adds is taken away (Cai, Bulatov, Chang, Li and Yip, Philos. Mag.
    83, 539 (2003)). The displacement is then periodic, and its mean elastic strain cancels the plastic one: the first
    cell vector takes up the latter, a1 - b h/Lz for cores at a distance h, so that the mean stress is zero.

    Args:
        metal: the metal.
        orientation: direction of the lines.
        size_nm: edges along x (glide), y (lines) and z (normal); the nearest whole periods are taken.
        images: images on either side along x and z.

    Raises:
        ConfigurationError: the size is not one.
    """
    orientation = line_orientation(orientation.p, orientation.q)  # so that sin θ ≥ 0
    block = perfect_block(metal, orientation, whole_periods(metal, orientation, size_nm))
    burgers = metal.burgers_vector_angstrom(orientation)
    cores = _cores(metal, block, burgers)
    kept = block.positions_angstrom[~_in_slab(block.positions_angstrom, cores, burgers)]
    displaced = kept + displacement(kept, block.lengths_angstrom, cores, burgers, metal.poisson_ratio, images)
    cell = np.diag(block.lengths_angstrom)
    cell[0] -= burgers * cores.height_angstrom / block.lengths_angstrom[2]
    triangle = triangular_cell(cell)
    to_cell = triangle.vectors_angstrom / block.lengths_angstrom[:, None]  # from the block to the final cell
    return DislocationCell(
        element=metal.element,
        lattice_constant_angstrom=metal.lattice_constant_angstrom,
        kind="dipole",
        positions_angstrom=displaced @ to_cell,
        cell_angstrom=triangle.vectors_angstrom,
        miller_frame=orientation.frame,
        periods=block.periods,
        burgers_angstrom=burgers @ triangle.rotation,
        character_angle_deg=orientation.angle_deg,
        radius_angstrom=None,
        reference_lines=_lines(cores, to_cell, triangle.vectors_angstrom[1]),
        removed_atoms=len(block.positions_angstrom) - len(kept),
        applied_stress_mpa=np.zeros((3, 3)),
    )


def _cores(metal: BccMetal, block: Block, burgers: FloatArray) -> Cores:
    """Cores half a cell apart, each between two planes; no atom lies on a face of the slab that is taken out."""
    spacing = metal.lattice_constant_angstrom / np.sqrt(2.0)
    planes = 2 * block.periods[2]
    below = (planes // 4 - 0.5) * spacing if planes >= 4 else 0.5 * spacing
    columns = np.unique(np.round(block.positions_angstrom[:, 0], 6))
    gap = columns[1] - columns[0]
    face = (np.round((block.lengths_angstrom[0] - burgers[0]) / (2 * gap)) + 0.5) * gap
    return Cores(float(face + burgers[0] / 2), below, below + block.periods[2] * spacing)


def _in_slab(points: FloatArray, cores: Cores, burgers: FloatArray) -> BoolArray:
    """(N,) whether an atom lies in the slab of thickness b sin θ between the cores."""
    between = (points[:, 2] > cores.below_angstrom) & (points[:, 2] < cores.above_angstrom)
    return np.asarray(between & (np.abs(points[:, 0] - cores.x_angstrom) < burgers[0] / 2))


def displacement(
    points: FloatArray,
    lengths_angstrom: FloatArray,
    cores: Cores,
    burgers: FloatArray,
    poisson_ratio: float,
    images: int,
) -> FloatArray:
    """(N, 3) periodic displacement of a dipole in Å, with a jump of the Burgers vector between its cores only.

    Args:
        points: (N, 3) positions in Å.
        lengths_angstrom: (3,) edges of the orthogonal cell.
        cores: where the lines are.
        burgers: (3,) Burgers vector of the lower line along +y.
        poisson_ratio: of the isotropic medium.
        images: images on either side along x and z.
    """
    summed = _image_sum(points, lengths_angstrom, cores, burgers, poisson_ratio, images)
    for axis in (0, 2):
        faces = _face_points(lengths_angstrom, axis)
        opposite = faces + np.eye(3)[axis] * lengths_angstrom[axis]
        sums = [_image_sum(face, lengths_angstrom, cores, burgers, poisson_ratio, images) for face in (opposite, faces)]
        slope = (sums[0] - sums[1]).mean(axis=0) / lengths_angstrom[axis]
        summed -= np.outer(points[:, axis] - lengths_angstrom[axis] / 2, slope)
    return summed


def _face_points(lengths: FloatArray, axis: int) -> FloatArray:
    """(M, 3) points of the cell's face at zero along x or z."""
    points = np.zeros((16, 3))
    other = 2 - axis
    points[:, other] = (np.arange(16) + 0.5) / 16 * lengths[other]
    return points


def _image_sum(
    points: FloatArray, lengths: FloatArray, cores: Cores, burgers: FloatArray, poisson_ratio: float, images: int
) -> FloatArray:
    total = np.zeros_like(points)
    for shift_x, shift_z in _shifts(lengths, images):
        x = points[:, 0] - cores.x_angstrom - shift_x
        below, above = (points[:, 2] - shift_z - height for height in (cores.below_angstrom, cores.above_angstrom))
        total += _pair_displacement(x, below, above, burgers, poisson_ratio)
    return total


def _shifts(lengths: FloatArray, images: int) -> Iterator[tuple[float, float]]:
    span = range(-images, images + 1)
    return ((i * lengths[0], k * lengths[2]) for i in span for k in span)


def _pair_displacement(
    x: FloatArray, below: FloatArray, above: FloatArray, burgers: FloatArray, poisson_ratio: float
) -> FloatArray:
    """(N, 3) isotropic Volterra field of one dipole (Anderson, Hirth and Lothe 2017, sections 3.2 and 3.4).

    The angle that the cut subtends stands for the difference of the two polar angles, so that nothing jumps beyond the
    cores. Heights ``below`` and ``above`` are those over the two cores.
    """
    angle = np.arctan2(x * (above - below), x * x + below * above)
    squares = x * x + below * below, x * x + above * above
    edge, screw = burgers[0] / (2 * np.pi), burgers[1] / (2 * np.pi)
    shear = -x * below / squares[0] + x * above / squares[1]
    ratio = (x * x - below * below) / squares[0] - (x * x - above * above) / squares[1]
    stretch = (1 - 2 * poisson_ratio) * np.log(squares[0] / squares[1]) + ratio
    return np.stack(
        [
            edge * (angle + shear / (2 * (1 - poisson_ratio))),
            screw * angle,
            edge * stretch / (4 * (1 - poisson_ratio)),
        ],
        axis=1,
    )


def _lines(cores: Cores, to_cell: FloatArray, period: FloatArray) -> tuple[ReferenceLine, ReferenceLine]:
    """The two lines in the final cell, the one with +b along +y first."""
    lower, upper = (
        np.array([cores.x_angstrom, 0.0, height]) @ to_cell + np.array([[0.0], [0.5]]) * period
        for height in (cores.below_angstrom, cores.above_angstrom)
    )
    return (
        ReferenceLine(points_angstrom=lower, period_angstrom=period, sign=1),
        ReferenceLine(points_angstrom=upper, period_angstrom=period, sign=-1),
    )
