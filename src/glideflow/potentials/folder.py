"""A folder with a ``manifest.yaml`` and the parameter files that it names."""

from __future__ import annotations

from pathlib import Path

from glideflow.errors import PotentialError
from glideflow.potentials.listing import SourceListing
from glideflow.potentials.manifest import FILE_NAME, MAX_MANIFEST_BYTES, listing_of, parse_manifest


def load_folder(folder: Path) -> SourceListing:
    """Read the manifest of a folder.

    Parameter files are not opened: `glideflow.potentials.record.verify_files` and
    `glideflow.potentials.check.check_potential` do that.

    Raises:
        PotentialError: there is no such folder or manifest, or the manifest is not as the schema says.
    """
    name = f"folder {folder.name}"
    manifest = parse_manifest(read_manifest_text(folder), str(folder / FILE_NAME))
    return listing_of(manifest, folder, name, default_source=name)


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
