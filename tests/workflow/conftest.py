"""A copy of the repository in which the real workflow runs, and what a dry run says of it."""

from __future__ import annotations

import functools
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from glideflow.config.load import load_settings
from glideflow.run import validate_run

COPIED = ("Snakefile", "workflow", "profiles", "slurm", "config", "envs", "src")
RUN_TIMEOUT_S = 600
COUNT = re.compile(r"^(\w+) +(\d+)$", re.MULTILINE)

CONFIGURATION = """
name: test
potentials:
  select:
    ids: [Cu_2001Mishin_Cu_eam-alloy_v2, Fe_2003Mendelev_Fe_eam-fs, Mg_2006Sun_Mg_eam-fs]
"""


@dataclass(frozen=True)
class Project:
    """A working copy."""

    root: Path

    def snakemake(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake in the copy, on the copy's own package."""
        python_path = os.pathsep.join([str(self.root / "src"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        variables = os.environ | {"PYTHONPATH": python_path} | environment
        run = (imported_snakemake if computes_nothing(arguments) else fresh_snakemake)(arguments, self.root, variables)
        assert not check or run.returncode == 0, run.stdout + run.stderr
        return run

    def pending(self, *arguments: str) -> dict[str, int]:
        """Number of jobs per rule that a run would do now; the target rule itself is left out."""
        text = self.snakemake("-n", "--configfile", "run.yaml", *arguments).stdout
        if "Nothing to be done" in text:
            return {}
        table = text.partition("Job stats:")[2].partition("total")[0]
        counts = {rule: int(count) for rule, count in COUNT.findall(table)}
        assert counts, text
        return {rule: count for rule, count in counts.items() if rule != "all"}

    def refusal(self, *arguments: str) -> str:
        """What is said when a run is refused, in the output or in the log of the job that refuses."""
        run = self.snakemake("--configfile", "run.yaml", *arguments, check=False)
        assert run.returncode != 0
        log = self.root / "results/test/logs/library.log"
        return run.stdout + run.stderr + (log.read_text(encoding="utf-8") if log.is_file() else "")

    def edit(self, file: str, change: Callable[[str], str]) -> None:
        """Change the text of a file."""
        path = self.root / file
        old = path.read_text(encoding="utf-8")
        new = change(old)
        assert new != old
        path.write_text(new, encoding="utf-8")

    def pretend_done(self) -> None:
        """Make every result of `run.yaml`, empty, and let Snakemake record it as computed just now."""
        run = validate_run(load_settings(self.root / "run.yaml"), self.root)
        for task in run.tasks():
            file = self.root / run.results / task.output
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        (self.root / run.results / "library.csv").touch()
        self.snakemake("--touch", "--forceall", "--configfile", "run.yaml")


def computes_nothing(arguments: Sequence[str]) -> bool:
    """Whether a run starts no jobs, so that little of it is anything but the import of Snakemake."""
    return bool({"-n", "--touch", "--unlock", "--lint", "--rulegraph", "--list-rules", "--summary"} & {*arguments})


def fresh_snakemake(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_TIMEOUT_S,
    )


def imported_snakemake(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """The same in a fork of a process that has imported Snakemake already: half of the time."""
    with tempfile.TemporaryDirectory() as temporary:
        out, err = Path(temporary, "out"), Path(temporary, "err")
        request = {"words": [*arguments], "folder": str(folder), "out": str(out), "err": str(err)}
        process = snakemake_server()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request | {"environment": dict(environment)}) + "\n")
        process.stdin.flush()
        assert select.select([process.stdout], [], [], RUN_TIMEOUT_S)[0], "no answer"
        status = int(process.stdout.readline())
        return subprocess.CompletedProcess(arguments, status, out.read_text("utf-8"), err.read_text("utf-8"))


@functools.cache
def snakemake_server() -> subprocess.Popen[str]:
    """The process that has imported Snakemake; it ends with this one, whose end closes its standard input."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__).with_name("snakemake_server.py"))],
        env=environment | {"OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def new_project(repository: Path, root: Path, configuration: str = CONFIGURATION) -> Project:
    """Copy what the workflow is made of."""
    for name in COPIED:
        source = repository / name
        if source.is_symlink() or source.is_file():
            root.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, root / name, follow_symlinks=False)
        else:
            # With what Python has compiled, which it checks by time and size; what another process is just compiling
            # has a temporary name, and may be gone before it is copied.
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    (root / "run.yaml").write_text(configuration, encoding="utf-8")
    return Project(root)


@pytest.fixture
def make_project(repository: Path, tmp_path: Path) -> Callable[[str], Project]:
    """Function that makes a copy in which nothing has run; its argument is added to the end of ``run.yaml``."""
    return lambda addition: new_project(repository, tmp_path / "project", CONFIGURATION + addition)


@pytest.fixture(scope="session")
def make_shared_project(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Project]:
    """The same for a copy that several tests share."""
    return lambda addition: new_project(
        repository, tmp_path_factory.mktemp("shared") / "project", CONFIGURATION + addition
    )


@pytest.fixture
def project(make_project: Callable[[str], Project]) -> Project:
    """A copy in which nothing has run."""
    return make_project("")


@pytest.fixture(scope="session")
def finished(repository: Path, filled_once: Callable[[str, Callable[[Path], object]], Path]) -> Project:
    """A copy in which everything is done, as far as Snakemake knows. Not to be changed: see `done`."""
    folder = filled_once("finished", lambda folder: new_project(repository, folder / "project").pretend_done())
    return Project(folder / "project")


@pytest.fixture
def done(finished: Project, tmp_path: Path) -> Project:
    """A copy in which everything is done, to be changed at will."""
    shutil.copytree(finished.root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")
