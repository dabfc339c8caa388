"""Validations side by side: a row per model and split, with what the seeds make of it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from glideflow.transfer.metrics import Scores, median_factor_interval
from glideflow.transfer.validation import ValidationRecord


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """A model on a data set and a split; every score is the mean over the seeds.

    Attributes:
        dataset: name of the data set.
        structure: crystal structure whose samples are scored; empty for all of them.
        split: name of the split.
        model: name of the model.
        control: what was done to the training samples, or empty.
        samples: samples scored.
        censored: how many of them are censored.
        families: their families.
        seeds: runs.
        median_factor: median factor error.
        median_factor_deviation: standard deviation over the seeds; None for one run.
        median_factor_low: lower end of the 90 % interval that so few families leave, by the bootstrap (first seed).
        median_factor_high: its upper end.
        p90_factor: 90th percentile of the factor error.
        bias_factor: median of predicted over true.
        rmse_log10: root mean square error of log₁₀.
        r2_log10: R² of log₁₀.
        spearman: rank correlation; None where it is not defined.
        rmse_mpa: root mean square error in MPa.
        median_error_mpa: median error in MPa.
        coverage_68: share of targets inside the 68 % intervals; None for a model without.
        coverage_90: the same for 90 %.
    """

    dataset: str
    structure: str
    split: str
    model: str
    control: str
    samples: int
    censored: int
    families: int
    seeds: int
    median_factor: float
    median_factor_deviation: float | None
    median_factor_low: float
    median_factor_high: float
    p90_factor: float
    bias_factor: float
    rmse_log10: float
    r2_log10: float
    spearman: float | None
    rmse_mpa: float
    median_error_mpa: float
    coverage_68: float | None
    coverage_90: float | None


COLUMNS: tuple[tuple[str, Callable[[SummaryRow], str]], ...] = (
    ("data set", lambda row: row.dataset + (f", {row.structure}" if row.structure else "")),
    ("held out", lambda row: row.split),
    ("model", lambda row: row.model + (f" ({row.control})" if row.control else "")),
    ("n", lambda row: str(row.samples)),
    ("factor", lambda row: _with_deviation(row.median_factor, row.median_factor_deviation)),
    ("known to", lambda row: f"{row.median_factor_low:.1f}-{row.median_factor_high:.1f}"),
    ("90 %", lambda row: f"{row.p90_factor:.1f}"),
    ("bias", lambda row: f"{row.bias_factor:.2f}"),
    ("R²", lambda row: f"{row.r2_log10:.2f}"),
    ("rank", lambda row: _optional(row.spearman)),
    ("MPa", lambda row: f"{row.median_error_mpa:.2g}"),
    ("in 68 %", lambda row: _optional(row.coverage_68)),
    ("in 90 %", lambda row: _optional(row.coverage_90)),
)
"""Headings of the table, and what stands below them.

``factor``: median of the factor by which predictions err, ± what seeds differ by; ``known to``: its 90 % interval by
the bootstrap over families; ``90 %``: 90th percentile of the factor; ``bias``: median of predicted over true; ``R²``
of the logarithm; ``rank``: Spearman's correlation; ``MPa``: median error; ``in 68 %`` and ``in 90 %``: share of the
targets inside these intervals.
"""
TITLE_COLUMNS = 2
"""How many of them say what a group of rows is about."""


def summarise(records: Iterable[ValidationRecord], *, by_structure: bool = True) -> tuple[SummaryRow, ...]:
    """Rows of validations, in their order.

    Args:
        records: the validations.
        by_structure: after a joint data set, also its samples of each structure.
    """
    rows = []
    for record in records:
        rows.append(_row(record, ""))
        structures = sorted(set(record.structures))
        rows += [_row(record, one) for one in structures if by_structure and len(structures) > 1]
    return tuple(rows)


def markdown(rows: Sequence[SummaryRow]) -> str:
    """The rows as a table in Markdown."""
    lines = [_line([heading for heading, _ in COLUMNS]), _line(["---"] * len(COLUMNS))]
    lines += [_line([text(row) for _, text in COLUMNS]) for row in rows]
    return "\n".join(lines) + "\n"


def _row(record: ValidationRecord, structure: str) -> SummaryRow:
    scores = record.scores(structure)
    factors = [each.median_factor for each in scores]
    chosen = np.array([structure in ("", own) for own in record.structures], dtype=bool)
    families = [record.families[int(index)] for index in np.flatnonzero(chosen)]
    low, high = median_factor_interval(record.errors_log10(0)[chosen], families)
    return SummaryRow(
        dataset=record.dataset,
        structure=structure,
        split=record.split,
        model=record.model,
        control=record.control,
        samples=scores[0].samples,
        censored=scores[0].censored,
        families=len(set(families)),
        seeds=len(scores),
        median_factor=statistics.fmean(factors),
        median_factor_deviation=statistics.stdev(factors) if len(factors) > 1 else None,
        median_factor_low=low,
        median_factor_high=high,
        p90_factor=_mean(scores, lambda each: each.p90_factor),
        bias_factor=_mean(scores, lambda each: each.bias_factor),
        rmse_log10=_mean(scores, lambda each: each.rmse_log10),
        r2_log10=_mean(scores, lambda each: each.r2_log10),
        spearman=_known_mean(scores, lambda each: each.spearman),
        rmse_mpa=_mean(scores, lambda each: each.rmse_mpa),
        median_error_mpa=_mean(scores, lambda each: each.median_error_mpa),
        coverage_68=_known_mean(scores, lambda each: _coverage(each, 0.68)),
        coverage_90=_known_mean(scores, lambda each: _coverage(each, 0.9)),
    )


def _coverage(scores: Scores, level: float) -> float:
    return float(scores.coverage[list(scores.levels).index(level)])


def _mean(scores: Sequence[Scores], value: Callable[[Scores], float]) -> float:
    return statistics.fmean(value(each) for each in scores)


def _known_mean(scores: Sequence[Scores], value: Callable[[Scores], float]) -> float | None:
    """Mean of a score; None if it is not defined for a run."""
    mean = _mean(scores, value)
    return mean if mean == mean else None


def _with_deviation(value: float, deviation: float | None) -> str:
    return f"{value:.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")


def _optional(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
