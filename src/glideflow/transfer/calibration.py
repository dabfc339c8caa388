"""Intervals that hold what they promise: spreads of an ensemble, turned into widths by residuals of held-out samples.

The members of an ensemble agree more than they deserve to. Two numbers mend that: the width of a prediction is
√(offset² + (slope · spread)²), with the offset and slope under which the residuals are most likely. Censored samples
enter with the probability that the truth lies below their bound (J. Tobin, Econometrica 26, 24 (1958)). What share of a
normal distribution lies within a number of widths is then either believed (``scaled``), or counted on the residuals
themselves (``conformal``): V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World (2005), with the
normalised residuals of H. Papadopoulos et al., Proc. ECML 2002, 345.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import FloatArray
from glideflow.errors import PropertyError
from glideflow.transfer.dataset import Target
from glideflow.transfer.metrics import LEVELS, errors_log10, floored
from glideflow.transfer.models import Prediction

FEWEST_RESIDUALS = 10
_NARROWEST_LOG10 = 1e-3
"""Width below which no prediction is believed: the noise of the targets alone is ten times that."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How spreads become widths, and widths intervals.

    Attributes:
        method: ``scaled`` or ``conformal``.
        offset_log10: width of a prediction without spread.
        slope: factor of the spread.
        levels: (L) nominal levels, ascending.
        factors: (L) widths to each side of the prediction that reach these levels; infinite where there are too few
            residuals to tell.
        residuals: how many residuals it rests on.
    """

    method: Literal["scaled", "conformal"]
    offset_log10: float
    slope: float
    levels: tuple[float, ...]
    factors: tuple[float, ...]
    residuals: int

    def applied(self, prediction: Prediction) -> Prediction:
        """The same prediction with widths in place of spreads; a spread that is not stated counts as none."""
        return Prediction(
            log10_mpa=prediction.log10_mpa,
            spread_log10=_widths(self.offset_log10, self.slope, np.nan_to_num(prediction.spread_log10)),
        )

    def interval(self, prediction: Prediction, level: float) -> tuple[FloatArray, FloatArray]:
        """Ends of the intervals of a calibrated prediction, log₁₀ of MPa.

        Args:
            prediction: what `applied` gives.
            level: one of `levels`.

        Raises:
            PropertyError: the level is none of those that were calibrated.
        """
        if level not in self.levels:
            raise PropertyError(
                f"an interval of the level {level}",
                expected=f"one of {', '.join(str(known) for known in self.levels)}",
                next_step="calibrate with that level",
            )
        reach = self.factors[self.levels.index(level)] * prediction.spread_log10
        return prediction.log10_mpa - reach, prediction.log10_mpa + reach


def calibrate(
    prediction: Prediction,
    target: Target,
    *,
    method: Literal["scaled", "conformal"] = "conformal",
    levels: Sequence[float] = LEVELS,
) -> Calibration:
    """Fit widths to predictions of samples that the model has not seen.

    Args:
        prediction: (m,) predictions out of fold, with the spreads of the ensemble.
        target: (m,) their targets.
        method: where the factors of the levels come from.
        levels: nominal levels.

    Raises:
        PropertyError: there are fewer than ten residuals, too few for two parameters and a quantile.
    """
    errors = errors_log10(prediction.log10_mpa, target)
    if len(errors) < FEWEST_RESIDUALS:
        raise PropertyError(
            f"{len(errors)} residuals to calibrate intervals with",
            expected=f"at least {FEWEST_RESIDUALS}",
            next_step="calibrate on the predictions of a whole validation",
        )
    spread = np.nan_to_num(prediction.spread_log10)
    # A prediction far below the floor is as good as the floor, but for a censored sample it is better.
    scored = np.where(target.censored, prediction.log10_mpa, floored(prediction.log10_mpa, target.floor_mpa))
    offset, slope = _most_likely(scored - target.log10_mpa, target.censored, spread)
    scores = np.abs(errors) / _widths(offset, slope, spread)
    ordered = tuple(sorted(levels))
    return Calibration(
        method=method,
        offset_log10=offset,
        slope=slope,
        levels=ordered,
        factors=tuple(_counted(scores, level) if method == "conformal" else _normal(level) for level in ordered),
        residuals=len(errors),
    )


def _widths(offset: float, slope: float, spread: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt(_NARROWEST_LOG10**2 + offset**2 + (slope * spread) ** 2))


def _most_likely(excess: FloatArray, censored: NDArray[np.bool_], spread: FloatArray) -> tuple[float, float]:
    """Offset and slope of largest likelihood.

    Args:
        excess: (m,) prediction - target.
        censored: (m,) whether the truth may lie below the target.
        spread: (m,) spreads.
    """
    from scipy.optimize import minimize
    from scipy.stats import norm

    def negative_log_likelihood(logarithms: FloatArray) -> float:
        width = _widths(float(np.exp(logarithms[0])), float(np.exp(logarithms[1])), spread)
        terms = np.where(censored, norm.logcdf(-excess / width), norm.logpdf(excess / width) - np.log(width))
        return -float(terms.sum())

    start = max(float(np.sqrt(np.mean(np.where(censored, np.maximum(excess, 0), excess) ** 2))), _NARROWEST_LOG10)
    # Logarithms keep both positive; the box keeps a parameter that does not matter from running away.
    bounds = [(np.log(_NARROWEST_LOG10), np.log(10.0)), (np.log(1e-3), np.log(1e3))]
    found = minimize(negative_log_likelihood, np.array([np.log(start), 0.0]), method="L-BFGS-B", bounds=bounds)
    offset, slope = np.exp(found.x)
    return float(offset), float(slope)


def _counted(scores: FloatArray, level: float) -> float:
    """Quantile that a further, exchangeable score does not exceed with at least this probability."""
    rank = int(np.ceil((len(scores) + 1) * level))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else np.inf


def _normal(level: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf((1 + level) / 2))


def coverage_of(calibration: Calibration, prediction: Prediction, target: Target) -> FloatArray:
    """Share of the targets inside their intervals, by level.

    Censored targets count as in `glideflow.transfer.metrics`: inside if any value at or below them is.

    Args:
        calibration: fitted to other samples.
        prediction: what `Calibration.applied` gives for these.
        target: their targets.

    Returns:
        (L,) shares.
    """
    shares = []
    for level in calibration.levels:
        low, high = (floored(end, target.floor_mpa) for end in calibration.interval(prediction, level))
        inside = (low <= target.log10_mpa) & (target.censored | (target.log10_mpa <= high))
        shares.append(float(inside.mean()))
    return np.array(shares)
