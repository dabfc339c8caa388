"""How good predictions are, on the scale of the logarithm and in MPa.

The rule for censored samples, whose truth may lie below their target (upper bounds, and stresses below the floor): a
prediction at or below the target is right, one above errs by what it exceeds it. Predictions below the floor count as
the floor, as targets do. So no sample is left out, and none is scored against a number that nobody knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.storage import record
from glideflow.transfer.dataset import Target

LEVELS = (0.5, 0.68, 0.9, 0.95)
"""Nominal levels at which intervals are checked."""


@record
@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of m predictions.

    Attributes:
        samples: m.
        censored: how many of them are censored.
        median_factor: median of 10^|error|: the factor by which a prediction errs, up or down.
        p90_factor: 90th percentile of the same.
        bias_factor: 10^(median error): above 1 for predictions that are too high.
        rmse_log10: root mean square error of log₁₀.
        r2_log10: 1 - Σ error²/Σ (target - mean)² on the scale of log₁₀; NaN where all targets are equal.
        spearman: rank correlation of prediction and target; NaN for fewer than three samples, or equal predictions.
        rmse_mpa: root mean square error in MPa.
        median_error_mpa: median of |error| in MPa.
        r2_mpa: R² on the scale of MPa.
        levels: (L,) nominal levels of the intervals.
        coverage: (L,) share of the targets inside; NaN from a model without intervals.
        median_spread_log10: median of the spread; NaN as above.
    """

    samples: int
    censored: int
    median_factor: float
    p90_factor: float
    bias_factor: float
    rmse_log10: float
    r2_log10: float
    spearman: float
    rmse_mpa: float
    median_error_mpa: float
    r2_mpa: float
    levels: FloatArray
    coverage: FloatArray
    median_spread_log10: float


def errors_log10(predicted_log10_mpa: FloatArray, target: Target) -> FloatArray:
    """(m,) errors of log₁₀ by the rule for censored samples: prediction - target, but no less than 0 for these."""
    errors = floored(predicted_log10_mpa, target.floor_mpa) - target.log10_mpa
    return np.where(target.censored, np.maximum(errors, 0.0), errors)


def floored(predicted_log10_mpa: FloatArray, floor_mpa: float) -> FloatArray:
    """Predictions of which none is below the floor."""
    return np.asarray(np.maximum(predicted_log10_mpa, np.log10(floor_mpa)))


def score(predicted_log10_mpa: FloatArray, spread_log10: FloatArray, target: Target) -> Scores:
    """Score predictions.

    Args:
        predicted_log10_mpa: (m,) predictions.
        spread_log10: (m,) their standard deviations; NaN from a model without.
        target: targets of the same samples, all of them known.
    """
    errors = errors_log10(predicted_log10_mpa, target)
    # What a censored prediction is compared with in MPa is its target plus the error that counts.
    truth_mpa, found_mpa = 10**target.log10_mpa, 10 ** (target.log10_mpa + errors)
    errors_mpa = found_mpa - truth_mpa
    return Scores(
        samples=len(errors),
        censored=int(target.censored.sum()),
        median_factor=float(10 ** np.median(np.abs(errors))),
        p90_factor=float(10 ** np.quantile(np.abs(errors), 0.9)),
        bias_factor=float(10 ** np.median(errors)),
        rmse_log10=_root_mean_square(errors),
        r2_log10=_r2(errors, target.log10_mpa),
        spearman=_spearman(floored(predicted_log10_mpa, target.floor_mpa), target.log10_mpa),
        rmse_mpa=_root_mean_square(errors_mpa),
        median_error_mpa=float(np.median(np.abs(errors_mpa))),
        r2_mpa=_r2(errors_mpa, truth_mpa),
        levels=np.array(LEVELS),
        coverage=coverage(predicted_log10_mpa, spread_log10, target, np.array(LEVELS)),
        median_spread_log10=float(np.median(spread_log10)),
    )


def coverage(
    predicted_log10_mpa: FloatArray, spread_log10: FloatArray, target: Target, levels: FloatArray
) -> FloatArray:
    """(L,) share of the targets inside the central intervals of normal distributions with these spreads.

    A censored target is inside if any value at or below it is, that is if the lower end of the interval is. Ends below
    the floor count as the floor.

    Args:
        predicted_log10_mpa: (m,) centres.
        spread_log10: (m,) standard deviations; NaN gives NaN.
        target: the targets.
        levels: (L,) nominal shares, between 0 and 1.
    """
    from scipy.stats import norm

    if not np.isfinite(spread_log10).all():
        return np.full(len(levels), np.nan)
    reach = norm.ppf((1 + np.asarray(levels)) / 2)[:, None] * spread_log10  # (L, m)
    low, high = (floored(predicted_log10_mpa + sign * reach, target.floor_mpa) for sign in (-1, 1))
    inside: NDArray[np.bool_] = (low <= target.log10_mpa) & (target.censored | (target.log10_mpa <= high))
    return np.asarray(inside.mean(axis=1))


def median_factor_interval(
    errors: FloatArray, families: Sequence[str], *, level: float = 0.9, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """How well the median factor is known from so few families: bounds by the bootstrap.

    Families are drawn with replacement, not samples: relatives err alike. Efron and Tibshirani, An Introduction to the
    Bootstrap (1993), chapter 13.

    Args:
        errors: (m,) errors of log₁₀.
        families: (m) family of each sample.
        level: share of the draws inside.
        draws: number of draws.
        seed: seed of the draws.

    Returns:
        The lower and the upper bound of the median factor.
    """
    drawn = _drawn(families, draws, seed)
    order = np.argsort(np.abs(errors))
    weights = drawn[:, order].cumsum(axis=1)  # (draws, m) samples drawn up to each
    middle = (weights >= weights[:, -1:] / 2).argmax(axis=1)
    low, high = np.quantile(np.abs(errors)[order][middle], [(1 - level) / 2, (1 + level) / 2])
    return float(10**low), float(10**high)


def mean_interval(
    values: FloatArray, families: Sequence[str], *, level: float = 0.9, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """How well a mean is known from so few families: bounds by the same bootstrap.

    Args:
        values: (m,) values.
        families: (m) family of each sample.
        level: share of the draws inside.
        draws: number of draws.
        seed: seed of the draws.
    """
    drawn = _drawn(families, draws, seed)
    low, high = np.quantile(drawn @ values / drawn.sum(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _drawn(families: Sequence[str], draws: int, seed: int) -> IntArray:
    """(draws, m) how often each sample is in a sample of families drawn with replacement."""
    names, family = np.unique(np.array(families), return_inverse=True)
    counts = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return np.asarray(counts[:, family])


def _root_mean_square(errors: FloatArray) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def _r2(errors: FloatArray, targets: FloatArray) -> float:
    total = float(np.sum((targets - targets.mean()) ** 2))
    return 1.0 - float(np.sum(errors**2)) / total if total > 0 else np.nan


def _spearman(predicted: FloatArray, targets: FloatArray) -> float:
    from scipy.stats import spearmanr

    if min(len(np.unique(predicted)), len(np.unique(targets))) < 2 or len(targets) < 3:
        return np.nan
    return float(spearmanr(predicted, targets).statistic)
