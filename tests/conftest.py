"""Fixtures for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


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
