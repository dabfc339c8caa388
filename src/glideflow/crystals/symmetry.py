"""Symmetry of a γ surface, from the space group of the crystal and the cut.

γ(d) is the energy of the upper half crystal displaced by d. It has the periods of the crystal's plane lattice.
A space-group operation {W|w} that maps the cut plane onto an equivalent one gives γ(W d) = γ(d) when it keeps
the upper half up, and γ(-W d) = γ(d) when it exchanges the halves: the upper half displaced by d is then the
lower half displaced by W d, which is the upper half displaced by -W d.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import Crystal, FloatArray
from glideflow.crystals.layers import LayeredCrystal, cut_plane, rectangular_points

_TOLERANCE = 1e-6


def displacement_symmetry(perfect: Crystal, layers: LayeredCrystal, cut: str) -> FloatArray:
    """(S, 2, 2) matrices M, identity first, with γ(M d) = γ(d) for in-plane displacements d (column vectors)."""
    rotations, translations = _space_group(perfect)
    cut_height = _cut_height(layers, cut)
    found: list[FloatArray] = [np.eye(2)]
    for rotation, translation in zip(rotations, translations, strict=True):
        matrix, shift = _in_frame(perfect, layers, rotation, translation)
        sign = matrix[2, 2]
        tilts = np.abs(np.concatenate([matrix[2, :2], matrix[:2, 2]])).max() > _TOLERANCE
        if tilts or not _keeps_cut(sign * cut_height + shift[2] - cut_height, layers.repeat_angstrom[2]):
            continue
        candidate = np.sign(sign) * matrix[:2, :2]
        if not any(np.allclose(candidate, known, atol=_TOLERANCE) for known in found):
            found.append(candidate)
    return np.array(found)


def senses_are_equivalent(symmetry: FloatArray) -> bool:
    """Whether the crystal looks the same for slip forward and backward along the Burgers vector.

    So it does on {111} of fcc, {110} of bcc and the basal and prismatic planes of hcp. On {112} of bcc, for one, it
    does not: one sense is that of twinning.

    Args:
        symmetry: (S, 2, 2) from `displacement_symmetry`.
    """
    return bool((symmetry[:, 0, 0] < -1.0 + _TOLERANCE).any())


def grid_orbits(layers: LayeredCrystal, symmetry: FloatArray, shape: tuple[int, int]) -> NDArray[np.int64]:
    """For each point of a periodic grid over the rectangular period, the first point that is equivalent to it.

    Args:
        layers: the stack, for the plane lattice and the period.
        symmetry: (S, 2, 2) from `displacement_symmetry`.
        shape: number of points (nx, ny) along the two edges, the repeated edge not included.

    Returns:
        (nx·ny,) flat indices (C order) of the representatives.
    """
    points = grid_displacements(layers, shape).reshape(-1, 2)
    labels = np.arange(len(points))
    for offset in rectangular_points(layers):
        for matrix in symmetry:
            images = _grid_indices(points @ matrix.T + offset, layers.period_angstrom, shape)
            on_grid = images >= 0
            np.minimum.at(labels, images[on_grid], labels[on_grid])
    return _roots(labels)


def grid_displacements(layers: LayeredCrystal, shape: tuple[int, int]) -> FloatArray:
    """(nx, ny, 2) displacements in Å of a periodic grid over the rectangular period."""
    fractions = np.stack(np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij"), axis=-1)
    return np.asarray(fractions * layers.period_angstrom)


def _space_group(perfect: Crystal) -> tuple[NDArray[np.int64], FloatArray]:
    import spglib

    cell = (perfect.primitive_angstrom.tolist(), perfect.basis.tolist(), [1] * len(perfect.basis))
    operations = spglib.get_symmetry(cell, symprec=1e-5)
    assert operations is not None, "spglib finds no symmetry in a perfect crystal"
    return np.asarray(operations["rotations"]), np.asarray(operations["translations"])


def _in_frame(
    perfect: Crystal, layers: LayeredCrystal, rotation: NDArray[np.int64], translation: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """A fractional operation as Cartesian matrix and shift in the frame, for column vectors."""
    lattice = layers.frame.to_frame(perfect.primitive_angstrom).T  # columns
    return lattice @ rotation @ np.linalg.inv(lattice), lattice @ translation


def _cut_height(layers: LayeredCrystal, cut: str) -> float:
    plane = cut_plane(layers, cut)
    below = layers.motif_angstrom[0, 2] + layers.plane_heights_angstrom[plane]
    return float(below + layers.gaps_angstrom[plane] / 2)


def _keeps_cut(height_change: float, repeat_height: float) -> bool:
    steps = height_change / repeat_height
    return bool(abs(steps - round(steps)) < 1e-4)


def _grid_indices(points: FloatArray, period: FloatArray, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Flat grid index of each point, or -1 where it lies between grid points."""
    steps = points / period * np.array(shape)
    nearest = np.rint(steps)
    on_grid = np.all(np.abs(steps - nearest) < 1e-4, axis=1)
    wrapped = nearest.astype(int) % np.array(shape)
    return np.where(on_grid, wrapped[:, 0] * shape[1] + wrapped[:, 1], -1)


def _roots(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    while True:
        shorter = labels[labels]
        if np.array_equal(shorter, labels):
            return labels
        labels = shorter
