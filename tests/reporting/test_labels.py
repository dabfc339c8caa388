from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from glideflow.config.slip_systems import BCC_110, FCC_111, HCP_PRISMATIC, SlipSystemSettings
from glideflow.crystals.lattices import crystal
from glideflow.crystals.slip_systems import frame, slip_system
from glideflow.reporting.labels import (
    anchor,
    number,
    overlined,
    peierls_text,
    plain,
    significant,
    slip_labels,
    transverse_direction,
    with_error,
)

BAR = "\u0305"
SMALL = st.integers(-3, 3)


def test_fixed_decimals_with_a_true_minus_and_no_negative_zero():
    assert number(-1.25, 1) == "−1.2"
    assert number(-1e-9, 2) == "0.00"
    assert number(None, 2) == number(float("nan"), 2) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1931.4, "1931"), (0.02831, "0.0283"), (0.0, "0"), (-2.5e-11, "−2.50×10⁻¹¹"), (None, "–"), (9.999, "10.00")],
)
def test_significant_digits(value, text):
    assert significant(value) == text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(3.4582, 0.01294, "3.458 ± 0.013"), (1207.3, 181.2, "1207 ± 181"), (0.0136, 0.0155, "0.014 ± 0.015")],
)
def test_values_have_the_decimals_of_their_error(value, error, text):
    assert with_error(value, error) == text


def test_an_error_of_zero_leaves_the_value_alone():
    assert with_error(80.0, 0.0) == "80.00"


def test_upper_bounds_are_marked():
    assert peierls_text(0.0283, 0.01, is_upper_bound=True) == "≤ 0.0283"
    assert peierls_text(80.0, 0.17, is_upper_bound=False) == "80.00 ± 0.17"


def test_bars_stand_over_negative_indices():
    assert overlined((-1, 1, 0)) == f"1{BAR}10"
    assert overlined((-12, 1, 0)) == f"1{BAR}2{BAR} 1 0"


def test_primary_slip_systems_in_words():
    fcc, bcc, hcp = (slip_labels(system) for system in (FCC_111, BCC_110, HCP_PRISMATIC))
    assert fcc.title == f"(111)[1{BAR}10]"
    assert (fcc.y, fcc.minus_y) == (f"[1{BAR}1{BAR}2]", f"[112{BAR}]")
    assert bcc.burgers_vector == f"½[1{BAR}11]"
    assert hcp.plane == f"(101{BAR}0)"
    assert hcp.y == "[0001]"


@given(
    structure=st.sampled_from(["fcc", "bcc", "hcp"]),
    plane=st.tuples(SMALL, SMALL, SMALL),
    other=st.tuples(SMALL, SMALL, SMALL),
)
def test_transverse_direction_is_the_y_axis_of_the_frame(structure, plane, other):
    direction = tuple(int(n) for n in np.cross(plane, other))  # any direction in the plane is such a product
    assume(any(direction))
    indices = transverse_direction(plane, direction, structure, largest_index=10**6)
    mixed = structure == "hcp" and direction[2] != 0 and any(direction[:2])
    assert (indices is None) == mixed
    if indices is not None:
        perfect = crystal(structure, 3.2, 5.2 if structure == "hcp" else None)
        axes = frame(slip_system(_settings(structure, plane, direction)), perfect).axes
        u = _three_indices(indices) @ perfect.conventional_angstrom
        np.testing.assert_allclose(u / np.linalg.norm(u), axes[1], atol=1e-9)


def _settings(structure: str, plane: tuple[int, ...], direction: tuple[int, ...]) -> SlipSystemSettings:
    if structure == "hcp":
        h, k, m = plane
        u, v, w = direction
        plane, direction = (h, k, -h - k, m), (2 * u - v, 2 * v - u, -u - v, 3 * w)
    return SlipSystemSettings(name="any", structure=structure, plane=plane, direction=direction)


def _three_indices(indices: tuple[int, ...]) -> np.ndarray:
    if len(indices) == 3:
        return np.array(indices, dtype=float)
    u, v, t, w = indices
    return np.array([u - t, v - t, w], dtype=float)


def test_anchors_are_safe_and_distinct():
    assert anchor("Cu_a+b.c") == "potential-Cu_a+b.c"
    hostile = [anchor(text) for text in ('"><b>', "''><b>", "a b", "a_b", "a-b")]
    assert len(set(hostile)) == len(hostile)
    assert all(set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789._+-") for text in hostile)


def test_foreign_text_is_escaped_for_plotly():
    assert plain('<a href="x">&') == '&lt;a href="x"&gt;&amp;'
