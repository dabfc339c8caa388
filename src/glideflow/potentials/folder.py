"""A folder with a ``manifest.yaml`` and the parameter files that it names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from glideflow.errors import PotentialError
from glideflow.potentials.listing import Skipped, SourceListing
from glideflow.potentials.manifest import FILE_NAME, MAX_MANIFEST_BYTES, listing_of, parse_manifest
from glideflow.potentials.record import Potential


def load_folder(folder: Path) -> SourceListing:
    """Read the manifest of a folder.

    Parameter files are not opened: `glideflow.potentials.record.verify_files` and
    `glideflow.potentials.check.check_potential` do that.

    Raises:
        PotentialError: there is no such folder or manifest, or the manifest is not as the schema says.
    """
    name = f"folder {folder.name}"
    manifest = parse_manifest(read_manifest_text(folder), str(folder / FILE_NAME))
    return without_outside_files(listing_of(manifest, folder, name, default_source=name), folder)


def without_outside_files(listing: SourceListing, folder: Path) -> SourceListing:
    """A listing in which potentials whose files lie outside of their folder, by way of links, are skipped.

    A manifest of somebody else could otherwise have any readable file of this machine opened, and show a part of it
    in what LAMMPS complains of.
    """
    inside = os.path.realpath(folder)
    usable: list[Potential] = []
    skipped = list(listing.skipped)
    for potential in listing.potentials:
        outside = [file.path.name for file in potential.files if not _lies_in(inside, file.path)]
        if outside:
            skipped.append(_skipped(potential, outside))
        else:
            usable.append(potential)
    return replace(listing, potentials=tuple(usable), skipped=tuple(skipped))


def _lies_in(folder: str, file: Path) -> bool:
    return os.path.commonpath([folder, os.path.realpath(file)]) == folder


def _skipped(potential: Potential, outside: Sequence[str]) -> Skipped:
    return Skipped(
        id=potential.id,
        source=potential.source,
        elements=(potential.element,),
        reason=f"links that lead out of the folder: {', '.join(outside)}; copy the files into it",
    )


def read_manifest_text(folder: Path) -> str:
    """Text of the manifest in a folder.

    Raises:
        PotentialError: it cannot be read, is no text, or is unreasonably large.
    """
    path = folder / FILE_NAME
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise PotentialError(
                f"{path} has {path.stat().st_size} bytes",
                expected=f"a manifest of at most {MAX_MANIFEST_BYTES} bytes",
                next_step="split the folder",
            )
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is not UTF-8 text (byte {error.start})"
        raise PotentialError(
            f"cannot read {path}: {reason}",
            expected=f"a folder of potentials with a {FILE_NAME}",
            next_step="check `path` of this source; docs/potentials.md shows how to write a manifest",
        ) from error
