"""``glideflow mobility build`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.io import read
from typer.testing import CliRunner

from glideflow.cli import mobility
from glideflow.cli.app import app
from glideflow.cli.properties import StageFailedError
from glideflow.errors import ConfigurationError, SlipSystemError
from glideflow.properties.elastic import cubic_tensor
from glideflow.properties.results import ElasticResult, LatticeResult

SMALL = ["--size", "4", "1.2", "6"]


@pytest.fixture(autouse=True)
def known_crystal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lattice and elastic constants of the default potential, as docs/methods.md has them."""
    lattice = LatticeResult(
        structure="bcc",
        a_angstrom=2.855312,
        c_angstrom=None,
        energy_ev_per_atom=-4.12,
        residual_stress_gpa=0.0,
        cutoff_angstrom=5.3,
    )
    tensor = cubic_tensor(243.33, 145.01, 115.99)
    elastic = ElasticResult(
        tensor_gpa=tensor,
        raw_tensor_gpa=tensor,
        c11_gpa=243.33,
        c12_gpa=145.01,
        c44_gpa=115.99,
        c13_gpa=None,
        c33_gpa=None,
        fit_residual_gpa=0.0,
        strain_dependence=0.0,
        stability_eigenvalue_gpa=98.32,
        born_stable=True,
        strain_amplitudes=np.array([1e-3]),
        constants_by_amplitude_gpa=np.array([[243.33, 145.01, 115.99]]),
        bulk_modulus_gpa=177.8,
        shear_modulus_gpa=89.3,
    )
    monkeypatch.setattr(mobility, "crystal_of", lambda *given: (lattice, elastic))


def build(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["mobility", "build", *arguments, "--json"])
    if done.exception is not None:
        raise done.exception
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_dipole_is_built_relaxed_checked_and_written(tmp_path: Path) -> None:
    pytest.importorskip("ovito.data", reason="needs the PyPI package ovito with libEGL and libGL")
    files = [tmp_path / "edge.data", tmp_path / "new" / "edge.xyz"]
    found = build("--angle", "90.2", *SMALL, "--output", str(files[0]), "--output", str(files[1]))
    assert found["angle_deg"] == pytest.approx(90.0)
    assert found["miller_frame"] == [[1, 1, -1], [-1, 2, 1], [1, 0, 1]]
    check = found["check"]
    assert check["ok"]
    assert check["problems"] == []
    assert check["expected_atoms"] == found["atoms"]
    assert [line["period"] for line in check["lines"]] in ([[0, 1, 0], [0, -1, 0]], [[0, -1, 0], [0, 1, 0]])
    for file in files:
        atoms = read(file, **({"format": "lammps-data", "atom_style": "atomic"} if file.suffix == ".data" else {}))
        assert len(atoms) == found["atoms"]
        np.testing.assert_allclose(atoms.cell.array, found["cell_angstrom"], atol=1e-6)
        assert set(atoms.get_chemical_symbols()) == {"Fe"}


def test_a_loop_as_built_is_not_looked_at(tmp_path: Path) -> None:
    options = ["--set", "mobility.cells.images=1", "--stress", "1000", "--as-built"]
    found = build("--kind", "loop", "--radius", "1.6", "--size", "5", "5", "4", *options)
    assert found["check"] is None
    assert found["passing_mpa"] is None
    assert found["radius_angstrom"] == 16.0
    assert found["cell_angstrom"][2][0] > 1.0


def test_a_cell_too_small_for_its_stress_is_refused_with_the_size_that_would_do() -> None:
    with pytest.raises(ConfigurationError, match="hold each other up to") as refused:
        build("--stress", "100", *SMALL, "--as-built")
    words = refused.value.next_step.split()
    assert build("--stress", "100", "--size", *words[1:4], "--as-built")["passing_mpa"] < 100


def test_what_cannot_be_built_is_named() -> None:
    with pytest.raises(SlipSystemError, match="no line at 45°"):
        build("--angle", "45", "--set", "mobility.cells.longest_period_nm=1", "--as-built")
    with pytest.raises(ConfigurationError, match=r"the file cell\.cif"):
        build("--output", "cell.cif", "--as-built")
    for kind in ("dipole", "loop"):
        with pytest.raises(ConfigurationError, match="shear stress of nan MPa"):
            build("--kind", kind, "--stress", "nan", "--as-built")
    with pytest.raises(ConfigurationError, match="a loop of radius nan nm") as refused:
        build("--kind", "loop", "--radius", "nan", "--as-built")
    assert refused.value.next_step == "correct the radius"


def test_an_unsound_cell_is_shown_but_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is relaxed here: the stress of the cell as built is taken for that of the relaxed one."""
    pytest.importorskip("ovito.data", reason="needs the PyPI package ovito with libEGL and libGL")
    from glideflow.mobility.checks import check_cell

    stressed = np.diag([150.0, 0.0, 0.0])
    monkeypatch.setattr(mobility, "_relaxed", lambda cell, *rest: (cell, check_cell(cell, stressed, 0.0)))
    file = tmp_path / "edge.data"
    done = CliRunner().invoke(app, ["mobility", "build", *SMALL, "--output", str(file)])
    assert isinstance(done.exception, StageFailedError)
    assert "a mean stress of 150 MPa" in str(done.exception)
    assert "problems" in done.stdout
    assert not file.exists()
