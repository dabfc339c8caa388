"""γ lines and γ surfaces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from glideflow.crystals.lattices import FloatArray
from glideflow.properties.fourier import FourierSurface
from glideflow.properties.results import GammaSurfaceResult
from glideflow.records import Library
from glideflow.reporting.collection import Computed, Metal, computed
from glideflow.reporting.figures import style
from glideflow.reporting.labels import SlipLabels, plain

CLIP_FACTOR = 1.5
"""Colours end at this multiple of the unstable stacking fault energy where the surface rises far above it."""
LEGEND_LIMIT = 8
"""More lines than this are named by metal in the legend, and one by one only under the pointer."""
CONTOUR_LINES = 12
"""Contours of a γ surface at most; they lie at round values."""
_FINE_POINTS = 121
_MARKS = {"isf": "star", "usf": "x", "asf": "diamond"}


def gamma_lines(library: Library, labels: SlipLabels, *, only: Metal | None = None) -> go.Figure:
    """γ along the primary path of one slip system, a line per potential; those of one metal if ``only`` is given.

    Corresponds to Extended Data Fig. 1c of Zhao, Zhang and Xu. The points are computed energies, relaxed along the
    normal; the lines between them only join.
    """
    every = [each for each in computed(library, GammaSurfaceResult) if each.result.slip_system == labels.name]
    found = [each for each in every if only in (None, _metal(each))]
    if not found:
        return go.Figure(layout=style.empty("No γ line was computed."))
    one_by_one = len(found) <= LEGEND_LIMIT
    entries = len(found) if one_by_one else len({_metal(each) for each in found})
    figure = go.Figure(layout=_line_layout(path_label(found[0].result, labels), entries))
    looks = style.looks(_metal(each) for each in computed(library, GammaSurfaceResult))
    drawn: dict[Metal, int] = {}
    for each in found:
        rank = drawn.get(_metal(each), 0)
        drawn[_metal(each)] = rank + 1
        figure.add_trace(_line(each, looks[_metal(each)], rank, one_by_one=one_by_one))
    return figure


def gamma_surface(result: GammaSurfaceResult, labels: SlipLabels, *, contours: bool = False) -> go.Figure:
    """γ surface as a map in its frame: x along the Burgers vector, y = z × x in the slip plane.

    Corresponds to Extended Data Fig. 1e of Zhao, Zhang and Xu. White: the primary path; marks: the intrinsic (isf),
    unstable (usf) and aligned (asf) stacking faults. Colours end at `colour_limit`; the values under the pointer
    are not clipped. The limits stand in ``layout.meta`` for a switch between them. With ``contours``, lines of equal
    energy are drawn up to where the colours end.
    """
    limit = colour_limit(result)
    figure = go.Figure(layout=_surface_layout(result, labels))
    figure.add_trace(_contours(result, limit) if contours else _map(result, limit))
    path = _path_points(result)
    figure.add_trace(
        go.Scatter(
            x=path[:, 0],
            y=path[:, 1],
            mode="lines",
            line={"color": "white", "width": 2, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure.add_trace(_landmarks(result))
    return figure


def gamma_path(result: GammaSurfaceResult, labels: SlipLabels) -> go.Figure:
    """γ along the primary path: computed points, and the Fourier representation of the whole surface as a line.

    Corresponds to Extended Data Fig. 1f of Zhao, Zhang and Xu, along the path.
    """
    fine = np.linspace(0.0, 1.0, _FINE_POINTS)
    fourier = fourier_surface(result)(fine[:, None] * result.path_vector_angstrom)
    figure = go.Figure(layout=_line_layout(path_label(result, labels), legend_entries=2))
    figure.add_trace(
        go.Scatter(
            x=fine,
            y=fourier.astype(np.float32),
            mode="lines",
            name="Fourier representation",
            line={"color": style.COLOURS[1], "width": 2},
            hovertemplate="Fourier: %{y:.1f} mJ/m²<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=result.path_fraction,
            y=result.path_mj_m2.astype(np.float32),
            mode="markers",
            name="computed",
            marker={"color": style.COLOURS[0], "size": 7},
            hovertemplate="computed: %{y:.1f} mJ/m²<extra></extra>",
        )
    )
    return figure


def colour_limit(result: GammaSurfaceResult) -> float:
    """Energy in mJ/m² at which colours end: `CLIP_FACTOR` usf, or the maximum of the surface if that is lower.

    In fcc the aligned fault lies several times above the unstable one; scaled by it, the path of slip is one colour.
    """
    clipped = CLIP_FACTOR * result.gamma_usf_mj_m2
    return min(clipped, result.gamma_max_mj_m2) if clipped > 0 else result.gamma_max_mj_m2


def fourier_surface(result: GammaSurfaceResult) -> FourierSurface:
    """The Fourier representation that a result holds."""
    return FourierSurface(
        result.fourier_wavevectors_per_angstrom,
        result.fourier_cosine_mj_m2,
        result.fourier_sine_mj_m2,
        result.fourier_symmetry,
    )


def path_label(result: GammaSurfaceResult, labels: SlipLabels) -> str:
    """Title of the path's axis: where it ends, e.g. ``path 0 → b = ½[1̄11]``."""
    x, y = result.path_vector_angstrom
    if abs(y) < 1e-6 * abs(x):
        return f"path 0 → b = {labels.burgers_vector}"
    direction = labels.y if y > 0 else labels.minus_y
    return f"path 0 → isf along {direction}" if direction else "path 0 → isf"


def _metal(each: Computed[GammaSurfaceResult]) -> Metal:
    return Metal(each.entry.potential.element, each.entry.potential.structure)


def _line(each: Computed[GammaSurfaceResult], look: style.Look, rank: int, *, one_by_one: bool) -> go.Scatter:
    name, metal = plain(each.entry.potential.id), plain(_metal(each).label)
    return go.Scatter(
        x=each.result.path_fraction.astype(np.float32),
        y=each.result.path_mj_m2.astype(np.float32),
        mode="lines+markers" if one_by_one else "lines",
        name=name if one_by_one else metal,
        legendgroup=name if one_by_one else metal,
        showlegend=one_by_one or rank == 0,
        line={"color": look.colour, "dash": style.DASHES[rank % len(style.DASHES)], "width": 1.8 if one_by_one else 1},
        marker={"symbol": look.symbol, "size": 4},
        text=name,
        hovertemplate="%{text}: %{y:.1f} mJ/m²<extra></extra>",
    )


def _line_layout(title: str, legend_entries: int) -> dict[str, Any]:
    return style.layout(
        style.height_with_legend(340, legend_entries),
        xaxis=style.axis(title, range=[-0.02, 1.02]),
        yaxis=style.axis("γ (mJ/m²)", rangemode="tozero"),
    )


def _map(result: GammaSurfaceResult, limit_mj_m2: float) -> go.Heatmap:
    return go.Heatmap(zsmooth="best", **_energies(result, limit_mj_m2))


def _contours(result: GammaSurfaceResult, limit_mj_m2: float) -> go.Contour:
    step = _round_step(limit_mj_m2 / CONTOUR_LINES)
    return go.Contour(
        contours={"coloring": "heatmap", "start": step, "end": limit_mj_m2, "size": step},
        autocontour=False,
        line={"color": "rgba(255, 255, 255, 0.45)", "width": 0.8},
        **_energies(result, limit_mj_m2),
    )


def _energies(result: GammaSurfaceResult, limit_mj_m2: float) -> dict[str, Any]:
    """What a map and contours of the same surface share."""
    return {
        "x": result.x_angstrom.astype(np.float32),
        "y": result.y_angstrom.astype(np.float32),
        "z": result.gamma_mj_m2.T.astype(np.float32),
        "zmin": min(0.0, float(result.gamma_mj_m2.min())),
        "zmax": limit_mj_m2,
        "colorscale": style.SURFACE_COLOURS,
        "colorbar": {"title": {"text": "γ (mJ/m²)", "side": "right"}, "thickness": 14, "len": 1.0, "outlinewidth": 0},
        "hovertemplate": "x = %{x:.2f} Å, y = %{y:.2f} Å<br>γ = %{z:.1f} mJ/m²<extra></extra>",
    }


def _round_step(value: float) -> float:
    """The next larger of 1, 2, 5, 10, ... times a power of ten."""
    if value <= 0:
        return 1.0
    decade = 10.0 ** math.floor(math.log10(value))
    return next(factor * decade for factor in (1, 2, 5, 10) if factor * decade >= value * (1 - 1e-9))


def _surface_layout(result: GammaSurfaceResult, labels: SlipLabels) -> dict[str, Any]:
    x_period, y_period = (float(period) for period in result.period_angstrom)
    limit = colour_limit(result)
    return style.layout(
        520,
        margin={"l": 58, "r": 10, "t": 34, "b": 50},
        xaxis=style.axis(
            f"x along {labels.x} (Å)",
            range=[0, x_period],
            constrain="domain",
            constraintoward="right",  # beside its colour bar
            showgrid=False,
        ),
        yaxis=style.axis(
            f"y along {labels.y} (Å)" if labels.y else "y = z × x (Å)",
            range=[0, y_period],
            scaleanchor="x",
            constrain="domain",
            showgrid=False,
        ),
        meta={"limit_mj_m2": limit, "maximum_mj_m2": float(result.gamma_max_mj_m2)},
    )


def _path_points(result: GammaSurfaceResult) -> FloatArray:
    """(P, 2) points of the primary path, wrapped into the period; a gap (NaN) where it leaves on one side."""
    fractions = np.linspace(0.0, 1.0, 4 * len(result.path_fraction))
    points = _wrapped(result, _origin(result) + fractions[:, None] * result.path_vector_angstrom)
    broken = np.flatnonzero(np.abs(np.diff(points, axis=0)).max(axis=1) > 0.25 * result.period_angstrom.min())
    return np.insert(points, broken + 1, np.nan, axis=0)


def _origin(result: GammaSurfaceResult) -> FloatArray:
    """The lattice point nearest to the middle of the period: from there the path lies inside the map.

    A displacement by a lattice vector costs nothing, so these are the grid points with γ = 0.
    """
    scale = max(abs(float(result.gamma_max_mj_m2)), 1e-12)
    zero = np.argwhere(np.abs(result.gamma_mj_m2) < 1e-6 * scale)
    points = np.column_stack([result.x_angstrom[zero[:, 0]], result.y_angstrom[zero[:, 1]]])
    if not len(points):
        return np.zeros(2)
    distance = np.linalg.norm((points - result.period_angstrom / 2) / result.period_angstrom, axis=1)
    return np.asarray(points[np.argmin(distance.round(6))])


def _wrapped(result: GammaSurfaceResult, points_angstrom: FloatArray) -> FloatArray:
    """Points brought into the period; those on an edge stay there."""
    fractions = points_angstrom / result.period_angstrom
    outside = (fractions < -1e-6) | (fractions > 1 + 1e-6)
    return np.asarray(np.where(outside, fractions % 1.0, fractions) * result.period_angstrom)


def _landmarks(result: GammaSurfaceResult) -> go.Scatter:
    """Marks of the stacking faults that the surface has."""
    usf_at = result.path_fraction[int(np.argmax(result.path_mj_m2))] * result.path_vector_angstrom
    candidates: Sequence[tuple[str, FloatArray, float | None]] = (
        ("isf", result.path_vector_angstrom, result.gamma_isf_mj_m2),
        ("usf", usf_at, result.gamma_usf_mj_m2),
        ("asf", -result.path_vector_angstrom, result.gamma_asf_mj_m2),
    )
    faults = [
        (name, _wrapped(result, _origin(result) + at), value) for name, at, value in candidates if value is not None
    ]
    return go.Scatter(
        x=[float(at[0]) for _, at, _ in faults],
        y=[float(at[1]) for _, at, _ in faults],
        mode="markers+text",
        text=[name for name, _, _ in faults],
        textposition="middle right",
        textfont={"color": "white", "size": 13, "shadow": "auto"},
        marker={
            "symbol": [_MARKS[name] for name, _, _ in faults],
            "color": "white",
            "size": 11,
            "line": {"color": style.INK, "width": 1.2},
        },
        customdata=[value for _, _, value in faults],
        hovertemplate="%{text}: %{customdata:.1f} mJ/m²<extra></extra>",
        showlegend=False,
        cliponaxis=False,
    )
