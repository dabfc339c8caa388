from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from glideflow.errors import ConfigurationError, StorageError
from glideflow.records import Library
from glideflow.storage import write_record
from glideflow.strength_library import counts_by_metal, load, select, to_table

if TYPE_CHECKING:
    from conftest import Records


@pytest.fixture
def library(records: Records) -> Library:
    bound = records.changed("peierls_stress", is_upper_bound=True)
    return records.library(
        records.entry(),
        records.entry(records["lattice"], records.failed("elastic"), id="b", family="B", element="Ni", fictional=True),
        records.entry(bound, id="c", family="C", source_status="caution", engine="nep"),
        records.entry(records.failed("lattice"), id="d", family="D", structure="hcp"),
    )


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, ["Al_2008Mendelev_Al_eam-fs", "b", "c", "d"]),
        ({"elements": ["Ni"]}, ["b"]),
        ({"structures": ["fcc"], "elements": ["Al"]}, ["Al_2008Mendelev_Al_eam-fs", "c"]),
        ({"statuses": ["partial", "failed"]}, ["b", "d"]),
        ({"source_statuses": ["caution"]}, ["c"]),
        ({"engines": ["nep"]}, ["c"]),
        ({"exclude_flags": ["upper bound"]}, ["Al_2008Mendelev_Al_eam-fs", "b", "d"]),
        ({"fictional": True}, ["b"]),
        ({"fictional": False, "statuses": ["ok"]}, ["Al_2008Mendelev_Al_eam-fs", "c"]),
    ],
)
def test_consumers_choose(library: Library, wanted: dict[str, Any], ids: list[str]) -> None:
    assert [entry.potential.id for entry in select(library, **wanted).entries] == ids


def test_a_flag_that_does_not_exist_is_refused(library: Library) -> None:
    with pytest.raises(ConfigurationError, match="'upper-bound' is unknown") as caught:
        select(library, exclude_flags=["upper-bound"])
    assert "upper bound" in caught.value.expected


def test_counts(library: Library) -> None:
    counts = counts_by_metal(library)
    assert list(counts) == ["Al (fcc)", "Ni (fcc)", "Al (hcp)", "all"]
    assert counts["all"] == {
        "entries": 4,
        "ok": 2,
        "partial": 1,
        "failed": 1,
        "families": 4,
        "stresses": 2,
        "bounds": 1,
    }


def test_a_library_of_ones_own(library: Library, tmp_path: Path) -> None:
    write_record(tmp_path / "own.h5", library, layout="columns")
    assert to_table(load(tmp_path / "own.h5")) == to_table(library)
    with pytest.raises(StorageError, match="does not exist"):
        load(tmp_path / "other.h5")
