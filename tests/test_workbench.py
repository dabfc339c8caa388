from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from glideflow.errors import StorageError
from glideflow.workbench import Workbench, request_key

ARRAYS = arrays(float, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)) | arrays(
    np.int64, array_shapes(min_dims=0, max_dims=2)
)
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
ENTRIES = st.lists(
    st.tuples(NAMES, st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), ARRAYS, max_size=3)),
    max_size=6,
)


def contents(workbench: Workbench) -> dict[str, dict[str, np.ndarray]]:
    return {name: dict(workbench.get(name)) for name in workbench.names()}


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(
        first[name].keys() == second[name].keys()
        and all(np.array_equal(first[name][key], second[name][key], equal_nan=True) for key in first[name])
        for name in first
    )


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(entries=ENTRIES)
def test_entries_come_back(tmp_path: Path, entries: list) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as name:
        workbench = Workbench(Path(name), "key")
        for entry, fields in entries:
            workbench.put(entry, **{key: value for key, value in fields.items() if key != "name"})
        expected = contents(workbench)
        workbench.close()
        again = Workbench(Path(name), "key")
        assert same(contents(again), expected)
        again.close()


def test_in_memory_only(tmp_path: Path) -> None:
    workbench = Workbench(None)
    workbench.put("a", x=np.arange(3))
    np.testing.assert_array_equal(workbench.get("a")["x"], np.arange(3))
    assert workbench.get("b") is None
    workbench.close()
    assert not list(tmp_path.iterdir())


def filled(folder: Path, count: int = 4) -> bytes:
    workbench = Workbench(folder, "key")
    for number in range(count):
        workbench.put(f"entry {number}", values=np.full(5, float(number)), outcome=np.array("stable"))
    workbench.close()
    return (folder / "key.partial").read_bytes()


def test_a_torn_tail_is_cut_off_at_every_byte_of_the_last_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # slow, and nothing here depends on it
    whole = filled(tmp_path / "whole")
    three = len(filled(tmp_path / "three", 3))
    path = tmp_path / "torn" / "key.partial"
    path.parent.mkdir()
    for length in range(three, len(whole)):
        path.write_bytes(whole[:length])
        workbench = Workbench(path.parent, "key")
        assert workbench.names() == ("entry 0", "entry 1", "entry 2")
        workbench.put("entry 3", values=np.full(5, 3.0), outcome=np.array("stable"))
        workbench.close()
        assert path.read_bytes() == whole, "the entry that is put again lies where the torn one lay"


def test_a_flipped_bit_ends_what_is_read(tmp_path: Path) -> None:
    whole = bytearray(filled(tmp_path))
    start = len(filled(tmp_path / "two", 2))
    generator = random.Random(1)
    for _ in range(40):
        damaged = whole.copy()
        damaged[generator.randrange(start, len(whole))] ^= 1 << generator.randrange(8)
        (tmp_path / "key.partial").write_bytes(damaged)
        workbench = Workbench(tmp_path, "key")
        assert workbench.names()[:2] == ("entry 0", "entry 1")
        for name in workbench.names():
            np.testing.assert_array_equal(workbench.get(name)["values"], float(name[-1]))
        workbench.close()


@pytest.mark.parametrize("garbage", [b"not a workbench", b"GFWB", b"GFWB" + b"\xff" * 40, b"\0" * 1000])
def test_garbage_is_an_empty_workbench(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "key.partial").write_bytes(garbage)
    workbench = Workbench(tmp_path, "key")
    assert workbench.names() == ()
    workbench.put("a", x=np.array(1))
    workbench.close()
    assert Workbench(tmp_path, "key").names() == ("a",)


def test_the_last_of_two_entries_of_one_name_counts(tmp_path: Path) -> None:
    workbench = Workbench(tmp_path, "key")
    for value in (1, 2):
        workbench.put("a", x=np.array(value))
    workbench.close()
    assert int(Workbench(tmp_path, "key").get("a")["x"]) == 2


def test_a_second_process_reads_but_does_not_write(tmp_path: Path) -> None:
    first = Workbench(tmp_path, "key")
    first.put("a", x=np.array(1))
    second = Workbench(tmp_path, "key")
    assert second.names() == ("a",)
    second.put("b", x=np.array(2))
    first.put("c", x=np.array(3))
    second.close()
    first.close()
    third = Workbench(tmp_path, "key")
    assert third.names() == ("a", "c")


def test_keys_part_the_files(tmp_path: Path) -> None:
    one = Workbench(tmp_path, "one")
    one.put("a", x=np.array(1))
    one.close()
    assert Workbench(tmp_path, "two").names() == ()


def test_request_keys_depend_on_every_part_and_on_nothing_else() -> None:
    key = request_key("gamma", {"b": 1, "a": 2.5}, 7)
    assert key == request_key("gamma", {"a": 2.5, "b": 1}, 7)
    others = [
        request_key("gamma", {"b": 1, "a": 2.5}, 8),
        request_key("peierls", {"b": 1, "a": 2.5}, 7),
        request_key("gamma", {"b": 1, "a": 2.5000001}, 7),
        request_key("gamma", {"b": 1}, {"a": 2.5}, 7),
    ]
    assert len({key, *others}) == 5
    assert key.isalnum()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with pytest.raises(StorageError, match="partial results") as caught:
        Workbench(tmp_path / "file" / "work", "key")
    assert "`work`" in caught.value.next_step


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_full_disk(tmp_path: Path) -> None:
    """What was kept before the disk was full is there afterwards."""
    pid = os.fork()
    if pid == 0:
        try:
            workbench = Workbench(tmp_path, "key")
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
            for number in range(10):
                workbench.put(f"entry {number}", x=np.arange(500.0))
        except StorageError:
            os._exit(42)
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    workbench = Workbench(tmp_path, "key")
    assert workbench.names() == ("entry 0", "entry 1", "entry 2", "entry 3")
    np.testing.assert_array_equal(workbench.get("entry 3")["x"], np.arange(500.0))


WRITER = """
import sys
from pathlib import Path
import numpy as np
from glideflow.workbench import Workbench
workbench = Workbench(Path(sys.argv[1]), "key")
first = len(workbench.names())
for number in range(first, first + 300):
    workbench.put(f"entry {number}", values=np.full(int(sys.argv[2]), float(number)))
    print(number, flush=True)
sys.stdin.read()
"""
"""Goes on until it is killed; if that takes long it waits, before the disk is full."""


@pytest.mark.parametrize("size", [10, 100_000])
def test_kills_at_random_instants_lose_no_entry_that_was_kept(tmp_path: Path, size: int) -> None:
    """The writer says what it has kept; killed ten times in a row, it goes on where it was."""
    generator = random.Random(size)
    kept = -1
    for _ in range(10):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(size)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            first = writer.stdout.readline()
            assert int(first) >= kept, "goes on from what was kept"
            time.sleep(generator.uniform(0.0, 0.05))
            writer.send_signal(signal.SIGKILL)
            said = [first, *writer.stdout.readlines()]
        kept = int([line for line in said if line.endswith("\n")][-1])
        workbench = Workbench(tmp_path, "key")
        names = workbench.names()
        assert names[: kept + 1] == tuple(f"entry {number}" for number in range(kept + 1))
        for number in (0, kept // 2, kept):
            np.testing.assert_array_equal(workbench.get(f"entry {number}")["values"], np.full(size, float(number)))
        kept = len(names) - 1
        workbench.close()


def test_sections_keep_names_of_their_own_in_one_file(tmp_path: Path) -> None:
    workbench = Workbench(tmp_path, "key")
    workbench.put("step 1", value=np.array(0))
    for number, name in enumerate(("small", "large"), start=1):
        section = workbench.section(name)
        section.put("step 1", value=np.array(number))
        section.close()  # the whole stays open
    workbench.put("step 2", value=np.array(3))
    workbench.close()
    again = Workbench(tmp_path, "key")
    assert again.section("small").names() == ("step 1",)
    assert [int(part.get("step 1")["value"]) for part in (again, again.section("small"), again.section("large"))] == [
        0,
        1,
        2,
    ]
    assert again.section("small").get("step 2") is None
    assert again.section("small").section("inner").get("step 1") is None
    again.close()
    assert len(list(tmp_path.iterdir())) == 1
