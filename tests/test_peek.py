"""Single texts of records (`glideflow.storage.peek`): the same answers and the same refusals as reading them whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from glideflow.config.lattice import LatticeSettings
from glideflow.errors import StorageError
from glideflow.potentials.record import Potential
from glideflow.records import Library, StageFailure, StageRecord, provenance_of, summary_of
from glideflow.storage import peek, read_record, write_record

FAILED = StageRecord(
    property="lattice",
    status="failed",
    potential=summary_of(Potential(id="Cu_a", element="Cu", structure="fcc")),
    provenance=provenance_of(LatticeSettings(), "lammps", "1", 0),
    failure=StageFailure(error_class="Crashed", reason="signal SIGSEGV, γ\n100 %"),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "with space ü.h5"
    write_record(path, FAILED)
    return path


def test_texts_are_those_of_the_whole_record(file: Path) -> None:
    found = peek(file, StageRecord, "status", "failure/reason", "potential/id", "slip_system")
    whole = read_record(file, StageRecord)
    assert whole.failure is not None
    assert found == (whole.status, whole.failure.reason, whole.potential.id, "")


def test_entries_that_are_not_there_are_empty(file: Path) -> None:
    write_record(file, replace(FAILED, failure=None))
    assert peek(file, StageRecord, "failure/reason", "nothing", "no/such/group") == ("", "", "")


def test_foreign_missing_and_damaged_files_are_refused_as_when_read_whole(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    write_record(other, Library(name="a", glideflow_version="1", settings_json="{}", entries=()))
    torn = tmp_path / "torn.h5"
    torn.write_bytes(file.read_bytes()[:-700])
    text = tmp_path / "text.h5"
    text.write_text(json.dumps({"status": "ok"}))
    (tmp_path / "folder.h5").mkdir()
    for path in (other, torn, text, tmp_path / "missing.h5", tmp_path / "folder.h5"):
        with pytest.raises(StorageError) as peeked:
            peek(path, StageRecord, "status")
        with pytest.raises(StorageError) as whole:
            read_record(path, StageRecord)
        assert peeked.value.found == whole.value.found
        assert peeked.value.next_step


def test_an_entry_that_is_no_text_is_damage(file: Path) -> None:
    with h5py.File(file, "a") as stream:
        del stream["status"]
        stream["status"] = [1.0, 2.0]
    with pytest.raises(StorageError, match="is damaged"):
        peek(file, StageRecord, "status")
    with h5py.File(file, "a") as stream:
        del stream["status"]
        stream.create_group("status")
    with pytest.raises(StorageError, match="is damaged"):
        peek(file, StageRecord, "status")


def test_another_schema_version_is_refused(file: Path) -> None:
    with h5py.File(file, "a") as stream:
        stream.attrs["schema_version"] = 99
    with pytest.raises(StorageError, match="schema version 99"):
        peek(file, StageRecord, "status")
