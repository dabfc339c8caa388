"""A run that goes on from the shipped library, as Snakemake sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Project

CONFIGURATION = """
name: test
potentials: {select: {ids: [Cu_2001Mishin_Cu_eam-alloy_v2, Mg_2006Sun_Mg_eam-fs]}}
"""
JOINING = {"library": 1, "report": 1, "site": 1}


@pytest.fixture
def unpacked(project: Project) -> Project:
    """A copy whose results are those of the library, and of which Snakemake knows nothing."""
    (project.root / "run.yaml").write_text(CONFIGURATION, encoding="utf-8")
    unpack(project)
    return project


def unpack(project: Project) -> None:
    command = [sys.executable, "-m", "glideflow", "library", "unpack", "--config", "run.yaml"]
    subprocess.run(command, cwd=project.root, env=os.environ, check=True, capture_output=True)


def remove(project: Project, name: str) -> None:
    (project.root / "results/test/potentials/Cu_2001Mishin_Cu_eam-alloy_v2" / name).unlink()


def test_only_what_the_results_lack_is_computed(unpacked: Project) -> None:
    assert unpacked.pending() == JOINING
    remove(unpacked, "peierls_stress/fcc_111/edge.h5")
    assert unpacked.pending() == {"peierls_stress": 1} | JOINING


def test_what_the_run_would_compute_otherwise_now_is_computed(unpacked: Project) -> None:
    unpacked.edit("run.yaml", lambda text: text + "elastic: {strain_dependence_flag: 0.5}\n")
    assert unpacked.pending() == {"elastic": 2} | JOINING


def test_what_is_unpacked_later_makes_nothing_be_computed_again(unpacked: Project) -> None:
    remove(unpacked, "lattice.h5")
    unpack(unpacked)
    assert unpacked.pending() == JOINING


def test_unpacked_results_survive_a_killed_run(unpacked: Project) -> None:
    lock = unpacked.root / "work/test/run.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    assert unpacked.pending() == JOINING
    remove(unpacked, "elastic.h5")
    unpack(unpacked)
    assert unpacked.pending() == JOINING
