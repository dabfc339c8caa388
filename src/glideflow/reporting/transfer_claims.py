"""What the physics-transfer paper claims, and what open potentials say of it: every verdict follows from a number.

Claims are those of Y. Zhao, Z. Zhang and Z. Xu, Physics-Transfer Learning for Material Strength Screening. A claim
holds where at least four of five cases bear it out, does not hold where fewer than half do, and holds in part between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from glideflow.records import Library
from glideflow.reporting.collection import Metal
from glideflow.reporting.labels import significant
from glideflow.reporting.reference import published_range
from glideflow.reporting.sections import Section, markdown_table, text_table
from glideflow.reporting.statistics import spreads
from glideflow.transfer.assembly import source_kind, stress_of
from glideflow.transfer.cost_panel import CONVERGED, CORES, FEATURES, CostPanel
from glideflow.transfer.dataset import EMPIRICAL
from glideflow.transfer.error_decomposition import (
    CELL,
    HELD_OUT,
    PROTOCOL,
    PT_EAM,
    PT_MLFF,
    TRANSFERRED,
    ErrorTable,
    ErrorTerm,
    RouteError,
)
from glideflow.transfer.few_shot import FEW_ENTRIES, FewShotCurve
from glideflow.transfer.training_scope import ScopeRow
from glideflow.transfer.validation import ValidationRecord

HOLDS, IN_PART, FAILS, UNDECIDED = "holds", "holds in part", "does not hold", "cannot be decided"
CLAIM_COLUMNS = ("claim", "the paper", "here", "verdict")
_MOST, _HALF = 0.8, 0.5
_FEW_METALS = 3
_EQUILIBRIUM = ("a_angstrom", "c11_gpa", "c12_gpa", "c13_gpa", "c33_gpa", "c44_gpa")
_LARGEST_PUBLISHED_PERCENT = 48.09
_PT_MLFF_PERCENT = 1.51
_FAST_SECONDS = 0.01


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim and what decides it.

    Attributes:
        claim: what is claimed.
        paper: the paper's numbers.
        here: the numbers that decide, and how many cases they rest on.
        verdict: ``holds``, ``holds in part``, ``does not hold`` or ``cannot be decided``.
    """

    claim: str
    paper: str
    here: str
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What claims are held against; what is missing leaves them undecided.

    Attributes:
        library: potentials and their values.
        errors: errors by kind and by route.
        shots: error against the number of shots.
        training: both ways of training.
        cost: what routes cost.
        validations: validations of models.
    """

    library: Library
    errors: ErrorTable | None = None
    shots: FewShotCurve | None = None
    training: tuple[ScopeRow, ...] = ()
    cost: CostPanel | None = None
    validations: tuple[ValidationRecord, ...] = field(default=())


def claims(evidence: Evidence) -> tuple[Claim, ...]:
    """Every claim with its verdict, in the order of the paper."""
    return tuple(judge(evidence) for judge in _JUDGES)


def claim_cells(found: Sequence[Claim]) -> list[list[str]]:
    """Cells of every claim, in the order of `CLAIM_COLUMNS`."""
    return [[each.claim, each.paper, each.here, each.verdict] for each in found]


def claim_markdown(found: Sequence[Claim]) -> str:
    """The table in Markdown."""
    return markdown_table(CLAIM_COLUMNS, claim_cells(found))


def claim_section(found: Sequence[Claim]) -> Section:
    """The claims as a section of the page."""
    return Section(
        name="claims",
        title="Claims of the paper",
        notes=(
            "What the paper claims, and what the open potentials of this library say of it. A claim holds where at "
            "least four of five cases bear it out, and does not hold where fewer than half do.",
        ),
        tables=(text_table("Which claims hold on open data", CLAIM_COLUMNS, claim_cells(found)),),
    )


def _dispersion(evidence: Evidence) -> Claim:
    """Extended Data Fig. 1b."""
    by_metal: dict[Metal, dict[str, float]] = {}
    for spread in spreads(evidence.library):
        if spread.coefficient is not None:
            by_metal.setdefault(spread.metal, {})[spread.quantity.key] = spread.coefficient
    needed = ("c44_gpa", "gamma_usf_mj_m2", "peierls_mpa")
    full = [found for found in by_metal.values() if all(name in found for name in needed)]
    pairs = [
        (max(found[name] for name in _EQUILIBRIUM if name in found), found["gamma_usf_mj_m2"], found["peierls_mpa"])
        for found in full
    ]
    middle = np.median(pairs, axis=0) if pairs else np.full(3, np.nan)
    wider = [min(gamma, stress) > elastic for elastic, gamma, stress in pairs]
    stresses = sum(stress > elastic for elastic, _, stress in pairs)
    return Claim(
        claim="Potentials of a metal differ more in γ and in the Peierls stress than in equilibrium properties",
        paper="Extended Data Fig. 1b, without numbers",
        here=f"σ/μ, median of {len(pairs)} metals: {middle[0]:.0%} (the widest elastic constant), {middle[1]:.0%} "
        f"(γ_usf), {middle[2]:.0%} (Peierls stress); the stress alone is wider in {stresses}, both are in {sum(wider)}",
        verdict=_verdict(wider),
    )


def _range_of_potentials(evidence: Evidence) -> Claim:
    """Table 1, first column."""
    inside: dict[str, list[bool]] = {"reference": [], "paper": []}
    for entry in evidence.library.entries:
        if source_kind(entry.potential.engine, entry.potential.pair_style) != EMPIRICAL:
            continue
        known = published_range(Metal(entry.potential.element, entry.potential.structure))
        for protocol, found in inside.items():
            stress = stress_of(entry, protocol, "")
            if known is not None and stress is not None:
                found.append(known.lowest_mpa <= stress.peierls_mpa <= known.highest_mpa)
    counts = {name: f"{sum(found)} of {len(found)}" for name, found in inside.items()}
    return Claim(
        claim="Peierls stresses of classical potentials lie in the ranges of Table 1",
        paper="e.g. Cu 10.96 to 28.40 MPa, by fixed strain steps",
        here=f"inside: {counts['reference']} potentials converged, {counts['paper']} by fixed steps, reference cell",
        verdict=_verdict(inside["reference"]),
    )


def _size(evidence: Evidence) -> Claim:
    found = _terms(evidence, CELL)
    large = [term.factor > 2 for term in found]
    return Claim(
        claim="A cell of 244 atoms suffers from strong size effects",
        paper="stated for Cu; 221.27 % between EAM and DFT in that cell",
        here=f"{_median_factor(found)} to the reference cell by the same steps; more than 2 in {_of(large)}",
        verdict=_verdict(large),
    )


def _protocol(evidence: Evidence) -> Claim:
    found = _terms(evidence, PROTOCOL)
    small = [term.factor < 1.5 for term in found]
    return Claim(
        claim="Strain steps of 1e-5 with LAMMPS' minimiser give the Peierls stress",
        paper="the method of all its values",
        here=f"{_median_factor(found)} above the converged value of the same potential in the same cell",
        verdict=_verdict(small),
    )


def _nearer(evidence: Evidence) -> Claim:
    """Fig. 2f, h, j."""
    pairs = _routes(evidence, PT_EAM, "EAM, converged")
    nearer = [one.factor < other.factor for one, other in pairs]
    numbers = "; ".join(
        f"{one.element} {significant(one.factor, 2)} against {significant(other.factor, 2)}" for one, other in pairs
    )
    return Claim(
        claim="PT-EAM lies nearer to MLFF than EAM does",
        paper="errors of 12.55, 48.09 and 4.30 % against 33.07, 72.02 and 13.89 % (Cu, Fe, Ti)",
        here=f"median factors against MLFF: {numbers or 'none'}; nearer in {_of(nearer)}",
        verdict=_verdict(nearer),
    )


def _within(evidence: Evidence) -> Claim:
    """Fig. 2f, h, j."""
    return _errors_below(
        _LARGEST_PUBLISHED_PERCENT,
        _routes(evidence, PT_EAM, "EAM, converged"),
        claim=f"PT-EAM errs by no more than {_LARGEST_PUBLISHED_PERCENT} %",
        paper="12.55, 48.09 and 4.30 % (Cu, Fe, Ti)",
    )


def _few_shots(evidence: Evidence) -> Claim:
    """Fig. 2l, PT-MLFF."""
    entries = [] if evidence.shots is None else [each for each in evidence.shots.entries if not each.censored]
    pairs = [
        (before.factor, max((each for each in entries if each.potential_id == name), key=lambda each: each.shots))
        for name in dict.fromkeys(each.potential_id for each in entries)
        for before in entries
        if before.potential_id == name and before.shots == 0
    ]
    better = [after.factor < before for before, after in pairs if after.shots > 0]
    numbers = "; ".join(
        f"{after.element} {significant(before)} to {significant(after.factor)} with {after.shots}"
        for before, after in pairs
        if after.shots > 0
    )
    few = f"; {len(better)} potentials, a trend and no more" if len(better) < FEW_ENTRIES else ""
    return Claim(
        claim="A few machine-learned shots improve the prediction",
        paper="12.55 % to 1.51 % (Cu)",
        here=f"factors: {numbers or 'none'}; better in {_of(better)}{few}",
        verdict=_verdict(better),
    )


def _accurate_shots(evidence: Evidence) -> Claim:
    """Fig. 2l, and Table 1."""
    return _errors_below(
        2 * _PT_MLFF_PERCENT,
        _routes(evidence, PT_MLFF, "EAM, converged"),
        claim="PT-MLFF errs by a few per cent",
        paper=f"{_PT_MLFF_PERCENT} % (Cu); 3.4, 0.6 and 2.6 % by Table 1 (Fe, Ti, Al)",
    )


def _errors_below(
    largest_percent: float, pairs: Sequence[tuple[RouteError, RouteError]], *, claim: str, paper: str
) -> Claim:
    """Whether a route errs by no more than so much against machine-learned potentials."""
    found = [one for one, _ in pairs]
    within = [route.relative_percent <= largest_percent for route in found]
    numbers = ", ".join(f"{route.element} {route.relative_percent:.0f} %" for route in found)
    return Claim(
        claim=claim,
        paper=paper,
        here=f"{numbers or 'no MLFF value'}; at most {largest_percent:g} % in {_of(within)}",
        verdict=_verdict(within),
    )


def _inference(evidence: Evidence) -> Claim:
    """Fig. 2l."""
    held = {(term.element, term.structure): term for term in _terms(evidence, HELD_OUT)}
    others = {name: {(t.element, t.structure): t for t in _terms(evidence, name)} for name in (PROTOCOL, TRANSFERRED)}
    common = [metal for metal in held if all(metal in found for found in others.values())]
    smaller = [held[metal].factor < min(found[metal].factor for found in others.values()) for metal in common]
    numbers = [np.median([found[metal].factor for metal in common]) for found in (held, *others.values()) if common]
    shown = " and ".join(significant(float(value), 2) for value in numbers[1:])
    return Claim(
        claim="The error of inference is small beside those of physics and system",
        paper="0.95 % of the error of EAM-S, 37.15 % of that of EAM-L (Cu)",
        here=f"median factor: held-out predictions {significant(float(numbers[0]), 2)}, protocol and potentials {shown}"
        f"; smaller than both in {_of(smaller)}"
        if common
        else "no validation",
        verdict=_verdict(smaller),
    )


def _learnable(evidence: Evidence) -> Claim:
    """Fig. 2a, b."""
    best = [record for record in evidence.validations if _is(record, "best")]
    networks = [record for record in evidence.validations if _is(record, "paper")]
    known = [_rank(record) > 0.5 for record in best]
    both = (("best", best), ("the paper's network", networks))
    words = [f"{name} {', '.join(_scored(each) for each in found) or 'not run'}" for name, found in both]
    return Claim(
        claim="Elastic constants and γ determine the Peierls stress, and a model can learn it",
        paper="Fig. 2a and 2b, training and validation set of one size",
        here=f"families left out, rank correlation and factor: {'; '.join(words)}",
        verdict=_verdict(known),
    )


def _together(evidence: Evidence) -> Claim:
    """Supplementary Fig. 13."""
    rows = evidence.training
    worse = [row.ratio_low > 1 for row in rows]
    better = sum(row.ratio_high < 1 for row in rows)
    return Claim(
        claim="One model of all structures is less accurate than one of each",
        paper="Supplementary Fig. 13, a compromise for hcp Ti, fcc Cu and bcc Fe",
        here=f"of {len(rows)} models and structures, worse beyond the 90 % interval in {sum(worse)}, better in {better}"
        + (f"; median ratio of errors {np.median([row.ratio for row in rows]):.2f}" if rows else ""),
        verdict=_verdict(worse),
    )


def _fast(evidence: Evidence) -> Claim:
    rows = () if evidence.cost is None else evidence.cost.rows
    medians = {
        name: [
            float(np.median(row.core_seconds)) for row in rows if row.step == name and row.interaction in ("", "EAM")
        ]
        for name in (FEATURES, CORES, CONVERGED)
    }
    if not all(medians.values()):
        here, fast = "no costs", []
    else:
        features, cores, atomistic = (float(np.median(found)) for found in medians.values())
        here = f"{features * 1e3:.2g} ms from solved cores, {cores:.2g} s with them, {atomistic:.2g} s by EAM"
        fast = [features < _FAST_SECONDS, features + cores < _FAST_SECONDS]
    return Claim(
        claim="Inference takes milliseconds",
        paper="several milliseconds on four cores",
        here=here,
        verdict=_verdict(fast, fewest=1),
    )


_JUDGES: tuple[Callable[[Evidence], Claim], ...] = (
    _dispersion,
    _range_of_potentials,
    _size,
    _protocol,
    _learnable,
    _nearer,
    _within,
    _inference,
    _few_shots,
    _accurate_shots,
    _together,
    _fast,
)


def _verdict(cases: Iterable[bool], fewest: int = _FEW_METALS) -> str:
    """By the share of cases that bear a claim out; undecided by fewer than three."""
    found = list(cases)
    if len(found) < fewest:
        return UNDECIDED
    share = sum(found) / len(found)
    return HOLDS if share >= _MOST else IN_PART if share >= _HALF else FAILS


def _terms(evidence: Evidence, name: str) -> list[ErrorTerm]:
    terms = () if evidence.errors is None else evidence.errors.terms
    return [term for term in terms if term.name == name and len(term.log10)]


def _routes(evidence: Evidence, name: str, other: str) -> list[tuple[RouteError, RouteError]]:
    """Two routes of each metal that has both."""
    every = () if evidence.errors is None else evidence.errors.routes
    found = {(each.element, each.structure, each.route): each for each in every if each.values}
    return [
        (route, found[element, structure, other])
        for (element, structure, own), route in found.items()
        if own == name and (element, structure, other) in found
    ]


def _median_factor(terms: Sequence[ErrorTerm]) -> str:
    if not terms:
        return "no data"
    middle = float(np.median([term.factor for term in terms]))
    return f"a factor of {significant(middle, 2)} (median of {len(terms)} metals)"


def _of(cases: Sequence[bool]) -> str:
    return f"{sum(cases)} of {len(cases)}"


def _is(record: ValidationRecord, model: str) -> bool:
    return record.model == model and not record.control and "family" in record.split


def _rank(record: ValidationRecord) -> float:
    return float(np.mean([each.spearman for each in record.scores()]))


def _scored(record: ValidationRecord) -> str:
    factor = float(np.mean([each.median_factor for each in record.scores()]))
    return f"{record.dataset} {_rank(record):.2f} and {factor:.2f}"
