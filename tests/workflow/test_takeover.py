"""Runs that are killed and started again at once, with nothing done by hand in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from glideflow.workbench import _decode, _next_payload

if TYPE_CHECKING:
    from conftest import Hold, Project

LATTICE = "results/test/potentials/Cu_2001Mishin_Cu_eam-alloy_v2/lattice.h5"
LONG_STEP = """
properties: [lattice, peierls_stress]
peierls_stress:
  burgers_vectors: 40
  height_angstrom: 60
"""


@contextmanager
def running(project: Project, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A run in the background; what is left of it is ended with the block."""
    folders = filter(None, (str(project.root / "src"), environment.pop("PYTHONPATH", "")))
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "run.yaml", *arguments],
        cwd=project.root,
        env=os.environ | environment | {"PYTHONPATH": os.pathsep.join(folders)},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        for member in at_work_in(project.root):
            member.kill()
        process.wait()


def at_work_in(folder: Path) -> list[psutil.Process]:
    """Processes of the runs in a folder, those too that have outlived their run or are suspended."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def wait_until(condition: Callable[[], object], timeout_s: float = 600.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.05)


def partial_results(project: Project) -> list[Path]:
    return list((project.root / "work/test").glob("*/*.partial"))  # rglob stumbles over folders that vanish


@pytest.fixture
def long_project(make_project: Callable[[str], Project]) -> Project:
    """Copper alone, with a step of several seconds."""
    project = make_project(LONG_STEP)
    project.edit("run.yaml", lambda text: text.replace(", Fe_2003Mendelev_Fe_eam-fs, Mg_2006Sun_Mg_eam-fs", ""))
    return project


@pytest.mark.slow
def test_a_killed_run_goes_on_beside_its_orphans_and_computes_nothing_twice(long_project: Project, hold: Hold) -> None:
    log = long_project.root / "results/test/logs/peierls_stress/Cu_2001Mishin_Cu_eam-alloy_v2/fcc_111/edge.log"
    with running(long_project, **hold.environment()) as killed:
        wait_until(lambda: hold.held)  # it is still at work when the second run comes to the same step
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        with running(long_project) as second:
            wait_until(lambda: "waiting for process" in text_of(log))
            hold.lift()
            assert second.wait(600) == 0
    (partial,) = partial_results(long_project)
    names = entries(partial)
    assert {"start 0", "start 1"} <= set(names)
    assert len(names) == len(set(names))
    assert not list((long_project.root / "work").rglob("*.lock"))
    assert long_project.pending() == {}


def text_of(log: Path) -> str:
    """What a log says now; Snakemake removes it when the job is done again."""
    try:
        return log.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def entries(partial: Path) -> list[str]:
    """Names of the partial results in the order in which they were written, those that were written twice too."""
    with partial.open("rb") as stream:
        return [_decode(payload)[0] for payload in iter(lambda: _next_payload(stream), None)]


@pytest.mark.slow
def test_a_second_run_is_refused_while_the_first_lives(long_project: Project, hold: Hold) -> None:
    with running(long_project, **hold.environment()) as process:
        wait_until(lambda: hold.held)  # the first run is still there then, however slow the second one is
        # As a person does who believes what Snakemake says of a lock that it finds.
        refused = long_project.refusal("--cores", "1", "--nolock")
        assert f"another run is at work in work/test: process {process.pid} on " in refused
        assert "wait for it, stop it, or give this run another name" in refused
        assert "Traceback" not in refused
        assert process.poll() is None


def leave_lock(project: Project, began: float = 0.0) -> None:
    """As a run does that began then, in seconds since the epoch, and is killed."""
    lock = project.root / "work/test/run.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    os.utime(lock, (began, began))


class TestResultsWithoutRecord:
    """A job that outlives its run may finish a result of which Snakemake then has no record."""

    def forget(self, project: Project, result: str) -> None:
        name = urlsafe_b64encode(result.encode()).decode()
        record = project.root / ".snakemake/metadata" / name
        assert json.loads(record.read_text())["rule"] == "lattice"
        record.unlink()

    def test_are_done_again_after_a_kill(self, done: Project) -> None:
        self.forget(done, LATTICE)
        leave_lock(done)
        pending = done.pending()
        assert pending["lattice"] == 1
        assert pending["peierls_stress"] == 1

    def test_are_trusted_if_they_are_older_than_the_killed_run(self, done: Project) -> None:
        self.forget(done, LATTICE)
        leave_lock(done, time.time())
        assert done.pending() == {}
        assert done.pending() == {}, "looking does not date the killed run anew"

    def test_are_trusted_otherwise(self, done: Project) -> None:
        self.forget(done, LATTICE)
        assert done.pending() == {}


def test_the_lock_of_a_killed_run_is_in_nobodys_way(done: Project) -> None:
    locks = done.root / ".snakemake/locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.output.lock").write_text(f"{LATTICE}\n")
    done.edit("run.yaml", lambda text: text + "lattice: {scan_points: 31}\n")
    assert "cannot be locked" in done.snakemake("-n", "--configfile", "run.yaml").stdout
    leave_lock(done)
    assert "cannot be locked" not in done.snakemake("-n", "--configfile", "run.yaml").stdout
