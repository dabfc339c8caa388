from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from glideflow.config.slip_systems import FCC_111, HCP_PRISMATIC
from glideflow.properties.results import ElasticResult, GammaSurfaceResult, PeierlsStressResult
from glideflow.reporting import figures
from glideflow.reporting.collection import Metal
from glideflow.reporting.embedding import figure_json
from glideflow.reporting.figures.gamma import CLIP_FACTOR, fourier_surface, path_label
from glideflow.reporting.figures.style import COLOURS, looks
from glideflow.reporting.labels import slip_labels

FCC, HCP = slip_labels(FCC_111), slip_labels(HCP_PRISMATIC)


def result(entry, kind):
    return next(stage.result for stage in entry.stages if isinstance(stage.result, kind))


def points(figure, index=0):
    trace = figure.data[index]
    return list(zip(trace.x, trace.y, strict=True))


def named(figure, name):
    return next(trace for trace in figure.data if trace.name == name)


def annotations(figure):
    return [annotation.text for annotation in figure.layout.annotations]


def test_peierls_stresses_are_those_of_the_library(library, copper, magnesium):
    figure = figures.peierls_by_metal(library)
    assert figure.layout.yaxis.type == "log"
    assert list(figure.layout.xaxis.ticktext) == ["Cu", "Mg"]
    drawn = sorted(
        float(y)
        for trace in figure.data
        if trace.mode == "markers" and "failed" not in str(trace.name)
        for y in trace.y
    )
    expected = sorted(result(each, PeierlsStressResult).peierls_mpa for each in (copper, magnesium))
    assert drawn == pytest.approx(expected, rel=1e-12)
    assert len(named(figure, "no value (failed)").x) == 1


def test_upper_bounds_are_triangles_and_carry_no_error_bar(library, copper):
    bound = dataclasses.replace(result(copper, PeierlsStressResult), is_upper_bound=True)
    stages = tuple(
        dataclasses.replace(stage, result=bound) if stage.property == "peierls_stress" else stage
        for stage in copper.stages
    )
    figure = figures.peierls_by_metal(
        dataclasses.replace(library, entries=(dataclasses.replace(copper, stages=stages),))
    )
    assert list(named(figure, "upper bound").y) == [bound.peierls_mpa]
    assert named(figure, "upper bound").marker.symbol == "triangle-down-open"
    assert all(not len(trace.y) for trace in figure.data if trace.error_y.array is not None)


def test_error_bars_do_not_reach_zero_on_the_logarithmic_axis(library, copper):
    wide = dataclasses.replace(result(copper, PeierlsStressResult), peierls_mpa=1.0, peierls_error_mpa=5.0)
    wide = dataclasses.replace(wide, is_upper_bound=False)
    stages = tuple(
        dataclasses.replace(stage, result=wide) if stage.property == "peierls_stress" else stage
        for stage in copper.stages
    )
    figure = figures.peierls_by_metal(
        dataclasses.replace(library, entries=(dataclasses.replace(copper, stages=stages),))
    )
    bars = next(trace.error_y for trace in figure.data if trace.error_y.array is not None and len(trace.y))
    assert list(bars.array) == [5.0]
    assert bars.arrayminus[0] < 1.0


def test_ratios_and_variation_of_two_potentials(library, copper, renamed):
    other = renamed(copper, id="Cu_other")
    stages = tuple(
        dataclasses.replace(stage, result=dataclasses.replace(stage.result, c11_gpa=3 * stage.result.c11_gpa))
        if stage.property == "elastic"
        else stage
        for stage in other.stages
    )
    pair = dataclasses.replace(library, entries=(copper, dataclasses.replace(other, stages=stages)))
    figure = figures.normalised_parameters(pair, Metal("Cu", "fcc"))
    column = next(k for k, text in enumerate(figure.layout.xaxis.ticktext) if text == "C<sub>11</sub>")
    *values, literature = figure.data
    ratios = sorted(y for trace in values for x, y in zip(trace.x, trace.y, strict=True) if abs(x - column) < 0.5)
    assert ratios == pytest.approx([0.5, 1.5])
    mean = 2 * result(copper, ElasticResult).c11_gpa
    assert literature.y[list(literature.x).index(column)] == pytest.approx(168.4 / mean)
    assert "Hirth" in literature.customdata[list(literature.x).index(column)]
    learned = dataclasses.replace(other, potential=dataclasses.replace(other.potential, engine="nep"), stages=stages)
    marked = figures.normalised_parameters(dataclasses.replace(pair, entries=(copper, learned)), Metal("Cu", "fcc"))
    assert set(marked.data[0].marker.symbol) == {"circle", "star-open"}
    variation = figures.coefficients_of_variation(pair)
    # 1 and 3: σ = √2, μ = 2.
    assert max(variation.data[0].y) == pytest.approx(100 * math.sqrt(2) / 2)
    assert "n = 2" in variation.data[0].name


def test_gamma_lines_are_the_computed_points(library, copper):
    figure = figures.gamma_lines(library, FCC)
    computed = result(copper, GammaSurfaceResult)
    assert [trace.name for trace in figure.data] == [copper.potential.id]
    np.testing.assert_allclose(figure.data[0].y, computed.path_mj_m2, rtol=1e-6)
    np.testing.assert_allclose(figure.data[0].x, computed.path_fraction, rtol=1e-6)


def test_path_labels_say_where_the_path_ends(copper, magnesium):
    fcc, hcp = (result(each, GammaSurfaceResult) for each in (copper, magnesium))
    opposite = FCC.minus_y if fcc.path_vector_angstrom[1] < 0 else FCC.y
    assert path_label(fcc, FCC) == f"path 0 → isf along {opposite}"
    assert path_label(hcp, HCP) == f"path 0 → b = {HCP.burgers_vector}"


@pytest.mark.parametrize(("name", "labels"), [("copper", FCC), ("magnesium", HCP)])
def test_gamma_surfaces_show_the_grid_in_its_frame(request, name, labels):
    computed = result(request.getfixturevalue(name), GammaSurfaceResult)
    figure = figures.gamma_surface(computed, labels)
    heat, path, marks = figure.data
    np.testing.assert_allclose(heat.z, computed.gamma_mj_m2.T, rtol=1e-6, atol=1e-4)
    assert labels.x in figure.layout.xaxis.title.text
    assert figure.layout.yaxis.scaleanchor == "x"
    assert heat.zmax == pytest.approx(min(CLIP_FACTOR * computed.gamma_usf_mj_m2, computed.gamma_max_mj_m2))
    assert figure.layout.meta["maximum_mj_m2"] == computed.gamma_max_mj_m2
    for trace, axis in ((path.x, 0), (path.y, 1), (marks.x, 0), (marks.y, 1)):
        inside = np.array([value for value in trace if value is not None and np.isfinite(value)], dtype=float)
        assert inside.min() > -1e-6
        assert inside.max() < computed.period_angstrom[axis] + 1e-6


@pytest.mark.parametrize(("name", "labels"), [("copper", FCC), ("magnesium", HCP)])
def test_marks_lie_where_the_surface_has_their_energy(request, name, labels):
    computed = result(request.getfixturevalue(name), GammaSurfaceResult)
    marks = figures.gamma_surface(computed, labels).data[2]
    energies = fourier_surface(computed)(np.column_stack([marks.x, marks.y]))
    tolerance = 5 * computed.fourier_residual_mj_m2 + 0.02 * computed.gamma_usf_mj_m2
    np.testing.assert_allclose(energies, marks.customdata, atol=tolerance)
    assert set(marks.text) == ({"isf", "usf", "asf"} if name == "copper" else {"usf"})


def test_the_fourier_line_is_the_representation_that_the_result_holds(copper):
    computed = result(copper, GammaSurfaceResult)
    figure = figures.gamma_path(computed, FCC)
    line, dots = (named(figure, name) for name in ("Fourier representation", "computed"))
    ends = fourier_surface(computed)(np.array([[0.0, 0.0], computed.path_vector_angstrom]))
    np.testing.assert_allclose([line.y[0], line.y[-1]], ends, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(dots.y, computed.path_mj_m2, rtol=1e-6, atol=1e-4)


def test_loading_curves_hold_every_step_once(copper):
    computed = result(copper, PeierlsStressResult)
    for draw in (figures.stress_strain, figures.core_position):
        figure = draw(computed)
        for curve in computed.curves:
            stable = named(figure, f"{curve.direction}, stable")
            expected = sorted(abs(s) for s, o in zip(curve.stress_mpa, curve.outcome, strict=True) if o == "stable")
            np.testing.assert_allclose(stable.y, [0.0, *expected], rtol=1e-6)
            glides = named(figure, f"{curve.direction}, glides")
            assert len(glides.y) == curve.outcome.count("glides")
            upper = figure.layout.xaxis.range[1]
            assert all(x <= upper for x in (*stable.x, *glides.x))


def test_unconverged_steps_are_neither_stable_nor_gliding(copper):
    computed = result(copper, PeierlsStressResult)
    curve = dataclasses.replace(computed.curves[0], outcome=("unconverged",) * len(computed.curves[0].outcome))
    figure = figures.stress_strain(dataclasses.replace(computed, curves=(curve,)))
    marks = named(figure, f"{curve.direction}, not converged")
    assert len(marks.y) == len(curve.outcome)
    assert marks.marker.symbol == "square-open"
    assert len(named(figure, f"{curve.direction}, stable").y) == 1  # the unloaded state


def test_disregistry_in_burgers_vectors(copper):
    computed = result(copper, PeierlsStressResult)
    unloaded, peak = figures.disregistry(computed).data
    b = computed.burgers_vector_angstrom
    np.testing.assert_allclose(unloaded.y, computed.core_unloaded.disregistry_angstrom / b, rtol=1e-5)
    shift = computed.core_unloaded.position_angstrom
    np.testing.assert_allclose(peak.x, computed.core_at_peak.x_angstrom - shift, rtol=1e-5, atol=1e-5)


def libraries(library, copper, magnesium, broken):
    """Libraries that lack something."""
    without = {
        name: dataclasses.replace(copper, stages=tuple(s for s in copper.stages if s.property == name))
        for name in ("lattice", "elastic", "gamma_surface", "peierls_stress")
    }
    return {
        "nothing": (),
        "all failed": (broken,),
        "hcp only": (magnesium,),
        "one potential": (copper,),
        **{f"only {name}": (entry,) for name, entry in without.items()},
    }


def test_missing_values_never_break_a_figure(library, copper, magnesium, broken):
    for name, entries in libraries(library, copper, magnesium, broken).items():
        part = dataclasses.replace(library, entries=entries)
        drawn = [
            figures.peierls_by_metal(part),
            figures.coefficients_of_variation(part),
            figures.normalised_parameters(part, Metal("Cu", "fcc")),
            figures.gamma_lines(part, FCC),
        ]
        for figure in drawn:
            content = figure_json(figure)
            assert content["data"] or annotations(figure), name  # a figure without data says why


def test_metals_are_told_by_more_than_colour():
    metals = [Metal(f"E{k:02d}", "fcc") for k in range(14)]
    found = looks(metals)
    assert len({(look.colour, look.symbol) for look in found.values()}) == 14
    assert all(_contrast_with_white(colour) >= 3 for colour in COLOURS)


def _contrast_with_white(colour: str) -> float:
    """Contrast of WCAG 2.1."""
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
