"""Errors of Peierls stresses by kind and by route, as tables: the numbers of Fig. 2k and 2l of the paper."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator

from glideflow.reporting.figures.transfer_errors import decomposition, error_map
from glideflow.reporting.labels import MISSING, significant
from glideflow.reporting.sections import Section, markdown_table, plot, text_table
from glideflow.transfer.error_decomposition import ErrorTable, ErrorTerm, RouteError

TERM_COLUMNS = (
    *("metal", "kind", "term", "n", "factor", "median ratio", "10 % to 90 %"),
    *("relative error", "bounds", "value", "against"),
)
ROUTE_COLUMNS = ("metal", "route", "n", "mean (MPa)", "relative error", "factor", "made of")
_CSV_COLUMNS = (
    *("element", "structure", "kind", "term", "n", "bounds", "median_factor", "median_ratio", "ratio_10", "ratio_90"),
    *("median_relative_percent", "value", "against", "reason"),
)


_MAP_PX = 680
"""Width at which names of errors and numbers in the cells of their map can be read."""


def term_rows(table: ErrorTable) -> list[list[str]]:
    """Cells of every term, in the order of `TERM_COLUMNS`; a term without values says why."""
    return [_term_row(term) for term in table.terms]


def route_rows(table: ErrorTable) -> list[list[str]]:
    """Cells of every route, in the order of `ROUTE_COLUMNS`; a route without values says why."""
    return [_route_row(route) for route in table.routes]


def matrix(table: ErrorTable) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table with a line for each metal: the median factor of every term, n in brackets."""
    names = list(dict.fromkeys((term.kind, term.name) for term in table.terms))
    cells = {(term.element, term.structure, term.name): _cell(term) for term in table.terms}
    rows = [[f"{metal[0]} ({metal[1]})", *(cells[*metal, name] for _, name in names)] for metal in table.metals]
    return ["metal", *(f"{kind}: {name}" for kind, name in names)], rows


def reasons(table: ErrorTable) -> list[str]:
    """Why cells of `matrix` are empty, a line for each term and reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for term in table.terms:
        if term.reason:
            found.setdefault((term.name, term.reason), []).append(term.element)
    return [f"{name} of {', '.join(elements)}: {reason}" for (name, reason), elements in found.items()]


def error_section(table: ErrorTable) -> Section:
    """Errors as a section of the page: the map, the decomposition, and both tables."""
    return Section(
        name="errors",
        title="Errors by kind",
        notes=(
            "Every error compares two Peierls stresses that differ in one thing only. System: a potential with itself, "
            "in another cell (cell), by fixed strain steps instead of converged (protocol), in the limit of large "
            "cells. Physical: classical potentials with machine-learned ones by atomistics (potentials), or with what "
            f"the model {table.model} makes of their elastic constants and γ (transferred), or two of these inputs "
            "themselves. Inference: a prediction with atomistics of the same potential, held out or transferred.",
            "Factors are medians, up or down. Bounds and stresses below the floor of "
            f"{table.floor_mpa:g} MPa count with the bound or the floor, on both sides. "
            + (f"Held out: {table.split}." if table.split else "No validation was given."),
        ),
        plots=(
            plot(
                "errors-map",
                "Median factor of every error (n); the pointer says why a cell is empty.",
                error_map(table),
                narrowest_px=_MAP_PX,
            ),
            plot("errors-routes", "Mean error of every route to the Peierls stress.", decomposition(table)),
        ),
        tables=(
            text_table("Errors by kind", TERM_COLUMNS, [_term_row(term) for term in table.terms if len(term.log10)]),
            text_table("Errors by route", ROUTE_COLUMNS, [_route_row(route) for route in table.routes if route.values]),
            text_table("What there is no data for", ("error, metals and why",), [[text] for text in reasons(table)]),
        ),
    )


def error_markdown(table: ErrorTable) -> str:
    """Both tables in Markdown."""
    return markdown_table(TERM_COLUMNS, term_rows(table)) + "\n" + markdown_table(ROUTE_COLUMNS, route_rows(table))


def error_csv(table: ErrorTable) -> str:
    """A line for each term of each metal, with ``reason`` where there is no value.

    ``kind`` is ``route`` for the whole error of a route against machine-learned potentials, and ``share`` for what a
    term has of its mean square: ``median_ratio`` is then the mean of the ratio on the scale of the logarithm, and
    ``median_relative_percent`` the share in percent.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for term in table.terms:
        numbers = (term.factor, term.bias, *term.spread, term.relative_percent)
        own = (term.element, term.structure, term.kind, term.name, len(term.log10), term.bounds)
        writer.writerow((*own, *map(_plain, numbers), term.value, term.against, term.reason))
    for route in table.routes:
        writer.writerows(_route_lines(route))
    return stream.getvalue()


def _route_lines(route: RouteError) -> Iterator[tuple[object, ...]]:
    """A line for the route, and one for each of its terms if there are several."""
    own, mlff = (route.element, route.structure), "machine-learned potentials by atomistics (median)"
    numbers = (_plain(route.factor), "", "", "", _plain(route.relative_percent))
    yield (*own, "route", route.route, route.values, "", *numbers, route.route, mlff, route.reason)
    for name, mean, share in zip(route.terms, route.mean_log10, route.share, strict=True):
        if len(route.terms) > 1:
            shown = ("", _plain(10.0**mean), "", "", _plain(100 * share))
            yield (*own, "share", f"{route.route}: {name}", route.values, "", *shown, name, route.route, "")


def _cell(term: ErrorTerm) -> str:
    return f"{significant(term.factor, 3)} ({len(term.log10)})" if len(term.log10) else MISSING


def _term_row(term: ErrorTerm) -> list[str]:
    own = [f"{term.element} ({term.structure})", term.kind, term.name]
    if not len(term.log10):
        return [*own, "0", *[MISSING] * 4, "", term.value, f"{term.against}; none: {term.reason}"]
    low, high = term.spread
    spread = MISSING if math.isnan(low) else f"{significant(low, 2)} to {significant(high, 2)}"
    numbers = [significant(term.factor, 3), significant(term.bias, 3), spread, f"{term.relative_percent:.0f} %"]
    return [*own, str(len(term.log10)), *numbers, str(term.bounds), term.value, term.against]


def _route_row(route: RouteError) -> list[str]:
    own = [f"{route.element} ({route.structure})", route.route, str(route.values)]
    if not route.values:
        return [*own, *[MISSING] * 3, f"none: {route.reason}"]
    errors = [significant(route.mean_mpa, 3), f"{route.relative_percent:.0f} %", significant(route.factor, 3)]
    return [*own, *errors, made_of(route)]


def made_of(route: RouteError) -> str:
    """Mean ratio and share of every term, e.g. ``cell × 0.31 (12 %), protocol × 9.1 (70 %)``."""
    if len(route.terms) == 1:
        return f"{route.terms[0]} alone"
    parts = zip(route.terms, route.mean_log10, route.share, strict=True)
    return ", ".join(f"{name} × {significant(10.0**mean, 2)} ({share:.0%})" for name, mean, share in parts)


def _plain(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""
