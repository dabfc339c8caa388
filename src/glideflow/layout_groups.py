"""A record as a tree of HDF5 groups: one data set per field, a group per nested record.

Good for single results: every entry has a name and stands by itself. `layout_columns` is for thousands of records.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from glideflow.hdf5 import content, member, storable, text_type, texts
from glideflow.schema import SCHEMA_VERSION, class_of, construct, hints_of, is_array, kind_of, unit_of

if TYPE_CHECKING:
    import h5py

_RECORD = "record"
_SEQUENCE = "tuple of records"
_ORDER = "@order"


def write_groups(group: h5py.Group, value: object) -> None:
    """Write a record into a group: a data set per field, with its unit; None by leaving it out.

    Raises:
        TypeError: the class is not decorated with `glideflow.schema.record`.
        ValueError: two records of a tuple have the same name.
    """
    group.attrs[_RECORD] = kind_of(value)
    for field in dataclasses.fields(value):  # type: ignore[arg-type]  # only dataclasses are records
        part = getattr(value, field.name)
        if part is not None:
            _write_value(group, field.name, part)


def read_groups(group: h5py.Group, cls: type, version: int) -> object:
    """The record of a class that `write_groups` put into a group, written with a schema version.

    Raises:
        MigrationError: the record cannot be read with this schema version.
        LookupError: a field is missing.
        TypeError: a field is of another kind than its annotation says.
        ValueError: the group holds what this package does not write.
    """
    hints = hints_of(cls)
    wanted = group if version < SCHEMA_VERSION else hints.keys() & set(group)  # migrations may need what is gone
    stored = {name: _read_value(member(group, name), hints.get(name), version) for name in wanted}
    return construct(cls, stored, version, hints)


def _write_value(group: h5py.Group, name: str, value: Any) -> None:  # noqa: ANN401 - any storable value
    if dataclasses.is_dataclass(value):
        write_groups(group.create_group(name), value)
    elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        _write_sequence(group.create_group(name), value)
    elif isinstance(value, str):
        group.create_dataset(name, data=storable(value), dtype=text_type())
    elif isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        group.create_dataset(name, data=np.array([storable(part) for part in value], dtype=object), dtype=text_type())
    else:
        array = np.asarray(value)
        dataset = group.create_dataset(name, data=array, compression="gzip" if array.size > 64 else None)
        dataset.attrs["unit"] = unit_of(name)


def _write_sequence(group: h5py.Group, members: tuple[Any, ...]) -> None:
    """Records as groups, named by their own ``record_name`` if they have one, else by their number."""
    group.attrs[_RECORD] = _SEQUENCE
    names = [str(getattr(each, "record_name", f"{index:06d}")) for index, each in enumerate(members)]
    if len(set(names)) < len(names):
        raise ValueError(f"two records in {group.name} have the same name: {sorted(names)}")
    for name, each in zip(names, members, strict=True):
        write_groups(group.create_group(name), each)
    group.create_dataset(_ORDER, data=np.array(names, dtype=object), dtype=text_type())


def _read_value(item: h5py.Group | h5py.Dataset, hint: Any, version: int) -> Any:  # noqa: ANN401 - storable values
    import h5py

    if isinstance(item, h5py.Group):
        kind = str(item.attrs.get(_RECORD, ""))
        if kind == _SEQUENCE:
            return tuple(_read_value(member(item, name), None, version) for name in texts(member(item, _ORDER)))
        return read_groups(item, class_of(kind), version)
    if h5py.check_string_dtype(item.dtype) is not None:
        return texts(item)
    stored = content(item)
    return stored if is_array(hint) else _scalar_or_tuple(stored)


def _scalar_or_tuple(stored: Any) -> Any:  # noqa: ANN401 - any storable value
    if np.ndim(stored) == 0:
        return stored.item() if hasattr(stored, "item") else stored
    return tuple(stored.tolist())
