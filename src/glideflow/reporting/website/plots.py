"""Figures of the site's pages, with their captions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glideflow.properties.peierls_nabarro_results import PeierlsNabarroResult
from glideflow.properties.peierls_paper_results import PeierlsPaperResult
from glideflow.properties.peierls_series_results import PeierlsSeriesResult
from glideflow.properties.results import GammaSurfaceResult, PeierlsStressResult
from glideflow.records import StageRecord
from glideflow.reporting.context import RunContext
from glideflow.reporting.embedding import figure_json
from glideflow.reporting.figures import (
    continuum_resistance,
    core_position,
    dislocation_density,
    disregistry,
    gamma_path,
    gamma_surface,
    paper_curves,
    size_series,
    stress_strain,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

_CAPTIONS = {
    "surface": (
        "γ surface",
        "Energy of the upper half of the crystal displaced against the lower, atoms relaxed along the normal. x lies "
        "along the Burgers vector, y = z × x in the slip plane. Dotted white line: the primary path, from a lattice "
        "point near the middle. Marks: intrinsic (isf), unstable (usf) and aligned (asf) stacking fault. Colours and "
        "contours end at 1.5 times the unstable fault where the surface rises far above it; values under the pointer "
        "are never clipped.",
    ),
    "path": (
        "γ along the primary path",
        "Points: computed. Line: the Fourier representation fitted to the whole surface.",
    ),
    "stress-strain": (
        "Stress against shear strain",
        "Magnitudes of both loading directions. Dashed grey line: Peierls stress; grey band: its error. Crosses at the "
        "right edge glide, open squares did not converge: neither is an equilibrium.",
    ),
    "core-position": (
        "Stress against the displacement of the core",
        "The core bows out of its valley and stays, until it glides. Jumps in between are rearrangements of the core.",
    ),
    "disregistry": (
        "Disregistry across the glide plane",
        "Displacement of the plane above against the one below, along the Burgers vector, without load and at the "
        "highest stable stress. Dotted lines: b/4 and 3b/4, between which the core width is taken.",
    ),
    "density": (
        "Density of the Burgers vector",
        "Derivative of the disregistry, as a difference over one Burgers vector: where the core sits. The two maxima "
        "of a dissociated core are its partials; dotted lines mark where a fit puts them.",
    ),
    "series": (
        "Peierls stress by search",
        "Each point is a search that differs from the reference in its cell (length in b × height in Å), cut, start or "
        "force tolerance; filled ones take part in the fit of the size. Dashed line and band: the best estimate.",
    ),
    "paper": (
        "Stress against strain by the paper's protocol",
        "Fixed strain steps, each relaxed by LAMMPS' own minimiser to stated tolerances: the value is the largest "
        "stress before the core has glided by one Burgers vector.",
    ),
    "resistance": (
        "Resistance along the way, continuum models",
        "Stress that holds the core of the semidiscrete Peierls–Nabarro models at each place between two valleys.",
    ),
}


@dataclass(frozen=True, kw_only=True)
class SitePlot:
    """A figure of a potential's page.

    Attributes:
        id: identifier in the page, and key in the potential's data file.
        title: short title.
        caption: what is seen.
        figure: the figure as JSON.
    """

    id: str
    title: str
    caption: str
    figure: dict[str, Any]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.figure["layout"]["height"])


def stage_plots(stage: StageRecord, context: RunContext) -> tuple[SitePlot, ...]:
    """Figures of one record, none if it has no result or one that is shown in numbers only."""
    suffix = "-".join(filter(None, (stage.slip_system, stage.character)))
    return tuple(
        SitePlot(id=f"{kind}-{suffix}", title=_CAPTIONS[kind][0], caption=_CAPTIONS[kind][1], figure=figure_json(drawn))
        for kind, drawn in _figures(stage, context)
    )


def _figures(stage: StageRecord, context: RunContext) -> Iterator[tuple[str, go.Figure]]:
    result = stage.result
    if isinstance(result, GammaSurfaceResult):
        labels = context.slip_labels(result)
        yield "surface", gamma_surface(result, labels, contours=True)
        yield "path", gamma_path(result, labels)
    elif isinstance(result, PeierlsStressResult):
        yield "stress-strain", stress_strain(result)
        yield "core-position", core_position(result)
        yield "disregistry", disregistry(result)
        yield "density", dislocation_density(result)
    elif isinstance(result, PeierlsSeriesResult):
        yield "series", size_series(result)
    elif isinstance(result, PeierlsPaperResult) and result.cells:
        yield "paper", paper_curves(result)
    elif isinstance(result, PeierlsNabarroResult) and result.models:
        yield "resistance", continuum_resistance(result)
