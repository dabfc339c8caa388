from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glideflow.properties.results import PeierlsStressResult
from glideflow.reporting.statistics import coefficient_of_variation, spreads

POSITIVE = st.floats(1e-3, 1e6)


@given(POSITIVE, POSITIVE)
def test_two_values_follow_the_closed_form_of_the_report(first, second):
    expected = math.sqrt(2) * abs(first - second) / (first + second)
    assert coefficient_of_variation([first, second]) == pytest.approx(expected, abs=1e-12)
    assert coefficient_of_variation([first, second]) <= math.sqrt(2)


def test_known_values():
    assert coefficient_of_variation([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]) == pytest.approx(math.sqrt(32 / 7) / 5)


@pytest.mark.parametrize("values", [[], [1.0], [-1.0, 1.0], [-3.0, 1.0]])
def test_no_coefficient_without_two_values_and_a_positive_mean(values):
    assert coefficient_of_variation(values) is None


def test_spreads_by_metal_and_quantity(library, copper, renamed):
    twin = renamed(copper, id="Cu_twin")
    altered = renamed(copper, id="Cu_fictional", fictional=True)
    both = dataclasses.replace(library, entries=(*library.entries, twin, altered))
    found = {(spread.metal.element, spread.quantity.key): spread for spread in spreads(both)}
    assert found["Cu", "a_angstrom"].ids == (copper.potential.id, "Cu_twin")
    assert found["Cu", "a_angstrom"].coefficient == pytest.approx(0.0, abs=1e-15)
    assert found["Mg", "c_over_a"].values[0] == pytest.approx(5.184423275 / 3.184214012, rel=1e-6)
    assert ("Cu", "c_over_a") not in found
    assert ("Mg", "gamma_isf_mj_m2") not in found


def test_upper_bounds_are_told(library, copper):
    stages = tuple(
        dataclasses.replace(stage, result=dataclasses.replace(stage.result, is_upper_bound=True))
        if isinstance(stage.result, PeierlsStressResult)
        else stage
        for stage in copper.stages
    )
    bound = dataclasses.replace(library, entries=(dataclasses.replace(copper, stages=stages),))
    by_key = {spread.quantity.key: spread for spread in spreads(bound)}
    assert by_key["peierls_mpa"].upper_bounds == (True,)
    assert by_key["c11_gpa"].upper_bounds == (False,)
