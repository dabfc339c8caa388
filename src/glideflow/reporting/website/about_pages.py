"""The pages about the whole library: an overview of the dispersion, and what the numbers mean."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from glideflow.quality_flags import QUALITY_FLAGS
from glideflow.reporting.collection import PROPERTY_NAMES
from glideflow.reporting.embedding import figure_json
from glideflow.reporting.figures import coefficients_of_variation, peierls_by_metal
from glideflow.reporting.page import Plot
from glideflow.reporting.reference import PUBLISHED_SOURCE
from glideflow.reporting.reference_values import reference_values
from glideflow.reporting.statements import limits, settings_by_property
from glideflow.reporting.tables import Table, variation_table
from glideflow.reporting.website.outline import Outline


@dataclass(frozen=True, kw_only=True)
class OverviewPage:
    """Dispersion of every metal."""

    stresses: Plot
    variation: Plot
    variation_table: Table
    metals: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, kw_only=True)
class MethodsPage:
    """What the numbers mean.

    Attributes:
        limits: statements about this library.
        flags: name, properties it is about, meaning and number of potentials of each flag.
        remarks: what computations remarked and no flag covers, with the number of potentials.
        settings: property, settings and number of records that were computed with them.
        references: sources of the values from the literature.
        has_series: whether there is any size series.
        has_paper: whether any value by the paper's protocol.
        has_nabarro: whether any value by continuum models.
    """

    limits: tuple[str, ...]
    flags: tuple[tuple[str, str, str, int], ...]
    remarks: tuple[tuple[str, int], ...]
    settings: tuple[tuple[str, str, int], ...]
    references: tuple[str, ...]
    has_series: bool
    has_paper: bool
    has_nabarro: bool


def overview_page(site: Outline) -> OverviewPage:
    """Content of the overview."""
    return OverviewPage(
        stresses=Plot(
            id="stresses",
            title="Peierls stress by metal and potential",
            caption="Every potential, ordered by value within each metal; logarithmic axis. Error bars: search for the "
            "stress and difference between loading directions, not the effect of the finite cell. Triangles: upper "
            "bounds, the core glides at the smallest stress that is resolved. Grey bars: range published for EAM "
            f"potentials by {PUBLISHED_SOURCE}, with larger cells and a looser end of the minimisation, which raises "
            "small stresses most.",
            figure=figure_json(peierls_by_metal(site.library)),
        ),
        variation=Plot(
            id="variation-plot",
            title="Coefficient of variation",
            caption="σ/μ over the potentials of each metal (σ: sample standard deviation), from equilibrium properties "
            "on the left to the Peierls stress on the right; logarithmic axis.",
            figure=figure_json(coefficients_of_variation(site.library)),
        ),
        variation_table=variation_table(site.library),
        metals=tuple((metal.label, site.metal_page(metal), len(group)) for metal, group in site.metals.items()),
    )


def methods_page(site: Outline) -> MethodsPage:
    """Content of the page about methods."""
    counts = Counter(flag for entry in site.library.entries for flag in entry.flags)
    known = {flag.name for flag in QUALITY_FLAGS}
    present = {stage.property for entry in site.library.entries for stage in entry.stages if stage.ok}
    sources = dict.fromkeys(value.source for metal in site.metals for value in reference_values(metal))
    return MethodsPage(
        limits=limits(site.library, "on the pages of their potentials"),
        flags=tuple(
            (
                flag.name,
                ", ".join(PROPERTY_NAMES[name] for name in flag.concerns) or "the potential",
                flag.meaning,
                counts[flag.name],
            )
            for flag in QUALITY_FLAGS
        ),
        remarks=tuple(pair for pair in counts.most_common() if pair[0] not in known),
        settings=settings_by_property(site.library),
        references=tuple(sources),
        has_series="peierls_series" in present,
        has_paper="peierls_paper" in present,
        has_nabarro="peierls_nabarro" in present,
    )
