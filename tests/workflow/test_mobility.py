"""The mobility branch: its jobs before and after what networks ask for, and what brings them back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from glideflow.config.load import settings_from_mapping
from glideflow.mobility.queries import Candidate, Query, write_query
from glideflow.mobility.scenarios import Scenario, initial_scenarios, trajectory_file

if TYPE_CHECKING:
    from conftest import Project

GRID = "stresses_mpa: [500, 1000], temperatures_k: [300], cells: {angles_deg: [54.74, 90, 109.47]}"
LEARNING = "scenarios: {initial: 3}, learning: {iterations: 2, candidates: 3, selected: 1}"
OPTIONS = ("--config", f"mobility={{{GRID}, {LEARNING}}}")
SIMULATED = {"mobility_crystal": 1, "mobility_trajectory": 6, "mobility_report": 1}


def pending(project: Project, mobility: str) -> dict[str, int]:
    found = project.pending("--config", f"mobility={{{mobility}}}", "--", "mobility")
    return {rule: count for rule, count in found.items() if rule != "mobility"}


def pretend(project: Project, names: list[str], query: Query) -> None:
    """Lay down what a first training and its query leave, in the order in which they would."""
    results = project.root / "results/test"
    folder = results / "mobility/iterations/0"
    files = [results / f"mobility/{name}.h5" for name in ("lattice", "elastic")]
    files += [results / trajectory_file(name) for name in names]
    files += [folder / name for name in ("model.safetensors", "model.json", "query.json")]
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        if file.name == "query.json":
            write_query(file, query)
        os.utime(file, (1e9 + number, 1e9 + number))


def test_the_whole_grid_is_simulated_where_nothing_is_learned(project: Project) -> None:
    assert pending(project, GRID) == SIMULATED


def test_what_is_added_to_the_grid_repeats_nothing(project: Project) -> None:
    results = project.root / "results/test/mobility"
    grid = [
        f"trajectories/dipole_{angle}deg_{stress}MPa_300K_0.h5"
        for angle in (54.74, 90, 109.47)
        for stress in (500, 1000)
    ]
    for name in (*grid, "lattice.h5", "elastic.h5", "velocities.md", "velocities.csv", "mobility.html"):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).touch()
    run = ("--configfile", "run.yaml", "--config", f"mobility={{{GRID}}}", "--", "mobility")
    project.snakemake("--touch", "--forceall", *run)
    wider = GRID.replace("[54.74, 90, 109.47]", "[54.74, 90, 109.47, 70.53]")
    assert pending(project, wider) == {"mobility_trajectory": 2, "mobility_report": 1}
    stronger = GRID.replace("[500, 1000]", "[500, 1000, 750]")
    assert pending(project, stronger) == {"mobility_trajectory": 3, "mobility_report": 1}


def test_an_ensemble_learns_from_the_whole_grid_once_where_that_is_asked_for(project: Project) -> None:
    learned = {"mobility_training": 1, "mobility_validation": 1}
    assert pending(project, f"{GRID}, learning: {{whole_grid: true}}") == SIMULATED | learned
    untested = "network: {training: {train_fraction: 0.9, test_fraction: 0}}"
    assert pending(project, f"{GRID}, learning: {{whole_grid: true}}, {untested}") == SIMULATED | {
        "mobility_training": 1
    }


def test_what_was_asked_for_is_simulated_and_learned_from(project: Project) -> None:
    settings = settings_from_mapping(
        {
            "mobility": {
                "stresses_mpa": [500, 1000],
                "temperatures_k": [300],
                "cells": {"angles_deg": [54.74, 90, 109.47]},
                "scenarios": {"initial": 3},
                "learning": {"iterations": 2, "candidates": 3, "selected": 1},
            }
        },
        "test",
    )
    names = [each.id for each in initial_scenarios(settings.mobility)]
    asked_for = Scenario(kind="dipole", size=90.0, stress_mpa=750.0, temperature_k=300.0, seed=0).id
    candidate = Candidate(
        id=asked_for, displacement_angstrom=1.0, spread_angstrom=1.0, thermal_floor_angstrom=None, selected=True
    )
    first = Query(
        iteration=0,
        strategy="active",
        simulated=tuple(names),
        uncertainty_percent=100.0,
        threshold_percent=25.0,
        candidates=(candidate,),
        done=False,
    )
    assert pending(project, f"{GRID}, {LEARNING}") == {
        "mobility_crystal": 1,
        "mobility_trajectory": 3,
        "mobility_training": 1,
        "mobility_query": 1,
        "mobility_report": 1,
        "mobility_validation": 1,
    }
    pretend(project, names, first)
    assert pending(project, f"{GRID}, {LEARNING}") == {
        "mobility_trajectory": 1,
        "mobility_training": 1,
        "mobility_query": 1,
        "mobility_report": 1,
        "mobility_validation": 1,
    }
    commands = project.snakemake("-n", "-p", "--configfile", "run.yaml", *OPTIONS, "--", "mobility").stdout
    assert " --start=results/test/mobility/iterations/0/model.safetensors " in commands
    assert " --kind=dipole --angle=90.0 --stress=750.0 --temperature=300.0 --seed=0 " in commands


def test_a_run_of_the_library_brings_the_page_on_shipped_trajectories_where_it_is_asked_for(project: Project) -> None:
    assert "mobility_shipped" not in project.pending()
    assert project.pending("--config", "mobility={shipped_page: true}")["mobility_shipped"] == 1
