from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glideflow.properties.size_fit import fit_sizes

HEIGHTS = np.array([100.0, 200.0, 100.0, 200.0])
LENGTHS = np.array([150.0, 150.0, 300.0, 300.0])
ALIKE = np.ones(4)
number = st.floats(-1e3, 1e3)


@given(number, number, number, st.lists(st.floats(0.01, 10), min_size=4, max_size=4))
def test_values_that_follow_the_law_are_fitted_exactly(
    infinite: float, height: float, length: float, errors: list[float]
) -> None:
    values = infinite + height / HEIGHTS + length / LENGTHS
    fit = fit_sizes(HEIGHTS, LENGTHS, values, np.array(errors))
    assert fit is not None
    scale = 1e-9 * (1 + abs(infinite) + abs(height) + abs(length))
    assert fit.infinite == pytest.approx(infinite, abs=scale)
    assert fit.height_coefficient == pytest.approx(height, abs=1e3 * scale)
    assert fit.length_coefficient == pytest.approx(length, abs=1e3 * scale)
    assert fit.residual == pytest.approx(0.0, abs=scale)
    assert fit.degrees_of_freedom == 1


def test_a_coupling_of_height_and_length_is_the_residual() -> None:
    """Of four values in a square, the law has no part that alternates in sign: it all remains."""
    fit = fit_sizes(HEIGHTS, LENGTHS, np.array([1.0, -1.0, -1.0, 1.0]), ALIKE)
    assert fit is not None
    assert fit.infinite == pytest.approx(0.0, abs=1e-12)
    assert fit.residual == pytest.approx(2.0)  # four residuals of one, one degree of freedom


def test_an_uncertain_value_hardly_counts() -> None:
    values = 10 + 300 / HEIGHTS
    values[3] += 5.0
    fit = fit_sizes(HEIGHTS, LENGTHS, values, np.array([0.01, 0.01, 0.01, 100.0]))
    assert fit is not None
    assert fit.infinite == pytest.approx(10.0, abs=1e-4)


@pytest.mark.parametrize(
    ("heights", "lengths", "determined"),
    [
        ([100, 200, 400], [150, 150, 150], (True, False)),
        ([100, 100, 100], [150, 300, 600], (False, True)),
        ([100, 100, 100], [150, 150, 150], None),
        ([100, 200, 400], [150, 300, 600], (True, False)),  # in proportion: the height takes it all
        ([100, 200], [150, 300], (True, False)),
        ([100, 200], [150, 150], (True, False)),
        ([100], [150], None),
        ([], [], None),
        ([100, 100.01, 100.02], [150, 300, 600], (False, True)),
    ],
)
def test_what_the_sizes_do_not_determine_is_left_out(
    heights: list[float], lengths: list[float], determined: tuple[bool, bool] | None
) -> None:
    values = np.linspace(3.0, 5.0, len(heights))
    fit = fit_sizes(np.array(heights, dtype=float), np.array(lengths, dtype=float), values, np.ones(len(heights)))
    found = fit and (fit.height_coefficient is not None, fit.length_coefficient is not None)
    assert found == determined


def test_no_degree_of_freedom_leaves_no_residual() -> None:
    fit = fit_sizes(HEIGHTS[:3], LENGTHS[:3], np.array([1.0, 5.0, 2.0]), ALIKE[:3])
    assert fit is not None
    assert fit.degrees_of_freedom == 0
    assert fit.residual == 0.0


def test_where_the_law_fails_the_errors_of_the_values_do_not_decide() -> None:
    """Errors far below the misfit leave the ordinary fit; those of its size hold their weight."""
    values = 10 + 300 / HEIGHTS + np.array([1.0, -1.0, -1.0, 1.0])
    plain = fit_sizes(HEIGHTS, LENGTHS, values, ALIKE)
    precise = fit_sizes(HEIGHTS, LENGTHS, values, np.array([1e-3, 1e-4, 2e-3, 5e-4]))
    assert plain is not None
    assert precise is not None
    assert precise.infinite == pytest.approx(plain.infinite, abs=1e-4)
    assert precise.residual == pytest.approx(plain.residual, rel=1e-3)
