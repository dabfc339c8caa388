"""What a report says of itself: what was computed, and the limits of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from statistics import median

from glideflow.properties.results import ElasticResult, GammaSurfaceResult, PeierlsStressResult
from glideflow.records import Library
from glideflow.reporting.collection import PROPERTY_NAMES, STRUCTURE_ORDER, by_metal, computed, samples
from glideflow.reporting.labels import significant
from glideflow.reporting.statistics import FEW

_TIERS = {
    "quick": "Quick tier: a small set that shows the machinery on a small machine. It is no survey of potentials.",
    "medium": "Medium tier: a survey on a workstation, in cells smaller than those of the literature.",
    "paper": "Paper tier: the cell sizes of the publications, on a cluster.",
}


def scope(library: Library) -> str:
    """One sentence: how many potentials of which metals, and which properties."""
    metals = by_metal(samples(library))
    by_structure = [
        f"{structure} {', '.join(metal.element for metal in metals if metal.structure == structure)}"
        for structure in STRUCTURE_ORDER
        if any(metal.structure == structure for metal in metals)
    ]
    properties = list(dict.fromkeys(stage.property for entry in library.entries for stage in entry.stages))
    names = [PROPERTY_NAMES.get(name, name) for name in properties]
    count = len(library.entries)
    return (
        f"{count} interatomic potential{'' if count == 1 else 's'} of {len(metals)} "
        f"metal{'' if len(metals) == 1 else 's'} ({'; '.join(by_structure) or 'none'}). "
        f"Computed: {'; '.join(names) or 'nothing'}."
    )


def status_counts(library: Library) -> dict[str, int]:
    """Number of potentials by status, ``ok``, ``partial`` and ``failed`` in this order."""
    counts = Counter(entry.status for entry in library.entries)
    return {status: counts[status] for status in ("ok", "partial", "failed")}


def limits(library: Library, missing_place: str = "under Failures") -> tuple[str, ...]:
    """What a reader must know before using the numbers; ``missing_place`` says where missing results are named."""
    found = [_TIERS[library.name]] if library.name in _TIERS else []
    return (
        *found,
        *_about_missing(library, missing_place),
        *_about_sets(library),
        *_about_peierls(library),
        *_about_errors(library),
        *_about_settings(library),
        _ABOUT_METHOD,
    )


_ROUNDING = 1e-6
"""Of GPa and of percent: below, nothing but the rounding of floating-point numbers."""
_ABOUT_METHOD = (
    "All values are static, at 0 K and zero pressure, for straight dislocations and perfect crystals. A potential "
    "that fits one property may fail for another: a wide dispersion is a result about potentials, not about metals."
)


def _about_missing(library: Library, place: str) -> tuple[str, ...]:
    if not library.missing:
        return ()
    count = len(library.missing)
    return (
        f"{count} result{' is' if count == 1 else 's are'} missing, because no readable file of "
        f"{'it' if count == 1 else 'them'} was left; up to {library.accept_missing_percent:g} % were accepted. They "
        f"are named {place}.",
    )


def _about_sets(library: Library) -> tuple[str, ...]:
    metals = by_metal(samples(library))
    small = [metal.label for metal, group in metals.items() if len(group) < FEW]
    if not small:
        return ()
    names = "every metal" if len(small) == len(metals) else ", ".join(small)
    return (f"Fewer than {FEW} potentials of {names}: standard deviations of so few values are rough.",)


def _about_peierls(library: Library) -> tuple[str, ...]:
    results = [each.result for each in computed(library, PeierlsStressResult)]
    if not results:
        return ()
    lengths = _span([result.burgers_vectors for result in results], "b")
    heights = _span([round(result.height_angstrom) for result in results], "Å")
    return (
        f"Peierls stresses belong to finite cells, here {lengths} long and {heights} high with rigid blocks at top and "
        "bottom. They are not converged with the size of the cell: compare potentials at equal cells only. Their error "
        "bars hold the search for the stress and the difference between loading directions, not the effect of the "
        "cell.",
    )


def _about_errors(library: Library) -> tuple[str, ...]:
    """How far elastic constants and γ can be off, where tables print them without an error."""
    return (*_about_elastic(library), *_about_gamma(library))


def _about_elastic(library: Library) -> tuple[str, ...]:
    results = [each.result for each in computed(library, ElasticResult)]
    if not results:
        return ()
    asymmetry, dependence = (
        _median_and_largest(errors, unit)
        for errors, unit in (
            ([result.fit_residual_gpa for result in results], "GPa"),
            ([100 * result.strain_dependence for result in results], "%"),
        )
    )
    return (
        f"Elastic constants depart from the symmetry of the crystal by {asymmetry}, and differ between strain "
        f"amplitudes by {dependence}: median of all potentials, and the largest.",
    )


def _about_gamma(library: Library) -> tuple[str, ...]:
    settings = [json.loads(each.stage.provenance.settings_json) for each in computed(library, GammaSurfaceResult)]
    accepted = [float(each["accepted_error_mj_m2"]) for each in settings if "accepted_error_mj_m2" in each]
    if not accepted:
        return ()
    return (f"Points of γ are relaxed until less than {max(accepted):g} mJ/m² is left to gain.",)


def _median_and_largest(errors: Sequence[float], unit: str) -> str:
    middle, largest = (significant(error, 1) if error >= _ROUNDING else "0" for error in (median(errors), max(errors)))
    return f"{middle} and {largest} {unit}"


def _about_settings(library: Library) -> tuple[str, ...]:
    digests: dict[str, set[str]] = {}
    for entry in library.entries:
        for stage in entry.stages:
            digests.setdefault(stage.property, set()).add(stage.provenance.settings_sha256)
    mixed = sorted(PROPERTY_NAMES.get(name, name) for name, found in digests.items() if len(found) > 1)
    if not mixed:
        return ()
    return (f"The settings of {', '.join(mixed)} are not the same for all potentials; see the provenance.",)


def _span(values: Sequence[int], unit: str) -> str:
    lowest, highest = min(values), max(values)
    return f"{lowest} {unit}" if lowest == highest else f"{lowest} to {highest} {unit}"


def settings_by_property(library: Library) -> tuple[tuple[str, str, int], ...]:
    """Settings that results were computed with: property, JSON text, number of records; the most frequent first."""
    counts = Counter(
        (stage.property, stage.provenance.settings_json) for entry in library.entries for stage in entry.stages
    )
    ordered = sorted(counts.items(), key=lambda pair: (pair[0][0], -pair[1], pair[0][1]))
    return tuple(
        (PROPERTY_NAMES.get(name, name), json.dumps(json.loads(text), indent=2), count)
        for (name, text), count in ordered
    )
