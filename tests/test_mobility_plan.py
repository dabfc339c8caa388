from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from glideflow.config.engine import EngineSettings
from glideflow.config.load import load_settings, settings_from_mapping
from glideflow.config.run import RunSettings
from glideflow.mobility.scenarios import Scenario, trajectory_file
from glideflow.mobility_plan import (
    atoms_of,
    plan_mobility,
    planned_scenarios,
    trajectory_cost,
    trajectory_memory_mb,
    trajectory_runtime_min,
)
from glideflow.potentials.record import Potential

IRON = Potential(id="Fe_a", element="Fe", structure="bcc", pair_style="eam/fs")
GRID = {"stresses_mpa": [500], "temperatures_k": [300, 600], "cells": {"angles_deg": [0, 54.74, 90]}}


def run_with(engine: dict[str, Any] | None = None, **mobility: Any) -> RunSettings:
    return settings_from_mapping({"mobility": GRID | mobility, "engine": engine or {}}, "test")


def dipole(angle: float) -> Scenario:
    return Scenario(kind="dipole", size=angle, stress_mpa=500.0, temperature_k=300.0, seed=0)


@pytest.mark.parametrize(("angle", "atoms"), [(0.0, 29_040), (54.74, 31_600 + 400), (90.0, 30_240 + 480)])
def test_atoms_are_those_of_the_builder(angle: float, atoms: int) -> None:
    """The cells of docs/mobility.md, with the slab that is taken out of them."""
    assert atoms_of(run_with().mobility, dipole(angle), "Fe") == pytest.approx(atoms, rel=0.03)


def test_a_trajectory_costs_what_was_measured() -> None:
    """Docs/mobility_dynamics.md: 18 minutes of one core for 40 ps of 30,240 atoms, before relaxation and expansion."""
    seconds = trajectory_cost(run_with(), dipole(90.0), IRON).core_seconds
    assert 18 * 60 < seconds < 1.15 * 18 * 60


def test_a_short_trajectory_of_the_quick_tier_costs_what_was_measured() -> None:
    """120 CPU s with 11,700 atoms and 8 ps, on a loaded machine."""
    short = run_with(cells={"angles_deg": [90], "size_nm": [5, 2.5, 10]}, dynamics={"duration_ps": 8})
    assert trajectory_cost(short, dipole(90.0), IRON).core_seconds == pytest.approx(120, rel=0.35)


def test_loops_and_other_potentials_cost_more() -> None:
    settings = run_with()
    loop = Scenario(kind="loop", size=5.0, stress_mpa=1500.0, temperature_k=300.0, seed=0)
    assert atoms_of(settings.mobility, loop, "Fe") == pytest.approx(410_000, rel=0.02)  # 4800 nm³ of 11.8 Å³ per atom
    meam = Potential(id="Fe_b", element="Fe", structure="bcc", pair_style="meam")
    eam = trajectory_cost(settings, dipole(90.0), IRON).core_seconds
    assert trajectory_cost(settings, loop, IRON).core_seconds > 10 * eam
    assert trajectory_cost(settings, dipole(90.0), meam).core_seconds > 4 * eam


def test_a_retried_job_asks_for_more_and_never_for_more_than_its_limit() -> None:
    settings = run_with(dynamics={"time_limit_s": 7200.0})
    minutes = [trajectory_runtime_min(settings, dipole(90.0), IRON, attempt) for attempt in (1, 2, 9)]
    assert minutes[0] < minutes[1] == minutes[2] == 7200 / 60 + 10
    memory = [trajectory_memory_mb(settings, dipole(90.0), IRON, attempt) for attempt in (1, 2)]
    assert memory[0] < memory[1]


def test_learning_plans_every_iteration_and_never_more_than_the_grid() -> None:
    learning = {"iterations": 2, "candidates": 2, "selected": 1}
    assert len(planned_scenarios(run_with().mobility)) == 6
    assert len(planned_scenarios(run_with(scenarios={"initial": 2}, learning=learning).mobility)) == 4
    assert len(set(planned_scenarios(run_with(scenarios={"initial": 5}, learning=learning).mobility))) == 6


def test_wall_time_lies_between_its_bounds() -> None:
    one = plan_mobility(run_with(), IRON, cores=1).run
    many = plan_mobility(run_with(), IRON, cores=100).run
    two = plan_mobility(run_with(), IRON, cores=2).run
    assert one.wall_hours == pytest.approx(one.core_hours)
    assert many.wall_hours * 3600 == pytest.approx(sum(rule.longest_job_s for rule in many.rules))
    assert max(many.wall_hours, one.core_hours / 2) <= two.wall_hours < one.wall_hours
    assert {rule.rule: rule.jobs for rule in two.rules} == {
        "mobility_crystal": 1,
        "mobility_trajectory": 6,
        "mobility_report": 1,
    }


def test_gpus_are_held_as_long_as_jobs_last() -> None:
    engine = {"accelerator": "kokkos", "gpus": 2}
    plan = plan_mobility(run_with(engine), IRON, cores=1)
    trajectories = plan.run.rules[1]
    assert plan.run.gpu_hours == pytest.approx(2 * trajectories.core_hours)
    assert plan_mobility(run_with(), IRON, cores=1).run.gpu_hours == 0


def test_gpus_move_the_atoms_at_the_published_speed_and_wait_for_the_extraction(repository: Path) -> None:
    settings = load_settings(repository / "config/paper.yaml")
    planned = {
        threads: plan_mobility(
            settings.model_copy(
                update={"engine": EngineSettings(accelerator="kokkos", gpus=1, threads=threads, time_limit_s=1e6)}
            ),
            IRON,
            cores=512,
        )
        for threads in (1, 8)
    }
    for threads, plan in planned.items():
        expected = plan.gpu_hours_dynamics + plan.gpu_hours_extraction / threads
        assert plan.run.gpu_hours == pytest.approx(expected, rel=0.1)  # checkpoints, building and start-up besides
        assert plan.run.rules[1].core_hours == pytest.approx(threads * plan.run.gpu_hours)


def test_the_paper_tier_has_the_papers_size(repository: Path) -> None:
    """1.5 to 2 million atoms, 40,000 steps of 1 fs: a tenth of a day per million atoms at 10 ns a day and GPU."""
    settings = load_settings(repository / "config/paper.yaml")
    atoms = [atoms_of(settings.mobility, scenario, "Fe") for scenario in planned_scenarios(settings.mobility)]
    assert 1.5e6 < min(atoms) <= max(atoms) < 2e6
    plan = plan_mobility(settings, IRON, cores=512)
    assert plan.run.rules[1].jobs == 625
    assert plan.gpu_hours_dynamics == pytest.approx(sum(atoms) / 1e6 * 0.04 / 10 * 24, rel=0.06)


def test_what_is_done_is_counted(tmp_path: Path) -> None:
    settings = run_with()
    file = tmp_path / "results/library" / trajectory_file(planned_scenarios(settings.mobility)[2].id)
    file.parent.mkdir(parents=True)
    file.touch()
    plan = plan_mobility(settings, IRON, cores=1, base=tmp_path)
    assert [rule.done for rule in plan.run.rules] == [0, 1, 0]
