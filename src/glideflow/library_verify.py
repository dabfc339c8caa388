"""A library against a fresh computation: random potentials are computed again and compared."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from glideflow.config.load import settings_from_mapping
from glideflow.config.run import RunSettings
from glideflow.errors import ConfigurationError, GlideflowError
from glideflow.library_compare import Difference, compare_records
from glideflow.progress import Progress, silent
from glideflow.property_specs import DEFAULT_PROPERTIES, PROPERTIES, Property
from glideflow.records import Library, LibraryEntry, StageRecord

if TYPE_CHECKING:
    from glideflow.config.potentials import PotentialsSettings
    from glideflow.config.slip_systems import SlipSystemSettings
    from glideflow.potentials.record import Potential
    from glideflow.stages import StageRequest

AGREES = "agrees"
DIFFERS = "differs"
NOT_COMPUTED = "not computed"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One record of a library, computed again.

    Attributes:
        potential: id of the potential.
        record: name of the record.
        outcome: ``agrees``, ``differs``, or ``not computed``.
        reason: why it was not computed; empty otherwise.
        differences: what differs.
    """

    potential: str
    record: str
    outcome: str
    reason: str = ""
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What of a library is to be computed again.

    Attributes:
        entries: chosen entries, with the potentials that their files make.
        without_files: ids of the library whose files no source holds, or holds with another content, with the reason.
    """

    entries: tuple[tuple[LibraryEntry, Potential], ...]
    without_files: dict[str, str]


def draw_sample(
    library: Library,
    sources: PotentialsSettings,
    base: Path,
    *,
    count: int,
    seed: int,
    ids: Collection[str] = (),
) -> Sample:
    """Choose potentials of a library at random among those whose files are there.

    Args:
        library: the library.
        sources: section ``potentials`` of a configuration, whose sources hold the files.
        base: folder to which relative paths of sources refer.
        count: how many potentials; all if there are fewer.
        seed: seed of the choice.
        ids: exactly these instead.

    Raises:
        ConfigurationError: the library has no such id.
        PotentialError: a source cannot be read.
    """
    known = {entry.potential.id: entry for entry in library.entries}
    unknown = sorted(set(ids) - known.keys())
    if unknown:
        raise ConfigurationError(
            f"the library has no potential {unknown[0]!r}",
            expected="an id of the library",
            next_step="`glideflow library export FILE.csv` lists them",
        )
    found, without_files = _with_files([known[name] for name in sorted(ids or known)], sources, base)
    chosen = found if ids else random.Random(seed).sample(found, min(count, len(found)))
    return Sample(entries=tuple(chosen), without_files=without_files)


def verify(
    library: Library,
    sample: Sample,
    properties: Collection[Property] = DEFAULT_PROPERTIES,
    progress: Progress = silent,
    work: Path | None = None,
) -> Iterator[Check]:
    """Compute the records of a sample again, with the settings that are stated in them, and compare.

    Lattice, elastic constants and γ surfaces have to agree up to rounding, Peierls stresses within their errors
    (`glideflow.library_compare.COMPARED`); recorded failures have to fail again.

    Args:
        library: the library.
        sample: what is computed again.
        properties: properties that are compared; what they need is computed too.
        progress: called with each step.
        work: folder that keeps what is computed, and from which an interrupted verification by the same code goes on.

    Yields:
        A check per record, as they are made.
    """
    kept = None if work is None else _folder_of_this_code(work)
    for entry, potential in sample.entries:
        fresh = _Fresh(potential, None if kept is None else kept / potential.id, _labelled(progress, potential.id))
        for stage in entry.stages:
            if stage.property in properties or _needed(stage.property, properties):
                check = _check(library, stage, potential, fresh)
                if stage.property in properties:
                    yield check


def _with_files(
    entries: Sequence[LibraryEntry], sources: PotentialsSettings, base: Path
) -> tuple[list[tuple[LibraryEntry, Potential]], dict[str, str]]:
    from glideflow.potentials.select import load_catalogue, with_digests

    catalogue = load_catalogue(sources, base).potentials
    found, missing = [], {}
    for entry in entries:
        identifier = entry.potential.id
        try:
            potential = with_digests(catalogue[identifier])
        except KeyError:
            missing[identifier] = "no source holds it"
        except GlideflowError as error:
            missing[identifier] = error.found
        else:
            if potential.content_sha256 == entry.potential.sha256:
                found.append((entry, potential))
            else:
                missing[identifier] = "its files are not those that the library was computed with"
    return found, missing


def _needed(name: str, properties: Collection[Property]) -> bool:
    return any(name in PROPERTIES[wanted].needs for wanted in properties)


class _Fresh:
    """Records of one potential that were computed again, kept in a folder if there is one."""

    def __init__(self, potential: Potential, folder: Path | None, progress: Progress) -> None:
        self._potential = potential
        self.folder = folder
        self._progress = progress
        self._records: dict[str, StageRecord] = {}

    def upstream(self, need: Property, stage: StageRecord) -> StageRecord | None:
        """The fresh record that a property reads: of the same slip system and character, where it has one."""
        labels = {"slip_system": stage.slip_system, "character": stage.character}
        parts = (labels[label] for label in PROPERTIES[need].labels)
        return self._records.get(".".join([need, *parts]))

    def computed(self, request: StageRequest, name: str) -> StageRecord:
        """The record of a request, read if an earlier call has left it."""
        from glideflow.stages import run_stage
        from glideflow.storage import read_record, write_record

        kept = None if self.folder is None else self.folder / f"{name}.{_digest_of(request)}.h5"
        if kept is not None and kept.is_file():
            self._records[name] = read_record(kept, StageRecord)
            return self._records[name]
        record = self._records[name] = run_stage(request, self._progress)
        if kept is not None:
            write_record(kept, record)
        return record


def _folder_of_this_code(work: Path) -> Path:
    """Records that other code has computed verify nothing."""
    from glideflow.code_digest import code_digest

    return work / f"verify-{code_digest('glideflow.stages')[:16]}"


def _digest_of(request: StageRequest) -> str:
    """Digest of what a record depends on beside the code and what is computed from the same files."""
    decisive = (request.settings.model_dump_json(), request.potential.content_sha256, str(request.slip_system))
    return hashlib.sha256("\n".join(decisive).encode()).hexdigest()[:16]


def _check(library: Library, stage: StageRecord, potential: Potential, fresh: _Fresh) -> Check:
    from glideflow.stages import StageRequest

    def check(outcome: str, **parts: object) -> Check:
        return Check(potential=potential.id, record=stage.record_name, outcome=outcome, **parts)  # type: ignore[arg-type]

    name = cast("Property", stage.property)
    try:
        settings = settings_of(library, stage)
    except ConfigurationError as error:
        return check(NOT_COMPUTED, reason=error.found)
    needs = [fresh.upstream(need, stage) for need in PROPERTIES[name].needs]
    if None in needs:
        return check(NOT_COMPUTED, reason="a property that it needs is not in the library")
    system = _slip_system(settings, stage)
    if stage.slip_system and system is None:
        return check(NOT_COMPUTED, reason=f"the library's configuration has no slip system {stage.slip_system}")
    request = StageRequest(
        name=name,
        potential=potential,
        settings=settings,
        upstream=tuple(need for need in needs if need is not None),
        slip_system=system,
        character=stage.character,
        work=fresh.folder,
    )
    differences = compare_records(stage, fresh.computed(request, stage.record_name))
    return check(DIFFERS if differences else AGREES, differences=differences)


def settings_of(library: Library, stage: StageRecord) -> RunSettings:
    """The configuration of a library, with the settings and the seed that a record was computed with.

    Raises:
        ConfigurationError: this version of glideflow does not understand them.
    """
    own = {stage.property: json.loads(stage.provenance.settings_json), "seed": stage.provenance.seed}
    whole = json.loads(library.settings_json) | own
    return settings_from_mapping(whole, f"settings of {stage.record_name} of {stage.potential.id}")


def _slip_system(settings: RunSettings, stage: StageRecord) -> SlipSystemSettings | None:
    return next((system for system in settings.slip_systems if system.name == stage.slip_system), None)


def _labelled(progress: Progress, potential: str) -> Callable[[str, float, float], None]:
    def labelled(stage: str, done: float, total: float, /) -> None:
        progress(f"{potential} {stage}", done, total)

    return labelled
