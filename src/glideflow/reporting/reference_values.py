"""Measured values that potentials are compared with, each with its source.

Measured at room temperature, while the library is static at 0 K: elastic constants soften by some per cent between the
two and lattice constants grow by some tenths of a per cent. They are there to tell what a potential describes, not to
the last digit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from glideflow.errors import PropertyError
from glideflow.reporting.collection import Metal
from glideflow.reporting.reference import PUBLISHED_SOURCE, published_range


@dataclass(frozen=True, kw_only=True)
class ReferenceValue:
    """A value from the literature, or the range of several.

    Attributes:
        key: column of the library's table that it belongs to, or ``c_over_a``.
        lowest: the value, or the lowest one, in the unit of the column.
        highest: the highest one; equal to ``lowest`` for a single value.
        source: citation.
        remark: what it is, e.g. ``measured``.
    """

    key: str
    lowest: float
    highest: float
    source: str
    remark: str


HIRTH_LOTHE = "J. P. Hirth and J. Lothe, Theory of Dislocations, 2nd ed., Wiley (1982), Appendix 1"
SIMMONS_WANG = (
    "G. Simmons and H. Wang, Single Crystal Elastic Constants and Calculated Aggregate Properties, 2nd ed., MIT Press "
    "(1971)"
)
ASHCROFT_MERMIN = "N. W. Ashcroft and N. D. Mermin, Solid State Physics (1976), as tabulated in ASE"
MURR = "L. E. Murr, Interfacial Phenomena in Metals and Alloys, Addison-Wesley (1975)"
CARTER_RAY = "C. B. Carter and I. L. F. Ray, Philosophical Magazine 35, 189 (1977)"
CARTER_HOLMES = "C. B. Carter and S. M. Holmes, Philosophical Magazine 35, 1161 (1977)"
JENKINS = "M. L. Jenkins, Philosophical Magazine 26, 747 (1972)"

_CUBIC_GPA: Mapping[Metal, tuple[float, float, float]] = {
    Metal("Al", "fcc"): (108.2, 61.3, 28.5),
    Metal("Au", "fcc"): (186.0, 157.0, 42.0),
    Metal("Cu", "fcc"): (168.4, 121.4, 75.4),
    Metal("Ni", "fcc"): (246.5, 147.3, 124.7),
    Metal("Pd", "fcc"): (227.1, 176.0, 71.7),
    Metal("Pt", "fcc"): (346.7, 250.7, 76.5),
    Metal("Fe", "bcc"): (242.0, 146.5, 112.0),
    Metal("Mo", "bcc"): (460.0, 176.0, 110.0),
    Metal("Ta", "bcc"): (267.0, 161.0, 82.5),
    Metal("W", "bcc"): (521.0, 201.0, 160.0),
}
"""C11, C12 and C44 at room temperature."""

_HEXAGONAL_GPA: Mapping[Metal, tuple[float, float, float, float, float]] = {
    Metal("Co", "hcp"): (307.1, 165.0, 102.7, 358.1, 75.5),
    Metal("Mg", "hcp"): (59.7, 26.2, 21.7, 61.7, 16.4),
    Metal("Ti", "hcp"): (162.4, 92.0, 69.0, 180.7, 46.7),
    Metal("Zr", "hcp"): (143.4, 72.8, 65.3, 164.8, 32.0),
}
"""C11, C12, C13, C33 and C44 at room temperature."""

_OTHER_ELASTIC_SOURCE = {Metal("Pd", "fcc"): SIMMONS_WANG, Metal("Pt", "fcc"): SIMMONS_WANG}

_ISF_MJ_M2: Mapping[Metal, tuple[float, str]] = {
    Metal("Cu", "fcc"): (45.0, CARTER_RAY),
    Metal("Ni", "fcc"): (125.0, CARTER_HOLMES),
    Metal("Au", "fcc"): (32.0, JENKINS),
    Metal("Al", "fcc"): (166.0, MURR),
    Metal("Pd", "fcc"): (180.0, MURR),
    Metal("Pt", "fcc"): (322.0, MURR),
}
"""Intrinsic stacking fault energies from dislocation nodes, loops and tetrahedra; 10 to 30 % is their usual error."""


def reference_values(metal: Metal) -> tuple[ReferenceValue, ...]:
    """What the literature says of a metal, in the order of the library's columns; empty for metals without data."""
    return (*_lattice(metal), *_elastic(metal), *_stacking_fault(metal), *_peierls(metal))


def _single(key: str, value: float, source: str, remark: str = "measured") -> ReferenceValue:
    return ReferenceValue(key=key, lowest=value, highest=value, source=source, remark=remark)


def _lattice(metal: Metal) -> Iterator[ReferenceValue]:
    from glideflow.crystals.lattices import reference_crystal

    if metal not in _CUBIC_GPA and metal not in _HEXAGONAL_GPA:
        return
    try:
        known = reference_crystal(metal.element, metal.structure)
    except PropertyError:
        return
    yield _single("a_angstrom", known.a_angstrom, ASHCROFT_MERMIN)
    if metal.structure == "hcp":
        yield _single("c_over_a", round(known.c_angstrom / known.a_angstrom, 4), ASHCROFT_MERMIN)


def _elastic(metal: Metal) -> Iterator[ReferenceValue]:
    source = _OTHER_ELASTIC_SOURCE.get(metal, HIRTH_LOTHE)
    cubic, hexagonal = _CUBIC_GPA.get(metal), _HEXAGONAL_GPA.get(metal)
    if cubic is not None:
        pairs = zip(("c11_gpa", "c12_gpa", "c44_gpa"), cubic, strict=True)
    elif hexagonal is not None:
        pairs = zip(("c11_gpa", "c12_gpa", "c13_gpa", "c33_gpa", "c44_gpa"), hexagonal, strict=True)
    else:
        return
    yield from (_single(key, value, source) for key, value in pairs)


def _stacking_fault(metal: Metal) -> Iterator[ReferenceValue]:
    if metal in _ISF_MJ_M2:
        yield _single("gamma_isf_mj_m2", *_ISF_MJ_M2[metal])


def _peierls(metal: Metal) -> Iterator[ReferenceValue]:
    known = published_range(metal)
    if known is not None:
        yield ReferenceValue(
            key="peierls_mpa",
            lowest=known.lowest_mpa,
            highest=known.highest_mpa,
            source=PUBLISHED_SOURCE,
            remark="computed with EAM potentials by fixed strain steps and a looser end of the minimisation",
        )
