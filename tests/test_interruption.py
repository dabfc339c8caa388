"""Commands that are interrupted while they compute: what they leave, and that going on from it changes nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from glideflow.workbench import Workbench

if TYPE_CHECKING:
    from conftest import Hold

COPPER = "Cu_2001Mishin_Cu_eam-alloy_v2"
CONFIGURATION = """
gamma_surface: {grid: [11, 11], layers: 16, path_points: 11}
peierls_stress: {burgers_vectors: 30, height_angstrom: 60}
"""
LONG_S = 400.0
"""After so long a wait is a hang, whatever else the machine has to do."""
RESUMING = ("gamma", "peierls")
"""Commands that keep partial results."""


@dataclass(frozen=True)
class Desk:
    """A folder in which one property is computed."""

    folder: Path
    command: str

    @property
    def output(self) -> Path:
        return self.folder / f"{self.command}.h5"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def start(self, **environment: str) -> subprocess.Popen[str]:
        shared = self.folder.parent
        files = {"config": shared / "config.yaml", "output": self.output, "work": self.work}
        if self.command != "lattice":
            files["lattice"] = shared / "lattice.h5"
        return subprocess.Popen(
            [sys.executable, "-m", "glideflow", self.command, f"--potential={COPPER}"]
            + [f"--{option}={file}" for option, file in files.items()],
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self) -> bytes:
        """Let the command come to its end; what it has written."""
        process = self.start()
        _, said = process.communicate(timeout=LONG_S)
        assert process.returncode == 0, said
        return self.output.read_bytes()

    def partial_bytes(self) -> int:
        return sum(file.stat().st_size for file in self.work.glob("*.partial"))

    def points(self) -> int:
        """Number of partial results."""
        (file,) = self.work.glob("*.partial")
        workbench = Workbench(self.work, file.stem)
        workbench.close()
        return len(workbench.names())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a configuration and the lattice of copper."""
    folder = tmp_path_factory.mktemp("interruption")
    (folder / "config.yaml").write_text(CONFIGURATION)
    lattice = Desk(folder / "lattice", "lattice")
    lattice.folder.mkdir()
    (folder / "lattice.h5").write_bytes(lattice.finish())
    return folder


@pytest.fixture(scope="module")
def uninterrupted(folder: Path) -> Callable[[str], bytes]:
    """Function of the command: what it writes when nothing interrupts it."""
    known: dict[str, bytes] = {}

    def result(command: str) -> bytes:
        if command not in known:
            desk = Desk(folder / f"{command} uninterrupted", command)
            desk.folder.mkdir()
            known[command] = desk.finish()
        return known[command]

    return result


@pytest.fixture(params=RESUMING)
def desk(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Desk:
    """A fresh folder for each of the commands that keep partial results."""
    place = folder / tmp_path.name
    place.mkdir()
    return Desk(place, request.param)


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Until something comes true, while a command is at work."""
    end_s = time.monotonic() + LONG_S
    while not condition():
        assert process.poll() is None, "the command has ended"
        assert time.monotonic() < end_s
        time.sleep(0.002)


def at_work(desk: Desk, hold: Hold, **environment: str) -> subprocess.Popen[str]:
    """A command whose engine has kept its first points and waits."""
    process = desk.start(**hold.environment(calls=2), **environment)
    wait_for(lambda: hold.held, process)
    return process


def engines(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def wait_for_the_end_of(processes: list[psutil.Process]) -> None:
    """Wait for processes whose parent is gone; whoever inherits them may be slow to take note."""
    end_s = time.monotonic() + LONG_S
    while any(is_alive(process) for process in processes):
        assert time.monotonic() < end_s
        time.sleep(0.01)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_command(process: subprocess.Popen[str]) -> None:
    """Kill a command, not its engine, which has to notice by itself."""
    below = engines(process)
    process.kill()
    process.communicate()
    wait_for_the_end_of(below)


@pytest.mark.slow
def test_a_result_resumed_after_kills_at_random_instants_is_the_same_to_the_bit(
    desk: Desk, folder: Path, uninterrupted: Callable[[str], bytes], hold: Hold
) -> None:
    uninterrupted(desk.command)
    done = Desk(folder / f"{desk.command} uninterrupted", desk.command)
    whole, points = done.partial_bytes(), done.points()
    chance = random.Random(desk.command)
    for _ in range(3):
        goal, held_before = desk.partial_bytes() + chance.uniform(0.05, 0.25) * whole, hold.held
        # However late the kill comes, a quarter of the points is all that the engine gets done before it.
        process = desk.start(**hold.environment(calls=points // 4))
        wait_for(lambda goal=goal, before=held_before: desk.partial_bytes() > goal or hold.held > before, process)
        kill_command(process)
    assert 0 < desk.points() < points
    assert not desk.output.exists()
    assert desk.finish() == uninterrupted(desk.command)


@pytest.mark.slow
@pytest.mark.parametrize("told", ["command", "engine first"])
def test_sigterm_ends_a_command_at_once_and_leaves_nothing_but_partial_results(
    desk: Desk, uninterrupted: Callable[[str], bytes], hold: Hold, told: str
) -> None:
    # The engine never comes to its end by itself, so that whatever ends is ended by the signal.
    process = at_work(desk, hold, HOLD_GRACE_S=str(LONG_S))
    below = engines(process)
    assert below
    # Slurm tells every process of a step, the engine as often as not before the command, and more than once.
    for target in [*(below if told == "engine first" else []), process, process]:
        target.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=LONG_S)
    assert process.returncode == 143
    assert "ended by SIGTERM; finished partial results are kept" in said
    assert "Traceback" not in said
    assert not any(is_alive(engine) for engine in below)
    assert not desk.output.exists()
    assert [file.suffix for file in desk.work.iterdir()] == [".partial"]
    assert desk.finish() == uninterrupted(desk.command)


@pytest.mark.slow
def test_an_engine_that_is_ended_from_outside_is_no_result(folder: Path, tmp_path: Path, hold: Hold) -> None:
    desk = Desk(folder / tmp_path.name, "peierls")
    desk.folder.mkdir()
    process = at_work(desk, hold)
    for engine in engines(process):
        engine.terminate()
    _, said = process.communicate(timeout=LONG_S)
    assert process.returncode == 143
    assert "the engine's process was ended from outside by SIGTERM" in said
    assert "run the same command again" in said
    assert not desk.output.exists()


@pytest.mark.slow
def test_an_engine_whose_command_is_killed_removes_its_files(folder: Path, tmp_path: Path, hold: Hold) -> None:
    desk = Desk(folder / tmp_path.name, "peierls")
    desk.folder.mkdir()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = at_work(desk, hold, TMPDIR=str(temporary))
    assert list(temporary.iterdir())
    kill_command(process)
    assert not list(temporary.iterdir())
    assert {file.suffix for file in desk.work.iterdir()} == {".partial", ".lock"}


@pytest.mark.slow
def test_two_commands_for_one_property_take_turns(folder: Path, tmp_path: Path, hold: Hold) -> None:
    desk = Desk(folder / tmp_path.name, "peierls")
    desk.folder.mkdir()
    first = at_work(desk, hold)
    second = desk.start()
    assert second.stderr is not None
    assert f"waiting for process {first.pid} on {os.uname().nodename}" in second.stderr.readline()
    assert not engines(second)
    hold.lift()
    _, said_first = first.communicate(timeout=LONG_S)
    _, said_second = second.communicate(timeout=LONG_S)
    assert (first.returncode, second.returncode) == (0, 0), said_first + said_second
    assert "waiting for" not in said_first
