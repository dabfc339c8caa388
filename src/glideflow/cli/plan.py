"""``glideflow plan``: what a run will take before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glideflow.cli.options import ConfigOption

if TYPE_CHECKING:
    from glideflow.plan import RuleEstimate, RunPlan

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86400


def plan(
    config: ConfigOption = None,
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

    run = validate_run(load_settings(config), Path.cwd(), verify=False)
    estimate = plan_run(run, cores=cores, measurements=earlier_measurements(run) if calibrate else ())
    if as_json:
        _print_json(estimate)
    else:
        _print_table(estimate)


def _print_json(estimate: RunPlan) -> None:
    import dataclasses
    import json

    typer.echo(json.dumps(dataclasses.asdict(estimate) | {"jobs": estimate.jobs}, indent=2))


def _print_table(estimate: RunPlan) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Run {estimate.name!r}: {estimate.potentials} potentials, {estimate.jobs} jobs")
    table.add_column("rule")
    for heading in ("jobs", "done", "core-hours", "longest job", "memory", "bytes", "times from"):
        table.add_column(heading, justify="right")
    for rule in estimate.rules:
        table.add_row(*_row(rule))
    console = Console()
    console.print(table)
    console.print(f"{estimate.core_hours:.2f} core-hours, {estimate.gpu_hours:.2f} GPU-hours, ", end="")
    console.print(f"{bytes_text(estimate.result_bytes)} of results")
    console.print(f"about {duration_text(estimate.wall_hours * HOUR_S)} on {estimate.cores} cores")
    if estimate.calibration:
        console.print(f"times calibrated by the benchmarks of: {', '.join(estimate.calibration)}")
    else:
        console.print("times from the cost model alone (good to a factor of two); a first run calibrates it")


def _row(rule: RuleEstimate) -> tuple[str, ...]:
    return (
        rule.rule,
        str(rule.jobs),
        str(rule.done),
        f"{rule.core_hours:.3f}",
        duration_text(rule.longest_job_s),
        f"{rule.memory_gib:.1f} GiB",
        bytes_text(rule.result_bytes),
        f"{rule.measurements} benchmarks" if rule.measurements else "model",
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
