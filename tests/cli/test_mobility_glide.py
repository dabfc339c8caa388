from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.errors import ConfigurationError, PropertyError, StorageError
from glideflow.mobility.trajectory import read_trajectory

ALONE = ["--set", "mobility.network.features.images=1", "--set", "mobility.network.features.shear_modulus_gpa=1e-9"]
"""Lines that do not feel each other: v = τb/B."""
BRIEF = ["--duration", "1.1", "--interval", "0.1", *ALONE]


def invoke(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, ["mobility", *map(str, arguments)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Trajectories of edges and screws by drag alone."""
    folder = tmp_path_factory.mktemp("glide")
    files = []
    for angle, stress in ((90, 500), (0, 500), (90, 250)):
        files.append(folder / f"{angle}_{stress}.h5")
        invoke("glide", "--drag", 200, 85, "--angle", angle, "--stress", stress, "-o", files[-1], *BRIEF)
    return files


def test_a_dipole_is_moved_by_a_law_and_its_velocity_read_like_that_of_molecular_dynamics(moved: list[Path]) -> None:
    trajectory = read_trajectory(moved[0])
    assert (trajectory.status, trajectory.cell.kind, len(trajectory.times_ps)) == ("completed", "dipole", 12)
    (row,) = json.loads(invoke("velocity", moved[0], "--json"))
    assert row["velocity"]["velocity_m_per_s"] == pytest.approx(100 * 500 * 2.473 / 85, rel=1e-5)


def test_the_law_fitted_to_these_trajectories_moves_lines_as_the_first_one_did(
    moved: list[Path], tmp_path: Path
) -> None:
    file = tmp_path / "law.json"
    fitted = json.loads(invoke("law", *moved, "-o", file, "--fix", "slope=0", "--json"))
    assert fitted["parameters"]["screw_drag_mpa_ps"] == pytest.approx(200.0, rel=1e-4)
    assert fitted["parameters"]["edge_drag_mpa_ps"] == pytest.approx(85.0, rel=1e-4)
    assert len(fitted["velocities"]) == 3
    assert 0 < fitted["errors"]["edge_drag_mpa_ps"] < 10
    start = ["--from", moved[0], "--from-ps", "0.5", "--stress", "-250"]
    found = json.loads(invoke("glide", "--law", file, *start, "--samples", "2", "--json", *BRIEF))
    assert found["velocity"]["velocity_m_per_s"] == pytest.approx(-100 * 250 * 2.473 / 85, rel=1e-3)
    assert (found["temperature_k"], len(found["samples"])) == (300.0, 2)
    assert found["samples_mean_m_per_s"] == pytest.approx(found["velocity"]["velocity_m_per_s"], rel=0.2)
    assert found["spread_angstrom"] > 0
    table = invoke("law", *moved, "-o", file, "--fix", "slope=0")
    assert "edge_drag_mpa_ps" in table


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        (["glide", "--drag", "1", "1", "--law", "law.json"], ConfigurationError, "both --law and --drag"),
        (["glide", "--drag", "0", "1"], ConfigurationError, "drag coefficients of 0 and 1"),
        (["glide", "--drag", "1", "1", "--interval", "0.3"], ConfigurationError, "whole multiple"),
        (["glide", "--drag", "1", "1", "--spacing", "-1"], ConfigurationError, "node_spacing_angstrom"),
        (["glide", "--drag", "1", "1", "--temperature", "0"], ConfigurationError, "a temperature of 0 K"),
        (["glide", "--drag", "1", "1", "--stress", "nan"], ConfigurationError, "shear stress of nan MPa"),
        (["glide", "--drag", "1", "1", "--angle", "inf"], ConfigurationError, "an angle of inf"),
        (["glide", "--drag", "1", "1", "--burgers", "nan"], ConfigurationError, "Burgers vector of nan"),
        (["glide", "--drag", "1", "nan"], ConfigurationError, "drag coefficients of 1 and nan"),
        (
            ["glide", "--drag", "1", "1", "--kind", "loop", "--radius", "50"],
            ConfigurationError,
            "50 nm in a cell",
        ),
        (["glide", "--law", "absent.json"], StorageError, "absent.json is no mobility law"),
        (["law", "absent.h5", "-o", "law.json"], StorageError, "absent.h5 does not exist"),
        (["law", "absent.h5", "-o", "law.json", "--fix", "slope"], ConfigurationError, "--fix slope"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_computed(
    arguments: list[str], error: type[Exception], named: str, refused: Callable[..., None]
) -> None:
    refused(["mobility", *arguments], error, named)


def test_a_law_that_is_sure_of_itself_has_no_samples(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["mobility", "glide", "--drag", "200", "85", "--samples", "2", *BRIEF])
    assert isinstance(done.exception, PropertyError)
    assert "does not say how sure it is" in str(done.exception)


def test_without_a_law_the_shipped_ensemble_moves_the_lines_and_says_where_its_data_end() -> None:
    pytest.importorskip("torch", reason="needs PyTorch")
    conditions = ["--angle", "90", "--stress", "5000", "--duration", "0.1", "--interval", "0.1"]
    done = CliRunner().invoke(app, ["mobility", "glide", *conditions, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["held_out"]["velocity_percent"] > 0
    assert "a stress of 5000 MPa" in [text.partition(":")[0] for text in found["outside_data"]]
    assert "outside of its data: a stress of 5000 MPa" in done.stderr
    assert "it has not seen" in done.stderr
