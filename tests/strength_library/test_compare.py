from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from glideflow.library_compare import COMPARED, compare_libraries, compare_records, lines_of
from glideflow.property_specs import ALL_PROPERTIES

if TYPE_CHECKING:
    from conftest import Records


def test_a_library_does_not_differ_from_itself(records: Records) -> None:
    library = records.library(records.entry(), records.entry(records.failed("lattice"), id="broken"))
    found = compare_libraries(library, library)
    assert not found.any
    assert found.compared == {"lattice": 2, "elastic": 1, "gamma_surface": 1, "peierls_stress": 1}


def test_potentials_and_records_that_come_and_go(records: Records) -> None:
    before = records.library(records.entry(), records.entry(id="gone"))
    after = records.library(records.entry(records["lattice"]), records.entry(id="new"))
    found = compare_libraries(before, after)
    assert (found.potentials_added, found.potentials_removed) == (("new",), ("gone",))
    assert found.records_added == ()
    assert [name for _, name in found.records_removed] == [
        "elastic",
        "gamma_surface.fcc_111",
        "peierls_stress.fcc_111.edge",
    ]
    reverse = compare_libraries(after, before)
    assert (reverse.records_added, reverse.records_removed) == (found.records_removed, ())


@pytest.mark.parametrize(
    ("name", "quantity", "by", "differs"),
    [
        ("lattice", "a_angstrom", 1e-6, False),
        ("lattice", "a_angstrom", 1e-4, True),
        ("lattice", "energy_ev_per_atom", 1e-5, True),
        ("elastic", "c44_gpa", 0.005, False),
        ("elastic", "c44_gpa", 0.1, True),
        ("gamma_surface", "gamma_usf_mj_m2", 0.04, False),
        ("gamma_surface", "gamma_usf_mj_m2", 0.2, True),
    ],
)
def test_what_is_determined_up_to_rounding(
    records: Records, name: str, quantity: str, by: float, differs: bool
) -> None:
    other = records.changed(name, **{quantity: getattr(records.result(name), quantity) + by})
    assert bool(compare_records(records[name], other)) is differs


def test_a_point_of_a_gamma_surface(records: Records) -> None:
    surface = records.result("gamma_surface").gamma_mj_m2.copy()
    surface[2, 3] += 0.5
    (difference,) = compare_records(records["gamma_surface"], records.changed("gamma_surface", gamma_mj_m2=surface))
    assert difference.quantity == "gamma_mj_m2"
    assert difference.difference == pytest.approx(0.5)
    assert difference.after == surface[2, 3]
    rounded = records.changed("gamma_surface", gamma_mj_m2=surface.astype(np.float32).astype(float))
    assert compare_records(records.changed("gamma_surface", gamma_mj_m2=surface), rounded) == ()


def test_peierls_stresses_agree_within_their_errors(records: Records) -> None:
    """Errors of 0.3 and 0.4 allow for 0.5."""

    def at(value: float, error: float) -> Any:
        return records.changed("peierls_stress", peierls_mpa=value, peierls_error_mpa=error, is_upper_bound=False)

    assert compare_records(at(4.0, 0.3), at(4.49, 0.4)) == ()
    (difference,) = compare_records(at(4.0, 0.3), at(4.52, 0.4))
    assert difference.tolerance == pytest.approx(0.5, rel=1e-4)
    (line,) = lines_of([difference])
    assert "peierls_stress.fcc_111.edge peierls_mpa: 4 MPa -> 4.52 MPa (differs by 0.52, may by 0.5)" in line


@pytest.mark.parametrize(("bound", "value", "agrees"), [(1.0, 0.2, True), (1.0, 1.0, True), (1.0, 1.3, False)])
def test_an_upper_bound_agrees_with_what_is_below(records: Records, bound: float, value: float, agrees: bool) -> None:
    first = records.changed("peierls_stress", peierls_mpa=bound, peierls_error_mpa=0.1, is_upper_bound=True)
    second = records.changed("peierls_stress", peierls_mpa=value, peierls_error_mpa=0.01, is_upper_bound=False)
    assert (compare_records(first, second) == ()) is agrees
    assert (compare_records(second, first) == ()) is agrees


def test_status_and_values_that_appear(records: Records) -> None:
    (difference,) = compare_records(records["elastic"], records.failed("elastic", "a crash"))
    assert (difference.quantity, difference.before, difference.after) == ("status", "ok", "failed: a crash")
    without = records.changed("gamma_surface", gamma_isf_mj_m2=None)
    (difference,) = compare_records(without, records["gamma_surface"])
    assert (difference.quantity, difference.before) == ("gamma_isf_mj_m2", None)
    assert compare_records(without, without) == ()
    assert compare_records(records.failed("elastic", "a"), records.failed("elastic", "b")) == ()


def test_not_a_number_differs_from_every_number(records: Records) -> None:
    broken = records.changed("elastic", c11_gpa=float("nan"))
    assert [each.quantity for each in compare_records(records["elastic"], broken)] == ["c11_gpa"]


def test_another_grid_is_a_difference(records: Records) -> None:
    other = records.changed("gamma_surface", gamma_mj_m2=np.zeros((3, 3)))
    assert any("array (3, 3)" in str(each.after) for each in compare_records(records["gamma_surface"], other))


def test_other_files_and_flags_of_a_potential(records: Records) -> None:
    before = records.library(records.entry())
    updated = records.entry(sha256="0" * 64)
    after = replace(before, entries=(replace(updated, flags=("new flag",)),))
    assert [each.quantity for each in compare_libraries(before, after).changed] == ["sha256", "flags"]


def test_every_property_is_compared() -> None:
    assert set(COMPARED) == set(ALL_PROPERTIES)
