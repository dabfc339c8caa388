"""A crystal seen as a stack of atomic planes parallel to a slip plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glideflow.crystals.lattices import Crystal, FloatArray, IntArray
from glideflow.crystals.slip_systems import Frame, SlipSystem, frame, shortest_lattice_vector
from glideflow.errors import SlipSystemError

_SEARCH = 12
"""Largest coefficient of primitive vectors tried in searches for lattice vectors."""
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class LayeredCrystal:
    """A crystal in the frame of a slip system: a lattice in the plane and a stack of planes.

    All lengths are in Å in the frame (x along the Burgers vector, z along the normal).

    Attributes:
        frame: axes of the slip system.
        in_plane_angstrom: (2, 2) shortest lattice vectors of the plane as rows, right-handed.
        period_angstrom: (2,) edges along x and y of the smallest rectangular period of the plane.
        repeat_angstrom: (3,) lattice vector to the next repeat of the stack; its z is the repeat's height.
        motif_angstrom: (M, 3) atoms of one repeat, ascending in z, one per in-plane lattice point.
    """

    frame: Frame
    in_plane_angstrom: FloatArray
    period_angstrom: FloatArray
    repeat_angstrom: FloatArray
    motif_angstrom: FloatArray

    @property
    def burgers_vector_angstrom(self) -> float:
        """Length of the Burgers vector in Å."""
        return float(self.period_angstrom[0])

    @property
    def plane_heights_angstrom(self) -> FloatArray:
        """Heights of the distinct atomic planes within one repeat, from 0 up."""
        heights = self.motif_angstrom[:, 2] - self.motif_angstrom[0, 2]
        return np.asarray(heights[np.concatenate([[True], np.diff(heights) > _TOLERANCE])])

    @property
    def gaps_angstrom(self) -> FloatArray:
        """Spacings between successive planes of one repeat; entry p lies above plane p."""
        heights = self.plane_heights_angstrom
        return np.diff(np.append(heights, heights[0] + self.repeat_angstrom[2]))


def layered_crystal(perfect: Crystal, system: SlipSystem) -> LayeredCrystal:
    """See a crystal as planes parallel to the slip plane of ``system``.

    Raises:
        SlipSystemError: the plane has no rectangular period with a side along the Burgers vector.
    """
    axes = frame(system, perfect)
    lattice = axes.to_frame(perfect.primitive_angstrom)
    candidates = _lattice_vectors(lattice)
    step = candidates[candidates[:, 2] > _TOLERANCE][:, 2].min()
    burgers = float(np.linalg.norm(shortest_lattice_vector(perfect, system.direction)))
    plane_vectors = candidates[np.abs(candidates[:, 2]) < _TOLERANCE][:, :2]
    first_up = candidates[np.abs(candidates[:, 2] - step) < _TOLERANCE]
    repeat = first_up[np.argmin(np.linalg.norm(first_up, axis=1))]
    in_plane = _reduced_basis(plane_vectors)
    motif = _motif(axes.to_frame(perfect.basis @ perfect.primitive_angstrom), in_plane, repeat)
    period = np.array([burgers, _perpendicular_period(plane_vectors, system)])
    return LayeredCrystal(axes, in_plane, period, repeat, motif)


def cut_plane(layers: LayeredCrystal, cut: str) -> int:
    """Index of the plane of a repeat above which the crystal is cut.

    Args:
        layers: the stack.
        cut: ``wide`` or ``narrow``: through the largest or the smallest spacing between planes, the lowest of equal
            ones.
    """
    gaps = layers.gaps_angstrom
    chosen = gaps.max() if cut == "wide" else gaps.min()
    # The first of equal spacings. Left to rounding, the plane cut between the two equal ones of basal hcp would change
    # with the lattice constants, and the map of one potential would be the mirror image of another's.
    return int(np.argmax(np.abs(gaps - chosen) < _TOLERANCE))


def stack(layers: LayeredCrystal, cut: str, planes_below: int, planes_above: int) -> tuple[FloatArray, IntArray]:
    """Atoms of successive planes around a cut, one per in-plane lattice point.

    Returns:
        (A, 3) positions in Å with the cut at z = 0, ascending in z, and (A,) signed plane numbers:
        -1, -2, ... below the cut and 0, 1, ... above.
    """
    planes_per_repeat = len(layers.plane_heights_angstrom)
    first = cut_plane(layers, cut) + 1  # plane number 0, just above the cut
    repeats = np.arange(-planes_below // planes_per_repeat - 2, planes_above // planes_per_repeat + 3)
    heights = layers.motif_angstrom[:, 2] - layers.motif_angstrom[0, 2]
    plane_of_atom = np.searchsorted(layers.plane_heights_angstrom, heights - _TOLERANCE)
    positions = layers.motif_angstrom[None] + repeats[:, None, None] * layers.repeat_angstrom
    numbers = (plane_of_atom[None] + repeats[:, None] * planes_per_repeat - first).ravel()
    positions = positions.reshape(-1, 3)
    below, above = positions[numbers == -1][0, 2], positions[numbers == 0][0, 2]
    keep = (numbers >= -planes_below) & (numbers < planes_above)
    order = np.argsort(numbers[keep], kind="stable")
    return (positions[keep] - [0.0, 0.0, (below + above) / 2])[order], numbers[keep][order]


def rectangular_points(layers: LayeredCrystal) -> FloatArray:
    """(P, 2) in-plane lattice points within one rectangular period, the origin first."""
    span = np.arange(-4 * _SEARCH, 4 * _SEARCH + 1)
    grid = np.stack(np.meshgrid(span, span, indexing="ij"), axis=-1).reshape(-1, 2)
    points = grid @ layers.in_plane_angstrom
    inside = np.all((points > -_TOLERANCE) & (points < layers.period_angstrom - 1e-3), axis=1)
    chosen = points[inside]
    return chosen[np.lexsort((chosen[:, 0].round(6), chosen[:, 1].round(6)))]


def _lattice_vectors(lattice: FloatArray) -> FloatArray:
    span = np.arange(-_SEARCH, _SEARCH + 1)
    coefficients = np.stack(np.meshgrid(span, span, span, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(coefficients @ lattice)


def _reduced_basis(plane_vectors: FloatArray) -> FloatArray:
    """The two shortest independent vectors of a plane lattice, right-handed, the first closest to +x."""
    lengths = np.linalg.norm(plane_vectors, axis=1)
    ordered = plane_vectors[lengths > _TOLERANCE][np.argsort(lengths[lengths > _TOLERANCE], kind="stable")]
    shortest = ordered[np.abs(np.linalg.norm(ordered, axis=1) - np.linalg.norm(ordered[0])) < _TOLERANCE]
    first = shortest[np.argmax(shortest[:, 0] + 1e-9 * shortest[:, 1])]
    cross = first[0] * ordered[:, 1] - first[1] * ordered[:, 0]
    second = ordered[cross > _TOLERANCE][0]
    return np.array([first, second])


def _motif(basis: FloatArray, in_plane: FloatArray, repeat: FloatArray) -> FloatArray:
    """Basis atoms brought into one repeat, sorted by height."""
    heights = basis[:, 2] / repeat[2]
    shifted = basis - np.floor(heights + _TOLERANCE)[:, None] * repeat
    fractional = shifted[:, :2] @ np.linalg.inv(in_plane)
    shifted[:, :2] -= np.floor(fractional + _TOLERANCE) @ in_plane
    return np.asarray(shifted[np.argsort(shifted[:, 2], kind="stable")])


def _perpendicular_period(plane_vectors: FloatArray, system: SlipSystem) -> float:
    along_y = plane_vectors[(np.abs(plane_vectors[:, 0]) < _TOLERANCE) & (plane_vectors[:, 1] > _TOLERANCE)]
    if not len(along_y):
        raise SlipSystemError(
            f"slip system {system.name!r}: no lattice vector of {system.label} is perpendicular to the Burgers vector, "
            f"up to {_SEARCH} primitive vectors in each direction",
            expected="a plane with a rectangular period",
            next_step="choose a plane whose edge dislocation has a straight periodic line",
        )
    return float(along_y[:, 1].min())
