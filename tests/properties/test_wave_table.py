from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from glideflow.properties.wave_table import wave_table

FloatArray = NDArray[np.float64]


def plainly(waves: FloatArray, cosine: FloatArray, sine: FloatArray, points: FloatArray) -> tuple[FloatArray, ...]:
    """Value, gradient and Hessian of one sum of waves (G, c), wave by wave."""
    phase = points @ waves.T
    value = np.cos(phase) @ cosine + np.sin(phase) @ sine
    gradient = (np.cos(phase) * sine - np.sin(phase) * cosine) @ waves
    products = waves[:, :, None] * waves[:, None, :]
    hessian = -np.einsum("ng,gcd->ncd", np.cos(phase) * cosine + np.sin(phase) * sine, products)
    return value, gradient, hessian


def lattice_waves(generator: np.random.Generator, components: int, count: int = 40) -> FloatArray:
    """Wave vectors of a plane lattice; the second components repeat, and so do some whole vectors."""
    numbers = generator.integers(-4, 5, size=(count, components))
    return np.asarray(2 * np.pi * numbers / np.array([1.0, 1.633])[:components])


@pytest.mark.parametrize("components", [1, 2])
@pytest.mark.parametrize("shared", [True, False], ids=["shared waves", "waves of their own"])
def test_sums_and_derivatives_are_those_of_the_waves_one_by_one(components: int, shared: bool) -> None:
    generator = np.random.default_rng(5)
    waves = np.array([lattice_waves(generator, components) for _ in range(1 if shared else 3)])
    cosine, sine = generator.normal(size=(2, 3, 40))
    points = generator.normal(size=(3, 11, components))
    found = wave_table(waves, cosine, sine).sums(points)
    for index in range(3):
        expected = plainly(waves[0 if shared else index], cosine[index], sine[index], points[index])
        for part, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(part[index], wanted, rtol=1e-12, atol=1e-10)


def test_waves_that_a_line_cannot_tell_apart_become_one() -> None:
    """Of a grid of 30 x 30 points a dislocation along b sees 16 waves instead of 450."""
    first, second = np.meshgrid(np.arange(16.0), np.arange(-15.0, 16.0), indexing="ij")
    waves = 2 * np.pi * np.stack([first.ravel(), second.ravel()], axis=1)
    table = wave_table(waves[None, :, :1], np.ones((1, len(waves))), np.zeros((1, len(waves))))
    assert table.amplitude.shape == (1, 16, 1)
    np.testing.assert_allclose(table.amplitude, 31)


def test_components_that_differ_by_rounding_are_one() -> None:
    waves = 2 * np.pi * np.array([[1.0, 0.5], [1.0 + 1e-15, -0.5]])
    assert wave_table(waves[None], np.ones((1, 2)), np.zeros((1, 2))).amplitude.shape == (1, 1, 2)


def test_waves_that_are_no_multiples_of_one_are_summed_one_by_one() -> None:
    waves = np.array([[[0.0], [1.0], [np.sqrt(2)], [-np.pi]]])
    cosine, sine = np.random.default_rng(2).normal(size=(2, 1, 4))
    points = np.linspace(-3, 3, 7)[None, :, None]
    for part, wanted in zip(
        wave_table(waves, cosine, sine).sums(points), plainly(waves[0], cosine[0], sine[0], points[0]), strict=True
    ):
        np.testing.assert_allclose(part[0], wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shared", [True, False], ids=["shared waves", "waves of their own"])
def test_some_sums_are_what_they_are_among_all(shared: bool) -> None:
    generator = np.random.default_rng(7)
    waves = np.array([lattice_waves(generator, 2, 12) for _ in range(1 if shared else 3)])
    cosine, sine = generator.normal(size=(2, 3, 12))
    points = generator.normal(size=(3, 5, 2))
    table = wave_table(waves, cosine, sine)
    every = table.sums(points)
    for chosen in (np.array([False, True, True]), np.array([2, 0])):
        for part, wanted in zip(table.take(chosen).sums(points[chosen]), every, strict=True):
            np.testing.assert_allclose(part, wanted[chosen], rtol=1e-14, atol=1e-14)
