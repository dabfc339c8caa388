"""Baselines on invented samples whose law is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from glideflow.config.transfer import TransferValidationSettings
from glideflow.errors import PropertyError
from glideflow.transfer.baselines import BASELINES, FittedPeierlsNabarro, baseline
from glideflow.transfer.dataset import TransferDataset, target_log10
from glideflow.transfer.models import FittedModel, Prediction, Regressor

Invented = Callable[..., TransferDataset]
NEED_SKLEARN = {"ridge", "forest", "forest_pn"}


@pytest.fixture(params=BASELINES)
def recipe(request: pytest.FixtureRequest) -> Regressor:
    if request.param in NEED_SKLEARN:
        pytest.importorskip("sklearn")
    return baseline(request.param)


def test_every_baseline_is_a_regressor(recipe: Regressor, invented: Invented) -> None:
    assert isinstance(recipe, Regressor)
    dataset = invented(18)
    fitted = recipe.fit(dataset, np.arange(12), 0)
    assert isinstance(fitted, FittedModel)
    found = fitted.predict(dataset, np.arange(12, 18))
    assert found.log10_mpa.shape == found.spread_log10.shape == (6,)
    assert np.all(found.spread_log10 >= 0)


def test_no_baseline_reads_other_samples_or_targets(recipe: Regressor, invented: Invented) -> None:
    dataset = invented(18, noise=0.3)
    train, rest = np.arange(12), np.arange(12, 18)
    expected = recipe.fit(dataset, train, 3).predict(dataset, rest)
    altered = dataset.peierls_mpa.copy()
    altered[rest] = 1e9
    found = recipe.fit(replace(dataset, peierls_mpa=altered), train, 3).predict(dataset, rest)
    np.testing.assert_array_equal(found.log10_mpa, expected.log10_mpa)
    alone = recipe.fit(dataset.select(train), np.arange(12), 3).predict(dataset.select(rest), np.arange(6))
    np.testing.assert_allclose(alone.log10_mpa, expected.log10_mpa, rtol=1e-12)


def test_the_settings_name_every_baseline_and_the_best_model() -> None:
    assert set(TransferValidationSettings().models) == {*BASELINES, "best"}


def test_metal_averages(invented: Invented) -> None:
    dataset = replace(invented(6), peierls_mpa=np.array([1.0, 10.0, 5.0, 100.0, 10.0, 5.0]))
    mean, median = (baseline(name).fit(dataset, np.arange(4), 0) for name in ("metal_mean", "metal_median"))
    # Cu at 0 and 3 (1 and 100 MPa), Ni at 1, Al at 2.
    np.testing.assert_allclose(mean.predict(dataset, np.array([3, 4, 5])).log10_mpa, np.log10([10, 10, 5]))
    unseen = replace(dataset, elements=("Pd",) * 6)
    known = np.log10([1.0, 10.0, 5.0, 100.0])
    assert mean.predict(unseen, np.array([0])).log10_mpa[0] == pytest.approx(known.mean())
    assert median.predict(unseen, np.array([0])).log10_mpa[0] == pytest.approx(np.median(known))


def test_the_two_numbers_of_a_fit_are_found(invented: Invented) -> None:
    """The invented surface model is log τ_PN = log τ/2 + 1/2, so that log τ = 2 log τ_PN - 1."""
    dataset = invented(20)
    strong = dataset.select(np.flatnonzero((dataset.peierls_mpa > 0.11) & (dataset.peierls_nabarro("surface") > 0.11)))
    fitted = baseline("semidiscrete_pn_fit").fit(strong, np.arange(len(strong)), 0)
    assert isinstance(fitted, FittedPeierlsNabarro)
    assert (fitted.offset, fitted.slope) == (pytest.approx(-1.0), pytest.approx(2.0))
    raw = baseline("semidiscrete_pn").fit(strong, np.arange(len(strong)), 0).predict(strong, np.arange(len(strong)))
    np.testing.assert_allclose(raw.log10_mpa, np.log10(strong.peierls_nabarro("surface")))


def test_a_sample_without_a_continuum_stress_gets_the_median(invented: Invented) -> None:
    dataset = invented(9)
    stresses = dataset.peierls_nabarro_mpa.copy()
    stresses[8] = np.nan
    dataset = replace(dataset, peierls_nabarro_mpa=stresses)
    found = baseline("semidiscrete_pn").fit(dataset, np.arange(8), 0).predict(dataset, np.array([8]))
    assert found.log10_mpa[0] == pytest.approx(np.median(target_log10(dataset).log10_mpa[:8]))
    one = replace(dataset, peierls_nabarro_mpa=np.where(np.arange(9)[:, None] == 0, stresses, np.nan))
    fitted = baseline("semidiscrete_pn_fit").fit(one, np.arange(8), 0)  # one point fits any line
    assert fitted.predict(one, np.array([8])).spread_log10[0] > 0.3
    none = replace(dataset, peierls_nabarro_mpa=np.full_like(stresses, np.nan))
    assert np.isfinite(
        baseline("semidiscrete_pn_fit").fit(none, np.arange(8), 0).predict(none, np.arange(9)).log10_mpa
    ).all()


@pytest.mark.parametrize(("name", "error"), [("ridge", 0.15), ("forest", 0.5)])
def test_regressions_learn_the_law(invented: Invented, name: str, error: float) -> None:
    pytest.importorskip("sklearn")
    dataset = invented(80)
    known = np.flatnonzero(dataset.peierls_mpa > 0.2)
    train, rest = known[:50], known[50:]
    found = baseline(name).fit(dataset, train, 0).predict(dataset, rest)
    errors = found.log10_mpa - np.log10(dataset.peierls_mpa[rest])
    assert np.sqrt(np.mean(errors**2)) < error
    assert found.spread_log10[0] < 2 * error


def test_only_the_forest_depends_on_the_seed(invented: Invented, recipe: Regressor) -> None:
    dataset = invented(24, noise=0.5)
    one, again, other = (
        recipe.fit(dataset, np.arange(18), seed).predict(dataset, np.arange(18, 24)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.log10_mpa, again.log10_mpa)
    assert np.array_equal(one.log10_mpa, other.log10_mpa) != getattr(recipe, "uses_seed", True)


def test_predictions_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(PropertyError, match="1 of 2 predictions"):
        Prediction(log10_mpa=np.array([1.0, np.nan]), spread_log10=np.zeros(2))
    with pytest.raises(PropertyError, match="shape"):
        Prediction(log10_mpa=np.zeros(2), spread_log10=np.zeros(1))
