"""The configuration behind a library: slip systems in words, and commands that compute a record again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from glideflow.config.slip_systems import PRIMARY_SLIP_SYSTEMS, SlipSystemSettings
from glideflow.properties.peierls_nabarro_results import PeierlsNabarroResult
from glideflow.properties.peierls_paper_results import PeierlsPaperResult
from glideflow.properties.peierls_series_results import PeierlsSeriesResult
from glideflow.properties.peierls_strain_results import PeierlsStrainResult
from glideflow.properties.results import GammaSurfaceResult, PeierlsStressResult
from glideflow.property_specs import Property
from glideflow.records import Library, StageRecord
from glideflow.reporting.labels import SlipLabels, plain, slip_labels
from glideflow.run import CONFIGURATION_FILE, Task, property_task
from glideflow.runs.commands import task_command

SlipResult = (
    GammaSurfaceResult
    | PeierlsStressResult
    | PeierlsSeriesResult
    | PeierlsPaperResult
    | PeierlsNabarroResult
    | PeierlsStrainResult
)
"""Results that belong to a slip system."""


@dataclass(frozen=True)
class RunContext:
    """What the report needs of the configuration that a library holds.

    Attributes:
        settings: the configuration; keys that are missing have their defaults.
    """

    settings: Mapping[str, Any]

    @property
    def results(self) -> str:
        """Folder of the run's results, relative to where the run was started."""
        return self._folder("results")

    @property
    def work(self) -> str:
        """Folder of the run's partial results, relative to where the run was started."""
        return self._folder("work")

    def _folder(self, kind: str) -> str:
        return f"{str(self.settings.get(kind, kind)).rstrip('/')}/{self.settings.get('name', 'quick')}"

    def slip_labels(self, result: SlipResult) -> SlipLabels:
        """Labels of the slip system of a result; its own label where the configuration does not know it."""
        configured = self.settings.get("slip_systems")
        systems = PRIMARY_SLIP_SYSTEMS if configured is None else map(SlipSystemSettings.model_validate, configured)
        for system in systems:
            if system.name == result.slip_system:
                return slip_labels(system)
        label = plain(result.label)
        return SlipLabels(name=result.slip_system, plane=label, x="b", y="", minus_y="", burgers_vector=f"b of {label}")

    def output(self, stage: StageRecord) -> str:
        """Path of a record, relative to where the run was started."""
        return f"{self.results}/{task_of(stage).output}"

    def log(self, stage: StageRecord) -> str:
        """Path of the log that the workflow keeps of a step."""
        return f"{self.results}/{task_of(stage).log}"

    def command(self, stage: StageRecord) -> str:
        """Command that computes a record again and replaces it, quoted for a shell."""
        return task_command(self, task_of(stage), Path(self.results, CONFIGURATION_FILE))


def task_of(stage: StageRecord) -> Task:
    """The task of a run whose result is this record."""
    name = cast("Property", stage.property)
    return property_task(name, stage.potential.id, slip_system=stage.slip_system, character=stage.character)


def run_context(library: Library) -> RunContext:
    """Context of a library."""
    return RunContext(json.loads(library.settings_json))
