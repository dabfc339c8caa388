"""Trigonometric interpolation, against polynomials that it has to reproduce."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample

from glideflow.transfer.periodic import grid_fractions, resampled, values_at


def polynomial(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    first, second = 2 * np.pi * x[:, None], 2 * np.pi * y[None, :]
    return (
        3 + np.cos(first) * np.sin(2 * second) - 0.3 * np.sin(4 * first - 3 * second) + np.cos(5 * second) + 0 * first
    )


@pytest.mark.parametrize("points", [11, 12, 30, 31])
def test_what_a_grid_resolves_is_exact_everywhere(points: int) -> None:
    grid = grid_fractions(points)
    x, y = np.array([0.123, 0.5, -2.7, 1.0]), np.array([0.31, 7.77])
    image = polynomial(grid, grid)
    np.testing.assert_allclose(resampled(image, x, y), polynomial(x, y), atol=1e-12)
    pairs = np.stack([np.repeat(x, 2), np.tile(y, 4)], axis=1)
    np.testing.assert_allclose(values_at(image, pairs), polynomial(x, y).ravel(), atol=1e-12)


@given(points=st.integers(5, 32), seed=st.integers(0, 100))
def test_given_values_come_back(points: int, seed: int) -> None:
    image = np.random.default_rng(seed).normal(size=(2, points, 7))
    np.testing.assert_allclose(resampled(image, grid_fractions(points), grid_fractions(7)), image, atol=1e-12)


@pytest.mark.parametrize(("points", "finer"), [(30, 31), (15, 45), (16, 33)])
def test_one_axis_agrees_with_an_independent_code(points: int, finer: int) -> None:
    values = np.random.default_rng(1).normal(size=points)
    ours = resampled(np.tile(values[:, None], (1, 3)), grid_fractions(finer), np.zeros(1))[:, 0]
    np.testing.assert_allclose(ours, resample(values, finer), atol=1e-12)


def test_an_odd_grid_can_be_shifted_there_and_back() -> None:
    image = np.random.default_rng(2).normal(size=(31, 31))
    grid = grid_fractions(31)
    there = resampled(image, grid + 0.137, grid - 0.41)
    np.testing.assert_allclose(resampled(there, grid - 0.137, grid + 0.41), image, atol=1e-12)
