"""Features of the model `best`: closed forms, what they do not read, and what they do without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from glideflow.transfer.best_features import (
    LOG10_ENERGY_FACTOR,
    best_features,
    core_averages,
    elastic_shape,
    gamma_shape,
    stress_name,
)
from glideflow.transfer.core_solutions import STUDIES, part_of
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.features import Features

Invented = Callable[..., TransferDataset]


def column(features: Features, name: str) -> np.ndarray:
    return features.values[:, features.names.index(name)]


def test_landmarks_of_a_sinusoid(invented: Invented) -> None:
    """γ = h (1 - cos 2πx/b)/2 along b: largest slope πh/b at b/4, curvature 2π²h/b², no higher waves."""
    dataset = invented(4)
    found = gamma_shape(dataset)
    height = dataset.gamma_mj_m2[:, :, 0].max(axis=1) / np.sin(np.pi * 15 / 31) ** 2
    scaled = height / (dataset.energy_factor_gpa * dataset.burgers_angstrom * 100)
    np.testing.assert_allclose(column(found, "log10 slope / energy factor"), np.log10(np.pi * scaled), atol=1e-4)
    np.testing.assert_allclose(column(found, "steepest at"), 0.25, atol=2e-3)
    np.testing.assert_allclose(column(found, "log10 curvature b / energy factor"), np.log10(2 * np.pi**2 * scaled))
    np.testing.assert_allclose(column(found, "log10 line / (energy factor b)"), np.log10(scaled), atol=1e-9)
    np.testing.assert_allclose(column(found, "halfway / line"), 1)
    for wave in (2, 3, 4):
        np.testing.assert_allclose(column(found, f"wave {wave} / wave 1"), 0, atol=1e-9)
    np.testing.assert_allclose(column(found, "half width / row spacing"), 1 / (4 * np.pi**2 * scaled) / 0.5, rtol=1e-4)


def test_averages_of_known_cores() -> None:
    """Of stresses that fall by a power of the factor, and of one study only."""
    factors = np.array(STUDIES[0].factors)
    cores = np.full((1, part_of(STUDIES[-1]).stop, 3), 1e-3)
    cores[0, part_of(STUDIES[0]), 0] = 1e-3 * factors**-4.0
    cores[0, part_of(STUDIES[1]), 0] = np.nan
    found = core_averages(cores)
    assert column(found, stress_name("rows"))[0] == pytest.approx(-3 - 4 * np.log10(factors).mean())
    assert column(found, "rows: largest")[0] == pytest.approx(-3 - 4 * np.log10(factors[factors > 0.85][0]))
    assert column(found, "rows: decay")[0] < 0
    assert column(found, stress_name("quarter"))[0] == -8, "no stress counts as none that is resolved"
    assert column(found, stress_name("layer"))[0] == pytest.approx(-3)
    assert column(found, "layer: deviation")[0] == pytest.approx(0, abs=1e-12)


def test_features_are_finite_and_have_names_of_their_own(shipped: TransferDataset) -> None:
    found = best_features(shipped, np.arange(len(shipped)))
    assert np.isfinite(found.values).all()
    assert len(set(found.names)) == found.values.shape[1]


def test_a_sample_of_elastic_constants_and_gamma_alone_will_do(shipped: TransferDataset) -> None:
    """Nothing else is read: neither metal nor family, neither stresses nor Peierls-Nabarro values."""
    expected = best_features(shipped, np.array([7]))
    one = shipped.select(np.array([7]))
    blank = np.full(1, np.nan)
    bare = replace(
        one,
        potential_ids=("mine",),
        elements=("X",),
        families=("",),
        sources=("",),
        flags=("",),
        gamma_error_mj_m2=blank,
        peierls_mpa=blank,
        peierls_error_mpa=blank,
        resolution_mpa=blank,
        peierls_nabarro_mpa=one.peierls_nabarro_mpa * np.nan,
        peierls_nabarro_width_angstrom=one.peierls_nabarro_mpa * np.nan,
        partial_separation_angstrom=one.peierls_nabarro_mpa * np.nan,
    )
    found = best_features(bare, np.array([0]))
    assert found.names == expected.names
    np.testing.assert_array_equal(found.values, expected.values)


def test_all_but_one_have_no_units(invented: Invented) -> None:
    dataset = invented(2)
    fields = ("energy_tensor_gpa", "energy_factor_gpa", "layer_stiffness_gpa", "elastic_gpa", "stiffness_gpa")
    every = (*fields, "shear_modulus_gpa", "gamma_mj_m2")
    stiffer = replace(dataset, **{name: getattr(dataset, name) * 10 for name in every})  # type: ignore[arg-type]
    for make in (elastic_shape, gamma_shape):
        first, second = make(dataset), make(stiffer)
        change = second.values - first.values
        expected = np.array([name == LOG10_ENERGY_FACTOR for name in first.names], dtype=float)
        np.testing.assert_allclose(change, np.tile(expected, (2, 1)), atol=1e-9)
