"""Schema versions: what older files lack is filled in or migrated, and what cannot be is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glideflow import layout_columns, layout_groups, schema, storage
from glideflow.errors import StorageError
from glideflow.properties.peierls_nabarro_results import PeierlsNabarroResult
from glideflow.properties.results import ElasticResult, GammaSurfaceResult, LatticeResult, PeierlsStressResult
from glideflow.records import StageRecord
from glideflow.storage import migration, peek, read_record, record, write_record

VERSION_1 = Path(__file__).parent / "data" / "records_v1"
"""Records of Al (Mendelev 2008) in small cells, written by `glideflow` with the first schema version."""


@pytest.fixture(autouse=True)
def own_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers, the others do not see."""
    monkeypatch.setattr(schema, "_KINDS", dict(schema._KINDS))
    monkeypatch.setattr(schema, "_MIGRATIONS", dict(schema._MIGRATIONS))


@pytest.fixture
def next_version(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Makes this the glideflow of the next schema version; gives the version of before."""

    def advance() -> int:
        before = schema.SCHEMA_VERSION
        for module in (schema, storage, layout_groups, layout_columns):
            monkeypatch.setattr(module, "SCHEMA_VERSION", before + 1)
        return before

    return advance


def declared(**fields: Any) -> type:
    """A class of records named Probe; a field is its type, or its type and default."""
    parts = [(name, *(given if isinstance(given, tuple) else (given,))) for name, given in fields.items()]
    return record(make_dataclass("Probe", parts, frozen=True, kw_only=True))


@pytest.fixture(params=["groups", "columns"])
def layout(request: pytest.FixtureRequest) -> Iterator[Any]:
    return request.param


@pytest.mark.parametrize(
    ("name", "kind", "field_name", "value"),
    [
        ("lattice", LatticeResult, "a_angstrom", 4.045259793417018),
        ("elastic", ElasticResult, "c11_gpa", 110.72478384428462),
        ("gamma_surface", GammaSurfaceResult, "gamma_usf_mj_m2", 219.65929564005006),
        ("peierls_stress", PeierlsStressResult, "peierls_mpa", 4.093640704000002),
    ],
)
def test_records_of_version_1_stay_readable(name: str, kind: type, field_name: str, value: float) -> None:
    found = read_record(VERSION_1 / f"{name}.h5", StageRecord)
    assert found.ok
    assert (found.property, found.potential.id) == (name, "Al_2008Mendelev_Al_eam-fs")
    assert isinstance(found.result, kind)
    assert getattr(found.result, field_name) == value


def test_a_record_from_before_a_field_was_added() -> None:
    """Al, Vailhe 1997: the semidiscrete model, written before its resolution was stated."""
    result = read_record(VERSION_1 / "peierls_nabarro.h5", StageRecord).result
    assert isinstance(result, PeierlsNabarroResult)
    surface = result.model("surface")
    assert surface is not None
    assert result.peierls_mpa == surface.peierls_mpa
    assert result.resolution_mpa == 0.0


def test_curves_and_failures_of_version_1_stay_readable() -> None:
    result = read_record(VERSION_1 / "peierls_stress.h5", StageRecord).result
    assert isinstance(result, PeierlsStressResult)
    assert [curve.direction for curve in result.curves] == ["forward", "reverse"]
    assert result.curves[0].outcome[-1] in ("stable", "glides")
    failed = read_record(VERSION_1 / "failed.h5", StageRecord)
    assert failed.failure is not None
    assert (failed.status, failed.failure.error_class) == ("failed", "TimeLimit")
    assert peek(VERSION_1 / "failed.h5", StageRecord, "status") == ("failed",)


def test_new_fields_take_their_defaults(tmp_path: Path, layout: Any) -> None:
    write_record(tmp_path / "old.h5", declared(value_ev=float)(value_ev=2.0), layout=layout)
    newer = declared(
        value_ev=float,
        error_ev=(float | None, None),
        flags=(tuple[str, ...], ()),
        spins=(tuple[float, ...], field(default_factory=lambda: (0.5,))),
    )
    found = read_record(tmp_path / "old.h5", newer)
    assert (found.value_ev, found.error_ev, found.flags, found.spins) == (2.0, None, (), (0.5,))


def test_fields_that_no_longer_exist_are_passed_over(tmp_path: Path, layout: Any) -> None:
    write_record(
        tmp_path / "old.h5", declared(value_ev=float, gone=np.ndarray)(value_ev=2.0, gone=np.ones(3)), layout=layout
    )
    assert read_record(tmp_path / "old.h5", declared(value_ev=float)).value_ev == 2.0


def test_a_migration_turns_old_fields_into_new_ones(
    tmp_path: Path, layout: Any, next_version: Callable[[], int]
) -> None:
    """The unit of a field changes: neither its name nor a default can express it."""
    write_record(tmp_path / "old.h5", declared(value_ev=float, name=str)(value_ev=2.0, name="a"), layout=layout)
    before, newer = next_version(), declared(value_mev=float, name=str)

    @migration("Probe", from_version=before)
    def from_ev(fields: dict[str, Any]) -> dict[str, Any]:
        return {"value_mev": 1e3 * fields.pop("value_ev"), **fields}

    found = read_record(tmp_path / "old.h5", newer)
    assert (found.value_mev, found.name) == (2000.0, "a")
    write_record(tmp_path / "new.h5", found, layout=layout)
    assert read_record(tmp_path / "new.h5", newer) == found, "records of the new version are not migrated"


def test_migrations_follow_each_other(tmp_path: Path, layout: Any, next_version: Callable[[], int]) -> None:
    write_record(tmp_path / "old.h5", declared(a=int)(a=1), layout=layout)
    first, second, newest = next_version(), next_version(), declared(c=int)
    migration("Probe", from_version=second)(lambda fields: {"c": 10 * fields["b"]})
    migration("Probe", from_version=first)(lambda fields: {"b": fields["a"] + 1})
    assert read_record(tmp_path / "old.h5", newest).c == 20


def test_an_old_record_that_cannot_be_migrated_is_refused(
    tmp_path: Path, layout: Any, next_version: Callable[[], int]
) -> None:
    write_record(tmp_path / "old.h5", declared(value_ev=float)(value_ev=2.0), layout=layout)
    next_version()
    with pytest.raises(StorageError, match="schema version 1: Probe has no value_mev there") as caught:
        read_record(tmp_path / "old.h5", declared(value_mev=float))
    assert "schema version 2" in caught.value.expected
    assert "version that wrote it" in caught.value.next_step


def test_a_newer_version_is_refused(tmp_path: Path, layout: Any) -> None:
    import h5py

    cls = declared(value_ev=float)
    write_record(tmp_path / "new.h5", cls(value_ev=1.0), layout=layout)
    with h5py.File(tmp_path / "new.h5", "r+") as file:
        file.attrs.modify("schema_version", schema.SCHEMA_VERSION + 1)
    with pytest.raises(StorageError, match="a newer glideflow wrote it"):
        read_record(tmp_path / "new.h5", cls)


def test_a_kind_that_is_not_known_is_refused(tmp_path: Path, layout: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    @record
    @dataclass(frozen=True)
    class Outer:
        inner: object

    write_record(tmp_path / "outer.h5", Outer(declared(value_ev=float)(value_ev=1.0)), layout=layout)
    monkeypatch.delitem(schema._KINDS, "Probe")
    with pytest.raises(StorageError, match="no record of the kind 'Probe'"):
        read_record(tmp_path / "outer.h5", Outer)


def test_two_migrations_of_one_kind_are_a_mistake_of_the_programmer() -> None:
    migration("Probe", from_version=1)(dict)
    with pytest.raises(ValueError, match="two migrations of Probe"):
        migration("Probe", from_version=1)(dict)
