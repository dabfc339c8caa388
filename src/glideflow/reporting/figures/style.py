"""What all figures share: colours, symbols and layout."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from glideflow.reporting.collection import Metal, metal_order

# Distinct for the common kinds of colour blindness (after Okabe & Ito 2008 and Tol 2021), each with a contrast of at
# least 3 : 1 against white. Symbols and dashes repeat with other periods: nothing is told by colour alone.
COLOURS = ("#0072B2", "#D55E00", "#00795A", "#AA4499", "#332288", "#8A7A00", "#882255")
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "star", "hexagon", "pentagon", "bowtie")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
INK = "#1f2933"
GREY = "#59636e"
GRID = "#e3e7eb"
FAILURE = "#b3261e"
SURFACE_COLOURS = "Cividis"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


# At the lower edge of the figure, however many rows it takes there: relative to the axes it would run into their titles
# in a narrow window.
LEGEND = {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "xanchor": "left", "x": 0} | {
    "font": {"size": 12}
}


@dataclass(frozen=True)
class Look:
    """How a metal is drawn."""

    colour: str
    symbol: str


def looks(metals: Iterable[Metal]) -> dict[Metal, Look]:
    """Colour and symbol of each metal, the same in every figure that is given the same metals."""
    ordered = sorted(set(metals), key=metal_order)
    return {
        metal: Look(COLOURS[index % len(COLOURS)], SYMBOLS[index % len(SYMBOLS)]) for index, metal in enumerate(ordered)
    }


def layout(height: int = 420, **parts: Any) -> dict[str, Any]:  # noqa: ANN401 - any part of Plotly's layout
    """A layout on white with a legend below, with ``parts`` added or put in the place of its own."""
    base: dict[str, Any] = {
        "template": "none",
        "height": height,
        "font": {"family": FONT, "size": 13, "color": INK},
        "margin": {"l": 62, "r": 16, "t": 34, "b": 56},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "hovermode": "closest",
        "modebar": {"bgcolor": "rgba(255, 255, 255, 0)", "color": "#b8c0c8", "activecolor": GREY},
        "hoverlabel": {"align": "left", "font": {"family": FONT, "size": 13}},
        "showlegend": True,
        "legend": LEGEND,
    }
    return base | parts


def height_with_legend(height: int, entries: int) -> int:
    """Height in pixels that leaves room for so many legend entries, one per row in a narrow window."""
    return height + 22 * entries


def axis(title: str, **parts: Any) -> dict[str, Any]:  # noqa: ANN401 - any part of Plotly's axes
    """An axis with a frame, outward ticks and a light grid."""
    base: dict[str, Any] = {
        "title": {"text": title, "standoff": 8},
        "automargin": True,
        "exponentformat": "power",  # no prefixes of units: they belong to the title
        "gridcolor": GRID,
        "linecolor": GREY,
        "mirror": True,
        "showline": True,
        "ticks": "outside",
        "tickcolor": GREY,
        "zeroline": False,
    }
    return base | parts


def logarithmic(title: str, range_: tuple[float, float] | None = None, **parts: Any) -> dict[str, Any]:  # noqa: ANN401
    """A logarithmic axis with ticks at powers of ten; ``range_`` in decades."""
    bounds = {} if range_ is None else {"range": list(range_)}
    return axis(title, type="log", dtick=1, exponentformat="none", **bounds, **parts)


def ticks(*values: float) -> dict[str, Any]:
    """Ticks of an axis at these values."""
    return {"tickmode": "array", "tickvals": list(values), "ticktext": [f"{value:g}" for value in values]}


def note(text: str, **parts: Any) -> dict[str, Any]:  # noqa: ANN401 - any part of Plotly's annotations
    """Small text in coordinates of the figure, centred unless placed."""
    base: dict[str, Any] = {
        "text": text,
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.5,
        "font": {"size": 12, "color": GREY},
    }
    return base | parts


def empty(reason: str, height: int = 220) -> dict[str, Any]:
    """Layout of a figure without data that says why."""
    hidden = {"visible": False}
    return layout(height, xaxis=hidden, yaxis=hidden, annotations=[note(reason, font={"size": 14, "color": GREY})])
