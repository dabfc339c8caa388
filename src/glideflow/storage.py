"""Records in HDF5 files; beside this module only `hdf5` and the two layouts know HDF5.

A record is a frozen dataclass whose field names carry their units. A file holds one record, either as a tree of groups
or, where it consists of thousands of records, as columns. A file is written to a temporary name in the same folder and
renamed, so that a reader never sees half of one. Nothing in a file depends on when or where it was written: the same
record gives the same bytes. At its end stands the digest of everything before, so that a change of a single byte is
noticed.
"""

from __future__ import annotations

import hashlib
import os
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from glideflow.atomic import replacing
from glideflow.errors import StorageError
from glideflow.hdf5 import LARGEST_FILE_BYTES, content, storable, texts
from glideflow.layout_columns import read_columns, write_columns
from glideflow.layout_groups import read_groups, write_groups
from glideflow.schema import SCHEMA_VERSION, MigrationError
from glideflow.schema import migration as migration  # with `record`, what modules of records need
from glideflow.schema import record as record
from glideflow.schema import unit_of as unit_of

if TYPE_CHECKING:
    import h5py

_SCHEMA = "schema"
_VERSION = "schema_version"
_LAYOUT = "layout"
_COLUMNS = "columns"
_SEAL = b"\nglideflow sha256 "
_SEAL_BYTES = len(_SEAL) + 65
_SUPERBLOCK_BYTES = 48

_DAMAGE = (AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)
"""What h5py and the constructors of records raise on damaged files."""

R = TypeVar("R")
Layout = Literal["groups", "columns"]


class WrongKindError(StorageError):
    """What was named is in order, but is not the kind of file that was asked for."""


def write_record(
    path: Path, value: object, attributes: dict[str, str] | None = None, *, layout: Layout = "groups"
) -> None:
    """Write a record to an HDF5 file, atomically.

    Args:
        path: the file; its folder is made if need be.
        value: an instance of a class decorated with `record`.
        attributes: further attributes of the file, e.g. provenance for readers without this package.
        layout: ``groups``, a tree where every entry stands by itself, or ``columns``, a table per kind of record:
            smaller by far and faster for libraries.

    Raises:
        StorageError: the file cannot be written.
    """
    with _new_file(path) as file:
        file.attrs[_SCHEMA] = f"glideflow/{type(value).__name__}"
        file.attrs[_VERSION] = SCHEMA_VERSION
        for name, text in sorted((attributes or {}).items()):
            file.attrs[name] = storable(text)
        if layout == _COLUMNS:
            file.attrs[_LAYOUT] = _COLUMNS
            write_columns(file, [value])
        else:
            write_groups(file, value)


def read_record(path: Path, expected: type[R]) -> R:
    """Read a record written by `write_record`.

    Args:
        path: the file.
        expected: class of the record.

    Raises:
        StorageError: the file is missing, truncated, not HDF5, of another kind or schema version, or lacks a field.
    """
    with _open_file(path) as file, _refusing_damage(path, f"a complete {expected.__name__}"):
        version = _known_version(path, file, expected)
        columns = str(file.attrs.get(_LAYOUT, "")) == _COLUMNS
        try:
            (found,) = read_columns(file, expected, version) if columns else [read_groups(file, expected, version)]
        except MigrationError as error:
            raise _of_another_version(path, version, str(error)) from error
        return typing.cast(R, found)


def peek(path: Path, expected: type, *names: str) -> tuple[str, ...]:
    """Single texts of a record, without reading the rest of it.

    With h5py's low-level interface this takes 0.2 ms a file, its digest included, against 0.4 ms with `h5py.File` and
    8 ms for the whole record of a Peierls stress: what a look at thousands of files needs.

    Args:
        path: the file.
        expected: class of the record.
        names: paths of text entries inside the file, e.g. ``status`` or ``failure/error_class``.

    Returns:
        The texts in the order of ``names``; empty where the record has no such entry.

    Raises:
        StorageError: the file is missing, truncated, not HDF5, or of another kind or schema version.
    """
    import h5py

    whole = f"a complete {expected.__name__}"
    try:
        _refuse_changed(path)
        file = h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY)
        try:
            if _is_known(file, expected):
                return tuple(_text_at(file, name) for name in names)
        finally:
            file.close()
    except _DAMAGE as error:
        with _open_file(path):  # says why, if the file as a whole is the reason
            raise _damaged(path, whole, error) from error
    with _open_file(path) as foreign, _refusing_damage(path, whole):
        _known_version(path, foreign, expected)
        raise TypeError("its schema is written in an unknown way")


def _is_known(file: Any, expected: type) -> bool:  # noqa: ANN401 - h5py ships no types
    """Whether the record is of this kind and of a schema version that this one includes."""
    import h5py

    if not all(h5py.h5a.exists(file, name.encode()) for name in (_SCHEMA, _VERSION)):
        return False
    schema = np.empty((), dtype=object)
    h5py.h5a.open(file, _SCHEMA.encode()).read(schema)
    version = np.empty((), dtype=np.int64)
    h5py.h5a.open(file, _VERSION.encode()).read(version)
    return bool(schema[()] == f"glideflow/{expected.__name__}".encode() and 1 <= version <= SCHEMA_VERSION)


def _text_at(file: Any, name: str) -> str:  # noqa: ANN401 - h5py ships no types
    """A text entry, empty if there is none."""
    import h5py

    *groups, _ = name.split("/")
    parents = ("/".join(groups[: depth + 1]) for depth in range(len(groups)))
    if not all(file.links.exists(part.encode()) for part in (*parents, name)):
        return ""
    found = np.empty((), dtype=object)
    h5py.h5d.open(file, name.encode()).read(h5py.h5s.ALL, h5py.h5s.ALL, found)
    return bytes(found[()]).decode("utf-8", "replace")


def describe(path: Path) -> Iterator[tuple[str, str, str]]:
    """Each entry of any HDF5 file as (path, unit, value or shape), attributes of the file first.

    Raises:
        StorageError: the file is missing or not HDF5.
    """
    import h5py

    rows: list[tuple[str, str, str]] = []
    with _open_file(path) as file, _refusing_damage(path, "an HDF5 file"):
        rows += [(f"@{name}", "", str(value)) for name, value in file.attrs.items()]

        def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
            if isinstance(item, h5py.Dataset):
                rows.append((name, str(item.attrs.get("unit", "")), _summary(item)))

        file.visititems(visit)
    yield from rows


@contextmanager
def _new_file(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file that is made in memory and then written as a whole.

    HDF5 itself must not meet a full disk: it fails again when it closes the file, with an error of another kind or
    by a segmentation fault.
    """
    import h5py

    with h5py.File(path.name, "w", driver="core", backing_store=False, track_order=False) as file:
        yield file
        file.flush()
        image: bytes = file.id.get_file_image()
    with replacing(path) as temporary:
        temporary.write_bytes(image + _seal(image))


def _seal(image: bytes) -> bytes:
    """What follows an HDF5 file that this package wrote: the digest of everything before.

    HDF5 itself notices few changed bytes, never one in a number, and on some it does not come back. It passes over
    what stands behind its own end, and cuts it off when another program changes the file.
    """
    return _SEAL + hashlib.sha256(image).hexdigest().encode() + b"\n"


def _refuse_changed(path: Path) -> None:
    """Raise if something other than the seal of the file follows its HDF5 part; none at all is another program's."""
    with path.open("rb") as stream:
        end = _hdf5_end(stream.read(_SUPERBLOCK_BYTES))
        stream.seek(0)
        digest = hashlib.sha256()
        while end > 0 and (block := stream.read(min(end, 2**20))):
            digest.update(block)
            end -= len(block)
        rest = stream.read(_SEAL_BYTES + 1)
    if rest and rest != _SEAL + digest.hexdigest().encode() + b"\n":
        raise StorageError(
            f"{path} is damaged: its content is not what was written",
            expected="the HDF5 file whose SHA-256 stands at its end",
            next_step="delete the file and run its step again",
        )


def _hdf5_end(superblock: bytes) -> int:
    """Where HDF5 says that a file of the kind that h5py writes ends, 8 EiB for any other file.

    Source: HDF5 File Format Specification 3.0, superblock version 0: signature, version, ..., end-of-file address.
    """
    if len(superblock) < _SUPERBLOCK_BYTES or superblock[:9] != b"\x89HDF\r\n\x1a\n\0":
        return 2**63
    return int.from_bytes(superblock[40:48], "little")


@contextmanager
def _open_file(path: Path) -> Iterator[h5py.File]:
    import h5py

    _refuse_folder(path)
    if not path.is_file():
        raise StorageError(f"{path} does not exist", expected="an HDF5 file", next_step="run the step that makes it")
    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise StorageError(f"{path} has {path.stat().st_size} bytes", expected="a result file of at most 4 GiB")
    try:
        _refuse_changed(path)
        file = h5py.File(path, "r")
    except OSError as error:
        raise _unopenable(path, error) from error
    with file:
        yield file


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        inside = next(path.rglob("*.h5"), None)
        raise WrongKindError(
            f"{path} is a folder",
            expected="an HDF5 file",
            next_step=f"name a file in it, e.g. {inside}" if inside else "name another one: it holds no HDF5 file",
        )


def _unopenable(path: Path, error: OSError) -> StorageError:
    """What to do with a file that HDF5 does not open depends on what its name promises."""
    found = f"{path} cannot be opened as HDF5: {error}"
    if path.suffix in (".h5", ".hdf5"):
        return StorageError(found, expected="a complete HDF5 file", next_step="delete the file and run its step again")
    return WrongKindError(
        found,
        expected="an HDF5 file written by glideflow, whose names end in .h5",
        next_step="check which file was meant",
    )


@contextmanager
def _refusing_damage(path: Path, whole: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise _damaged(path, whole, error) from error


def _damaged(path: Path, whole: str, error: Exception) -> StorageError:
    return StorageError(
        f"{path} is damaged: {error}",
        expected=f"{whole} of schema version {SCHEMA_VERSION}",
        next_step="delete the file and run its step again",
    )


def _known_version(path: Path, file: h5py.File, expected: type) -> int:
    """Schema version of a file that holds such a record; any other file and any other version is refused."""
    schema, wanted = str(file.attrs.get(_SCHEMA, "none")), f"glideflow/{expected.__name__}"
    if schema != wanted:
        kind = WrongKindError if schema.startswith("glideflow/") else StorageError
        raise kind(
            f"{path} holds the schema {schema!r}",
            expected=f"a file written by glideflow with the schema {wanted!r}",
            next_step="check which file this command wants; `glideflow inspect FILE` shows what is in this one",
        )
    version = int(file.attrs.get(_VERSION, 0))
    if not 1 <= version <= SCHEMA_VERSION:
        raise _of_another_version(path, version, "a newer glideflow wrote it" if version > 0 else "there is none")
    return version


def _of_another_version(path: Path, version: int, reason: str) -> StorageError:
    return StorageError(
        f"{path} has the schema version {version}: {reason}",
        expected=f"schema version {SCHEMA_VERSION}, or an older one that can be turned into it",
        next_step="run its step again with this version of glideflow, or read it with the version that wrote it",
    )


def _summary(item: h5py.Dataset) -> str:
    import h5py

    if h5py.check_string_dtype(item.dtype) is not None:
        text = texts(item)
        return text if isinstance(text, str) else ", ".join(text)
    if item.shape == ():
        return str(content(item))
    values = content(item)
    span = f", {np.nanmin(values):.6g} to {np.nanmax(values):.6g}" if values.size and values.dtype.kind in "fiu" else ""
    return f"{item.dtype} {item.shape}{span}"
