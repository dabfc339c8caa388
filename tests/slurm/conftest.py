"""A real Slurm on this machine, and copies of the repository whose workflow runs on it as on any site."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

COPIED = ("Snakefile", "workflow", "profiles", "slurm", "config", "envs", "src")
HERE = Path(__file__).resolve().parent
RUN_TIMEOUT_S = 1200.0
"""No test waits for so long unless something hangs: a machine may have much else to do."""

SITE = {
    r'  slurm_account: "default" # SITE\n': "",
    r"^cores: 64$": "cores: 2",
    r"^slurm-status-command: sacct$": "slurm-status-command: squeue",
    r"^latency-wait: 60$": "latency-wait: 5",
    r"^slurm-init-seconds-before-status-checks: 20$": "slurm-init-seconds-before-status-checks: 2",
}
"""What a person changes in profiles/slurm for this site: no accounting, small nodes, a local disk, short waits."""


@dataclass(frozen=True)
class Job:
    """What Slurm says of a job.

    Attributes:
        fields: its ``scontrol show job``.
    """

    fields: dict[str, str]

    @property
    def id(self) -> str:
        return self.fields["JobId"]

    @property
    def rule(self) -> str:
        """Rule of the workflow and its wildcards, as the executor comments it."""
        return self.fields.get("Comment", "")  # steps that srun starts by itself have none

    @property
    def state(self) -> str:
        return self.fields["JobState"]

    @property
    def memory_mb(self) -> int:
        return _megabytes(self.fields["MinMemoryNode"])


def _megabytes(text: str) -> int:
    return int(float(text[:-1]) * {"M": 1, "G": 1024}[text[-1]])


def wait_until(condition: Callable[[], object], timeout_s: float = RUN_TIMEOUT_S) -> None:
    """Wait for something to come true.

    Raises:
        AssertionError: it does not.
    """
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.2)


class Slurm:
    """The cluster, through its commands."""

    def __init__(self, script: Path) -> None:
        self._script = script

    def cluster(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run the script that brings the cluster up and down."""
        return subprocess.run(
            [sys.executable, str(self._script), command], capture_output=True, text=True, check=False, timeout=300
        )

    wait_until = staticmethod(wait_until)

    def command(self, *command: str, timeout_s: float = 120.0) -> str:
        """Output of a command of Slurm."""
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=timeout_s).stdout

    def jobs(self, folder: Path) -> list[Job]:
        """Jobs that were submitted from a folder, in the order of their submission."""
        lines = self.command("scontrol", "show", "job", "--oneliner").splitlines()
        jobs = [Job(dict(re.findall(r"(\S+?)=(\S*)", line))) for line in lines if line.startswith("JobId=")]
        return sorted((job for job in jobs if job.fields["WorkDir"] == str(folder)), key=lambda job: int(job.id))


@dataclass
class Run:
    """Snakemake in the background.

    Attributes:
        process: its main process.
        log: what it says.
        steps: widest job step that was seen of each job, in tasks.
        cancelling: a job of a rule with this name is cancelled as soon as it runs.
    """

    project: SlurmProject
    process: subprocess.Popen[bytes]
    log: Path
    cancelling: str = ""
    steps: dict[str, int] = field(default_factory=dict)

    def watch(self) -> None:
        """Look at the queue until Snakemake ends."""
        while self.process.poll() is None:
            with suppress(subprocess.SubprocessError):  # Slurm is away
                self._look()
            time.sleep(0.5)

    def _look(self) -> None:
        slurm = self.project.slurm
        for line in slurm.command("squeue", "--steps", "--noheader", "--format=%i %A").splitlines():
            step, tasks = line.split()
            job, _, number = step.partition(".")
            if number.isdigit():  # not the batch script itself
                self.steps[job] = max(self.steps.get(job, 0), int(tasks))
        for job in slurm.jobs(self.project.root) if self.cancelling else []:
            if job.rule == f"rule_{self.cancelling}" and job.state == "RUNNING":
                slurm.command("scancel", job.id)

    def kill(self) -> None:
        """Kill the main process, as an out-of-memory killer does on a login node."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def finish(self) -> tuple[int, str]:
        """Wait for the end; exit status and everything that was said."""
        status = self.process.wait(RUN_TIMEOUT_S)
        return status, self.log.read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True)
class SlurmProject:
    """A working copy on the site."""

    root: Path
    slurm: Slurm

    def start(self, *arguments: str, cancelling: str = "", **environment: str) -> Run:
        """Type ``snakemake --profile slurm`` with further arguments."""
        log = self.root / f"snakemake-{time.monotonic_ns()}.log"
        inherited = environment.pop("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        python_path = os.pathsep.join([str(self.root / "src"), str(HERE), inherited])
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", "--profile", "slurm", *arguments],
                cwd=self.root,
                env=_outside_of_jobs() | {"PYTHONPATH": python_path.rstrip(os.pathsep)} | environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        run = Run(self, process, log, cancelling)
        threading.Thread(target=run.watch, daemon=True).start()
        return run

    def jobs(self, rule: str = "") -> list[Job]:
        """Jobs submitted from here, of one rule or of all."""
        return [job for job in self.slurm.jobs(self.root) if job.rule.startswith(f"rule_{rule}")]


def _outside_of_jobs() -> dict[str, str]:
    """This environment, as it is on a login node."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_", "SNAKEMAKE_"))
    }


@pytest.fixture(scope="session")
def slurm(repository: Path) -> Iterator[Slurm]:
    """A running cluster; one that was there before stays."""
    slurm = Slurm(repository / "scripts/slurm_cluster.py")
    was_up = slurm.cluster("status").returncode == 0
    result = slurm.cluster("up")
    if result.returncode == 2:
        pytest.skip(f"no Slurm here: {result.stderr.strip()}")
    assert result.returncode == 0, result.stderr
    yield slurm
    if not was_up:
        slurm.cluster("down")


@pytest.fixture(scope="session")
def make_slurm_project(
    repository: Path, slurm: Slurm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], SlurmProject]]:
    """Function that makes a working copy with this text as ``run.yaml``."""
    projects = []

    def make(configuration: str) -> SlurmProject:
        root = tmp_path_factory.mktemp("slurm") / "project"
        _copy(repository, root)
        (root / "run.yaml").write_text(configuration, encoding="utf-8")
        _settle(root / "profiles/slurm/config.yaml")
        projects.append(SlurmProject(root, slurm))
        return projects[-1]

    yield make
    for job in (job for project in projects for job in project.jobs()):
        if job.state in ("RUNNING", "PENDING"):
            slurm.command("scancel", job.id)


def _copy(repository: Path, root: Path) -> None:
    root.mkdir()
    for name in COPIED:
        source = repository / name
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy2(source, root / name, follow_symlinks=False)


def _settle(profile: Path) -> None:
    """Adapt the lines of the profile that a site must adapt."""
    text = profile.read_text(encoding="utf-8")
    for pattern, replacement in SITE.items():
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert count == 1, pattern
    profile.write_text(text, encoding="utf-8")
