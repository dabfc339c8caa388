"""One dislocation under load: stress and strain, position of the core, disregistry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from glideflow.crystals.lattices import FloatArray
from glideflow.properties.results import CoreResult, LoadingCurve, PeierlsStressResult
from glideflow.reporting.figures import style


@dataclass(frozen=True)
class _Look:
    """How a loading direction is drawn."""

    colour: str
    symbol: str
    dash: str
    size: int


# Both directions often coincide: the second is drawn open and larger, around the first.
_DIRECTION_STYLES = {
    "forward": _Look(style.COLOURS[0], "circle", "solid", 6),
    "reverse": _Look(style.COLOURS[1], "diamond-open", "dash", 11),
}
_OUTCOME_STYLES = {"glides": ("x-thin", "glides"), "unconverged": ("square-open", "not converged")}
_NAME = "<extra>%{fullData.name}</extra>"
_ROOM = 1.18
_EDGE = 0.98


@dataclass(frozen=True)
class _Steps:
    """Loading steps of one outcome, magnitudes, ordered by stress.

    Attributes:
        stress_mpa: (n,) resolved shear stress.
        strain: (n,) shear strain in thousandths.
        core_angstrom: (n,) core position relative to the unloaded core.
        force_ev_per_angstrom: (n,) largest residual force component.
    """

    stress_mpa: FloatArray
    strain: FloatArray
    core_angstrom: FloatArray
    force_ev_per_angstrom: FloatArray


def stress_strain(result: PeierlsStressResult) -> go.Figure:
    """Resolved shear stress against shear strain in both loading directions, as magnitudes.

    The counterpart of the definition in Fig. 1a,b of Zhao, Zhang and Xu. A stable state is an equilibrium; gliding
    and unconverged ones are not, so that their strain means little: they are drawn at the right edge.
    """
    edge = _ROOM * _largest([_steps(curve, "stable").strain for curve in result.curves])
    figure = go.Figure(layout=_loading_layout(result, "shear strain (10<sup>−3</sup>)", edge))
    for curve in result.curves:
        stable = _steps(curve, "stable")
        figure.add_trace(_line(curve, _from_zero(stable.strain), _from_zero(stable.stress_mpa), stable))
    for curve in result.curves:
        for outcome in _OUTCOME_STYLES:
            steps = _steps(curve, outcome)
            figure.add_trace(_events(curve, outcome, np.full_like(steps.stress_mpa, _EDGE * edge), steps))
    return figure


def core_position(result: PeierlsStressResult) -> go.Figure:
    """Resolved shear stress against the displacement of the core in Burgers vectors, as magnitudes.

    Below the Peierls stress the core bows out of its valley and stays; a displacement of about one Burgers vector is
    a core that glides. Jumps in between are rearrangements of the core.
    """
    b = result.burgers_vector_angstrom
    stable_edge = _largest([_steps(curve, "stable").core_angstrom / b for curve in result.curves])
    edge = min(_ROOM * stable_edge, max(1.1, 1.05 * stable_edge))
    figure = go.Figure(layout=_loading_layout(result, "displacement of the core (b)", edge))
    for curve in result.curves:
        stable = _steps(curve, "stable")
        figure.add_trace(_line(curve, _from_zero(stable.core_angstrom / b), _from_zero(stable.stress_mpa), stable))
    for curve in result.curves:
        for outcome in _OUTCOME_STYLES:
            steps = _steps(curve, outcome)
            figure.add_trace(_events(curve, outcome, np.minimum(steps.core_angstrom / b, _EDGE * edge), steps))
    return figure


def disregistry(result: PeierlsStressResult) -> go.Figure:
    """Disregistry across the glide plane in Burgers vectors, unloaded and at the highest stable stress.

    The dotted lines at b/4 and 3b/4 are those between which the width of the core is measured.
    """
    figure = go.Figure(layout=_disregistry_layout())
    b, origin = result.burgers_vector_angstrom, result.core_unloaded.position_angstrom
    figure.add_trace(_disregistry_line(result.core_unloaded, "unloaded", b, origin, style.COLOURS[0], "solid"))
    figure.add_trace(_disregistry_line(result.core_at_peak, "at peak", b, origin, style.COLOURS[1], "dash"))
    return figure


def dislocation_density(result: PeierlsStressResult) -> go.Figure:
    """Density of the Burgers vector along the glide direction, ρ = dδ/dx, unloaded and at the highest stable stress.

    Its integral is one Burgers vector; the partials of a dissociated core are its maxima, and vertical lines mark where
    a fit to the disregistry puts them. The derivative is a difference over one Burgers vector.
    """
    b, origin = result.burgers_vector_angstrom, result.core_unloaded.position_angstrom
    figure = go.Figure(layout=_density_layout(result, origin))
    for core, name, colour, dash in (
        (result.core_unloaded, "unloaded", style.COLOURS[0], "solid"),
        (result.core_at_peak, "at peak", style.COLOURS[1], "dash"),
    ):
        figure.add_trace(_density_line(core, name, b, origin, colour, dash))
    return figure


def _steps(curve: LoadingCurve, outcome: str) -> _Steps:
    chosen = np.flatnonzero(np.array(curve.outcome) == outcome)
    chosen = chosen[np.argsort(np.abs(curve.stress_mpa[chosen]), kind="stable")]
    return _Steps(
        stress_mpa=np.abs(curve.stress_mpa[chosen]),
        strain=1e3 * np.abs(curve.shear_strain[chosen]),
        core_angstrom=np.abs(curve.core_position_angstrom[chosen]),
        force_ev_per_angstrom=curve.largest_force_ev_per_angstrom[chosen],
    )


def _largest(parts: list[FloatArray]) -> float:
    values = np.concatenate([*parts, [1e-9]])
    return float(values.max())


def _from_zero(values: FloatArray) -> FloatArray:
    """Values behind the unloaded state, which is an equilibrium too."""
    return np.asarray(np.concatenate([[0.0], values]), dtype=np.float32)


def _line(curve: LoadingCurve, x: FloatArray, y: FloatArray, steps: _Steps) -> go.Scatter:
    look = _look(curve)
    return go.Scatter(
        x=x,
        y=y,
        mode="lines+markers",
        name=f"{curve.direction}, stable",
        line={"color": look.colour, "width": 1.6, "dash": look.dash},
        marker={"color": look.colour, "symbol": look.symbol, "size": look.size},
        customdata=_from_zero(steps.force_ev_per_angstrom),
        hovertemplate="τ = %{y:.4g} MPa at %{x:.3g}<br>largest force %{customdata:.1e} eV/Å" + _NAME,
    )


def _events(curve: LoadingCurve, outcome: str, x: FloatArray, steps: _Steps) -> go.Scatter:
    look = _look(curve)
    symbol, words = _OUTCOME_STYLES[outcome]
    return go.Scatter(
        x=np.asarray(x, dtype=np.float32),
        y=steps.stress_mpa.astype(np.float32),
        mode="markers",
        name=f"{curve.direction}, {words}",
        showlegend=len(steps.stress_mpa) > 0,
        marker={"symbol": symbol, "size": 3 + look.size, "line": {"color": look.colour, "width": 2}},
        customdata=np.column_stack([steps.strain, steps.core_angstrom]).astype(np.float32),
        hovertemplate=(
            f"τ = %{{y:.4g}} MPa: {words}<br>when stopped: strain %{{customdata[0]:.3g}}·10⁻³, "
            "core at %{customdata[1]:.2f} Å"
        )
        + _NAME,
        cliponaxis=False,
    )


def _look(curve: LoadingCurve) -> _Look:
    return _DIRECTION_STYLES.get(curve.direction, _Look(style.GREY, "circle-open", "dot", 8))


def _loading_layout(result: PeierlsStressResult, x_title: str, edge: float) -> dict[str, Any]:
    top = 1.3 * max(result.peierls_mpa, *(curve.stable_mpa for curve in result.curves), 1e-9)
    return style.layout(
        380,
        xaxis=style.axis(x_title, range=[-0.03 * edge, edge], nticks=6),
        yaxis=style.axis("resolved shear stress (MPa)", range=[0, top]),
        shapes=_peierls_band(result),
    )


def _peierls_band(result: PeierlsStressResult) -> list[dict[str, Any]]:
    """The Peierls stress as a line, its error as a band."""
    value, error = result.peierls_mpa, result.peierls_error_mpa
    across = {"xref": "paper", "x0": 0, "x1": 1, "layer": "below"}
    band = {"type": "rect", "y0": value - error, "y1": value + error, "fillcolor": style.GRID, "line": {"width": 0}}
    line = {"type": "line", "y0": value, "y1": value, "line": {"color": style.GREY, "width": 1.2, "dash": "dash"}}
    return [band | across, line | across]


def _disregistry_line(
    core: CoreResult, name: str, b: float, origin_angstrom: float, colour: str, dash: str
) -> go.Scatter:
    return go.Scatter(
        x=(core.x_angstrom - origin_angstrom).astype(np.float32),
        y=(core.disregistry_angstrom / b).astype(np.float32),
        mode="lines",
        name=name,
        line={"color": colour, "width": 2, "dash": dash},
        hovertemplate=f"{name}: δ = %{{y:.3f}} b at %{{x:.1f}} Å<extra></extra>",
    )


def _disregistry_layout() -> dict[str, Any]:
    line = {"color": style.GREY, "width": 1, "dash": "dot"}
    levels = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line, "layer": "below"}
        for y in (0.25, 0.75)
    ]
    return style.layout(
        380,
        xaxis=style.axis("distance from the unloaded core (Å)"),
        yaxis=style.axis("disregistry δ (b)"),
        shapes=levels,
    )


def _density_line(core: CoreResult, name: str, b: float, origin_angstrom: float, colour: str, dash: str) -> go.Scatter:
    x, density = _density(core, b)
    return go.Scatter(
        x=(x - origin_angstrom).astype(np.float32),
        y=(density / b).astype(np.float32),
        mode="lines",
        name=name,
        line={"color": colour, "width": 2, "dash": dash},
        hovertemplate=f"{name}: ρ = %{{y:.4f}} b/Å at %{{x:.1f}} Å<extra></extra>",
    )


def _density(core: CoreResult, spacing_angstrom: float) -> tuple[FloatArray, FloatArray]:
    """Positions and dδ/dx there, averaged over a distance.

    Rows above and below the glide plane give a point each, which lie close together wherever the crystal is perfect:
    between neighbours of these a difference is rounding.
    """
    half = spacing_angstrom / 2
    x = np.arange(float(core.x_angstrom[0]) + half, float(core.x_angstrom[-1]) - half, half / 2)
    ends = [np.interp(x + shift, core.x_angstrom, core.disregistry_angstrom) for shift in (half, -half)]
    return x, np.asarray((ends[0] - ends[1]) / spacing_angstrom)


def _density_layout(result: PeierlsStressResult, origin_angstrom: float) -> dict[str, Any]:
    partials = () if result.partials_angstrom is None else result.partials_angstrom
    line = {"color": style.GREY, "width": 1, "dash": "dot"}
    marks = [
        {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": x, "x1": x, "line": line, "layer": "below"}
        for x in (float(position) - origin_angstrom for position in partials)
    ]
    return style.layout(
        380,
        xaxis=style.axis("distance from the unloaded core (Å)"),
        yaxis=style.axis("density dδ/dx (b/Å)"),
        shapes=marks,
    )
