"""What a Peierls stress costs by each route, as a table and a figure."""

from __future__ import annotations

import numpy as np

from glideflow.reporting.figures.cost import cost_figure
from glideflow.reporting.labels import MISSING, significant
from glideflow.reporting.sections import Section, markdown_table, plot, text_table
from glideflow.transfer.cost_panel import CostPanel, CostRow

COST_COLUMNS = (
    *("step", "potential", "n", "evaluations", "atoms"),
    *("seconds of one core", "10 % to 90 %", "basis", "source"),
)
PUBLISHED_COST = (
    "Published (Zhao, Zhang and Xu, text to Fig. 2d): inference takes several milliseconds on an Intel Core i5-8250U; "
    "the times of the simulations are given in the figure only."
)


def cost_cells(panel: CostPanel) -> list[list[str]]:
    """Cells of every row, in the order of `COST_COLUMNS`; medians over the potentials."""
    return [_cells(row) for row in panel.rows]


def cost_markdown(panel: CostPanel) -> str:
    """The table in Markdown, with what the paper says."""
    return f"{markdown_table(COST_COLUMNS, cost_cells(panel))}\n{PUBLISHED_COST}\n"


def cost_section(panel: CostPanel) -> Section:
    """The costs as a section of the page."""
    return Section(
        name="cost",
        title="Cost",
        notes=(
            "Seconds of one core. Counted: force evaluations and atoms that the records of the library state, times "
            "the measured time of an evaluation. Measured: processor time of whole jobs of a run, start-up included. "
            "Timed: predictions on the machine that wrote this page.",
            PUBLISHED_COST,
        ),
        plots=(plot("cost-steps", "Medians, 10 to 90 %; open: measured or timed.", cost_figure(panel)),),
        tables=(text_table("Cost by step and kind of potential", COST_COLUMNS, cost_cells(panel)),),
    )


def _cells(row: CostRow) -> list[str]:
    return [
        row.step,
        row.interaction or MISSING,
        str(len(row.potentials)),
        _middle(row.evaluations),
        _middle(row.atoms),
        significant(float(np.median(row.core_seconds)), 2),
        MISSING if len(row.potentials) < 2 else " to ".join(significant(end, 2) for end in _ends(row)),
        row.basis,
        row.source,
    ]


def _ends(row: CostRow) -> tuple[float, float]:
    low, high = np.quantile(row.core_seconds, [0.1, 0.9])
    return float(low), float(high)


def _middle(values: np.ndarray) -> str:
    return f"{np.median(values):.0f}" if len(values) and np.isfinite(values).all() else MISSING
