"""``glideflow doctor``: a site looked over before the first run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glideflow.cli.options import JsonOption
from glideflow.cli.status import RunConfigOption

if TYPE_CHECKING:
    from glideflow.config.run import RunSettings
    from glideflow.site.check import Check
    from glideflow.site.slurm import SlurmSite

BLOCKED = 1
NOT_NEEDED = "[yellow]missing,\nnot needed[/]"
MARKS = {
    "ok": "[green]ok[/]",
    "warning": "[yellow]warning[/]",
    "missing": "[red]missing[/]",
    "not applicable": "[dim]–[/]",
}


def doctor(
    config: RunConfigOption = None,
    profile: Annotated[
        str,
        typer.Option(help="Snakemake profile that will be used, e.g. slurm: what it needs is then required."),
    ] = "",
    time_limit: Annotated[
        float, typer.Option(min=1, help="Seconds that one probe of LAMMPS may take; other questions have at most 15.")
    ] = 60.0,
    write_profile: Annotated[
        Path | None, typer.Option(help="Write a Slurm profile for this site into this folder, and look no further.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a profile that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look a site over before the first run: what the configuration needs, what is there, what to do about the rest.

    Everything is tried and not only looked for: an energy in LAMMPS, two MPI ranks, writing, Slurm's answers. Exits
    with 1 if something that the configuration (or --profile) needs is missing.
    """
    from glideflow.cli.display import progress_display
    from glideflow.config.load import load_settings
    from glideflow.runs.commands import run_configuration
    from glideflow.site.doctor import Visit, examine, look_at

    # As in the workflow, whose jobs find glideflow and mpiexec beside their Python.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    settings = load_settings(run_configuration(config))
    visit = Visit(settings=settings, base=Path.cwd(), profile=profile, limit_s=time_limit)
    slurm = look_at(visit)
    if write_profile is not None:
        _write_profile(slurm, settings, write_profile, overwrite=force)
        return
    with progress_display() as progress:
        checks = examine(visit, slurm, progress)
    _print_json(checks) if as_json else _print_table(checks)
    if any(check.blocking for check in checks):
        raise typer.Exit(BLOCKED)


def _write_profile(slurm: SlurmSite, settings: RunSettings, folder: Path, *, overwrite: bool) -> None:
    from glideflow.site.profile_checks import Demand
    from glideflow.site.profile_text import write_profile

    file = write_profile(slurm, Demand.of(settings.engine), folder, overwrite=overwrite)
    print(f"wrote {file}; look it over, then: snakemake --profile {folder}", file=sys.stderr)


def _print_json(checks: Iterable[Check]) -> None:
    import dataclasses
    import json

    rows = [dataclasses.asdict(check) | {"blocking": check.blocking} for check in checks]
    document = {"ready": not any(row["blocking"] for row in rows), "checks": rows}
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _print_table(checks: tuple[Check, ...]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table("what", "", "found", show_lines=False, expand=False)
    area = ""
    for check in checks:
        if check.area != area:
            table.add_section()
            table.add_row(Text(check.area, style="bold"), "", "")
            area = check.area
        mark = NOT_NEEDED if check.status == "missing" and not check.required else MARKS[check.status]
        table.add_row(Text(f"  {check.name}"), mark, Text("\n".join(_lines(check))))
    console.print(table)
    console.print(_summary(checks), markup=False)


def _lines(check: Check) -> list[str]:
    lines = [check.found]
    lines += [f"expected: {check.expected}"] if check.expected else []
    lines += [f"next step: {check.next_step}"] if check.next_step else []
    return lines


def _summary(checks: tuple[Check, ...]) -> str:
    blocking = [f"{check.area}, {check.name}" for check in checks if check.blocking]
    if blocking:
        return f"not ready: the configuration needs {'; '.join(blocking)}"
    warnings = sum(check.status == "warning" for check in checks)
    return f"ready: nothing that the configuration needs is missing; warnings: {warnings}"
