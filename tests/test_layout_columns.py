"""Libraries as columns: what other programs see in the file, and files that promise what they do not hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from glideflow import schema
from glideflow.crystals.lattices import FloatArray
from glideflow.errors import StorageError
from glideflow.storage import read_record, record, write_record


@pytest.fixture(autouse=True)
def own_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_KINDS", dict(schema._KINDS))
    for kind in (Leaf, Other, Row, Table):
        record(kind)


@dataclass(frozen=True)
class Leaf:
    """A record inside a row."""

    width_angstrom: float


@dataclass(frozen=True)
class Other:
    """A record of another kind in the same place."""

    count: int


@dataclass(frozen=True)
class Row:
    """A row with every kind of field."""

    name: str
    energy_ev: float | None
    seed: int
    stable: bool
    gamma_mj_m2: FloatArray
    curve_mpa: FloatArray
    tags: tuple[str, ...]
    shifts: tuple[float, ...]
    part: Leaf | Other | None
    leaves: tuple[Leaf, ...]


@dataclass(frozen=True)
class Table:
    """Many rows."""

    rows: tuple[Row, ...]


def row(number: int) -> Row:
    return Row(
        name=f"potential {number % 3}",
        energy_ev=None if number % 2 else -3.5 * number,
        seed=2**64 - 1 if number == 3 else number,
        stable=number != 1,
        gamma_mj_m2=np.full((2, 3), float(number), dtype=np.float32),
        curve_mpa=np.arange(number, dtype=float),
        tags=("γ",) * number,
        shifts=(0.5, 1.5)[: number % 3],
        part=(None, Leaf(1.5), Other(7))[number % 3],
        leaves=tuple(Leaf(float(each)) for each in range(number)),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "table.h5"
    write_record(path, Table(tuple(map(row, range(5)))), layout="columns")
    return path


def test_rows_come_back(file: Path) -> None:
    for number, found in enumerate(read_record(file, Table).rows):
        wanted = row(number)
        assert found.gamma_mj_m2.dtype == np.float64
        for name in Row.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)
            assert type(getattr(found, name)) is type(getattr(wanted, name))


def test_any_reader_sees_tables_with_units(file: Path) -> None:
    with h5py.File(file) as content:
        rows = content["rows/items/Row"]
        assert rows["gamma_mj_m2"].shape == (5, 2, 3)
        assert rows["gamma_mj_m2"].dtype == np.float32
        assert rows["gamma_mj_m2"].attrs["unit"] == "mJ/m²"
        assert rows["energy_ev/values"].attrs["unit"] == "eV"
        assert list(rows["energy_ev/rows"]) == [0, 2, 4]
        names = np.array(rows["name/values"].asstr())[np.array(rows["name/index"])]
        assert list(names) == ["potential 0", "potential 1", "potential 2", "potential 0", "potential 1"]


def test_no_rows_at_all(tmp_path: Path) -> None:
    write_record(tmp_path / "empty.h5", Table(()), layout="columns")
    assert read_record(tmp_path / "empty.h5", Table) == Table(())


def replaced(name: str, values: Any) -> Callable[[h5py.File], None]:
    def change(content: h5py.File) -> None:
        del content[name]
        content[name] = values

    return change


def in_rows(name: str) -> str:
    return f"rows/items/Row/{name}"


LIES = {
    "a text that is not there": replaced(in_rows("name/index"), [0, 1, 2, 9, 0]),
    "too few numbers": replaced(in_rows("seed"), [1, 2]),
    "too many numbers": replaced(in_rows("stable"), np.ones(6, dtype=bool)),
    "tuples of negative length": replaced(in_rows("tags/lengths"), [0, 1, -2, 3, 4]),
    "tuples without end": replaced(in_rows("tags/lengths"), [0, 1, 2, 3, 2**60]),
    "more members than there are": replaced(in_rows("leaves/lengths"), [0, 1, 2, 3, 5]),
    "a row that is not there": replaced(in_rows("energy_ev/rows"), [0, 2, 7]),
    "shapes of other arrays": replaced(in_rows("curve_mpa/shapes"), [[0], [1], [2], [3], [9]]),
    "a record of a row that is not there": replaced(in_rows("part/values/Leaf/@rows"), [0, 9]),
    "a kind of column that does not exist": lambda content: content[in_rows("tags")].attrs.modify("column", "magic"),
    "a link to another file": replaced(in_rows("seed"), h5py.ExternalLink("/etc/passwd", "/")),
    "itself inside itself": lambda content: replaced(in_rows("part/values/Leaf/width_angstrom"), content["rows"])(
        content
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_a_file_promises_and_does_not_hold(file: Path, lie: str) -> None:
    with h5py.File(file, "r+") as content:
        LIES[lie](content)
    with pytest.raises(StorageError, match="is damaged"):
        read_record(file, Table)
