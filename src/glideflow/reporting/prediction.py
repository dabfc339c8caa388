"""Predictions of the Peierls stress as one page: values, what they rest on, and what to compute next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glideflow.atomic import write_text
from glideflow.reporting.embedding import figure_json
from glideflow.reporting.figures.prediction import elastic_sensitivity, gamma_sensitivity, known_gamma
from glideflow.reporting.labels import significant
from glideflow.reporting.templating import plots_page
from glideflow.transfer.prediction import SHOWN_LEVELS, Sensitivity, StrengthPrediction, Suggestion
from glideflow.transfer.user_inputs import UserCrystal

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, kw_only=True)
class PredictionReport:
    """What the page says of one crystal.

    Attributes:
        crystal: the crystal.
        prediction: its prediction.
        suggestions: where γ should be computed next.
        sensitivity: what the inputs do to the prediction.
    """

    crystal: UserCrystal
    prediction: StrengthPrediction
    suggestions: tuple[Suggestion, ...]
    sensitivity: Sensitivity


def write_prediction_page(reports: Sequence[PredictionReport], path: Path) -> None:
    """Write the page, atomically; the same predictions give the same bytes.

    Args:
        reports: one for each crystal.
        path: the HTML file; its folder is made if need be.

    Raises:
        StorageError: the file cannot be written.
    """
    write_text(path, prediction_page(reports))


def prediction_page(reports: Sequence[PredictionReport]) -> str:
    """The page as HTML."""
    sections = [_section(number, report) for number, report in enumerate(reports)]
    figures = {plot["id"]: plot["figure"] for section in sections for plot in section["plots"]}
    return plots_page("prediction.html", figures, sections=sections)


def _section(number: int, report: PredictionReport) -> dict[str, Any]:
    shown = report.prediction
    spreads = (shown.spread_log10, shown.model_spread_log10, shown.input_spread_log10)
    return {
        "id": f"crystal-{number}",
        "prediction": shown,
        "value": significant(shown.peierls_mpa, 3),
        "intervals": [
            (f"{level:.0%}", significant(low, 3), significant(high, 3))
            for level, (low, high) in shown.intervals_mpa.items()
            if level in SHOWN_LEVELS
        ],
        "factors": [significant(10**spread, 3) for spread in spreads],
        "neighbours": [
            (
                each.potential_id,
                each.element,
                f"{'≤ ' * each.at_floor}{significant(each.peierls_mpa, 3)}",
                significant(each.distance, 2),
            )
            for each in shown.neighbours
        ],
        "suggestions": [_suggestion_row(each) for each in report.suggestions],
        "plots": [
            {"id": f"{kind}-{number}", "caption": words, "figure": figure_json(made)}
            for kind, words, made in _figures(report)
        ],
    }


def _suggestion_row(each: Suggestion) -> tuple[str, ...]:
    return (
        f"({each.fraction[0]:.4f}, {each.fraction[1]:.4f})",
        f"({each.displacement_angstrom[0]:.3f}, {each.displacement_angstrom[1]:.3f})",
        f"{each.gamma_mj_m2:.4g} ± {significant(each.deviation_mj_m2, 2)}",
        significant(10**each.input_spread_log10, 3),
    )


def _figures(report: PredictionReport) -> Iterator[tuple[str, str, go.Figure]]:
    """Name, caption and figure of every picture."""
    gamma, given, suggested = report.crystal.gamma, report.crystal.given_fractions, report.suggestions
    found = report.sensitivity
    known = known_gamma(gamma, given, suggested, deviation=False)
    yield "gamma", "γ as far as it is known, the most likely surface.", known
    deviation = known_gamma(gamma, given, suggested, deviation=True)
    yield "deviation", "How well γ is known: its standard deviation.", deviation
    yield (
        "sensitivity",
        "What γ does: change of the predicted stress for a bump of one percent of its maximum, with a width of a tenth "
        "of the period and all images by symmetry.",
        gamma_sensitivity(found),
    )
    yield (
        "elastic",
        "What one percent of each elastic constant does at fixed γ, by central differences of 3 %.",
        elastic_sensitivity(found),
    )
