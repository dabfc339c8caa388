"""Records of a size series of Peierls stresses. Field names carry units; shapes and conventions stand here."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from glideflow.storage import record

REFERENCE = "reference"


@record
@dataclass(frozen=True, kw_only=True)
class SeriesValue:
    """The Peierls stress by one search that differs from the reference in one thing.

    Attributes:
        name: name within the series, e.g. ``reference``, ``120x200`` (b x Å), ``narrow cut``.
        varied: what differs: ``size``, ``cut``, ``start`` or ``force tolerance``; empty for the reference.
        reason: why there is no value; empty if there is one.
        burgers_vectors: length of the upper half crystal in Burgers vectors.
        nominal_height_angstrom: height as asked for.
        cut: which plane was cut, ``wide`` or ``narrow``.
        direction: direction of loading.
        force_tolerance_ev_per_angstrom: largest force component of an equilibrium.
        peierls_mpa: Peierls stress; an upper bound if ``is_upper_bound``; None if the search failed.
        error_mpa: error of the search, None if it failed.
        stable_mpa: highest stress at which the core stays, None if the search failed.
        unstable_mpa: lowest stress at which it glides, None if the search failed.
        is_upper_bound: whether the core glides at the smallest stress that the method resolves.
        in_fit: whether the value takes part in the fit of the size.
        length_angstrom: cell length along the glide direction, None if the search failed.
        height_angstrom: distance between lowest and highest plane, None if the search failed.
        atoms: number of atoms, 0 if the search failed.
        flags: remarks of the search.
        evaluations: engine evaluations made.
    """

    name: str
    varied: str
    reason: str = ""
    burgers_vectors: int
    nominal_height_angstrom: float
    cut: str
    direction: str
    force_tolerance_ev_per_angstrom: float
    peierls_mpa: float | None = None
    error_mpa: float | None = None
    stable_mpa: float | None = None
    unstable_mpa: float | None = None
    is_upper_bound: bool = False
    in_fit: bool = False
    length_angstrom: float | None = None
    height_angstrom: float | None = None
    atoms: int = 0
    flags: tuple[str, ...] = ()
    evaluations: int = 0

    @property
    def record_name(self) -> str:
        """Name among the values of a series."""
        return self.name


@record
@dataclass(frozen=True, kw_only=True)
class ErrorBudget:
    """What the error of a Peierls stress is made of; None where a term could not be determined.

    Attributes:
        bracket_mpa: half of the interval between stable and unstable in the reference cell.
        force_tolerance_mpa: what the force tolerance may shift the value by: its resolution, and a ninth of what a
            ten times looser tolerance changes (an error in proportion to the tolerance).
        direction_mpa: difference between the directions of loading, where the crystal makes none.
        history_mpa: stress between a jump of the core close below the value and the value.
        length_mpa: what is extrapolated beyond the longest cell.
        height_mpa: what is extrapolated beyond the highest cell.
        fit_mpa: residual of the size fit; without one, the largest difference of a cell to the value.
        cut_mpa: difference to the other cut of a crystal that has two. Not in the total: the two cuts are glide planes
            of different structure, and the value is that of the one that it names.
        start_mpa: difference to a core that was started elsewhere with other noise.
    """

    bracket_mpa: float
    force_tolerance_mpa: float | None = None
    direction_mpa: float | None = None
    history_mpa: float | None = None
    length_mpa: float | None = None
    height_mpa: float | None = None
    fit_mpa: float | None = None
    cut_mpa: float | None = None
    start_mpa: float | None = None

    @property
    def total_mpa(self) -> float:
        """Root of the sum of the squares of the terms that are known, ``cut_mpa`` left out."""
        terms = (getattr(self, field.name) for field in fields(self) if field.name != "cut_mpa")
        return math.hypot(*(term for term in terms if term is not None))

    @property
    def size_mpa(self) -> float:
        """The part of it that comes from the finite cells."""
        return math.hypot(*(term for term in (self.length_mpa, self.height_mpa, self.fit_mpa) if term is not None))


@record
@dataclass(frozen=True, kw_only=True)
class PeierlsSeriesResult:
    """Peierls stress of a straight dislocation in the limit of large cells, with its whole error.

    Attributes:
        slip_system: name of the slip system.
        label: its indices.
        character: dislocation character.
        cut: which plane was cut, ``wide`` or ``narrow``.
        peierls_mpa: best estimate; an upper bound if ``is_upper_bound``.
        peierls_error_mpa: its error, the total of the budget.
        is_upper_bound: whether only a bound can be given.
        basis: where the value comes from: ``size fit``, or ``largest cell`` where the values cannot be fitted or the
            fit gives none that is positive.
        settled: whether the finite cells add no more than ``peierls_series.settled_below`` of the value.
        reference_mpa: value in the cell of ``peierls_stress``.
        infinite_mpa: τ∞ of the fit τ∞ + A/H + B/L, None if there is none.
        height_coefficient_mpa_angstrom: A, None if the heights of the cells do not determine it.
        length_coefficient_mpa_angstrom: B, None if the lengths of the cells do not determine it.
        budget: the error by its terms.
        values: every search, the reference first.
        flags: remarks, e.g. ``unsettled size series``, ``upper bound``, ``failed sizes``.
        evaluations: engine evaluations made, those of the reference left out.
    """

    slip_system: str
    label: str
    character: str
    cut: str
    peierls_mpa: float
    peierls_error_mpa: float
    is_upper_bound: bool
    basis: str
    settled: bool
    reference_mpa: float
    infinite_mpa: float | None
    height_coefficient_mpa_angstrom: float | None
    length_coefficient_mpa_angstrom: float | None
    budget: ErrorBudget
    values: tuple[SeriesValue, ...]
    flags: tuple[str, ...] = ()
    evaluations: int = 0
