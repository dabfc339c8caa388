"""From the configuration's sources to what they hold."""

from __future__ import annotations

from pathlib import Path

from glideflow.config.potentials import BundledSource, FolderSource, NistSource, OpenKimSource
from glideflow.potentials.listing import SourceListing

Source = BundledSource | FolderSource | OpenKimSource | NistSource


def load_source(source: Source, base: Path) -> SourceListing:
    """Read one source.

    Args:
        source: its section of the configuration.
        base: folder to which a relative path refers.

    Raises:
        PotentialError: the source cannot be read.
        DependencyError: it needs a package that is not installed.
        StorageError: its cache cannot be written.
    """
    match source:
        case BundledSource():
            from glideflow.potentials.bundled import load_bundled

            return load_bundled()
        case FolderSource():
            from glideflow.potentials.folder import load_folder

            return load_folder(base / Path(source.path).expanduser())
        case OpenKimSource():
            from glideflow.potentials.openkim import load_openkim

            return load_openkim(source.path, base)
        case NistSource():
            from glideflow.potentials.nist import load_nist

            return load_nist(source.path, base)
