"""Peierls stress against what a potential is fitted to or known by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from glideflow.quality_flags import NOT_FIRST
from glideflow.reporting.collection import CHARACTERISTIC, Metal, Quantity, Sample
from glideflow.reporting.figures import style
from glideflow.reporting.labels import peierls_text, plain, significant

STRESS = "peierls_reference_cell_mpa"
"""Column that potentials are compared by: all of them in the same cell."""
_EXCLUDED = ("peierls_mpa", "a_angstrom")
_HOVER = "%{customdata[0]}<br>%{customdata[1]}<br>τ<sub>P</sub> = %{customdata[2]} MPa<extra></extra>"


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """How a quantity goes with the Peierls stress over the potentials of a structure.

    Attributes:
        structure: crystal structure.
        quantity: the quantity.
        samples: potentials with both values; deliberately altered ones and all but the first of a family are left out,
            because they would count one parametrisation several times.
        rank_correlation: Spearman's; None for fewer than three different values. Upper bounds enter with their value.
        within_metals: the same between the ranks within each metal: what is left when metals are not told apart by it.
    """

    structure: str
    quantity: Quantity
    samples: tuple[Sample, ...]
    rank_correlation: float | None
    within_metals: float | None


def correlations(every: Iterable[Sample], structure: str) -> tuple[Correlation, ...]:
    """Correlation of the Peierls stress with each characteristic quantity that potentials of a structure have."""
    own = [sample for sample in every if _counts(sample, structure)]
    found = (_correlation(structure, quantity, own) for quantity in CHARACTERISTIC if quantity.key not in _EXCLUDED)
    return tuple(each for each in found if len(each.samples) > 1)


def stress_against(correlation: Correlation) -> go.Figure:
    """Peierls stress in the reference cell (logarithmic) against a quantity, a colour and symbol per metal.

    Triangles pointing down are upper bounds. Error bars are those of the search.
    """
    figure = go.Figure(layout=_layout(correlation))
    looks = style.looks(sample.metal for sample in correlation.samples)
    for metal, look in looks.items():
        own = [sample for sample in correlation.samples if sample.metal == metal]
        figure.add_trace(_points(own, metal, look, correlation.quantity))
    return figure


def _counts(sample: Sample, structure: str) -> bool:
    own = sample.entry
    independent = NOT_FIRST not in own.flags and not own.potential.fictional
    return sample.metal.structure == structure and independent and sample.value(STRESS) is not None


def _correlation(structure: str, quantity: Quantity, own: Sequence[Sample]) -> Correlation:
    valued = tuple(sample for sample in own if sample.value(quantity.key) is not None)
    pairs = [(sample.value(quantity.key) or 0.0, sample.value(STRESS) or 0.0) for sample in valued]
    return Correlation(
        structure=structure,
        quantity=quantity,
        samples=valued,
        rank_correlation=_spearman(pairs),
        within_metals=_within_metals(valued, pairs),
    )


def _within_metals(own: Sequence[Sample], pairs: Sequence[tuple[float, float]]) -> float | None:
    """Correlation of the ranks within each metal, scaled from 0 to 1, over metals with at least three potentials."""
    from scipy.stats import rankdata

    scaled: list[tuple[float, float]] = []
    for metal in dict.fromkeys(sample.metal for sample in own):
        group = [pair for sample, pair in zip(own, pairs, strict=True) if sample.metal == metal]
        if len(group) >= 3:
            ranks = [(rankdata(column) - 0.5) / len(group) for column in zip(*group, strict=True)]
            scaled += [(float(x), float(y)) for x, y in zip(*ranks, strict=True)]
    return _pearson(scaled)


def _spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    from scipy.stats import rankdata

    if not pairs:
        return None
    ranks = [rankdata(column) for column in zip(*pairs, strict=True)]
    return _pearson([(float(x), float(y)) for x, y in zip(*ranks, strict=True)])


def _pearson(pairs: Sequence[tuple[float, float]]) -> float | None:
    import numpy as np

    if any(len(set(column)) < 3 for column in zip(*pairs, strict=True)) or not pairs:
        return None
    return float(np.corrcoef(np.array(pairs).T)[0, 1])


def _points(own: Sequence[Sample], metal: Metal, look: style.Look, quantity: Quantity) -> go.Scatter:
    own = sorted(own, key=_is_bound)  # the legend shows the first symbol
    stresses = [sample.value(STRESS) or 0.0 for sample in own]
    bounds = [_is_bound(sample) for sample in own]
    errors = [0.0 if bound else _error(sample) for sample, bound in zip(own, bounds, strict=True)]
    low = [min(error, 0.999 * value) for error, value in zip(errors, stresses, strict=True)]
    texts = [
        (
            plain(sample.id),
            f"{quantity.markup} = {significant(sample.value(quantity.key), 4)} {quantity.unit}",
            peierls_text(stress, error, is_upper_bound=bound),
        )
        for sample, stress, error, bound in zip(own, stresses, errors, bounds, strict=True)
    ]
    return go.Scatter(
        x=[sample.value(quantity.key) for sample in own],
        y=stresses,
        error_y={"array": errors, "arrayminus": low, "thickness": 1, "width": 0},
        name=plain(metal.element),
        mode="markers",
        marker={
            "color": look.colour,
            "symbol": ["triangle-down-open" if bound else look.symbol for bound in bounds],
            "size": 8,
            "opacity": 0.85,
            "line": {"width": 1.2},
        },
        customdata=texts,
        hovertemplate=_HOVER,
        cliponaxis=False,
    )


def _result(sample: Sample) -> object:
    stage = sample.entry.stage("peierls_stress")
    return None if stage is None else stage.result


def _is_bound(sample: Sample) -> bool:
    return bool(getattr(_result(sample), "is_upper_bound", False))


def _error(sample: Sample) -> float:
    return float(getattr(_result(sample), "peierls_error_mpa", 0.0))


def _layout(correlation: Correlation) -> dict[str, object]:
    quantity = correlation.quantity
    unit = f" ({quantity.unit})" if quantity.unit else ""
    values = [value for sample in correlation.samples if (value := sample.value(STRESS))]
    decades = (math.log10(min(values)) - 0.3, math.log10(max(values)) + 0.3) if values else (-1.0, 3.0)
    return style.layout(
        style.height_with_legend(330, 2),
        margin={"l": 62, "r": 12, "t": 34, "b": 50},
        xaxis=style.axis(f"{quantity.markup}{unit}", nticks=6),
        yaxis=style.logarithmic("τ<sub>P</sub> (MPa)", decades),
    )
