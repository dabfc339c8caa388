"""Everything that the template of the report shows, gathered from a library."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import yaml

from glideflow import __version__
from glideflow.properties.results import GammaSurfaceResult, LatticeResult
from glideflow.records import Library, LibraryEntry, MissingResult
from glideflow.reporting.baselines import agreements
from glideflow.reporting.collection import Metal, computed
from glideflow.reporting.context import run_context
from glideflow.reporting.embedding import figure_json
from glideflow.reporting.explorers import Explorer, gamma_explorer, peierls_explorer
from glideflow.reporting.failures import FailureGroup, failure_groups, stage_title
from glideflow.reporting.figures import (
    coefficients_of_variation,
    continuum_against_atomistic,
    gamma_lines,
    normalised_parameters,
    peierls_by_metal,
)
from glideflow.reporting.labels import MISSING, SlipLabels, anchor, number, significant
from glideflow.reporting.reference import PUBLISHED_SOURCE
from glideflow.reporting.statements import limits, scope, settings_by_property, status_counts
from glideflow.reporting.statistics import spreads
from glideflow.reporting.tables import (
    Table,
    baselines_table,
    elastic_table,
    gamma_table,
    peierls_table,
    summary_table,
    variation_table,
)


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A figure of the page.

    Attributes:
        id: identifier in the page.
        title: short title.
        caption: what is seen and where the numbers come from.
        figure: the figure as JSON.
    """

    id: str
    title: str
    caption: str
    figure: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PotentialDetail:
    """Section of one potential: pairs of a name and a value, and its steps.

    Attributes:
        id: id of the potential.
        anchor: fragment in the page.
        metal: element and structure.
        status: status of its entry.
        doi: digital object identifier if it looks like one, else empty.
        doi_url: address of the resolver for it, or empty.
        facts: names and values; values may be empty.
        steps: property, status and evaluations of each step.
        has_figures: whether an explorer can show it.
    """

    id: str
    anchor: str
    metal: str
    status: str
    doi: str
    doi_url: str
    facts: tuple[tuple[str, str], ...]
    steps: tuple[tuple[str, str, str], ...]
    has_figures: bool


@dataclass(frozen=True, kw_only=True)
class Page:
    """The content of a report; see the template for the order in which it is shown."""

    name: str
    glideflow_version: str
    report_version: str
    scope: str
    limits: tuple[str, ...]
    counts: dict[str, int]
    summary: Table
    peierls_plot: Plot
    variation_plot: Plot
    variation: Table
    ratio_plots: tuple[Plot, ...]
    line_plots: tuple[Plot, ...]
    gamma: Explorer
    gamma_values: Table
    peierls: Explorer
    peierls_values: Table
    baseline_plots: tuple[Plot, ...]
    baselines: Table
    elastic: Table
    failures: tuple[FailureGroup, ...]
    missing: tuple[MissingResult, ...]
    potentials: tuple[PotentialDetail, ...]
    versions: tuple[tuple[str, str], ...]
    settings_yaml: str
    step_settings: tuple[tuple[str, str, int], ...]


def page(library: Library) -> Page:
    """Content of the report of a library."""
    return Page(
        name=library.name,
        glideflow_version=library.glideflow_version,
        report_version=__version__,
        scope=scope(library),
        limits=limits(library),
        counts=status_counts(library),
        summary=summary_table(library),
        peierls_plot=_peierls_plot(library),
        variation_plot=_variation_plot(library),
        variation=variation_table(library),
        ratio_plots=_ratio_plots(library),
        line_plots=_line_plots(library),
        gamma=gamma_explorer(library),
        gamma_values=gamma_table(library),
        peierls=peierls_explorer(library),
        peierls_values=peierls_table(library),
        baseline_plots=_baseline_plots(library),
        baselines=baselines_table(library),
        elastic=elastic_table(library),
        failures=failure_groups(library),
        missing=library.missing,
        potentials=tuple(potential_detail(entry) for entry in library.entries),
        versions=_versions(library),
        settings_yaml=yaml.safe_dump(json.loads(library.settings_json), sort_keys=True, allow_unicode=True),
        step_settings=settings_by_property(library),
    )


def _peierls_plot(library: Library) -> Plot:
    caption = (
        "Peierls stress of every potential, ordered by value within each metal; logarithmic axis. Error bars: search "
        "for the stress and difference between loading directions, not the effect of the finite cell. Triangles: upper "
        "bounds, the core glides at the smallest stress that is resolved. Grey bars: range "
        f"published for EAM potentials by {PUBLISHED_SOURCE}. They stem from much larger cells and a looser end of the "
        "minimisation, which raises small stresses most: compare orders of magnitude. The values are in the tables."
    )
    return Plot(
        id="peierls-by-metal",
        title="Peierls stress by metal and potential",
        caption=caption,
        figure=figure_json(peierls_by_metal(library)),
    )


def _variation_plot(library: Library) -> Plot:
    caption = (
        "Coefficient of variation σ/μ over the potentials of each metal (σ: sample standard deviation), from "
        "equilibrium properties on the left to the Peierls stress on the right; logarithmic axis. The same numbers "
        "stand in the table below, which also holds what the axis cannot show: values that coincide have σ/μ = 0."
    )
    return Plot(
        id="variation",
        title="Coefficient of variation",
        caption=caption,
        figure=figure_json(coefficients_of_variation(library)),
    )


def _ratio_plots(library: Library) -> tuple[Plot, ...]:
    metals = dict.fromkeys(spread.metal for spread in spreads(library) if spread.coefficient is not None)
    return tuple(
        Plot(
            id=f"ratios-{metal.element}-{metal.structure}".lower(),
            title=metal.label,
            caption="",
            figure=figure_json(normalised_parameters(library, metal)),
        )
        for metal in metals
    )


def _line_plots(library: Library) -> tuple[Plot, ...]:
    context = run_context(library)
    systems: dict[str, tuple[str, SlipLabels]] = {}
    for each in computed(library, GammaSurfaceResult):
        systems.setdefault(each.result.slip_system, (each.entry.potential.structure, context.slip_labels(each.result)))
    return tuple(
        Plot(
            id=f"lines-{name}",
            title=f"{structure} {labels.title}",
            caption="",
            figure=figure_json(gamma_lines(library, labels)),
        )
        for name, (structure, labels) in systems.items()
    )


def _baseline_plots(library: Library) -> tuple[Plot, ...]:
    structures = dict.fromkeys(each.structure for each in agreements(library))
    return tuple(
        Plot(
            id=f"baselines-{structure}",
            title=structure,
            caption="",
            figure=figure_json(continuum_against_atomistic(library, structure)),
        )
        for structure in structures
    )


def potential_detail(entry: LibraryEntry) -> PotentialDetail:
    """What is known of one potential beside its numbers: source, citation, terms, steps."""
    potential = entry.potential
    doi = potential.doi if potential.doi.startswith("10.") else ""
    return PotentialDetail(
        id=potential.id,
        anchor=anchor(potential.id),
        metal=Metal(potential.element, potential.structure).label,
        status=entry.status,
        doi=doi,
        doi_url=f"https://doi.org/{quote(doi)}" if doi else "",
        facts=_facts(entry),
        steps=tuple(
            (stage_title(stage), stage.status, str(getattr(stage.result, "evaluations", MISSING)))
            for stage in entry.stages
        )
        + tuple((name, "missing", MISSING) for name in entry.missing),
        has_figures=any(stage.ok and stage.property in ("gamma_surface", "peierls_stress") for stage in entry.stages),
    )


def _facts(entry: LibraryEntry) -> tuple[tuple[str, str], ...]:
    potential = entry.potential
    return (
        ("citation", potential.citation or "not stated by its source"),
        ("engine", f"{potential.engine} {potential.pair_style}".strip()),
        ("source", potential.source or "not stated"),
        ("source's status", "; ".join((potential.source_status, *potential.source_flags))),
        # Older records do not hold the terms of use.
        ("licence", getattr(potential, "licence", "") or "not stated by its source"),
        ("family", potential.family or "its own"),
        ("SHA-256 of what decides the forces", potential.sha256),
        *_lattice_facts(entry),
    )


def _lattice_facts(entry: LibraryEntry) -> tuple[tuple[str, str], ...]:
    result = next((stage.result for stage in entry.stages if isinstance(stage.result, LatticeResult)), None)
    if result is None:
        return ()
    energies = {
        "fcc": result.energy_fcc_ev_per_atom,
        "bcc": result.energy_bcc_ev_per_atom,
        "hcp": result.energy_hcp_ev_per_atom,
    }
    compared = [f"{name} {number(energy, 4)}" for name, energy in energies.items() if energy is not None]
    axial = f", c = {number(result.c_angstrom, 4)} Å" if result.c_angstrom is not None else ""
    return (
        ("lattice", f"a = {number(result.a_angstrom, 4)} Å{axial}"),
        ("energy", f"{number(result.energy_ev_per_atom, 4)} eV/atom on the potential's own zero"),
        ("energies by structure", f"{', '.join(compared)} eV/atom" if compared else "not compared"),
        ("ground state", result.ground_state or ("not known" if compared else "not compared")),
        ("range of the potential", f"{significant(result.cutoff_angstrom)} Å"),
    )


def _versions(library: Library) -> tuple[tuple[str, str], ...]:
    found = [stage.provenance for entry in library.entries for stage in entry.stages]
    return (
        ("library gathered with", f"glideflow {library.glideflow_version}"),
        ("report written with", f"glideflow {__version__}"),
        ("records computed with", _counted(f"glideflow {each.glideflow_version}" for each in found)),
        ("engine", _counted(f"{each.engine} {each.engine_version}" for each in found)),
        ("Python", _counted(each.python_version for each in found)),
        ("seed", _counted(str(each.seed) for each in found)),
    )


def _counted(values: Iterable[str]) -> str:
    counts = Counter(values)
    if len(counts) == 1:
        return str(next(iter(counts)))
    return ", ".join(f"{value} ({count} records)" for value, count in sorted(counts.items())) or MISSING
