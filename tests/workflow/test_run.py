"""The workflow with real physics, in cells as small as they can be."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil
import pytest
import yaml

if TYPE_CHECKING:
    from conftest import Hold, Project

SMALL = """
gamma_surface:
  grid: [5, 5]
  layers: 8
  path_points: 5
  symmetry_check_points: 0
peierls_stress:
  burgers_vectors: 16
  height_angstrom: 40
  bracket: 0.2
"""
HOSTILE = 'it\'s a $(touch owned) "folder"; ü'


def table(project: Project, results: str = "results/test") -> list[dict[str, str]]:
    with (project.root / results / "library.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def finished_files(project: Project) -> dict[str, tuple[int, bytes]]:
    """Modification time and content of every result of a single property."""
    files = (project.root / "results/test/potentials").rglob("*.h5")
    return {str(file.relative_to(project.root)): (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def without_iron(project: Project) -> Project:
    """A cubic and a hexagonal metal show everything that the workflow does with several."""
    project.edit("run.yaml", lambda text: text.replace("Fe_2003Mendelev_Fe_eam-fs, ", ""))
    return project


@pytest.fixture(scope="module")
def ran(make_shared_project: Callable[[str], Project]) -> Project:
    """A project in which everything was computed, without interruption. Not to be changed."""
    project = without_iron(make_shared_project(SMALL))
    project.snakemake("--cores", "2", "--configfile", "run.yaml")
    return project


@pytest.mark.slow
class TestWholeRun:
    """What a run leaves."""

    def test_leaves_a_row_per_potential_and_the_four_products(self, ran: Project) -> None:
        rows = {row["potential_id"]: row for row in table(ran)}
        assert len(rows) == 2
        assert float(rows["Cu_2001Mishin_Cu_eam-alloy_v2"]["a_angstrom"]) == pytest.approx(3.615, abs=1e-3)
        results = ran.root / "results/test"
        assert (results / "library.h5").stat().st_size > 0
        assert (results / "report.html").read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")
        assert len(list((results / "site" / "potentials").glob("*.html"))) == 2
        assert (results / "site" / "index.html").is_file()

    def test_leaves_logs_and_benchmarks_for_every_job(self, ran: Project) -> None:
        results = ran.root / "results/test"
        assert len(list((results / "benchmarks").rglob("*.tsv"))) == 11
        assert len(list((results / "logs").rglob("*.log"))) == 11

    def test_has_nothing_to_do_afterwards(self, ran: Project) -> None:
        assert ran.pending() == {}

    def test_writes_the_configuration_that_was_in_force(self, ran: Project) -> None:
        text = (ran.root / "results/test/config.yaml").read_text(encoding="utf-8")
        assert "grid: [5, 5]" in text
        assert "vacuum_angstrom" in text  # defaults too

    def test_gives_a_report_of_snakemake(self, ran: Project) -> None:
        ran.snakemake("--report", "snakemake.html", "--configfile", "run.yaml")
        assert "library.csv" in (ran.root / "snakemake.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_killed_run_keeps_what_is_finished_and_ends_the_same(
    ran: Project, make_project: Callable[[str], Project], hold: Hold
) -> None:
    project = without_iron(make_project(SMALL))
    arguments = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "run.yaml"]
    # Both cores end in a step that waits, so that the run comes to no end before it is killed.
    held = hold.environment()
    folders = os.pathsep.join((str(project.root / "src"), held.pop("PYTHONPATH")))
    process = subprocess.Popen(
        arguments,
        cwd=project.root,
        env=os.environ | held | {"PYTHONPATH": folders},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 600
    while len(hold.held) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)  # the main process alone, as an out-of-memory killer would
    process.wait()
    finished = finished_files(project)
    assert len(finished) >= 2
    hold.lift()
    wait_for_orphans(process.pid)
    kept = finished_files(project)
    assert len(kept) == len(finished) + 2 < 8

    project.snakemake("--unlock", "--configfile", "run.yaml")
    project.snakemake("--cores", "2", "--configfile", "run.yaml")
    resumed = finished_files(project)
    repeated = [name for name, (mtime, _) in kept.items() if resumed[name][0] != mtime]
    assert len(repeated) <= 2  # at most what was being written by the two jobs in progress

    uninterrupted = finished_files(ran)
    assert {name: content for name, (_, content) in uninterrupted.items()} == {
        name: content for name, (_, content) in resumed.items()
    }
    library = "results/test/library.h5"
    assert (project.root / library).read_bytes() == (ran.root / library).read_bytes()


def wait_for_orphans(session: int) -> None:
    """Let the jobs of a killed run come to their end, as they do on a real machine."""
    deadline = time.monotonic() + 600
    while any(is_at_work(process, session) for process in psutil.process_iter()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_at_work(process: psutil.Process, session: int) -> bool:
    """Whether a process of a session has not ended; whoever inherits it may be slow to take note."""
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


@pytest.mark.slow
def test_names_of_folders_never_reach_a_shell_unquoted(make_project: Callable[[str], Project]) -> None:
    values = {"results": HOSTILE, "work": f"{HOSTILE}/partial", "properties": ["lattice"]}
    project = without_iron(make_project(yaml.safe_dump(values)))
    project.snakemake("--cores", "2", "--configfile", "run.yaml")
    assert not list(project.root.rglob("owned"))
    assert {row["status"] for row in table(project, f"{HOSTILE}/test")} == {"ok"}


@pytest.mark.slow
def test_one_potential_that_fails_does_not_stop_the_others(make_project: Callable[[str], Project]) -> None:
    project = without_iron(make_project(SMALL + "properties: [lattice, gamma_surface]\n"))
    broken = project.root / "mine"
    broken.mkdir()
    (broken / "cu.eam.alloy").write_text("a\nb\nc\n1 Cu\n1000 nan 1000 0.01 5.0\n")
    (broken / "manifest.yaml").write_text(
        "schema: potential-library/1\npotentials:\n- {id: broken, element: Cu, structure: fcc, pair_style: eam/alloy,"
        " pair_coeff: ['* * {dir}/cu.eam.alloy Cu'], dir: '.', files: [cu.eam.alloy]}\n"
    )
    project.edit(
        "run.yaml",
        lambda text: text.replace("ids: [", "ids: [broken, ").replace(
            "potentials:\n", "potentials:\n  sources: [{kind: bundled}, {kind: folder, path: mine}]\n"
        ),
    )
    project.snakemake("--cores", "2", "--configfile", "run.yaml")
    status = {row["potential_id"]: row["status"] for row in table(project)}
    assert status.pop("broken") == "failed"
    assert set(status.values()) == {"ok"}
    assert "broken" in (project.root / "results/test/report.html").read_text(encoding="utf-8")
