from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from glideflow.config.load import load_settings
from glideflow.config.mobility import MobilitySettings
from glideflow.errors import ConfigurationError
from glideflow.mobility.scenarios import (
    ID_PATTERN,
    Scenario,
    candidate_scenarios,
    initial_scenarios,
    scenario_from_id,
    scenario_table,
)

SMALL: dict[str, Any] = {
    "stresses_mpa": [250, 500, 1000],
    "temperatures_k": [100, 300],
    "cells": {"angles_deg": [0, 54.74, 90, 109.47, 174.23]},
    "scenarios": {"initial": 4},
    "learning": {"iterations": 3, "candidates": 5, "selected": 2},
}


def mobility(**changes: Any) -> MobilitySettings:
    return MobilitySettings.model_validate(SMALL | changes)


def test_the_grid_is_the_product_with_loops_behind() -> None:
    table = scenario_table(mobility(scenarios={"seeds": [0, 7], "loop_radii_nm": [5], "loop_stresses_mpa": [1500]}))
    assert len(table) == 5 * 3 * 2 * 2 + 1 * 1 * 2 * 2
    assert len({each.id for each in table}) == len(table)
    assert table[0].id == "dipole_0deg_250MPa_100K_0"
    assert table[-1].id == "loop_5nm_1500MPa_300K_7"
    assert table[-1].options == (
        "--kind=loop",
        "--radius=5.0",
        "--stress=1500.0",
        "--temperature=300.0",
        "--seed=7",
    )


def test_the_paper_tier_is_the_papers_grid(repository: Path) -> None:
    paper = load_settings(repository / "config/paper.yaml").mobility
    assert len(scenario_table(paper)) == 5 * 5 * 25
    assert paper.dynamics.duration_ps == 40
    assert paper.dynamics.timestep_ps == 0.001


@settings(max_examples=60, deadline=None)
@given(
    kind=some.sampled_from(["dipole", "loop"]),
    size=some.floats(0, 180),
    stress=some.floats(-5000, 5000),
    temperature=some.floats(1e-3, 5000),
    seed=some.integers(0, 2**31 - 1),
)
def test_names_hold_every_digit(kind: Any, size: float, stress: float, temperature: float, seed: int) -> None:
    scenario = Scenario(kind=kind, size=size, stress_mpa=stress, temperature_k=temperature, seed=seed)
    assert re.fullmatch(ID_PATTERN, scenario.id)
    assert scenario_from_id(scenario.id) == scenario


@pytest.mark.parametrize(
    "name", ["", "edge", "dipole_90deg_500MPa_300K", "dipole_090deg_500MPa_300K_0", "dipole_nandeg_500MPa_300K_0"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="the scenario"):
        scenario_from_id(name)


def test_without_learning_everything_comes_first() -> None:
    settings = mobility(learning={"iterations": 0})
    assert initial_scenarios(settings) == scenario_table(settings)


def test_the_first_scenarios_are_spread_over_the_grid() -> None:
    first = initial_scenarios(mobility())
    assert len(first) == len(set(first)) == 4
    assert {each.temperature_k for each in first} == {100, 300}
    assert {250, 1000} <= {each.stress_mpa for each in first}
    # 0° and 174.23° are neighbours on the circle of lines: not both are taken before the others.
    assert not {0, 174.23} <= {each.size for each in first}


def test_repetitions_with_another_seed_are_taken_too() -> None:
    settings = mobility(scenarios={"initial": 60, "seeds": [0, 1]})
    assert len(set(initial_scenarios(settings))) == 60


def test_the_pool_holds_what_was_not_simulated_and_depends_on_the_iteration() -> None:
    settings = mobility()
    known = [each.id for each in initial_scenarios(settings)]
    pool = candidate_scenarios(settings, known, 0, seed=1)
    assert len(pool) == 5
    assert not {each.id for each in pool} & set(known)
    assert candidate_scenarios(settings, known, 0, seed=1) == pool
    assert candidate_scenarios(settings, known, 1, seed=1) != pool
    every = [each.id for each in scenario_table(settings)]
    assert candidate_scenarios(settings, every[1:], 0, seed=1) == scenario_table(settings)[:1]
    assert candidate_scenarios(settings, every, 0, seed=1) == ()


def test_more_selected_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="at most as many selected"):
        mobility(learning={"candidates": 2, "selected": 3})
