"""Portable models of Debian's ``openkim-models``, read without the KIM API.

The parameter files of models whose driver reads the same formats as LAMMPS' own pair styles are extracted once into
the cache, as a folder with a manifest; later runs read that folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from glideflow.errors import DependencyError, PotentialError
from glideflow.potentials.cache import cache_folder, folder_made_once
from glideflow.potentials.debian_package import package_files
from glideflow.potentials.folder import read_manifest_text
from glideflow.potentials.kim_models import ModelEntries, model_entries
from glideflow.potentials.listing import SourceListing
from glideflow.potentials.manifest import FILE_NAME, SCHEMA, listing_of, parse_manifest, usable_entries, write_manifest
from glideflow.potentials.portable_model import MAX_FILE_BYTES, read_portable_model

SOURCE: Final = "openkim-models"
EXTRACTION_VERSION: Final = 1
"""Raised whenever the extraction changes, so that older extracts in the cache are no longer taken."""
MODEL_FILES: Final = frozenset({"libkim-api-portable-model.so", "libkim-api-simulator-model.so"})
INSTALLED: Final = ("/usr/lib/*-linux-gnu/kim-api", "/usr/lib/kim-api", "/usr/local/lib/kim-api")


def load_openkim(path: str, base: Path, cache: Path | None = None) -> SourceListing:
    """The usable models of a package, for every metal that they cover.

    Args:
        path: the ``.deb`` file, the folder into which it was unpacked, or empty for where Debian installs it.
        base: folder to which a relative ``path`` refers.
        cache: folder for the extracted files; `glideflow.potentials.cache.cache_folder` by default.

    Raises:
        DependencyError: the package is not installed and no path is given.
        PotentialError: the path holds no models, or the package is damaged.
        StorageError: the cache cannot be written.
    """
    place = _installed() if not path else base / Path(path).expanduser()
    extract = extracted_models(place, cache or cache_folder())
    manifest = parse_manifest(read_manifest_text(extract), str(extract / FILE_NAME))
    return listing_of(manifest, extract, f"OpenKIM models of {place}", default_source=SOURCE)


def extracted_models(place: Path, cache: Path) -> Path:
    """Folder of the extracted parameter files with their manifest, made on the first call for this package.

    Raises:
        PotentialError: the path holds no models, or the package is damaged.
        StorageError: the cache cannot be written.
    """
    if place.is_dir():
        objects = _objects(place)
        identity = "\n".join(f"{_status_line(file)} {file.relative_to(place)}" for file in objects)
        content: Callable[[], Iterable[tuple[str, bytes]]] = lambda: _from_folder(objects)  # noqa: E731
    elif place.is_file():
        identity = _status_line(place)
        content = lambda: _from_package(place)  # noqa: E731
    else:
        raise _nothing(place, "does not exist")
    key = hashlib.sha256(f"{EXTRACTION_VERSION}\n{place.resolve()}\n{identity}".encode()).hexdigest()[:20]
    return folder_made_once(cache / "openkim" / key, lambda made: _extract(content(), place, made))


def _installed() -> Path:
    for pattern in INSTALLED:
        for folder in sorted(Path("/").glob(pattern.lstrip("/"))):
            if (folder / "portable-models").is_dir():
                return folder
    raise DependencyError(
        "the package openkim-models is not installed",
        expected="its models in " + " or ".join(INSTALLED),
        next_step="apt-get install openkim-models; or apt-get download openkim-models, and give the .deb as `path`",
    )


def _nothing(place: Path, why: str) -> PotentialError:
    return PotentialError(
        f"{place} {why}",
        expected="the openkim-models package (.deb), or a folder with its *-models/*/*.so files",
        next_step="apt-get download openkim-models, and give the path of the file",
    )


def _objects(folder: Path) -> list[Path]:
    found = [
        Path(root) / name
        for root, _, names in os.walk(folder, followlinks=False)
        for name in MODEL_FILES.intersection(names)
    ]
    if not found:
        raise _nothing(folder, "holds no OpenKIM models")
    return sorted(found)


def _status_line(file: Path) -> str:
    status = file.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _from_folder(objects: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    for file in objects:
        if file.is_file() and file.stat().st_size <= MAX_FILE_BYTES:
            yield file.parent.name, file.read_bytes()


def _from_package(package: Path) -> Iterator[tuple[str, bytes]]:
    wanted: Callable[[PurePosixPath], bool] = lambda path: path.name in MODEL_FILES  # noqa: E731
    for path, content in package_files(package, wanted):
        yield path.parent.name, content


def _extract(objects: Iterable[tuple[str, bytes]], place: Path, folder: Path) -> None:
    """Write parameter files and the manifest of all usable models; a damaged one is listed as skipped."""
    potentials: list[Mapping[str, Any]] = []
    skipped: list[Mapping[str, Any]] = []
    models = 0
    for label, content in objects:
        models += 1
        try:
            entries = model_entries(read_portable_model(content))
        except PotentialError as error:
            skipped.append({"id": label[:200], "reason": error.found})
            continue
        _write_files(entries, folder)
        potentials.extend(entries.potentials)
        skipped.extend(entries.skipped)
    if not models:
        raise _nothing(place, "holds no OpenKIM models")
    usable, refused = usable_entries(potentials)
    write_manifest({"schema": SCHEMA, "potentials": usable, "skipped": skipped + refused}, folder)


def _write_files(entries: ModelEntries, folder: Path) -> None:
    if not entries.files:
        return
    target = folder / entries.name
    target.mkdir()
    for name, content in entries.files.items():
        (target / name).write_bytes(content)
