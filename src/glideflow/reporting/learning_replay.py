"""Active learning beside drawing lots, as CSV, as a table and as a page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields

import numpy as np

from glideflow.mobility.queries import ReplayedTraining, ReplayStrategy
from glideflow.reporting.labels import MISSING, number
from glideflow.reporting.sections import Section, markdown_table, plot, text_table

COLUMNS = ("strategy", "learned from", "repetitions", "error %", "± %", "error Å", "velocity error %", "uncertainty %")
NAMES: dict[ReplayStrategy, str] = {
    "active": "active, lines before they move",
    "active_simulated": "active, whole trajectories",
    "passive": "passive",
}
"""Strategies in words."""


def replay_csv(trainings: Sequence[ReplayedTraining]) -> str:
    """Every training as a row; trajectories that are asked for are separated by spaces."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(ReplayedTraining))
    for each in trainings:
        *values, asked_for = astuple(each)
        writer.writerow([*("" if value is None else value for value in values), " ".join(asked_for)])
    return text.getvalue()


def replay_markdown(trainings: Sequence[ReplayedTraining]) -> str:
    """Means over the repetitions in Markdown."""
    return markdown_table(COLUMNS, replay_cells(trainings))


def replay_cells(trainings: Sequence[ReplayedTraining]) -> list[list[str]]:
    """Means over the repetitions as texts: a row for each strategy and number of trajectories, as `COLUMNS`."""
    return [_cells(own) for own in _together(trainings)]


def replay_page(trainings: Sequence[ReplayedTraining]) -> str:
    """A page that opens without a network: errors and uncertainty against what was learned from."""
    from glideflow.reporting.figures.learning_replay import replay_figure
    from glideflow.reporting.templating import plots_page

    plots = (
        plot("replay-percent", "Percentage error of held-out steps.", replay_figure(trainings, "percent")),
        plot("replay-velocity", "Error of held-out velocities.", replay_figure(trainings, "velocity_percent")),
        plot("replay-uncertainty", "Uncertainty of candidates.", replay_figure(trainings, "uncertainty_percent")),
    )
    table = text_table("Means over the repetitions", COLUMNS, replay_cells(trainings))
    section = Section(name="replay", title="Active against passive", plots=plots, tables=(table,))
    figures = {each.id: each.figure for each in plots}
    repetitions = len({each.seed for each in trainings})
    return plots_page("learning_replay.html", figures, sections=(section,), repetitions=repetitions)


def _together(trainings: Sequence[ReplayedTraining]) -> Iterator[list[ReplayedTraining]]:
    """Trainings of one strategy from equally many trajectories."""
    keys = dict.fromkeys((each.strategy, each.learned_from) for each in trainings)
    order = list(dict.fromkeys(each.strategy for each in trainings))
    for strategy, count in sorted(keys, key=lambda key: (order.index(key[0]), key[1])):
        yield [each for each in trainings if (each.strategy, each.learned_from) == (strategy, count)]


def _cells(own: Sequence[ReplayedTraining]) -> list[str]:
    percents = [each.percent for each in own]
    spread = float(np.std(percents, ddof=1)) if len(own) > 1 else None
    unsure = [each.uncertainty_percent for each in own if each.uncertainty_percent is not None]
    return [
        NAMES[own[0].strategy],
        str(own[0].learned_from),
        str(len(own)),
        number(float(np.mean(percents)), 1),
        number(spread, 1),
        number(float(np.mean([each.absolute_angstrom for each in own])), 2),
        number(float(np.mean([each.velocity_percent for each in own])), 1),
        number(float(np.mean(unsure)), 1) if unsure else MISSING,
    ]
