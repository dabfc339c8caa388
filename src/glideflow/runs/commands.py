"""Commands that compute something again, as a user types them: every argument quoted for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

WORKFLOW_CONFIGURATION = Path("config/config.yaml")
"""Configuration that the workflow takes by itself."""

PROPERTY_COMMANDS: Mapping[str, str] = {
    "lattice": "lattice",
    "elastic": "elastic",
    "gamma_surface": "gamma",
    "peierls_stress": "peierls",
}
"""Subcommand of ``glideflow`` that computes each property."""


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
