"""From the configuration's sources to what they hold."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from glideflow.config.potentials import BundledSource, CalculatorSource, FolderSource, NistSource, OpenKimSource
from glideflow.errors import DependencyError
from glideflow.potentials.listing import SourceListing

logger = logging.getLogger(__name__)

Source = BundledSource | FolderSource | OpenKimSource | NistSource | CalculatorSource


def load_sources(sources: Iterable[Source], base: Path) -> tuple[SourceListing, ...]:
    """Read sources in their order.

    One that is marked ``optional`` and is not on this machine is left out with a warning; one that is there but
    cannot be read is an error.

    Raises:
        PotentialError: a source cannot be read.
        DependencyError: a source needs a package that is not installed, and is not optional.
        StorageError: a cache cannot be written.
    """
    listings = []
    for source in sources:
        try:
            _refuse_absent(source, base)
            listings.append(load_source(source, base))
        except DependencyError as error:
            if not getattr(source, "optional", False):
                raise
            logger.warning("going on without the optional %s source: %s", source.kind, error.found)
    return tuple(listings)


def _refuse_absent(source: Source, base: Path) -> None:
    """Tell an optional source that is not there from one that is there and broken."""
    path = getattr(source, "path", "")
    if getattr(source, "optional", False) and path and not (base / Path(path).expanduser()).exists():
        raise DependencyError(f"{path} does not exist")


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
        case CalculatorSource():
            return _load_calculator(source, base)


def _load_calculator(source: CalculatorSource, base: Path) -> SourceListing:
    """A calculator in a configuration, as the entry of a manifest that it could be."""
    from glideflow.potentials.manifest import SCHEMA, checked_manifest, listing_of

    keys = {"id", "calculator", "arguments", "files", "family", "citation"}
    entry = source.model_dump(include=keys) | {
        "kind": "ASE",
        "covers": source.elements,
        "cutoff": source.cutoff_angstrom,
    }
    name = f"calculator {source.id}"
    manifest = checked_manifest({"schema": SCHEMA, "mlff": [entry]}, f"potentials.sources, {name}")
    return listing_of(manifest, base / Path(source.path).expanduser(), name, default_source=source.calculator)
