"""Corrupt, truncated and foreign files at every place where a result is read: one clear message, and no crash."""

from __future__ import annotations

import json
import pickle
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.errors import GlideflowError, StorageError
from glideflow.records import Library, StageRecord
from glideflow.storage import describe, peek, read_record
from glideflow.workbench import _HEADER, _MAGIC, Workbench

if TYPE_CHECKING:
    from conftest import Desk


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def with_noise(content: bytes) -> bytes:
    chance = random.Random(1)
    damaged = bytearray(content)
    for _ in range(200):
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    return bytes(damaged)


def of_another_program(_: bytes) -> bytes:
    with h5py.File("foreign", "w", driver="core", backing_store=False) as file:
        file["x"] = np.arange(3)
        file.flush()
        return file.id.get_file_image()


def renamed(content: bytes) -> bytes:
    """An honest file of another kind of record."""
    return content.replace(b"glideflow/StageRecord", b"glideflow/StageRecorx").replace(
        b"glideflow/Library", b"glideflow/Librarx"
    )


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "truncated": truncated,
    "header only": lambda content: content[:8],
    "noise": with_noise,
    "text": lambda _: b"Cu 3.615\n" * 100,
    "zeros": lambda content: bytes(len(content)),
    "of another program": of_another_program,
    "another record": renamed,
    "pickle": lambda _: pickle.dumps({"a_angstrom": 3.6}),
}

READERS: dict[str, tuple[str, list[str]]] = {
    "elastic": ("lattice.h5", ["elastic", "-p", "Fe_2003Mendelev_Fe_eam-fs", "-c", "tiny.yaml", "--lattice", "FILE"]),
    "gamma": ("lattice.h5", ["gamma", "-p", "Fe_2003Mendelev_Fe_eam-fs", "-c", "tiny.yaml", "--lattice", "FILE"]),
    "peierls": ("lattice.h5", ["peierls", "-p", "Fe_2003Mendelev_Fe_eam-fs", "-c", "tiny.yaml", "--lattice", "FILE"]),
    "merge": ("gamma.h5", ["library", "merge", "FILE", "-o", "new.h5", "-c", "tiny.yaml"]),
    "report": ("library.h5", ["report", "--library", "FILE", "-o", "new.html"]),
}
"""Commands by the file that they read; where ``FILE`` stands they are given the damaged one."""


@pytest.fixture
def copy(finished: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Results to be damaged."""
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    monkeypatch.chdir(folder)
    return replace(finished, folder=folder)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_is_refused_in_one_message(copy: Desk, reader: str, damage: str) -> None:
    name, words = READERS[reader]
    file = copy.folder / name
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    before = set(copy.folder.iterdir())
    result = CliRunner().invoke(app, [name if word == "FILE" else word for word in words])
    assert isinstance(result.exception, GlideflowError), result.output
    said = str(result.exception)
    assert name in said or "missing" in said
    assert result.exception.next_step
    assert set(copy.folder.iterdir()) == before


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name not in ("of another program", "another record")])
def test_inspect_refuses_what_is_no_hdf5(copy: Desk, damage: str) -> None:
    file = copy.folder / "gamma.h5"
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    result = CliRunner().invoke(app, ["inspect", "gamma.h5"])
    assert isinstance(result.exception, StorageError), result.output


@pytest.mark.parametrize("damage", DAMAGES)
def test_status_failures_and_a_tolerant_merge_go_on_around_a_damaged_file(copy: Desk, damage: str) -> None:
    potentials = copy.folder / "results/tiny/potentials" / copy.potential
    places = {
        "lattice.h5": potentials / "lattice.h5",
        "gamma.h5": potentials / "gamma_surface/bcc_110.h5",
        "peierls.h5": potentials / "peierls_stress/bcc_110/edge.h5",
    }
    for name, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(copy.folder / name, place)
    damaged = places["gamma.h5"]
    damaged.write_bytes(DAMAGES[damage](damaged.read_bytes()))

    status = CliRunner().invoke(app, ["status", "-c", "tiny.yaml", "--json"])
    assert status.exception is None, status.exception
    assert '"ok"' in status.output
    assert "Traceback" not in status.output
    failures = CliRunner().invoke(app, ["failures", "-c", "tiny.yaml", "--json"])
    assert failures.exception is None, failures.exception
    listed = json.loads(failures.output)
    assert any("gamma" in json.dumps(each) for each in listed)

    words = ["library", "merge", "-c", "tiny.yaml", "-o", "new.h5", "--accept-missing-percent", "90"]
    merged = CliRunner().invoke(app, words)
    assert merged.exception is None, merged.exception
    library = read_record(copy.folder / "new.h5", Library)
    assert any("bcc_110" in missing.file for missing in library.missing)


@pytest.mark.parametrize("name", ["lattice.h5", "gamma.h5", "peierls.h5", "library.h5"])
def test_a_file_cut_anywhere_or_with_any_byte_changed_is_refused(copy: Desk, name: str) -> None:
    content = (copy.folder / name).read_bytes()
    expected = Library if name == "library.h5" else StageRecord
    file = copy.folder / "damaged.h5"
    readers: tuple[Callable[[], object], ...] = (
        lambda: read_record(file, expected),
        lambda: peek(file, expected, "status"),
        lambda: [*describe(file)],
    )
    for damaged in damaged_at_random(content, trials=60):
        file.write_bytes(damaged)
        for read in readers:
            with pytest.raises(StorageError) as caught:
                read()
            assert caught.value.next_step


def damaged_at_random(content: bytes, trials: int) -> Iterator[bytes]:
    """Cut in every other trial, else with a few bytes changed."""
    chance = random.Random(content[:100])
    for trial in range(trials):
        if trial % 2:
            yield content[: chance.randrange(len(content))]
            continue
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(len(damaged))] ^= 1 + chance.randrange(255)
        yield bytes(damaged)


class TestPartialResults:
    """Files of partial results."""

    def entries(self, folder: Path) -> dict[str, float]:
        workbench = Workbench(folder, "key")
        try:
            return {name: float(workbench.get(name)["x"]) for name in workbench.names()}  # type: ignore[index]
        finally:
            workbench.close()

    def fill(self, folder: Path, count: int) -> dict[str, float]:
        workbench = Workbench(folder, "key")
        for number in range(count):
            workbench.put(f"entry {number}", x=np.array(float(number)))
        workbench.close()
        return {f"entry {number}": float(number) for number in range(count)}

    def test_what_is_behind_the_first_damage_is_given_up_and_what_is_before_it_kept(self, tmp_path: Path) -> None:
        whole = self.fill(tmp_path, 12)
        file = tmp_path / "key.partial"
        content = file.read_bytes()
        for damaged in damaged_at_random(content, trials=60):
            file.write_bytes(damaged)
            found = self.entries(tmp_path)
            assert found == dict(list(whole.items())[: len(found)])
            assert self.fill(tmp_path, 12) == whole == self.entries(tmp_path)

    @pytest.mark.parametrize("payload", [b"", b"no archive", b"PK\x05\x06" + bytes(18), pickle.dumps([1])])
    def test_an_entry_with_a_sound_checksum_that_is_not_ours_is_passed_over(
        self, tmp_path: Path, payload: bytes
    ) -> None:
        import zlib

        whole = self.fill(tmp_path, 2)
        with (tmp_path / "key.partial").open("ab") as stream:
            stream.write(_HEADER.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload)
        assert self.entries(tmp_path) == whole


def test_a_file_that_promises_more_than_it_holds_takes_no_memory(copy: Desk) -> None:
    file = copy.folder / "gamma.h5"
    with h5py.File(file, "a") as stream:
        del stream["potential/id"]
        stream["potential"].create_dataset("id", shape=(2**40,), dtype="f8", chunks=(2**20,), compression="gzip")
    with pytest.raises(StorageError):
        read_record(file, StageRecord)
    result = CliRunner().invoke(app, ["inspect", "gamma.h5"])
    assert isinstance(result.exception, StorageError)


def test_entries_of_other_types_are_damage(copy: Desk) -> None:
    replacements: dict[str, Any] = {
        "status": [1.0, 2.0],
        "potential/element": b"\xff\xfe",
        "potential": 3.0,
        "result/a_angstrom": np.full(3, np.nan),
    }
    for name, value in replacements.items():
        file = copy.folder / "damaged.h5"
        shutil.copy(copy.folder / "lattice.h5", file)
        with h5py.File(file, "a") as stream:
            del stream[name]
            stream[name] = value
        words = ["elastic", "-p", copy.potential, "-c", "tiny.yaml", "--lattice", "damaged.h5"]
        result = CliRunner().invoke(app, words)
        assert isinstance(result.exception, GlideflowError), (name, result.output, result.exception)


def test_data_and_links_in_other_files_are_not_followed(copy: Desk) -> None:
    (copy.folder / "secret").write_text("root:x:0:0")
    for name, make in {
        "external data": lambda group: group.create_dataset("x", (10,), "u1", external=[("secret", 0, 10)]),
        "link": lambda group: group.__setitem__("x", h5py.ExternalLink("gamma.h5", "/result")),
    }.items():
        file = copy.folder / "hostile.h5"
        shutil.copy(copy.folder / "lattice.h5", file)
        with h5py.File(file, "a") as stream:
            del stream["result/a_angstrom"]
            make(stream["result"])
            stream.move("result/x", "result/a_angstrom")
        with pytest.raises(StorageError, match="another file"):
            read_record(file, StageRecord)
        result = CliRunner().invoke(app, ["inspect", "hostile.h5"])
        assert "114" not in result.output, name  # the first byte


def test_a_file_that_another_program_has_changed_is_read(copy: Desk) -> None:
    with h5py.File(copy.folder / "lattice.h5", "a") as stream:
        stream.attrs["remark"] = "looked at"
    assert read_record(copy.folder / "lattice.h5", StageRecord).ok
