"""kill -9 at random instants: of the engine, of a command, of a whole run. What is computed then is the same.

Instants are drawn from seeds, so that a trial can be repeated, and are points in processor time, which a loaded machine
does not stretch: they fall into the work, however long it takes.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psutil
import pytest

from glideflow.records import StageRecord
from glideflow.storage import read_record

if TYPE_CHECKING:
    from conftest import Desk, Hold

Victims = Callable[[int], list[psutil.Process]]

COMMANDS = ("gamma", "peierls")
COPIED = ("Snakefile", "workflow", "profiles", "config", "envs", "src")
TARGET = "results/tiny/library.h5"
LONG_S = 600.0
"""After so long a wait is a hang, whatever else the machine has to do."""
KILLS: list[int] = []
"""Processes that were killed at random instants, by their ids."""


def children(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def engines(pid: int) -> list[psutil.Process]:
    """Engine processes below a process."""
    found = []
    for process in children(pid):
        with suppress(psutil.NoSuchProcess):
            found += [process] if "glideflow.isolation.child" in process.cmdline() else []
    return found


def fresh(finished: Desk, folder: Path) -> Desk:
    """A folder in which only the lattice is known."""
    folder.mkdir()
    for name in ("tiny.yaml", "lattice.h5"):
        shutil.copy(finished.folder / name, folder / name)
    return replace(finished, folder=folder)


def used_s(processes: Iterable[psutil.Process]) -> float:
    """Processor time of processes that run, and of those below them that have ended, in seconds."""
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def whole(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    return [*itself(pid), *children(pid)]


def used_in_all_s(process: subprocess.Popen[str], watched: Victims) -> float:
    """Processor time of a process and those below it, or of some of them, until it ends."""
    used = 0.0
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            used = max(used, used_s(watched(process.pid)))
        time.sleep(0.005)
    return used


def kill_after(process: subprocess.Popen[str], instant_s: float, watched: Victims, victims: Victims) -> None:
    """Kill the victims among a process and those below it, as soon as there are some after an instant.

    The instant is the processor time of those that are watched.
    """
    while process.poll() is None:
        found = []
        with suppress(psutil.NoSuchProcess):
            found = victims(process.pid) if used_s(watched(process.pid)) >= instant_s else []
        for victim in found:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
                KILLS.append(victim.pid)
        if found:
            return
        time.sleep(0.005)


def itself(pid: int) -> list[psutil.Process]:
    return [psutil.Process(pid)]


@pytest.fixture(scope="session")
def durations(finished: Desk, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """Processor time of the engine of each command, and of the whole command, when nothing happens, in seconds."""
    known: dict[str, dict[str, float]] = {}
    for name, watched in (("engine", engines), ("whole", whole)):
        known[name] = {}
        for command in COMMANDS:
            desk = fresh(finished, tmp_path_factory.mktemp("timed") / command)
            process = desk.start(*desk.step(command))
            known[name][command] = used_in_all_s(process, watched)
            process.communicate(timeout=LONG_S)
    return known


def the_same(desk: Desk, finished: Desk, command: str) -> bool:
    """Whether a result, and the library that is made with it, are those without interruption."""
    result = f"{command}.h5"
    for name in set(desk.results) - {result}:
        shutil.copy(finished.folder / name, desk.folder / name)
    desk.run("library", "merge", *desk.results, "-o", "library.h5", "--csv", "library.csv", "-c", "tiny.yaml")
    return all(
        (desk.folder / name).read_bytes() == (finished.folder / name).read_bytes()
        for name in (result, "library.h5", "library.csv")
    )


def trial_with_engine(finished: Desk, folder: Path, command: str, seconds: float) -> None:
    """Kill the engine once, after some of its work: the command goes on by itself."""
    desk = fresh(finished, folder)
    process = desk.start(*desk.step(command))
    kill_after(process, seconds, engines, engines)
    _, said = process.communicate(timeout=LONG_S)
    assert process.returncode == 0, said
    assert the_same(desk, finished, command)


def trial_with_command(finished: Desk, folder: Path, command: str, seconds: list[float]) -> None:
    """Kill the command several times, then let it end; engines that have lost it end by themselves."""
    desk = fresh(finished, folder)
    for instant in seconds:
        process = desk.start(*desk.step(command))
        kill_after(process, instant, whole, itself)
        process.communicate(timeout=LONG_S)
    desk.run(*desk.step(command))
    assert the_same(desk, finished, command)


def test_an_engine_that_is_killed_once_is_started_again(finished: Desk, tmp_path: Path, hold: Hold) -> None:
    desk = fresh(finished, tmp_path / "desk")
    process = desk.start(*desk.step("peierls"), **hold.environment())
    kill_engine(process, hold)
    hold.lift()
    _, said = process.communicate(timeout=LONG_S)
    assert process.returncode == 0, said
    assert "killed from outside, going on once more" in said
    assert the_same(desk, finished, "peierls")


def test_an_engine_that_is_killed_twice_is_a_recorded_failure(finished: Desk, tmp_path: Path, hold: Hold) -> None:
    desk = fresh(finished, tmp_path / "desk")
    process = desk.start(*desk.step("peierls"), **hold.environment())
    first = kill_engine(process, hold)
    kill_engine(process, hold, other_than=first)
    process.communicate(timeout=LONG_S)
    record = read_record(desk.folder / "peierls.h5", StageRecord)
    assert record.status == "failed"
    assert record.failure is not None
    assert record.failure.error_class == "Killed"
    assert "memory" in record.failure.next_step
    desk.run(*desk.step("peierls"))
    assert the_same(desk, finished, "peierls")


def kill_engine(process: subprocess.Popen[str], hold: Hold, other_than: int = 0) -> int:
    """Kill the engine when it has kept its first point; its process id."""
    end_s = time.monotonic() + LONG_S
    while not (found := hold.held - {other_than}):
        assert process.poll() is None, "there was no engine to kill"
        assert time.monotonic() < end_s
        time.sleep(0.005)
    (engine,) = found
    os.kill(engine, signal.SIGKILL)
    return engine


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(20))
def test_engine_killed_at_a_random_instant(
    finished: Desk, durations: dict[str, dict[str, float]], tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    command = COMMANDS[seed % 2]
    trial_with_engine(finished, tmp_path / "desk", command, chance.uniform(0.0, durations["engine"][command]))


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(20, 40))
def test_command_killed_at_random_instants(
    finished: Desk, durations: dict[str, dict[str, float]], tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    command = COMMANDS[seed % 2]
    # What the first kill has left makes the second run shorter.
    instants = [chance.uniform(0.0, durations["whole"][command]) for _ in range(2)]
    trial_with_command(finished, tmp_path / "desk", command, instants)


def new_project(repository: Path, root: Path, configuration: str) -> Path:
    """What the workflow is made of, without results."""
    root.mkdir(parents=True)
    for name in COPIED:
        source = repository / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy(source, root / name)
    (root / "run.yaml").write_text(configuration, encoding="utf-8")
    return root


def start_workflow(root: Path, output: IO[str] | int = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "run.yaml", "--", TARGET],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish_workflow(root: Path) -> dict[str, bytes]:
    """Give the same command until it has nothing to complain of; content of every result."""
    for _ in range(3):
        process = start_workflow(root)
        said, _ = process.communicate(timeout=LONG_S)
        if process.returncode == 0:
            files = (root / "results/tiny").rglob("*.h5")
            return {str(file.relative_to(root)): file.read_bytes() for file in files}
    raise AssertionError(said)


@pytest.fixture(scope="session")
def uninterrupted(
    repository: Path, finished: Desk, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, bytes], float]:
    """Results of a whole run, and the processor time that it takes in seconds."""
    root = new_project(repository, tmp_path_factory.mktemp("uninterrupted") / "project", finished.configuration)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        used = used_in_all_s(start_workflow(root, nowhere), whole)
    results = finish_workflow(root)
    assert TARGET in results
    assert len(results) == 7
    return results, used


def commands(pid: int) -> list[psutil.Process]:
    """One of the ``glideflow`` commands below a run."""
    found = []
    for process in children(pid):
        with suppress(psutil.NoSuchProcess):
            words = process.cmdline()
            is_command = any(Path(word).name == "glideflow" for word in words[:2])
            found += [process] if is_command else []
    return found[:1]


VICTIMS: dict[str, Victims] = {"controller": itself, "job": commands, "engine": engines}


@pytest.mark.faults
@pytest.mark.parametrize(
    ("victim", "seed"),
    [("controller", 100 + i) for i in range(8)] + [("job", 200 + i) for i in range(4)] + [("engine", 300)],
)
def test_run_killed_at_a_random_instant(
    repository: Path,
    finished: Desk,
    uninterrupted: tuple[dict[str, bytes], float],
    tmp_path: Path,
    victim: str,
    seed: int,
) -> None:
    expected, duration_s = uninterrupted
    root = new_project(repository, tmp_path / "project", finished.configuration)
    process = start_workflow(root)
    kill_after(process, random.Random(seed).uniform(0.0, duration_s), whole, VICTIMS[victim])
    if victim == "controller":
        process.wait()
        process.stdout.close()  # orphans hold the other end
    else:
        process.communicate(timeout=LONG_S)
    assert finish_workflow(root) == expected


@pytest.mark.faults
def test_most_trials_have_hit_something(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    trials = sum("random_instant" in item.name for item in request.session.items)
    with capsys.disabled():
        print(f" {len(KILLS)} kills in {trials} trials ", end="")
    assert len(KILLS) >= 0.8 * trials


@pytest.fixture(autouse=True)
def no_orphans() -> Iterator[None]:
    """Whatever a trial leaves running would disturb the next one."""
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    yield
    left = [process for process in psutil.Process().children(recursive=True) if process.pid not in before]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=10)
