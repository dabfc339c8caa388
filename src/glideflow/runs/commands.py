"""Commands that compute something again, as a user types them: every argument quoted for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from glideflow.property_specs import PROPERTIES, Property

if TYPE_CHECKING:
    from glideflow.run import Task

WORKFLOW_CONFIGURATION = Path("config/config.yaml")
"""Configuration that the workflow takes by itself."""


class RunFolders(Protocol):
    """Where a run keeps its files, relative to where it was started: a `glideflow.run.ResolvedRun`, for one."""

    @property
    def results(self) -> str:
        """Folder of results, ``<results>/<name>``."""

    @property
    def work(self) -> str:
        """Folder of partial results, ``<work>/<name>``."""


def run_configuration(config: Path | None) -> Path | None:
    """The configuration that is meant when none is named: the workflow's, if this is a folder of the workflow."""
    if config is None and WORKFLOW_CONFIGURATION.is_file():
        return WORKFLOW_CONFIGURATION
    return config


def workflow_command(config: Path | None, targets: Iterable[str] = ()) -> str:
    """Command that computes what is missing of a run, and the targets again even if they are there.

    Args:
        config: configuration of the run; None, and the one that the workflow takes by itself, are left out.
        targets: result files that are computed again in any case.
    """
    words = ["snakemake"]
    if config is not None and config != WORKFLOW_CONFIGURATION:
        words += ["--configfile", str(config)]
    forced = list(targets)
    return shlex.join(words + (["--forcerun", *forced] if forced else []))


def task_command(run: RunFolders, task: Task, config: Path | None) -> str:
    """Command that computes one property of one potential again and replaces its record.

    It starts in the folder of the workflow, goes on from partial results, and leaves the library as it is.

    Args:
        run: the run, whose folders are named.
        task: the property, potential, slip system and character.
        config: file of that configuration; None for the built-in defaults.
    """
    spec = PROPERTIES[cast("Property", task.rule)]
    words = ["glideflow", *spec.command.split(), "--potential", task.potential]
    words += ["--config", str(config)] if config is not None else []
    for name, file in zip(spec.needs, task.inputs, strict=True):
        words += [f"--{PROPERTIES[name].argument}", f"{run.results}/{file}"]
    words += ["--slip-system", task.slip_system] if task.slip_system else []
    words += ["--character", task.character] if task.character else []
    words += ["--output", f"{run.results}/{task.output}", "--work", f"{run.work}/{task.potential}"]
    return shlex.join(words)
