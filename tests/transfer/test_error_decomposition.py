"""Errors by kind: differences of stresses that stand in the library, which add up, and nothing where nothing is."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from glideflow import strength_library
from glideflow.cli.app import app
from glideflow.config.transfer import TransferDataSettings
from glideflow.properties.peierls_series_results import ErrorBudget, PeierlsSeriesResult
from glideflow.properties.results import PeierlsStressResult
from glideflow.records import Library, LibraryEntry
from glideflow.reporting.figures.transfer_errors import decomposition, error_map
from glideflow.reporting.transfer import validation_page
from glideflow.reporting.transfer_errors import error_csv, error_markdown, error_section, route_rows, term_rows
from glideflow.storage import read_record, write_record
from glideflow.transfer.assembly import library_digest, stress_of
from glideflow.transfer.error_decomposition import ErrorTable, ErrorTerm, RouteError, error_table, shares
from glideflow.transfer.strengths import MetalStrengths, StrengthTable, TransferredStrength
from glideflow.transfer.validation import PERMUTED, HeldOutRun, ValidationRecord, Validations

TRUTH_MPA = 4.0
SYSTEM = "bcc_110"


@pytest.fixture(scope="module")
def library() -> Library:
    """Six classical potentials of W and Ta, some of them with stresses by fixed steps."""
    whole = strength_library.load()
    chosen = []
    for element in ("W", "Ta"):
        own = [e for e in whole.entries if e.potential.element == element and e.potential.pair_style.startswith("eam")]
        both = [e for e in own if stress_of(e, "size_s", SYSTEM) and stress_of(e, "reference", SYSTEM)]
        chosen += [without(e, "peierls_series") for e in both[:2]]
        chosen += [without(e, "peierls_series", "peierls_paper") for e in both[2:3]]
    return replace(whole, entries=tuple(sorted(chosen, key=lambda entry: entry.potential.id)))


def without(entry: LibraryEntry, *properties: str) -> LibraryEntry:
    return replace(entry, stages=tuple(stage for stage in entry.stages if stage.property not in properties))


def transferred(name: str, **values: float) -> TransferredStrength:
    known = {"pt_eam_mpa": 6.0, "pt_mlff_mpa": np.nan, "mlff_mpa": np.nan, "mlff_error_mpa": 0.1} | values
    return TransferredStrength(
        potential_id=name, pt_eam_spread_log10=0.2, pt_mlff_spread_log10=0.2, shots=0, is_upper_bound=False, **known
    )


@pytest.fixture(scope="module")
def strengths() -> StrengthTable:
    """Tungsten with three machine-learned potentials, two of them with a stress, and tantalum with none."""
    learned = (
        transferred("one", mlff_mpa=TRUTH_MPA / 2, pt_mlff_mpa=3.0),
        transferred("two", mlff_mpa=TRUTH_MPA * 2, pt_eam_mpa=9.0),
        transferred("three", pt_eam_mpa=12.0),
    )
    own = {"structure": "bcc", "slip_system": SYSTEM, "empirical": ()}
    return StrengthTable(
        model="best",
        training_source=(),
        metals=(
            MetalStrengths(element="Ta", transferred=(), **own),
            MetalStrengths(element="W", transferred=learned, **own),
        ),
        library_name="strength-library",
        floor_mpa=0.1,
    )


@pytest.fixture(scope="module")
def held_out(library: Library) -> ValidationRecord:
    """Two seeds, whose predictions are a factor of 2 and of 8 above the atomistic stress: 4 in the mean."""
    tungsten = [entry for entry in library.entries if entry.potential.element == "W"]
    target = np.log10([stress_of(entry, "reference", SYSTEM).peierls_mpa for entry in tungsten])  # type: ignore[union-attr]
    runs = tuple(
        HeldOutRun(
            seed=seed,
            folds=("",) * len(target),
            log10_mpa=target + np.log10(factor),
            spread_log10=np.full(len(target), 0.2),
            trained_on=np.full(len(target), 9.0),
        )
        for seed, factor in enumerate((2.0, 8.0))
    )
    return ValidationRecord(
        model="best",
        dataset="bcc",
        split="leave one family out",
        floor_mpa=0.1,
        potential_ids=tuple(entry.potential.id for entry in tungsten),
        elements=("W",) * len(target),
        structures=("bcc",) * len(target),
        families=tuple(entry.family_computed for entry in tungsten),
        target_log10_mpa=target,
        censored=np.zeros(len(target), dtype=bool),
        runs=runs,
        dataset_sha256="",
        library_sha256="",
        glideflow_version="",
    )


@pytest.fixture(scope="module")
def table(library: Library, strengths: StrengthTable, held_out: ValidationRecord) -> ErrorTable:
    others = (replace(held_out, model="ridge"), replace(held_out, control=PERMUTED))
    return error_table(library, TransferDataSettings(one_per_family=False), strengths, (*others, held_out))


def term(table: ErrorTable, element: str, name: str) -> ErrorTerm:
    return next(each for each in table.terms if (each.element, each.name) == (element, name))


def route(table: ErrorTable, element: str, name: str) -> RouteError:
    return next(each for each in table.routes if (each.element, each.route) == (element, name))


def test_system_errors_compare_a_potential_with_itself(table: ErrorTable, library: Library) -> None:
    pairs = {"cell": ("size_s", "paper"), "protocol": ("paper", "reference")}
    for element in ("Ta", "W"):
        for name, protocols in pairs.items():
            found = term(table, element, name)
            assert len(found.potential_ids) == 2
            for potential_id, log10 in zip(found.potential_ids, found.log10, strict=True):
                entry = next(e for e in library.entries if e.potential.id == potential_id)
                first, second = (stress_of(entry, protocol, SYSTEM).peierls_mpa for protocol in protocols)  # type: ignore[union-attr]
                assert 10**log10 == pytest.approx(max(first, 0.1) / max(second, 0.1))


def test_large_cells_are_those_of_a_size_series(library: Library, strengths: StrengthTable) -> None:
    entry = next(e for e in library.entries if e.potential.element == "W")
    stress = entry.stage("peierls_stress")
    assert stress is not None
    assert isinstance(stress.result, PeierlsStressResult)
    limit = PeierlsSeriesResult(
        slip_system=SYSTEM,
        label="",
        character="edge",
        cut="wide",
        peierls_mpa=stress.result.peierls_mpa / 2,
        peierls_error_mpa=0.1,
        is_upper_bound=False,
        basis="size fit",
        settled=True,
        reference_mpa=stress.result.peierls_mpa,
        infinite_mpa=stress.result.peierls_mpa / 2,
        height_coefficient_mpa_angstrom=None,
        length_coefficient_mpa_angstrom=None,
        budget=ErrorBudget(bracket_mpa=0.1),
        values=(),
    )
    series = replace(stress, property="peierls_series", result=limit)
    entries = tuple(replace(e, stages=(*e.stages, series)) if e is entry else e for e in library.entries)
    made = error_table(replace(library, entries=entries), TransferDataSettings(one_per_family=False), strengths)
    found = term(made, "W", "large cells")
    assert found.potential_ids == (entry.potential.id,)
    assert found.factor == pytest.approx(2)


def test_the_reference_is_the_median_of_the_machine_learned_potentials(table: ErrorTable, library: Library) -> None:
    found = term(table, "W", "potentials")
    entry = next(e for e in library.entries if e.potential.id == found.potential_ids[0])
    stress = stress_of(entry, "reference", SYSTEM)
    assert stress is not None
    assert len(found.log10) == 3
    assert found.relative[0] == pytest.approx(max(stress.peierls_mpa, 0.1) / TRUTH_MPA - 1)
    shifted = term(table, "W", "transferred").log10 - found.log10
    np.testing.assert_allclose(10**-shifted, 9.0 / TRUTH_MPA)  # the median of 6, 9 and 12 MPa


def test_inputs_are_compared_in_the_same_way(library: Library, strengths: StrengthTable) -> None:
    """The inputs of one of the classical potentials, taken for those of a machine-learned one."""
    tungsten = [e for e in library.entries if e.potential.element == "W"]
    learned = transferred(tungsten[0].potential.id)
    metal = replace(strengths.metals[1], transferred=(learned,))
    made = error_table(library, TransferDataSettings(one_per_family=False), replace(strengths, metals=(metal,)))
    elastic = [e.stage("elastic").result.c44_gpa for e in tungsten]  # type: ignore[union-attr]
    np.testing.assert_allclose(10 ** term(made, "W", "C44").log10, np.divide(elastic, elastic[0]))
    assert term(made, "W", "γ_usf").log10[0] == 0
    assert len(term(made, "W", "γ_usf").log10) == len(tungsten)


def test_inference_errors_are_those_of_one_potential(table: ErrorTable) -> None:
    held = term(table, "W", "held out")
    assert (held.factor, held.bias) == pytest.approx((4.0, 4.0))
    assert held.relative_percent == pytest.approx(300.0)
    np.testing.assert_allclose(10 ** term(table, "W", "PT-EAM").log10, [6.0 / 2.0, 9.0 / 8.0])
    only = term(table, "W", "PT-MLFF")
    assert only.potential_ids == ("one",)
    assert np.isnan(only.spread).all()


def test_terms_of_a_route_add_up_to_its_error(table: ErrorTable, library: Library) -> None:
    found = route(table, "W", "EAM-S")
    full = term(table, "W", "cell").potential_ids
    entries = [e for e in library.entries if e.potential.id in full]
    mpa = np.array([stress_of(entry, "size_s", SYSTEM).peierls_mpa for entry in entries])  # type: ignore[union-attr]
    total = np.log10(mpa / TRUTH_MPA)
    assert found.values == 2
    assert found.mean_log10.sum() == pytest.approx(total.mean())
    assert found.share.sum() == pytest.approx(1)
    assert found.factor == pytest.approx(10 ** np.median(np.abs(total)))
    assert found.relative_percent == pytest.approx(100 * abs(mpa.mean() / TRUTH_MPA - 1))
    assert route(table, "W", "EAM, converged").values == 3


def test_relative_errors_are_those_of_the_paper(strengths: StrengthTable, library: Library) -> None:
    """PT-EAM of copper: 14.71 against 13.07 MPa are called 12.55 %; PT-MLFF of titanium 218.41 against 219.70."""
    for mlff, value, percent in ((13.07, 14.71, 12.55), (219.70, 218.41, 0.59)):
        metal = replace(strengths.metals[1], transferred=(transferred("a", mlff_mpa=mlff, pt_eam_mpa=value),))
        made = error_table(library, TransferDataSettings(), replace(strengths, metals=(metal,)))
        assert route(made, "W", "PT-EAM").relative_percent == pytest.approx(percent, abs=0.01)


def test_what_is_not_there_says_why(table: ErrorTable, library: Library, strengths: StrengthTable) -> None:
    assert "no machine-learned potential with a Peierls stress" in term(table, "Ta", "potentials").reason
    assert "no machine-learned potential" in term(table, "Ta", "transferred").reason
    assert "Ta in the validation" in term(table, "Ta", "held out").reason
    assert "size series" in term(table, "W", "large cells").reason
    assert route(table, "Ta", "EAM-S").reason
    assert np.isnan(route(table, "Ta", "EAM-S").factor)
    without = error_table(library, TransferDataSettings(), strengths)
    assert "no validation by family" in term(without, "W", "held out").reason
    assert "no machine-learned potential" in term(table, "Ta", "C44").reason
    assert all(len(each.log10) or each.reason for each in (*table.terms, *without.terms))


def test_what_lies_below_a_bound_is_right(library: Library, strengths: StrengthTable) -> None:
    bound = replace(transferred("a", mlff_mpa=3.0, pt_eam_mpa=0.5), is_upper_bound=True)
    metal = replace(strengths.metals[1], transferred=(bound,))
    made = error_table(library, TransferDataSettings(), replace(strengths, metals=(metal,)))
    found = term(made, "W", "PT-EAM")
    assert (found.factor, found.bounds) == (1.0, 1)


def test_shares_are_of_the_mean_square() -> None:
    np.testing.assert_allclose(shares(np.array([[1.0, 0.0], [3.0, 0.0]])), [1, 0])
    np.testing.assert_allclose(shares(np.array([[2.0, -1.0], [2.0, -1.0]])), [2, -1])
    assert np.isnan(shares(np.zeros((2, 2)))).all()


def test_tables_hold_every_term(table: ErrorTable, tmp_path: Path) -> None:
    write_record(tmp_path / "errors.h5", table)
    again = read_record(tmp_path / "errors.h5", ErrorTable)
    text = error_markdown(again)
    assert text == error_markdown(table)
    assert text.count("\n") == len(table.terms) + len(table.routes) + 5
    assert len(term_rows(table)) == 2 * 10
    assert "cell × " in next(row[-1] for row in route_rows(table) if row[:2] == ["W (bcc)", "EAM-S"])
    lines = list(csv.DictReader(io.StringIO(error_csv(table))))
    held = next(line for line in lines if (line["element"], line["term"]) == ("W", "held out"))
    assert float(held["median_factor"]) == pytest.approx(4)
    own = [line for line in lines if line["element"] == "W" and line["term"].startswith("EAM-S: ")]
    assert sum(float(line["median_relative_percent"]) for line in own) == pytest.approx(100, abs=0.01)
    assert all(line["reason"] for line in lines if line["n"] == "0")


def test_the_map_draws_every_term(table: ErrorTable) -> None:
    (trace,) = error_map(table).data
    drawn = dict(zip(trace.x, np.transpose(trace.z), strict=True))
    assert list(trace.y) == ["Ta (bcc)", "W (bcc)"]
    assert 10 ** drawn["inference:<br>held out"][1] == pytest.approx(4)
    assert np.isnan(drawn["physical:<br>potentials"][0])
    assert "no machine-learned potential" in trace.customdata[0][list(trace.x).index("physical:<br>potentials")]


def test_the_stacks_reach_the_mean_error(table: ErrorTable) -> None:
    *bars, total = decomposition(table).data
    np.testing.assert_allclose(np.sum([bar.x for bar in bars], axis=0), total.x)
    assert len(total.x) == 5  # routes of W; those of Ta have no reference
    without = replace(table, routes=tuple(each for each in table.routes if not each.values))
    assert "No machine-learned" in decomposition(without).layout.annotations[0].text
    assert "No errors" in error_map(replace(table, terms=())).layout.annotations[0].text


def test_the_page_says_what_is_compared(table: ErrorTable) -> None:
    section = error_section(table)
    page = validation_page([], [], [section])
    assert [plot.id for plot in section.plots] == ["errors-map", "errors-routes"]
    assert all(f'<div id="{plot.id}"' in page for plot in section.plots)
    assert page.count(">EAM, converged</td>") == 1  # of tungsten: tantalum has no reference
    assert "potentials of Ta: no machine-learned potential" in page
    assert "Held out: leave one family out." in page


def test_the_command_reads_what_others_wrote(
    tmp_path: Path, library: Library, strengths: StrengthTable, held_out: ValidationRecord
) -> None:
    write_record(tmp_path / "library.h5", library)
    own = replace(held_out, library_sha256=library_digest(tmp_path / "library.h5"))
    found = Validations(dataset="bcc", protocol="reference", library_name="strength-library", records=(own,))
    for name, value in (("strengths", strengths), ("validation", found)):
        write_record(tmp_path / f"{name}.h5", value)
    arguments = [f"--{name}={tmp_path / name}.h5" for name in ("library", "strengths", "validation")]
    outputs = [f"--output={tmp_path / name}" for name in ("errors.h5", "errors.csv", "errors.md")]
    result = CliRunner().invoke(app, ["transfer", "errors", *arguments, *outputs, "--json"])
    assert result.exit_code == 0, result.output
    terms = json.loads(result.stdout)["terms"]
    held = next(each for each in terms if (each["element"], each["name"]) == ("W", "held out"))
    assert (held["median_factor"], held["reason"]) == (pytest.approx(4), "")
    assert all(each["median_factor"] is None for each in terms if each["reason"])
    assert read_record(tmp_path / "errors.h5", ErrorTable).split == "leave one family out"
    assert "PT-EAM" in (tmp_path / "errors.csv").read_text(encoding="utf-8")
    result = CliRunner().invoke(app, ["transfer", "errors", *arguments])
    assert "W (bcc)" in result.stdout
    assert "PT-EAM of Ta: no machine-learned potential with a Peierls stress" in result.stderr
