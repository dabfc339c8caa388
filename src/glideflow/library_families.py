"""Families of near-copies, found from what was computed.

Sources name families by their authors' tables; retabulations of one potential come through with different names, and
one potential then stands in a training set and in its validation set. Two entries are near-copies if everything that
both have (lattice, elastic constants, γ surfaces) is the same within tolerances; families are what hangs together by
near-copies and by the families that the source names.

Lattice and elastic constants alone say little: independent potentials are fitted to the same experiments. What tells
them apart is the γ surface.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from glideflow.properties.results import ElasticResult, GammaSurfaceResult, LatticeResult
from glideflow.quality_flags import NOT_FIRST
from glideflow.records import LibraryEntry


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """How near two potentials have to be to count as one.

    Attributes:
        lattice: relative difference of a and c.
        elastic: largest difference of an elastic constant, relative to C11.
        gamma: largest difference on a γ surface, relative to its maximum.
    """

    lattice: float
    elastic: float
    gamma: float


WITH_GAMMA = Tolerances(lattice=5e-4, elastic=0.05, gamma=5e-3)
"""For entries that have a γ surface of the same slip system and cut.

Among 290 EAM and MEAM potentials, retabulations differ by up to 3 % in Cij (second derivatives of a table) and 0.2 %
in γ; γ of the nearest pair beyond them differs by 0.8 %, of the nearest independent one by 1.1 % (Fe, Mendelev 2003
and Wen 2021).
"""

WITHOUT_GAMMA = Tolerances(lattice=1e-5, elastic=1e-4, gamma=0.0)
"""For the others, where only the same numbers make a copy."""


def with_families(entries: Iterable[LibraryEntry]) -> tuple[LibraryEntry, ...]:
    """The entries with ``family_computed``, and a flag on all but a metal's first potential of each family.

    A family has the name of the first of the source's families in it, or of its first potential where the source
    names none.
    """
    entries = tuple(entries)
    groups = _connected(len(entries), _relations(entries))
    mended = list(entries)
    for members in groups:
        name = min(_family(entries[member]) for member in members)
        metals: set[tuple[str, str]] = set()  # of a potential for several metals, each is an entry of its own
        for member in sorted(members, key=lambda member: entries[member].potential.id):
            mended[member] = _placed(entries[member], name, copy=_metal(entries[member]) in metals)
            metals.add(_metal(entries[member]))
    return tuple(mended)


def _placed(entry: LibraryEntry, family: str, *, copy: bool) -> LibraryEntry:
    flags = [flag for flag in entry.flags if flag != NOT_FIRST] + ([NOT_FIRST] if copy else [])
    return replace(entry, family_computed=family, flags=tuple(flags))


def _metal(entry: LibraryEntry) -> tuple[str, str]:
    return entry.potential.element, entry.potential.structure


def near_copies(entries: Sequence[LibraryEntry]) -> Iterator[tuple[int, int]]:
    """Pairs of entries of one metal whose computed properties are the same within tolerances.

    Lattice and elastic constants are needed on both sides; γ surfaces are compared where both have them.
    """
    by_metal: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        by_metal[_metal(entry)].append(number)
    fingerprints = [_fingerprint(entry) for entry in entries]
    for members in by_metal.values():
        for one, other in combinations(members, 2):
            if _same(fingerprints[one], fingerprints[other]):
                yield one, other


def merged_families(entries: Iterable[LibraryEntry]) -> dict[str, tuple[str, ...]]:
    """The source's families that belong together, by the name of the computed family."""
    found: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        found[entry.family_computed].add(_family(entry))
    return {name: tuple(sorted(families)) for name, families in sorted(found.items()) if len(families) > 1}


@dataclass(frozen=True)
class _Fingerprint:
    """Numbers of an entry that near-copies share."""

    lattice_angstrom: NDArray[np.float64] | None
    elastic_gpa: NDArray[np.float64] | None
    gamma_mj_m2: dict[str, NDArray[np.float64]]


def _fingerprint(entry: LibraryEntry) -> _Fingerprint:
    lattice = elastic = None
    gamma = {}
    for stage in entry.stages:
        result = stage.result
        if isinstance(result, LatticeResult):
            lattice = np.array([result.a_angstrom, result.c_angstrom or result.a_angstrom])
        elif isinstance(result, ElasticResult):
            elastic = result.tensor_gpa
        elif isinstance(result, GammaSurfaceResult):
            gamma[f"{stage.record_name} {result.cut}"] = result.gamma_mj_m2
    return _Fingerprint(lattice, elastic, gamma)


def _same(one: _Fingerprint, other: _Fingerprint) -> bool:
    shared = one.gamma_mj_m2.keys() & other.gamma_mj_m2.keys()
    tolerances = WITH_GAMMA if shared else WITHOUT_GAMMA
    return (
        _close(one.lattice_angstrom, other.lattice_angstrom, tolerances.lattice)
        and _close(one.elastic_gpa, other.elastic_gpa, tolerances.elastic)
        and all(_close(one.gamma_mj_m2[name], other.gamma_mj_m2[name], tolerances.gamma) for name in shared)
    )


def _close(one: NDArray[np.float64] | None, other: NDArray[np.float64] | None, tolerance: float) -> bool:
    """Whether two arrays differ by at most ``tolerance`` times the largest of their numbers."""
    if one is None or other is None or one.shape != other.shape:
        return False
    return bool(np.abs(one - other).max() <= tolerance * np.abs(one).max())


def _relations(entries: Sequence[LibraryEntry]) -> Iterator[tuple[int, int]]:
    first: dict[str, int] = {}
    for number, entry in enumerate(entries):
        yield first.setdefault(_family(entry), number), number
    yield from near_copies(entries)


def _family(entry: LibraryEntry) -> str:
    return entry.potential.family or entry.potential.id


def _connected(count: int, relations: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Members of each group that hangs together by the relations."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.array(list(relations), dtype=int).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    groups: dict[int, list[int]] = defaultdict(list)
    for member, label in enumerate(labels):
        groups[int(label)].append(member)
    return list(groups.values())
