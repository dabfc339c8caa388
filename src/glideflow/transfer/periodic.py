"""Periodic images on regular grids: their values anywhere, by trigonometric interpolation."""

from __future__ import annotations

import numpy as np

from glideflow.crystals.lattices import FloatArray


def grid_fractions(points: int) -> FloatArray:
    """(points,) positions i/points of a periodic grid, the repeated edge left out."""
    return np.arange(points) / points


def resampled(images: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Values on the product of two sets of positions.

    Args:
        images: (..., k, l) values at (i/k, j/l) of the period.
        first: (p,) positions along the first axis in periods; any number.
        second: (q,) positions along the second axis.

    Returns:
        (..., p, q) values of the trigonometric polynomial of lowest order through the given ones: exact for what the
        grid resolves, and equal to the given values at its points.
    """
    return np.asarray(kernel(images.shape[-2], first) @ images @ kernel(images.shape[-1], second).T)


def values_at(images: FloatArray, positions: FloatArray) -> FloatArray:
    """Values at single positions, by the same interpolation.

    Args:
        images: (..., k, l) values at (i/k, j/l) of the period.
        positions: (p, 2) positions in periods.

    Returns:
        (..., p) values.
    """
    first, second = kernel(images.shape[-2], positions[:, 0]), kernel(images.shape[-1], positions[:, 1])
    return np.asarray(np.einsum("pk,...kl,pl->...p", first, images, second, optimize=True))


def kernel(points: int, positions: FloatArray) -> FloatArray:
    """(p, points) weights of the values at i/points in the value at each position.

    The Dirichlet kernel: (1/n) Σ_k cos 2πk(x - i/n) over the wave numbers that n points resolve. Of an even number of
    points the shortest wave is known at its crests only, and enters as a cosine; of an odd number every wave has both
    phases, so that a shift of the image loses nothing.
    """
    waves = np.arange(1, (points + 1) // 2)
    phase = 2 * np.pi * (np.asarray(positions)[:, None] - grid_fractions(points))  # (p, n)
    weights = 1 + 2 * np.cos(phase[..., None] * waves).sum(axis=-1)
    if points % 2 == 0:
        crests = np.cos(np.pi * points * np.asarray(positions))[:, None]
        weights = weights + crests * np.cos(np.pi * np.arange(points))
    return np.asarray(weights / points)
