"""A few potentials of the shipped library, one of them failed, one of them with every kind of Peierls stress."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from glideflow import strength_library
from glideflow.properties.peierls_paper_results import PaperCell, PeierlsPaperResult
from glideflow.properties.peierls_series_results import ErrorBudget, PeierlsSeriesResult, SeriesValue
from glideflow.properties.peierls_strain_results import PeierlsStrainResult
from glideflow.properties.results import PeierlsStressResult
from glideflow.records import Library, LibraryEntry, StageFailure, StageRecord
from glideflow.reporting.website.site import write_site

HOSTILE = '</script><img src=x onerror=boom()><b>&amp; %{x} {{7*7}}\u2028"'
PER_METAL = {"Cu": 3, "Fe": 1, "Mg": 1}
VOID = {"meta", "input", "img", "br", "link", "hr"}


class Page(HTMLParser):
    """Elements in order and the text of each."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[list[str]] = []
        self._open: list[int] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert not self._open, [self.elements[k] for k in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.texts.append([])
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.texts.append([])

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open[-1]][0] == tag, (self.path, tag, self.elements[self._open[-1]])
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for index in self._open:
            self.texts[index].append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        """Attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def ids(self) -> set[str]:
        """Every identifier, which must be unique."""
        found = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        assert len(found) == len(set(found)), (self.path, found)
        return set(found)

    @property
    def text(self) -> str:
        """The whole text, white space folded."""
        return " ".join("".join(self.texts[0]).split())


def _pages(folder: Path) -> list[Page]:
    """Every page of a site."""
    return [Page(path) for path in sorted(folder.rglob("*.html"))]


def with_results(entry: LibraryEntry, **results: object) -> LibraryEntry:
    """An entry with other records of some properties, made from the one of its Peierls stress."""
    base = entry.stage("peierls_stress")
    assert base is not None
    made = tuple(dataclasses.replace(base, property=name, result=result) for name, result in results.items())
    kept = with_results_of(entry, lambda name: name not in results).stages
    return dataclasses.replace(entry, stages=(*kept, *made))  # type: ignore[arg-type]


def series_of(result: PeierlsStressResult) -> PeierlsSeriesResult:
    """A size series with one search that failed."""
    common = {"varied": "size", "cut": "wide", "direction": "forward", "force_tolerance_ev_per_angstrom": 1e-6}
    values = (
        SeriesValue(name="60x100", burgers_vectors=60, nominal_height_angstrom=100, peierls_mpa=2.0, error_mpa=0.1,
                    in_fit=True, atoms=5000, **common),
        SeriesValue(name="120x200", burgers_vectors=120, nominal_height_angstrom=200, peierls_mpa=1.5, error_mpa=0.1,
                    in_fit=True, atoms=20000, **common),
        SeriesValue(name="240x200", burgers_vectors=240, nominal_height_angstrom=200, reason="time limit", **common),
    )  # fmt: skip
    return PeierlsSeriesResult(
        slip_system=result.slip_system, label=result.label, character="edge", cut="wide", peierls_mpa=1.4,
        peierls_error_mpa=0.3, is_upper_bound=False, basis="size fit", settled=False, reference_mpa=2.0,
        infinite_mpa=1.4, height_coefficient_mpa_angstrom=60.0, length_coefficient_mpa_angstrom=None,
        budget=ErrorBudget(bracket_mpa=0.1, height_mpa=0.2, cut_mpa=5.0), values=values,
    )  # fmt: skip


def paper_of(result: PeierlsStressResult) -> PeierlsPaperResult:
    """A value by the paper's protocol."""
    strain = np.array([0.0, 1e-4, 2e-4])
    cell = PaperCell(
        name="reference", outcome="glided", peierls_mpa=17.5, peak_strain=1e-4, atoms=5712, burgers_vectors=60,
        length_angstrom=152.0, height_angstrom=98.0, line_angstrom=4.4, rigid_planes=3, steps=20, evaluations=999,
        shear_strain=strain, stress_mpa=np.array([0.0, 17.5, 3.0]), core_position_angstrom=np.array([0.0, 1.0, 2.6]),
        largest_force_ev_per_angstrom=np.full(3, 1e-5),
    )  # fmt: skip
    return PeierlsPaperResult(
        slip_system=result.slip_system, label=result.label, character="edge", protocol="paper", cut="wide",
        peierls_mpa=17.5, size_s_mpa=None, strain_step=1e-5, energy_tolerance=1e-10,
        force_tolerance_ev_per_angstrom=1e-10, max_evaluations=20000, cells=(cell,),
    )  # fmt: skip


def strain_of(result: PeierlsStressResult) -> PeierlsStrainResult:
    """A value by strain control."""
    return PeierlsStrainResult(
        slip_system=result.slip_system, label=result.label, character="edge", cut="wide", direction="forward",
        peierls_mpa=1.9, peierls_error_mpa=0.1, resolution_mpa=0.01, force_tolerance_ev_per_angstrom=1e-6, atoms=5712,
        burgers_vectors=60, length_angstrom=152.0, height_angstrom=98.0, shear_strain=np.array([0.0, 1e-5]),
        stress_mpa=np.array([0.0, 1.9]), core_position_angstrom=np.array([0.0, 0.4]), glide_strain=2e-5,
    )  # fmt: skip


def failed(entry: LibraryEntry, name: str, **failure: str) -> LibraryEntry:
    """An entry with one property that failed."""

    def changed(stage: StageRecord) -> StageRecord:
        if stage.property != name:
            return stage
        return dataclasses.replace(stage, status="failed", result=None, failure=StageFailure(**failure))

    return dataclasses.replace(entry, stages=tuple(changed(stage) for stage in entry.stages))


def renamed(entry: LibraryEntry, **changes: object) -> LibraryEntry:
    """An entry whose potential is described otherwise."""
    potential = dataclasses.replace(entry.potential, **changes)  # type: ignore[arg-type]
    stages = tuple(dataclasses.replace(stage, potential=potential) for stage in entry.stages)
    return dataclasses.replace(entry, potential=potential, stages=stages)


def _chosen() -> list[LibraryEntry]:
    """The first potentials of some metals that have everything, without the size series that some of them have."""
    shipped = strength_library.load().entries
    complete = [entry for entry in shipped if (stage := entry.stage("peierls_stress")) is not None and stage.ok]
    chosen = []
    for element, count in PER_METAL.items():
        chosen += [entry for entry in complete if entry.potential.element == element][:count]
    return [with_results_of(entry, lambda name: name != "peierls_series") for entry in chosen]


def with_results_of(entry: LibraryEntry, wanted: Callable[[str], bool]) -> LibraryEntry:
    """An entry with the records of some properties only."""
    return dataclasses.replace(entry, stages=tuple(stage for stage in entry.stages if wanted(stage.property)))


@pytest.fixture(scope="session")
def library() -> Library:
    """Five potentials: one with every kind of Peierls stress, one whose elastic constants failed."""
    first, second, *others = _chosen()
    stage = first.stage("peierls_stress")
    assert stage is not None
    assert isinstance(stage.result, PeierlsStressResult)
    result = stage.result
    first = with_results(
        first, peierls_series=series_of(result), peierls_paper=paper_of(result), peierls_strain=strain_of(result)
    )
    second = failed(second, "elastic", error_class="TimeLimit", reason="it took too long", next_step="wait")
    return dataclasses.replace(strength_library.load(), name="five", entries=(first, second, *others))


@pytest.fixture(scope="session")
def hostile_library(library: Library) -> Library:
    """Foreign texts that try to become markup, scripts, templates or paths, in every field that has any."""
    first, second, third, *_ = library.entries
    texts = dict.fromkeys(("citation", "source", "family", "licence", "pair_style"), HOSTILE)
    first = renamed(first, id=HOSTILE, doi='10.1/"><img src=x onerror=boom()>', source_flags=(HOSTILE,), **texts)
    second = renamed(second, id="../../etc/passwd", doi="javascript:boom()", source_status=HOSTILE)
    second = failed(second, "elastic", **dict.fromkeys(("error_class", "reason", "expected", "evidence"), HOSTILE))
    third = dataclasses.replace(renamed(third, id="UNEP-v1:Cu"), flags=(HOSTILE,), missing=(HOSTILE,))
    return dataclasses.replace(library, name=HOSTILE, entries=(first, second, third))


@pytest.fixture(scope="session")
def site(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the site of the five potentials."""
    return write_site(library, tmp_path_factory.mktemp("site") / "site").parent


@pytest.fixture(scope="session")
def hostile_site(hostile_library: Library, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the site of hostile texts."""
    return write_site(hostile_library, tmp_path_factory.mktemp("hostile") / "site").parent


@pytest.fixture(scope="session")
def read() -> Callable[[Path], Page]:
    """Function that parses a page."""
    return Page


@pytest.fixture(scope="session")
def pages() -> Callable[[Path], list[Page]]:
    """Function that parses every page of a site."""
    return _pages
