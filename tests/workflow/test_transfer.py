"""The branch that learns from a library: its jobs, and what brings them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from glideflow.transfer.dataset import read_dataset
from glideflow.transfer.strength_models import read_strength_model

if TYPE_CHECKING:
    from conftest import Project

JOINED = {"transfer_table": 1, "transfer_report": 1, "transfer_errors": 1}
ONCE = {"transfer_strengths": 1, "transfer_shots": 1, "transfer_cost": 1}
BRANCH = {"transfer_dataset": 4, "transfer_validation": 4, "transfer_model": 3, "transfer_training": 1} | ONCE | JOINED
HCP_ONLY = {"transfer_dataset": 1, "transfer_validation": 1, "transfer_model": 1} | ONCE
MODELS = "{models: [metal_median, classical_pn_fit], curve_models: [classical_pn]}"
SMALL = f"transfer={{groups: [hcp], shots: [0], validation: {MODELS}}}"


def pending(project: Project, *arguments: str) -> dict[str, int]:
    found = project.pending(*arguments, "--", "transfer")
    return {rule: count for rule, count in found.items() if rule != "transfer"}


def test_the_shipped_library_needs_no_other_job(project: Project) -> None:
    assert pending(project) == BRANCH


def test_the_library_of_the_run_is_computed_first(project: Project) -> None:
    found = pending(project, "--config", "transfer={library: run, groups: [fcc, joint]}")
    assert found["library"] == 1
    assert found["peierls_stress"] == 3
    assert (found["transfer_dataset"], found["transfer_validation"]) == (2, 2)
    assert (found["transfer_model"], found["transfer_strengths"]) == (1, 1)


@pytest.mark.slow  # trains and predicts in five processes
def test_the_branch_runs_and_changes_bring_back_what_depends_on_them(project: Project) -> None:
    project.snakemake("--cores", "1", "--configfile", "run.yaml", "--config", SMALL, "--", "transfer")
    results = project.root / "results/test/transfer"
    assert len(read_dataset(results / "data/hcp.h5")) >= 8
    table = (results / "validation.md").read_text(encoding="utf-8")
    assert table.count("classical_pn_fit") == 3  # by family, by metal, and the control
    assert "classical_pn_fit" in (results / "validation.html").read_text(encoding="utf-8")
    assert "Mg (hcp)" in (results / "strengths.md").read_text(encoding="utf-8")
    assert "Mg (hcp)" in (results / "errors.md").read_text(encoding="utf-8")
    assert read_strength_model(results / "models/hcp").domain.group == "hcp"
    assert pending(project, "--config", SMALL) == {}
    fewer = SMALL.replace("metal_median, ", "")
    assert pending(project, "--config", fewer) == {"transfer_validation": 1, "transfer_model": 1} | JOINED
    flags = SMALL.replace("groups", "data: {one_per_family: false}, groups")
    assert pending(project, "--config", flags) == HCP_ONLY | JOINED
