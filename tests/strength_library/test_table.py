from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from glideflow.library_table import COLUMN_MEANINGS, COLUMNS, table, write_table
from glideflow.properties.peierls_paper_results import PaperCell, PeierlsPaperResult
from glideflow.properties.peierls_series_results import ErrorBudget, PeierlsSeriesResult, SeriesValue
from glideflow.quality_flags import QUALITY_FLAGS
from glideflow.records import StageRecord

if TYPE_CHECKING:
    from conftest import Records


def series_value(name: str, varied: str, atoms: int, *, in_fit: bool) -> SeriesValue:
    return SeriesValue(
        name=name,
        varied=varied,
        burgers_vectors=60,
        nominal_height_angstrom=100.0,
        cut="wide",
        direction="forward",
        force_tolerance_ev_per_angstrom=1e-6,
        atoms=atoms,
        in_fit=in_fit,
    )


@pytest.fixture
def series(records: Records) -> StageRecord:
    """A size series whose best estimate is 3 MPa."""
    result = PeierlsSeriesResult(
        slip_system="fcc_111",
        label="",
        character="edge",
        cut="wide",
        peierls_mpa=3.0,
        peierls_error_mpa=0.4,
        is_upper_bound=False,
        basis="size fit",
        settled=False,
        reference_mpa=4.0,
        infinite_mpa=3.0,
        height_coefficient_mpa_angstrom=None,
        length_coefficient_mpa_angstrom=None,
        budget=ErrorBudget(bracket_mpa=0.4),
        values=(
            series_value("reference", "", 5000, in_fit=True),
            series_value("120x200", "size", 20000, in_fit=True),
            series_value("start", "start", 90000, in_fit=False),
        ),
        flags=("unsettled size series",),
    )
    return replace(records["peierls_stress"], property="peierls_series", result=result)


def paper(records: Records, **outcomes: str) -> StageRecord:
    """The paper's protocol with 28 MPa in the reference cell and 90 MPa in size S."""
    values = {"reference": 28.0, "S": 90.0}
    empty: dict[str, Any] = dict.fromkeys(
        ("shear_strain", "stress_mpa", "core_position_angstrom", "largest_force_ev_per_angstrom"), np.zeros(1)
    )
    cells = tuple(
        PaperCell(
            name=name,
            outcome=outcomes.get(name, "glided"),
            peierls_mpa=value,
            atoms=244,
            burgers_vectors=14,
            length_angstrom=1.0,
            height_angstrom=1.0,
            line_angstrom=1.0,
            rigid_planes=1,
            **empty,
        )
        for name, value in values.items()
    )
    result = PeierlsPaperResult(
        slip_system="fcc_111",
        label="",
        character="edge",
        protocol="paper",
        cut="wide",
        peierls_mpa=28.0,
        size_s_mpa=90.0,
        strain_step=1e-5,
        energy_tolerance=1e-10,
        force_tolerance_ev_per_angstrom=1e-10,
        max_evaluations=20000,
        cells=cells,
    )
    return replace(records["peierls_stress"], property="peierls_paper", result=result)


def test_the_columns_are_those_that_were_agreed_on() -> None:
    assert ", ".join(COLUMNS) == (
        "potential_id, element, structure, family, slip_system, source_status, status, reason, flags, a_angstrom, "
        "c_angstrom, energy_ev_per_atom, c11_gpa, c12_gpa, c13_gpa, c33_gpa, c44_gpa, gamma_isf_mj_m2, "
        "gamma_usf_mj_m2, gamma_asf_mj_m2, gamma_max_mj_m2, peierls_mpa, peierls_error_mpa, peierls_is_upper_bound, "
        "peierls_reference_cell_mpa, peierls_paper_mpa, peierls_size_s_mpa, peierls_atoms"
    )


def test_the_documentation_explains_each_column_and_flag(repository: Path) -> None:
    text = (repository / "docs" / "library.md").read_text(encoding="utf-8")
    for name, meaning in COLUMN_MEANINGS.items():
        assert f"| `{name}` | {meaning} |" in text
    for flag in QUALITY_FLAGS:
        assert f"| {flag.name} | {', '.join(flag.concerns) or 'the potential'} | {flag.meaning} |" in text


def test_without_a_series_the_reference_cell_is_the_best_estimate(records: Records) -> None:
    (row,) = table(records.library(records.entry()))
    assert row["peierls_mpa"] == row["peierls_reference_cell_mpa"] == records.result("peierls_stress").peierls_mpa
    assert row["peierls_atoms"] == records.result("peierls_stress").atoms
    assert row["peierls_paper_mpa"] is None


def test_the_size_series_is_the_best_estimate(records: Records, series: StageRecord) -> None:
    (row,) = table(records.library(records.entry(*records.stages.values(), series, paper(records))))
    assert (row["peierls_mpa"], row["peierls_error_mpa"], row["peierls_atoms"]) == (3.0, 0.4, 20000)
    assert row["peierls_reference_cell_mpa"] == records.result("peierls_stress").peierls_mpa
    assert (row["peierls_paper_mpa"], row["peierls_size_s_mpa"]) == (28.0, 90.0)
    assert "unsettled size series" in str(row["flags"])


def test_a_stress_at_which_the_core_had_not_glided_is_no_value(records: Records) -> None:
    (row,) = table(records.library(records.entry(paper(records, reference="evaluation limit"))))
    assert (row["peierls_paper_mpa"], row["peierls_size_s_mpa"]) == (None, 90.0)


def test_rows_of_all_slip_systems_with_the_configured_one_first(records: Records, tmp_path: Path) -> None:
    """`fcc_001` comes first by name, `fcc_111` by the configuration."""
    others = (
        replace(records["gamma_surface"], slip_system="fcc_001"),
        replace(records["peierls_stress"], slip_system="fcc_001"),
        replace(records.changed("peierls_stress", peierls_mpa=77.0), character="screw"),
        replace(records.failed("peierls_stress", "a crash"), slip_system="fcc_112"),
    )
    library = records.library(records.entry(*others, *records.stages.values()))
    assert [row["slip_system"] for row in table(library)] == ["fcc_111"]
    rows = table(library, all_slip_systems=True)
    assert [row["slip_system"] for row in rows] == ["fcc_111", "fcc_111 screw", "fcc_001", "fcc_112"]
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "partial"]
    assert rows[1]["peierls_mpa"] == 77.0
    assert rows[1]["gamma_usf_mj_m2"] == rows[0]["gamma_usf_mj_m2"], "a γ surface belongs to every character"
    assert rows[3]["reason"] == "peierls_stress: a crash; gamma_surface: not computed"
    write_table(library, tmp_path / "all.csv", all_slip_systems=True)
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 4


def test_what_was_asked_for_other_potentials_only_is_said(records: Records) -> None:
    fewer = records.of(records["lattice"], records["elastic"], id="b")
    rows = table(records.library(records.entry(id="a"), records.entry(*fewer, id="b")))
    assert [row["reason"] for row in rows] == ["", "gamma_surface: not computed; peierls_stress: not computed"]
    assert [row["status"] for row in rows] == ["ok", "ok"], "nothing that was asked for is missing"
    assert table(records.library(records.entry(*fewer, id="b")))[0]["reason"] == ""


def test_family_and_flags_of_the_numbers_stand_in_the_table(records: Records) -> None:
    rows = table(records.library(records.entry(id="a", family="F2"), records.entry(id="b", family="F1")))
    assert [row["family"] for row in rows] == ["F1", "F1"]
    assert "not first of its family" not in str(rows[0]["flags"])
    assert "not first of its family" in str(rows[1]["flags"])
