"""Training on all structures together against training on each apart, as a table and a figure."""

from __future__ import annotations

from collections.abc import Sequence

from glideflow.reporting.figures.training_scope import scope_ratios
from glideflow.reporting.sections import Section, markdown_table, plot, text_table
from glideflow.transfer.training_scope import ScopeRow

SCOPE_COLUMNS = ("model", "structure", "n", "families", "together: factor", "apart: factor", "error together / apart")


def scope_cells(rows: Sequence[ScopeRow]) -> list[list[str]]:
    """Cells of every row, in the order of `SCOPE_COLUMNS`; in brackets the 90 % interval."""
    several = len({row.split for row in rows}) > 1
    return [
        [
            f"{row.model}, {row.split}" if several else row.model,
            row.structure,
            str(row.samples),
            str(row.families),
            f"{row.together_factor:.2f}",
            f"{row.apart_factor:.2f}",
            f"{row.ratio:.2f} ({row.ratio_low:.2f}–{row.ratio_high:.2f})",
        ]
        for row in rows
    ]


def scope_markdown(rows: Sequence[ScopeRow]) -> str:
    """The table in Markdown."""
    return markdown_table(SCOPE_COLUMNS, scope_cells(rows))


def scope_section(rows: Sequence[ScopeRow]) -> Section:
    """The comparison as a section of the page."""
    return Section(
        name="training",
        title="One model of all structures",
        notes=(
            "The same models, folds and seeds, trained on all structures together or on each apart, scored for each "
            "structure (Supplementary Fig. 13 of the paper). Error together / apart: the ratio of the mean factors, "
            "sample by sample; above 1, training together is worse. In brackets its 90 % interval over families.",
        ),
        plots=(plot("training-ratios", "Error of training together over that of training apart.", scope_ratios(rows)),),
        tables=(text_table("Together and apart", SCOPE_COLUMNS, scope_cells(rows)),),
    )
