"""What Peierls stresses err by: Fig. 2k and 2l of the physics-transfer paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from glideflow.reporting.figures import style
from glideflow.reporting.labels import plain, significant
from glideflow.transfer.error_decomposition import ErrorTable, ErrorTerm, RouteError

_LARGEST_FACTOR = 100.0
"""Factor beyond which the colour of the map does not change."""
_PATTERNS = ("", "/", "x", ".")


def error_map(table: ErrorTable) -> go.Figure:
    """Median factor of every error (columns) of every metal (rows), on a logarithmic colour scale; n in brackets.

    Corresponds to Fig. 2k. A cell without data stays empty; its reason stands under the pointer.
    """
    if not table.terms:
        return go.Figure(layout=style.empty("No errors were found."))
    metals = table.metals
    columns = list(dict.fromkeys((term.kind, term.name) for term in table.terms))
    cells = {(term.element, term.structure, term.kind, term.name): term for term in table.terms}
    grid = [[cells[*metal, *column] for column in columns] for metal in metals]
    figure = go.Figure(
        layout=style.layout(
            130 + 30 * len(metals),
            xaxis=style.axis("", side="top", showgrid=False),
            yaxis=style.axis("", autorange="reversed", showgrid=False),
            margin={"l": 62, "r": 16, "t": 64, "b": 16},
        )
    )
    figure.add_trace(
        go.Heatmap(
            x=[f"{kind}:<br>{name}" for kind, name in columns],
            y=[f"{element} ({structure})" for element, structure in metals],
            z=[[np.log10(term.factor) for term in row] for row in grid],
            zmin=0,
            zmax=np.log10(_LARGEST_FACTOR),
            colorscale=style.SURFACE_COLOURS,
            reversescale=True,
            text=[[_cell(term) for term in row] for row in grid],
            texttemplate="%{text}",
            customdata=[[_described(term) for term in row] for row in grid],
            hovertemplate="%{y}<br>%{customdata}<extra></extra>",
            hoverongaps=True,
            colorbar=_factor_bar(),
            xgap=1,
            ygap=1,
        )
    )
    return figure


def decomposition(table: ErrorTable) -> go.Figure:
    """Mean of log₁₀ τ/τ_MLFF of every route as a stack of its terms, for the metals that have a reference.

    Corresponds to Fig. 2l, lying: names of routes are longer than a narrow window is wide. Terms that raise the stress
    stand to the right of one and those that lower it to the left; their sum, the mean error, is the black mark.
    """
    routes = [route for route in table.routes if route.values]
    if not routes:
        return go.Figure(layout=style.empty("No machine-learned potential has a Peierls stress to compare with."))
    names = list(dict.fromkeys(name for route in routes for name in route.terms))
    figure = go.Figure(
        layout=style.layout(
            style.height_with_legend(110 + 22 * len(routes), len(names) + 1),
            barmode="relative",
            bargap=0.35,
            xaxis=style.axis("factor", **_factor_ticks(routes)),
            yaxis=style.axis("", type="multicategory", showgrid=False, range=[len(routes) - 0.5, -0.5]),
        )
    )
    for number, name in enumerate(names):
        figure.add_trace(_bars(routes, name, number))
    figure.add_trace(_totals(routes))
    return figure


def _bars(routes: Sequence[RouteError], name: str, number: int) -> go.Bar:
    parts = [_part(route, name) for route in routes]
    return go.Bar(
        x=[mean for mean, _ in parts],
        y=_places(routes),
        orientation="h",
        name=name,
        marker={
            "color": style.COLOURS[number % len(style.COLOURS)],
            "pattern": {"shape": ["", "/", "x", "."][number % 4]},
        },
        customdata=[f"× {significant(10**mean)}, {share:.0%} of the mean square" for mean, share in parts],
        hovertemplate=f"{plain(name)}: %{{customdata}}<extra></extra>",
    )


def _totals(routes: Sequence[RouteError]) -> go.Scatter:
    return go.Scatter(
        x=[float(route.mean_log10.sum()) for route in routes],
        y=_places(routes),
        mode="markers",
        name="in all",
        marker={"color": style.INK, "symbol": "line-ns", "size": 16, "line": {"width": 3, "color": style.INK}},
        customdata=[
            f"n = {route.values}, mean {significant(route.mean_mpa)} MPa, e = {route.relative_percent:.0f} %"
            for route in routes
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _places(routes: Sequence[RouteError]) -> list[list[str]]:
    return [[f"{route.element} ({route.structure})" for route in routes], [route.route for route in routes]]


def _part(route: RouteError, name: str) -> tuple[float, float]:
    """Mean of a term and its share, nothing where the route does not have it."""
    if name not in route.terms:
        return 0.0, 0.0
    place = route.terms.index(name)
    return float(route.mean_log10[place]), float(route.share[place])


def _factor_ticks(routes: Sequence[RouteError]) -> dict[str, object]:
    ends = [float(route.mean_log10[route.mean_log10 * sign > 0].sum()) for route in routes for sign in (1, -1)]
    decades = range(int(np.floor(min(ends))), int(np.ceil(max(ends))) + 1)
    return style.ticks(*decades) | {"ticktext": [f"{10.0**each:g}" for each in decades]}


def _factor_bar() -> dict[str, object]:
    values = [1, 2, 5, 10, 20, 50, 100]
    texts = [*(str(value) for value in values[:-1]), f"≥ {values[-1]}"]
    return {
        "title": {"text": "factor"},
        "tickvals": [np.log10(value) for value in values],
        "ticktext": texts,
        "thickness": 12,
        "outlinewidth": 0,
    }


def _cell(term: ErrorTerm) -> str:
    return f"{significant(term.factor, 2)} ({len(term.log10)})" if len(term.log10) else ""


def _described(term: ErrorTerm) -> str:
    what = f"{plain(term.value)}<br>against {plain(term.against)}"
    if not len(term.log10):
        return f"{what}<br>none: {plain(term.reason)}"
    low, high = (significant(end, 2) for end in term.spread)
    return (
        f"{what}<br>n = {len(term.log10)}, {term.bounds} with a bound; median ratio {significant(term.bias)}, "
        f"10 to 90 %: {low} to {high}<br>relative error {term.relative_percent:.0f} % in the median"
    )
