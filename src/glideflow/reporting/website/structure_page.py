"""The page of one crystal structure: what the Peierls stress goes with, and what the continuum makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from glideflow.reporting.baselines import agreements
from glideflow.reporting.collection import Metal
from glideflow.reporting.embedding import figure_json
from glideflow.reporting.figures import continuum_against_atomistic, correlations, stress_against
from glideflow.reporting.figures.correlation import Correlation
from glideflow.reporting.labels import number
from glideflow.reporting.page import Plot
from glideflow.reporting.tables import Cell, Row, Table, baselines_table, column, text_cell, text_column
from glideflow.reporting.website.outline import Outline


@dataclass(frozen=True, kw_only=True)
class StructurePage:
    """What the page of a structure shows."""

    structure: str
    metals: tuple[tuple[Metal, str, int], ...]
    plots: tuple[Plot, ...]
    table: Table
    continuum: Plot | None
    agreement: Table | None


def structure_page(site: Outline, structure: str) -> StructurePage:
    """Content of the page of a structure."""
    found = correlations(site.samples, structure)
    has_baselines = any(each.structure == structure for each in agreements(site.library))
    return StructurePage(
        structure=structure,
        metals=tuple(
            (metal, site.metal_page(metal), len(group))
            for metal, group in site.metals.items()
            if metal.structure == structure
        ),
        plots=tuple(_plot(each) for each in found),
        table=_table(found),
        continuum=_continuum(site, structure) if has_baselines else None,
        agreement=baselines_table(site.library, structure) if has_baselines else None,
    )


def _plot(correlation: Correlation) -> Plot:
    quantity = correlation.quantity
    name = quantity.name[0].upper() + quantity.name[1:]
    return Plot(
        id=f"against-{quantity.key.replace('_', '-')}",
        title=name,
        caption=f"ρ = {number(correlation.rank_correlation, 2)} over {len(correlation.samples)} potentials, "
        f"{number(correlation.within_metals, 2)} within metals.",
        figure=figure_json(stress_against(correlation)),
    )


def _table(found: tuple[Correlation, ...]) -> Table:
    columns = (
        text_column("quantity"),
        column("n", "", "", "potentials with both values"),
        column("ρ", "", "", "Spearman's rank correlation with the Peierls stress"),
        column("ρ within metals", "", "", "the same between the ranks within each metal of three potentials or more"),
    )
    rows = tuple(
        Row(
            cells=(
                text_cell(each.quantity.name),
                Cell(text=str(len(each.samples)), sort=len(each.samples)),
                Cell(text=number(each.rank_correlation, 2), sort=each.rank_correlation),
                Cell(text=number(each.within_metals, 2), sort=each.within_metals),
            )
        )
        for each in found
    )
    return Table(
        id="correlations",
        caption="Rank correlation of each quantity with the Peierls stress in the reference cell. Upper bounds enter "
        "with their value; deliberately altered potentials and all but the first of a family are left out.",
        columns=columns,
        rows=rows,
        noun="quantities",
    )


def _continuum(site: Outline, structure: str) -> Plot:
    return Plot(
        id="continuum",
        title="Continuum models against atomistic values",
        caption="Filled: semidiscrete Peierls–Nabarro model on the γ surface; open: with the energy of the layers "
        "between the planes next to the glide plane. Solid line: agreement; dotted lines: a factor of ten. Triangles "
        "pointing left: the atomistic value is an upper bound. Predictions below 0.001 MPa are drawn there.",
        figure=figure_json(continuum_against_atomistic(site.library, structure)),
    )
