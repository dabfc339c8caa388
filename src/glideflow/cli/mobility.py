"""Commands on the mobility of dislocations."""

from __future__ import annotations

import typer

from glideflow.cli import mobility_dynamics

app = typer.Typer(
    no_args_is_help=True,
    help="Mobility of dislocations: molecular dynamics of moving lines, and their velocities.",
)
app.command()(mobility_dynamics.run)
app.command()(mobility_dynamics.velocity)
