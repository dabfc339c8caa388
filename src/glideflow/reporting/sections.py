"""What pages of figures and tables are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glideflow.reporting.embedding import figure_json

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A figure of the page.

    Attributes:
        id: name of its element.
        caption: what it shows.
        figure: the figure as JSON.
        narrowest_px: width below which it is moved sideways instead of being made narrower.
    """

    id: str
    caption: str
    figure: dict[str, Any]
    narrowest_px: int = 0


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table of the page.

    Attributes:
        title: what it says.
        headings: (k) headings.
        rows: rows of k cells each.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """What the page says of one subject.

    Attributes:
        name: name of its element.
        title: heading.
        notes: paragraphs before the figures.
        plots: its figures.
        tables: its tables.
    """

    name: str
    title: str
    notes: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
    tables: tuple[TextTable, ...] = ()


def plot(name: str, caption: str, figure: go.Figure, *, narrowest_px: int = 0) -> Plot:
    """A figure with its caption, as it goes into the page."""
    return Plot(id=name, caption=caption, figure=figure_json(figure), narrowest_px=narrowest_px)


def text_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> TextTable:
    """A table of texts."""
    return TextTable(title=title, headings=tuple(headings), rows=tuple(tuple(row) for row in rows))


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same in Markdown."""
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"
