"""Sums of plane waves on a lattice of wave vectors, with their first and second derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

_SAME = 9
"""Decimals to which components of wave vectors are one and the same."""


@dataclass(frozen=True)
class WaveTable:
    """Plane waves by the distinct components of their wave vectors: exp(i G·δ) = exp(i p δ_1) exp(i q δ_2).

    Of the few hundred waves of a γ surface on a lattice each component has a few dozen values: the exponentials of
    these, and products of matrices, replace an exponential for each wave. Waves that differ only in components that
    the displacements do not have become one.

    Attributes:
        first: (W, P) distinct first components, W being 1 for waves that all sums share, else B.
        second: (W, Q) distinct second components; zero for displacements of one component.
        amplitude: (B, P, Q) complex amplitudes: a sum is the real part.
    """

    first: FloatArray
    second: FloatArray
    amplitude: ComplexArray

    def sums(self, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(B, n) sums of the waves, their (B, n, c) gradients and (B, n, c, c) Hessians at (B, n, c) points."""
        along = self.first[:, None]  # (W, 1, P)
        wave = np.exp(1j * along * points[..., :1])
        partial = [weighted @ self.amplitude for weighted in (wave, along * wave, along**2 * wave)]  # (B, n, Q) each
        across = self.second[:, None]
        wave = np.exp(1j * across * points[..., 1:2]) if points.shape[2] > 1 else 1.0
        none, once, twice = (part * wave for part in partial)
        value, slope, curvature = none.real.sum(axis=2), -once.imag.sum(axis=2), -twice.real.sum(axis=2)
        if points.shape[2] == 1:
            return value, slope[..., None], curvature[..., None, None]
        mixed, other = -np.sum(across * once.real, axis=2), -np.sum(across**2 * none.real, axis=2)
        gradient = np.stack([slope, -np.sum(across * none.imag, axis=2)], axis=2)
        hessian = np.stack([curvature, mixed, mixed, other], axis=2).reshape(*value.shape, 2, 2)
        return value, gradient, hessian


def wave_table(wavevectors: FloatArray, cosine: FloatArray, sine: FloatArray) -> WaveTable:
    """Tabulate sums Σ_G [ cosine cos(G·δ) + sine sin(G·δ) ].

    Args:
        wavevectors: (B, G, c), or (1, G, c) for waves that all sums share, with c = 1 or 2 components.
        cosine: (B, G) coefficients.
        sine: (B, G).
    """
    sets = [_distinct(own) for own in wavevectors]
    longest = [max(len(one[axis][0]) for one in sets) for axis in (0, 1)]
    first, second = (
        np.array([np.pad(one[axis][0], (0, longest[axis] - len(one[axis][0]))) for one in sets]) for axis in (0, 1)
    )
    amplitude = np.zeros((len(cosine), *longest), dtype=np.complex128)
    for index, row in enumerate(cosine - 1j * sine):
        (_, p), (_, q) = sets[index % len(sets)]
        np.add.at(amplitude[index], (p, q), row)
    return WaveTable(first, second, amplitude)


def _distinct(wavevectors: FloatArray) -> list[tuple[FloatArray, NDArray[np.int64]]]:
    """Distinct components of (G, c) wave vectors along both axes, and where those of each wave stand among them."""
    components = np.zeros((len(wavevectors), 2))
    components[:, : wavevectors.shape[1]] = wavevectors
    found = []
    for values in components.T:
        _, place, index = np.unique(values.round(_SAME), return_index=True, return_inverse=True)
        found.append((values[place], index))
    return found
