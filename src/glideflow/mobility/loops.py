"""Periodic cells with a circular shear loop on a {110} plane of a bcc crystal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glideflow.crystals.lattices import FloatArray
from glideflow.engines.cell import triangular_cell
from glideflow.errors import ConfigurationError
from glideflow.mobility.blocks import BccMetal, Block, perfect_block, whole_periods
from glideflow.mobility.cells import DislocationCell, ReferenceLine, refuse_endless_stress
from glideflow.mobility.elasticity import elastic_strain
from glideflow.mobility.orientations import LineOrientation

FRAME = LineOrientation(-1, 2)
"""The frame of an edge dislocation: x along the Burgers vector."""

_LARGEST_SHARE = 0.8
"""Largest diameter as a share of the cell: beyond, the loop and its images would be one network soon."""
_IMAGE_SIDES = 12
_GRID_POINTS = 16
_POINTS_AT_ONCE = 20_000


@dataclass(frozen=True, eq=False)
class Polygon:
    """A closed line, plane, in the sense in which its Burgers vector is +b_ref.

    Attributes:
        centre: (3,).
        corners: (M, 3), clockwise seen from above: the upper half of the crystal has slipped by +b inside.
    """

    centre: FloatArray
    corners: FloatArray

    def moved(self, shift: FloatArray) -> Polygon:
        """The polygon elsewhere."""
        return Polygon(self.centre + shift, self.corners + shift)


def shear_loop(
    metal: BccMetal,
    radius_nm: float,
    size_nm: tuple[float, float, float],
    *,
    tensor_gpa: FloatArray,
    stress_mpa: float = 0.0,
    sides: int = 48,
    images: int = 4,
) -> DislocationCell:
    """Build a cell with a shear loop on (101) with the Burgers vector ½[11-1]a, in the middle of the cell.

    No atom is taken out. The displacement is that of a polygon in an isotropic medium, with its jump, the Burgers
    vector, across the disc only; that of the periodic images is added and the linear part that their truncated sum
    brings is taken away. The third cell vector takes up the plastic strain, a3 + b A/(Lx Ly) for a loop of area A. The
    crystal is then strained as the applied stress strains it.

    Args:
        metal: the metal.
        radius_nm: radius of the loop; the polygon has the area of the circle.
        size_nm: edges along x (Burgers vector), y and z (normal); the nearest whole periods are taken.
        tensor_gpa: (6, 6) elastic constants in the cubic axes, for the strain of the applied stress.
        stress_mpa: resolved shear stress along the Burgers vector. Under a positive one a loop can grow.
        sides: sides of the polygon.
        images: images on either side along each axis.

    Raises:
        ConfigurationError: the loop does not fit into the cell, the size is none, or the stress is not finite.
    """
    refuse_endless_stress(stress_mpa)
    block = perfect_block(metal, FRAME, whole_periods(metal, FRAME, size_nm))
    _refuse_large(radius_nm, block)
    burgers = metal.burgers_vector_angstrom(FRAME)
    loop = _circle(metal, block, 10.0 * radius_nm, sides)
    displaced = block.positions_angstrom + _periodic_displacement(block, loop, burgers, metal.poisson_ratio, images)
    cell = np.diag(block.lengths_angstrom)
    cell[2] += burgers * np.pi * (10.0 * radius_nm) ** 2 / np.prod(block.lengths_angstrom[:2])
    stress = np.zeros((3, 3))
    stress[0, 2] = stress[2, 0] = stress_mpa
    strained = np.eye(3) + elastic_strain(tensor_gpa, FRAME, stress)
    triangle = triangular_cell(cell @ strained)
    to_cell = triangle.vectors_angstrom / block.lengths_angstrom[:, None]
    line = ReferenceLine(points_angstrom=loop.corners @ to_cell, period_angstrom=np.zeros(3), sign=1)
    return DislocationCell(
        element=metal.element,
        lattice_constant_angstrom=metal.lattice_constant_angstrom,
        kind="loop",
        positions_angstrom=displaced @ to_cell,
        cell_angstrom=triangle.vectors_angstrom,
        miller_frame=FRAME.frame,
        periods=block.periods,
        burgers_angstrom=burgers @ strained @ triangle.rotation,
        character_angle_deg=None,
        radius_angstrom=10.0 * radius_nm,
        reference_lines=(line,),
        removed_atoms=0,
        applied_stress_mpa=triangle.rotation.T @ stress @ triangle.rotation,
    )


def _refuse_large(radius_nm: float, block: Block) -> None:
    room = block.lengths_angstrom[:2].min() / 10
    if not 0 < 2 * radius_nm <= _LARGEST_SHARE * room:
        raise ConfigurationError(
            f"a loop of radius {radius_nm:g} nm in a cell of {block.lengths_angstrom[0] / 10:.1f} x "
            f"{block.lengths_angstrom[1] / 10:.1f} nm",
            expected=f"a positive radius, and a diameter of at most {_LARGEST_SHARE:g} of the shorter edge",
            next_step=f"take edges of {2 * radius_nm / _LARGEST_SHARE:.1f} nm or more, or a smaller radius"
            if 0 < radius_nm < np.inf
            else "correct the radius",
        )


def _circle(metal: BccMetal, block: Block, radius: float, sides: int) -> Polygon:
    """A polygon with the area of a circle, in the middle of the cell, between two planes of atoms."""
    spacing = metal.lattice_constant_angstrom / np.sqrt(2.0)
    height = (np.floor(block.lengths_angstrom[2] / (2 * spacing)) + 0.5) * spacing
    centre = np.array([*block.lengths_angstrom[:2] / 2, height])
    angle = -2 * np.pi * np.arange(sides) / sides
    corner = radius * np.sqrt(2 * np.pi / (sides * np.sin(2 * np.pi / sides)))
    return Polygon(centre, centre + corner * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1))


def _periodic_displacement(
    block: Block, loop: Polygon, burgers: FloatArray, poisson_ratio: float, images: int
) -> FloatArray:
    """(N, 3) displacement of the atoms by the loop and its images.

    That of the images is smooth in the cell and therefore computed on a grid, between whose points splines are laid.
    """
    from scipy.interpolate import RegularGridInterpolator

    lengths = block.lengths_angstrom
    axes = [np.linspace(0.0, length, _GRID_POINTS) for length in lengths]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    far = _image_sum(grid, lengths, loop, burgers, poisson_ratio, images)
    whole = (far + loop_displacement(grid, loop, burgers, poisson_ratio)).reshape(*[_GRID_POINTS] * 3, 3)
    for axis in range(3):
        # What differs between opposite borders, which the loop does not touch, is the linear part.
        slope = (np.take(whole, -1, axis) - np.take(whole, 0, axis)).mean(axis=(0, 1)) / lengths[axis]
        far -= np.outer(grid[:, axis] - lengths[axis] / 2, slope)
    spline = RegularGridInterpolator(axes, far.reshape(*[_GRID_POINTS] * 3, 3), method="cubic")
    own = loop_displacement(block.positions_angstrom, loop, burgers, poisson_ratio)
    return np.asarray(own + spline(block.positions_angstrom))


def _image_sum(
    points: FloatArray, lengths: FloatArray, loop: Polygon, burgers: FloatArray, poisson_ratio: float, images: int
) -> FloatArray:
    """(P, 3) displacement by the images of the loop, as polygons with few sides."""
    coarse = Polygon(loop.centre, loop.corners[:: max(1, len(loop.corners) // _IMAGE_SIDES)])
    total = np.zeros_like(points)
    for numbers in np.ndindex(*[2 * images + 1] * 3):
        shift = (np.array(numbers) - images) * lengths
        if shift.any():
            total += loop_displacement(points, coarse.moved(shift), burgers, poisson_ratio)
    return total


def loop_displacement(points: FloatArray, loop: Polygon, burgers: FloatArray, poisson_ratio: float) -> FloatArray:
    """(P, 3) displacement of a closed polygon in an infinite isotropic medium (Barnett, Philos. Mag. A 51, 383 (1985)).

    u = b Ω/4π + [Σ g - (1-2ν) Σ f] / (8π(1-ν)), where Ω is the solid angle of the surface between the polygon and its
    centre, positive where the polygon is seen to run clockwise, and f = (b × t) ∫ dl/R and g are line integrals over
    the sides.

    Args:
        points: (P, 3) positions, none on the line.
        loop: the polygon.
        burgers: (3,) Burgers vector for the sense of the polygon.
        poisson_ratio: Poisson ratio.
    """
    blocks = [points[first : first + _POINTS_AT_ONCE] for first in range(0, len(points), _POINTS_AT_ONCE)]
    return np.concatenate([_displacement(block, loop, burgers, poisson_ratio) for block in blocks])


def _displacement(points: FloatArray, loop: Polygon, burgers: FloatArray, poisson_ratio: float) -> FloatArray:
    solid_angle, lines = np.zeros(len(points)), np.zeros((3, len(points)))
    to_centre, centre_distance = _seen(points, loop.centre)
    first, first_distance = _seen(points, loop.corners[0])
    for start, end in zip(loop.corners, np.roll(loop.corners, -1, axis=0), strict=True):
        second, second_distance = _seen(points, end)
        length = np.linalg.norm(end - start)
        product, cosine = first_distance * second_distance, _dot(first, second)
        normal = np.cross(first, second, axis=0)
        # Solid angle of a triangle: van Oosterom and Strackee, IEEE Trans. Biomed. Eng. 30, 125 (1983).
        around = (product + cosine) * centre_distance
        around += _dot(to_centre, first) * second_distance + _dot(to_centre, second) * first_distance
        solid_angle += 2 * np.arctan2(_dot(to_centre, normal), around)
        both = first_distance + second_distance
        across = np.cross(burgers, (end - start) / length)
        lines -= (1 - 2 * poisson_ratio) * np.outer(across, np.log((both + length) / (both - length)))
        lines += (
            (burgers @ normal) / (product * (product + cosine)) * (first * second_distance + second * first_distance)
        )
        first, first_distance = second, second_distance
    return np.asarray((np.outer(burgers, solid_angle) / (4 * np.pi) + lines / (8 * np.pi * (1 - poisson_ratio))).T)


def _seen(points: FloatArray, corner: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(3, P) vectors from the points to a corner, and (P,) their lengths."""
    vectors = np.ascontiguousarray((corner - points).T)
    return vectors, np.sqrt(_dot(vectors, vectors))


def _dot(first: FloatArray, second: FloatArray) -> FloatArray:
    """(P,) products of (3, P) vectors."""
    return np.asarray(np.einsum("ip,ip->p", first, second))
