"""Taking over from a killed run; squeue and scancel are doubles that keep the queue in a file."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from glideflow.errors import BusyError, SchedulerError
from glideflow.runs import takeover
from glideflow.runs.takeover import LOCK_FILE, SLURM_RUNS_FILE, cancel_jobs_left, cancel_own_jobs, hold, killed_since

HOLD = """
import sys, time
from pathlib import Path
from glideflow.runs.takeover import hold
hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def run_that_lasts(work: Path, seconds: float) -> subprocess.Popen[str]:
    """A run, as far as its lock goes."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(work), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


class TestLock:
    """One run at a time."""

    def test_a_second_run_is_refused_by_name(self, tmp_path: Path) -> None:
        with run_that_lasts(tmp_path, 600) as process:
            try:
                assert killed_since(tmp_path) is None
                with pytest.raises(BusyError, match=f"another run is at work in .*process {process.pid} on "):
                    hold(tmp_path)
            finally:
                process.kill()

    def test_only_a_killed_run_is_one(self, tmp_path: Path) -> None:
        assert killed_since(tmp_path) is None
        with run_that_lasts(tmp_path, 600) as process:
            process.kill()
        began = (tmp_path / LOCK_FILE).stat().st_mtime
        assert killed_since(tmp_path) == began
        assert killed_since(tmp_path) == began, "looking takes nothing over"
        with run_that_lasts(tmp_path, 0):
            pass
        assert killed_since(tmp_path) is None
        assert not (tmp_path / LOCK_FILE).exists()


class Queue:
    """Doubles of squeue and scancel on PATH; each line of the file ``jobs`` is the id and the name of a job."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.jobs = folder / "jobs"
        self.jobs.touch()
        self.cancelled = folder / "cancelled"
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        self.program("squeue", 'names=${3#--name=}; grep -E " (${names//,/|})$" jobs | cut -d " " -f 1; true')
        self.program("scancel", 'echo "$@" >> cancelled; for id in "$@"; do sed -i "/^$id /d" jobs; done')

    def program(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/bash\ncd {self.folder}\n{textwrap.dedent(script)}\n")
        path.chmod(0o755)


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(takeover, "POLL_INTERVAL_S", 0.01)
    return Queue(folder, monkeypatch)


class TestJobsLeft:
    """Jobs of a killed run in the queue."""

    def test_of_earlier_runs_are_cancelled_and_no_others(self, tmp_path: Path, queue: Queue) -> None:
        (tmp_path / SLURM_RUNS_FILE).write_text("aaa\nbbb\n")
        queue.jobs.write_text("1 aaa\n2 bbb\n3 ccc\n4 aaa\n")
        said: list[str] = []
        cancel_jobs_left(tmp_path, "new", said.append)
        assert queue.jobs.read_text() == "3 ccc\n"
        assert said == ["Cancelling 3 jobs that a killed run left in the queue: 1 2 4"]
        assert (tmp_path / SLURM_RUNS_FILE).read_text() == "new\n"

    def test_none_left_says_nothing(self, tmp_path: Path, queue: Queue) -> None:
        (tmp_path / SLURM_RUNS_FILE).write_text("aaa\n")
        said: list[str] = []
        cancel_jobs_left(tmp_path, "", said.append)
        assert said == []
        assert not queue.cancelled.exists()
        assert (tmp_path / SLURM_RUNS_FILE).read_text() == ""

    def test_a_run_without_slurm_leaves_no_file(self, tmp_path: Path, queue: Queue) -> None:
        cancel_jobs_left(tmp_path, "", print)
        assert not (tmp_path / SLURM_RUNS_FILE).exists()

    def test_without_the_commands_the_names_are_kept(
        self, tmp_path: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / SLURM_RUNS_FILE).write_text("aaa\n")
        monkeypatch.setenv("PATH", "/nonexistent")
        cancel_jobs_left(tmp_path, "new", print)
        assert (tmp_path / SLURM_RUNS_FILE).read_text() == "aaa\nnew\n"

    def test_that_do_not_end_are_an_error(self, tmp_path: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / SLURM_RUNS_FILE).write_text("aaa\n")
        queue.jobs.write_text("1 aaa\n")
        queue.program("scancel", "true")
        monkeypatch.setattr(takeover, "CANCEL_TIMEOUT_S", 0.1)
        with pytest.raises(SchedulerError, match="do not end: 1"):
            cancel_jobs_left(tmp_path, "new", print)
        assert (tmp_path / SLURM_RUNS_FILE).read_text() == "aaa\n", "the next run must look again"

    @pytest.mark.parametrize(
        ("script", "timeout_s", "said"),
        [("echo 'controller is down' >&2; exit 1", 600.0, "controller is down"), ("exec sleep 1000", 0.5, "timed out")],
    )
    def test_of_which_slurm_says_nothing_are_an_error(
        self,
        tmp_path: Path,
        queue: Queue,
        monkeypatch: pytest.MonkeyPatch,
        script: str,
        timeout_s: float,
        said: str,
    ) -> None:
        (tmp_path / SLURM_RUNS_FILE).write_text("aaa\n")
        queue.program("squeue", script)
        monkeypatch.setattr(takeover, "COMMAND_TIMEOUT_S", timeout_s)
        with pytest.raises(SchedulerError, match=f"squeue does not answer: .*{said}"):
            cancel_jobs_left(tmp_path, "new", print)


class TestJobsOfThisRun:
    """Jobs that an interrupted run still has in the queue."""

    def test_are_cancelled_and_no_others(self, tmp_path: Path, queue: Queue) -> None:
        (tmp_path / SLURM_RUNS_FILE).write_text("aaa\n")
        queue.jobs.write_text("1 aaa\n2 bbb\n10 aaa\n")
        said: list[str] = []
        cancel_own_jobs(tmp_path, said.append)
        assert queue.jobs.read_text() == "2 bbb\n"
        assert said == ["Cancelling 2 jobs of this run that are still in the queue: 1 10"]
        assert (tmp_path / SLURM_RUNS_FILE).read_text() == "aaa\n", "the next run waits for their end"

    @pytest.mark.parametrize("ledger", [None, "", "aaa\n"])
    def test_none_says_nothing(self, tmp_path: Path, queue: Queue, ledger: str | None) -> None:
        if ledger is not None:
            (tmp_path / SLURM_RUNS_FILE).write_text(ledger)
        said: list[str] = []
        cancel_own_jobs(tmp_path, said.append)
        assert said == []
        assert not queue.cancelled.exists()

    def test_of_which_slurm_says_nothing_are_left_to_the_next_run(self, tmp_path: Path, queue: Queue) -> None:
        (tmp_path / SLURM_RUNS_FILE).write_text("aaa\n")
        queue.program("squeue", "echo 'controller is down' >&2; exit 1")
        said: list[str] = []
        cancel_own_jobs(tmp_path, said.append)
        assert len(said) == 1
        assert "the next run cancels them" in said[0]
        assert "controller is down" in said[0]
        assert (tmp_path / SLURM_RUNS_FILE).read_text() == "aaa\n"
