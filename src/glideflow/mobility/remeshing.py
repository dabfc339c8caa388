"""Nodes along dislocation lines that move: long segments are split and short ones merged, as the line's shape asks.

A chord of the length l of a line with the curvature κ lies κl²/8 inside of it. New nodes are put there, on the line and
not on the chord, so that neither area nor length of a smooth line drifts with the number of times that it is divided.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from glideflow.crystals.lattices import FloatArray
from glideflow.errors import PropertyError
from glideflow.mobility.extraction import FEWEST_NODES, DislocationLine, Topology

FEWEST: Final[dict[Topology, int]] = {**FEWEST_NODES, "closed": 12}
"""Nodes below which a line gets no fewer: a loop of less than a dozen is no circle any more."""
SMALLEST_RATIO: Final = 2.0
"""Longest over shortest segment: below, the halves of a split segment would be merged again."""
_MOST_SPLITS: Final = 10_000


def remeshed(
    line: DislocationLine, cell_angstrom: FloatArray, *, shortest_angstrom: float, longest_angstrom: float
) -> DislocationLine:
    """The line with segments neither too short nor too long; its topology, sense and period are kept.

    The shortest segment is replaced by one node until none is too short or the line has its fewest nodes
    (`FEWEST`), then the longest one is split in two until none is too long.

    Args:
        line: an infinite or closed line.
        cell_angstrom: (3, 3) cell vectors as rows.
        shortest_angstrom: length below which a segment is merged.
        longest_angstrom: length above which a segment is split, at least twice the shortest.

    Raises:
        PropertyError: the line is open, or the two lengths do not fit.
    """
    _refuse(line, shortest_angstrom, longest_angstrom)
    nodes, period = line.nodes_fractional @ cell_angstrom, line.period @ cell_angstrom
    nodes = _merged(nodes, period, shortest_angstrom, FEWEST[line.topology])
    nodes = _split(nodes, period, longest_angstrom)
    return replace(line, nodes_fractional=np.asarray(np.linalg.solve(cell_angstrom.T, nodes.T).T))


def _refuse(line: DislocationLine, shortest: float, longest: float) -> None:
    if line.topology == "open":
        raise PropertyError("an open line was to be divided anew", expected="an infinite or closed line")
    if not 0 <= SMALLEST_RATIO * shortest <= longest:
        raise PropertyError(
            f"segments between {shortest:g} and {longest:g} Å",
            expected=f"a longest segment of at least {SMALLEST_RATIO:g} times the shortest one",
            next_step="else the halves of a segment that is split would be merged again",
        )


def _merged(nodes: FloatArray, period: FloatArray, shortest: float, fewest: int) -> FloatArray:
    while len(nodes) > fewest:
        lengths = _lengths(nodes, period)
        first = int(np.argmin(lengths))
        if lengths[first] >= shortest:
            break
        middle = _lifted_middle(nodes, period, first)
        if first == len(nodes) - 1:
            # The segment that closes the line: its node takes the place of the last one.
            nodes = np.vstack([nodes[1:-1], middle])
        else:
            nodes = np.vstack([nodes[:first], middle, nodes[first + 2 :]])
    return nodes


def _split(nodes: FloatArray, period: FloatArray, longest: float) -> FloatArray:
    for _ in range(_MOST_SPLITS):
        lengths = _lengths(nodes, period)
        first = int(np.argmax(lengths))
        if lengths[first] <= longest:
            return nodes
        nodes = np.insert(nodes, first + 1, _lifted_middle(nodes, period, first), axis=0)
    raise PropertyError(
        f"a line of {lengths.sum():.3g} Å that is to be divided into segments of {longest:.3g} Å",
        expected=f"at most {_MOST_SPLITS} splits",
        next_step="take longer segments",
    )


def _lengths(nodes: FloatArray, period: FloatArray) -> FloatArray:
    """(M,) lengths of the segments that begin at the nodes."""
    return np.asarray(np.linalg.norm(np.diff(np.vstack([nodes, nodes[:1] + period]), axis=0), axis=1))


def _lifted_middle(nodes: FloatArray, period: FloatArray, first: int) -> FloatArray:
    """(3,) the middle of the arc of which a segment is the chord."""
    before, start, end, after = (_node(nodes, period, first + step) for step in (-1, 0, 1, 2))
    curvature = 0.5 * (_curvature(before, start, end) + _curvature(start, end, after))
    length = float(np.linalg.norm(end - start))
    lift = -curvature * length**2 / 8
    # A kink is no arc: the new node stays within a quarter of the segment from its chord.
    height = float(np.linalg.norm(lift))
    return np.asarray(0.5 * (start + end) + lift * min(1.0, 0.25 * length / max(height, 1e-300)))


def _node(nodes: FloatArray, period: FloatArray, number: int) -> FloatArray:
    """(3,) node of the line continued through all periods."""
    periods, own = divmod(number, len(nodes))
    return np.asarray(nodes[own] + periods * period)


def _curvature(before: FloatArray, node: FloatArray, after: FloatArray) -> FloatArray:
    """(3,) curvature vector dt/ds at a node, from its two segments."""
    incoming, outgoing = node - before, after - node
    lengths = np.linalg.norm(incoming), np.linalg.norm(outgoing)
    if min(lengths) == 0:
        return np.zeros(3)
    return np.asarray((outgoing / lengths[1] - incoming / lengths[0]) / (0.5 * (lengths[0] + lengths[1])))
