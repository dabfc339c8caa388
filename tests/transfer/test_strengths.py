from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glideflow import strength_library
from glideflow.config.transfer import TransferDataSettings
from glideflow.crystals.lattices import IntArray
from glideflow.errors import ConfigurationError
from glideflow.records import Library, LibraryEntry
from glideflow.reporting.strengths import COLUMNS, strength_csv, strength_markdown, strength_rows
from glideflow.storage import read_record, write_record
from glideflow.transfer.assembly import assemble, source_kind, stress_of
from glideflow.transfer.dataset import MACHINE_LEARNED, TransferDataset, target_log10
from glideflow.transfer.models import FittedModel, Prediction
from glideflow.transfer.strengths import StrengthTable, strength_table

DONOR = "Fe_2003Mendelev_Fe_eam-fs"


class Nearest:
    """The stress of the training sample with the closest maximum of γ, and what it was trained on."""

    name = "nearest"

    def __init__(self) -> None:
        self.trained_on: list[tuple[str, ...]] = []

    def fit(self, dataset: TransferDataset, indices: IntArray, seed: int) -> FittedModel:
        part = dataset.select(indices)
        self.trained_on.append(part.potential_ids)
        return _FittedNearest(part)


class _FittedNearest:
    def __init__(self, part: TransferDataset) -> None:
        self.heights = part.gamma_mj_m2.max(axis=(1, 2))
        self.log10_mpa = target_log10(part).log10_mpa

    def predict(self, dataset: TransferDataset, indices: IntArray) -> Prediction:
        heights = dataset.select(indices).gamma_mj_m2.max(axis=(1, 2))
        nearest = np.abs(heights[:, None] - self.heights).argmin(axis=1)
        return Prediction(log10_mpa=self.log10_mpa[nearest], spread_log10=np.full(len(indices), 0.3))


@pytest.fixture(scope="module")
def library() -> Library:
    """Four classical potentials of every metal, those by most protocols first, and two machine-learned ones."""
    whole, chosen = strength_library.load(), []
    for metal in sorted({(entry.potential.element, entry.potential.structure) for entry in whole.entries}):
        own = [e for e in whole.entries if (e.potential.element, e.potential.structure) == metal]
        learned = [e for e in own if source_kind(e.potential.engine, e.potential.pair_style) == MACHINE_LEARNED]
        classical = [e for e in own if e.potential.id not in {each.potential.id for each in learned}]
        chosen += sorted(
            classical, key=lambda e: (e.potential.id != DONOR, *_lacks(e, "peierls_series", "peierls_paper"))
        )[:4]
        chosen += sorted(learned, key=lambda e: e.stage("peierls_stress") is None)[:2]
    return replace(whole, entries=tuple(sorted(chosen, key=lambda entry: entry.potential.id)))


def _lacks(entry: LibraryEntry, *properties: str) -> list[bool]:
    return [entry.stage(name) is None for name in properties]


@pytest.fixture(scope="module")
def learner() -> Nearest:
    return Nearest()


@pytest.fixture(scope="module")
def table(library: Library, learner: Nearest) -> StrengthTable:
    return strength_table(library, TransferDataSettings(), learner, floor_mpa=0.1)


def test_ranges_are_those_of_the_library(table: StrengthTable, library: Library) -> None:
    copper = next(metal for metal in table.metals if metal.element == "Cu")
    empirical = next(each for each in copper.empirical if each.protocol == "reference")
    samples = assemble(library, TransferDataSettings(sources=("EAM/MEAM",)), ("fcc",))
    own = samples.peierls_mpa[np.array(samples.elements) == "Cu"]
    assert (empirical.potentials, empirical.lowest_mpa, empirical.highest_mpa) == (len(own), own.min(), own.max())
    assert empirical.median_mpa == np.median(own)
    assert {metal.element for metal in table.metals} == {entry.potential.element for entry in library.entries}


def test_the_transferring_model_learns_from_classical_potentials_only(
    table: StrengthTable, learner: Nearest, library: Library
) -> None:
    learned = {
        entry.potential.id
        for entry in library.entries
        if source_kind(entry.potential.engine, entry.potential.pair_style) == MACHINE_LEARNED
    }
    assert learned
    fits = [set(trained) for trained in learner.trained_on]
    assert sum(not trained & learned for trained in fits) >= 3, "one for each structure"
    transferred = [each for metal in table.metals for each in metal.transferred]
    assert {each.potential_id for each in transferred} <= learned
    assert all(each.pt_eam_mpa > 0 for each in transferred)


def test_shots_leave_out_the_potential_itself(library: Library) -> None:
    """Two machine-learned potentials with a stress: each is a shot for the other, and neither for itself."""
    learned = [
        entry
        for entry in library.entries
        if source_kind(entry.potential.engine, entry.potential.pair_style) == MACHINE_LEARNED
        and entry.potential.structure == "bcc"
    ][:2]
    donor = next(
        entry for entry in library.entries if entry.potential.id == DONOR and entry.stage("peierls_stress") is not None
    )
    stress = donor.stage("peierls_stress")
    assert stress is not None
    shots = [
        replace(entry, stages=(*(s for s in entry.stages if s.property != "peierls_stress"), stress))
        for entry in learned
    ]
    others = [
        entry
        for entry in library.entries
        if source_kind(entry.potential.engine, entry.potential.pair_style) != MACHINE_LEARNED
    ]
    nearest = Nearest()
    table = strength_table(
        replace(library, entries=(*others, *shots)),
        TransferDataSettings(one_per_family=False),
        nearest,
        floor_mpa=0.1,
        structures=("bcc",),
    )
    found = [each for metal in table.metals for each in metal.transferred]
    assert len(found) == 2
    same_kin = len({(e.family_computed, e.potential.element) for e in shots}) == 1
    assert [each.shots for each in found] == ([0, 0] if same_kin else [1, 1])
    assert all(each.mlff_mpa == pytest.approx(83.3, abs=1) for each in found)
    for trained, entry in zip(nearest.trained_on[1:], sorted(shots, key=lambda e: e.potential.id), strict=False):
        assert entry.potential.id not in trained


def test_the_table_is_text_and_a_file(table: StrengthTable, tmp_path: Path) -> None:
    rows = strength_rows(table)
    assert all(len(row) == len(COLUMNS) for row in rows)
    iron = next(row for row in rows if row[0] == "Fe (bcc)")
    assert iron[-4:] == ["38.76 – 131.09", "40.09", "26.09", "27.01"]
    cobalt = next(row for row in rows if row[0] == "Co (hcp)")
    assert cobalt[-1] == "–"
    assert "no machine-learned potential" in cobalt[COLUMNS.index("PT-EAM (MPa)")]
    assert strength_markdown(table).count("\n") == len(rows) + 2
    lines = list(csv.DictReader(io.StringIO(strength_csv(table))))
    assert {"EAM reference", "PT-EAM"} <= {line["route"] for line in lines}
    copper = next(line for line in lines if line["element"] == "Cu" and line["route"] == "EAM reference")
    assert float(copper["low_mpa"]) < float(copper["peierls_mpa"]) < float(copper["high_mpa"])
    write_record(tmp_path / "table.h5", table)
    assert strength_markdown(read_record(tmp_path / "table.h5", StrengthTable)) == strength_markdown(table)


def test_of_relatives_the_one_with_a_stress_stands_for_both(library: Library) -> None:
    """The first by id has none: without it, what the other's atomistics say would be lost."""
    pair = ("UNEP-v1-with-ZBL:W", "UNEP-v1:W")
    first, second = (e for e in strength_library.load().entries if e.potential.id in pair)
    bare = replace(first, stages=tuple(stage for stage in first.stages if stage.property != "peierls_stress"))
    assert stress_of(second, "reference", "bcc_110") is not None
    samples = assemble(replace(library, entries=(bare, second)), TransferDataSettings(), ("bcc",), with_stress=False)
    assert samples.potential_ids == ("UNEP-v1:W",)


def test_a_library_without_stresses_is_refused(library: Library) -> None:
    bare = replace(
        library,
        entries=tuple(
            replace(entry, stages=tuple(s for s in entry.stages if s.property != "peierls_stress"))
            for entry in library.entries
            if entry.potential.structure == "hcp"
        ),
    )
    for structures in (("hcp",), None):
        with pytest.raises(ConfigurationError, match=r"no classical potential of (hcp|fcc) with a Peierls stress"):
            strength_table(bare, TransferDataSettings(), Nearest(), floor_mpa=0.1, structures=structures)


def test_structures_without_stresses_are_left_out(library: Library) -> None:
    some = replace(library, entries=tuple(e for e in library.entries if e.potential.structure == "hcp"))
    table = strength_table(some, TransferDataSettings(), Nearest(), floor_mpa=0.1)
    assert {metal.structure for metal in table.metals} == {"hcp"}
