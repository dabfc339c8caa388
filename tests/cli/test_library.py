"""`glideflow library` as a user meets it; the library comes from real records of Al."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.errors import ConfigurationError
from glideflow.library_table import COLUMNS
from glideflow.property_specs import PROPERTIES
from glideflow.records import StageRecord
from glideflow.storage import read_record, write_record

RECORDS = Path(__file__).parents[1] / "data" / "records_v1"

Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `glideflow library`, in a folder with the results of a run in `run`."""
    monkeypatch.chdir(tmp_path)
    for name in ("lattice", "elastic", "gamma_surface", "peierls_stress"):
        stage = read_record(RECORDS / f"{name}.h5", StageRecord)
        labels = {"slip_system": stage.slip_system, "character": stage.character}
        file = PROPERTIES[name].result_file.format(potential=stage.potential.id, **labels)  # type: ignore[index]
        write_record(Path("run", file), stage)
    Path("run/config.yaml").write_text("name: test\n", encoding="utf-8")
    return lambda *arguments: CliRunner().invoke(app, ["library", *arguments])


@pytest.fixture
def built(command: Command) -> Command:
    """The same, with the library `own.h5`."""
    made = command("build", "--records", "run", "--output", "own.h5")
    assert made.exit_code == 0, made.output
    assert "1 potentials (1 ok) in own.h5" in made.stderr
    return command


def test_build_and_export(built: Command) -> None:
    assert built("export", "table.csv", "--library", "own.h5").exit_code == 0
    with Path("table.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert list(row) == list(COLUMNS)
    assert float(row["peierls_mpa"]) == pytest.approx(4.0936, abs=1e-4)


def test_build_without_results(command: Command, tmp_path: Path) -> None:
    refused = command("build", "--records", str(tmp_path), "--output", "own.h5")
    assert isinstance(refused.exception, ConfigurationError)
    assert "config.yaml" in refused.exception.found
    assert not Path("own.h5").exists()


def test_counts_and_families(built: Command) -> None:
    counts = json.loads(built("counts", "--library", "own.h5", "--json").stdout)
    assert counts["by_metal"]["Al (fcc)"]["ok"] == 1
    assert counts["flags"]["strain-dependent elastic constants"] == 1
    assert "Al (fcc)" in built("counts", "--library", "own.h5").stdout
    assert json.loads(built("families", "--library", "own.h5", "--json").stdout) == {}


def test_flags_are_explained(command: Command) -> None:
    rows = json.loads(command("flags", "--json").stdout)
    assert {"name", "concerns", "meaning"} == set(rows[0])
    assert "upper bound" in command("flags").stdout


def test_diff(built: Command) -> None:
    stage = read_record(RECORDS / "failed.h5", StageRecord)
    write_record(Path("run/potentials", stage.potential.id, "gamma_surface/fcc_111.h5"), stage)
    assert built("build", "--records", "run", "--output", "new.h5").exit_code == 0
    assert built("diff", "own.h5", "own.h5").exit_code == 0
    different = built("diff", "own.h5", "new.h5")
    assert different.exit_code == 1
    assert "status: ok -> failed: ended after 0 s" in different.stdout
    document = json.loads(built("diff", "own.h5", "new.h5", "--json").stdout)
    assert [each["quantity"] for each in document["changed"]][-1] == "status"


def test_verify(built: Command) -> None:
    arguments = ("verify", "--library", "own.h5", "--property", "lattice", "--potential", "Al_2008Mendelev_Al_eam-fs")
    verified = built(*arguments, "--json")
    assert verified.exit_code == 0, verified.output
    document = json.loads(verified.stdout)
    assert [(check["record"], check["outcome"]) for check in document["checks"]] == [("lattice", "agrees")]


def test_verify_refuses_what_is_no_property(built: Command) -> None:
    refused = built("verify", "--library", "own.h5", "--property", "colour")
    assert isinstance(refused.exception, ConfigurationError)
    assert "peierls_stress" in refused.exception.expected


def test_nothing_to_verify_is_no_success(built: Command) -> None:
    Path("empty").mkdir()
    Path("empty/manifest.yaml").write_text("schema: potential-library/1\npotentials: []\n", encoding="utf-8")
    Path("run.yaml").write_text("potentials: {sources: [{kind: folder, path: empty}]}\n", encoding="utf-8")
    nothing = built("verify", "--library", "own.h5", "--config", "run.yaml")
    assert nothing.exit_code == 1
    assert "1 cannot be computed again, no source holds it: Al_2008Mendelev_Al_eam-fs" in nothing.stderr


def test_of_many_potentials_without_files_some_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    from glideflow.cli.library import MOST_NAMED, _tell_without_files

    _tell_without_files({f"potential{number:02}": "no source holds it" for number in range(MOST_NAMED + 7)})
    said = capsys.readouterr().err
    assert said.startswith("17 cannot be computed again, no source holds it: potential00, ")
    assert said.endswith("potential09 and 7 more (--json names them)\n")
