"""Results that jobs which died have left behind: how many a library may lack, and how it names them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from glideflow.cli.library import library_app
from glideflow.config.lattice import LatticeSettings
from glideflow.config.load import settings_from_mapping
from glideflow.library import MissingResultsError, merge, table, write_table
from glideflow.potentials.record import Potential
from glideflow.property_specs import DEFAULT_PROPERTIES
from glideflow.records import Library, StageFailure, StageRecord, provenance_of, summary_of
from glideflow.result_files import RESULT_FILES, result_labels
from glideflow.storage import read_record, write_record

SETTINGS = settings_from_mapping({"name": "test"}, "test")
COPPER = [f"Cu_{number}" for number in range(25)]
LABELS = {"slip_system": "fcc_111", "character": "edge"}


def record_of(potential: str, name: str) -> StageRecord:
    """A recorded failure: a result like any other."""
    labels = {key: value for key, value in LABELS.items() if f"{{{key}}}" in RESULT_FILES[name]}
    return StageRecord(
        property=name,
        status="failed",
        potential=summary_of(Potential(id=potential, element="Cu", structure="fcc")),
        provenance=provenance_of(LatticeSettings(), "lammps", "1", 0),
        failure=StageFailure(error_class="ConvergenceError", reason="did not converge"),
        **labels,
    )


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A hundred results: four properties of 25 potentials."""
    folder, files = tmp_path_factory.mktemp("pristine"), []
    for potential in COPPER:
        for name in DEFAULT_PROPERTIES:
            files.append(folder / RESULT_FILES[name].format(potential=potential, **LABELS))
            write_record(files[-1], record_of(potential, name))
    return files


@pytest.fixture
def results(pristine: list[Path], tmp_path: Path) -> list[Path]:
    """The same, to be changed."""
    shutil.copytree(pristine[0].parents[1], tmp_path / "potentials")
    return [tmp_path / "potentials" / file.relative_to(pristine[0].parents[1]) for file in pristine]


def test_names_of_files_say_which_result_lies_there() -> None:
    assert result_labels(Path("results/a/potentials/Cu_a:b+1/gamma_surface/fcc_111.h5")) == {
        "property": "gamma_surface",
        "potential": "Cu_a:b+1",
        "slip_system": "fcc_111",
    }
    assert result_labels(Path("potentials/Fe/peierls_stress/bcc_110/edge.h5")) == {
        "property": "peierls_stress",
        "potential": "Fe",
        "slip_system": "bcc_110",
        "character": "edge",
    }
    for other in ("results/a/library.h5", "potentials/a/b/lattice.h5", "potentials/Cu/lattice.h5.tmp"):
        assert result_labels(Path(other)) is None


def test_recorded_failures_are_not_missing(results: list[Path]) -> None:
    library = merge(SETTINGS, results)
    assert len(library.entries) == 25
    assert library.missing == ()
    assert {entry.status for entry in library.entries} == {"failed"}


def test_by_default_nothing_may_be_missing(results: list[Path]) -> None:
    results[3].unlink()
    with pytest.raises(MissingResultsError) as caught:
        merge(SETTINGS, results, rerun_command="snakemake --configfile 'my run.yaml'")
    message = str(caught.value)
    assert "1 of 100 results (1 %) are missing: Cu_0 peierls_stress.fcc_111.edge" in message
    assert "does not exist" in message
    assert "at most 0 % missing" in message
    assert "snakemake --configfile 'my run.yaml'" in message
    assert "--accept-missing-percent 1 goes on" in message


@pytest.mark.parametrize(("percent", "accepted"), [(6.9, False), (7.0, True), (7.1, True), (100.0, True)])
def test_the_limit_is_inclusive(results: list[Path], percent: float, accepted: bool) -> None:
    for file in results[:7]:
        file.unlink()
    if accepted:
        assert len(merge(SETTINGS, results, accept_missing_percent=percent).missing) == 7
    else:
        with pytest.raises(MissingResultsError):
            merge(SETTINGS, results, accept_missing_percent=percent)


def test_at_most_ten_are_named_in_the_message(results: list[Path]) -> None:
    for file in results[:24]:
        file.unlink()
    with pytest.raises(MissingResultsError) as caught:
        merge(SETTINGS, results, accept_missing_percent=5)
    first_line = caught.value.found.splitlines()[0]
    assert "24 of 100 results (24 %)" in first_line
    assert first_line.count("Cu_") == 10
    assert first_line.endswith("and 14 more")


def test_nothing_at_all_is_no_library(results: list[Path]) -> None:
    for file in results:
        file.unlink()
    for found in (results, []):
        with pytest.raises(MissingResultsError):
            merge(SETTINGS, found, accept_missing_percent=100)


def test_what_is_missing_is_named_in_record_and_table(results: list[Path], tmp_path: Path) -> None:
    results[3].unlink()
    results[2].write_bytes(results[2].read_bytes()[:-500])
    for file in results[4:8]:
        file.unlink()
    library = merge(SETTINGS, results, accept_missing_percent=10)
    write_record(tmp_path / "library.h5", library)
    read = read_record(tmp_path / "library.h5", Library)
    assert read.accept_missing_percent == 10
    assert [(each.potential, each.stage_name) for each in read.missing] == [
        ("Cu_0", "gamma_surface.fcc_111"),
        ("Cu_0", "peierls_stress.fcc_111.edge"),
        ("Cu_1", "lattice"),
        ("Cu_1", "elastic"),
        ("Cu_1", "gamma_surface.fcc_111"),
        ("Cu_1", "peierls_stress.fcc_111.edge"),
    ]
    assert "cannot be opened as HDF5" in read.missing[0].reason or "is damaged" in read.missing[0].reason
    assert "does not exist" in read.missing[1].reason
    assert len(read.entries) == 24
    assert read.entries[0].missing == ("gamma_surface.fcc_111", "peierls_stress.fcc_111.edge")
    assert read.entries[1].missing == ()
    row = table(read)[0]
    assert "peierls_stress.fcc_111.edge: missing" in str(row["reason"])
    write_table(read, tmp_path / "library.csv")
    with (tmp_path / "library.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 25
    assert (rows[-1]["potential_id"], rows[-1]["status"]) == ("Cu_1", "missing")
    assert "lattice: missing" in rows[-1]["reason"]


def test_a_potential_without_one_of_its_results_is_not_ok() -> None:
    from glideflow.records import LibraryEntry

    stage = record_of("Cu_0", "lattice")
    good = StageRecord(property="lattice", status="ok", potential=stage.potential, provenance=stage.provenance)
    assert LibraryEntry(potential=stage.potential, stages=(good,)).status == "ok"
    assert LibraryEntry(potential=stage.potential, stages=(good,), missing=("elastic",)).status == "partial"
    assert LibraryEntry(potential=stage.potential, stages=(stage,), missing=("elastic",)).status == "failed"


def test_a_library_without_missing_results_reads_back_as_such(results: list[Path], tmp_path: Path) -> None:
    library = merge(SETTINGS, results[:4])
    write_record(tmp_path / "library.h5", library)
    read = read_record(tmp_path / "library.h5", Library)
    assert read.missing == ()
    assert read.entries[0].missing == ()


def test_the_command_takes_the_limit_from_option_or_configuration(results: list[Path], tmp_path: Path) -> None:
    results[0].unlink()
    files = [str(file) for file in results]
    output = ["merge", "--output", str(tmp_path / "library.h5"), "--csv", str(tmp_path / "library.csv")]
    strict = CliRunner().invoke(library_app, [*output, *files])
    assert isinstance(strict.exception, MissingResultsError)
    assert not (tmp_path / "library.h5").exists()
    by_option = CliRunner().invoke(library_app, [*output, "--accept-missing-percent", "1", *files])
    assert by_option.exit_code == 0, by_option.output
    assert "missing: 1 of 100 results (accepted: 1 %)" in by_option.stderr
    assert "Cu_0 lattice: " in by_option.stderr
    (tmp_path / "run.yaml").write_text("name: test\nlibrary:\n  accept_missing_percent: 1\n")
    by_file = CliRunner().invoke(library_app, [*output, "--config", str(tmp_path / "run.yaml"), *files])
    assert by_file.exit_code == 0, by_file.output
    settings = json.loads(read_record(tmp_path / "library.h5", Library).settings_json)
    assert settings["library"]["accept_missing_percent"] == 1


@pytest.mark.parametrize("percent", ["-1", "101", "nan", "some"])
def test_impossible_limits_are_refused(percent: str, tmp_path: Path) -> None:
    run = CliRunner().invoke(
        library_app, ["merge", "--output", str(tmp_path / "a.h5"), f"--accept-missing-percent={percent}", "x.h5"]
    )
    assert run.exit_code == 2
    assert "accept-missing-percent" in run.output


def test_without_files_the_results_of_the_run_are_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "Cu_2001Mishin_Cu_eam-alloy_v2"
    Path("run.yaml").write_text(f"name: test\npotentials:\n  select:\n    ids: [{name}]\n")
    for rule, template in RESULT_FILES.items():
        if rule != "elastic":
            write_record(Path("results/test", template.format(potential=name, **LABELS)), record_of(name, rule))
    arguments = ["merge", "--config", "run.yaml", "--output", "library.h5", "--accept-missing-percent"]
    refused = CliRunner().invoke(library_app, [*arguments, "24"])
    assert isinstance(refused.exception, MissingResultsError)
    assert "snakemake --configfile run.yaml" in str(refused.exception)
    gathered = CliRunner().invoke(library_app, [*arguments, "25"])
    assert gathered.exit_code == 0, gathered.output
    library = read_record(Path("library.h5"), Library)
    assert [each.file for each in library.missing] == [f"results/test/potentials/{name}/elastic.h5"]
