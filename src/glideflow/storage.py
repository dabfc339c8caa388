"""Records in HDF5 files: the only module that knows HDF5.

A record is a frozen dataclass whose field names carry their units. Each field becomes a data set with an attribute
``unit``; a nested record becomes a group, a tuple of records a group of numbered groups. A file is written to a
temporary name in the same folder and renamed, so that a reader never sees half of one. Nothing in a file depends on
when or where it was written: the same record gives the same bytes. At its end stands the digest of everything before,
so that a change of a single byte is noticed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from glideflow.atomic import replacing
from glideflow.errors import StorageError

if TYPE_CHECKING:
    import h5py

SCHEMA_VERSION = 1
_SCHEMA = "schema"
_VERSION = "schema_version"
_RECORD = "record"
_SEQUENCE = "tuple of records"
_ORDER = "@order"
_SEAL = b"\nglideflow sha256 "
_SEAL_BYTES = len(_SEAL) + 65
_SUPERBLOCK_BYTES = 48
_LARGEST_FILE_BYTES = 4 * 2**30

_DAMAGE = (AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)
"""What h5py and the constructors of records raise on damaged files."""

R = TypeVar("R")

_REGISTRY: dict[str, type] = {}

UNITS_BY_SUFFIX = {
    "_ev_per_angstrom3": "eV/Å³",
    "_ev_per_angstrom2": "eV/Å²",
    "_ev_per_angstrom": "eV/Å",
    "_ev_per_atom": "eV/atom",
    "_per_angstrom": "1/Å",
    "_angstrom2": "Å²",
    "_angstrom3": "Å³",
    "_angstrom": "Å",
    "_mj_m2": "mJ/m²",
    "_gpa": "GPa",
    "_mpa": "MPa",
    "_ev": "eV",
    "_ps": "ps",
    "_k": "K",
    "_s": "s",
    "_gib": "GiB",
}
"""Unit of a field by the end of its name, the longest match first; anything else is dimensionless."""


def unit_of(field_name: str) -> str:
    """Unit that a field's name states, ``1`` if none."""
    return next((unit for suffix, unit in UNITS_BY_SUFFIX.items() if field_name.endswith(suffix)), "1")


def record(cls: type[R]) -> type[R]:
    """Class decorator: make a frozen dataclass readable from files."""
    if not (dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        raise TypeError(f"{cls.__name__} is not a frozen dataclass")
    _REGISTRY[cls.__name__] = cls
    return cls


def write_record(path: Path, value: object, attributes: dict[str, str] | None = None) -> None:
    """Write a record to an HDF5 file, atomically.

    Args:
        path: the file; its folder is made if need be.
        value: an instance of a class decorated with `record`.
        attributes: further attributes of the file, e.g. provenance for readers without this package.

    Raises:
        StorageError: the file cannot be written.
    """
    with _new_file(path) as file:
        file.attrs[_SCHEMA] = f"glideflow/{type(value).__name__}"
        file.attrs[_VERSION] = SCHEMA_VERSION
        for name, text in sorted((attributes or {}).items()):
            file.attrs[name] = _storable(text)
        _write_fields(file, value)


def read_record(path: Path, expected: type[R]) -> R:
    """Read a record written by `write_record`.

    Args:
        path: the file.
        expected: class of the record.

    Raises:
        StorageError: the file is missing, truncated, not HDF5, of another kind or schema version, or lacks a field.
    """
    with _open_file(path) as file, _refusing_damage(path, f"a complete {expected.__name__}"):
        _refuse_foreign(path, file, expected)
        return typing.cast(R, _read_fields(file, expected))


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
            if _is_current(file, expected):
                return tuple(_text_at(file, name) for name in names)
        finally:
            file.close()
    except _DAMAGE as error:
        with _open_file(path):  # says why, if the file as a whole is the reason
            raise _damaged(path, whole, error) from error
    with _open_file(path) as foreign, _refusing_damage(path, whole):
        _refuse_foreign(path, foreign, expected)
        raise TypeError("its schema is written in an unknown way")


def _is_current(file: Any, expected: type) -> bool:  # noqa: ANN401 - h5py ships no types
    """Whether the record is of this kind and of this schema version."""
    import h5py

    if not all(h5py.h5a.exists(file, name.encode()) for name in (_SCHEMA, _VERSION)):
        return False
    schema = np.empty((), dtype=object)
    h5py.h5a.open(file, _SCHEMA.encode()).read(schema)
    version = np.empty((), dtype=np.int64)
    h5py.h5a.open(file, _VERSION.encode()).read(version)
    return bool(schema[()] == f"glideflow/{expected.__name__}".encode() and version == SCHEMA_VERSION)


def _text_at(file: Any, name: str) -> str:  # noqa: ANN401 - h5py ships no types
    """A text entry, empty if there is none."""
    import h5py

    *groups, _ = name.split("/")
    parents = ("/".join(groups[: depth + 1]) for depth in range(len(groups)))
    if not all(file.links.exists(part.encode()) for part in (*parents, name)):
        return ""
    content = np.empty((), dtype=object)
    h5py.h5d.open(file, name.encode()).read(h5py.h5s.ALL, h5py.h5s.ALL, content)
    return bytes(content[()]).decode("utf-8", "replace")


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

    if not path.is_file():
        raise StorageError(f"{path} does not exist", expected="an HDF5 file", next_step="run the step that makes it")
    if path.stat().st_size > _LARGEST_FILE_BYTES:
        raise StorageError(f"{path} has {path.stat().st_size} bytes", expected="a result file of at most 4 GiB")
    try:
        _refuse_changed(path)
        file = h5py.File(path, "r")
    except OSError as error:
        raise StorageError(
            f"{path} cannot be opened as HDF5: {error}",
            expected="a complete HDF5 file",
            next_step="delete the file and run its step again",
        ) from error
    with file:
        yield file


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


def _refuse_foreign(path: Path, file: h5py.File, expected: type) -> None:
    schema, wanted = str(file.attrs.get(_SCHEMA, "none")), f"glideflow/{expected.__name__}"
    if schema != wanted:
        raise StorageError(
            f"{path} holds the schema {schema!r}",
            expected=f"a file written by glideflow with the schema {wanted!r}",
            next_step="check which file this command wants; `glideflow inspect FILE` shows what is in this one",
        )
    version = int(file.attrs.get(_VERSION, 0))
    if version != SCHEMA_VERSION:
        raise StorageError(
            f"{path} has the schema version {version}",
            expected=f"schema version {SCHEMA_VERSION}",
            next_step="run its step again with this version of glideflow, or read it with the version that wrote it",
        )


def _write_fields(group: h5py.Group, value: object) -> None:
    if type(value).__name__ not in _REGISTRY:
        raise TypeError(f"{type(value).__name__} is not decorated with glideflow.storage.record")
    group.attrs[_RECORD] = type(value).__name__
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        content = getattr(value, field.name)
        if content is not None:
            _write_value(group, field.name, content)


def _write_value(group: h5py.Group, name: str, content: Any) -> None:  # noqa: ANN401 - any storable value
    if dataclasses.is_dataclass(content):
        _write_fields(group.create_group(name), content)
    elif isinstance(content, tuple) and content and dataclasses.is_dataclass(content[0]):
        _write_sequence(group.create_group(name), content)
    elif isinstance(content, str) or (isinstance(content, tuple) and all(isinstance(c, str) for c in content)):
        data = (
            _storable(content) if isinstance(content, str) else np.array([_storable(c) for c in content], dtype=object)
        )
        group.create_dataset(name, data=data, dtype=_text_type())
    else:
        array = np.asarray(content)
        compression = "gzip" if array.size > 64 else None
        dataset = group.create_dataset(name, data=array, compression=compression)
        dataset.attrs["unit"] = unit_of(name)


def _write_sequence(group: h5py.Group, members: tuple[Any, ...]) -> None:
    """Records as groups, named by their own ``record_name`` if they have one, else by their number."""
    group.attrs[_RECORD] = _SEQUENCE
    names = [str(getattr(member, "record_name", f"{index:06d}")) for index, member in enumerate(members)]
    if len(set(names)) < len(names):
        raise ValueError(f"two records in {group.name} have the same name: {sorted(names)}")
    for name, member in zip(names, members, strict=True):
        _write_fields(group.create_group(name), member)
    group.create_dataset(_ORDER, data=np.array(names, dtype=object), dtype=_text_type())


def _storable(text: str) -> str:
    """The text with a replacement for what HDF5 cannot hold: zeros and bytes that are no UTF-8.

    Both occur in what a crashing engine writes, and in file names.
    """
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def _text_type() -> Any:  # noqa: ANN401 - h5py ships no types
    """HDF5 type of UTF-8 text."""
    import h5py

    return h5py.string_dtype()


def _read_fields(group: h5py.Group, cls: type) -> object:
    hints = typing.get_type_hints(cls, localns=_annotation_names())
    arguments = {}
    for field in dataclasses.fields(cls):
        if field.name in group:
            arguments[field.name] = _checked(_read_value(_member(group, field.name), hints[field.name]), field, hints)
        elif _may_be_none(hints[field.name]):
            arguments[field.name] = None
        else:
            raise KeyError(f"the field {group.name}/{field.name} is missing")
    return cls(**arguments)


def _member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """A member that lies in this file: links of a foreign file could have any other one read."""
    import h5py

    if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
        raise ValueError(f"{group.name}/{name} is a link to another file")
    return group[name]


def _content(item: h5py.Dataset) -> Any:  # noqa: ANN401 - any storable value
    """What a data set holds, if it lies in this file and is not unreasonably large."""
    if item.external or item.is_virtual:
        raise ValueError(f"the data of {item.name} lie in another file")
    if item.size is not None and item.size * item.dtype.itemsize > _LARGEST_FILE_BYTES:
        raise ValueError(f"{item.name} promises more than {_LARGEST_FILE_BYTES} bytes")
    return item[()]


def _checked(value: Any, field: dataclasses.Field[Any], hints: dict[str, Any]) -> Any:  # noqa: ANN401
    """The value, if it is of the kind that the field's annotation says."""
    if not any(_fits(value, option) for option in _options(hints[field.name])):
        raise TypeError(f"{field.name} is a {type(value).__name__}")
    return value


def _fits(value: Any, option: Any) -> bool:  # noqa: ANN401 - any value and annotation
    kind = typing.get_origin(option) or option
    if kind is typing.Literal:
        return isinstance(value, str)
    if kind in (int, float):
        return isinstance(value, (int, float))
    return isinstance(value, kind) if isinstance(kind, type) else True


def _annotation_names() -> dict[str, Any]:
    from numpy.typing import NDArray

    return {"FloatArray": NDArray[np.float64]}


def _read_value(item: h5py.Group | h5py.Dataset, hint: Any) -> Any:  # noqa: ANN401 - any storable value
    import h5py

    if isinstance(item, h5py.Group):
        kind = str(item.attrs.get(_RECORD, ""))
        if kind == _SEQUENCE:
            return tuple(_read_value(_member(item, name), None) for name in _texts(_member(item, _ORDER)))
        return _read_fields(item, _REGISTRY[kind])
    if h5py.check_string_dtype(item.dtype) is not None:
        return _texts(item)
    content = _content(item)
    return content if _is_array(hint) else _scalar_or_tuple(content)


def _texts(item: h5py.Dataset) -> str | tuple[str, ...]:
    """A text, or several."""
    content = _content(item)
    return content.decode() if isinstance(content, bytes) else tuple(part.decode() for part in content)


def _scalar_or_tuple(content: Any) -> Any:  # noqa: ANN401 - any storable value
    if np.ndim(content) == 0:
        return content.item() if hasattr(content, "item") else content
    return tuple(content.tolist())


def _is_array(hint: Any) -> bool:  # noqa: ANN401 - any annotation
    return any(
        isinstance(typing.get_origin(option), type) and issubclass(typing.get_origin(option), np.ndarray)
        for option in _options(hint)
    )


def _options(hint: Any) -> tuple[Any, ...]:  # noqa: ANN401 - any annotation
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _may_be_none(hint: Any) -> bool:  # noqa: ANN401 - any annotation
    return type(None) in _options(hint)


def _summary(item: h5py.Dataset) -> str:
    import h5py

    if h5py.check_string_dtype(item.dtype) is not None:
        text = _texts(item)
        return text if isinstance(text, str) else ", ".join(text)
    if item.shape == ():
        return str(_content(item))
    values = _content(item)
    span = f", {np.nanmin(values):.6g} to {np.nanmax(values):.6g}" if values.size and values.dtype.kind in "fiu" else ""
    return f"{item.dtype} {item.shape}{span}"
