"""The page of one potential."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from glideflow.potentials.references import plain_text
from glideflow.properties.peierls_nabarro_results import PeierlsNabarroResult
from glideflow.properties.peierls_paper_results import PeierlsPaperResult
from glideflow.properties.peierls_series_results import PeierlsSeriesResult
from glideflow.properties.peierls_strain_results import PeierlsStrainResult
from glideflow.properties.results import GammaSurfaceResult, PeierlsStressResult
from glideflow.quality_flags import QUALITY_FLAGS
from glideflow.records import LibraryEntry, StageFailure, StageRecord
from glideflow.reporting.collection import CHARACTERISTIC, Sample
from glideflow.reporting.explorers import Facts, gamma_facts, peierls_facts
from glideflow.reporting.failures import MEANINGS, stage_title
from glideflow.reporting.labels import MISSING, number, peierls_text, significant
from glideflow.reporting.page import PotentialDetail, potential_detail
from glideflow.reporting.reference_values import ReferenceValue
from glideflow.reporting.tables import BASELINE_NAMES
from glideflow.reporting.website.comparison import Compared, comparison, value_text
from glideflow.reporting.website.outline import Outline
from glideflow.reporting.website.plots import SitePlot, stage_plots
from glideflow.reporting.website.usage import Usage

_MEANINGS = {flag.name: flag.meaning for flag in QUALITY_FLAGS}
_STRESS = next(quantity for quantity in CHARACTERISTIC if quantity.key == "peierls_mpa")
_TERMS = {
    "bracket_mpa": "bracket: half of the interval between stable and gliding",
    "force_tolerance_mpa": "force tolerance",
    "direction_mpa": "difference between the directions of loading",
    "history_mpa": "jumps of the core close below the value",
    "length_mpa": "length of the cell",
    "height_mpa": "height of the cell",
    "fit_mpa": "residual of the fit to the cells",
    "cut_mpa": "the other cut (not in the total)",
    "start_mpa": "another start of the core",
}

Dislocation = (
    PeierlsStressResult | PeierlsSeriesResult | PeierlsPaperResult | PeierlsNabarroResult | PeierlsStrainResult
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One record of a potential as its page shows it.

    Attributes:
        id: identifier in the page.
        title: the property with its slip system.
        facts: names and values.
        plots: figures.
        columns: headings of a table, empty if there is none.
        rows: its rows.
        note: what has to be said of it, or empty.
    """

    id: str
    title: str
    facts: Facts = ()
    plots: tuple[SitePlot, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class FailedPart:
    """A property without a value: its name, the failure, what the kind means, and the command that tries again."""

    title: str
    failure: StageFailure
    meaning: str
    command: str


@dataclass(frozen=True, kw_only=True)
class PotentialPage:
    """What the page of a potential shows; see the template for the order."""

    sample: Sample
    slip_system: str
    error_note: str
    detail: PotentialDetail
    flags: tuple[tuple[str, str], ...]
    source_remarks: tuple[str, ...]
    failures: tuple[FailedPart, ...]
    missing: tuple[str, ...]
    compared: tuple[Compared, ...]
    references: tuple[ReferenceValue, ...]
    group_size: int
    parts: tuple[Part, ...]
    usage: Usage
    citation: str
    provenance: tuple[tuple[str, str, str, str, str], ...]
    before: str | None
    after: str | None


def potential_page(site: Outline, sample: Sample, how: Usage) -> PotentialPage:
    """Content of the page of a potential."""
    entry = sample.entry
    compared, references = comparison(sample, site.metals[sample.metal])
    before, after = site.neighbours(sample.id)
    return PotentialPage(
        sample=sample,
        slip_system=_slip_system(site, entry),
        error_note=_error_note(entry),
        detail=potential_detail(entry),
        flags=tuple((name, _MEANINGS.get(name, "")) for name in entry.flags),
        source_remarks=_source_remarks(entry),
        failures=tuple(_failures(site, entry)),
        missing=entry.missing,
        compared=compared,
        references=references,
        group_size=len(site.metals[sample.metal]),
        parts=tuple(part for stage in entry.stages if (part := _part(site, stage)) is not None),
        usage=how,
        citation=plain_text(entry.potential.citation),
        provenance=tuple(_provenance(entry)),
        before=before,
        after=after,
    )


def _slip_system(site: Outline, entry: LibraryEntry) -> str:
    """Slip system and character that the headline is about, in words; empty without a Peierls stress."""
    result = next((stage.result for stage in entry.stages if isinstance(stage.result, PeierlsStressResult)), None)
    return "" if result is None else _labelled(site, result)


def _error_note(entry: LibraryEntry) -> str:
    """What the headline's value and its error belong to; empty for the bound of a single cell."""
    results = [stage.result for stage in entry.stages]
    cell = next((result for result in results if isinstance(result, PeierlsStressResult)), None)
    if cell is None:
        return ""
    size = f"{cell.burgers_vectors} b × {cell.height_angstrom:.0f} Å"
    if any(isinstance(result, PeierlsSeriesResult) for result in results):
        own = peierls_text(cell.peierls_mpa, cell.peierls_error_mpa, is_upper_bound=cell.is_upper_bound)
        return f"This is the limit of large cells; the cell of {size} that all potentials share gives {own} MPa."
    if cell.is_upper_bound:
        return ""
    return f"The error is that of the search in this cell of {size}; larger cells change the value by more."


def stress_text(sample: Sample) -> str:
    """The best estimate of the Peierls stress with its error and unit, or that there is none."""
    text = value_text(sample, _STRESS)
    return "not computed" if text == MISSING else f"{text} MPa"


def _source_remarks(entry: LibraryEntry) -> tuple[str, ...]:
    own = entry.potential
    status = () if own.source_status == "ok" else (f"marked “{own.source_status}” by its source",)
    altered = ("deliberately altered: not meant to describe the element",) if own.fictional else ()
    return (*status, *altered, *own.source_flags)


def _failures(site: Outline, entry: LibraryEntry) -> Iterator[FailedPart]:
    for stage in entry.stages:
        if not stage.ok:
            failure = stage.failure or StageFailure(error_class="Unknown", reason="no reason was recorded")
            yield FailedPart(
                title=stage_title(stage),
                failure=failure,
                meaning=MEANINGS.get(failure.error_class, ""),
                command=site.context.command(stage),
            )


def _provenance(entry: LibraryEntry) -> Iterator[tuple[str, str, str, str, str]]:
    """Property, engine, version of this package, seed, digest of the settings."""
    for stage in entry.stages:
        own = stage.provenance
        engine = f"{own.engine} {own.engine_version}".strip()
        yield stage_title(stage), engine, own.glideflow_version, str(own.seed), own.settings_sha256[:12]


def _part(site: Outline, stage: StageRecord) -> Part | None:
    result = stage.result
    identifier = stage.record_name.replace(".", "-").replace("_", "-")
    plots = stage_plots(stage, site.context)
    if isinstance(result, GammaSurfaceResult):
        title = f"γ surface, {site.context.slip_labels(result).title}"
        return Part(id=identifier, title=title, facts=gamma_facts(result, site.context), plots=plots)
    if isinstance(result, PeierlsStressResult):
        title = f"Peierls stress, {_labelled(site, result)}"
        return Part(id=identifier, title=title, facts=(*peierls_facts(result), *_core_facts(result)), plots=plots)
    if isinstance(result, PeierlsSeriesResult):
        return _series(identifier, _labelled(site, result), result, plots)
    if isinstance(result, PeierlsPaperResult):
        return _paper(identifier, _labelled(site, result), result, plots)
    if isinstance(result, PeierlsNabarroResult):
        return _nabarro(identifier, _labelled(site, result), result, plots)
    if isinstance(result, PeierlsStrainResult):
        return _strain(identifier, _labelled(site, result), result)
    return None


def _labelled(site: Outline, result: Dislocation) -> str:
    """Slip system and character of a dislocation."""
    return f"{site.context.slip_labels(result).title} {result.character}"


def _core_facts(result: PeierlsStressResult) -> Facts:
    """What older records do not hold is left out."""
    jumps = sum(curve.jumps for curve in result.curves)
    facts = [("jumps of the core below the value", str(jumps))]
    if result.dissociation_angstrom is not None:
        facts.append(("distance of the partials", f"{number(result.dissociation_angstrom, 1)} Å"))
    facts += [(f"value, loading {curve.direction}", f"{significant(curve.peierls_mpa)} MPa") for curve in result.curves]
    return tuple(facts)


def _series(identifier: str, system: str, result: PeierlsSeriesResult, plots: Sequence[SitePlot]) -> Part:
    best = peierls_text(result.peierls_mpa, result.peierls_error_mpa, is_upper_bound=result.is_upper_bound)
    budget = ((words, getattr(result.budget, name)) for name, words in _TERMS.items())
    return Part(
        id=identifier,
        title=f"Peierls stress in the limit of large cells, {system}",
        facts=(
            ("best estimate", f"{best} MPa, from the {result.basis}"),
            ("settled with the size of the cell", "yes" if result.settled else "no"),
            *((words, f"{significant(value, 2)} MPa") for words, value in budget if value is not None),
            ("total error", f"{significant(result.budget.total_mpa, 2)} MPa"),
        ),
        plots=tuple(plots),
        columns=("search", "what differs", "τP (MPa)", "atoms", "in the fit", "remarks"),
        rows=tuple(
            (
                value.name,
                value.varied or "nothing: the reference",
                MISSING
                if value.peierls_mpa is None
                else peierls_text(value.peierls_mpa, value.error_mpa or 0.0, is_upper_bound=value.is_upper_bound),
                str(value.atoms or MISSING),
                "yes" if value.in_fit else "no",
                "; ".join(filter(None, (value.reason, *value.flags))),
            )
            for value in result.values
        ),
    )


def _paper(identifier: str, system: str, result: PeierlsPaperResult, plots: Sequence[SitePlot]) -> Part:
    return Part(
        id=identifier,
        title=f"Peierls stress by the paper's protocol, {system}",
        note="A looser end of the minimisation raises small stresses most: compare values of the same protocol only.",
        facts=(
            ("strain step", significant(result.strain_step, 2)),
            ("energy tolerance (relative)", significant(result.energy_tolerance, 2)),
            ("force tolerance (two-norm)", f"{significant(result.force_tolerance_ev_per_angstrom, 2)} eV/Å"),
        ),
        plots=tuple(plots),
        columns=("cell", "outcome", "τP (MPa)", "atoms", "steps", "evaluations"),
        rows=tuple(
            (
                cell.name,
                ": ".join(filter(None, (cell.outcome, cell.reason))),
                significant(cell.peierls_mpa),
                str(cell.atoms),
                str(cell.steps),
                str(cell.evaluations),
            )
            for cell in result.cells
        ),
    )


def _nabarro(identifier: str, system: str, result: PeierlsNabarroResult, plots: Sequence[SitePlot]) -> Part:
    closed = (
        ("sinusoidal", result.peierls_sinusoidal_mpa, 2 * result.half_width_sinusoidal_angstrom),
        ("joos_duesbery", result.peierls_joos_duesbery_mpa, 2 * result.half_width_angstrom),
    )
    models = (*closed, *((model.model, model.peierls_mpa, model.width_angstrom) for model in result.models))
    return Part(
        id=identifier,
        title=f"Peierls stress by continuum models, {system}",
        note="From elastic constants and γ surface alone; nothing is fitted to Peierls stresses.",
        facts=(
            ("energy factor along b", f"{number(result.energy_factor_gpa, 1)} GPa"),
            ("largest γ along b", f"{number(result.gamma_line_mj_m2, 1)} mJ/m²"),
            ("remarks", "; ".join(result.flags) or "none"),
        ),
        plots=tuple(plots),
        columns=("model", "τP (MPa)", "core width (Å)"),
        rows=tuple(
            (BASELINE_NAMES.get(name, name), significant(value), number(width, 2)) for name, value, width in models
        ),
    )


def _strain(identifier: str, system: str, result: PeierlsStrainResult) -> Part:
    stress = peierls_text(result.peierls_mpa, result.peierls_error_mpa, is_upper_bound=False)
    return Part(
        id=identifier,
        title=f"Peierls stress by strain control, {system}",
        facts=(
            ("Peierls stress", f"{stress} MPa"),
            ("direction", result.direction),
            ("strain at which the core glides", significant(result.glide_strain)),
            ("cell", f"{result.burgers_vectors} b × {number(result.height_angstrom, 1)} Å, {result.atoms} atoms"),
            ("flags", "; ".join(result.flags) or "none"),
        ),
    )
