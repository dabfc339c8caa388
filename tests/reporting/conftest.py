"""A small library that is really computed: cells of a toy's size, so that all of it takes seconds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from glideflow.config.gamma_surface import GammaSurfaceSettings
from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.config.potentials import PotentialsSettings
from glideflow.config.run import RunSettings
from glideflow.config.slip_systems import FCC_111, HCP_PRISMATIC
from glideflow.potentials.record import Potential, PotentialFile
from glideflow.potentials.select import find
from glideflow.property_specs import DEFAULT_PROPERTIES, PROPERTIES
from glideflow.records import Library, LibraryEntry, StageFailure, StageRecord
from glideflow.stages import StageRequest, run_stage
from glideflow.storage import read_record, write_record

COPPER = "Cu_2001Mishin_Cu_eam-alloy_v2"
MAGNESIUM = "Mg_2006Sun_Mg_eam-fs"
BROKEN = "Cu_broken"
HOSTILE = '</script><img src=x onerror=boom()><b>&amp; %{x} {{7*7}}\u2028"'
SETTINGS = RunSettings(
    name="toy",
    gamma_surface=GammaSurfaceSettings(grid=(13, 13), layers=8, path_points=9, fourier_shells=4),
    peierls_stress=PeierlsStressSettings(burgers_vectors=12, height_angstrom=30, bracket=0.2, start_positions=(0.0,)),
)


Renamed = Callable[..., LibraryEntry]


def _records(potential: Potential) -> tuple[StageRecord, ...]:
    system = HCP_PRISMATIC if potential.structure == "hcp" else FCC_111
    records: list[StageRecord] = []
    for name in DEFAULT_PROPERTIES:
        spec = PROPERTIES[name]
        request = StageRequest(
            name=name,
            potential=potential,
            settings=SETTINGS,
            upstream=tuple(record for record in records if record.property in spec.needs),
            slip_system=system if "slip_system" in spec.labels else None,
            character="edge" if "character" in spec.labels else "",
        )
        records.append(run_stage(request))
    return tuple(records)


def _broken(folder: Path) -> Potential:
    file = folder / "broken.eam.alloy"
    file.write_text("this is no potential\n" * 5)
    return Potential(
        id=BROKEN,
        element="Cu",
        structure="fcc",
        pair_style="eam/alloy",
        pair_coeff=("* * {0} Cu",),
        files=(PotentialFile(path=file),),
    )


@pytest.fixture(scope="session")
def library(filled_once: Callable[[str, Callable[[Path], object]], Path]) -> Library:
    """Copper, magnesium, and a file that LAMMPS refuses; written and read as the report gets it."""
    return read_record(filled_once("library", _write_library) / "library.h5", Library)


def _write_library(folder: Path) -> None:
    potentials = [find(PotentialsSettings(), folder, name) for name in (COPPER, MAGNESIUM)]
    entries = []
    for potential in (*potentials, _broken(folder)):
        stages = _records(potential)
        entries.append(LibraryEntry(potential=stages[0].potential, stages=stages))
    gathered = Library(
        name=SETTINGS.name,
        glideflow_version="0",
        settings_json=json.dumps(SETTINGS.model_dump(mode="json"), sort_keys=True),
        entries=tuple(sorted(entries, key=lambda entry: entry.potential.id)),
    )
    write_record(folder / "library.h5", gathered)


@pytest.fixture(scope="session")
def copper(library: Library) -> LibraryEntry:
    """The entry of copper, which has everything."""
    return _entry(library, COPPER)


@pytest.fixture(scope="session")
def magnesium(library: Library) -> LibraryEntry:
    """The entry of magnesium, which has everything."""
    return _entry(library, MAGNESIUM)


@pytest.fixture(scope="session")
def broken(library: Library) -> LibraryEntry:
    """The entry that failed."""
    return _entry(library, BROKEN)


@pytest.fixture(scope="session")
def renamed() -> Renamed:
    """Function that gives an entry whose potential is described otherwise."""
    return _renamed


@pytest.fixture(scope="session")
def hostile_library(library: Library, copper: LibraryEntry, broken: LibraryEntry) -> Library:
    """Foreign texts that try to become markup, scripts, templates or format strings, in every field that has any."""
    bad = _renamed(copper, **dict.fromkeys(("id", "citation", "source", "family"), HOSTILE), source_flags=(HOSTILE,))
    bad = _renamed(bad, doi='10.1/"><img src=x onerror=boom()>')
    worse = _renamed(broken, id=HOSTILE + "2", citation="%{x} {{ 7 * 7 }} {x}", doi="javascript:boom()")
    failure = StageFailure(error_class=HOSTILE, reason=HOSTILE, expected=HOSTILE, next_step=HOSTILE, evidence=HOSTILE)
    stages = tuple(dataclasses.replace(stage, failure=failure) for stage in worse.stages)
    return dataclasses.replace(library, entries=(bad, dataclasses.replace(worse, stages=stages)))


def _entry(library: Library, name: str) -> LibraryEntry:
    return next(each for each in library.entries if each.potential.id == name)


def _renamed(old: LibraryEntry, **changes: object) -> LibraryEntry:
    potential = dataclasses.replace(old.potential, **changes)
    stages = tuple(dataclasses.replace(stage, potential=potential) for stage in old.stages)
    return dataclasses.replace(old, potential=potential, stages=stages)
