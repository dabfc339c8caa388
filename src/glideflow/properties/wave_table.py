"""Sums of plane waves on a lattice of wave vectors, with their first and second derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.int64]

_SAME = 9
"""Decimals to which components of wave vectors are one and the same."""
_MOST_MULTIPLES = 64
"""Of the shortest wave: up to here products cost less than an exponential for each wave, and err by rounding alone."""


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

    def take(self, chosen: BoolArray | IntArray) -> WaveTable:
        """Some of the sums."""
        shared = len(self.first) == 1
        part = WaveTable(
            self.first if shared else self.first[chosen],
            self.second if shared else self.second[chosen],
            self.amplitude[chosen],
        )
        if shared:  # what is known of all is known of some
            part.__dict__.update({name: self.__dict__[name] for name in _OF_WAVES & self.__dict__.keys()})
        part.__dict__.update({name: self.__dict__[name][chosen] for name in _OF_SUMS & self.__dict__.keys()})
        return part

    def sums(self, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(B, n) sums of the waves, their (B, n, c) gradients and (B, n, c, c) Hessians at (B, n, c) points."""
        along = self._along.at(points[..., 0])  # (B, P, n)
        if points.shape[2] == 1:
            value, once, twice = (self._on_a_line @ along).transpose(1, 0, 2)  # (B, n) each
            return value.real, -once.imag[..., None], -twice.real[..., None, None]
        across = self._across.at(points[..., 1])  # (B, Q, n)
        none, once, twice = (self._in_the_plane @ across).reshape(len(along), 3, -1, along.shape[2]).swapaxes(0, 1)
        p = self.first[:, :, None]
        none, once = none * along, once * along  # (B, P, n)
        slope, other_slope = -(p * none.imag).sum(axis=1), -once.imag.sum(axis=1)
        curvature, mixed = -(p**2 * none.real).sum(axis=1), -(p * once.real).sum(axis=1)
        other = -(twice * along).real.sum(axis=1)
        hessian = np.stack([curvature, mixed, mixed, other], axis=2).reshape(*slope.shape, 2, 2)
        return none.real.sum(axis=1), np.stack([slope, other_slope], axis=2), hessian

    @cached_property
    def _along(self) -> _Multiples:
        return _multiples(self.first)

    @cached_property
    def _across(self) -> _Multiples:
        return _multiples(self.second)

    @cached_property
    def _on_a_line(self) -> ComplexArray:
        """(B, 3, P) amplitudes of the sum and, but for powers of i, of its first and second derivative."""
        amplitude = self.amplitude.sum(axis=2)
        return np.stack([amplitude, self.first * amplitude, self.first**2 * amplitude], axis=1)

    @cached_property
    def _in_the_plane(self) -> ComplexArray:
        """(B, 3 P, Q) amplitudes of the sum and, but for powers of i, of its derivatives by the second component."""
        q = self.second[:, None]
        found = np.stack([self.amplitude, q * self.amplitude, q**2 * self.amplitude], axis=1)
        return found.reshape(len(found), -1, found.shape[-1])


_OF_WAVES = {"_along", "_across"}
"""Cached properties of a table that belong to its waves."""
_OF_SUMS = {"_on_a_line", "_in_the_plane"}
"""Cached properties of a table that have a row for each sum."""


@dataclass(frozen=True)
class _Multiples:
    """Exponentials exp(i g x) of wave numbers g, most often multiples of one.

    Attributes:
        number: (W, P) wave numbers g.
        unit: (W, 1) numbers that they are multiples of.
        multiple: (P,) which; None where there is no such unit for all of them.
    """

    number: FloatArray
    unit: FloatArray
    multiple: IntArray | None

    def at(self, points: FloatArray) -> ComplexArray:
        """(B, P, n) exponentials at (B, n) points."""
        if self.multiple is None:
            return np.asarray(np.exp(1j * self.number[:, :, None] * points[:, None]))
        powers = _powers(np.exp(1j * self.unit * points), int(np.abs(self.multiple).max()) + 1)
        if np.array_equal(self.multiple, np.arange(powers.shape[1])):
            return powers
        found = powers[:, np.abs(self.multiple)]
        np.conjugate(found, out=found, where=(self.multiple < 0)[:, None])
        return found


def _multiples(number: FloatArray) -> _Multiples:
    """Wave numbers (W, P), and what they are multiples of."""
    size = np.abs(number)
    unit = np.where(size > 0, size, np.inf).min(axis=1, keepdims=True)
    unit = np.where(np.isfinite(unit), unit, 1.0)
    multiple = np.rint(number / unit)
    common = bool(np.all(multiple == multiple[:1]) and np.allclose(multiple * unit, number, rtol=1e-13, atol=0))
    if not common or np.abs(multiple).max() > _MOST_MULTIPLES:
        return _Multiples(number, unit, None)
    return _Multiples(number, unit, multiple[0].astype(np.int64))


def _powers(base: ComplexArray, count: int) -> ComplexArray:
    """(B, k, n) the first k powers of numbers (B, n), the zeroth included."""
    found = np.empty((len(base), count, base.shape[1]), dtype=np.complex128)
    found[:, 0] = 1.0
    known, step = 1, base[:, None]
    while known < count:
        more = min(known, count - known)
        np.multiply(found[:, :more], step, out=found[:, known : known + more])
        known, step = known + more, step**2
    return found


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
