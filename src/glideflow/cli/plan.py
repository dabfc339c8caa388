"""``glideflow plan``: what a run will take before it starts."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glideflow.cli.status import RunConfigOption

if TYPE_CHECKING:
    from glideflow.config.run import RunSettings
    from glideflow.mobility_plan import MobilityPlan
    from glideflow.plan import RuleEstimate, RunPlan

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86400
WIDEST = 1000


class Branch(StrEnum):
    """Branches of the workflow whose costs are modelled."""

    LIBRARY = "library"
    MOBILITY = "mobility"


def plan(
    config: RunConfigOption = None,
    branch: Annotated[
        Branch, typer.Option(help="What is run: `snakemake` (library), or `snakemake mobility`.")
    ] = Branch.LIBRARY,
    cores: Annotated[int, typer.Option(min=1, help="Cores that the run may use at a time.")] = 2,
    *,
    calibrate: Annotated[
        bool, typer.Option(help="Use the benchmarks of earlier runs in the same folder of results.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Say how many jobs, core-hours and bytes a run takes, and how long on so many cores, before it runs."""
    from glideflow.config.load import load_settings
    from glideflow.plan import earlier_measurements, plan_run
    from glideflow.run import validate_run
    from glideflow.runs.commands import run_configuration

    settings = load_settings(run_configuration(config))
    if branch is Branch.MOBILITY:
        _print_mobility(settings, cores, as_json=as_json)
        return
    run = validate_run(settings, Path.cwd(), verify=False)
    estimate = plan_run(run, cores=cores, measurements=earlier_measurements(run) if calibrate else ())
    if as_json:
        _print_json(estimate)
    else:
        _print_table(estimate)


def _print_mobility(settings: RunSettings, cores: int, *, as_json: bool) -> None:
    import dataclasses
    import json

    from glideflow.mobility_plan import plan_mobility
    from glideflow.potentials.select import find

    potential = find(settings.potentials, Path.cwd(), settings.mobility.potential)
    estimate = plan_mobility(settings, potential, cores=cores, base=Path.cwd())
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(estimate), indent=2))
        return
    _print_table(estimate.run)
    for line in _on_gpus(estimate):
        typer.echo(line)


def _on_gpus(estimate: MobilityPlan) -> Iterator[str]:
    yield f"{estimate.atom_steps:.2g} atom-steps; on A100 GPUs, at the published 1.16e8 a second (not measured here):"
    dynamics, extraction = estimate.gpu_hours_dynamics, estimate.gpu_hours_extraction
    yield f"{dynamics:.1f} GPU-hours, and {extraction:.1f} more where they wait for one thread that extracts the lines"


def _print_json(estimate: RunPlan) -> None:
    import dataclasses
    import json

    typer.echo(json.dumps(dataclasses.asdict(estimate) | {"jobs": estimate.jobs}, indent=2))


def _print_table(estimate: RunPlan) -> None:
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    title = f"Run {estimate.name!r}: {estimate.potentials} potentials, {estimate.jobs} jobs"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("rule", no_wrap=True)
    for heading in ("jobs", "done", "core-hours", "longest", "memory", "results", "measured"):
        table.add_column(heading, justify="right", no_wrap=True)
    for rule in estimate.rules:
        table.add_row(*_row(rule))
    console = Console()
    wanted = Measurement.get(console, console.options.update(max_width=WIDEST), table).maximum
    Console(width=max(console.width, wanted)).print(table)  # cut off, numbers would be wrong
    for line in _summary(estimate):
        console.print(line, highlight=False, soft_wrap=True)


def _summary(estimate: RunPlan) -> Iterator[str]:
    yield f"{estimate.core_hours:.2f} core-hours, {estimate.gpu_hours:.2f} GPU-hours"
    yield f"{bytes_text(estimate.result_bytes)} of results, {bytes_text(estimate.partial_bytes)} of partial results"
    late = sum(rule.jobs_over_limit for rule in estimate.rules)
    if late:
        yield f"{late} jobs are expected to reach engine.time_limit_s and to end as recorded failures"
    yield f"about {duration_text(estimate.wall_hours * HOUR_S)} on {estimate.cores} cores"
    if not estimate.can_be_calibrated:
        yield "times are those of the cost model, good to a factor of two"
    elif estimate.calibration:
        yield f"times are scaled by the benchmarks of {', '.join(estimate.calibration)} (column `measured`: how many)"
    else:
        yield "times are those of the cost model, good to a factor of two; the benchmarks of a first run improve them"


def _row(rule: RuleEstimate) -> tuple[str, ...]:
    return (
        rule.rule,
        str(rule.jobs),
        str(rule.done),
        f"{rule.core_hours:.3f}",
        duration_text(rule.longest_job_s),
        f"{rule.memory_gib:.1f} GiB",
        bytes_text(rule.result_bytes),
        str(rule.measurements or "-"),
    )


def duration_text(seconds: float) -> str:
    """A duration in the unit that suits it: ``12 s``, ``3.5 min``, ``2.1 h``, ``4.0 d``."""
    for limit, size, unit in ((MINUTE_S, 1, "s"), (HOUR_S, MINUTE_S, "min"), (DAY_S, HOUR_S, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} s" if unit == "s" else f"{seconds / size:.1f} {unit}"
    return f"{seconds / DAY_S:.1f} d"


def bytes_text(count: float) -> str:
    """A number of bytes with a decimal prefix: ``1.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
