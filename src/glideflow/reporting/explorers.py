"""Explorers: figures of one potential at a time, chosen by the reader, all of them in one data store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from glideflow.properties.results import GammaSurfaceResult, PeierlsStressResult
from glideflow.records import Library
from glideflow.reporting.collection import Computed, Metal, R, computed
from glideflow.reporting.context import RunContext, run_context
from glideflow.reporting.embedding import FigureFamily, family
from glideflow.reporting.figures import core_position, disregistry, gamma_path, gamma_surface, stress_strain
from glideflow.reporting.figures.gamma import colour_limit
from glideflow.reporting.labels import number, peierls_text, significant

if TYPE_CHECKING:
    import plotly.graph_objects as go

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One choice of an explorer.

    Attributes:
        potential: id of the potential.
        group: metal under which the choice is listed.
        label: text of the choice.
        facts: pairs of a name and a value that stand beside the figures.
    """

    potential: str
    group: str
    label: str
    facts: Facts


@dataclass(frozen=True, kw_only=True)
class Explorer:
    """Figures of which one member is shown at a time.

    Attributes:
        id: identifier in the page.
        items: what can be chosen.
        figures: families of figures by name, each with one member per item.
    """

    id: str
    items: tuple[Item, ...]
    figures: dict[str, FigureFamily]

    @property
    def store(self) -> dict[str, object]:
        """Content for the page's script."""
        families = {name: {"skeleton": f.skeleton, "differences": f.differences} for name, f in self.figures.items()}
        return {"items": [asdict(item) for item in self.items], "figures": families}

    @property
    def groups(self) -> tuple[tuple[str, tuple[tuple[int, Item], ...]], ...]:
        """Choices with their numbers, by group."""
        names = dict.fromkeys(item.group for item in self.items)
        numbered = tuple(enumerate(self.items))
        return tuple((name, tuple(pair for pair in numbered if pair[1].group == name)) for name in names)


def gamma_explorer(library: Library) -> Explorer:
    """γ surface and γ line of each potential."""
    context = run_context(library)
    found = list(computed(library, GammaSurfaceResult))
    return Explorer(
        id="gamma-explorer",
        items=tuple(_item(each, context, gamma_facts(each.result, context)) for each in found),
        figures={
            "surface": family([gamma_surface(each.result, context.slip_labels(each.result)) for each in found]),
            "path": family([gamma_path(each.result, context.slip_labels(each.result)) for each in found]),
        },
    )


def peierls_explorer(library: Library) -> Explorer:
    """Loading curves and disregistry of each potential."""
    context = run_context(library)
    found = list(computed(library, PeierlsStressResult))
    kinds: dict[str, Callable[[PeierlsStressResult], go.Figure]] = {
        "stress-strain": stress_strain,
        "core-position": core_position,
        "disregistry": disregistry,
    }
    return Explorer(
        id="peierls-explorer",
        items=tuple(_item(each, context, peierls_facts(each.result)) for each in found),
        figures={name: family([draw(each.result) for each in found]) for name, draw in kinds.items()},
    )


def _item(each: Computed[R], context: RunContext, facts: Facts) -> Item:
    potential, character = each.entry.potential, each.stage.character
    title = ""
    if isinstance(each.result, GammaSurfaceResult | PeierlsStressResult):
        title = f"{context.slip_labels(each.result).title} {character}".strip()
    return Item(
        potential=potential.id,
        group=Metal(potential.element, potential.structure).label,
        label=f"{potential.id}, {title}",
        facts=facts,
    )


def gamma_facts(result: GammaSurfaceResult, context: RunContext) -> Facts:
    """What is to be known beside a γ surface: its special points, and how well it was computed."""
    labels = context.slip_labels(result)
    shape = " × ".join(str(count) for count in result.gamma_mj_m2.shape)
    return (
        ("slip system", f"{labels.title}, {result.cut} cut"),
        ("γ isf", _energy(result.gamma_isf_mj_m2)),
        ("γ usf", _energy(result.gamma_usf_mj_m2)),
        ("γ asf", _energy(result.gamma_asf_mj_m2)),
        ("maximum", _energy(result.gamma_max_mj_m2)),
        ("colours end at", f"{_energy(colour_limit(result))} when clipped"),
        ("grid", f"{shape}, {result.unique_points} points computed, the others by symmetry"),
        ("Fourier residual (root mean square)", _residuals(result)),
        ("largest force left along the normal", f"{significant(result.residual_force_ev_per_angstrom, 1)} eV/Å"),
        ("symmetry check", f"{significant(result.symmetry_error_mj_m2, 1)} mJ/m²"),
        ("flags", "; ".join(result.flags) or "none"),
    )


def peierls_facts(result: PeierlsStressResult) -> Facts:
    """What is to be known beside the loading curves: the value, its cell, and the parts of its error."""
    stress = peierls_text(result.peierls_mpa, result.peierls_error_mpa, is_upper_bound=result.is_upper_bound)
    cell = f"{result.burgers_vectors} b × {result.height_angstrom:.1f} Å × {result.line_angstrom:.2f} Å"
    unloaded, peak = result.core_unloaded.width_angstrom, result.core_at_peak.width_angstrom
    steps = [outcome for curve in result.curves for outcome in curve.outcome]
    return (
        ("Peierls stress", f"{stress} MPa"),
        ("cell", f"{cell}, {result.atoms} atoms"),
        ("Burgers vector", f"{result.burgers_vector_angstrom:.4f} Å"),
        ("core width", f"{number(unloaded, 1)} Å unloaded, {number(peak, 1)} Å at peak"),
        ("bracket", f"± {significant(result.bracket_mpa, 2)} MPa"),
        ("history: directions, late jumps", f"{significant(result.history_mpa, 2)} MPa"),
        ("resolution", f"{significant(result.resolution_mpa, 2)} MPa"),
        ("equilibrium", f"forces below {significant(result.force_tolerance_ev_per_angstrom, 1)} eV/Å"),
        ("steps", ", ".join(f"{steps.count(name)} {name}" for name in ("stable", "glides", "unconverged"))),
        ("evaluations", str(result.evaluations)),
        ("flags", "; ".join(result.flags) or "none"),
    )


def _residuals(result: GammaSurfaceResult) -> str:
    low, whole = result.fourier_residual_low_mj_m2, result.fourier_residual_mj_m2
    return f"{significant(whole)} mJ/m² on the grid, {significant(low)} below 0.7 of the maximum"


def _energy(value_mj_m2: float | None) -> str:
    text = number(value_mj_m2, 1)
    return text if value_mj_m2 is None else f"{text} mJ/m²"
