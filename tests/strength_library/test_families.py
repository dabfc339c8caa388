from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from glideflow.library_families import merged_families, near_copies, with_families
from glideflow.quality_flags import NOT_FIRST
from glideflow.records import LibraryEntry

if TYPE_CHECKING:
    from conftest import Records

Make = Callable[..., LibraryEntry]


@pytest.fixture
def make(records: Records) -> Make:
    def entry(identifier: str, family: str, *, leave_out: str = "", **values: dict[str, Any]) -> LibraryEntry:
        own = [records.changed(name, **values.get(name, {})) for name in records.stages if name != leave_out]
        return records.entry(*own, id=identifier, family=family)

    return entry


def families(*entries: LibraryEntry) -> dict[str, str]:
    return {entry.potential.id: entry.family_computed for entry in with_families(entries)}


def test_a_retabulation_joins_two_families(make: Make, records: Records) -> None:
    lattice = records.result("lattice")
    nearly = {"a_angstrom": lattice.a_angstrom * (1 + 1e-6)}
    entries = [make("a", "F2"), make("b", "F1", lattice=nearly), make("c", "F2", lattice={"a_angstrom": 4.1})]
    assert families(*entries) == {"a": "F1", "b": "F1", "c": "F1"}, "c is of the source's family of a"
    assert merged_families(with_families(entries)) == {"F1": ("F1", "F2")}
    assert [NOT_FIRST in entry.flags for entry in with_families(entries)] == [False, True, True]


def test_equal_elastic_constants_do_not_make_a_copy(make: Make, records: Records) -> None:
    """Potentials are fitted to the same experiments: Cu of Mishin 2001 and of Ackland 1987 differ by 0.1 % in Cij."""
    gamma = records.result("gamma_surface")
    other = make("b", "F2", gamma_surface={"gamma_mj_m2": 1.05 * gamma.gamma_mj_m2})
    assert families(make("a", "F1"), other) == {"a": "F1", "b": "F2"}


def test_without_gamma_surfaces_only_the_same_numbers_make_a_copy(make: Make, records: Records) -> None:
    elastic = records.result("elastic")
    alone, same = make("a", "F1", leave_out="gamma_surface"), make("b", "F2", leave_out="gamma_surface")
    near = make("c", "F3", elastic={"tensor_gpa": 1.001 * elastic.tensor_gpa})
    assert families(alone, same, near) == {"a": "F1", "b": "F1", "c": "F3"}


@pytest.mark.parametrize("leave_out", ["lattice", "elastic"])
def test_what_lacks_lattice_or_elastic_constants_is_no_copy(make: Make, leave_out: str) -> None:
    assert not list(near_copies([make("a", "F1"), make("b", "F2", leave_out=leave_out)]))


def test_each_metal_of_one_potential_stands_for_itself(make: Make, records: Records) -> None:
    metals = [records.entry(id=f"NEP:{element}", family="NEP", element=element) for element in ("Al", "Cu")]
    for entry in with_families(metals):
        assert (entry.family_computed, NOT_FIRST in entry.flags) == ("NEP", False)


def test_gamma_surfaces_of_different_cuts_are_not_compared(make: Make) -> None:
    narrow = make("b", "F2", gamma_surface={"cut": "narrow", "gamma_mj_m2": np.ones((7, 7))})
    assert families(make("a", "F1"), narrow) == {"a": "F1", "b": "F1"}, "the other numbers are the same to the digit"


def test_without_a_family_the_potential_is_its_own(make: Make) -> None:
    assert families(make("a", "")) == {"a": "a"}
