"""Scores against numbers worked out by hand, and against scikit-learn's formulas written anew."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from glideflow.transfer.dataset import Target
from glideflow.transfer.metrics import LEVELS, coverage, errors_log10, median_factor_interval, score


def target(values_mpa: list[float], censored: list[bool] | None = None, floor_mpa: float = 0.1) -> Target:
    return Target(
        log10_mpa=np.log10(np.maximum(values_mpa, floor_mpa)),
        censored=np.array(censored or [False] * len(values_mpa)),
        floor_mpa=floor_mpa,
    )


NONE = np.full(4, np.nan)


def test_a_perfect_prediction() -> None:
    truth = target([1.0, 10.0, 3.0, 0.2])
    found = score(truth.log10_mpa, NONE, truth)
    assert (found.median_factor, found.p90_factor, found.bias_factor) == (1.0, 1.0, 1.0)
    assert (found.r2_log10, found.spearman, found.r2_mpa) == (1.0, pytest.approx(1.0), 1.0)
    assert found.rmse_mpa == 0.0
    assert np.isnan(found.coverage).all()


def test_scores_by_hand() -> None:
    """Factors 2, 1/4, 1 and 10 of the truth."""
    truth = target([1.0, 10.0, 3.0, 0.2])
    predicted = np.log10([2.0, 2.5, 3.0, 2.0])
    found = score(predicted, NONE, truth)
    assert found.median_factor == pytest.approx(10 ** np.mean(np.log10([2, 4])))
    assert found.p90_factor == pytest.approx(10 ** np.quantile(np.log10([1, 2, 4, 10]), 0.9))
    assert found.bias_factor == pytest.approx(10 ** (np.log10([1, 2]).mean()))
    assert found.median_error_mpa == pytest.approx(np.median([1.0, 7.5, 0.0, 1.8]))
    assert found.rmse_mpa == pytest.approx(np.sqrt(np.mean(np.square([1.0, 7.5, 0.0, 1.8]))))
    errors = np.log10([2, 0.25, 1, 10])
    total = np.sum((truth.log10_mpa - truth.log10_mpa.mean()) ** 2)
    assert found.r2_log10 == pytest.approx(1 - np.sum(errors**2) / total)
    assert found.rmse_log10 == pytest.approx(np.sqrt(np.mean(errors**2)))


def test_what_is_at_or_below_a_bound_is_right() -> None:
    """A bound of 1 MPa: 0.3 and 1 are right, 5 errs by a factor of 5."""
    truth = target([1.0] * 3, [True] * 3)
    np.testing.assert_allclose(errors_log10(np.log10([0.3, 1.0, 5.0]), truth), np.log10([1, 1, 5]))


def test_predictions_below_the_floor_count_as_the_floor() -> None:
    truth = target([0.01, 0.1, 1.0], [True, False, False])
    np.testing.assert_allclose(errors_log10(np.log10([1e-4, 1e-4, 1e-4]), truth), np.log10([1, 1, 0.1]), atol=1e-12)


def test_rank_correlation_needs_something_to_rank() -> None:
    truth = target([1.0, 10.0, 3.0, 0.2])
    assert np.isnan(score(np.zeros(4), NONE, truth).spearman)
    assert score(-truth.log10_mpa, NONE, truth).spearman == pytest.approx(-1.0)


@pytest.mark.parametrize("spread", [0.2, 0.6])
def test_intervals_of_the_right_width_cover_their_level(spread: float) -> None:
    generator = np.random.default_rng(0)
    centre = generator.uniform(3, 5, 40_000)  # far from the floor
    truth = Target(
        log10_mpa=centre + spread * generator.normal(size=40_000), censored=np.zeros(40_000, bool), floor_mpa=0.1
    )
    levels = np.array(LEVELS)
    found = coverage(centre, np.full(40_000, spread), truth, levels)
    np.testing.assert_allclose(found, levels, atol=0.01)
    half = coverage(centre, np.full(40_000, spread / 2), truth, levels)
    np.testing.assert_allclose(half, 2 * norm.cdf(norm.ppf((1 + levels) / 2) / 2) - 1, atol=0.01)


def test_a_censored_target_is_inside_if_anything_below_it_is() -> None:
    truth = target([1.0] * 3, [True] * 3)
    levels = np.array([0.6827])
    inside = coverage(np.log10([0.01, 1.5, 30.0]), np.full(3, 0.3), truth, levels)
    assert inside[0] == pytest.approx(2 / 3)


def test_the_interval_of_the_median_is_that_of_order_statistics() -> None:
    """For independent samples the median of n lies between order statistics with binomial probability."""
    from scipy.stats import binom

    errors = np.sort(np.abs(np.random.default_rng(3).normal(size=201)))
    low, high = median_factor_interval(errors, [str(k) for k in range(201)], draws=4000)
    ranks = binom.ppf([0.05, 0.95], 201, 0.5).astype(int)
    np.testing.assert_allclose(np.log10([low, high]), errors[ranks], rtol=0.05)


def test_relatives_count_once_for_the_interval() -> None:
    errors = np.abs(np.random.default_rng(3).normal(size=40))
    alone = median_factor_interval(errors, [str(k) for k in range(40)])
    copied = median_factor_interval(np.repeat(errors, 5), [str(k) for k in range(40) for _ in range(5)])
    assert copied == pytest.approx(alone, rel=1e-12)
