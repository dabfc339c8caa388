"""Calibrated intervals hold what they promise, on residuals of known distributions."""

from __future__ import annotations

import numpy as np
import pytest

from glideflow.errors import PropertyError
from glideflow.transfer.calibration import calibrate, coverage_of
from glideflow.transfer.dataset import Target
from glideflow.transfer.models import Prediction

FLOOR_MPA = 1e-12


def drawn(count: int, seed: int, *, offset: float = 0.2, slope: float = 2.0) -> tuple[Prediction, Target]:
    """Predictions whose errors are normal, of the width that the calibration has to find."""
    generator = np.random.default_rng(seed)
    spread = generator.uniform(0.01, 0.4, count)
    truth = generator.normal(1.0, 1.0, count)
    errors = generator.normal(0.0, np.sqrt(offset**2 + (slope * spread) ** 2))
    target = Target(log10_mpa=truth, censored=np.zeros(count, dtype=bool), floor_mpa=FLOOR_MPA)
    return Prediction(log10_mpa=truth + errors, spread_log10=spread), target


def test_the_widths_of_normal_errors_are_found() -> None:
    calibration = calibrate(*drawn(4000, 0), method="scaled")
    assert calibration.offset_log10 == pytest.approx(0.2, rel=0.1)
    assert calibration.slope == pytest.approx(2.0, rel=0.1)
    assert calibration.factors == pytest.approx([0.6745, 0.9945, 1.6449, 1.9600], abs=1e-4)


@pytest.mark.parametrize("method", ["scaled", "conformal"])
def test_new_samples_lie_inside_as_often_as_promised(method: str) -> None:
    calibration = calibrate(*drawn(400, 1), method=method)  # type: ignore[arg-type]
    prediction, target = drawn(20_000, 2)
    found = coverage_of(calibration, calibration.applied(prediction), target)
    assert found == pytest.approx(np.array(calibration.levels), abs=0.04)


def test_conformal_intervals_hold_whatever_the_errors_are() -> None:
    """Split conformal prediction: on average over calibrations, coverage is at least the level."""
    generator = np.random.default_rng(3)

    def cauchy(count: int) -> tuple[Prediction, Target]:
        truth = np.zeros(count)
        target = Target(log10_mpa=truth, censored=np.zeros(count, dtype=bool), floor_mpa=FLOOR_MPA)
        errors = np.clip(0.1 * generator.standard_cauchy(count), -8, 8)
        return Prediction(log10_mpa=errors, spread_log10=np.full(count, np.nan)), target

    found = []
    for _ in range(60):
        calibration = calibrate(*cauchy(30), levels=(0.5, 0.9))
        prediction, target = cauchy(200)
        found.append(coverage_of(calibration, calibration.applied(prediction), target))
    assert np.mean(found, axis=0) == pytest.approx([0.516, 0.903], abs=0.03)  # ceil(31 p)/31


def test_few_residuals_give_no_finite_interval_at_high_levels() -> None:
    calibration = calibrate(*drawn(10, 4), levels=(0.5, 0.95))
    assert np.isfinite(calibration.factors[0])
    assert calibration.factors[1] == np.inf  # 11 · 0.95 is beyond the tenth score
    with pytest.raises(PropertyError, match="at least 10"):
        calibrate(*drawn(9, 4))


def test_censored_samples_below_their_bound_narrow_nothing() -> None:
    """Predictions far below their bounds agree with any width: the others alone decide."""
    prediction, target = drawn(500, 5)
    extended = Prediction(
        log10_mpa=np.append(prediction.log10_mpa, np.full(100, -9.0)),
        spread_log10=np.append(prediction.spread_log10, np.full(100, 0.2)),
    )
    bounds = Target(
        log10_mpa=np.append(target.log10_mpa, np.full(100, 2.0)),
        censored=np.append(target.censored, np.ones(100, dtype=bool)),
        floor_mpa=FLOOR_MPA,
    )
    alone, together = calibrate(prediction, target), calibrate(extended, bounds)
    assert together.offset_log10 == pytest.approx(alone.offset_log10, rel=1e-2)
    assert together.slope == pytest.approx(alone.slope, rel=1e-2)


def test_levels_that_were_not_calibrated_are_refused() -> None:
    prediction, target = drawn(50, 6)
    calibration = calibrate(prediction, target, levels=(0.9,))
    low, high = calibration.interval(calibration.applied(prediction), 0.9)
    assert np.all(low < high)
    with pytest.raises(PropertyError, match=r"one of 0\.9"):
        calibration.interval(prediction, 0.8)
