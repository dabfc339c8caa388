from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.errors import ConfigurationError, StorageError
from glideflow.mobility.trajectory import read_trajectory

pytest.importorskip("ovito.data", reason="needs the PyPI package ovito with libEGL and libGL")

TINY = """
mobility:
  dynamics: {expansion_ps: 0.0, relaxation_steps: 10, equilibration_ps: 0.0, duration_ps: 0.12, startup_ps: 0.02,
             extraction_interval_ps: 0.01, checkpoint_interval_ps: 0.06}
"""


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """File of a tiny trajectory, and what the command said on standard output."""
    folder = tmp_path_factory.mktemp("trajectory")
    (folder / "tiny.yaml").write_text(TINY, encoding="utf-8")
    file = folder / "edge.h5"
    size = ["--size", "3.5", "0.7", "6", "--stress", "700", "--temperature", "500", "--seed", "7"]
    options = ["--config", str(folder / "tiny.yaml"), "--output", str(file), "--work", str(folder / "work"), "--json"]
    done = CliRunner().invoke(app, ["mobility", "run", *size, *options])
    assert done.exit_code == 0, done.output
    return file, done.stdout


def test_a_scenario_becomes_a_file_with_the_potential_of_the_configuration(computed: tuple[Path, str]) -> None:
    file, said = computed
    trajectory = read_trajectory(file)
    assert trajectory.status == "completed"
    assert trajectory.potential.id == "Fe_2003Mendelev_Fe_eam-fs"
    assert trajectory.cell.lattice_constant_angstrom == pytest.approx(2.8553, abs=1e-4)
    scenario = trajectory.scenario
    assert (scenario.stress_mpa, scenario.temperature_k, scenario.seed) == (700.0, 500.0, 7)
    found = json.loads(said)
    assert (found["status"], found["kind"], found["angle_deg"], found["frames"]) == ("completed", "dipole", 90.0, 13)
    assert found["velocity"]["from_ps"] == pytest.approx(0.02)


def test_velocities_are_a_table_or_json_and_a_short_trajectory_says_why_it_has_none(
    computed: tuple[Path, str],
) -> None:
    file, said = computed
    table = CliRunner().invoke(app, ["mobility", "velocity", str(file)], env={"COLUMNS": "200"})
    assert table.exit_code == 0, table.output
    velocity = json.loads(said)["velocity"]["velocity_m_per_s"]
    assert f"{velocity:.0f}" in table.stdout
    late = CliRunner().invoke(app, ["mobility", "velocity", "--startup", "0.1", str(file), "--json"])
    (row,) = json.loads(late.stdout)
    assert row["velocity"] is None
    assert "3 frames after the first 0.1 ps" in row["why_no_velocity"]


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        (["run"], ConfigurationError, "no file was named"),
        (["run", "-o", "t.h5", "--potential", "Cu_mishin"], ConfigurationError, "Cu_mishin"),
        (["run", "-o", "t.h5", "--set", "mobility.dynamics.duration_ps=0.35"], ConfigurationError, "whole multiple"),
        (["run", "-o", "t.h5", "--temperature", "-10"], ConfigurationError, "a temperature of -10 K"),
        (["run", "-o", "t.h5", "--stress", "nan"], ConfigurationError, "shear stress of nan MPa"),
        (["velocity", "absent.h5"], StorageError, "absent.h5 does not exist"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_computed(
    arguments: list[str], error: type[Exception], named: str, refused: Callable[..., None]
) -> None:
    refused(["mobility", *arguments], error, named)
