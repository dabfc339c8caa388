"""Many records of one kind as HDF5 columns: a table per class, one data set per field.

A library holds hundreds of thousands of numbers in records that are all alike. As columns it takes a quarter of the
space that a group per record takes, compresses, and any HDF5 reader sees tables. How the values of a field lie there:

- numbers: a data set (N,); arrays of one shape: (N, *shape);
- arrays of different shapes: a group with ``values`` (one after the other) and ``shapes`` (N, D), filled up with -1;
- texts: a group with the different ``values`` and the ``index`` (N,) of each row in them;
- tuples: a group with ``lengths`` (N,) and the column ``items`` of all their members, one after the other;
- records: a group with a table per class, each with ``@rows``, the numbers of the rows that it fills;
- columns where some are None: a group with the ``rows`` that are not, and the column of their ``values``.

Numbers of one column have one type: an integer among floats comes back as a float. Single precision is kept in the file
and comes back as double.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from glideflow.hdf5 import content, member, storable, text_type, texts
from glideflow.schema import SCHEMA_VERSION, Fields, class_of, construct, hints_of, kind_of, unit_of

if TYPE_CHECKING:
    import h5py

_RECORD = "record"
_KIND = "column"
_ROWS = "@rows"
_OPTIONAL, _TEXTS, _LISTS, _RECORDS, _ARRAYS = "optional", "texts", "lists", "records", "arrays"
_MOST_ROWS = 10_000_000
_NO_AXIS = -1


def write_columns(group: h5py.Group, records: Sequence[object]) -> None:
    """Write records of one class into a group, as its columns.

    Raises:
        TypeError: the class is not decorated with `glideflow.schema.record`.
    """
    group.attrs[_RECORD] = kind_of(records[0])
    for field in dataclasses.fields(records[0]):  # type: ignore[arg-type]  # only dataclasses are records
        _write_column(group, field.name, [getattr(each, field.name) for each in records], unit_of(field.name))


def read_columns(group: h5py.Group, cls: type, version: int, rows: int = 1) -> list[object]:
    """The records of a class that `write_columns` put into a group, written with a schema version.

    Raises:
        MigrationError: the records cannot be read with this schema version.
        LookupError: a field is missing, or refers to what is not there.
        TypeError: a field is of another kind than its annotation says.
        ValueError: the group holds what this package does not write.
    """
    if rows > _MOST_ROWS:
        raise ValueError(f"{group.name} promises {rows} records")
    hints = hints_of(cls)
    names = [name for name in group if name != _ROWS]
    wanted = names if version < SCHEMA_VERSION else hints.keys() & set(names)  # migrations may need what is gone
    columns = {name: _read_column(member(group, name), rows, version) for name in wanted}
    stored = ({name: column[row] for name, column in columns.items()} for row in range(rows))
    return [construct(cls, _without_none(fields), version, hints) for fields in stored]


def _without_none(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}


def _write_column(group: h5py.Group, name: str, values: Sequence[Any], unit: str) -> None:
    present = [row for row, value in enumerate(values) if value is not None]
    if len(present) < len(values):
        part = _part(group, name, _OPTIONAL)
        _write_numbers(part, "rows", np.array(present, dtype=np.int64), "1")
        _write_column(part, "values", [values[row] for row in present], unit)
    elif not values:
        return
    elif dataclasses.is_dataclass(values[0]):
        _write_records(_part(group, name, _RECORDS), values)
    elif isinstance(values[0], str):
        _write_texts(_part(group, name, _TEXTS), values)
    elif any(isinstance(value, np.ndarray) for value in values):
        _write_arrays(group, name, [np.asarray(value) for value in values], unit)
    elif isinstance(values[0], tuple):
        part = _part(group, name, _LISTS)
        _write_numbers(part, "lengths", np.array([len(value) for value in values]), "1")
        _write_column(part, "items", [item for value in values for item in value], unit)
    else:
        _write_numbers(group, name, _numbers(values), unit)


def _numbers(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """(N,) numbers; integers stay integers, beyond 63 bits too (seeds)."""
    numbers = np.array(values)
    integers = numbers.dtype.kind == "f" and all(isinstance(value, int) for value in values)
    return np.array(values, dtype=np.uint64) if integers else numbers


def _part(group: h5py.Group, name: str, kind: str) -> h5py.Group:
    part = group.create_group(name)
    part.attrs[_KIND] = kind
    return part


def _write_records(group: h5py.Group, records: Sequence[object]) -> None:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, each in enumerate(records):
        rows[kind_of(each)].append(row)
    for kind, own in sorted(rows.items()):
        table = group.create_group(kind)
        _write_numbers(table, _ROWS, np.array(own), "1")
        write_columns(table, [records[row] for row in own])


def _write_texts(group: h5py.Group, values: Sequence[str]) -> None:
    different = {text: number for number, text in enumerate(dict.fromkeys(storable(value) for value in values))}
    group.create_dataset("values", data=np.array(list(different), dtype=object), dtype=text_type())
    _write_numbers(group, "index", np.array([different[storable(value)] for value in values]), "1")


def _write_arrays(group: h5py.Group, name: str, arrays: Sequence[np.ndarray[Any, Any]], unit: str) -> None:
    if len({array.shape for array in arrays}) == 1 and arrays[0].ndim:
        _write_numbers(group, name, np.stack(arrays), unit)
        return
    part = _part(group, name, _ARRAYS)
    shapes = np.full((len(arrays), max(array.ndim for array in arrays)), _NO_AXIS)
    for row, array in enumerate(arrays):
        shapes[row, : array.ndim] = array.shape
    _write_numbers(part, "values", np.concatenate([array.ravel() for array in arrays]), unit)
    _write_numbers(part, "shapes", shapes, "1")


def _write_numbers(group: h5py.Group, name: str, numbers: np.ndarray[Any, Any], unit: str) -> None:
    compression = {"compression": "gzip", "shuffle": True} if numbers.size > 64 else {}
    dataset = group.create_dataset(name, data=numbers, **compression)
    dataset.attrs["unit"] = unit


def _read_column(item: h5py.Group | h5py.Dataset, rows: int, version: int) -> list[Any]:
    """Values of a column, one per row."""
    import h5py

    if isinstance(item, h5py.Dataset):
        column = _read_numbers(item)
    else:
        kind = str(item.attrs.get(_KIND, ""))
        if kind not in _READERS:
            raise ValueError(f"{item.name} is a column of an unknown kind {kind!r}")
        column = _READERS[kind](item, rows, version)
    if len(column) != rows:
        raise ValueError(f"{item.name} has {len(column)} rows instead of {rows}")
    return column


def _read_optional(group: h5py.Group, rows: int, version: int) -> list[Any]:
    present = [int(row) for row in content(member(group, "rows"))]
    column: list[Any] = [None] * rows
    values = _read_column(member(group, "values"), len(present), version) if present else []
    for row, value in zip(present, values, strict=True):
        column[row] = value
    return column


def _read_texts(group: h5py.Group, rows: int, version: int) -> list[Any]:
    values = texts(member(group, "values"))
    return [values[number] for number in content(member(group, "index"))]


def _read_lists(group: h5py.Group, rows: int, version: int) -> list[Any]:
    lengths = content(member(group, "lengths"))
    if lengths.size and (lengths.min() < 0 or lengths.max() > _MOST_ROWS):
        raise ValueError(f"{group.name} promises tuples of {lengths.max()} members")
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    items = _read_column(member(group, "items"), total, version) if total else []
    return [tuple(items[end - length : end]) for end, length in zip(ends, lengths, strict=True)]


def _read_records(group: h5py.Group, rows: int, version: int) -> list[Any]:
    column: list[Any] = [None] * rows
    for kind in group:
        table = member(group, kind)
        own = [int(row) for row in content(member(table, _ROWS))]
        for row, each in zip(own, read_columns(table, class_of(kind), version, len(own)), strict=True):
            column[row] = each
    if any(each is None for each in column):
        raise ValueError(f"{group.name} has rows without a record")
    return column


def _read_arrays(group: h5py.Group, rows: int, version: int) -> list[Any]:
    values, shapes = _widened(content(member(group, "values"))), content(member(group, "shapes"))
    shapes = [tuple(int(length) for length in shape if length != _NO_AXIS) for shape in shapes]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    if ends[-1] != len(values):
        raise ValueError(f"{group.name} holds {len(values)} numbers instead of {ends[-1]}")
    return [part.reshape(shape) for part, shape in zip(np.split(values, ends[:-1]), shapes, strict=True)]


def _read_numbers(item: h5py.Dataset) -> list[Any]:
    numbers = content(item)
    return list(_widened(numbers)) if numbers.ndim > 1 else _widened(numbers).tolist()


def _widened(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return numbers.astype(np.float64) if numbers.dtype == np.float32 else numbers


_READERS = {
    _OPTIONAL: _read_optional,
    _TEXTS: _read_texts,
    _LISTS: _read_lists,
    _RECORDS: _read_records,
    _ARRAYS: _read_arrays,
}
