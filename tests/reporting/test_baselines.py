from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from glideflow.properties.peierls_nabarro_results import PeierlsNabarroResult, SemidiscreteResult
from glideflow.properties.results import PeierlsStressResult
from glideflow.records import Library, LibraryEntry, StageRecord
from glideflow.reporting.baselines import MODELS, Pair, agreement, agreements, pairs
from glideflow.reporting.figures import continuum_against_atomistic
from glideflow.reporting.report import render_report


def semidiscrete(model: str, value: float) -> SemidiscreteResult:
    return SemidiscreteResult(
        model=model,
        peierls_mpa=value,
        forward_mpa=value,
        reverse_mpa=value,
        x_angstrom=np.zeros(2),
        disregistry_angstrom=np.zeros((2, 2)),
        width_angstrom=5.0,
        partial_separation_angstrom=None,
        glided_angstrom=np.zeros(1),
        stress_mpa=np.zeros(1),
    )


def nabarro_stage(like: StageRecord, value: float) -> StageRecord:
    """Continuum models beside a Peierls stress; the one with the gradient term has no dislocation."""
    result = PeierlsNabarroResult(
        slip_system=like.slip_system,
        label="",
        character=like.character,
        cut="wide",
        peierls_mpa=value,
        burgers_vector_angstrom=2.5,
        node_spacing_angstrom=1.25,
        length_angstrom=150.0,
        resolution_mpa=1e-6,
        energy_tensor_gpa=np.eye(3),
        energy_factor_gpa=1.0,
        gamma_line_mj_m2=1.0,
        largest_slope_mpa=1.0,
        half_width_sinusoidal_angstrom=1.0,
        half_width_angstrom=1.0,
        peierls_sinusoidal_mpa=2 * value,
        peierls_joos_duesbery_mpa=3 * value,
        models=(semidiscrete("line", 4 * value), semidiscrete("surface", value)),
    )
    return dataclasses.replace(like, property="peierls_nabarro", result=result)


def with_models(library: Library, value: float) -> Library:
    def extended(entry: LibraryEntry) -> LibraryEntry:
        stages = [stage for stage in entry.stages if isinstance(stage.result, PeierlsStressResult)]
        return dataclasses.replace(entry, stages=(*entry.stages, *(nabarro_stage(stage, value) for stage in stages)))

    return dataclasses.replace(library, entries=tuple(extended(entry) for entry in library.entries))


def compared(library: Library, predicted: list[float], atomistic: list[float]) -> list[Pair]:
    return [
        Pair(
            entry=library.entries[0],
            predicted_mpa=model,
            atomistic_mpa=value,
            is_upper_bound=False,
            width_ratio=0.5 + number,
        )
        for number, (model, value) in enumerate(zip(predicted, atomistic, strict=True))
    ]


def test_agreement_counts_errors_up_and_down_alike(library: Library) -> None:
    found = agreement("bcc", "surface", compared(library, [2.0, 20.0, 50.0], [20.0, 10.0, 50.0]))
    assert found.width_ratio == pytest.approx(1.5)
    assert found.factor == pytest.approx(2.0)
    assert found.bias == pytest.approx(1.0)
    assert found.rank_correlation == pytest.approx(0.5)


def test_small_stresses_are_compared_as_if_they_were_the_floor(library: Library) -> None:
    found = agreement("fcc", "surface", compared(library, [1e-6, 0.0], [0.1, 0.02]))
    assert found.factor == pytest.approx(1.0)
    assert found.rank_correlation is None


def test_pairs_join_the_same_slip_system_and_character(library: Library) -> None:
    extended = with_models(library, 7.0)
    assert not pairs(library, "surface")
    found = pairs(extended, "surface")
    assert found
    assert {pair.predicted_mpa for pair in found} == {7.0}
    assert {pair.predicted_mpa for pair in pairs(extended, "joos_duesbery")} == {21.0}
    assert not pairs(extended, "gradient"), "a model without a dislocation has no pair"
    structures = {pair.entry.potential.structure for pair in found}
    assert {each.structure for each in agreements(extended)} == structures
    assert {each.model for each in agreements(extended)} == set(MODELS) - {"gradient"}


def test_figure_and_section_are_there_if_there_is_something_to_compare(library: Library) -> None:
    extended = with_models(library, 7.0)
    structure = pairs(extended, "surface")[0].entry.potential.structure
    figure = continuum_against_atomistic(extended, structure)
    drawn = [y for trace in figure.data if trace.mode == "markers" for y in trace.y]
    assert set(drawn) == {7.0}
    assert "peierls-nabarro-heading" in render_report(extended)
    assert "peierls-nabarro-heading" not in render_report(library)
    assert not continuum_against_atomistic(library, structure).data
