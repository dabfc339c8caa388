from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from glideflow.errors import StorageError
from glideflow.isolation import Failure, Limits, Success, Task, parent, run_isolated
from glideflow.isolation.parent import _Watch


@pytest.fixture
def task(isolated_tasks: str) -> Callable[..., Task]:
    def make(name: str, *, wants_progress: bool = False, scratch: Path | None = None, **arguments: Any) -> Task:
        function = f"{isolated_tasks}:{name}"
        return Task(function=function, arguments=arguments, wants_progress=wants_progress, scratch=scratch)

    return make


MakeTask = Callable[..., Task]


LONG_S = 600.0
"""After so long a wait is a hang, whatever else the machine has to do."""


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + LONG_S
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def is_written(path: Path) -> bool:
    return path.exists() and path.read_text() != ""


def failure(task: Task, limits: Limits | None = None) -> Failure:
    outcome = run_isolated(task, limits)
    assert isinstance(outcome, Failure), outcome
    return outcome


def test_value_and_usage(task: MakeTask) -> None:
    outcome = run_isolated(task("return_value", value={"a": (1, "Å")}))
    assert isinstance(outcome, Success)
    assert outcome.value == {"a": (1, "Å")}
    assert outcome.usage.cpu_time_s > 0
    assert 0 < outcome.usage.wall_time_s < LONG_S


def test_large_arrays_come_back(task: MakeTask) -> None:
    outcome = run_isolated(task("return_large_array", count=10_000_000))  # 80 MB
    assert isinstance(outcome, Success)
    np.testing.assert_array_equal(outcome.value, np.arange(10_000_000.0))


def test_exception(task: MakeTask) -> None:
    found = failure(task("raise_error", message="first line\nthe value is 7"))
    assert (found.error_class, found.reason) == ("ValueError", "the value is 7")
    assert "Traceback" in found.evidence
    assert "raise_error" in found.evidence


def test_fields_of_our_own_errors_cross_the_border(task: MakeTask) -> None:
    found = failure(task("raise_glideflow_error"))
    assert found.error_class == "ConvergenceError"
    assert found.reason == "a force of 1 eV/Å is left"
    assert found.expected == "at most 1e-6 eV/Å"
    assert found.next_step == "raise the tolerance"


@pytest.mark.parametrize("name", ["no_such_function", "return_unpicklable"])
def test_what_cannot_be_found_or_returned_is_a_failure(task: MakeTask, name: str) -> None:
    found = failure(task(name))
    assert found.error_class in {"AttributeError", "TypeError"}
    assert name in found.reason or "stays where it is" in found.reason


def test_missing_module_is_a_failure() -> None:
    found = failure(Task(function="no_such_module:function", arguments={}))
    assert found.error_class == "ModuleNotFoundError"


def test_result_that_cannot_be_read_back_is_a_failure(task: MakeTask) -> None:
    found = failure(task("return_unreadable"))
    assert found.error_class == "RuntimeError"
    assert "cannot be read back" in found.reason


@pytest.mark.parametrize(
    ("name", "arguments", "error_class", "reason"),
    [
        ("exit_with", {"status": 3}, "Crashed", "exit status 3"),
        ("exit_with", {"status": 0}, "NoResult", "exit status 0"),
        ("exit_without_result", {}, "NoResult", "exit status 0"),
        ("abort", {}, "Crashed", "signal SIGABRT"),
        ("segfault", {}, "Crashed", "signal SIGSEGV"),
    ],
)
def test_deaths(task: MakeTask, name: str, arguments: dict[str, int], error_class: str, reason: str) -> None:
    found = failure(task(name, **arguments))
    assert found.error_class == error_class
    assert reason in found.reason
    assert found.usage is not None


def test_where_it_crashed_is_in_the_evidence(task: MakeTask) -> None:
    assert "in segfault" in failure(task("segfault")).evidence


def test_hang(task: MakeTask) -> None:
    found = failure(task("sleep", seconds=LONG_S), Limits(wall_time_s=1.5))
    assert found.error_class == "TimeLimit"
    assert "the limit being 1.5 s" in found.reason
    assert "engine.time_limit_s" in found.expected
    assert "partial results" in found.next_step


def test_memory_hog(task: MakeTask) -> None:
    found = failure(task("hog_memory", gib=1.0), Limits(memory_gib=0.5, wall_time_s=LONG_S))
    assert found.error_class == "MemoryLimit"
    assert found.usage is not None
    assert 0.5 < found.usage.peak_memory_gib < 1.5
    assert "memory_limit_gib" in found.next_step
    assert "memory_limit_gib" in found.expected


def test_watching_a_child_looks_at_nothing_but_the_child(task: MakeTask, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def measured(watch: _Watch, measure: Callable[[_Watch], float] = _Watch._measure) -> float:
        looks.append(1)
        return measure(watch) if len(looks) < 6 else math.inf

    monkeypatch.setattr(_Watch, "_measure", measured)
    monkeypatch.setattr(psutil, "process_iter", lambda *_: pytest.fail("looked at every process"))
    monkeypatch.setattr(psutil, "pids", lambda: pytest.fail("looked at every process"))
    monkeypatch.setattr(parent, "_all_descendants", lambda pid: looks.append(0) or [])
    found = failure(task("sleep", seconds=LONG_S), Limits(memory_gib=1e6))
    assert found.error_class == "MemoryLimit"
    assert found.usage is not None
    assert found.usage.wall_time_s > 0.05 + 0.1 + 0.2 + 0.4 + 2 * 0.5, "the looks come apart"
    assert looks == [1] * 6 + [0], "all processes once, when what is left is killed"


def test_descendants_are_those_that_all_processes_say_are() -> None:
    shell = subprocess.Popen(["sh", "-c", "sleep 1000 & sh -c 'sleep 1000; true'; true"])
    try:
        assert wait_for(lambda: len(set(parent._descendants(shell.pid))) == 3)
        expected = {process.pid for process in psutil.Process(shell.pid).children(recursive=True)}
        assert set(parent._descendants(shell.pid)) == expected
    finally:
        for process in [*psutil.Process(shell.pid).children(recursive=True), shell]:
            process.kill()
        shell.wait()
    assert list(parent._descendants(shell.pid)) == []


def test_a_process_that_vanishes_between_two_looks_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = subprocess.Popen(["sh", "-c", "sleep 1000 & sleep 1000 & wait"])
    try:
        assert wait_for(lambda: len(list(parent._descendants(shell.pid))) == 2)
        expected = list(parent._descendants(shell.pid))

        def vanished(folder: Path, iterdir: Callable[[Path], Iterator[Path]] = Path.iterdir) -> Iterator[Path]:
            if folder == Path(f"/proc/{expected[0]}/task"):
                raise ProcessLookupError
            return iterdir(folder)

        monkeypatch.setattr(Path, "iterdir", vanished)
        assert list(parent._descendants(shell.pid)) == expected
    finally:
        monkeypatch.undo()
        for process in [*psutil.Process(shell.pid).children(recursive=True), shell]:
            process.kill()
        shell.wait()


def test_child_ends_when_its_parent_is_killed(isolated_tasks: str, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    code = f"import {isolated_tasks}, pathlib; {isolated_tasks}.run_child_that_leaves_pid(pathlib.Path({str(path)!r}))"
    mother = subprocess.Popen([sys.executable, "-c", code])
    assert wait_for(lambda: is_written(path))
    child = int(path.read_text())
    assert not is_gone(child)
    mother.kill()
    mother.wait()
    assert wait_for(lambda: is_gone(child))


@pytest.mark.parametrize("then_abort", [False, True], ids=["limit", "abort"])
def test_what_the_child_started_ends_too(
    task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then_abort: bool
) -> None:
    path = tmp_path / "pid"
    if not then_abort:  # the limit is reached when there is a grandchild
        monkeypatch.setattr(_Watch, "_measure", lambda _: math.inf if is_written(path) else 0.0)
    found = failure(task("start_grandchild", path=path, then_abort=then_abort), Limits(memory_gib=1e6))
    assert found.error_class == ("Crashed" if then_abort else "MemoryLimit")
    grandchild = int(path.read_text())
    assert wait_for(lambda: is_gone(grandchild))


def test_progress_is_forwarded(task: MakeTask) -> None:
    seen: list[tuple[str, float, float]] = []
    outcome = run_isolated(task("report_progress", wants_progress=True), None, lambda *what: seen.append(what))
    assert isinstance(outcome, Success)
    assert seen == [("first", 1, 4), ("second", 2.5, 4), ("last", 4, 4)]


def test_the_last_progress_is_forwarded_though_showing_it_takes_longer_than_the_work(task: MakeTask) -> None:
    seen: list[str] = []

    def slow(stage: str, *_: float) -> None:
        seen.append(stage)
        time.sleep(2.0 if stage == "first" else 0.0)

    assert isinstance(run_isolated(task("report_progress", wants_progress=True), None, slow), Success)
    assert seen == ["first", "second", "last"]


def test_progress_that_cannot_be_shown_does_not_stop_the_work(task: MakeTask) -> None:
    def broken(stage: str, done: float, total: float, /) -> None:
        raise BrokenPipeError("the terminal is gone")

    outcome = run_isolated(
        task("flood_progress", wants_progress=True, count=2000), Limits(wall_time_s=LONG_S), broken
    )  # 440 kB, more than a pipe holds
    assert isinstance(outcome, Success)


def test_flood_of_output_does_not_block(task: MakeTask) -> None:
    outcome = run_isolated(task("flood_output", megabytes=100), Limits(wall_time_s=LONG_S))
    assert isinstance(outcome, Success), outcome


def test_evidence_is_the_end_of_the_log_with_the_engines_own_complaint(task: MakeTask) -> None:
    found = failure(task("print_and_raise", lines=5000))
    assert "line 4999" in found.evidence
    assert "line 100\n" not in found.evidence
    assert len(found.evidence) < 20_000
    assert "ERROR: the engine's complaint" in found.reason


def test_log_in_no_known_encoding(task: MakeTask) -> None:
    assert "caf" in failure(task("write_bytes_and_abort")).evidence


def test_threads_and_temporary_files_are_the_childs_own(
    task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    threads = run_isolated(Task(function=task("return_environment").function, arguments={"name": "OMP_NUM_THREADS"}))
    assert isinstance(threads, Success)
    assert threads.value == "1"
    path = tmp_path / "left"
    failure(task("leave_temporary_file_and_abort", path=path))
    assert not Path(path.read_text()).exists()


def test_scratch_is_emptied(task: MakeTask, tmp_path: Path) -> None:
    scratch = tmp_path / "new" / "scratch"
    run_isolated(task("return_value", value=1, scratch=scratch))
    failure(task("abort", scratch=scratch))
    assert not list(scratch.iterdir())


def test_scratch_that_cannot_be_made_is_a_clear_error(task: MakeTask, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(StorageError, match="running task") as caught:
        run_isolated(task("return_value", value=1, scratch=tmp_path / "file" / "scratch"))
    assert caught.value.next_step


def test_interrupt_ends_the_child(isolated_tasks: str, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    code = f"import {isolated_tasks}, pathlib; {isolated_tasks}.run_child_that_leaves_pid(pathlib.Path({str(path)!r}))"
    mother = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL, start_new_session=True)
    assert wait_for(lambda: is_written(path))
    mother.send_signal(signal.SIGINT)
    assert mother.wait(timeout=LONG_S) != 0
    assert wait_for(lambda: is_gone(int(path.read_text())))


def launcher() -> tuple[str, ...]:
    beside = Path(sys.executable).parent / "mpiexec"
    command = str(beside) if beside.exists() else shutil.which("mpiexec")
    if command is None:
        pytest.skip("needs mpiexec, which the PyPI package mpich brings")
    return (command, "-n", "2")


@pytest.mark.parametrize(
    ("name", "error_class"),
    [("raise_glideflow_error", "ConvergenceError"), ("segfault", "Crashed"), ("sleep", "TimeLimit")],
)
def test_failures_of_several_ranks(isolated_tasks: str, name: str, error_class: str) -> None:
    arguments = {"seconds": LONG_S} if name == "sleep" else {}
    parallel = Task(function=f"{isolated_tasks}:{name}", arguments=arguments, launcher=launcher())
    found = failure(parallel, Limits(wall_time_s=6.0 if name == "sleep" else LONG_S))
    assert found.error_class == error_class


@pytest.mark.parametrize("failing", [1, 2])
def test_ranks_that_do_not_find_each_other_are_started_once_more(task: MakeTask, tmp_path: Path, failing: int) -> None:
    starts = tmp_path / "starts"
    script = f"""echo >> {starts}
        if test $(wc -l < {starts}) -le {failing}; then
            echo 'Abort(875709711) on node 1: Fatal error in internal_Init_thread: Other MPI error' >&2; exit 143
        fi; exec "$@" """
    said: list[str] = []
    single = Task(function=task("return_value").function, arguments={"value": 3}, launcher=("sh", "-c", script, "sh"))
    outcome = run_isolated(single, Limits(wall_time_s=LONG_S), lambda stage, *_: said.append(stage))
    assert len(starts.read_text()) == 2
    assert said == ["the ranks did not find each other, starting them once more"]
    if failing == 1:
        assert isinstance(outcome, Success)
        assert outcome.value == 3
    else:
        assert isinstance(outcome, Failure)
        assert outcome.error_class == "NotStarted"
        assert "doctor" in outcome.next_step


def test_ranks_end_when_the_parent_is_killed(isolated_tasks: str, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    code = (
        f"import pathlib; from glideflow.isolation import Task, run_isolated; "
        f"run_isolated(Task(function='{isolated_tasks}:leave_pid', arguments={{'path': pathlib.Path({str(path)!r})}}, "
        f"launcher={launcher()!r}))"
    )
    mother = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    assert wait_for(lambda: is_written(path))
    family = [process.pid for process in psutil.Process(mother.pid).children(recursive=True)]
    assert len(family) >= 3, "the launcher and two ranks"
    os.kill(mother.pid, signal.SIGKILL)
    mother.wait()
    assert wait_for(lambda: all(is_gone(pid) for pid in family))
