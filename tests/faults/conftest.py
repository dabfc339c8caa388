"""Commands in cells as small as they can be, so that a fault costs seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

CONFIGURATION = """
name: tiny
potentials: {select: {ids: [Cu_2001Mishin_Cu_eam-alloy_v2, Fe_2003Mendelev_Fe_eam-fs]}}
properties: [lattice, gamma_surface, peierls_stress]
gamma_surface: {grid: [7, 7], layers: 12, path_points: 5, symmetry_check_points: 0}
peierls_stress:
  burgers_vectors: 14
  height_angstrom: 30
  force_tolerance_ev_per_angstrom: 1.0e-5
  bracket: 0.1
"""


@dataclass(frozen=True)
class Desk:
    """A folder with a configuration, in which commands are given."""

    folder: Path
    potential: ClassVar[str] = "Fe_2003Mendelev_Fe_eam-fs"
    results: ClassVar[tuple[str, ...]] = ("lattice.h5", "gamma.h5", "peierls.h5")
    configuration: ClassVar[str] = CONFIGURATION

    def start(self, *words: str | Path, **environment: str) -> subprocess.Popen[str]:
        """Start ``glideflow`` with these words."""
        return subprocess.Popen(
            [sys.executable, "-m", "glideflow", *map(str, words)],
            cwd=self.folder,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def run(self, *words: str | Path, status: int | None = 0, timeout_s: float = 600, **environment: str) -> str:
        """Run ``glideflow`` to its end; what it said on both streams. Without a status, any one is right."""
        process = self.start(*words, **environment)
        try:
            out, err = process.communicate(timeout=timeout_s)
        finally:
            process.kill()
        assert status in (None, process.returncode), out + err
        assert "Traceback" not in err, err
        return out + err

    def refusal(self, *words: str | Path, **environment: str) -> str:
        """What is said when a command is refused: what was found, what was expected, and what to do."""
        said = self.run(*words, status=2, **environment)
        assert "error: " in said, said
        assert len(said) < 5000
        return said

    def step(self, command: str) -> list[str | Path]:
        """Words of the command that computes a property of iron in this folder."""
        lattice = ["--lattice", "lattice.h5"] if command != "lattice" else []
        return [command, "-p", self.potential, "-c", "tiny.yaml", "-o", f"{command}.h5", "--work", "work", *lattice]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A fresh folder with the configuration ``tiny.yaml``."""
    folder = tmp_path / "desk"
    folder.mkdir()
    (folder / "tiny.yaml").write_text(CONFIGURATION, encoding="utf-8")
    return Desk(folder)


@pytest.fixture(scope="session")
def finished(filled_once: Callable[[str, Callable[[Path], object]], Path]) -> Desk:
    """A folder with every result of iron, computed without interruption. Not to be changed."""
    return Desk(filled_once("iron", _compute_everything))


def _compute_everything(folder: Path) -> None:
    desk = Desk(folder)
    (desk.folder / "tiny.yaml").write_text(CONFIGURATION, encoding="utf-8")
    for command in ("lattice", "gamma", "peierls"):
        desk.run(*desk.step(command))
    desk.run("library", "merge", *desk.results, "-o", "library.h5", "--csv", "library.csv", "-c", "tiny.yaml")


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Function that mounts a small file system in memory with the given options; needs root."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    mounted: list[Path] = []

    def make(options: str) -> Path:
        place = tmp_path / f"mounted {len(mounted)}"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"cannot mount a file system here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
