"""What Peierls stresses of a metal err by: the physics of the inputs, the cell and the protocol, and the inference.

The kinds are those of Fig. 2k and 2l of Y. Zhao, Z. Zhang and Z. Xu, Physics-Transfer Learning for Material Strength
Screening, which gives no equations for them. Here every term is a difference of two stresses that differ in one thing
only, on the scale of log₁₀, where differences add up:

    log τ(244 atoms, fixed steps) - log τ_MLFF = system, cell          (244 atoms → reference cell, fixed steps)
                                               + system, protocol      (fixed steps → converged, reference cell)
                                               + physical, potentials  (classical → machine-learned potentials)

of which the first two compare a potential with itself. Two inputs, C₄₄ and γ_usf, are compared in the same way.
Relative errors e = (τ - τ_MLFF)/τ_MLFF, in which the paper counts, stand beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from glideflow.config.transfer import Protocol, TransferDataSettings
from glideflow.crystals.lattices import FloatArray
from glideflow.errors import ConfigurationError
from glideflow.properties.results import ElasticResult, GammaSurfaceResult
from glideflow.records import Library, LibraryEntry
from glideflow.storage import record
from glideflow.transfer.assembly import Stress, assemble, stress_of
from glideflow.transfer.dataset import EMPIRICAL
from glideflow.transfer.strengths import MetalStrengths, StrengthTable, TransferredStrength
from glideflow.transfer.validation import ValidationRecord

Kind = Literal["physical", "system", "inference"]
KINDS: tuple[Kind, ...] = ("physical", "system", "inference")
CELL, PROTOCOL, LARGE, POTENTIALS = "cell", "protocol", "large cells", "potentials"
C44, GAMMA_USF = "C44", "γ_usf"
TRANSFERRED, HELD_OUT, PT_EAM, PT_MLFF = "transferred", "held out", "PT-EAM", "PT-MLFF"
ROUTES: Mapping[str, tuple[str, ...]] = {
    "EAM-S": (CELL, PROTOCOL, POTENTIALS),
    "EAM-L, fixed steps": (PROTOCOL, POTENTIALS),
    "EAM, converged": (POTENTIALS,),
}
"""What the errors of classical potentials by atomistics consist of: the terms of each route."""
_FIRST_PROTOCOL: Mapping[str, Protocol] = {CELL: "size_s", PROTOCOL: "paper", POTENTIALS: "reference"}
_NO_MLFF = "no machine-learned potential with a Peierls stress"
_NO_LEARNED = "no machine-learned potential"
_NO_STEPS = "no classical potential with a Peierls stress by fixed steps"
_NO_SHOTS = "no other machine-learned potential of the structure with a Peierls stress"


@record
@dataclass(frozen=True, kw_only=True)
class ErrorTerm:
    """One kind of error of one metal: n values, each beside what it is compared with.

    Bounds and stresses below the floor count with the bound or the floor, on both sides.

    Attributes:
        element: chemical symbol.
        structure: crystal structure.
        kind: ``physical``, ``system`` or ``inference``.
        name: which term, see the module.
        value: what the values are.
        against: what they are compared with.
        potential_ids: (n) the potentials.
        log10: (n,) log₁₀ of value over what it is compared with.
        relative: (n,) the same as a relative error: the ratio less 1.
        bounds: how many of the n have a bound, or a stress below the floor, on either side.
        reason: why there is no value; empty if there is one.
    """

    element: str
    structure: str
    kind: str
    name: str
    value: str
    against: str
    potential_ids: tuple[str, ...] = ()
    log10: FloatArray
    relative: FloatArray
    bounds: int = 0
    reason: str = ""

    @property
    def record_name(self) -> str:
        """Name in a file of several."""
        return f"{self.element} ({self.structure}), {self.kind}, {self.name}"

    @property
    def factor(self) -> float:
        """Median factor by which values err, up or down; NaN without values."""
        return float(10 ** np.median(np.abs(self.log10))) if len(self.log10) else np.nan

    @property
    def bias(self) -> float:
        """Median of value over what it is compared with; NaN without values."""
        return float(10 ** np.median(self.log10)) if len(self.log10) else np.nan

    @property
    def spread(self) -> tuple[float, float]:
        """The ratio's 10th and 90th percentile; NaN for fewer than two values."""
        if len(self.log10) < 2:
            return np.nan, np.nan
        low, high = np.quantile(self.log10, [0.1, 0.9])
        return float(10**low), float(10**high)

    @property
    def relative_percent(self) -> float:
        """Median of the relative error without its sign, in percent; NaN without values."""
        return float(100 * np.median(np.abs(self.relative))) if len(self.relative) else np.nan


@record
@dataclass(frozen=True, kw_only=True)
class RouteError:
    """The whole error of one route to the Peierls stress of a metal, and what it is made of.

    Reference is the median of the machine-learned potentials by atomistics in the reference cell (τ_MLFF).

    Attributes:
        element: chemical symbol.
        structure: crystal structure.
        route: ``EAM-S`` (fixed steps in 244 atoms), ``EAM-L, fixed steps`` (in the reference cell), ``EAM, converged``
            (there, too), ``PT-EAM`` or ``PT-MLFF``.
        values: potentials of the route that have every term: n.
        mean_mpa: mean of their stresses.
        relative_percent: |mean - τ_MLFF|/τ_MLFF in percent, as the paper counts; NaN without values.
        factor: median factor by which they err; NaN without values.
        terms: (k) names of the terms, in the order in which they are taken off.
        mean_log10: (k,) means of the terms over the n potentials; their sum is the mean of log₁₀ τ/τ_MLFF.
        share: (k,) Σ term · total/Σ total² over the n potentials, which sums to 1: the term's share of the mean square
            of log₁₀ τ/τ_MLFF. A negative one: the term makes up for others.
        reason: why there is no value; empty if there is one.
    """

    element: str
    structure: str
    route: str
    values: int = 0
    mean_mpa: float = np.nan
    relative_percent: float = np.nan
    factor: float = np.nan
    terms: tuple[str, ...] = ()
    mean_log10: FloatArray
    share: FloatArray
    reason: str = ""

    @property
    def record_name(self) -> str:
        """Name in a file of several."""
        return f"{self.element} ({self.structure}), {self.route}"


@record
@dataclass(frozen=True, kw_only=True)
class ErrorTable:
    """Errors of all metals.

    Attributes:
        model: the model that transfers, and whose held-out predictions are scored.
        split: how predictions were held out; empty without a validation.
        library_name: name of the library.
        floor_mpa: stresses below count as this one.
        terms: the errors by kind.
        routes: the errors by route.
    """

    model: str
    split: str
    library_name: str
    floor_mpa: float
    terms: tuple[ErrorTerm, ...]
    routes: tuple[RouteError, ...]

    @property
    def metals(self) -> tuple[tuple[str, str], ...]:
        """Element and structure of each metal."""
        return tuple(dict.fromkeys((each.element, each.structure) for each in self.terms))


def error_table(
    library: Library,
    settings: TransferDataSettings,
    strengths: StrengthTable,
    validations: Iterable[ValidationRecord] = (),
) -> ErrorTable:
    """Errors of every metal of a table of strengths, by kind and by route.

    Args:
        library: the library that the table was made from.
        settings: which classical potentials take part; protocol and sources are those of each term.
        strengths: transferred stresses, and those by machine-learned potentials.
        validations: validations by family of the model of the table; others are passed over.

    Raises:
        ConfigurationError: the table is of another library, or a structure of it has no classical potential with a
            Peierls stress.
    """
    if strengths.library_name != library.name:
        raise ConfigurationError(
            f"the table of strengths is of the library {strengths.library_name!r}, not of {library.name!r}",
            expected="both of one library",
            next_step="make the table again with the same --library: glideflow transfer strengths",
        )
    held_out = [each for each in validations if _fits(each, strengths.model)]
    stresses = _classical(library, settings, {metal.structure for metal in strengths.metals})
    inputs = {entry.potential.id: _inputs(entry) for entry in library.entries}
    metals = [_Metal(metal, stresses, held_out, strengths, inputs) for metal in strengths.metals]
    return ErrorTable(
        model=strengths.model,
        split="; ".join(dict.fromkeys(each.split for each in held_out)),
        library_name=library.name,
        floor_mpa=strengths.floor_mpa,
        terms=tuple(term for metal in metals for term in metal.terms()),
        routes=tuple(route for metal in metals for route in metal.routes()),
    )


@dataclass(frozen=True)
class _Classical:
    """A classical potential with its stresses by protocol."""

    id: str
    metal: tuple[str, str]
    stresses: Mapping[str, Stress]


@dataclass(frozen=True)
class _Pair:
    """A value beside what it is compared with, in MPa."""

    potential_id: str
    value_mpa: float
    against_mpa: float
    is_bound: bool


def _fits(validation: ValidationRecord, model: str) -> bool:
    return validation.model == model and not validation.control and "family" in validation.split


def _classical(library: Library, settings: TransferDataSettings, structures: Iterable[str]) -> list[_Classical]:
    """One classical potential of each family, with what it has by every protocol."""
    entries = {entry.potential.id: entry for entry in library.entries}
    wanted = settings.model_copy(update={"sources": (EMPIRICAL,), "protocol": "reference"})
    found = []
    for structure in sorted(structures):
        samples = assemble(library, wanted, (structure,), name=structure)
        rows = zip(samples.potential_ids, samples.elements, samples.slip_systems, strict=True)
        found += [
            _Classical(name, (element, structure), _by_protocol(entries[name], system))
            for name, element, system in rows
        ]
    return found


def _inputs(entry: LibraryEntry) -> dict[str, float]:
    """C₄₄ in GPa and γ_usf in mJ/m², as far as a potential has them."""
    found: dict[str, float] = {}
    for stage in entry.stages:
        if isinstance(stage.result, ElasticResult):
            found[C44] = stage.result.c44_gpa
        if isinstance(stage.result, GammaSurfaceResult):
            found.setdefault(GAMMA_USF, stage.result.gamma_usf_mj_m2)
    return found


def _by_protocol(entry: LibraryEntry, system: str) -> dict[str, Stress]:
    protocols = ("reference", "paper", "size_s", "series")
    found = {name: stress_of(entry, name, system) for name in protocols}
    return {name: stress for name, stress in found.items() if stress is not None}


class _Metal:
    """Terms and routes of one metal."""

    def __init__(
        self,
        metal: MetalStrengths,
        classical: Sequence[_Classical],
        held_out: Sequence[ValidationRecord],
        strengths: StrengthTable,
        inputs: Mapping[str, Mapping[str, float]],
    ) -> None:
        self._metal, self._floor, self._model = metal, strengths.floor_mpa, strengths.model
        self._inputs = inputs
        own = (metal.element, metal.structure)
        self._classical = [each for each in classical if each.metal == own]
        self._held_out = held_out
        self._known = [each for each in metal.transferred if np.isfinite(each.mlff_mpa)]

    def terms(self) -> list[ErrorTerm]:
        """All of them, those without values included."""
        reference = f"{self._model}, fed with machine-learned potentials (median)"
        mlff = "machine-learned potentials by atomistics (median)"
        itself = "the same potential by atomistics"
        steps = "fixed steps, reference cell"
        return [
            self._system(CELL, ("size_s", "paper"), "fixed steps, 244 atoms", steps),
            self._system(PROTOCOL, ("paper", "reference"), steps, "converged, reference cell"),
            self._system(LARGE, ("reference", "series"), "converged, reference cell", "limit of large cells"),
            self._physical(POTENTIALS, self._truth(), mlff, _NO_MLFF),
            self._physical(TRANSFERRED, self._better(), reference, _NO_LEARNED),
            self._input(C44),
            self._input(GAMMA_USF),
            self._term("inference", HELD_OUT, self._left_out(), (f"{self._model}, held out", itself), self._unseen()),
            self._inference(PT_EAM, lambda each: each.pt_eam_mpa, itself),
            self._inference(PT_MLFF, lambda each: each.pt_mlff_mpa, itself),
        ]

    def routes(self) -> list[RouteError]:
        """By atomistics, and by transfer."""
        return [
            *(self._atomistic(route, names) for route, names in ROUTES.items()),
            self._transferred(PT_EAM, [each.pt_eam_mpa for each in self._known]),
            self._transferred(PT_MLFF, [each.pt_mlff_mpa for each in self._known]),
        ]

    def _system(self, name: str, protocols: tuple[str, str], value: str, against: str) -> ErrorTerm:
        """A potential beside itself in another cell or by another protocol."""
        both = [each for each in self._classical if all(protocol in each.stresses for protocol in protocols)]
        pairs = [_Pair(each.id, *self._two(*(each.stresses[protocol] for protocol in protocols))) for each in both]
        reason = "no classical potential with a size series" if "series" in protocols else _NO_STEPS
        return self._term("system", name, pairs, (value, against), reason)

    def _physical(self, name: str, against: Stress | None, what: str, missing: str) -> ErrorTerm:
        """Classical potentials beside one better value."""
        pairs = [
            _Pair(each.id, *self._two(each.stresses["reference"], against))
            for each in self._classical
            if against is not None
        ]
        value = "classical potentials, converged, reference cell"
        reason = missing if against is None else "no classical potential with a Peierls stress"
        return self._term("physical", name, pairs, (value, what), reason)

    def _input(self, name: str) -> ErrorTerm:
        """An input of classical potentials beside that of machine-learned ones."""
        better = [self._inputs.get(each.potential_id, {}).get(name, 0.0) for each in self._metal.transferred]
        known = [value for value in better if value > 0]
        own = [(each.id, self._inputs[each.id].get(name, 0.0)) for each in self._classical]
        pairs = [_Pair(each, value, float(np.median(known)), False) for each, value in own if value > 0 and known]
        what = (f"{name} of classical potentials", f"{name} of machine-learned potentials (median)")
        return self._term("physical", name, pairs, what, _NO_LEARNED)

    def _inference(self, name: str, value: Callable[[TransferredStrength], float], itself: str) -> ErrorTerm:
        """A transferred value beside atomistics of the potential that gave its parameters."""
        pairs = [
            _Pair(each.potential_id, *self._two(Stress(peierls_mpa=value(each), is_upper_bound=False), _mlff(each)))
            for each in self._known
            if np.isfinite(value(each))
        ]
        reason = _NO_MLFF if not self._known else _NO_SHOTS
        return self._term("inference", name, pairs, (name, itself), reason)

    def _left_out(self) -> list[_Pair]:
        """Held-out predictions of classical potentials, means over the seeds on the scale of the logarithm."""
        own = {each.id: each.stresses["reference"] for each in self._classical}
        found = {}
        for validation in self._held_out:
            means = np.mean([run.log10_mpa for run in validation.runs], axis=0)
            for name, log10 in zip(validation.potential_ids, means, strict=True):
                if name in own:
                    predicted = Stress(peierls_mpa=float(10**log10), is_upper_bound=False)
                    found[name] = _Pair(name, *self._two(predicted, own[name]))
        return list(found.values())

    def _unseen(self) -> str:
        return (
            f"no validation by family of the model {self._model}"
            if not self._held_out
            else f"no classical potential of {self._metal.element} in the validation"
        )

    def _term(self, kind: Kind, name: str, pairs: Sequence[_Pair], what: tuple[str, str], reason: str) -> ErrorTerm:
        log10 = np.array([np.log10(each.value_mpa / each.against_mpa) for each in pairs])
        return ErrorTerm(
            element=self._metal.element,
            structure=self._metal.structure,
            kind=kind,
            name=name,
            value=what[0],
            against=what[1],
            potential_ids=tuple(each.potential_id for each in pairs),
            log10=log10,
            relative=10**log10 - 1,
            bounds=sum(each.is_bound for each in pairs),
            reason="" if pairs else reason,
        )

    def _two(self, value: Stress, against: Stress) -> tuple[float, float, bool]:
        """Both from the floor up, and whether one of them is no more than a bound."""
        floored = [max(each.peierls_mpa, self._floor) for each in (value, against)]
        bound = any(each.is_upper_bound or each.peierls_mpa < self._floor for each in (value, against))
        # What is predicted at or below a bound agrees with it, as in the scores of a validation.
        if against.is_upper_bound or against.peierls_mpa < self._floor:
            floored[0] = max(floored)
        return floored[0], floored[1], bound

    def _truth(self) -> Stress | None:
        """τ_MLFF."""
        return _median([_mlff(each) for each in self._known], self._floor)

    def _better(self) -> Stress | None:
        """The model's answer to parameters of machine-learned potentials."""
        found = [Stress(peierls_mpa=each.pt_eam_mpa, is_upper_bound=False) for each in self._metal.transferred]
        return _median(found, self._floor)

    def _atomistic(self, route: str, names: tuple[str, ...]) -> RouteError:
        """Classical potentials that have every term of the route."""
        truth = self._truth()
        protocols = [_FIRST_PROTOCOL[name] for name in names]
        full = [each for each in self._classical if all(protocol in each.stresses for protocol in protocols)]
        if truth is None or not full:
            return self._no_route(route, truth, _NO_STEPS)
        mpa = np.array([[each.stresses[protocol].peierls_mpa for protocol in protocols] for each in full])
        chain = np.log10(np.maximum(np.column_stack([mpa, np.full(len(full), truth.peierls_mpa)]), self._floor))
        return self._route(route, mpa[:, 0], names, chain[:, :-1] - chain[:, 1:], truth)

    def _transferred(self, route: str, values_mpa: Sequence[float]) -> RouteError:
        truth = self._truth()
        known = np.array([value for value in values_mpa if np.isfinite(value)])
        if truth is None or not len(known):
            return self._no_route(route, truth, _NO_SHOTS)
        apart = np.log10(np.maximum(known, self._floor) / max(truth.peierls_mpa, self._floor))
        return self._route(route, known, ("inference",), apart[:, None], truth)

    def _route(
        self, route: str, values_mpa: FloatArray, terms: tuple[str, ...], parts: FloatArray, truth: Stress
    ) -> RouteError:
        """The route of (n,) stresses, whose errors are the sums of (n, k) terms."""
        mean = float(np.maximum(values_mpa, self._floor).mean())
        against = max(truth.peierls_mpa, self._floor)
        return RouteError(
            element=self._metal.element,
            structure=self._metal.structure,
            route=route,
            values=len(values_mpa),
            mean_mpa=mean,
            relative_percent=100 * abs(mean - against) / against,
            factor=float(10 ** np.median(np.abs(parts.sum(axis=1)))),
            terms=terms,
            mean_log10=parts.mean(axis=0),
            share=shares(parts),
        )

    def _no_route(self, route: str, truth: Stress | None, otherwise: str) -> RouteError:
        return RouteError(
            element=self._metal.element,
            structure=self._metal.structure,
            route=route,
            mean_log10=np.empty(0),
            share=np.empty(0),
            reason=_NO_MLFF if truth is None else otherwise,
        )


def shares(parts: FloatArray) -> FloatArray:
    """Shares of terms in the mean square of their sum.

    Args:
        parts: (n, k) terms of n values.

    Returns:
        (k,) Σ term · total/Σ total² over the values, which sums to 1; NaN where every total is zero.
    """
    total = parts.sum(axis=1)
    square = float(total @ total)
    return np.asarray(total @ parts / square) if square > 0 else np.full(parts.shape[1], np.nan)


def _mlff(each: TransferredStrength) -> Stress:
    return Stress(peierls_mpa=each.mlff_mpa, is_upper_bound=each.is_upper_bound)


def _median(found: Sequence[Stress], floor_mpa: float) -> Stress | None:
    """The median from the floor up, a bound where that of the two in the middle, or the one, is."""
    if not found:
        return None
    ordered = sorted(found, key=lambda each: max(each.peierls_mpa, floor_mpa))
    middle = ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]
    value = float(10 ** np.mean([np.log10(max(each.peierls_mpa, floor_mpa)) for each in middle]))
    return Stress(peierls_mpa=value, is_upper_bound=any(each.is_upper_bound for each in middle))
