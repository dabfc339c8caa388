"""Periodic images on regular grids: their values anywhere, by trigonometric interpolation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import FloatArray


def grid_fractions(points: int) -> FloatArray:
    """(points,) positions i/points of a periodic grid, the repeated edge left out."""
    return np.arange(points) / points


def grid_positions(points: int) -> FloatArray:
    """(points², 2) positions (i/points, j/points) of a periodic grid, j running faster."""
    fractions = grid_fractions(points)
    return np.stack(np.meshgrid(fractions, fractions, indexing="ij"), axis=-1).reshape(-1, 2)


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
    first, second = waves(images.shape[-2], positions[:, 0]), waves(images.shape[-1], positions[:, 1])  # (p, k), (p, l)
    amplitudes = np.fft.fft2(images) / np.prod(images.shape[-2:])
    return np.asarray(((first @ amplitudes) * second).sum(axis=-1).real)


def kernel(points: int, positions: FloatArray) -> FloatArray:
    """(p, points) weights of the values at i/points in the value at each position (the Dirichlet kernel)."""
    transform = np.exp(-2j * np.pi * np.outer(_wave_numbers(points), grid_fractions(points)))
    return np.asarray((waves(points, positions) @ transform).real / points)


def waves(points: int, positions: FloatArray) -> NDArray[np.complex128]:
    """(p, points) the waves that a grid resolves at each position, in the order of the discrete Fourier transform.

    Of an even number of points the shortest wave is known at its crests only, and enters as a cosine; of an odd number
    every wave has both phases, so that a shift of the image loses nothing.
    """
    found: NDArray[np.complex128] = np.exp(2j * np.pi * np.outer(positions, _wave_numbers(points)))
    if points % 2 == 0:
        found[:, points // 2] = np.cos(np.pi * points * np.asarray(positions))
    return found


def _wave_numbers(points: int) -> FloatArray:
    return np.asarray(np.fft.fftfreq(points, 1 / points))
