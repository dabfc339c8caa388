"""From the configuration to the potentials of a run: sources in order, the first holder of an id wins, then filters."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from glideflow.config.potentials import PotentialSelection, PotentialsSettings
from glideflow.errors import ConfigurationError
from glideflow.potentials.calculator import with_factory
from glideflow.potentials.identifiers import did_you_mean
from glideflow.potentials.listing import Skipped
from glideflow.potentials.record import Potential, file_sha256
from glideflow.potentials.sources import load_sources

MAX_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Everything that the sources of a configuration hold.

    Attributes:
        potentials: usable potentials by id, in the order of the sources and then of the ids.
        skipped: entries that cannot be used, with the reason.
        names: the sources in words.
    """

    potentials: Mapping[str, Potential]
    skipped: tuple[Skipped, ...]
    names: tuple[str, ...]


def load_catalogue(settings: PotentialsSettings, base: Path) -> Catalogue:
    """Read every source; of potentials with the same id, the first is kept.

    Args:
        settings: section ``potentials`` of the configuration.
        base: folder to which relative paths of sources refer.

    Raises:
        PotentialError: a source cannot be read.
        DependencyError: a source needs a package that is not installed.
        ConfigurationError: there is no source.
    """
    if not settings.sources:
        raise ConfigurationError(
            "potentials.sources is empty",
            expected="at least one source",
            next_step="leave the key out to use the potentials that ship with LAMMPS",
        )
    listings = load_sources(settings.sources, base)
    potentials: dict[str, Potential] = {}
    for listing in listings:
        for potential in sorted(listing.potentials, key=lambda entry: entry.id):
            potentials.setdefault(potential.id, potential)
    return Catalogue(
        potentials=potentials,
        skipped=tuple(entry for listing in listings for entry in listing.skipped),
        names=tuple(listing.name for listing in listings),
    )


def resolve(settings: PotentialsSettings, base: Path) -> tuple[Potential, ...]:
    """The potentials of a run, in the order of the sources and then of the ids; files exist and have digests.

    Args:
        settings: section ``potentials`` of the configuration.
        base: folder to which relative paths of sources refer.

    Raises:
        ConfigurationError: an id is unknown, or nothing is selected; the message says which filter left how many out.
        PotentialError: a source cannot be read, or a file of a selected potential is missing.
        DependencyError: a source needs a package that is not installed.
    """
    catalogue = load_catalogue(settings, base)
    selected = select(catalogue, settings.select)
    if not selected:
        raise _nothing_selected(catalogue, settings.select)
    return tuple(with_digests(potential) for potential in selected)


def find(settings: PotentialsSettings, base: Path, potential_id: str) -> Potential:
    """One potential of the sources by its id, whatever the selection says; files exist and have digests.

    Raises:
        ConfigurationError: no source holds the id, or its source has retracted the potential and the selection does
            not ask for retracted ones.
        PotentialError: a source cannot be read, or a file is missing.
        DependencyError: a source needs a package that is not installed.
    """
    alone = PotentialSelection(ids=(potential_id,), source_statuses=settings.select.source_statuses)
    (potential,) = select(load_catalogue(settings, base), alone)
    return with_digests(potential)


def select(catalogue: Catalogue, selection: PotentialSelection) -> tuple[Potential, ...]:
    """Apply a selection; an empty result is not an error here.

    Raises:
        ConfigurationError: an id to include or exclude is unknown, or names a retracted potential.
    """
    _refuse_unknown((*selection.ids, *selection.exclude), catalogue)
    if selection.ids:
        asked = frozenset(selection.ids)
        chosen = [potential for potential in catalogue.potentials.values() if potential.id in asked]
        _refuse_retracted(chosen, selection)
        return tuple(chosen)
    *_, (_, chosen) = _stages(catalogue, selection)
    return tuple(chosen)


def with_digests(potential: Potential) -> Potential:
    """The potential with a digest for every file, that of its content where its source gives none, and for its code.

    Raises:
        PotentialError: a file is missing or cannot be read, or the module of a calculator cannot be found.
    """
    files = tuple(
        file if file.sha256 and file.path.is_file() else replace(file, sha256=file_sha256(file.path))
        for file in potential.files
    )
    return with_factory(replace(potential, files=files))


def _stages(catalogue: Catalogue, selection: PotentialSelection) -> Iterator[tuple[str, list[Potential]]]:
    """What is left after each filter, by the filter's key in the configuration; the first stage is everything."""
    chosen = list(catalogue.potentials.values())
    yield "", chosen
    for name, passes in _filters(selection).items():
        chosen = [potential for potential in chosen if passes(potential)]
        yield name, chosen
    if selection.families == "primary":
        chosen = _one_per_family(chosen)
        yield "families", chosen
    if selection.limit_per_element:
        yield "limit_per_element", _at_most_per_element(chosen, selection.limit_per_element)


def _filters(selection: PotentialSelection) -> Mapping[str, Callable[[Potential], bool]]:
    styles, excluded = set(selection.pair_styles), frozenset(selection.exclude)
    return {
        "exclude": lambda potential: potential.id not in excluded,
        "elements": lambda potential: not selection.elements or potential.element in selection.elements,
        "structures": lambda potential: not selection.structures or potential.structure in selection.structures,
        "engines": lambda potential: not selection.engines or potential.engine in selection.engines,
        # A hybrid style passes by its own name and by those of its parts.
        "pair_styles": lambda potential: not styles or not styles.isdisjoint(potential.pair_style.split()),
        "source_statuses": lambda potential: potential.source_status in selection.source_statuses,
        "fictional": lambda potential: selection.fictional or not potential.fictional,
    }


def _one_per_family(potentials: Iterable[Potential]) -> list[Potential]:
    """The first of each family that stands for it, else the first; those without a family stay."""
    chosen = list(potentials)
    kept: dict[tuple[str, str], str] = {}
    for potential in sorted(chosen, key=lambda entry: not entry.family_primary):  # stable: order within each kind stays
        kept.setdefault((potential.element, potential.family or f"id {potential.id}"), potential.id)
    ids = set(kept.values())
    return [potential for potential in chosen if potential.id in ids]


def _at_most_per_element(potentials: Iterable[Potential], limit: int) -> list[Potential]:
    counts: Counter[str] = Counter()
    chosen = []
    for potential in potentials:
        counts[potential.element] += 1
        if counts[potential.element] <= limit:
            chosen.append(potential)
    return chosen


def _refuse_unknown(ids: Iterable[str], catalogue: Catalogue) -> None:
    unknown = [name for name in dict.fromkeys(ids) if name not in catalogue.potentials]
    if not unknown:
        return
    reasons = {entry.id: entry.reason for entry in catalogue.skipped}
    blocks = []
    for name in unknown[:MAX_SHOWN]:
        close = did_you_mean(name, catalogue.potentials)
        entry = name.partition(":")[0]  # one entry of a manifest may stand for several metals
        hint = reasons.get(name) or reasons.get(entry) or (f"did you mean {close}?" if close else "")
        blocks.append(f"{name!r:.200}" + (f" ({hint})" if hint else ""))
    more = f", and {len(unknown) - MAX_SHOWN} more" if len(unknown) > MAX_SHOWN else ""
    raise ConfigurationError(
        f"no usable potential has the id {', '.join(blocks)}{more}",
        expected=f"ids of {'; '.join(catalogue.names)}",
        next_step="`glideflow potentials list` shows all of them",
    )


def _refuse_retracted(potentials: Iterable[Potential], selection: PotentialSelection) -> None:
    retracted = [potential.id for potential in potentials if potential.source_status == "retracted"]
    if retracted and "retracted" not in selection.source_statuses:
        raise ConfigurationError(
            f"its source has retracted {', '.join(retracted[:MAX_SHOWN])}",
            expected="potentials that their source upholds",
            next_step="choose another one; or, to use it nevertheless, add retracted to select.source_statuses",
        )


def _nothing_selected(catalogue: Catalogue, selection: PotentialSelection) -> ConfigurationError:
    counts = [(name, len(chosen)) for name, chosen in _stages(catalogue, selection)]
    lines = [f"  {'; '.join(catalogue.names)}: {counts[0][1]} usable, {len(catalogue.skipped)} not"]
    for (_, before), (name, after) in itertools.pairwise(counts):
        if after < before:
            lines.append(f"  select.{name} = {getattr(selection, name)!r:.200} leaves out {before - after}")
    return ConfigurationError(
        "the selection leaves no potential:\n" + "\n".join(lines),
        expected="at least one potential",
        next_step="widen the filter that leaves out the most; `glideflow potentials list` shows what there is",
    )
