"""What the Slurm profile asks Slurm for: the real executor plugin, on stand-ins of Slurm's commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from glideflow.config.load import load_settings
from glideflow.plan import job_memory_mb, job_runtime_min
from glideflow.run import ResolvedRun, validate_run

if TYPE_CHECKING:
    from conftest import Project

COMMANDS = ("sbatch", "srun", "squeue", "sacct", "scancel", "sacctmgr", "sinfo", "scontrol")
COPPER = "Cu_2001Mishin_Cu_eam-alloy_v2"
ALUMINIUM = "Al_2008Mendelev_Al_eam-fs"
QUICK = (
    *("--profile", "slurm", "--configfile", "run.yaml"),
    *("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"),
    *("--latency-wait", "5"),
)
"""The profile as it is, on a local disk, asking for the state of jobs more often."""


@dataclass(frozen=True)
class Shim:
    """The stand-ins, and what they were asked to do."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "SHIM_FOLDER": str(self.folder)}

    def calls(self, command: str) -> list[list[str]]:
        """Words of every call of a command."""
        whole, _, _ = (self.folder / "calls").read_text(encoding="utf-8").rpartition("\n")  # one may be being written
        return [words[1:] for words in map(json.loads, whole.splitlines()) if words[0] == command]

    def submissions(self) -> dict[str, list[list[str]]]:
        """Words of every sbatch by rule and wildcards, in the order of the attempts."""
        found: dict[str, list[list[str]]] = {}
        for words in self.calls("sbatch"):
            found.setdefault(words[words.index("--comment") + 1], []).append(words)
        return found

    def jobs(self) -> list[dict[str, Any]]:
        """The jobs that were taken."""
        files = sorted(self.folder.glob("jobs/*.json"))
        return [json.loads(text) for text in (file.read_text(encoding="utf-8") for file in files) if text]


@pytest.fixture
def shim(tmp_path: Path) -> Shim:
    folder = tmp_path / "shim"
    for name in ("bin", "jobs"):
        (folder / name).mkdir(parents=True)
    (folder / "calls").touch()
    for command in COMMANDS:
        (folder / "bin" / command).symlink_to(Path(__file__).parent / "slurm_shim/shim.py")
    return Shim(folder)


@pytest.fixture
def make_copper(make_project: Callable[[str], Project]) -> Callable[[str], Project]:
    """The same as `make_project`, with the potential of copper only."""

    def make(addition: str) -> Project:
        project = make_project(addition)
        project.edit("run.yaml", lambda text: text.replace(", Fe_2003Mendelev_Fe_eam-fs, Mg_2006Sun_Mg_eam-fs", ""))
        return project

    return make


def wait_until(condition: Callable[[], bool], timeout_s: float = 600.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.1)


def value(words: list[str], option: str) -> str | None:
    """Value of ``-x value``, ``--x value`` or ``--x=value``; None without one."""
    joined = [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    separate = [words[index + 1] for index, word in enumerate(words) if word == option]
    assert len(joined + separate) <= 1, f"{option} is given twice"
    return next(iter(joined + separate), None)


def resolved(project: Project) -> ResolvedRun:
    return validate_run(load_settings(project.root / "run.yaml"), project.root)


def lay_down_results(project: Project) -> None:
    """Make every result of a run, empty, so that jobs can be taken for done without being run."""
    run = resolved(project)
    for name in ["library.csv", *(name for task in run.tasks() for name in (task.output, task.benchmark))]:
        file = project.root / run.results / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def submitted(project: Project, shim: Shim) -> dict[str, list[list[str]]]:
    """Submissions of a whole run whose jobs are taken for done without being run."""
    lay_down_results(project)
    project.snakemake(*QUICK, "--forceall", SHIM_STATES='{"rule": "COMPLETED"}', **shim.environment)
    return shim.submissions()


class TestArguments:
    """Words of sbatch."""

    def test_of_an_ordinary_run(self, make_copper: Callable[[str], Project], shim: Shim) -> None:
        project = make_copper("")
        run = resolved(project)
        submissions = submitted(project, shim)
        rules = {
            "lattice": f"rule_lattice_wildcards_{COPPER}",
            "elastic": f"rule_elastic_wildcards_{COPPER}",
            "gamma_surface": f"rule_gamma_surface_wildcards_{COPPER}_fcc_111",
            "peierls_stress": f"rule_peierls_stress_wildcards_{COPPER}_fcc_111_edge",
            "library": "rule_library",
            "report": "rule_report",
            "site": "rule_site",
        }
        assert set(submissions) == set(rules.values())
        for rule, comment in rules.items():
            (words,) = submissions[comment]
            potential = COPPER if COPPER in comment else ""
            assert value(words, "-p") == "cpu"
            assert value(words, "-A") == "default"
            assert value(words, "--mem") == str(job_memory_mb(run, rule, potential, 1))
            assert value(words, "-t") == str(job_runtime_min(run, rule, potential, 1))
            assert (value(words, "--ntasks"), value(words, "--cpus-per-task")) == ("1", "1")
            assert value(words, "-D") == str(project.root)
            assert str(value(words, "--output")).startswith(f"{project.root}/work/slurm-logs/rule_{rule}/")
            assert not any("gpu" in word or "array" in word or "gres" in word for word in words)
        names = {value(words, "--job-name") for (words,) in submissions.values()}
        assert len(names) == 1, "a killed run's jobs are found by their one name"
        assert (project.root / "work/test/slurm-runs").read_text().split() == [*names]
        assert shim.calls("sacct")
        assert not shim.calls("squeue"), "the profile asks sacct for the state of jobs, and no earlier run left any"

    def test_of_ranks_and_gpus(self, make_copper: Callable[[str], Project], shim: Shim) -> None:
        engine = "{mpi_ranks: 4, threads: 2, gpus: 2, accelerator: kokkos, mpi_launcher: [srun, -n, '{ranks}']}"
        project = make_copper(f"engine: {engine}\n")
        project.edit(
            "profiles/slurm/config.yaml", lambda text: text + "set-resources: {elastic: {slurm_partition: gpu}}"
        )
        for comment, (words,) in submitted(project, shim).items():
            tasks = (value(words, "--ntasks"), value(words, "--cpus-per-task"), value(words, "--gpus"))
            assert tasks == (("4", "2", "2") if COPPER in comment else ("1", "1", None)), comment
            assert value(words, "-p") == ("gpu" if "elastic" in comment else "cpu")
            # With two GPUs and four tasks for each of them Slurm would start eight, or refuse.
            assert value(words, "--ntasks-per-gpu") is None

    @pytest.mark.slow  # the executor looks at the state of jobs every few seconds
    def test_of_second_attempts(self, make_project: Callable[[str], Project], shim: Shim) -> None:
        project = make_project("")
        # Aluminium goes well: the executor looks again after a second where something has, else ten seconds later.
        project.edit("run.yaml", lambda text: text.replace("ids: [", f"ids: [{ALUMINIUM}, "))
        run = resolved(project)
        lay_down_results(project)
        states = {"_Cu_": "OUT_OF_MEMORY", "_Fe_": "TIMEOUT", "_Mg_": "CANCELLED"}
        pretended = json.dumps(states | {"_Al_": "COMPLETED"})
        ended = project.snakemake(*QUICK, "--forceall", check=False, SHIM_STATES=pretended, **shim.environment)
        assert ended.returncode != 0
        for state in states.values():
            assert f"SLURM status is: '{state}'" in ended.stderr
        submissions = {comment: words for comment, words in shim.submissions().items() if ALUMINIUM not in comment}
        failing = [potential.id for potential in run.potentials if potential.id != ALUMINIUM]
        assert set(submissions) == {f"rule_lattice_wildcards_{name}" for name in failing}
        for comment, attempts in submissions.items():
            potential = comment.removeprefix("rule_lattice_wildcards_")
            asked = [(value(words, "--mem"), value(words, "-t")) for words in attempts]
            assert asked == [
                (str(job_memory_mb(run, "lattice", potential, n)), str(job_runtime_min(run, "lattice", potential, n)))
                for n in (1, 2)
            ]
            assert int(str(asked[1][0])) > int(str(asked[0][0]))


@pytest.mark.slow
def test_jobs_really_run_as_slurm_would_run_them(make_copper: Callable[[str], Project], shim: Shim) -> None:
    project = make_copper("")
    lattice = f"results/test/potentials/{COPPER}/lattice.h5"
    ended = project.snakemake(lattice, *QUICK, **shim.environment)
    assert ended.returncode == 0
    assert (project.root / lattice).stat().st_size > 0
    assert project.pending("--", lattice) == {}
    assert len(shim.calls("srun")) == 1
    assert not list((project.root / "work/slurm-logs").rglob("*.log")), "logs of jobs that went well are removed"


@pytest.mark.slow  # the same
@pytest.mark.parametrize("sacct_s", [0, 4])
def test_an_interrupted_run_cancels_its_jobs(make_project: Callable[[str], Project], shim: Shim, sacct_s: int) -> None:
    project = make_project("")
    environment = {"PYTHONPATH": str(project.root / "src"), "SHIM_STATES": '{"rule": "PENDING"}'}
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *QUICK],
        cwd=project.root,
        env=os.environ | shim.environment | environment | {"SHIM_SACCT_S": str(sacct_s)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: len(shim.jobs()) == 3)
        asked = len(shim.calls("sacct"))
        # While it waits for an answer about them, Snakemake itself does not cancel them.
        wait_until(lambda: len(shim.calls("sacct")) > asked)
        process.send_signal(signal.SIGINT)
        process.wait(600)
    finally:
        process.kill()
    assert {job["state"] for job in shim.jobs()} == {"CANCELLED"}
    cancelled = [words for words in shim.calls("scancel") if words]
    assert sorted({word for words in cancelled for word in words}) == ["1", "2", "3"]
    assert not (project.root / "work/test/run.lock").exists()
