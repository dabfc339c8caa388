"""The command that validates a trained mobility law on trajectories that it has not seen."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glideflow.cards import plain_json
from glideflow.cli.mobility_data import TRAJECTORIES_HELP
from glideflow.cli.options import RUN_PANEL, ConfigOption, JsonOption, SetOption, settings_from
from glideflow.cli.transfer_options import print_rows
from glideflow.errors import ConfigurationError
from glideflow.job_log import WROTE

if TYPE_CHECKING:
    from glideflow.config.mobility import MobilitySettings
    from glideflow.mobility.artifacts import MobilityCard
    from glideflow.mobility.ensemble import MobilityEnsemble
    from glideflow.mobility.glide_terms import TermSeries
    from glideflow.mobility.validation import Validation

Writer = Callable[["Validation", Sequence["TermSeries"]], str]


def validate(
    model: Annotated[
        Path, typer.Argument(help="Folder or model.safetensors of `glideflow mobility train`, or `shipped`.")
    ],
    trajectories: Annotated[list[Path], typer.Argument(help=TRAJECTORIES_HELP, metavar="TRAJECTORY")],
    *,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to write it: NAME.html, NAME.csv or NAME.md. Repeatable.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = None,
    seen: Annotated[
        bool, typer.Option("--seen", help="Count trajectories that the model was trained on or stopped by as well.")
    ] = False,
    roll_outs: Annotated[
        int, typer.Option(min=0, help="Trajectories of each kind of lines that are rolled out, evenly chosen; 0: none.")
    ] = 8,
    interval: Annotated[
        float, typer.Option(min=1e-4, max=1e6, help="Time in ps between comparisons of a roll-out with its simulation.")
    ] = 1.0,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Test a trained model on trajectories that it has not seen, beside simpler laws fitted to the same data.

    Errors of single steps by angle, stress and temperature with the thermal
    floor; mean velocities, and whether the spread of the ensemble covers their
    errors; roll-outs: from one frame on, the law alone moves the lines. The page
    (NAME.html) also shows what the model makes of straight lines: force over drag,
    barrier and velocity. Give all trajectories: those of the training do not
    count. The cell of the straight lines is mobility.cells.size_nm.
    """
    from glideflow.atomic import write_text
    from glideflow.cli.display import progress_display
    from glideflow.cli.properties import refuse_unwritable
    from glideflow.mobility.dataset import trajectories_from
    from glideflow.packages import refuse_without_torch

    outputs = [(file, _writer(file)) for file in output or ()]
    for file, _ in outputs:
        refuse_unwritable(file)
    refuse_without_torch("mobility")
    from glideflow.mobility.artifacts import read_ensemble
    from glideflow.mobility.shipped import model_path
    from glideflow.mobility.validation import validate as validated

    settings = settings_from(config, overrides).mobility
    ensemble, card = read_ensemble(model_path(model))
    named = list(trajectories_from(trajectories, by_stem=True).items())
    with progress_display() as progress:
        found = validated(
            ensemble,
            card,
            named,
            settings.network,
            seen=seen,
            roll_outs=roll_outs,
            interval_ps=interval,
            progress=progress,
        )
    series = _series(ensemble, card, settings) if outputs or as_json else ()
    for file, text in outputs:
        write_text(file, text(found, series))
        print(f"{WROTE} {file}", file=sys.stderr)
    _print(found, series, as_json=as_json)


def _series(ensemble: MobilityEnsemble, card: MobilityCard, settings: MobilitySettings) -> tuple[TermSeries, ...]:
    """What the model makes of straight lines, in the cell of the configuration."""
    from glideflow.mobility.glide_terms import term_series

    length, width, height = (10 * edge for edge in settings.cells.size_nm)
    spacing = settings.dynamics.node_spacing_angstrom
    return term_series(ensemble, card, size_angstrom=(length, width, height), spacing_angstrom=spacing)


def _writer(file: Path) -> Writer:
    """What makes the text of a file.

    Raises:
        ConfigurationError: its name has another ending.
    """
    from glideflow.reporting.mobility_validation import validation_csv, validation_markdown, validation_page

    writers: Mapping[str, Writer] = {
        ".html": validation_page,
        ".csv": lambda found, _: validation_csv(found),
        ".md": lambda found, _: validation_markdown(found),
    }
    if file.suffix not in writers:
        raise ConfigurationError(
            f"the output {file}", expected="a name that ends in .html, .csv or .md", next_step="correct --output"
        )
    return writers[file.suffix]


def _print(found: Validation, series: Sequence[TermSeries], *, as_json: bool) -> None:
    from glideflow.reporting.mobility_validation import validation_json, validation_tables

    if as_json:
        document = plain_json(validation_json(found, series))
        print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
        return
    for title, table in validation_tables(found):
        print_rows(table.headings, table.rows, f"{title}: {table.title}")
    for title, reason in {**found.impossible, **found.left_out}.items():
        print(f"not tested: {title}: {reason}", file=sys.stderr)
