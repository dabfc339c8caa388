from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glideflow.properties.fold import fold_stress


@given(st.floats(1.0, 2000.0), st.floats(0.05, 2.0), st.floats(0.1, 3.0), st.integers(3, 6))
def test_the_top_of_a_parabola_is_found_exactly(peierls: float, curvature: float, top_at: float, count: int) -> None:
    """τ = τ_P - k (x_P - x)²: the normal form of a saddle-node bifurcation."""
    stress = peierls * np.linspace(0.7, 0.98, count)
    core = top_at - np.sqrt((peierls - stress) / (curvature * peierls))
    assert fold_stress(core, stress, stress[-1], 1.05 * peierls) == pytest.approx(peierls, rel=1e-9)


def test_a_sinusoidal_resistance_is_extrapolated_far_better_than_by_the_middle() -> None:
    """τ = τ_P sin(2πx/L) has its top at L/4 and a form of its own away from it."""
    core = np.array([0.15, 0.19, 0.215, 0.235])
    stress = 100.0 * np.sin(2 * np.pi * core)
    stable, unstable = stress[-1], 103.0
    found = fold_stress(core, stress, stable, unstable)
    assert found is not None
    assert abs(found - 100.0) < 0.02 * abs((stable + unstable) / 2 - 100.0)


@pytest.mark.parametrize(
    ("core", "stress", "unstable"),
    [
        ([0.1, 0.2], [50.0, 80.0], 100.0),  # too few to tell
        ([0.1, 0.2, 0.3], [50.0, 60.0, 70.0], 100.0),  # a straight line has no top
        ([0.1, 0.2, 0.3], [50.0, 55.0, 70.0], 100.0),  # bent the wrong way
        ([0.1, 0.3, 0.2], [50.0, 60.0, 70.0], 100.0),  # the core went back
        ([0.1, 0.2, 0.28], [50.0, 80.0, 95.0], 95.01),  # the top lies above what is known to be unstable
    ],
)
def test_where_equilibria_do_not_say_there_is_no_value(core: list[float], stress: list[float], unstable: float) -> None:
    assert fold_stress(np.array(core), np.array(stress), stress[-1], unstable) is None
