from __future__ import annotations

import numpy as np
import pytest

from glideflow.properties.peierls_nabarro_closed import half_width, joos_duesbery_stress, partial_distance


def summed_stress(factor: float, burgers: float, width: float, spacing: float) -> float:
    """Largest slope of the misfit energy of an arctan core, row by row."""
    slope = factor * burgers / (4 * np.pi * width)

    def misfit(centre: np.ndarray) -> np.ndarray:
        rows = np.arange(-1500, 1501)[:, None] * spacing - centre
        disregistry = burgers / 2 + burgers / np.pi * np.arctan(rows / width)
        return spacing * slope * burgers / (2 * np.pi) * (1 - np.cos(2 * np.pi * disregistry / burgers)).sum(axis=0)

    centre = np.linspace(0, spacing, 1001)
    return float(np.abs(np.gradient(misfit(centre), centre)).max() / burgers)


@pytest.mark.parametrize("width", [0.05, 0.3, 1.0, 2.0])
def test_the_closed_form_is_the_sum_over_rows(width: float) -> None:
    expected = summed_stress(60.0, 2.5, width, 1.25)
    assert joos_duesbery_stress(60.0, 2.5, width, 1.25) == pytest.approx(expected, rel=1e-3)


def test_limits_of_wide_and_narrow_cores() -> None:
    """Joós and Duesbery's limits: (K b/a) exp(-2πΓ), and (3√3/8) τ_max a/(π ζ)."""
    wide = joos_duesbery_stress(60.0, 2.5, 12.0, 1.25)
    assert wide == pytest.approx(60.0 * 2.5 / 1.25 * np.exp(-2 * np.pi * 12.0 / 1.25), rel=1e-6)
    width = 1e-3
    slope = 60.0 * 2.5 / (4 * np.pi * width)
    narrow = 3 * np.sqrt(3) / 8 * slope * 1.25 / (np.pi * width)
    assert joos_duesbery_stress(60.0, 2.5, width, 1.25) == pytest.approx(narrow, rel=1e-4)
    assert joos_duesbery_stress(60.0, 2.5, 1e4, 1.25) == 0.0


def test_half_width_solves_the_continuum_equation() -> None:
    """K/(2π) ∫ δ'(x')/(x - x') dx' = τ_max sin 2πδ/b for the arctan of this width."""
    factor, burgers, slope = 60.0, 2.5, 4.0
    width = float(half_width(factor, burgers, slope))
    x = np.array([0.3, 1.0, 4.0]) * width
    elastic = factor * burgers / (2 * np.pi) * x / (x**2 + width**2)  # Hilbert transform of the Lorentzian
    disregistry = burgers / 2 + burgers / np.pi * np.arctan(x / width)
    np.testing.assert_allclose(elastic, -slope * np.sin(2 * np.pi * disregistry / burgers), rtol=1e-12)


def test_partial_distance_of_isotropic_shockley_partials() -> None:
    """μ b_p²/(8π γ) (2 - ν)/(1 - ν) (1 - 2ν cos 2β/(2 - ν)), β = 90° for the edge: Hirth and Lothe, equation 10-15."""
    shear, poisson, partial, fault = 0.3, 0.33, 1.5, 0.003
    tensor = np.diag([shear / (1 - poisson), shear])
    leading, trailing = (partial * np.array([np.cos(np.pi / 6), sign * np.sin(np.pi / 6)]) for sign in (1, -1))
    expected = (
        shear * partial**2 / (8 * np.pi * fault) * (2 - poisson) / (1 - poisson) * (1 + 2 * poisson / (2 - poisson))
    )
    assert partial_distance(tensor, leading, trailing, fault) == pytest.approx(expected)
