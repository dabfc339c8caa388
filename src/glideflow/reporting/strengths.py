"""Table 1 of the physics-transfer paper with the numbers of a library, beside the published ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np

from glideflow.reporting.collection import Metal
from glideflow.reporting.labels import MISSING, significant
from glideflow.reporting.reference import PublishedRange, published_range
from glideflow.transfer.strengths import (
    PROTOCOLS,
    EmpiricalStrengths,
    MetalStrengths,
    StrengthTable,
    TransferredStrength,
)

COLUMNS = (
    "metal",
    "EAM, converged (MPa)",
    "EAM, large cells (MPa)",
    "EAM, fixed steps (MPa)",
    "EAM, 244 atoms (MPa)",
    "PT-EAM (MPa)",
    "PT-MLFF (MPa)",
    "MLFF (MPa)",
    "published EAM",
    "published PT-EAM",
    "published PT-MLFF",
    "published MLFF",
)
_NO_STRESS_MPA = 1e-4
_CSV_COLUMNS = (
    *("element", "structure", "slip_system", "route", "source"),
    *("potentials", "peierls_mpa", "low_mpa", "high_mpa", "upper_bounds"),
)


def strength_rows(table: StrengthTable) -> list[list[str]]:
    """Cells of every metal, in the order of `COLUMNS`.

    Ranges are lowest – highest, with the number of potentials, and of upper bounds among them, in brackets. PT-EAM,
    PT-MLFF and MLFF are medians over machine-learned potentials, with their range if there are several; ≤ behind MLFF:
    some of them are upper bounds.
    """
    return [_row(metal) for metal in table.metals]


def strength_markdown(table: StrengthTable) -> str:
    """The table in Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(row) + " |" for row in strength_rows(table)]
    return "\n".join(lines) + "\n"


def strength_csv(table: StrengthTable) -> str:
    """One line for each machine-learned potential and route, and one for each metal and protocol of the classical ones.

    ``low_mpa`` and ``high_mpa`` are the smallest and the largest value of several classical potentials, and otherwise
    one standard error below and above; ``upper_bounds`` counts values that are only bounds.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for metal in table.metals:
        own = (metal.element, metal.structure, metal.slip_system)
        for each in metal.empirical:
            values = (each.median_mpa, each.lowest_mpa, each.highest_mpa)
            texts = (*map(_plain, values), each.upper_bounds)
            writer.writerow((*own, f"EAM {each.protocol}", "library", each.potentials, *texts))
        for found in metal.transferred:
            for route, value, low, high in _routes(found):
                bounds = int(found.is_upper_bound and route == "MLFF")
                writer.writerow((*own, route, found.potential_id, 1, *map(_plain, (value, low, high)), bounds))
    return stream.getvalue()


def _routes(found: TransferredStrength) -> list[tuple[str, float, float, float]]:
    """Route, value and one standard error below and above, of those that there are."""
    by_factor = [
        ("PT-EAM", found.pt_eam_mpa, found.pt_eam_spread_log10),
        (f"PT-MLFF {found.shots} shots", found.pt_mlff_mpa, found.pt_mlff_spread_log10),
    ]
    routes = [(name, value, value * 10.0**-spread, value * 10.0**spread) for name, value, spread in by_factor]
    value, error = found.mlff_mpa, found.mlff_error_mpa
    return [each for each in (*routes, ("MLFF", value, value - error, value + error)) if np.isfinite(each[1])]


def _row(metal: MetalStrengths) -> list[str]:
    by_protocol = {each.protocol: each for each in metal.empirical}
    transferred, published = metal.transferred, published_range(Metal(metal.element, metal.structure))
    return [
        f"{metal.element} ({metal.structure})",
        *(_range(by_protocol.get(protocol)) for protocol in PROTOCOLS),
        _median([each.pt_eam_mpa for each in transferred], "no machine-learned potential"),
        _median([each.pt_mlff_mpa for each in transferred], "no shots"),
        _median([each.mlff_mpa for each in transferred], "not computed")
        + (" ≤" if any(each.is_upper_bound for each in transferred) else ""),
        *_published(published),
    ]


def _published(published: PublishedRange | None) -> Sequence[str]:
    if published is None:
        return [MISSING] * 4
    single = (published.pt_eam_mpa, published.pt_mlff_mpa, published.mlff_mpa)
    return [
        f"{published.lowest_mpa:g} – {published.highest_mpa:g}",
        *(MISSING if value is None else f"{value:g}" for value in single),
    ]


def _range(found: EmpiricalStrengths | None) -> str:
    if found is None:
        return MISSING
    bounds = f", {found.upper_bounds} ≤" if found.upper_bounds else ""
    if found.potentials == 1:
        return f"{_stress(found.median_mpa)} (1{bounds})"
    ends = " – ".join(_stress(value) for value in (found.lowest_mpa, found.highest_mpa))
    return f"{ends} ({found.potentials}{bounds}); median {_stress(found.median_mpa)}"


def _stress(value_mpa: float) -> str:
    """A stress; below what any minimisation resolves it is none."""
    return f"< {_NO_STRESS_MPA:g}" if value_mpa < _NO_STRESS_MPA else significant(value_mpa, 3)


def _median(values: Sequence[float], reason: str) -> str:
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return f"{MISSING} ({reason})"
    middle = significant(float(np.median(known)), 3)
    if len(known) == 1:
        return f"{middle} (1)"
    return f"{middle} ({len(known)}: {significant(min(known), 3)} – {significant(max(known), 3)})"


def _plain(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else ""
