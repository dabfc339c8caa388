"""What commands on single potentials say to a user who mistypes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def lattice(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "glideflow", "lattice", "--potential", "Cu_2001Mishin_Cu_eam-alloy_v2", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("taken/result.h5", "File exists"),
        ("folder", "a folder of this name is there"),
        ("/proc/no/result.h5", "No such"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_computing(tmp_path: Path, output: str, reason: str) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    (tmp_path / "folder").mkdir()
    run = lattice("--output", str(tmp_path / output))
    assert run.returncode == 2
    assert f"cannot be written: {reason}" in run.stderr
    assert "lattice: 0/" not in run.stderr, "nothing was computed"
    assert "Traceback" not in run.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "taken"]


@pytest.mark.parametrize("override", ["nonsense", "gamma_surface.grid=[[", "gamma_surface.layers=-4", "=3"])
def test_an_override_that_makes_no_sense_is_one_message(override: str) -> None:
    run = lattice("--set", override)
    assert run.returncode == 2
    assert run.stderr.startswith("error: ")
    assert "expected: " in run.stderr
    assert "next step: " in run.stderr
    assert "Traceback" not in run.stderr


def test_a_character_that_is_not_implemented_is_refused_before_computing() -> None:
    command = [sys.executable, "-m", "glideflow", "peierls", "--potential", "W_2001Zhou_W_eam-alloy"]
    run = subprocess.run([*command, "--character", "screw"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "the dislocation character 'screw'" in run.stderr
    assert "lattice: 0/" not in run.stderr, "nothing was computed"


def test_a_list_without_entries_says_which_metals_there_are() -> None:
    command = [sys.executable, "-m", "glideflow", "potentials", "list", "--element", "Xx", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
    assert "nothing fits; the sources hold potentials of: Al, Au, " in run.stderr
