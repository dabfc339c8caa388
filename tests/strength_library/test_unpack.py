from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.config.load import load_settings, settings_from_mapping
from glideflow.config.yaml_text import settings_yaml
from glideflow.errors import BusyError, StorageError
from glideflow.exclusive import Lock, try_lock
from glideflow.library_build import build
from glideflow.library_unpack import unpack
from glideflow.records import Library, StageRecord
from glideflow.run import ResolvedRun, validate_run
from glideflow.runs.unpacked import UNPACKED_FILE, outdated
from glideflow.storage import read_record, write_record

if TYPE_CHECKING:
    from conftest import Records

ALUMINIUM = "Al_2008Mendelev_Al_eam-fs"


def run_of(records: Records, base: Path, **changed: Any) -> ResolvedRun:
    """A run of the potential of the records with the settings of these, but for those that are changed."""
    own = {name: json.loads(stage.provenance.settings_json) for name, stage in records.stages.items()}
    chosen = {"name": "mine", "potentials": {"select": {"ids": [ALUMINIUM]}}}
    settings = settings_from_mapping(own | chosen | changed, "settings of the records")
    return validate_run(settings, base)


def outcomes(library: Library, run: ResolvedRun) -> dict[str, str]:
    return {task.rule: outcome for task, outcome in unpack(library, run, run.base)}


def file(run: ResolvedRun, rule: str) -> Path:
    (task,) = (task for task in run.property_tasks() if task.rule == rule)
    return run.base / run.results / task.output


def of_run(records: Records, run: ResolvedRun, *stages: StageRecord) -> Library:
    """A library of the run's slip systems, with the records (all four, if none are given)."""
    library = records.library(records.entry(*stages))
    return replace(library, settings_json=run.settings.model_dump_json())


def test_records_become_the_results_of_a_run(records: Records, tmp_path: Path) -> None:
    run = run_of(records, tmp_path)
    library = of_run(records, run)
    assert set(outcomes(library, run).values()) == {"taken"}
    for task in run.property_tasks():
        found = read_record(Path(run.base, run.results, task.output), StageRecord)
        assert found.provenance == records[task.rule].provenance
        assert found.record_name == records[task.rule].record_name
    assert load_settings(Path(run.base, run.results, "config.yaml")) == run.settings
    again = build([Path(run.base, run.results)], "again")
    assert [stage.record_name for stage in again.entries[0].stages] == [
        stage.record_name for stage in library.entries[0].stages
    ]
    assert again.missing == ()


def test_a_result_that_is_there_stays(records: Records, tmp_path: Path) -> None:
    run = run_of(records, tmp_path)
    library = of_run(records, run)
    unpack(library, run, tmp_path)
    assert set(outcomes(library, run).values()) == {"there already"}
    file(run, "elastic").unlink()
    assert Counter(outcomes(library, run).values()) == {"there already": 3, "taken": 1}


def test_nothing_is_taken_that_is_made_from_another_result_of_the_run(records: Records, tmp_path: Path) -> None:
    run = run_of(records, tmp_path)
    write_record(file(run, "lattice"), records.changed("lattice", a_angstrom=9.0))
    found = outcomes(of_run(records, run), run)
    assert Counter(found.values()) == {"there already": 1, "needs another": 3}
    assert read_record(file(run, "lattice"), StageRecord).result.a_angstrom == 9.0  # type: ignore[union-attr]
    file(run, "lattice").write_bytes(b"damaged")
    assert outcomes(of_run(records, run), run)["elastic"] == "needs another"


def test_files_are_older_than_all_that_is_there_and_no_older_than_what_they_are_made_from(
    records: Records, tmp_path: Path
) -> None:
    run = run_of(records, tmp_path)
    library = of_run(records, run)
    write_record(file(run, "elastic"), records["elastic"])
    lock = tmp_path / run.work / "run.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    os.utime(lock, (5e8, 5e8))  # of a killed run
    unpack(library, run, tmp_path)
    dates = {task.rule: file(run, task.rule).stat().st_mtime for task in run.property_tasks()}
    assert dates["lattice"] < min(5e8, dates["elastic"])
    assert dates["lattice"] <= dates["gamma_surface"] <= dates["peierls_stress"]
    assert lock.stat().st_mtime == 5e8, "it is still known that a run was killed"


def test_a_run_at_work_is_not_disturbed(records: Records, tmp_path: Path) -> None:
    run = run_of(records, tmp_path)
    lock = try_lock(tmp_path / run.work / "run.lock")
    assert isinstance(lock, Lock)
    with pytest.raises(BusyError, match="another run is at work"):
        unpack(of_run(records, run), run, tmp_path)
    lock.release()
    assert not (tmp_path / "results").exists()


def test_what_was_taken_is_outdated_when_the_run_would_compute_it_otherwise(records: Records, tmp_path: Path) -> None:
    run = run_of(records, tmp_path)
    unpack(of_run(records, run), run, tmp_path)
    folder = tmp_path / run.results
    assert list(outdated(folder, run)) == []
    other = run_of(records, tmp_path, elastic={"strain_dependence_flag": 0.5})
    assert list(outdated(folder, other)) == [f"potentials/{ALUMINIUM}/elastic.h5"]
    assert list(outdated(tmp_path, other)) == [], "nothing was unpacked there"
    (folder / UNPACKED_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(StorageError, match=r"unpacked\.json cannot be read"):
        list(outdated(folder, run))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"elastic": {"strain_dependence_flag": 0.5}}, {"elastic": "other settings", "gamma_surface": "taken"}),
        ({"lattice": {"scan_points": 31}}, {"lattice": "other settings", "elastic": "needs another"}),
        ({"seed": 5}, {"lattice": "other settings", "peierls_stress": "other settings"}),
        ({"engine": {"accelerator": "none"}}, {"lattice": "other settings"}),
        ({"engine": {"time_limit_s": 5.0}}, {"lattice": "taken", "peierls_stress": "taken"}),
        (
            {"slip_systems": [{"name": "fcc_111", "structure": "fcc", "plane": [1, 0, 0], "direction": [0, 1, 1]}]},
            {"elastic": "taken", "gamma_surface": "other settings", "peierls_stress": "other settings"},
        ),
    ],
)
def test_what_the_run_would_compute_otherwise_is_left_to_it(
    records: Records, tmp_path: Path, changed: dict[str, Any], expected: dict[str, str]
) -> None:
    library = of_run(records, run_of(records, tmp_path))
    run = run_of(records, tmp_path, **changed)
    found = outcomes(library, run)
    assert {name: found[name] for name in expected} == expected
    there = {task.rule for task in run.property_tasks() if Path(run.base, run.results, task.output).exists()}
    assert there == {name for name, outcome in found.items() if outcome == "taken"}


def test_records_of_other_files_and_missing_ones_are_left_to_the_run(records: Records, tmp_path: Path) -> None:
    run = run_of(records, tmp_path)
    others = records.of(records["lattice"], sha256="0" * 64)
    assert outcomes(of_run(records, run, *others), run)["lattice"] == "other files"
    assert outcomes(of_run(records, run, records["lattice"]), run)["elastic"] == "not in the library"
    assert outcomes(records.library(), run)["gamma_surface"] == "not in the library"


def test_a_recorded_failure_is_a_result(records: Records, tmp_path: Path) -> None:
    run = run_of(records, tmp_path)
    assert outcomes(of_run(records, run, records["lattice"], records.failed("elastic")), run)["elastic"] == "taken"


def test_settings_that_this_version_does_not_know(records: Records, tmp_path: Path) -> None:
    run = run_of(records, tmp_path)
    strange = replace(records["lattice"].provenance, settings_json='{"scan_spirals": 3}')
    library = of_run(records, run, replace(records["lattice"], provenance=strange))
    assert outcomes(library, run)["lattice"] == "other settings"


def test_the_command_says_what_is_left_to_compute(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(records, tmp_path, lattice={"scan_points": 31})
    configuration, library = tmp_path / "run.yaml", tmp_path / "library.h5"
    configuration.write_text(settings_yaml(run.settings), encoding="utf-8")
    write_record(library, of_run(records, run_of(records, tmp_path)), layout="columns")
    monkeypatch.chdir(tmp_path)
    command = ["library", "unpack", "--config", str(configuration), "--library", str(library)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "needs another: the run has, or will compute, another result" in result.stdout
    assert (
        f"took 0 records into results/mine; compute the rest: snakemake --configfile {configuration}" in result.stderr
    )
    rows = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert rows[0]["outcome"] == "other settings"
    assert {row["potential"] for row in rows} == {ALUMINIUM}
