"""What a record is, whatever file it lies in: its kinds, the units in its field names, and its versions.

A record carries the schema version that it was written with. A field that is new since then takes its default; what a
default cannot express is a migration, registered here for one kind of record and one version. Where neither helps, the
record is refused and never half read.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

SCHEMA_VERSION = 1
"""Version of what is written. It grows only when a default cannot stand for what older files lack."""

R = TypeVar("R")
Fields = dict[str, Any]
"""Fields of a record by name, as a file holds them."""
Migration = Callable[[Fields], Fields]

UNITS_BY_SUFFIX = {
    "_ev_per_angstrom3": "eV/Å³",
    "_ev_per_angstrom2": "eV/Å²",
    "_ev_per_angstrom": "eV/Å",
    "_ev_per_atom": "eV/atom",
    "_per_angstrom": "1/Å",
    "_angstrom2": "Å²",
    "_angstrom3": "Å³",
    "_mpa_angstrom": "MPa·Å",
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

_KINDS: dict[str, type] = {}
_MIGRATIONS: dict[tuple[str, int], Migration] = {}


class MigrationError(LookupError):
    """A record of an older schema version cannot be read with this one."""


def unit_of(field_name: str) -> str:
    """Unit that a field's name states, ``1`` if none."""
    return next((unit for suffix, unit in UNITS_BY_SUFFIX.items() if field_name.endswith(suffix)), "1")


def record(cls: type[R]) -> type[R]:
    """Class decorator: make a frozen dataclass readable from files.

    A field that comes later needs a default, which records written before it take; None if None is allowed, because
    None is stored by leaving the field out.
    """
    if not (dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        raise TypeError(f"{cls.__name__} is not a frozen dataclass")
    _KINDS[cls.__name__] = cls
    return cls


def kind_of(value: object) -> str:
    """Name under which the class of a record is stored.

    Raises:
        TypeError: the class is not decorated with `record`.
    """
    name = type(value).__name__
    if name not in _KINDS:
        raise TypeError(f"{name} is not decorated with glideflow.storage.record")
    return name


def class_of(kind: str) -> type:
    """Class of a stored kind of record.

    Raises:
        KeyError: this version knows no such kind.
    """
    if kind not in _KINDS:
        raise KeyError(f"this version of glideflow knows no record of the kind {kind!r}")
    return _KINDS[kind]


def migration(kind: str, *, from_version: int) -> Callable[[Migration], Migration]:
    """Decorator: register how records of a kind become those of the next schema version.

    Args:
        kind: name of the record's class.
        from_version: schema version of the records that the function takes.

    Returns:
        The decorator; the function takes the fields of one record (of those that the class no longer has, numbers
        and tuples instead of arrays) and returns the fields of the next version.
    """

    def register(function: Migration) -> Migration:
        if (kind, from_version) in _MIGRATIONS:
            raise ValueError(f"there are two migrations of {kind} from schema version {from_version}")
        _MIGRATIONS[kind, from_version] = function
        return function

    return register


def hints_of(cls: type) -> dict[str, Any]:
    """Annotations of a record's fields, by name."""
    from numpy.typing import NDArray

    return typing.get_type_hints(cls, localns={"FloatArray": NDArray[np.float64]})


def construct(cls: type[R], stored: Fields, version: int, hints: dict[str, Any] | None = None) -> R:
    """A record from its stored fields.

    Args:
        cls: class of the record.
        stored: fields by name; those that hold None may be left out.
        version: schema version that they were written with.
        hints: what `hints_of` gives for the class, where many records are made.

    Raises:
        MigrationError: fields of an older version are not those of this one, and no migration makes them.
        KeyError: a field is missing.
        TypeError: a field is of another kind than its annotation says.
    """
    hints = hints if hints is not None else hints_of(cls)
    current = _migrated(cls, stored, version)
    arguments: Fields = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # only dataclasses are registered
        if field.name in current:
            arguments[field.name] = _checked(current[field.name], field.name, hints)
        else:
            arguments[field.name] = _absent(cls, field, hints[field.name], version)
    return cls(**arguments)


def _migrated(cls: type, stored: Fields, version: int) -> Fields:
    for step in range(version, SCHEMA_VERSION):
        migrate = _MIGRATIONS.get((cls.__name__, step))
        stored = migrate(dict(stored)) if migrate else stored
    return stored


def _absent(cls: type, field: dataclasses.Field[Any], hint: Any, version: int) -> Any:  # noqa: ANN401 - any field
    if type(None) in _options(hint):
        return None
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    if version < SCHEMA_VERSION:
        raise MigrationError(f"{cls.__name__} has no {field.name} there, and no migration provides it")
    raise KeyError(f"the field {field.name} of {cls.__name__} is missing")


def _checked(value: Any, name: str, hints: dict[str, Any]) -> Any:  # noqa: ANN401 - any field of a record
    """The value, if it is of the kind that the field's annotation says."""
    if not any(_fits(value, option) for option in _options(hints[name])):
        raise TypeError(f"{name} is a {type(value).__name__}")
    return value


def _fits(value: Any, option: Any) -> bool:  # noqa: ANN401 - any value and annotation
    kind = typing.get_origin(option) or option
    if kind is typing.Literal:
        return isinstance(value, str)
    if kind in (int, float):
        return isinstance(value, (int, float))
    return isinstance(value, kind) if isinstance(kind, type) else True


def is_array(hint: Any) -> bool:  # noqa: ANN401 - any annotation
    """Whether an annotation asks for an array: one-dimensional data could also be a tuple of numbers."""
    return any(
        isinstance(typing.get_origin(option), type) and issubclass(typing.get_origin(option), np.ndarray)
        for option in _options(hint)
    )


def _options(hint: Any) -> tuple[Any, ...]:  # noqa: ANN401 - any annotation
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)
