"""The configuration behind a library: slip systems in words, and commands that compute a record again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from glideflow.config.run import Property
from glideflow.config.slip_systems import PRIMARY_SLIP_SYSTEMS, SlipSystemSettings
from glideflow.properties.results import GammaSurfaceResult, PeierlsStressResult
from glideflow.records import Library, StageRecord
from glideflow.reporting.labels import SlipLabels, plain, slip_labels
from glideflow.result_files import RESULT_FILES
from glideflow.run import CONFIGURATION_FILE

_COMMANDS = {"lattice": "lattice", "elastic": "elastic", "gamma_surface": "gamma", "peierls_stress": "peierls"}


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
        return f"{str(self.settings.get('results', 'results')).rstrip('/')}/{self.settings.get('name', 'quick')}"

    def slip_labels(self, result: GammaSurfaceResult | PeierlsStressResult) -> SlipLabels:
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
        pattern = RESULT_FILES[cast("Property", stage.property)]
        labels = {"slip_system": stage.slip_system, "character": stage.character}
        return f"{self.results}/{pattern.format(potential=stage.potential.id, **labels)}"

    def log(self, stage: StageRecord) -> str:
        """Path of the log that the workflow keeps of a step."""
        parts = filter(None, (stage.property, stage.potential.id, stage.slip_system, stage.character))
        return f"{self.results}/logs/{'/'.join(parts)}.log"

    def command(self, stage: StageRecord) -> str:
        """Command that computes a record again and replaces it, quoted for a shell."""
        words = ["glideflow", _COMMANDS[stage.property], "--potential", stage.potential.id]
        words += ["--config", f"{self.results}/{CONFIGURATION_FILE}"]
        if stage.property != "lattice":
            words += ["--lattice", f"{self.results}/{RESULT_FILES['lattice'].format(potential=stage.potential.id)}"]
        words += ["--slip-system", stage.slip_system] if stage.slip_system else []
        words += ["--character", stage.character] if stage.character else []
        return shlex.join([*words, "--output", self.output(stage)])


def run_context(library: Library) -> RunContext:
    """Context of a library."""
    return RunContext(json.loads(library.settings_json))
