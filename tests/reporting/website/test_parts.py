from __future__ import annotations

import dataclasses
import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from glideflow.config.potentials import PotentialsSettings
from glideflow.properties.results import CoreResult, PeierlsStressResult
from glideflow.records import Library
from glideflow.reporting.collection import CHARACTERISTIC, Metal, samples
from glideflow.reporting.figures import correlations, dislocation_density, gamma_surface, peierls_ranking
from glideflow.reporting.figures.gamma import CONTOUR_LINES
from glideflow.reporting.reference_values import reference_values
from glideflow.reporting.website.comparison import comparison
from glideflow.reporting.website.outline import file_names, outline
from glideflow.reporting.website.usage import available, usage

SAFE = set(string.ascii_letters + string.digits + "._+-")


@given(
    st.lists(st.text(max_size=12) | st.sampled_from(["Cu_a", "cu_A", "UNEP-v1:Al", ".", "..", "/", ""]), unique=True)
)
def test_file_names_are_safe_and_tell_every_id_apart(identifiers: list[str]) -> None:
    names = file_names(identifiers)
    assert set(names) == set(identifiers)
    assert len({name.lower() for name in names.values()}) == len(identifiers)
    for name in names.values():
        assert set(name) <= SAFE
        assert name[0].isalnum()
        assert len(name) <= 120


@pytest.mark.parametrize("name", ["Cu_2001Mishin_Cu_eam-alloy_v2", "Al+", "W.1"])
def test_ordinary_ids_are_their_own_file_names(name: str) -> None:
    assert file_names([name]) == {name: name}


def stress_of(library: Library, index: int = 0) -> PeierlsStressResult:
    stage = library.entries[index].stage("peierls_stress")
    assert stage is not None
    assert isinstance(stage.result, PeierlsStressResult)
    return stage.result


def test_the_density_of_an_arctan_core_is_its_lorentzian(library: Library) -> None:
    b, half_width = 2.5, 6.0
    rows = np.arange(-70, 70, 1.25)
    x = np.sort(np.concatenate([rows, rows + 1e-3]))  # above and below the glide plane, nearly together
    delta = b * (0.5 + np.arctan(x / half_width) / np.pi)
    core = CoreResult(x_angstrom=x, disregistry_angstrom=delta, position_angstrom=0.0, width_angstrom=2 * half_width)
    result = dataclasses.replace(
        stress_of(library), burgers_vector_angstrom=b, core_unloaded=core, core_at_peak=core, partials_angstrom=None
    )
    line = dislocation_density(result).data[0]
    assert np.interp(0.0, line.x, line.y) == pytest.approx(1 / (np.pi * half_width), rel=0.02)
    assert np.trapezoid(line.y, line.x) == pytest.approx(2 * np.arctan(69 / half_width) / np.pi, rel=0.01)
    expected = half_width / (np.pi * (np.asarray(line.x, dtype=float) ** 2 + half_width**2))
    assert np.abs(np.asarray(line.y) - expected).max() < 0.03 * expected.max()


def test_partials_are_marked_where_a_fit_puts_them(library: Library) -> None:
    result = stress_of(library)
    origin = result.core_unloaded.position_angstrom
    split = dataclasses.replace(result, partials_angstrom=np.array([origin - 15.0, origin + 15.0]))
    assert [shape.x0 for shape in dislocation_density(split).layout.shapes] == pytest.approx([-15.0, 15.0])


def test_contours_lie_at_round_energies_below_the_end_of_the_colours(library: Library) -> None:
    stage = library.entries[0].stage("gamma_surface")
    assert stage is not None
    result = stage.result
    plan = outline(library)
    trace = gamma_surface(result, plan.context.slip_labels(result), contours=True).data[0]
    assert trace.type == "contour"
    assert float(f"{trace.contours.size:.1g}") == pytest.approx(trace.contours.size)
    assert trace.zmax / trace.contours.size <= CONTOUR_LINES
    np.testing.assert_allclose(np.asarray(trace.z), result.gamma_mj_m2.T, rtol=1e-6)


def test_the_ranking_draws_bounds_errors_and_every_kind_of_value(library: Library) -> None:
    bounded = dataclasses.replace(stress_of(library, 1), is_upper_bound=True, peierls_mpa=0.02)
    entry = library.entries[1]
    stages = tuple(
        dataclasses.replace(stage, result=bounded) if stage.property == "peierls_stress" else stage
        for stage in entry.stages
    )
    changed = dataclasses.replace(library, entries=(library.entries[0], dataclasses.replace(entry, stages=stages)))
    figure = peierls_ranking(changed, Metal("Cu", "fcc"))
    traces = {trace.name: trace for trace in figure.data}
    assert traces["reference cell, upper bound"].marker.symbol == "triangle-left-open"
    assert traces["reference cell, upper bound"].error_x.array is None
    assert list(traces["size series"].x) == [1.4]
    assert list(traces["size series"].error_x.array) == [0.3]
    assert 17.5 in list(traces["paper's protocol, same cell"].x)
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.yaxis.ticktext[0] == entry.potential.id.removeprefix("Cu_")  # the softest stands below
    assert (figure.layout.shapes[0].x0, figure.layout.shapes[0].x1) == (10.96, 28.40)  # Table 1 of the paper


def test_correlations_are_those_of_scipy_over_independent_potentials(library: Library) -> None:
    from glideflow import strength_library

    every = samples(strength_library.load())
    found = {each.quantity.key: each for each in correlations(every, "fcc")}
    each = found["gamma_usf_mj_m2"]
    pairs = [(s.value("gamma_usf_mj_m2"), s.value("peierls_reference_cell_mpa")) for s in each.samples]
    assert len(pairs) > 10
    assert each.rank_correlation == pytest.approx(spearmanr(*zip(*pairs, strict=True)).statistic)
    assert not [s.id for s in each.samples if s.entry.potential.fictional or "not first of its family" in s.entry.flags]
    assert -1 <= (each.within_metals or 0) <= 1
    alone = correlations([s for s in each.samples if s.metal.element == "Cu"], "fcc")
    for one in alone:  # within one metal both are the same
        assert one.within_metals == pytest.approx(one.rank_correlation)


def test_values_stand_among_those_of_their_metal(library: Library) -> None:
    plan = outline(library)
    group = plan.metals[Metal("Cu", "fcc")]
    for sample in group:
        rows, references = comparison(sample, group)
        by_key = {row.quantity.key: row for row in rows}
        values = sorted(each.value("a_angstrom") or 0.0 for each in group)
        own = sample.value("a_angstrom") or 0.0
        assert by_key["a_angstrom"].rank == f"{1 + values.index(own)} of {len(group)}"
        assert by_key["a_angstrom"].others == " / ".join(f"{value:.4f}" for value in values)
        assert by_key["c11_gpa"].reference == "168.4"
        assert references[by_key["c11_gpa"].source - 1].source.startswith("J. P. Hirth")
        assert by_key["peierls_mpa"].reference == "10.96 to 28.4"


@pytest.mark.parametrize("metal", [Metal("Unobtainium", "fcc"), Metal("Cu", "bcc"), Metal("<b>", "hcp")])
def test_unknown_metals_have_no_references(metal: Metal) -> None:
    assert reference_values(metal) == ()


def test_reference_crystals_are_stable_and_belong_to_known_quantities() -> None:
    from glideflow.reporting.reference_values import _CUBIC_GPA, _HEXAGONAL_GPA

    keys = {quantity.key for quantity in CHARACTERISTIC}
    for metal in (*_CUBIC_GPA, *_HEXAGONAL_GPA):
        assert {value.key for value in reference_values(metal)} <= keys
        assert all(0 < value.lowest <= value.highest and value.source for value in reference_values(metal))
    for c11, c12, c44 in _CUBIC_GPA.values():
        assert c11 > c12 > 0 < c44
    for c11, c12, c13, c33, c44 in _HEXAGONAL_GPA.values():
        assert (c11 + c12) * c33 > 2 * c13**2  # Born
        assert c11 > c12 > 0 < c44


def test_lammps_lines_are_exact_where_the_files_are_the_same(library: Library, tmp_path: Path) -> None:
    from glideflow import strength_library

    shipped = {entry.potential.id: entry.potential for entry in strength_library.load().entries}
    known = available(shipped.values(), PotentialsSettings(), tmp_path)
    assert known
    name = "Cu_2001Mishin_Cu_eam-alloy_v2"
    if name in shipped:
        assert usage(shipped[name], known[name]).lines[1:] == (
            "pair_style eam/alloy",
            "pair_coeff * * Cu_mishin1.eam.alloy Cu",
        )
    for each in known:
        lines = usage(shipped[each], known[each]).lines
        assert not [line for line in lines if "/" in line.removeprefix("pair_style") and line.startswith("pair_coeff")]
        assert not [line for line in lines if "{" in line]
    one = next(iter(known))
    altered = dataclasses.replace(shipped[one], sha256="0" * 64)
    assert available([altered], PotentialsSettings(), tmp_path) == {}
    assert not usage(altered, None).is_exact


def test_unknown_files_get_placeholders(library: Library) -> None:
    summary = library.entries[0].potential
    for style, expected in (
        ("eam/alloy", "pair_coeff * * FILE Cu"),
        ("meam", "pair_coeff * * LIBRARY Cu PARAMETERS Cu"),
        (
            "hybrid/overlay zbl 4 4.8 snap",
            "pair_coeff ARGUMENTS  # as the source says; a line for each part of a hybrid style",
        ),
    ):
        assert usage(dataclasses.replace(summary, pair_style=style), None).lines[-1] == expected
    network = usage(dataclasses.replace(summary, engine="nep", pair_style=""), None)
    assert network.language == "Python"
    assert "CPUNEP" in network.lines[-1]
