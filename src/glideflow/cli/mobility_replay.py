"""The command that plays active learning again on finished trajectories."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glideflow.cli.mobility_network import TrajectoriesArgument
from glideflow.cli.options import ConfigOption, SetOption, settings_from
from glideflow.cli.transfer_options import print_rows
from glideflow.errors import ConfigurationError
from glideflow.job_log import WROTE

if TYPE_CHECKING:
    from glideflow.mobility.queries import ReplayedTraining


def replay(
    trajectories: TrajectoriesArgument,
    *,
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", help="Where to write it: NAME.csv, NAME.md or NAME.html. Repeatable."),
    ] = None,
    repetitions: Annotated[
        int, typer.Option(min=1, max=1000, help="How often, each time with other tests, beginnings and weights.")
    ] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first repetition; the others follow it.")] = 0,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Play active learning again on finished trajectories: is asking better than drawing lots?

    Some trajectories are set aside for the test. An ensemble learns from a few
    of the others and asks for more, by its uncertainty (active) or at random
    (passive); what it asks for is taken from the pool. Numbers of initial,
    candidate and selected trajectories are those of mobility.scenarios and
    mobility.learning; with 0 iterations it goes on until nothing is left.
    """
    from glideflow.atomic import write_text
    from glideflow.cli.display import progress_display
    from glideflow.cli.mobility_network import steps_of
    from glideflow.cli.properties import refuse_unwritable
    from glideflow.mobility.dataset import trajectories_from
    from glideflow.mobility.learning_replay import replay as replayed
    from glideflow.packages import refuse_without_torch
    from glideflow.reporting.learning_replay import COLUMNS, replay_cells

    refuse_without_torch("mobility")
    outputs = [(file, _writer(file)) for file in output or ()]
    for file, _ in outputs:
        refuse_unwritable(file)
    settings = settings_from(config, overrides).mobility
    with progress_display() as progress:
        pool = trajectories_from(trajectories, by_stem=True)
        data = steps_of(pool, settings.network, leave_out=True, progress=progress)
        named = [(source.name, pool[source.name]) for source in data.sources]
        trainings = replayed(named, data, settings, range(seed, seed + repetitions), progress=progress)
    for file, text in outputs:
        write_text(file, text(trainings))
        print(f"{WROTE} {file}", file=sys.stderr)
    print_rows(COLUMNS, replay_cells(trainings))


def _writer(file: Path) -> Callable[[Sequence[ReplayedTraining]], str]:
    from glideflow.reporting.learning_replay import replay_csv, replay_markdown, replay_page

    found = {".csv": replay_csv, ".md": replay_markdown, ".html": replay_page}.get(file.suffix)
    if found is None:
        raise ConfigurationError(
            f"the output {file}", expected="a name that ends in .csv, .md or .html", next_step="correct --output"
        )
    return found
