"""The Peierls stress in the limit of large cells, and its whole error.

The search of `glideflow.properties.peierls_stress` is repeated in cells of other sizes, and in the reference cell with
one thing changed at a time: the cut, the start, the force tolerance. The sizes are fitted as τ∞ + A/H + B/L; the other
searches say what the value owes to choices that a user would not know of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from glideflow.config.peierls_series import PeierlsSeriesSettings
from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.crystals.symmetry import displacement_symmetry, senses_are_equivalent
from glideflow.engines.protocol import Engine
from glideflow.errors import ConvergenceError, PropertyError
from glideflow.potentials.record import Potential
from glideflow.progress import Progress, silent
from glideflow.properties.peierls_series_results import REFERENCE, ErrorBudget, PeierlsSeriesResult, SeriesValue
from glideflow.properties.peierls_stress import peierls_stress
from glideflow.properties.results import LatticeResult, LoadingCurve, PeierlsStressResult
from glideflow.properties.size_fit import SizeFit, fit_sizes
from glideflow.workbench import Workbench

_LOOSER = 9.0
"""A tolerance ten times looser has ten times the error: nine tenths of it are the difference."""


def peierls_series(
    engine: Engine,
    potential: Potential,
    lattice: LatticeResult,
    reference: PeierlsStressResult,
    system: SlipSystem,
    settings: PeierlsSeriesSettings,
    peierls_stress_settings: PeierlsStressSettings,
    *,
    character: str = "edge",
    seed: int = 0,
    workbench: Workbench | None = None,
    progress: Progress = silent,
) -> PeierlsSeriesResult:
    """Size series of a Peierls stress and its error budget.

    Every search loads in the direction that decided the reference. One that fails is a recorded outcome.

    Args:
        engine: who gives energies and forces.
        potential: the potential.
        lattice: its relaxed crystal.
        reference: its Peierls stress in the cell of ``peierls_stress_settings``.
        system: slip plane and direction.
        settings: sizes and comparisons.
        peierls_stress_settings: how each search is made.
        character: ``edge`` or ``screw``.
        seed: seed of the noise in the starting positions.
        workbench: where finished relaxations are kept so that an interrupted series resumes.
        progress: progress callback.
    """
    layers = layered_crystal(lattice.crystal, system)
    gaps = layers.gaps_angstrom
    senses_equal = senses_are_equivalent(displacement_symmetry(lattice.crystal, layers, reference.cut))
    searcher = _Searcher(
        engine, potential, lattice, system, reference, peierls_stress_settings, character, seed, workbench, progress
    )
    cuts_differ = float(np.ptp(gaps)) > 1e-6 and settings.other_cut
    values = [searcher.reference_value(), *map(searcher.run, _plans(settings, reference, seed, cuts_differ))]
    result = _assemble(reference, values, settings, senses_equal=senses_equal)
    if result.settled or not settings.further_sizes:
        return result
    values += map(searcher.run, _sizes(settings.further_sizes, seed))
    return _assemble(reference, values, settings, senses_equal=senses_equal)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """One search: what differs from the reference."""

    name: str
    varied: Literal["size", "cut", "start", "force tolerance"]
    changes: Mapping[str, object]
    seed: int


def _plans(
    settings: PeierlsSeriesSettings, reference: PeierlsStressResult, seed: int, cuts_differ: bool
) -> Iterator[_Plan]:
    """The searches, what matters most first."""
    yield from _sizes(settings.sizes, seed)
    if settings.other_starts:
        starts = {"start_positions": settings.other_starts}
        yield _Plan(name="other starts", varied="start", changes=starts, seed=seed + 1)
    loose = {"force_tolerance_ev_per_angstrom": settings.loose_force_tolerance_ev_per_angstrom}
    yield _Plan(name="loose force tolerance", varied="force tolerance", changes=loose, seed=seed)
    if cuts_differ:
        other = "narrow" if reference.cut == "wide" else "wide"
        yield _Plan(name=f"{other} cut", varied="cut", changes={"cut": other}, seed=seed)


def _sizes(sizes: Iterable[tuple[int, float]], seed: int) -> Iterator[_Plan]:
    for length, height in sizes:
        size = {"burgers_vectors": length, "height_angstrom": height}
        yield _Plan(name=f"{length}x{height:g}", varied="size", changes=size, seed=seed)


@dataclass(frozen=True)
class _Searcher:
    """Makes one search after the other, each with partial results of its own."""

    engine: Engine
    potential: Potential
    lattice: LatticeResult
    system: SlipSystem
    reference: PeierlsStressResult
    settings: PeierlsStressSettings
    character: str
    seed: int
    workbench: Workbench | None
    progress: Progress

    @property
    def decisive(self) -> LoadingCurve:
        """The loading curve that decided the reference."""
        return min(self.reference.curves, key=lambda curve: curve.peierls_mpa)

    def reference_value(self) -> SeriesValue:
        value = _value(REFERENCE, "", self.settings, self.decisive.direction, self.reference)
        return replace(value, evaluations=0)

    def run(self, plan: _Plan) -> SeriesValue:
        direction = self.decisive.direction
        settings = self.settings.model_copy(update={**plan.changes, "directions": (direction,)})
        try:
            result = self._search(plan, settings)
        except (ConvergenceError, PropertyError) as error:
            failed = _value(plan.name, plan.varied, settings, direction, None)
            return replace(failed, reason=error.found, cut=self._system(plan).cut or settings.cut)
        return _value(plan.name, plan.varied, settings, direction, result)

    def _search(self, plan: _Plan, settings: PeierlsStressSettings) -> PeierlsStressResult:
        return peierls_stress(
            self.engine,
            self.potential,
            self.lattice,
            self._system(plan),
            settings,
            character=self.character,
            seed=plan.seed,
            workbench=self.workbench.section(plan.name) if self.workbench is not None else None,
            progress=lambda stage, done, total: self.progress(f"{plan.name}: {stage}", done, total),
        )

    def _system(self, plan: _Plan) -> SlipSystem:
        """The slip system, whose own cut would come before that of the settings."""
        return replace(self.system, cut=str(plan.changes.get("cut", self.reference.cut)))


def _value(
    name: str, varied: str, settings: PeierlsStressSettings, direction: str, result: PeierlsStressResult | None
) -> SeriesValue:
    """The record of a search; of the reference, that of its decisive direction."""
    bare = SeriesValue(
        name=name,
        varied=varied,
        burgers_vectors=settings.burgers_vectors,
        nominal_height_angstrom=settings.height_angstrom,
        cut=settings.cut,
        direction=direction,
        force_tolerance_ev_per_angstrom=settings.force_tolerance_ev_per_angstrom,
    )
    if result is None:
        return bare
    curve = min(result.curves, key=lambda each: each.peierls_mpa)
    return replace(
        bare,
        cut=result.cut,
        force_tolerance_ev_per_angstrom=result.force_tolerance_ev_per_angstrom,
        peierls_mpa=result.peierls_mpa,
        error_mpa=result.peierls_error_mpa,
        stable_mpa=curve.stable_mpa,
        unstable_mpa=curve.unstable_mpa,
        is_upper_bound=result.is_upper_bound,
        length_angstrom=result.length_angstrom,
        height_angstrom=result.height_angstrom,
        atoms=result.atoms,
        flags=result.flags,
        evaluations=result.evaluations,
    )


def _assemble(
    reference: PeierlsStressResult,
    values: list[SeriesValue],
    settings: PeierlsSeriesSettings,
    *,
    senses_equal: bool,
) -> PeierlsSeriesResult:
    values = [replace(value, in_fit=_fits(value)) for value in values]
    fit = _fit([value for value in values if value.in_fit])
    largest = _largest(values)
    use_fit = fit is not None and fit.infinite > 0 and not largest.is_upper_bound
    value, bound = _peierls(fit.infinite if fit is not None and use_fit else None, largest)
    budget = _budget(reference, values, fit if use_fit else None, value, senses_equal=senses_equal)
    settled = use_fit and budget.size_mpa <= settings.settled_below * value
    return PeierlsSeriesResult(
        slip_system=reference.slip_system,
        label=reference.label,
        character=reference.character,
        cut=reference.cut,
        peierls_mpa=value,
        peierls_error_mpa=budget.total_mpa,
        is_upper_bound=bound,
        basis="size fit" if use_fit else "largest cell",
        settled=settled or bound,
        reference_mpa=reference.peierls_mpa,
        infinite_mpa=fit.infinite if fit else None,
        height_coefficient_mpa_angstrom=fit.height_coefficient if fit else None,
        length_coefficient_mpa_angstrom=fit.length_coefficient if fit else None,
        budget=budget,
        values=tuple(values),
        flags=_flags(values, fit, bound=bound, settled=settled),
        evaluations=sum(each.evaluations for each in values),
    )


def _fits(value: SeriesValue) -> bool:
    """Whether a value takes part in the fit: a bound is none, and what differs in more than the size neither."""
    return value.varied in ("", "size") and value.peierls_mpa is not None and not value.is_upper_bound


def _fit(values: list[SeriesValue]) -> SizeFit | None:
    rows = [(v.height_angstrom, v.length_angstrom, v.peierls_mpa, v.error_mpa) for v in values]
    heights, lengths, stresses, errors = np.array(rows, dtype=float).reshape(-1, 4).T
    return fit_sizes(heights, lengths, stresses, errors)


def _largest(values: Iterable[SeriesValue]) -> SeriesValue:
    """The largest cell that has a value."""
    return max((v for v in values if v.varied in ("", "size") and v.peierls_mpa is not None), key=lambda v: v.atoms)


def _peierls(infinite_mpa: float | None, largest: SeriesValue) -> tuple[float, bool]:
    """Best estimate, and whether it is a bound."""
    if infinite_mpa is not None:
        return infinite_mpa, False
    assert largest.peierls_mpa is not None
    return largest.peierls_mpa, largest.is_upper_bound


def _budget(
    reference: PeierlsStressResult,
    values: list[SeriesValue],
    fit: SizeFit | None,
    value_mpa: float,
    *,
    senses_equal: bool,
) -> ErrorBudget:
    forward_and_reverse = [curve.peierls_mpa for curve in reference.curves]
    difference = max(forward_and_reverse) - min(forward_and_reverse)
    direction = difference if senses_equal else 0.0
    looser = _difference(reference, values, "force tolerance")
    sizes = [v for v in values if v.in_fit]
    return ErrorBudget(
        bracket_mpa=reference.bracket_mpa,
        force_tolerance_mpa=float(np.hypot(reference.resolution_mpa, (looser or 0.0) / _LOOSER)),
        direction_mpa=direction if len(reference.curves) > 1 else None,
        # The history of the reference is the larger of this and of the difference between the directions.
        history_mpa=reference.history_mpa if reference.history_mpa > direction else 0.0,
        length_mpa=_extrapolated(fit.length_coefficient, [v.length_angstrom for v in sizes]) if fit else None,
        height_mpa=_extrapolated(fit.height_coefficient, [v.height_angstrom for v in sizes]) if fit else None,
        fit_mpa=fit.residual if fit else _spread(values, value_mpa),
        cut_mpa=_difference(reference, values, "cut"),
        start_mpa=_difference(reference, values, "start"),
    )


def _difference(reference: PeierlsStressResult, values: Iterable[SeriesValue], varied: str) -> float | None:
    """Largest difference that a change makes; None if nothing was compared. Between two bounds there is none."""
    found = [v for v in values if v.varied == varied and v.peierls_mpa is not None]
    differences = [
        0.0 if v.is_upper_bound and reference.is_upper_bound else abs((v.peierls_mpa or 0.0) - reference.peierls_mpa)
        for v in found
    ]
    return max(differences, default=None)


def _extrapolated(coefficient: float | None, sizes: list[float | None]) -> float | None:
    """What the fit adds beyond the largest of the sizes: as long as no larger cell is computed, it may all be wrong."""
    if coefficient is None:
        return None
    return abs(coefficient) / max(size for size in sizes if size is not None)


def _spread(values: Iterable[SeriesValue], value_mpa: float) -> float | None:
    """Where nothing can be extrapolated: the largest difference of any size to the value; bounds have none."""
    return max((abs((v.peierls_mpa or 0.0) - value_mpa) for v in values if v.in_fit), default=None)


def _flags(values: Iterable[SeriesValue], fit: SizeFit | None, *, bound: bool, settled: bool) -> tuple[str, ...]:
    lacking = fit is not None and None in (fit.height_coefficient, fit.length_coefficient)
    checks = {
        "upper bound": bound,
        "unsettled size series": not (settled or bound),
        "failed sizes": any(v.reason for v in values if v.varied == "size"),
        "sizes do not determine the limit": lacking,
    }
    return tuple(name for name, holds in checks.items() if holds)
