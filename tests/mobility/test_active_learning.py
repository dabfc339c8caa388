from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.config.mobility import MobilitySettings
from glideflow.config.mobility_network import MobilityFeatureSettings, MobilityLayerSettings
from glideflow.errors import ConfigurationError, PropertyError, StorageError
from glideflow.mobility.blocks import BccMetal
from glideflow.mobility.dipoles import dipole
from glideflow.mobility.orientations import nearest_line
from glideflow.mobility.samples import StepSource, continued_split
from glideflow.mobility.scenarios import Scenario, initial_scenarios, scenario_from_id, scenario_table
from glideflow.mobility.trajectory import Trajectory, write_trajectory

pytest.importorskip("torch")

from glideflow.mobility.active_learning import next_query, starting_graph
from glideflow.mobility.ensemble import MobilityEnsemble, TrainedMember
from glideflow.mobility.network import initial_state
from glideflow.mobility.queries import read_query, write_query

if TYPE_CHECKING:
    from glideflow.mobility.cells import DislocationCell

FEATURES = MobilityFeatureSettings(images=1)
LAYERS = MobilityLayerSettings()
IRON = BccMetal("Fe", 2.8553)


def mobility(**learning: Any) -> MobilitySettings:
    return MobilitySettings.model_validate(
        {
            "stresses_mpa": [250, 500, 1000],
            "temperatures_k": [300, 900],
            "cells": {"angles_deg": [54.74, 90]},
            "scenarios": {"initial": 3},
            "learning": {"iterations": 2, "candidates": 4, "selected": 2} | learning,
        }
    )


def build(scenario: Scenario) -> DislocationCell:
    return cell_at(scenario.size)


@functools.cache
def cell_at(angle_deg: float) -> DislocationCell:
    return dipole(IRON, nearest_line(angle_deg), (3.0, 2.0, 5.0), images=1)


@pytest.fixture(scope="module")
def ensemble() -> MobilityEnsemble:
    """Networks with their initial weights: they disagree, and more where the stress is larger."""
    members = tuple(
        TrainedMember(
            state=initial_state(LAYERS, seed, np.float64),
            seed=seed,
            best_epoch=0,
            train_loss=np.ones(1),
            validation_loss=np.ones(1),
        )
        for seed in range(6)
    )
    return MobilityEnsemble(features=FEATURES, layers=LAYERS, step_ps=1.0, members=members)


@pytest.mark.parametrize("angle", [54.74, 90.0, 109.47])
def test_lines_as_built_feel_the_applied_stress_alone(angle: float) -> None:
    """Lines one above the other exert no glide force on each other: the force is τ b on both, in opposite senses."""
    scenario = Scenario(kind="dipole", size=angle, stress_mpa=500.0, temperature_k=300.0, seed=0)
    cell = build(scenario)
    graph = starting_graph(cell, scenario, FEATURES, 15.0)
    force = 500.0 * float(np.linalg.norm(cell.burgers_angstrom))
    assert np.abs(graph.glide_force_mpa_angstrom) == pytest.approx(
        np.full(len(graph.positions_angstrom), force), rel=0.02
    )


def test_the_least_sure_are_asked_for(ensemble: MobilityEnsemble) -> None:
    query = next_query(ensemble, mobility(threshold_percent=0.01), build, None, seed=3)
    assert query.simulated == tuple(each.id for each in initial_scenarios(mobility()))
    assert len(query.candidates) == 4
    assert not query.done
    spreads = {each.id: each.spread_angstrom for each in query.candidates}
    assert set(query.selected) == set(sorted(spreads, key=lambda name: -spreads[name])[:2])
    moved = sum(each.displacement_angstrom for each in query.candidates)
    assert query.uncertainty_percent == pytest.approx(100 * sum(spreads.values()) / moved)


def test_passive_learning_takes_what_was_drawn_first(ensemble: MobilityEnsemble) -> None:
    query = next_query(ensemble, mobility(threshold_percent=0.01, strategy="passive"), build, None, seed=3)
    assert query.selected == tuple(each.id for each in query.candidates[:2])


def test_a_sure_ensemble_asks_for_nothing(ensemble: MobilityEnsemble) -> None:
    query = next_query(ensemble, mobility(threshold_percent=1000), build, None, seed=3)
    assert query.done
    assert query.selected == ()
    assert query.next_scenarios == query.simulated


def test_iterations_go_on_from_each_other_and_end(ensemble: MobilityEnsemble, tmp_path: Path) -> None:
    settings = mobility(threshold_percent=0.01)
    queries = [next_query(ensemble, settings, build, None, seed=3)]
    while not queries[-1].done:
        write_query(tmp_path / "query.json", queries[-1])
        previous = read_query(tmp_path / "query.json")
        assert previous == queries[-1]
        queries.append(next_query(ensemble, settings, build, previous, seed=3))
    assert [query.iteration for query in queries] == [0, 1, 2]
    assert [len(query.simulated) for query in queries] == [3, 5, 7]
    assert len(set(queries[-1].simulated)) == 7
    assert all(scenario_from_id(name) in scenario_table(settings) for name in queries[-1].simulated)


def test_an_empty_pool_is_the_end(ensemble: MobilityEnsemble) -> None:
    settings = mobility().model_copy(update={"scenarios": mobility().scenarios.model_copy(update={"initial": 12})})
    query = next_query(ensemble, settings, build, None, seed=3)
    assert (query.candidates, query.uncertainty_percent, query.done) == ((), None, True)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"candidates": [{"id": 1}]}'])
def test_a_damaged_query_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "query.json").write_text(text, encoding="utf-8")
    with pytest.raises(StorageError, match="is no query"):
        read_query(tmp_path / "query.json")


def test_what_is_new_is_trained_on_and_what_was_held_out_stays_so() -> None:
    def source(name: str) -> StepSource:
        conditions = {"kind": "dipole", "character_angle_deg": 90.0, "stress_mpa": 500.0, "temperature_k": 300.0}
        return StepSource(name=name, simulation=name, content_sha256="", burgers_angstrom=2.5, **conditions)  # type: ignore[arg-type]

    parts = {"a": "train", "b": "test", "c": "new", "d": "validation", "e": "new"}
    split = continued_split([source(name) for name in "cbadeb"], parts)
    assert (split.train, split.validation, split.test) == ((0, 2, 4), (3,), (1, 5))


def test_training_goes_on_from_a_model_with_the_same_trajectories_held_out(
    synthetic_trajectory: Callable[..., Trajectory], tmp_path: Path
) -> None:
    files = [str(tmp_path / f"{number}.h5") for number in range(5)]
    for number, file in enumerate(files):
        times = {"duration_ps": 4.0 if number < 4 else 1.0, "interval_ps": 1.0}  # a step after the start-up, or none
        write_trajectory(Path(file), synthetic_trajectory(90.0, 300.0 + 100 * number, **times))
    small = {"layers.width": 4, "training.members": 2, "training.epochs": 1, "features.images": 1}
    options = [text for name, value in small.items() for text in ("--set", f"mobility.network.{name}={value}")]

    def train(name: str, *arguments: str) -> Any:
        command = ["mobility", "train", *arguments, *options, "--json", "-o", str(tmp_path / name)]
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)["split"]

    first = train("first", *files[:3])
    start = ["--start", str(tmp_path / "first")]
    second = train("second", *files, *start, "--leave-out")
    assert (second["validation"], second["test"]) == (first["validation"], first["test"])
    assert set(second["train"]) == {*first["train"], files[3]}  # the last one has no step
    with pytest.raises(PropertyError, match="no step"):
        train("third", files[4], *start)
    options += ["--set", "mobility.network.training.members=3"]
    with pytest.raises(ConfigurationError, match="has 2 members"):
        train("third", files[0], *start)


def test_an_ensemble_is_not_asked_about_another_potential(tmp_path: Path) -> None:
    options = ["--set", "mobility.potential=W_2001Zhou_W_eam-alloy", "-o", str(tmp_path / "query.json")]
    done = CliRunner().invoke(app, ["mobility", "query", "shipped", *options])
    assert isinstance(done.exception, ConfigurationError)
    assert "trained with Fe_2003Mendelev_Fe_eam-fs is asked about W_2001Zhou_W_eam-alloy" in str(done.exception)
