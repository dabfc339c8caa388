"""What the steps of the library leave on disk: one property of one potential, and the library that gathers them."""

from __future__ import annotations

import builtins
import hashlib
import json
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glideflow import __version__
from glideflow.errors import PotentialError
from glideflow.properties.peierls_nabarro_results import PeierlsNabarroResult
from glideflow.properties.peierls_paper_results import PeierlsPaperResult
from glideflow.properties.peierls_series_results import PeierlsSeriesResult
from glideflow.properties.peierls_strain_results import PeierlsStrainResult
from glideflow.properties.results import ElasticResult, GammaSurfaceResult, LatticeResult, PeierlsStressResult
from glideflow.storage import record

if TYPE_CHECKING:
    from pydantic import BaseModel

    from glideflow.potentials.record import Potential

PropertyResult = (
    LatticeResult
    | ElasticResult
    | GammaSurfaceResult
    | PeierlsStressResult
    | PeierlsSeriesResult
    | PeierlsPaperResult
    | PeierlsNabarroResult
    | PeierlsStrainResult
)

OK = "ok"
FAILED = "failed"
SKIPPED = "skipped"


@record
@dataclass(frozen=True, kw_only=True)
class PotentialSummary:
    """What a result says of the potential that it was computed with.

    Attributes:
        id: name within the run.
        element: chemical symbol.
        structure: crystal structure.
        engine: engine kind.
        pair_style: LAMMPS pair style, or empty.
        family: name shared by near-copies.
        source: where the files come from.
        source_status: what the source says of it.
        source_flags: remarks of the source.
        fictional: deliberately altered potentials.
        citation: how to cite it.
        doi: digital object identifier, or empty.
        licence: terms under which the files are distributed, or empty.
        sha256: digest of everything that decides the forces; empty if a file cannot be read.
    """

    id: str
    element: str
    structure: str
    engine: str
    pair_style: str
    family: str
    source: str
    source_status: str
    source_flags: tuple[str, ...]
    fictional: bool
    citation: str
    doi: str
    licence: str
    sha256: str


@record
@dataclass(frozen=True, kw_only=True)
class StageFailure:
    """Why a property has no value.

    Attributes:
        error_class: kind of failure: an exception's name, ``Crashed``, ``Killed``, ``TimeLimit``, ``MemoryLimit``,
            ``NotStarted``, ``NoResult`` or ``Upstream``.
        reason: one sentence.
        expected: what would have been right.
        next_step: what the user can do.
        evidence: last lines of output.
    """

    error_class: str
    reason: str
    expected: str = ""
    next_step: str = ""
    evidence: str = ""


@record
@dataclass(frozen=True, kw_only=True)
class Provenance:
    """From what a result came.

    Attributes:
        glideflow_version: version of this package.
        engine: engine that computed it.
        engine_version: its version.
        python_version: version of Python.
        settings_json: settings of the property, as JSON.
        settings_sha256: digest of these.
        seed: seed of everything random.
    """

    glideflow_version: str
    engine: str
    engine_version: str
    python_version: str
    settings_json: str
    settings_sha256: str
    seed: int


@record
@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """One property of one potential: its result, or why there is none.

    Attributes:
        property: name of the property, one of `glideflow.property_specs.PROPERTIES`.
        slip_system: name of the slip system, empty where there is none.
        character: dislocation character, empty where there is none.
        status: ``ok``, ``failed`` or ``skipped`` (a property that it needs has failed).
        potential: the potential.
        provenance: versions, settings, seed.
        result: the result, None unless ``ok``.
        failure: the reason, None if ``ok``.
    """

    property: str
    slip_system: str = ""
    character: str = ""
    status: str
    potential: PotentialSummary
    provenance: Provenance
    result: PropertyResult | None = None
    failure: StageFailure | None = None

    @builtins.property  # `property` is a field here
    def record_name(self) -> str:
        """Name within a library entry, e.g. ``peierls_stress.fcc_111.edge``."""
        return ".".join(filter(None, (self.property, self.slip_system, self.character)))

    @builtins.property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.status == OK


@record
@dataclass(frozen=True, kw_only=True)
class LibraryEntry:
    """Everything computed for one potential.

    Attributes:
        potential: the potential.
        stages: its property records, ordered by property, slip system and character.
        missing: names of the records that should be here and are not, as in `StageRecord.record_name`.
        flags: quality flags (`glideflow.quality_flags`) that its records earn.
        family_computed: family of near-copies as the numbers tell, which includes the source's `potential.family`
            (`glideflow.library_families`); empty in libraries of earlier versions.
    """

    potential: PotentialSummary
    stages: tuple[StageRecord, ...]
    missing: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    family_computed: str = ""

    @property
    def record_name(self) -> str:
        """Name within a library: the potential's id."""
        return self.potential.id

    def stage(self, name: str, slip_system: str = "", character: str = "") -> StageRecord | None:
        """The record of a property; for the empty slip system or character, the first one there is."""
        for stage in self.stages:
            matches = slip_system in ("", stage.slip_system) and character in ("", stage.character)
            if stage.property == name and matches:
                return stage
        return None

    @property
    def status(self) -> str:
        """``ok`` if every property is, ``failed`` if none is, else ``partial``; a missing one is not ok."""
        good = [*(stage.ok for stage in self.stages), *(False for _ in self.missing)]
        return OK if all(good) else "partial" if any(good) else FAILED


@record
@dataclass(frozen=True, kw_only=True)
class MissingResult:
    """A result that a library should hold and does not, because no complete file of it exists.

    Attributes:
        potential: id of the potential; empty, as the following, if the file's name does not say.
        property: name of the property, as in `StageRecord`.
        slip_system: name of the slip system, empty where there is none.
        character: dislocation character, empty where there is none.
        file: where the result should lie.
        reason: why it does not count: the file does not exist, or cannot be read.
    """

    potential: str
    property: str
    slip_system: str
    character: str
    file: str
    reason: str

    @builtins.property  # `property` is a field here
    def stage_name(self) -> str:
        """Name that the record would have, as in `StageRecord.record_name`; the file's if that is unknown."""
        return ".".join(filter(None, (self.property, self.slip_system, self.character))) or self.file


@record
@dataclass(frozen=True, kw_only=True)
class Library:
    """A strength library: entries by potential, and the configuration that they were computed with.

    Attributes:
        name: name of the run.
        glideflow_version: version of this package.
        settings_json: the whole configuration, as JSON.
        entries: one per potential of which there is any result, ordered by id.
        missing: results that were accepted as missing when the library was gathered.
        accept_missing_percent: share of the results that was allowed to be missing.
    """

    name: str
    glideflow_version: str
    settings_json: str
    entries: tuple[LibraryEntry, ...]
    missing: tuple[MissingResult, ...] = ()
    accept_missing_percent: float = 0.0


def summary_of(potential: Potential) -> PotentialSummary:
    """The part of a potential's record that goes into results."""
    return PotentialSummary(
        id=potential.id,
        element=potential.element,
        structure=potential.structure,
        engine=potential.engine,
        pair_style=potential.pair_style,
        family=potential.family,
        source=potential.source,
        source_status=potential.source_status,
        source_flags=potential.flags,
        fictional=potential.fictional,
        citation=potential.citation,
        doi=potential.doi,
        licence=potential.licence,
        sha256=_sha256_if_readable(potential),
    )


def _sha256_if_readable(potential: Potential) -> str:
    """Digest of a potential; that its file cannot be read is a failure to be recorded, not one of the record."""
    try:
        return potential.content_sha256
    except PotentialError:
        return ""


def provenance_of(settings: BaseModel, engine: str, engine_version: str, seed: int) -> Provenance:
    """Provenance of a result computed with these settings."""
    text = json.dumps(settings.model_dump(mode="json"), sort_keys=True)
    return Provenance(
        glideflow_version=__version__,
        engine=engine,
        engine_version=engine_version,
        python_version=platform.python_version(),
        settings_json=text,
        settings_sha256=hashlib.sha256(text.encode()).hexdigest(),
        seed=seed,
    )
