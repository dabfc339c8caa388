"""Static figures for documents, drawn with Matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glideflow.atomic import replacing
from glideflow.errors import StorageError
from glideflow.properties.results import GammaSurfaceResult, PeierlsStressResult
from glideflow.records import Library
from glideflow.reporting.collection import CHARACTERISTIC, Computed, Metal, computed
from glideflow.reporting.figures import style
from glideflow.reporting.statistics import spreads

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

FORMATS = (".svg", ".png")
_MARKERS = {"circle": "o", "square": "s", "diamond": "D", "cross": "P", "triangle-up": "^", "star": "*"} | {
    "hexagon": "h",
    "pentagon": "p",
    "bowtie": "X",
}
_DASHES = ("-", "--", ":", "-.")
_SETTINGS: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "glideflow",
}

Looks = Mapping[Metal, style.Look]


def write_overview(library: Library, path: Path) -> None:
    """Write a figure of three panels: γ lines, Peierls stresses, coefficients of variation.

    The panels correspond to Extended Data Fig. 1c, Fig. 1c and Extended Data Fig. 1b of Zhao, Zhang and Xu
    (Physics-Transfer Learning for Material Strength Screening). The same library gives the same bytes.

    Args:
        library: the library; results that are missing are left out of the figure.
        path: an ``.svg`` or ``.png`` file; its folder is made if need be.

    Raises:
        StorageError: the format is another one, or the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    _refuse_format(path)
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(11, 3.8), layout="constrained")
        axes = figure.subplots(1, 3, width_ratios=(1.0, 1.25, 1.15))
        looks = style.looks(Metal(entry.potential.element, entry.potential.structure) for entry in library.entries)
        _draw_gamma_lines(axes[0], library, looks)
        _draw_peierls(axes[1], library, looks)
        _draw_variation(axes[2], library, looks)
        figure.legend(handles=_keys(looks), loc="outside lower center", ncols=8, frameon=False)
        _save(figure, path)


def _refuse_format(path: Path) -> None:
    if path.suffix not in FORMATS:
        raise StorageError(
            f"{path} has the ending {path.suffix!r}",
            expected=f"one of {', '.join(FORMATS)}",
            next_step="name the file with one of these endings",
        )


def _save(figure: Any, path: Path) -> None:  # noqa: ANN401 - Matplotlib is imported where it is used
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, metadata=metadata)


def _keys(looks: Looks) -> list[Line2D]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=look.colour, marker=_MARKERS[look.symbol], label=metal.label)
        for metal, look in looks.items()
    ]


def _draw_gamma_lines(axes: Axes, library: Library, looks: Looks) -> None:
    drawn: dict[Metal, int] = {}
    for each in computed(library, GammaSurfaceResult):
        metal = _metal(each)
        rank = drawn[metal] = drawn.get(metal, -1) + 1
        dash = _DASHES[rank % len(_DASHES)]
        axes.plot(each.result.path_fraction, each.result.path_mj_m2, dash, color=looks[metal].colour, lw=1.4)
    axes.set(xlabel="fraction of the primary path", ylabel="γ (mJ/m²)", title="γ lines", xlim=(0, 1))
    axes.set_ylim(bottom=0)


def _draw_peierls(axes: Axes, library: Library, looks: Looks) -> None:
    found = computed(library, PeierlsStressResult)
    ordered = sorted(found, key=lambda each: (list(looks).index(_metal(each)), each.result.peierls_mpa))[::-1]
    for row, each in enumerate(ordered):
        _draw_value(axes, row, each, looks[_metal(each)])
    axes.set_yticks(range(len(ordered)), [each.entry.potential.id for each in ordered], fontsize=7.5)
    axes.set(xscale="log", xlabel="MPa (open triangle: upper bound)", title="Peierls stress, edge dislocation")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", color=style.GRID)
    axes.set_axisbelow(True)


def _draw_value(axes: Axes, row: int, each: Computed[PeierlsStressResult], look: style.Look) -> None:
    value, error = each.result.peierls_mpa, each.result.peierls_error_mpa
    if each.result.is_upper_bound:
        axes.plot(value, row, "<", color=look.colour, markerfacecolor="white")
        return
    # On a logarithmic axis a bar that reaches zero has no end: stop it just above.
    spread = [[min(error, 0.999 * value)], [error]]
    axes.errorbar(value, row, xerr=spread, fmt=_MARKERS[look.symbol], color=look.colour, capsize=2, markersize=5)


def _draw_variation(axes: Axes, library: Library, looks: Looks) -> None:
    found = [spread for spread in spreads(library) if spread.coefficient]
    quantities = [quantity for quantity in CHARACTERISTIC if any(spread.quantity == quantity for spread in found)]
    for spread in found:
        look, column = looks[spread.metal], quantities.index(spread.quantity)
        percent = 100 * (spread.coefficient or 0.0)
        axes.plot(column, percent, _MARKERS[look.symbol], color=look.colour, markersize=5)
    names = [_math(quantity.letter, quantity.subscript) for quantity in quantities]
    axes.set_xticks(range(len(quantities)), names, fontsize=8)
    axes.set(yscale="log", ylabel="σ/μ (%)", title="Coefficient of variation")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(axis="y", color=style.GRID)
    axes.set_axisbelow(True)


def _math(letter: str, subscript: str) -> str:
    symbol = {"γ": r"\gamma", "τ": r"\tau"}.get(letter, letter)
    return rf"${symbol}_{{\mathrm{{{subscript}}}}}$" if subscript else letter


def _metal(each: Computed[GammaSurfaceResult] | Computed[PeierlsStressResult]) -> Metal:
    return Metal(each.entry.potential.element, each.entry.potential.structure)
