from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from glideflow.errors import StorageError
from glideflow.exclusive import Holder, Lock, alone, try_lock

HOLD = """
import sys, time
from pathlib import Path
from glideflow.exclusive import try_lock
lock = try_lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(1000)
"""


def holding(path: Path) -> subprocess.Popen[str]:
    """A process that holds a lock."""
    environment = os.environ | {"SLURM_JOB_ID": "4711"}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_names_its_holder_to_others(tmp_path: Path) -> None:
    path = tmp_path / "folder/x.lock"
    with holding(path) as process:
        try:
            found = try_lock(path)
        finally:
            process.kill()
    assert isinstance(found, Holder)
    assert (found.pid, found.slurm_job) == (process.pid, "4711")
    assert str(found).startswith(f"process {process.pid} on {os.uname().nodename}, Slurm job 4711, since 20")


def test_a_killed_holder_leaves_the_file_but_not_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with holding(path) as process:
        process.send_signal(signal.SIGKILL)
    assert path.exists()
    lock = try_lock(path)
    assert isinstance(lock, Lock)
    lock.release()
    assert not path.exists()


def test_a_lock_that_is_left_keeps_its_file(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    lock = try_lock(path)
    assert isinstance(lock, Lock)
    assert lock.real
    lock.leave()
    assert path.exists()
    assert isinstance(try_lock(path), Lock)


def test_waiting_ends_when_the_holder_does(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with holding(path) as process:
        seen: list[Holder] = []

        def waiting(holder: Holder) -> None:
            seen.append(holder)
            process.kill()

        with alone(path, waiting):
            assert path.exists()
    assert {holder.pid for holder in seen} == {process.pid}
    assert not path.exists()


def test_one_at_a_time_though_the_file_comes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    inside = 0
    most = 0
    turns = 0

    def work() -> None:
        nonlocal inside, most, turns
        for _ in range(20):
            while isinstance(lock := try_lock(path), Holder):
                time.sleep(0.001)
            inside += 1
            most = max(most, inside)
            turns += 1
            time.sleep(0.001)
            inside -= 1
            lock.release()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, turns) == (1, 160)


def test_a_file_system_without_locks_locks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(stream: object, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    lock = try_lock(tmp_path / "x.lock")
    assert isinstance(lock, Lock)
    assert not lock.real
    lock.release()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot lock"):
        try_lock(tmp_path / "file/x.lock")


def test_a_file_that_says_nothing_useful_has_an_unknown_holder(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    lock = try_lock(path)
    for content in ("", "[1, 2]", '{"nonsense": 1}', "{"):
        path.write_text(content)
        assert try_lock(path) == Holder()
    assert isinstance(lock, Lock)
