"""Whether the lines of a frame are those that should be there, and what became of them if not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from glideflow.mobility.extraction import DislocationLine, has_burgers

if TYPE_CHECKING:
    from glideflow.config.mobility_dynamics import MobilityDynamicsSettings
    from glideflow.crystals.lattices import FloatArray
    from glideflow.mobility.cells import CellKind

Ending = Literal["", "annihilated", "vanished", "broken", "merged", "gap_closed", "lost_atoms"]
"""What ends a trajectory before its time; empty: nothing."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Judgement:
    """What the lines of a frame are.

    Attributes:
        status: empty where they are those that should be there.
        reason: what was found instead, as one sentence.
        lines: the lines of the dipole or the loop, in no order; empty if they are not there.
        debris_angstrom: length of all other closed lines.
    """

    status: Ending = ""
    reason: str = ""
    lines: tuple[DislocationLine, ...] = ()
    debris_angstrom: float = 0.0


def judge(
    found: Sequence[DislocationLine],
    cell_angstrom: FloatArray,
    burgers_angstrom: FloatArray,
    kind: CellKind,
    settings: MobilityDynamicsSettings,
) -> Judgement:
    """Pick the lines of a dipole or a loop out of all that were found.

    Args:
        found: lines in canonical sense, longest first.
        cell_angstrom: (3, 3) cell vectors as rows.
        burgers_angstrom: (3,) Burgers vector of the dipole or the loop.
        kind: which of them it is.
        settings: how long a loop must be to count.
    """
    broken = [line for line in found if line.topology == "open"]
    if broken:
        return Judgement(status="broken", reason=f"{len(broken)} lines end inside the crystal or at a junction")
    if kind == "dipole":
        return _dipole(found, cell_angstrom, burgers_angstrom)
    return _loop(found, cell_angstrom, burgers_angstrom, settings.shortest_loop_angstrom)


def judge_motion(
    first: Sequence[DislocationLine],
    lines: Sequence[DislocationLine],
    kind: CellKind,
    settings: MobilityDynamicsSettings,
) -> Judgement:
    """Whether lines that are there have come too close to each other, or to their periodic images.

    Args:
        first: the lines at time zero, followed from there to ``lines``.
        lines: the lines now.
        kind: whether they are a dipole or a loop.
        settings: what is too close.
    """
    if kind == "loop":
        extent = float(np.ptp(lines[0].nodes_fractional, axis=0)[:2].max())
        if extent > settings.largest_extent:
            return Judgement(status="merged", reason=f"the loop extends over {100 * extent:.0f} % of the cell")
        return Judgement()
    gap, first_gap = _gap(lines), _gap(first)
    if gap < settings.smallest_gap * first_gap:
        share = 100 * gap / first_gap
        return Judgement(status="gap_closed", reason=f"the glide planes have come to {share:.0f} % of their distance")
    return Judgement()


def _dipole(found: Sequence[DislocationLine], cell_angstrom: FloatArray, burgers_angstrom: FloatArray) -> Judgement:
    infinite = [line for line in found if line.topology == "infinite"]
    debris = sum(line.length_angstrom(cell_angstrom) for line in found if line.topology == "closed")
    if not infinite:
        return Judgement(status="annihilated", reason="no line runs through the cell any more", debris_angstrom=debris)
    expected = len(infinite) == 2 and all(has_burgers(line, burgers_angstrom) for line in infinite)
    if not expected or sorted(line.period.tolist() for line in infinite) != [[0, -1, 0], [0, 1, 0]]:
        seen = ", ".join(f"{line.period.tolist()} with b = {_numbers(line.burgers_angstrom)} Å" for line in infinite)
        return Judgement(status="broken", reason=f"not a dipole: lines along {seen}", debris_angstrom=debris)
    return Judgement(lines=tuple(infinite), debris_angstrom=debris)


def _loop(
    found: Sequence[DislocationLine], cell_angstrom: FloatArray, burgers_angstrom: FloatArray, shortest: float
) -> Judgement:
    closed = [line for line in found if line.topology == "closed"]
    lengths = [line.length_angstrom(cell_angstrom) for line in closed]
    if len(closed) < len(found):
        return Judgement(status="merged", reason="lines run through the cell: the loop has met its periodic images")
    if not closed or max(lengths) < shortest:
        return Judgement(
            status="vanished", reason=f"no loop is longer than {shortest:g} Å", debris_angstrom=sum(lengths)
        )
    longest = int(np.argmax(lengths))
    if not has_burgers(closed[longest], burgers_angstrom):
        burgers = _numbers(closed[longest].burgers_angstrom)
        return Judgement(status="broken", reason=f"the longest loop has b = {burgers} Å", debris_angstrom=sum(lengths))
    return Judgement(lines=(closed[longest],), debris_angstrom=sum(lengths) - lengths[longest])


def _gap(lines: Sequence[DislocationLine]) -> float:
    """Distance of the glide planes of a dipole as a share of the period, across whichever side is nearer."""
    apart = lines[0].centre_fractional()[2] - lines[1].centre_fractional()[2]
    return float(abs(apart - np.rint(apart)))


def _numbers(vector: FloatArray) -> str:
    return f"({', '.join(f'{value:.2f}' for value in vector)})"
