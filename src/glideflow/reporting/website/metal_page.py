"""The page of one metal: how much its potentials disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glideflow.properties.results import GammaSurfaceResult
from glideflow.reporting.collection import CHARACTERISTIC, Metal, Sample
from glideflow.reporting.embedding import figure_json
from glideflow.reporting.figures import gamma_lines, normalised_parameters, peierls_ranking
from glideflow.reporting.labels import SlipLabels, number, significant
from glideflow.reporting.page import Plot
from glideflow.reporting.reference import PUBLISHED_SOURCE, published_range
from glideflow.reporting.statistics import Spread
from glideflow.reporting.tables import Cell, Column, Row, Table, column, remarks_cell, status_cell, text_column
from glideflow.reporting.website.comparison import value_text
from glideflow.reporting.website.outline import Outline


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A γ surface that the page can show.

    Attributes:
        label: id of the potential and slip system.
        data: script that holds the figure, relative to the site.
        store: key of the script's figures.
        figure: identifier of the figure there.
    """

    label: str
    data: str
    store: str
    figure: str


@dataclass(frozen=True, kw_only=True)
class MetalPage:
    """What the page of a metal shows."""

    metal: Metal
    count: int
    ranking: Plot
    ratios: Plot
    variation: Table
    lines: tuple[Plot, ...]
    surfaces: tuple[Surface, ...]
    surface_height: int
    table: Table


def metal_page(site: Outline, metal: Metal, all_spreads: Sequence[Spread]) -> MetalPage:
    """Content of the page of a metal.

    Args:
        site: the site.
        metal: the metal.
        all_spreads: spreads of the whole library, which every metal's page needs.
    """
    group = site.metals[metal]
    return MetalPage(
        metal=metal,
        count=len(group),
        ranking=_ranking(site, metal),
        ratios=_ratios(site, metal, all_spreads),
        variation=_variation([spread for spread in all_spreads if spread.metal == metal]),
        lines=_lines(site, metal),
        surfaces=tuple(_surfaces(site, group)),
        surface_height=520,
        table=_table(site, group),
    )


def _ranking(site: Outline, metal: Metal) -> Plot:
    published = published_range(metal)
    band = f" Grey band: range published for EAM potentials by {PUBLISHED_SOURCE}." if published else ""
    return Plot(
        id="ranking",
        title="Peierls stress by potential",
        caption="A row per potential, ordered by the Peierls stress in the reference cell; logarithmic axis. Error "
        "bars: search for the stress and difference between the loading directions. Triangles pointing left: upper "
        "bounds, the core glides at the smallest stress that is resolved. "
        f"Further kinds of value where there are any.{band}",
        figure=figure_json(peierls_ranking(site.library, metal)),
    )


def _ratios(site: Outline, metal: Metal, all_spreads: Sequence[Spread]) -> Plot:
    return Plot(
        id="ratios",
        title="Characteristic parameters over their mean",
        caption="One point per potential, ordered by value; logarithmic axis, dashed line at the mean. Downward "
        "triangles: upper bounds (open), or values below 0.02 of the mean (filled; negative values are among them), "
        "drawn at the lower edge. Open stars: machine-learned potentials. Black marks: values, or ranges, from the "
        "literature. Deliberately altered potentials are left out.",
        figure=figure_json(normalised_parameters(site.library, metal, all_spreads)),
    )


def _lines(site: Outline, metal: Metal) -> tuple[Plot, ...]:
    systems: dict[str, SlipLabels] = {}
    for sample in site.metals[metal]:
        for stage in sample.entry.stages:
            if isinstance(stage.result, GammaSurfaceResult):
                systems.setdefault(stage.slip_system, site.context.slip_labels(stage.result))
    return tuple(
        Plot(
            id=f"lines-{index}",
            title=f"γ along the primary path, {labels.title}",
            caption="Energy of a rigid shift of the upper half crystal, atoms relaxed along the normal; a line per "
            "potential, named under the pointer. Computed points; the lines between them only join.",
            figure=figure_json(gamma_lines(site.library, labels, only=metal)),
        )
        for index, labels in enumerate(systems.values())
    )


def _surfaces(site: Outline, group: Sequence[Sample]) -> list[Surface]:
    return [
        Surface(
            label=f"{sample.id}, {site.context.slip_labels(stage.result).title}",
            data=site.potential_data(sample.id),
            store=site.names[sample.id],
            figure=f"surface-{stage.slip_system}",
        )
        for sample in group
        for stage in sample.entry.stages
        if isinstance(stage.result, GammaSurfaceResult)
    ]


def _variation(own: Sequence[Spread]) -> Table:
    columns = (
        text_column("quantity"),
        column("n", "", "", "potentials with a value"),
        column("lowest", "", "", "lowest value"),
        column("mean μ", "", "", "arithmetic mean"),
        column("highest", "", "", "highest value"),
        column("σ/μ", "", "%", "coefficient of variation, n − 1 in the denominator of σ²"),
    )
    return Table(
        id="variation",
        caption="How much the potentials differ. Upper bounds enter with their value, deliberately altered potentials "
        "not at all; a mean that is not positive has no σ/μ.",
        columns=columns,
        rows=tuple(_variation_row(spread) for spread in own),
        noun="quantities",
    )


def _variation_row(spread: Spread) -> Row:
    quantity = spread.quantity
    name = f"{quantity.name} ({quantity.unit})" if quantity.unit else quantity.name

    def cell(value: float | None) -> Cell:
        text = significant(value) if quantity.key == "peierls_mpa" else number(value, quantity.decimals)
        return Cell(text=text, sort=value)

    relative = None if spread.coefficient is None else 100 * spread.coefficient
    count = Cell(text=str(len(spread.values)), sort=len(spread.values))
    values = (cell(min(spread.values)), cell(spread.mean), cell(max(spread.values)))
    return Row(cells=(Cell(text=name, sort=name), count, *values, Cell(text=significant(relative), sort=relative)))


def _table(site: Outline, group: Sequence[Sample]) -> Table:
    quantities = [q for q in CHARACTERISTIC if any(sample.value(q.key) is not None for sample in group)]
    columns: tuple[Column, ...] = (
        text_column("potential"),
        *(column(q.letter, q.subscript, q.unit, q.name) for q in quantities),
        text_column("status"),
        text_column("flags"),
    )
    rows = tuple(
        Row(
            status=sample.entry.status,
            cells=(
                Cell(text=sample.id, sort=sample.id, href="../" + site.potential_page(sample.id)),
                *(Cell(text=value_text(sample, q), sort=sample.value(q.key)) for q in quantities),
                status_cell(sample.entry.status),
                remarks_cell(str(sample.row["flags"] or "")),
            ),
        )
        for sample in group
    )
    return Table(id="values", caption="One row per potential; a heading sorts.", columns=columns, rows=rows)
