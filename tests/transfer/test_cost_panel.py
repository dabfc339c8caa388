"""Costs are evaluations times atoms times the time of one, or what benchmark files or the clock of the process say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glideflow import strength_library
from glideflow.config.transfer import TransferDataSettings
from glideflow.cost import MICROSECONDS_PER_ATOM, SOLVER_MICROSECONDS_PER_ATOM
from glideflow.properties.results import PeierlsStressResult
from glideflow.records import Library
from glideflow.reporting.figures.cost import cost_figure
from glideflow.reporting.transfer_cost import cost_markdown, cost_section
from glideflow.storage import read_record, write_record
from glideflow.transfer.assembly import assemble
from glideflow.transfer.best import FittedBest
from glideflow.transfer.cost_panel import (
    CONVERGED,
    CORES,
    FEATURES,
    CostPanel,
    CostRow,
    counted_costs,
    interaction,
    measured_costs,
    timed_predictions,
)
from glideflow.transfer.strength_models import shipped_strength_model

NAMES = ("Mg_2006Sun_Mg_eam-fs", "Mg_2012Jelinek_Mg_meam", "Mg_2018Dickel_MgAlZn_meam")


@pytest.fixture(scope="module")
def library() -> Library:
    """Three potentials of magnesium, one EAM and two MEAM."""
    whole = strength_library.load()
    return replace(whole, entries=tuple(each for each in whole.entries if each.potential.id in NAMES))


@pytest.fixture(scope="module")
def counted(library: Library) -> tuple[CostRow, ...]:
    return counted_costs(library)


def test_counted_costs_are_evaluations_times_atoms(counted: tuple[CostRow, ...], library: Library) -> None:
    row = next(each for each in counted if (each.step, each.interaction) == (CONVERGED, "EAM"))
    stress = next(e for e in library.entries if e.potential.id == NAMES[0]).stage("peierls_stress")
    assert stress is not None
    assert isinstance(stress.result, PeierlsStressResult)
    each = (MICROSECONDS_PER_ATOM["eam"] + SOLVER_MICROSECONDS_PER_ATOM) * 1e-6
    assert row.core_seconds == pytest.approx([stress.result.evaluations * stress.result.atoms * each])
    assert {each.basis for each in counted} == {"counted"}
    meam = next(each for each in counted if (each.step, each.interaction) == (CONVERGED, "MEAM"))
    assert meam.potentials == NAMES[1:]


@pytest.mark.parametrize(
    ("style", "kind"),
    [
        ("eam/alloy", "EAM"),
        ("meam", "MEAM"),
        ("meam/spline", "spline MEAM"),
        ("adp", "ADP"),
        ("hybrid/overlay zbl 4 4.8 snap", "SNAP"),
        ("mtp", "other"),
    ],
)
def test_kinds_follow_the_pair_style(library: Library, style: str, kind: str) -> None:
    potential = library.entries[0].potential
    assert interaction(replace(potential, pair_style=style)) == kind
    assert interaction(replace(potential, pair_style="", engine="nep")) == "NEP"


def test_measured_costs_are_processor_times_of_jobs(library: Library, tmp_path: Path) -> None:
    elastic, peierls = tmp_path / "benchmarks/elastic", tmp_path / "benchmarks/peierls_stress"
    for file, seconds in (
        (elastic / f"{NAMES[0]}.tsv", 0.5),
        (peierls / NAMES[0] / "hcp_prismatic/edge.tsv", 12.0),
        (peierls / "Cu_of_another_library/fcc_111/edge.tsv", 99.0),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"s\tcpu_time\n{2 * seconds}\t{seconds}\n", encoding="utf-8")
    (elastic / f"{NAMES[1]}.tsv").write_text("cut off", encoding="utf-8")
    rows = measured_costs(library, tmp_path)
    assert [(row.step, row.interaction, row.core_seconds.tolist()) for row in rows] == [
        ("elastic constants", "EAM", [0.5]),
        (CONVERGED, "EAM", [12.0]),
    ]
    assert np.isnan(rows[0].evaluations).all()


def test_predictions_are_timed(library: Library) -> None:
    model = shipped_strength_model("hcp").model
    assert isinstance(model, FittedBest)
    samples = assemble(library, TransferDataSettings(), ("hcp",)).select(np.array([0]))
    cores, features = timed_predictions(model, samples)
    assert (cores.step, features.step) == (CORES, FEATURES)
    assert features.core_seconds[0] < cores.core_seconds[0], "solving cores is by far the larger part"


def test_the_panel_shows_every_row(counted: tuple[CostRow, ...], tmp_path: Path) -> None:
    panel = CostPanel(library_name="some", rows=counted)
    write_record(tmp_path / "cost.h5", panel)
    again = read_record(tmp_path / "cost.h5", CostPanel)
    text = cost_markdown(again)
    assert text == cost_markdown(panel)
    assert text.count("counted") == len(counted)
    assert "several milliseconds" in text
    assert sum(len(trace.x) for trace in cost_figure(panel).data) == len(counted)
    assert "Nothing" in cost_figure(replace(panel, rows=())).layout.annotations[0].text
    assert len(cost_section(panel).tables[0].rows) == len(counted)
