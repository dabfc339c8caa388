"""`glideflow transfer` as a user meets it, on the library that ships with the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.errors import ConfigurationError
from glideflow.storage import read_record, write_record
from glideflow.transfer.dataset import read_dataset
from glideflow.transfer.strengths import StrengthTable
from glideflow.transfer.validation import LearningCurves, Validations

Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["transfer", *arguments])


@pytest.fixture
def hcp(command: Command) -> Path:
    """The data set of the hcp metals."""
    result = command("dataset", "--group", "hcp", "--output", "sets")
    assert result.exit_code == 0, result.output
    return Path("sets/hcp.h5")


def test_data_sets_are_described_and_written(command: Command, hcp: Path) -> None:
    samples = read_dataset(hcp)
    (described,) = json.loads(command("dataset", "--group", "hcp", "--json").stdout)
    assert described["samples"] == len(samples)
    assert described["potential_ids"] == list(samples.potential_ids)
    assert described["omitted"] == dict(zip(samples.omitted_ids, samples.omitted_reasons, strict=True))
    assert sum(described["metals"].values()) == len(samples)


def test_settings_decide_what_is_in(command: Command, hcp: Path) -> None:
    arguments = ("dataset", "--group", "hcp", "--json", "--set", "transfer.data.one_per_family=false")
    (described,) = json.loads(command(*arguments).stdout)
    assert described["samples"] >= len(read_dataset(hcp))


def test_validation_writes_every_prediction_and_a_table(command: Command, hcp: Path) -> None:
    arguments = ["validate", "--dataset", str(hcp), "--output", "v.h5", "--model", "metal_median"]
    result = command(*arguments, "--model", "classical_pn_fit", "--split", "family", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [row["model"] for row in rows] == ["metal_median", "classical_pn_fit"]
    stored = read_record(Path("v.h5"), Validations)
    assert len(stored.records[0].runs[0].log10_mpa) == rows[0]["samples"]
    table = command("table", "v.h5", "--markdown").stdout
    assert table.count("leave one family out") == 2
    assert "metal_median" in command("table", "v.h5").stdout


def test_a_group_needs_no_file(command: Command) -> None:
    result = command("validate", "--group", "hcp", "-m", "classical_pn", "--split", "metal", "--permuted")
    assert result.exit_code == 0, result.output
    assert "permuted targets" in result.stdout


def test_a_validation_of_something_else_is_no_score_and_no_error(command: Command, hcp: Path) -> None:
    """Neither on the card of a model, nor beside stresses of another library."""
    assert command("validate", "--dataset", str(hcp), "-m", "metal_median", "--folds", "3", "-o", "v.h5").exit_code == 0
    error = command("fit", "--dataset", str(hcp), "--validation", "v.h5", "-o", "models").exception
    assert isinstance(error, ConfigurationError)
    assert "no validation of the model best on 'hcp'" in error.found
    assert not Path("models").exists() or not list(Path("models").iterdir())
    table = StrengthTable(model="best", training_source=(), metals=(), library_name="another", floor_mpa=0.1)
    write_record(Path("s.h5"), table)
    assert "is of the library 'another'" in str(command("errors", "--strengths", "s.h5").exception)
    stored = read_record(Path("v.h5"), Validations)
    others = tuple(replace(each, library_sha256="0" * 64) for each in stored.records)
    write_record(Path("other.h5"), replace(stored, records=others))
    found = command("errors", "--strengths", "s.h5", "--validation", "other.h5").exception
    assert "is of the library with the SHA-256 000000000000" in str(found)


def test_curves(command: Command, hcp: Path) -> None:
    result = command(
        "curve", "--dataset", str(hcp), "-m", "classical_pn_fit", "--families", "3", "-o", "c.h5", "--json"
    )
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    assert (row["families"], len(row["median_factor"])) == (3, 3)
    assert read_record(Path("c.h5"), LearningCurves).curves[0].model == "classical_pn_fit"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("validate",), "no data set was named"),
        (("validate", "--group", "hcp", "--dataset", "x.h5"), "both --group and --dataset"),
        (("validate", "--group", "diamond"), "'diamond'"),
        (("validate", "--group", "hcp", "--model", "oracle"), "'oracle' is unknown"),
        (("validate", "--group", "hcp", "--split", "random"), "'random'"),
        (("dataset", "--group", "hcp", "--set", "transfer.library=run"), "transfer.library is `run`"),
        (("validate", "--group", "hcp", "--model", "ridge", "--training", "both"), "which holds one structure"),
        (("validate", "--group", "hcp", "--output", "."), "a folder of this name is there"),
        (("shots", "--group", "joint"), "the structure 'joint'"),
        (("cost", "--group", "diamond"), "the structure 'diamond'"),
        (("cost", "--run", "nothing"), "nothing has no folder benchmarks"),
        (("fit", "--group", "joint", "--output", "models"), "the structure 'joint'"),
    ],
)
def test_what_cannot_be_meant_is_refused(command: Command, arguments: tuple[str, ...], found: str) -> None:
    error = command(*arguments).exception
    assert isinstance(error, ConfigurationError)
    assert found in error.found
    assert error.next_step
