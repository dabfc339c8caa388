"""One property of a whole library anew, from the records that it is made of: no potential and no engine is asked."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from glideflow.atomic import write_text
from glideflow.config.load import settings_from_mapping
from glideflow.config.run import RunSettings
from glideflow.config.slip_systems import SlipSystemSettings
from glideflow.config.yaml_text import settings_yaml
from glideflow.crystals.slip_systems import slip_system
from glideflow.errors import ConfigurationError, GlideflowError
from glideflow.progress import Progress, silent
from glideflow.property_specs import PROPERTIES, Property, PropertySpec
from glideflow.records import FAILED, OK, SKIPPED, Library, LibraryEntry, StageFailure, StageRecord, provenance_of
from glideflow.result_files import RESULT_FILES
from glideflow.run import CONFIGURATION_FILE
from glideflow.stages import function_of, upstream_failure
from glideflow.storage import write_record

_OF_THE_POTENTIAL = {"engine", "potential", "workbench"}
"""Parameters of functions that evaluate a potential."""


def recomputable() -> tuple[Property, ...]:
    """Properties that follow from the results of others alone."""
    return tuple(name for name, spec in PROPERTIES.items() if not _OF_THE_POTENTIAL & _parameters(spec))


def recompute_settings(library: Library, name: Property, given: RunSettings) -> RunSettings:
    """The configuration of a library with the sections of a property taken from another one.

    Args:
        library: the library.
        name: the property, which is among those that the configuration asks for afterwards.
        given: configuration whose sections decide the property.

    Raises:
        ConfigurationError: this version of glideflow does not understand the library's configuration.
    """
    own: dict[str, Any] = json.loads(library.settings_json)
    chosen = given.model_dump(mode="json")
    own |= {section: chosen[section] for section in PROPERTIES[name].sections}
    own["properties"] = list(dict.fromkeys([*own["properties"], name]))
    return settings_from_mapping(own, f"configuration of {library.name}")


def recompute(
    library: Library, name: Property, settings: RunSettings, progress: Progress = silent
) -> Iterator[StageRecord]:
    """Compute a property again for every potential of a library that has what it needs.

    Args:
        library: the library.
        name: one of `recomputable`.
        settings: configuration with its slip systems and the sections of the property; see `recompute_settings`.
        progress: called with each record.

    Yields:
        A record for each potential, slip system and character, as they are made; failures are recorded. A potential
        that lacks a record that the property needs has none.

    Raises:
        ConfigurationError: the property cannot be had from records alone.
    """
    _refuse_evaluating(name)
    wanted = [request for entry in library.entries for request in _requests(entry, name, settings)]
    for done, request in enumerate(wanted):
        progress(PROPERTIES[name].title, done, len(wanted))
        yield request.record()


def write_recomputed(stages: Iterable[StageRecord], settings: RunSettings, folder: Path) -> Iterator[str]:
    """Write records as the results of a run, with its configuration, and yield the status of each.

    Args:
        stages: the records.
        settings: the configuration, see `recompute_settings`.
        folder: ``<results>/<name>`` of that run. Records of the same names in it are replaced.

    Raises:
        StorageError: a file cannot be written.
    """
    write_text(folder / CONFIGURATION_FILE, settings_yaml(settings))
    for stage in stages:
        labels = {"slip_system": stage.slip_system, "character": stage.character}
        name = cast("Property", stage.property)
        write_record(folder / RESULT_FILES[name].format(potential=stage.potential.id, **labels), stage)
        yield stage.status


@dataclass(frozen=True, kw_only=True)
class _Request:
    """A property of a potential, and the records that it is made of, in the order of its needs."""

    name: Property
    settings: RunSettings
    upstream: tuple[StageRecord, ...]
    system: SlipSystemSettings | None
    character: str

    def record(self) -> StageRecord:
        """The property, or why there is none."""
        failed = next((each for each in self.upstream if not each.ok), None)
        if failed is not None:
            return self._record(SKIPPED, failure=upstream_failure(failed))
        try:
            return self._record(OK, result=self._result())
        except GlideflowError as error:
            failure = StageFailure(
                error_class=type(error).__name__,
                reason=error.found,
                expected=error.expected,
                next_step=error.next_step,
            )
        except (ArithmeticError, np.linalg.LinAlgError) as error:
            failure = StageFailure(error_class=type(error).__name__, reason=str(error))
        return self._record(FAILED, failure=failure)

    def _result(self) -> Any:  # noqa: ANN401 - any of `PropertyResult`
        spec = PROPERTIES[self.name]
        offered = {
            "settings": getattr(self.settings, spec.sections[0]),
            "system": slip_system(self.system) if self.system else None,
            "character": self.character,
            "seed": self.settings.seed,
            **{f"{section}_settings": getattr(self.settings, section) for section in spec.sections},
            **{PROPERTIES[need].argument: each.result for need, each in zip(spec.needs, self.upstream, strict=True)},
        }
        wanted = _parameters(spec)
        return function_of(spec)(**{key: value for key, value in offered.items() if key in wanted})

    def _record(self, status: str, **parts: Any) -> StageRecord:  # noqa: ANN401 - result or failure
        section = getattr(self.settings, PROPERTIES[self.name].sections[0])
        latest = self.upstream[-1]
        engine = latest.provenance
        return StageRecord(
            property=self.name,
            slip_system=self.system.name if self.system else "",
            character=self.character,
            status=status,
            potential=latest.potential,
            provenance=provenance_of(section, engine.engine, engine.engine_version, self.settings.seed),
            **parts,
        )


def _requests(entry: LibraryEntry, name: Property, settings: RunSettings) -> Iterator[_Request]:
    """What there is to compute for a potential: for each slip system and character of which it has the records."""
    spec = PROPERTIES[name]
    for system, character in _labels(entry, spec, settings):
        labels = {"slip_system": system.name if system else "", "character": character}
        needed = [
            entry.stage(need, *(labels[label] for label in PROPERTIES[need].labels)) for need in PROPERTIES[name].needs
        ]
        upstream = tuple(stage for stage in needed if stage is not None)
        if len(upstream) == len(needed):
            yield _Request(name=name, settings=settings, upstream=upstream, system=system, character=character)


def _labels(
    entry: LibraryEntry, spec: PropertySpec, settings: RunSettings
) -> Iterator[tuple[SlipSystemSettings | None, str]]:
    if "slip_system" not in spec.labels:
        yield None, ""
        return
    for system in settings.slip_systems:
        if system.structure == entry.potential.structure:
            yield from (
                (system, character) for character in (system.characters if "character" in spec.labels else ("",))
            )


def _parameters(spec: PropertySpec) -> set[str]:
    return set(inspect.signature(function_of(spec)).parameters)


def _refuse_evaluating(name: Property) -> None:
    if name not in recomputable():
        raise ConfigurationError(
            f"{name} evaluates the potential",
            expected=f"a property that follows from the records of others: {', '.join(recomputable())}",
            next_step="compute it with the workflow, from the potential's files",
        )
