"""Full disks, read-only folders and file systems that show files late."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from glideflow.records import StageRecord
from glideflow.storage import read_record

if TYPE_CHECKING:
    from conftest import Desk

WRITERS: dict[str, list[str]] = {
    "lattice": ["lattice", "-p", "Fe_2003Mendelev_Fe_eam-fs", "-c", "tiny.yaml", "-o", "OUT/x.h5"],
    "merge": ["library", "merge", "lattice.h5", "-c", "tiny.yaml", "-o", "OUT/x.h5"],
    "table": ["library", "merge", "lattice.h5", "-c", "tiny.yaml", "-o", "x.h5", "--csv", "OUT/x.csv"],
    "report": ["report", "--library", "library.h5", "-o", "OUT/x.html"],
    "site": ["library", "site", "--library", "library.h5", "-o", "OUT/site"],
}
"""Commands that write into the folder that stands where ``OUT`` does."""


@pytest.fixture
def copy(finished: Desk, tmp_path: Path) -> Desk:
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    return replace(finished, folder=folder)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("options", ["size=4k", "size=1m,ro"], ids=["full disk", "read-only"])
def test_a_result_that_cannot_be_written_is_one_message_and_leaves_nothing(
    copy: Desk, mount: Callable[[str], Path], writer: str, options: str
) -> None:
    place = mount(options)
    if "ro" not in options:
        (place / "ballast").write_bytes(bytes(4096))
    said = copy.refusal(*(word.replace("OUT", str(place)) for word in WRITERS[writer]))
    assert str(place) in said
    assert "No space left" in said or "Read-only" in said
    assert {file.name for file in place.iterdir()} <= {"ballast"}


def test_an_older_result_survives_a_full_disk(copy: Desk, mount: Callable[[str], Path]) -> None:
    content = (copy.folder / "library.h5").read_bytes()
    place = mount(f"size={3 * len(content) // 2048}k")  # room for one and a half
    older = place / "library.h5"
    older.write_bytes(content)
    copy.refusal("library", "merge", *copy.results, "-c", "tiny.yaml", "-o", str(older))
    assert older.read_bytes() == content


@pytest.mark.parametrize("command", ["gamma", "peierls"])
def test_partial_results_outlive_a_full_disk_and_are_resumed(
    copy: Desk, finished: Desk, mount: Callable[[str], Path], command: str
) -> None:
    place = mount("size=28k")
    words = [str(place) if word == "work" else word for word in copy.step(command)]
    (copy.folder / f"{command}.h5").unlink()
    said = copy.run(*words, status=None)
    kept = {file.name: file.read_bytes() for file in place.glob("*.partial")}
    roomy = copy.folder / "roomy"
    roomy.mkdir()
    for name, content in kept.items():
        (roomy / name).write_bytes(content)
    assert "No space left" in said or (copy.folder / f"{command}.h5").exists()
    copy.run(*[str(roomy) if word == str(place) else word for word in words])
    assert (copy.folder / f"{command}.h5").read_bytes() == (finished.folder / f"{command}.h5").read_bytes()


def test_a_work_folder_that_cannot_be_written_is_one_message(copy: Desk, mount: Callable[[str], Path]) -> None:
    words = [str(mount("size=1m,ro")) if word == "work" else word for word in copy.step("gamma")]
    said = copy.refusal(*words)
    assert "Read-only" in said
    assert "set `work` to another folder" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere; with root, mounted file systems are used")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_folder_without_permission_is_one_message(copy: Desk, writer: str) -> None:
    place = copy.folder / "locked"
    place.mkdir(mode=0o555)
    assert "cannot write" in copy.refusal(*(word.replace("OUT", str(place)) for word in WRITERS[writer]))


LATE = """
import os, pathlib, subprocess

def late(self, target, _replace=pathlib.Path.replace):
    if str(target).endswith(".h5"):
        hidden = _replace(self, str(target) + ".not-yet")
        wait = 'while ! test -e "$1"; do sleep 0.1; done; sleep 1; mv "$2" "$3"'
        subprocess.Popen(["sh", "-c", wait, "sh", os.environ["SHOWN"], hidden, target],
                         start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    else:
        _replace(self, target)

pathlib.Path.replace = late
"""
"""Stands for a network file system: a finished file can be seen by other processes some time after SHOWN exists."""


class TestLateFiles:
    """Results that appear after the job that wrote them has ended."""

    @pytest.fixture
    def root(self, repository: Path, copy: Desk, tmp_path: Path) -> Path:
        root = tmp_path / "project"
        for name in ("workflow", "profiles", "config", "envs", "src"):
            shutil.copytree(repository / name, root / name, ignore=shutil.ignore_patterns("*.pyc.*"))
        shutil.copy(repository / "Snakefile", root)
        text = copy.configuration.replace("Cu_2001Mishin_Cu_eam-alloy_v2, ", "")
        (root / "run.yaml").write_text(text.replace(", gamma_surface, peierls_stress]", "]"))
        (root / "late").mkdir()
        (root / "late/sitecustomize.py").write_text(LATE)
        return root

    def run(self, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PYTHONPATH": f"{root / 'late'}:{root / 'src'}", "SHOWN": str(root / "shown")}
        words = ["--cores", "1", "--configfile", "run.yaml", *arguments, "--", "results/tiny/library.h5"]
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *words],
            cwd=root,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )

    def test_are_waited_for(self, root: Path) -> None:
        (root / "shown").touch()
        run = self.run(root, "--latency-wait", "120")
        assert run.returncode == 0, run.stderr
        potentials = root / "results/tiny/potentials"
        assert read_record(next(potentials.rglob("lattice.h5")), StageRecord).ok

    def test_that_are_too_late_fail_the_job_and_are_found_by_the_next_run(self, root: Path) -> None:
        run = self.run(root, "--latency-wait", "1")
        assert run.returncode != 0
        assert "latency" in run.stderr
        assert list((root / "results").rglob("*.not-yet"))
        (root / "shown").touch()
        assert self.run(root, "--latency-wait", "120").returncode == 0
