"""What differs between two records of a property, and between two libraries, beyond what may differ."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from glideflow.crystals.lattices import FloatArray
from glideflow.property_specs import ALL_PROPERTIES
from glideflow.records import Library, LibraryEntry, StageRecord
from glideflow.storage import unit_of


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How much a quantity may differ: the sum of an absolute and a relative part, or the errors of both values.

    Attributes:
        absolute: in the unit of the quantity.
        relative: of the larger magnitude; of an array, of its largest number.
        error: field of the record that holds the error of the quantity; both errors, root of the sum of their squares,
            may be used up.
    """

    absolute: float = 0.0
    relative: float = 0.0
    error: str = ""


_LENGTH = Tolerance(relative=1e-6)
_ENERGY = Tolerance(absolute=1e-6)
_STIFFNESS = Tolerance(absolute=0.01, relative=1e-4)
_GAMMA = Tolerance(absolute=0.05, relative=1e-4)  # gamma_surface.accepted_error_mj_m2 where a potential has kinks
_SEARCHED = Tolerance(error="peierls_error_mpa", relative=1e-6)
_STEPPED = Tolerance(absolute=0.01, relative=1e-3)
_SOLVED = Tolerance(absolute=1e-3, relative=1e-3)

COMPARED: Mapping[str, Mapping[str, Tolerance]] = {
    "lattice": {"a_angstrom": _LENGTH, "c_angstrom": _LENGTH, "energy_ev_per_atom": _ENERGY},
    "elastic": {f"{name}_gpa": _STIFFNESS for name in ("c11", "c12", "c13", "c33", "c44")},
    "gamma_surface": {
        **{f"gamma_{point}_mj_m2": _GAMMA for point in ("isf", "usf", "asf", "max")},
        "gamma_mj_m2": _GAMMA,
    },
    "peierls_stress": {"peierls_mpa": _SEARCHED},
    "peierls_series": {"peierls_mpa": _SEARCHED},
    "peierls_strain": {"peierls_mpa": _SEARCHED},
    "peierls_paper": {"peierls_mpa": _STEPPED, "size_s_mpa": _STEPPED},
    "peierls_nabarro": {"peierls_mpa": _SOLVED, "peierls_joos_duesbery_mpa": _SOLVED},
}
"""Quantities of each property that are compared, and by how much they may differ.

Lattice, elastic constants and γ surface are determined up to rounding and the stated finite differences; a Peierls
stress is an interval, and two searches agree if they agree within their errors.
"""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One quantity of one record that differs.

    Attributes:
        potential: id of the potential.
        record: name of the record, e.g. ``peierls_stress.fcc_111.edge``; empty for the potential itself.
        property: property of the record; empty for the potential itself.
        quantity: field that differs, ``status``, ``sha256`` or ``flags``.
        unit: its unit.
        before: value of the first library, or text.
        after: value of the second.
        difference: largest difference of the numbers, None for texts and where one side has none.
        tolerance: how much they may differ, None as above.
    """

    potential: str
    record: str
    property: str
    quantity: str
    unit: str = "1"
    before: float | str | None
    after: float | str | None
    difference: float | None = None
    tolerance: float | None = None


@dataclass(frozen=True, kw_only=True)
class LibraryDifference:
    """What differs between two libraries.

    Attributes:
        potentials_added: ids that only the second one has.
        potentials_removed: ids that only the first one has.
        records_added: (potential, record) that only the second one has, of potentials that both have.
        records_removed: the same for the first one.
        changed: quantities that differ beyond their tolerances.
        compared: number of records that both have, by property.
    """

    potentials_added: tuple[str, ...]
    potentials_removed: tuple[str, ...]
    records_added: tuple[tuple[str, str], ...]
    records_removed: tuple[tuple[str, str], ...]
    changed: tuple[Difference, ...]
    compared: Mapping[str, int]

    @property
    def any(self) -> bool:
        """Whether there is any difference."""
        only = (self.potentials_added, self.potentials_removed, self.records_added, self.records_removed)
        return any(map(bool, (*only, self.changed)))

    def changed_records(self) -> Counter[str]:
        """Number of records that differ, by property."""
        return Counter(name for name, _, _ in {(d.property, d.potential, d.record) for d in self.changed})


def compare_libraries(before: Library, after: Library) -> LibraryDifference:
    """What was added, removed and changed from one library to the other; potentials are matched by id."""
    first, second = ({entry.potential.id: entry for entry in library.entries} for library in (before, after))
    shared = [(first[name], second[name]) for name in sorted(first.keys() & second.keys())]
    pairs = [pair for entries in shared for pair in _pairs(*entries)]
    both = [(one, other) for one, other in pairs if one is not None and other is not None]
    changed = [difference for entries in shared for difference in _of_potentials(*entries)]
    changed += [difference for one, other in both for difference in compare_records(one, other)]
    counts = Counter(one.property for one, _ in both)
    return LibraryDifference(
        potentials_added=tuple(sorted(second.keys() - first.keys())),
        potentials_removed=tuple(sorted(first.keys() - second.keys())),
        records_added=tuple(_name(other) for one, other in pairs if one is None and other is not None),
        records_removed=tuple(_name(one) for one, other in pairs if other is None and one is not None),
        changed=tuple(changed),
        compared={name: counts[name] for name in ALL_PROPERTIES if counts[name]},
    )


def compare_records(before: StageRecord, after: StageRecord) -> tuple[Difference, ...]:
    """Quantities of two records of one property that differ beyond their tolerances, and the status if it does."""
    if before.status != after.status:
        return (_difference(before, "status", _state(before), _state(after)),)
    if before.result is None or after.result is None:
        return ()
    quantities = COMPARED.get(before.property, {})
    found = (_compare(before, after, name, tolerance) for name, tolerance in quantities.items())
    return tuple(difference for difference in found if difference is not None)


def _pairs(one: LibraryEntry, other: LibraryEntry) -> Iterator[tuple[StageRecord | None, StageRecord | None]]:
    first, second = ({stage.record_name: stage for stage in entry.stages} for entry in (one, other))
    for name in dict.fromkeys([*first, *second]):
        yield first.get(name), second.get(name)


def _name(stage: StageRecord) -> tuple[str, str]:
    return stage.potential.id, stage.record_name


def _of_potentials(one: LibraryEntry, other: LibraryEntry) -> Iterator[Difference]:
    """What differs between two entries beside their records: the parameter files, and the quality flags."""
    texts = {
        "sha256": (one.potential.sha256, other.potential.sha256),
        "flags": ("; ".join(one.flags), "; ".join(other.flags)),
    }
    for quantity, (before, after) in texts.items():
        if before != after:
            identifier = one.potential.id
            yield Difference(
                potential=identifier, record="", property="", quantity=quantity, before=before, after=after
            )


def _compare(before: StageRecord, after: StageRecord, name: str, tolerance: Tolerance) -> Difference | None:
    stored = [getattr(stage.result, name, None) for stage in (before, after)]
    if stored[0] is None or stored[1] is None:
        return None if stored[0] is stored[1] else _difference(before, name, *map(_number, stored))
    one, other = (np.asarray(value, dtype=float) for value in stored)
    if one.shape != other.shape:
        return _difference(before, name, f"array {one.shape}", f"array {other.shape}")
    differences, allowed = np.abs(one - other), _allowed(before, after, np.stack([one, other]), tolerance)
    if _bounds_agree(before, after, one, other) or bool(np.all(differences <= allowed)):
        return None
    worst = np.unravel_index(int(np.argmax(np.nan_to_num(differences, nan=np.inf))), one.shape)
    return _difference(
        before, name, float(one[worst]), float(other[worst]), difference=float(differences[worst]), tolerance=allowed
    )


def _allowed(before: StageRecord, after: StageRecord, values: FloatArray, tolerance: Tolerance) -> float:
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    errors = [float(getattr(stage.result, tolerance.error, None) or 0.0) for stage in (before, after)]
    return tolerance.absolute + tolerance.relative * largest + math.hypot(*errors)


def _bounds_agree(before: StageRecord, after: StageRecord, one: FloatArray, other: FloatArray) -> bool:
    """Whether values of which at least one is an upper bound agree: a bound contradicts nothing below it."""
    first, second = (bool(getattr(stage.result, "is_upper_bound", False)) for stage in (before, after))
    if first and second:
        return True
    return bool((first and np.all(other <= one)) or (second and np.all(one <= other)))


def _difference(
    stage: StageRecord,
    quantity: str,
    before: float | str | None,
    after: float | str | None,
    *,
    difference: float | None = None,
    tolerance: float | None = None,
) -> Difference:
    return Difference(
        potential=stage.potential.id,
        record=stage.record_name,
        property=stage.property,
        quantity=quantity,
        unit=unit_of(quantity),
        before=before,
        after=after,
        difference=difference,
        tolerance=tolerance,
    )


def _number(value: object) -> float | str | None:
    return float(value) if isinstance(value, int | float) else None if value is None else "array"


def _state(stage: StageRecord) -> str:
    return f"{stage.status}: {stage.failure.reason}" if stage.failure is not None else stage.status


def lines_of(changed: Iterable[Difference]) -> Iterator[str]:
    """Differences in words, one line each."""
    for each in changed:
        unit = "" if each.unit == "1" else f" {each.unit}"
        by = f" (differs by {each.difference:.3g}, may by {each.tolerance:.3g})" if each.difference is not None else ""
        where = " ".join(filter(None, (each.potential, each.record, each.quantity)))
        yield f"{where}: {_shown(each.before)}{unit} -> {_shown(each.after)}{unit}{by}"


def _shown(value: float | str | None) -> str:
    return "none" if value in (None, "") else f"{value:.8g}" if isinstance(value, float) else str(value)
