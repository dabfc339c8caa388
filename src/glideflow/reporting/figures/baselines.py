"""Continuum models of the Peierls stress against atomistic values."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from glideflow.records import Library
from glideflow.reporting.baselines import Pair, pairs
from glideflow.reporting.collection import Metal
from glideflow.reporting.figures import style
from glideflow.reporting.labels import plain, significant

_SHOWN = {"surface": "", "gradient": ", gradient term"}
"""Models that are drawn, and what is added to the metal in the legend."""
_HOVER = "%{customdata[0]}<br>model %{customdata[1]} MPa<br>atomistic %{customdata[2]} MPa<extra></extra>"
_LOWEST_MPA = 1e-3
"""Smaller predictions are drawn at the lower edge."""


def continuum_against_atomistic(library: Library, structure: str) -> go.Figure:
    """Predicted against atomistic Peierls stress of every potential of a structure, both axes logarithmic.

    One colour per metal; filled: the semidiscrete model on the γ surface, open: with the gradient term. Triangles
    pointing left: the atomistic value is an upper bound. The solid line is agreement, the dotted ones a factor of ten.
    """
    found = {model: _of_structure(pairs(library, model), structure) for model in _SHOWN}
    if not any(found.values()):
        return go.Figure(layout=style.empty("No potential has both a continuum and an atomistic Peierls stress."))
    drawn = [pair for own in found.values() for pair in own]
    predicted = _decades([pair.predicted_mpa for pair in drawn])
    atomistic = _decades([pair.atomistic_mpa for pair in drawn])
    figure = go.Figure(layout=_layout(atomistic, predicted))
    for factor, dash in ((1.0, "solid"), (0.1, "dot"), (10.0, "dot")):
        figure.add_trace(_line(factor, dash, atomistic))
    metals = sorted({_metal(pair) for pair in drawn})
    for metal, look in style.looks(metals).items():
        for model, words in _SHOWN.items():
            own = [pair for pair in found[model] if _metal(pair) == metal]
            figure.add_trace(_points(own, f"{metal.element}{words}", look, is_open=model == "gradient"))
    return figure


def _of_structure(found: tuple[Pair, ...], structure: str) -> list[Pair]:
    return [pair for pair in found if pair.entry.potential.structure == structure]


def _metal(pair: Pair) -> Metal:
    return Metal(pair.entry.potential.element, pair.entry.potential.structure)


def _points(own: list[Pair], name: str, look: style.Look, *, is_open: bool) -> go.Scatter:
    own = sorted(own, key=lambda pair: pair.is_upper_bound)  # the legend shows the first symbol
    symbols = ["triangle-left" if pair.is_upper_bound else look.symbol for pair in own]
    return go.Scatter(
        x=[max(pair.atomistic_mpa, _LOWEST_MPA) for pair in own],
        y=[max(pair.predicted_mpa, _LOWEST_MPA) for pair in own],
        customdata=[
            (
                plain(pair.entry.potential.id),
                significant(pair.predicted_mpa),
                ("≤ " if pair.is_upper_bound else "") + significant(pair.atomistic_mpa),
            )
            for pair in own
        ],
        name=name,
        mode="markers",
        marker={
            "color": look.colour,
            "size": 9,
            "symbol": [f"{symbol}-open" if is_open else symbol for symbol in symbols],
            "line": {"width": 1.5 if is_open else 0},
        },
        hovertemplate=_HOVER,
    )


def _line(factor: float, dash: str, decades: tuple[float, float]) -> go.Scatter:
    ends = [10**decade for decade in decades]
    return go.Scatter(
        x=ends,
        y=[factor * end for end in ends],
        mode="lines",
        line={"color": style.GREY, "width": 1, "dash": dash},
        hoverinfo="skip",
        showlegend=False,
    )


def _decades(values_mpa: list[float]) -> tuple[float, float]:
    """Range of an axis in decades, at least from 1 to 100 MPa."""
    low, high = min([1.0, *values_mpa]), max([100.0, *values_mpa])
    return (math.log10(max(low, _LOWEST_MPA)) - 0.3, math.log10(high) + 0.3)


def _layout(atomistic: tuple[float, float], predicted: tuple[float, float]) -> dict[str, object]:
    return style.layout(
        560,
        xaxis=style.logarithmic("atomistic Peierls stress (MPa)", atomistic),
        yaxis=style.logarithmic("predicted Peierls stress (MPa)", predicted),
    )
