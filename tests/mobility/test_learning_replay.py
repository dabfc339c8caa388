from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.config.mobility import MobilitySettings
from glideflow.errors import ConfigurationError
from glideflow.mobility.queries import STRATEGIES, ReplayedTraining
from glideflow.mobility.trajectory import Trajectory, write_trajectory
from glideflow.reporting.learning_replay import replay_cells, replay_csv, replay_page

pytest.importorskip("torch")

from glideflow.mobility.learning_replay import replay
from glideflow.mobility.samples import step_data

MakeTrajectory = Callable[..., Trajectory]
Pool = list[tuple[str, Trajectory]]
RARE = "90° under 1500 MPa"
TRAINING = {"members": 6, "epochs": 12, "patience": 12, "batch_size": 32, "stride_ps": 1.0}


def mobility(initial: int = 2, training: dict[str, Any] | None = None, **learning: Any) -> MobilitySettings:
    network = {"features": {"images": 1}, "training": TRAINING | (training or {})}
    return MobilitySettings.model_validate(
        {
            "scenarios": {"initial": initial},
            "learning": {"candidates": 20, "selected": 2} | learning,
            "network": network,
        }
    )


@pytest.fixture(scope="module")
def pool(synthetic_trajectory: MakeTrajectory) -> Pool:
    """Many that are alike, and a single one that differs from them."""
    usual = [
        (f"usual {seed}", synthetic_trajectory(54.74, 300.0, 600.0, seed=seed, duration_ps=4.0)) for seed in range(10)
    ]
    return [*usual, (RARE, synthetic_trajectory(90.0, 1500.0, 600.0, seed=10, duration_ps=4.0))]


def replayed(pool: Pool, settings: MobilitySettings, seeds: list[int], **how: Any) -> tuple[ReplayedTraining, ...]:
    return replay(pool, step_data(pool, settings.network), settings, seeds, **how)


@pytest.fixture(scope="module")
def trainings(pool: Pool) -> tuple[ReplayedTraining, ...]:
    return replayed(pool, mobility(), [1])


def of(trainings: tuple[ReplayedTraining, ...], strategy: str) -> list[ReplayedTraining]:
    return [each for each in trainings if each.strategy == strategy]


def test_strategies_differ_in_nothing_but_what_they_ask_for(trainings: tuple[ReplayedTraining, ...]) -> None:
    assert tuple(dict.fromkeys(each.strategy for each in trainings)) == STRATEGIES
    firsts = [of(trainings, strategy)[0] for strategy in STRATEGIES]
    assert len({(each.percent, each.velocity_percent, each.learned_from, each.tested_on) for each in firsts}) == 1
    for strategy in STRATEGIES:
        own = of(trainings, strategy)
        assert [each.learned_from for each in own] == [2, 4, 6, 8]
        assert own[-1].asked_for == ()
        assert own[-1].uncertainty_percent is None


def test_nothing_is_asked_for_twice_or_taken_from_the_test(pool: Pool, trainings: tuple[ReplayedTraining, ...]) -> None:
    for strategy in STRATEGIES:
        asked = [name for each in of(trainings, strategy) for name in each.asked_for]
        assert len(set(asked)) == len(asked) == 6
        held_out = len(pool) - of(trainings, strategy)[-1].learned_from
        assert held_out == 3  # one for validation, two for the test


def test_an_ensemble_that_knows_one_kind_asks_for_the_other(pool: Pool) -> None:
    settings = mobility(initial=1, selected=1, iterations=1, training={"train_fraction": 0.8, "test_fraction": 0.1})
    asked = {each.strategy: each.asked_for for each in replayed(pool, settings, [2]) if each.asked_for}
    assert asked["active"] == asked["active_simulated"] == (RARE,)
    assert asked["passive"] != (RARE,)


def test_a_replay_is_repeatable(pool: Pool, trainings: tuple[ReplayedTraining, ...]) -> None:
    again = replayed(pool, mobility(iterations=1), [1], strategies=["active"])
    assert again[0] == of(trainings, "active")[0]
    assert again[1].percent == of(trainings, "active")[1].percent


def test_too_few_trajectories_are_refused(pool: Pool) -> None:
    with pytest.raises(ConfigurationError, match="2 trajectories for training, 1 for validation and 1 for the test"):
        replayed(pool[:4], mobility(), [0])


def test_cells_are_means_over_repetitions(trainings: tuple[ReplayedTraining, ...]) -> None:
    first = of(trainings, "passive")[0]
    cells = replay_cells([first, first])
    assert cells == [
        [
            "passive",
            "2",
            "2",
            f"{first.percent:.1f}",
            "0.0",
            f"{first.absolute_angstrom:.2f}",
            f"{first.velocity_percent:.1f}",
            f"{first.uncertainty_percent:.1f}",
        ]
    ]


def test_the_page_shows_every_strategy(trainings: tuple[ReplayedTraining, ...]) -> None:
    page = replay_page(trainings)
    for text in ("active, lines before they move", "active, whole trajectories", "passive"):
        assert f">{text}</td>" in page
    assert page.count('role="img"') == 3


def test_the_command_writes_tables_and_page(pool: Pool, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.h5" for number in range(6)]
    for file, (_, trajectory) in zip(files, pool[:6], strict=True):
        write_trajectory(file, trajectory)
    config = tmp_path / "config.yaml"
    config.write_text(
        "mobility:\n  scenarios: {initial: 2}\n  learning: {iterations: 1, candidates: 2, selected: 1}\n"
        "  network:\n    features: {images: 1}\n    training: {members: 2, epochs: 2}\n",
        encoding="utf-8",
    )
    outputs = [tmp_path / "replay.csv", tmp_path / "replay.html"]
    arguments = ["mobility", "replay", *map(str, files), "--config", str(config), "--repetitions", "1"]
    done = CliRunner().invoke(app, [*arguments, *(f"--output={each}" for each in outputs)])
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(outputs[0].read_text(encoding="utf-8").splitlines()))
    assert [row["learned_from"] for row in rows] == ["2", "3"] * 3
    assert "<title>" in outputs[1].read_text(encoding="utf-8")


def test_other_outputs_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["mobility", "replay", str(tmp_path / "none.h5"), "-o", "replay.pdf"])
    assert done.exit_code != 0
    assert "ends in .csv, .md or .html" in str(done.exception)


def test_csv_has_a_row_for_each_training(trainings: tuple[ReplayedTraining, ...]) -> None:
    rows = list(csv.DictReader(replay_csv(trainings).splitlines()))
    assert len(rows) == len(trainings)
    assert float(rows[0]["percent"]) == trainings[0].percent
    assert rows[-1]["uncertainty_percent"] == ""
