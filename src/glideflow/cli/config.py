"""``glideflow config``: show, check and describe configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Show, check and describe configurations.")

OptionalFile = Annotated[Path | None, typer.Argument(help="YAML file; the built-in defaults if not given.")]
RunFile = Annotated[
    Path | None,
    typer.Argument(help="YAML file; config/config.yaml where it exists if not given, as the workflow does."),
]


@app.command()
def show(file: OptionalFile = None) -> None:
    """Print a configuration with every default filled in and every key described.

    Without a file this is a complete example to start from.
    """
    from glideflow.config.load import load_settings
    from glideflow.config.yaml_text import settings_yaml

    typer.echo(settings_yaml(load_settings(file)), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON schema (draft 2020-12), for editors that complete and check YAML."""
    from glideflow.config.load import json_schema_text

    typer.echo(json_schema_text(), nl=False)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="YAML files.")],
    *,
    settings_only: Annotated[
        bool, typer.Option("--settings-only", help="Leave out the potentials: their files need not be here.")
    ] = False,
) -> None:
    """Check configurations and the potentials that they select, as a run does before its first job."""
    from glideflow.config.load import load_settings
    from glideflow.run import validate_run

    for file in files:
        settings = load_settings(file)
        if settings_only:
            typer.echo(f"{file}: run {settings.name!r} is consistent (potentials not looked at)")
            continue
        run = validate_run(settings, Path.cwd())
        elements = sorted({potential.element for potential in run.potentials})
        typer.echo(
            f"{file}: run {settings.name!r}, {len(run.potentials)} potentials of {', '.join(elements)}, "
            f"{len(run.tasks())} jobs"
        )


@app.command()
def results(file: RunFile = None) -> None:
    """Print where the results of a configuration lie, and which of them exist."""
    from glideflow.config.load import load_settings
    from glideflow.run import LIBRARY_FILE, REPORT_FILE, SITE_FILE, TABLE_FILE, results_folder
    from glideflow.runs.commands import run_configuration

    folder = results_folder(load_settings(run_configuration(file)))
    for label, name in (("report", REPORT_FILE), ("site", SITE_FILE), ("library", LIBRARY_FILE), ("table", TABLE_FILE)):
        path = Path(folder, name).resolve()
        typer.echo(f"{label:8s}{path}{'' if path.exists() else '  (not there yet)'}")
