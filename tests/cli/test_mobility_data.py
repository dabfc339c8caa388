from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.errors import ConfigurationError, StorageError
from glideflow.mobility.trajectory import read_trajectory, write_trajectory


def invoke(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, ["mobility", *map(str, arguments)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with every shipped trajectory as a file."""
    folder = tmp_path_factory.mktemp("exported")
    invoke("data", "export", folder)
    return folder


def test_the_list_says_what_there_is_and_whom_to_cite(exported: Path) -> None:
    said = invoke("data", "list")
    about = json.loads(invoke("data", "list", "--json"))
    assert {f"{row['name']}.h5" for row in about["trajectories"]} == {file.name for file in exported.iterdir()}
    assert "Mendelev" in said
    assert about["licence"] == "MIT"
    for row in about["trajectories"]:
        trajectory = read_trajectory(exported / f"{row['name']}.h5")
        assert (row["status"], row["frames"]) == (trajectory.status, len(trajectory.times_ps))
        assert row["name"] in said


def test_built_again_from_single_files_it_is_the_same_and_leaves_out_what_still_runs(
    exported: Path, tmp_path: Path
) -> None:
    first = min(exported.iterdir())
    running = tmp_path / "running.h5"
    write_trajectory(running, dataclasses.replace(read_trajectory(first), status="running"))
    said = invoke("data", "build", *sorted(exported.iterdir()), running, "-o", tmp_path / "all.h5")
    assert "left out: running (running)" in said
    shipped, again = (
        json.loads(invoke("data", "list", "--json", *data)) for data in ([], ["--data", tmp_path / "all.h5"])
    )
    assert again["sha256"] == shipped["sha256"]


def test_commands_take_the_shipped_trajectories_by_their_word(exported: Path) -> None:
    name = min(exported.iterdir()).name.removesuffix(".h5")
    (one,) = json.loads(invoke("velocity", f"shipped:{name}", "--json"))
    (same,) = json.loads(invoke("velocity", exported / f"{name}.h5", "--json"))
    assert one["velocity"] == same["velocity"]
    assert len(json.loads(invoke("velocity", "shipped", "--json"))) == len(list(exported.iterdir()))


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        (["data", "export", "folder", "--name", "absent"], ConfigurationError, "no trajectory 'absent'"),
        (["data", "verify", "--name", "absent"], ConfigurationError, "no trajectory 'absent'"),
        (["data", "verify", "--duration", "nan"], ConfigurationError, "a duration of nan ps"),
        (["data", "verify", "--duration", "-1"], ConfigurationError, "a duration of -1 ps"),
        (["data", "list", "--data", "absent.h5"], StorageError, "absent.h5 does not exist"),
        (["data", "build", "absent.h5", "-o", "all.h5"], StorageError, "absent.h5 does not exist"),
        (["velocity", "shipped:absent"], ConfigurationError, "no trajectory 'absent'"),
        (["glide", "--drag", "200", "85", "--from", "shipped"], ConfigurationError, "holds"),
    ],
)
def test_what_cannot_be_done_is_said_and_writes_nothing(
    arguments: list[str], error: type[Exception], named: str, refused: Callable[..., None]
) -> None:
    refused(["mobility", *arguments], error, named)
