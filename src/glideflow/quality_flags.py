"""Quality flags: what a reader of a value should know, each defined once.

A flag says what was found, never what to do about it: flagged values stay in a library, and every consumer chooses by
name (`glideflow.strength_library.select`). Some flags repeat what the computation itself remarked; the others are
found here in the records, old ones included.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from glideflow.properties.results import ElasticResult, GammaSurfaceResult, LatticeResult, PeierlsStressResult
from glideflow.property_specs import DEFAULT_PROPERTIES
from glideflow.records import StageRecord

FAR_FROM_REFERENCE = 0.08
"""Relative difference of a, c or the atomic volume from those of the metal that counts as far."""

TRANSFORMED = 0.25
"""Relative change of its width that makes a core another one."""

NOT_FIRST = "not first of its family"
"""Flag of all but a metal's first potential of a family; set where a whole library is known."""


def _never(stage: StageRecord) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class QualityFlag:
    """A remark on values of a library.

    Attributes:
        name: as it stands in libraries and tables.
        concerns: properties whose values it is about; empty for the potential as a whole.
        meaning: what it says, in a sentence.
        remarks: remarks of results that it stands for, beside its own name.
        holds: whether a record with a result earns it, whatever the result itself remarks.
    """

    name: str
    concerns: tuple[str, ...]
    meaning: str
    remarks: tuple[str, ...] = ()
    holds: Callable[[StageRecord], bool] = _never

    def fits(self, stage: StageRecord) -> bool:
        """Whether a record with a result earns the flag."""
        if self.concerns and stage.property not in self.concerns:
            return False
        said = {self.name, *self.remarks} & set(remarks_of(stage))
        return bool(said) or self.holds(stage)


def _far_from_reference(stage: StageRecord) -> bool:
    from glideflow.crystals.lattices import reference_crystal

    if not isinstance(stage.result, LatticeResult):
        return False
    found, known = stage.result.crystal, reference_crystal(stage.potential.element, stage.result.structure)
    ratios = (
        found.a_angstrom / known.a_angstrom,
        found.c_angstrom / known.c_angstrom,
        found.volume_per_atom_angstrom3 / known.volume_per_atom_angstrom3,
    )
    return any(abs(ratio - 1) > FAR_FROM_REFERENCE for ratio in ratios)


def _other_ground_state(stage: StageRecord) -> bool:
    result = stage.result
    return isinstance(result, LatticeResult) and result.ground_state not in ("", result.structure)


def _born_unstable(stage: StageRecord) -> bool:
    return isinstance(stage.result, ElasticResult) and not stage.result.born_stable


def _negative_fault(stage: StageRecord) -> bool:
    result = stage.result
    return isinstance(result, GammaSurfaceResult) and (result.gamma_isf_mj_m2 or 0.0) < 0


def _is_upper_bound(stage: StageRecord) -> bool:
    return bool(getattr(stage.result, "is_upper_bound", False))  # of the reference cell, or of the size series


def _jumps(stage: StageRecord) -> bool:
    return isinstance(stage.result, PeierlsStressResult) and any(curve.jumps for curve in stage.result.curves)


def _transforms(stage: StageRecord) -> bool:
    result = stage.result
    if not isinstance(result, PeierlsStressResult):
        return False
    jumps = [jump for curve in result.curves for jump in curve.core_jumps]
    pairs = [(result.core_unloaded.width_angstrom, result.core_at_peak.width_angstrom)]
    pairs += [(jump.width_before_angstrom, jump.width_after_angstrom) for jump in jumps]
    return any(max(pair) > (1 + TRANSFORMED) * min(pair) for pair in pairs)


def _not_a_number(stage: StageRecord) -> bool:
    values = (getattr(stage.result, field.name) for field in dataclasses.fields(stage.result))  # type: ignore[arg-type]
    numbers = (value for value in values if isinstance(value, float | np.ndarray))
    return not all(np.all(np.isfinite(value)) for value in numbers)


QUALITY_FLAGS = (
    QualityFlag(
        name="wrong ground state",
        concerns=("lattice",),
        meaning="another of fcc, bcc and hcp has a lower energy than the metal's own structure, in which all was "
        "computed",
        holds=_other_ground_state,
    ),
    QualityFlag(
        name="lattice far from reference",
        concerns=("lattice",),
        meaning="a, c or the atomic volume differs by more than 8 % from that of the metal: a spurious minimum of the "
        "energy, or a potential that was not meant for the pure metal",
        holds=_far_from_reference,
    ),
    QualityFlag(
        name="Born-unstable",
        concerns=("elastic",),
        meaning="the crystal lowers its energy by a homogeneous strain: the elastic tensor is not positive definite",
        holds=_born_unstable,
    ),
    QualityFlag(
        name="strain-dependent elastic constants",
        concerns=("elastic",),
        meaning="a constant changes between the strain amplitudes by more than elastic.strain_dependence_flag (2 %): "
        "the potential is tabulated coarsely, or not smooth near its equilibrium",
    ),
    QualityFlag(
        name="negative γ",
        concerns=("gamma_surface",),
        meaning="the perfect crystal gains more than 1 mJ/m² by a rigid displacement of its halves",
    ),
    QualityFlag(
        name="negative intrinsic stacking fault energy",
        concerns=("gamma_surface",),
        meaning="partial dislocations have no equilibrium distance: the cell fills with stacking fault",
        holds=_negative_fault,
    ),
    QualityFlag(
        name="cell thinner than the range of the potential",
        concerns=("gamma_surface",),
        meaning="surfaces or images act on the fault",
    ),
    QualityFlag(
        name="not smooth",
        concerns=("gamma_surface", "peierls_stress"),
        meaning="kinks of the potential keep forces from the tolerance; what is left is in the error",
        remarks=("not smooth along the normal",),
    ),
    QualityFlag(
        name="upper bound",
        concerns=("peierls_stress", "peierls_series"),
        meaning="the core glides already at the smallest stress that the method resolves: the value is a bound",
        holds=_is_upper_bound,
    ),
    QualityFlag(
        name="core rearranges under load",
        concerns=("peierls_stress",),
        meaning="before it glides the core jumps by less than a Burgers vector to another equilibrium",
        holds=_jumps,
    ),
    QualityFlag(
        name="core transforms under load",
        concerns=("peierls_stress",),
        meaning="before it glides the core becomes wider or narrower by more than a quarter: the value belongs to "
        "another core than the unloaded one",
        holds=_transforms,
    ),
    QualityFlag(
        name="depends on loading history",
        concerns=("peierls_stress",),
        meaning="loading directions that the crystal does not distinguish give different values; the difference is in "
        "the error",
    ),
    QualityFlag(
        name="easier in one direction",
        concerns=("peierls_stress",),
        meaning="the crystal distinguishes the directions of slip; the value is the lower one",
    ),
    QualityFlag(
        name="glides in one direction only",
        concerns=("peierls_stress",),
        meaning="in the other direction, whose loading curve is missing, the core holds up to the largest stress of "
        "the settings",
    ),
    QualityFlag(
        name="unconverged steps",
        concerns=("peierls_stress",),
        meaning="at some stresses the forces stayed above the tolerance: neither stable nor gliding; the value lies "
        "in the wider interval between those that were",
    ),
    QualityFlag(
        name="unsettled size series",
        concerns=("peierls_series",),
        meaning="what the size of the cells leaves open is more than peierls_series.settled_below (10 %) of the value",
    ),
    QualityFlag(
        name="not a number",
        concerns=(),
        meaning="a result holds a value that is not finite",
        holds=_not_a_number,
    ),
    QualityFlag(
        name=NOT_FIRST,
        concerns=(),
        meaning="another potential of its family, near-copy or relative, comes first by id: count and split by family",
    ),
)
"""Every flag, in the order in which tables name them."""

_WORDS = frozenset(word for flag in QUALITY_FLAGS for word in (flag.name, *flag.remarks))


def quality_flags(stages: Iterable[StageRecord]) -> tuple[str, ...]:
    """Names of the flags that the records of one potential earn, in the order of `QUALITY_FLAGS`.

    Remarks of results for which no flag stands follow as they are, after the name of the property where that is none
    of `DEFAULT_PROPERTIES`: nothing that was said is lost. A flag in the remarks of a property that it is not about
    repeats what was said of a result that the property has read.
    """
    computed = [stage for stage in stages if stage.result is not None]
    found = [flag.name for flag in QUALITY_FLAGS if any(flag.fits(stage) for stage in computed)]
    others = [_labelled(stage, remark) for stage in computed for remark in remarks_of(stage) if remark not in _WORDS]
    return tuple(dict.fromkeys([*found, *others]))


def _labelled(stage: StageRecord, remark: str) -> str:
    return remark if stage.property in DEFAULT_PROPERTIES else f"{stage.property}: {remark}"


def remarks_of(stage: StageRecord) -> Iterator[str]:
    """What the computation itself remarked on its result."""
    yield from getattr(stage.result, "flags", ())
