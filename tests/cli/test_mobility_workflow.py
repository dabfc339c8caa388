from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.cli.mobility_workflow import _problems
from glideflow.config.mobility import MobilityCellSettings
from glideflow.errors import ConfigurationError
from glideflow.mobility.blocks import BccMetal
from glideflow.mobility.building import CellBuilder, scenario_cell
from glideflow.mobility.scenarios import Scenario

SMALL = ["--set", "mobility.cells.angles_deg=[0,90]", "--set", "mobility.temperatures_k=[300]"]
LEARNING = ["--set", "mobility.learning.iterations=1", "--set", "mobility.scenarios.initial=2"]


def iron(size_nm: tuple[float, float, float]) -> CellBuilder:
    tensor = np.diag([0.0, 0.0, 0.0, 116.0, 116.0, 116.0])
    tensor[:3, :3] = 145.0 + np.eye(3) * (243.4 - 145.0)  # Mendelev et al. 2003, GPa
    return CellBuilder(BccMetal("Fe", 2.8553), tensor, MobilityCellSettings(size_nm=size_nm))


def test_scenarios_are_listed_with_those_that_come_first() -> None:
    done = CliRunner().invoke(app, ["mobility", "scenarios", *SMALL, *LEARNING, "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert len(rows) == 6
    assert sum(row["initial"] for row in rows) == 2
    assert rows[0]["id"] == "dipole_0deg_250MPa_300K_0"
    table = CliRunner().invoke(app, ["mobility", "scenarios", *SMALL])
    assert "dipole_90deg_1000MPa_300K_0" in table.stdout


def test_lines_that_would_stop_each_other_are_found_before_anything_is_simulated() -> None:
    """Docs/mobility.md: 394 MPa hold the lines of an edge dipole in 12 x 12 nm, 97.5 in 8 x 16 nm."""
    (problem,) = _problems(iron((12.0, 2.8, 12.0)), {90.0: 250.0, 0.0: 250.0})
    assert "two lines at 90.00°" in problem
    assert "394 MPa" in problem
    assert not list(_problems(iron((8.0, 2.8, 16.0)), {90.0: 250.0, 0.0: 250.0}))


def test_cells_of_scenarios_are_those_of_the_command() -> None:
    builder = iron((5.0, 2.5, 10.0))
    edge = Scenario(kind="dipole", size=90.0, stress_mpa=500.0, temperature_k=300.0, seed=0)
    assert len(scenario_cell(builder, edge).positions_angstrom) == 11_700  # glideflow mobility build --size 5 2.5 10
    with pytest.raises(ConfigurationError, match="hold each other"):
        scenario_cell(builder, Scenario(kind="dipole", size=90.0, stress_mpa=100.0, temperature_k=300.0, seed=0))


def test_a_report_without_trajectories_or_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    for arguments, message in (
        (["--set", f"results={tmp_path}"], "none of 225 trajectories"),
        (["--output", "page.pdf"], "page.pdf"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            CliRunner().invoke(app, ["mobility", "report", *arguments], catch_exceptions=False)


def test_the_plan_of_the_branch_is_a_table_or_json(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("name: test\n", encoding="utf-8")
    command = ["plan", "--branch", "mobility", "--config", str(tmp_path / "run.yaml")]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    plan = json.loads(done.stdout)
    assert [rule["rule"] for rule in plan["run"]["rules"]][1] == "mobility_trajectory"
    assert plan["run"]["rules"][1]["jobs"] == 225
    table = CliRunner().invoke(app, command, env={"COLUMNS": "60"})
    assert "core-hours" in table.stdout  # not cut off
    assert "GPU-hours" in table.stdout
