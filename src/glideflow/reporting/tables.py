"""Tables of the report: text as it is shown, and the full number behind it by which a column is sorted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from glideflow.properties.results import ElasticResult, GammaSurfaceResult, PeierlsStressResult
from glideflow.records import FAILED, OK, Library
from glideflow.reporting.baselines import FLOOR_MPA, agreements
from glideflow.reporting.collection import (
    CHARACTERISTIC,
    PROPERTY_NAMES,
    Computed,
    Metal,
    Quantity,
    R,
    Sample,
    computed,
    samples,
)
from glideflow.reporting.context import RunContext, run_context
from glideflow.reporting.labels import MISSING, anchor, number, peierls_text, significant
from glideflow.reporting.statistics import Spread, spreads

_SUMMARY_KEYS = ("a_angstrom", "c_over_a", "c11_gpa", "c12_gpa", "c44_gpa", "gamma_isf_mj_m2", "gamma_usf_mj_m2")
BASELINE_NAMES = {
    "sinusoidal": "closed form, sinusoidal γ of the same height",
    "joos_duesbery": "closed form, sinusoidal γ of the same slope (Joós and Duesbery)",
    "line": "semidiscrete, along the Burgers vector",
    "surface": "semidiscrete, on the γ surface",
    "gradient": "semidiscrete, on the γ surface, with the gradient term",
}
"""Continuum models in words."""
_STATUS_TEXT = {OK: "✓ ok", FAILED: "✕ failed", "partial": "◐ partial"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column.

    Attributes:
        label: heading as plain text.
        heading: heading as HTML.
        numeric: whether its cells are numbers.
        description: longer explanation, or empty.
    """

    label: str
    heading: Markup
    numeric: bool = True
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell.

    Attributes:
        text: what is shown.
        sort: the full number or text by which it is sorted; None sorts last.
        href: target of a link, or empty.
        kind: class for the style sheet, e.g. ``failed``.
    """

    text: str
    sort: float | str | None = None
    href: str = ""
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row; ``status`` is for the style sheet."""

    cells: tuple[Cell, ...]
    status: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        id: identifier in the page.
        caption: what it holds, and where the numbers come from.
        columns: its columns.
        rows: its rows, each with a cell per column.
        noun: what a row is, for the count of rows.
    """

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    noun: str = "potentials"


def summary_table(library: Library) -> Table:
    """One row per potential: the characteristic parameters, the Peierls stress, flags and status."""
    quantities = [quantity for quantity in CHARACTERISTIC if quantity.key in _SUMMARY_KEYS]
    columns = (
        text_column("potential"),
        text_column("metal"),
        text_column("structure"),
        text_column("slip system"),
        *(_quantity_column(quantity) for quantity in quantities),
        column("τ", "P", "MPa", "Peierls stress with the error of the search; ≤ marks upper bounds"),
        text_column("status"),
        text_column("flags"),
    )
    context = run_context(library)
    return Table(
        id="summary-table",
        caption=f"One row per potential; {MISSING} where a structure has no such value or it was not computed.",
        columns=columns,
        rows=tuple(_summary_row(sample, quantities, context) for sample in samples(library)),
    )


def elastic_table(library: Library) -> Table:
    """Elastic constants with what tells whether they can be trusted."""
    constants = [quantity for quantity in CHARACTERISTIC if quantity.letter == "C"]
    columns = (
        text_column("potential"),
        text_column("metal"),
        *(_quantity_column(quantity) for quantity in constants),
        column("B", "", "GPa", "bulk modulus, Voigt average"),
        column("G", "", "GPa", "shear modulus, Voigt average"),
        column("A", "", "", "Zener anisotropy 2 C44 / (C11 − C12) of cubic crystals"),
        column("λ", "min", "GPa", "lowest eigenvalue of the elastic tensor; positive means stable"),
        text_column("Born stable"),
        column("residual", "", "GPa", "largest difference between the computed and the symmetric tensor"),
        column("strain dependence", "", "%", "largest relative change of a constant between strain amplitudes"),
        column("engine calls", "", "", "engine evaluations made"),
        text_column("flags"),
    )
    rows = tuple(_elastic_row(each, constants) for each in computed(library, ElasticResult))
    return Table(
        id="elastic-table",
        caption="Elastic constants at zero stress, one row per potential.",
        columns=columns,
        rows=rows,
    )


def gamma_table(library: Library) -> Table:
    """Stacking fault energies and the quality of the γ surfaces."""
    columns = (
        text_column("potential"),
        text_column("metal"),
        text_column("slip system"),
        column("γ", "isf", "mJ/m²", "intrinsic stacking fault energy"),
        column("γ", "usf", "mJ/m²", "unstable stacking fault energy: maximum along the primary path"),
        column("γ", "asf", "mJ/m²", "aligned stacking fault energy, atoms on top of atoms"),
        column("γ", "max", "mJ/m²", "largest value of the grid"),
        column("Fourier residual", "", "mJ/m²", "root mean square error of the Fourier representation on the grid"),
        column("below 0.7 max", "", "mJ/m²", "the same over the points below 0.7 of the maximum"),
        column("symmetry error", "", "mJ/m²", "largest difference at random checks of the assumed symmetry"),
        column("points", "", "", "grid points computed; the others follow by symmetry"),
        column("engine calls", "", "", "engine evaluations made"),
        text_column("cut", "which of two inequivalent planes was cut"),
        text_column("flags"),
    )
    context = run_context(library)
    rows = tuple(_gamma_row(each, context) for each in computed(library, GammaSurfaceResult))
    return Table(
        id="gamma-table",
        caption="Stacking fault energies and quality of each γ surface.",
        columns=columns,
        rows=rows,
        noun="surfaces",
    )


def peierls_table(library: Library) -> Table:
    """Peierls stresses with the cell that they belong to and the parts of their error."""
    columns = (
        text_column("potential"),
        text_column("metal"),
        text_column("slip system"),
        column("τ", "P", "MPa", "Peierls stress with the error of the search; ≤ marks upper bounds"),
        column("bracket", "", "MPa", "half of the interval between stable and unstable"),
        column(
            "history",
            "",
            "MPa",
            "what depends on the way of loading: difference of the directions, late jumps of the core",
        ),
        column("resolution", "", "MPa", "stress whose force on one line period equals the force tolerance"),
        column("cell", "", "b × Å", "length of the upper half in Burgers vectors × height with the rigid blocks"),
        column("atoms", "", "", "atoms of the cell"),
        column("core width", "", "Å", "unloaded: distance between disregistries b/4 and 3b/4"),
        column("width at peak", "", "Å", "core width at the highest stable stress"),
        column("jumps", "", "", "rearrangements of the core below the Peierls stress, both directions"),
        column("unconv. steps", "", "", "loading steps that did not converge"),
        column("engine calls", "", "", "engine evaluations made"),
        text_column("flags"),
    )
    context = run_context(library)
    rows = tuple(_peierls_row(each, context) for each in computed(library, PeierlsStressResult))
    return Table(
        id="peierls-table",
        caption="Peierls stress of each dislocation, the cell that it belongs to, and the parts of its error.",
        columns=columns,
        rows=rows,
        noun="dislocations",
    )


def variation_table(library: Library) -> Table:
    """Coefficient of variation of each quantity over the potentials of each metal."""
    found = spreads(library)
    quantities = [quantity for quantity in CHARACTERISTIC if any(spread.quantity == quantity for spread in found)]
    metals = list(dict.fromkeys(spread.metal for spread in found if len(spread.values) > 1))
    single = list(dict.fromkeys(spread.metal.label for spread in found if spread.metal not in metals))
    by_key = {(spread.metal, spread.quantity): spread for spread in found}
    columns = (
        text_column("metal"),
        *(column(q.letter, q.subscript, "%", f"σ/μ of the {q.name}; n in brackets") for q in quantities),
    )
    rows = tuple(
        Row(
            cells=(text_cell(metal.label), *(_variation_cell(by_key.get((metal, quantity))) for quantity in quantities))
        )
        for metal in metals
    )
    caption = "Coefficient of variation σ/μ in per cent, in brackets the number n of potentials with a value."
    caption += f" Metals with one value: {', '.join(single)}." if single else ""
    return Table(id="variation-table", caption=caption, columns=columns, rows=rows, noun="metals")


def _summary_row(sample: Sample, quantities: Sequence[Quantity], context: RunContext) -> Row:
    status = sample.entry.status
    label = _slip_label(sample, context)
    return Row(
        status=status,
        cells=(
            _link(sample.id),
            text_cell(sample.metal.element),
            text_cell(sample.metal.structure),
            _tight(label),
            *(_quantity_cell(sample, quantity) for quantity in quantities),
            _peierls_cell(sample),
            status_cell(status),
            remarks_cell(summary_remarks(sample)),
        ),
    )


def summary_remarks(sample: Sample) -> str:
    """Flags of the computation, what failed, and what the source says of the potential."""
    potential = sample.entry.potential
    failed = [
        f"{PROPERTY_NAMES.get(stage.property, stage.property)}: {stage.failure.error_class}"
        for stage in sample.entry.stages
        if stage.failure and stage.status == FAILED
    ]
    source = [f"source: {potential.source_status}"] if potential.source_status != "ok" else []
    fictional = ["fictional"] if potential.fictional else []
    missing = [f"{name}: missing" for name in sample.entry.missing]
    return "; ".join(filter(None, [str(sample.row["flags"] or ""), *failed, *missing, *source, *fictional]))


def _slip_label(sample: Sample, context: RunContext) -> str:
    for stage in sample.entry.stages:
        if isinstance(stage.result, GammaSurfaceResult | PeierlsStressResult):
            return context.slip_labels(stage.result).title
    return str(sample.row["slip_system"] or "")


def _elastic_row(each: Computed[ElasticResult], constants: Sequence[Quantity]) -> Row:
    result = each.result
    cubic = result.c33_gpa is None
    shear = result.c11_gpa - result.c12_gpa
    anisotropy = 2 * result.c44_gpa / shear if cubic and shear else None
    stable = Cell(text="yes" if result.born_stable else "✕ no", sort=str(result.born_stable))
    return Row(
        status="" if result.born_stable else "partial",
        cells=(
            *_identity(each),
            *(_fixed(getattr(result, quantity.key), quantity.decimals) for quantity in constants),
            _fixed(result.bulk_modulus_gpa, 1),
            _fixed(result.shear_modulus_gpa, 1),
            _fixed(anisotropy, 2),
            _fixed(result.stability_eigenvalue_gpa, 1),
            stable,
            _significant(result.fit_residual_gpa, 2),
            _significant(100 * result.strain_dependence, 2),
            _fixed(result.evaluations, 0),
            remarks_cell("; ".join(result.flags)),
        ),
    )


def _gamma_row(each: Computed[GammaSurfaceResult], context: RunContext) -> Row:
    result = each.result
    return Row(
        cells=(
            *_identity(each),
            _tight(context.slip_labels(result).title),
            _fixed(result.gamma_isf_mj_m2, 1),
            _fixed(result.gamma_usf_mj_m2, 1),
            _fixed(result.gamma_asf_mj_m2, 1),
            _fixed(result.gamma_max_mj_m2, 1),
            _significant(result.fourier_residual_mj_m2, 3),
            _significant(result.fourier_residual_low_mj_m2, 3),
            _significant(result.symmetry_error_mj_m2, 1),
            _fixed(result.unique_points, 0),
            _fixed(result.evaluations, 0),
            text_cell(result.cut),
            remarks_cell("; ".join(result.flags)),
        )
    )


def _peierls_row(each: Computed[PeierlsStressResult], context: RunContext) -> Row:
    result = each.result
    stress = peierls_text(result.peierls_mpa, result.peierls_error_mpa, is_upper_bound=result.is_upper_bound)
    outcomes = [outcome for curve in result.curves for outcome in curve.outcome]
    return Row(
        cells=(
            *_identity(each),
            _tight(f"{context.slip_labels(result).title} {result.character}"),
            Cell(text=stress, sort=result.peierls_mpa),
            *(_significant(v, 2) for v in (result.bracket_mpa, result.history_mpa, result.resolution_mpa)),
            Cell(text=f"{result.burgers_vectors} × {result.height_angstrom:.1f}", sort=result.height_angstrom),
            _fixed(result.atoms, 0),
            _fixed(result.core_unloaded.width_angstrom, 1),
            _fixed(result.core_at_peak.width_angstrom, 1),
            _fixed(sum(curve.jumps for curve in result.curves), 0),
            _fixed(outcomes.count("unconverged"), 0),
            _fixed(result.evaluations, 0),
            remarks_cell("; ".join(result.flags)),
        )
    )


def _identity(each: Computed[R]) -> tuple[Cell, Cell]:
    potential = each.entry.potential
    return _link(potential.id), _tight(Metal(potential.element, potential.structure).label)


def _peierls_cell(sample: Sample) -> Cell:
    value, error = sample.value("peierls_mpa"), sample.value("peierls_error_mpa")
    if value is None or error is None:
        return Cell(text=MISSING)
    bound = sample.row["peierls_is_upper_bound"] is True
    return Cell(text=peierls_text(value, error, is_upper_bound=bound), sort=value, kind="bound" if bound else "")


def baselines_table(library: Library, structure: str | None = None) -> Table:
    """How well each continuum model agrees with the atomistic Peierls stresses of each structure.

    Args:
        library: the library.
        structure: only this structure, which then has no column; None for all.
    """
    whole = structure is None
    columns = (
        *((text_column("structure"),) if whole else ()),
        text_column("model"),
        column("potentials", "", "", "potentials with both values"),
        column("factor", "", "", "median of the factor by which the model errs, up or down"),
        column("ratio", "", "", "median of predicted over atomistic"),
        column("ρ", "", "", "Spearman's rank correlation"),
        column("width ratio", "", "", "median of predicted over atomistic core width, without load"),
    )
    rows = tuple(
        Row(
            cells=(
                *((text_cell(each.structure),) if whole else ()),
                text_cell(BASELINE_NAMES[each.model]),
                _fixed(each.count, 0),
                _significant(each.factor, 3),
                _significant(each.bias, 3),
                _fixed(each.rank_correlation, 2),
                _fixed(each.width_ratio, 2),
            )
        )
        for each in agreements(library)
        if whole or each.structure == structure
    )
    return Table(
        id="baselines-table",
        caption=f"Continuum models against atomistic values; stresses below {FLOOR_MPA:g} MPa are taken as that for "
        "factor and ratio.",
        columns=columns,
        rows=rows,
        noun="models",
    )


def _variation_cell(spread: Spread | None) -> Cell:
    if spread is None:
        return Cell(text=MISSING)
    bounds = f", {sum(spread.upper_bounds)} ≤" if any(spread.upper_bounds) else ""
    count = f"({len(spread.values)}{bounds})"
    if spread.coefficient is None:
        return Cell(text=f"{MISSING} {count}")
    return Cell(text=f"{significant(100 * spread.coefficient)} {count}", sort=100 * spread.coefficient)


def _quantity_cell(sample: Sample, quantity: Quantity) -> Cell:
    return _fixed(sample.value(quantity.key), quantity.decimals)


def _quantity_column(quantity: Quantity) -> Column:
    return column(quantity.letter, quantity.subscript, quantity.unit, quantity.name)


def column(letter: str, subscript: str, unit: str, description: str) -> Column:
    """A column of numbers, with the symbol and the unit in its heading."""
    lower = Markup("<sub>{}</sub>").format(subscript) if subscript else Markup("")
    units = Markup(' <span class="unit">{}</span>').format(unit) if unit else Markup("")
    label = f"{letter}{subscript} ({unit})" if unit else f"{letter}{subscript}"
    return Column(label=label, heading=Markup.escape(letter) + lower + units, description=description)


def text_column(label: str, description: str = "") -> Column:
    """A column of text."""
    return Column(label=label, heading=Markup.escape(label), numeric=False, description=description)


def status_cell(status: str) -> Cell:
    """A status with a sign beside its colour."""
    return Cell(text=_STATUS_TEXT[status], sort=status, kind=f"status {status}")


def text_cell(text: str) -> Cell:
    """A cell of text; an empty one sorts last."""
    return Cell(text=text, sort=text or None)


def _tight(text: str) -> Cell:
    return Cell(text=text, sort=text or None, kind="tight")


def remarks_cell(text: str) -> Cell:
    """A cell of remarks, which are long."""
    return Cell(text=text, sort=text or None, kind="remarks")


def _link(potential_id: str) -> Cell:
    return Cell(text=potential_id, sort=potential_id, href=f"#{anchor(potential_id)}")


def _fixed(value: float | None, decimals: int) -> Cell:
    return Cell(text=number(value, decimals), sort=value)


def _significant(value: float | None, digits: int) -> Cell:
    return Cell(text=significant(value, digits), sort=value)
