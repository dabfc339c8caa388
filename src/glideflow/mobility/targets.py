"""Where lines were some time after a snapshot, and which segments are near: what the loss needs beside the network.

The distance from a point p to a segment from a to b is |p - a - s(b - a)| with s = (p - a)·(b - a)/|b - a|² cut to
[0, 1]: the length of the perpendicular where its foot lies inside, else the distance to the nearer end. (Equation 3 of
the mobility paper as printed measures to the first end where the foot lies inside; the perpendicular is meant.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import PropertyError
from glideflow.mobility.extraction import DislocationLine
from glideflow.mobility.graph import LineGraph
from glideflow.mobility.trajectory import LineFrame


@dataclass(frozen=True, eq=False, kw_only=True)
class NearSegments:
    """Segments near each of some points; Q points with K segments each, the nearest first.

    A point with fewer segments than another has its nearest one several times, which no minimum notices.

    Attributes:
        numbers: (Q, K) numbers of the segments.
        offsets_angstrom: (Q, K, 3) vectors from the beginning of each segment, in its nearest periodic image, to the
            point.
        vectors_angstrom: (Q, K, 3) the segments.
    """

    numbers: IntArray
    offsets_angstrom: FloatArray
    vectors_angstrom: FloatArray


@dataclass(frozen=True, eq=False, kw_only=True)
class StepTarget:
    """Lines after a step, seen from the snapshot before.

    Attributes:
        ahead: for each of the N nodes of the snapshot the near segments of the lines after the step.
        back: for each of the Q nodes of the lines after the step the near segments of the snapshot.
        observed_angstrom: (N,) displacement along the glide direction to the nearest point of the line after the step.
    """

    ahead: NearSegments
    back: NearSegments
    observed_angstrom: FloatArray


def step_target(graph: LineGraph, before: LineFrame, after: LineFrame, radius_angstrom: float) -> StepTarget:
    """What a step has to lead to.

    Lines are compared with their own continuation, in the cell before the step: the strain of the cell meanwhile is no
    motion of lines through the crystal.

    Args:
        graph: graph of the frame before.
        before: that frame.
        after: frame after the step, with the same lines in the same order.
        radius_angstrom: distance from where nodes are now within which segments count as near; the nearest one always
            does.

    Raises:
        PropertyError: the two frames do not have the same lines.
    """
    _refuse_other_lines(before.lines, after.lines)
    ahead = _by_line(before.lines, after.lines, before.cell_angstrom, radius_angstrom)
    back = _by_line(after.lines, before.lines, before.cell_angstrom, radius_angstrom)
    feet = ahead.offsets_angstrom[:, 0] - _feet(ahead)[:, 0]
    return StepTarget(ahead=ahead, back=back, observed_angstrom=-np.einsum("ni,ni->n", feet, graph.glide_directions))


def near_segments(
    points_angstrom: FloatArray, line: DislocationLine, cell_angstrom: FloatArray, radius_angstrom: float
) -> NearSegments:
    """Segments of a line that are near to points, in the periodic images that are nearest to them.

    Of each segment that image is taken whose middle is nearest to the point, and for an infinite line those one period
    before and after it.

    Args:
        points_angstrom: (Q, 3) points.
        line: an infinite or closed line.
        cell_angstrom: (3, 3) cell vectors as rows.
        radius_angstrom: largest distance.
    """
    chain = line.chain_angstrom(cell_angstrom)
    starts, vectors = chain[:-1], np.diff(chain, axis=0)
    between = (starts + 0.5 * vectors)[None] - points_angstrom[:, None]  # (Q, S, 3)
    images = np.rint(np.linalg.solve(cell_angstrom.T, between.reshape(-1, 3).T).T).reshape(between.shape)
    offsets = points_angstrom[:, None] - starts + images @ cell_angstrom
    shifts = np.array([-1, 0, 1])[:, None] * (line.period @ cell_angstrom) if line.period.any() else np.zeros((1, 3))
    offsets = (offsets[:, :, None] - shifts).reshape(len(points_angstrom), -1, 3)
    numbers = np.repeat(np.arange(len(starts)), len(shifts))
    every = NearSegments(
        numbers=np.broadcast_to(numbers, offsets.shape[:2]),
        offsets_angstrom=offsets,
        vectors_angstrom=np.broadcast_to(vectors[numbers], offsets.shape),
    )
    return _nearest(every, radius_angstrom)


def distances_angstrom(near: NearSegments) -> FloatArray:
    """(Q, K) distances from the points to their near segments."""
    return np.asarray(np.linalg.norm(near.offsets_angstrom - _feet(near), axis=2))


def line_distance_angstrom(first: LineFrame, second: LineFrame, *, radius_angstrom: float = np.inf) -> float:
    """Distance of two states of the same lines, equation 4 of the mobility paper.

    It is the mean of l(D₁, D₂) = √(Σ_i l_i²), with l_i the distance from node i of D₁ to the nearest segment of D₂, and
    of l(D₂, D₁).

    Args:
        first: lines, in the cell of which the distance is measured.
        second: the same lines, at another time.
        radius_angstrom: distance within which segments are looked at.

    Raises:
        PropertyError: the two do not have the same lines.
    """
    _refuse_other_lines(first.lines, second.lines)
    pairs = ((first.lines, second.lines), (second.lines, first.lines))
    near = [_by_line(points, lines, first.cell_angstrom, radius_angstrom) for points, lines in pairs]
    return float(np.mean([np.linalg.norm(distances_angstrom(each).min(axis=1)) for each in near]))


def padded(near: NearSegments, count: int) -> NearSegments:
    """The same with ``count`` segments for each point: the nearest one is repeated."""
    order = np.minimum(np.arange(count), near.numbers.shape[1])
    order[order == near.numbers.shape[1]] = 0
    return NearSegments(
        numbers=near.numbers[:, order],
        offsets_angstrom=near.offsets_angstrom[:, order],
        vectors_angstrom=near.vectors_angstrom[:, order],
    )


def _feet(near: NearSegments) -> FloatArray:
    """(Q, K, 3) nearest points of the segments, from their beginnings."""
    along = np.einsum("qki,qki->qk", near.offsets_angstrom, near.vectors_angstrom)
    share = np.clip(along / np.einsum("qki,qki->qk", near.vectors_angstrom, near.vectors_angstrom), 0, 1)
    return np.asarray(share[..., None] * near.vectors_angstrom)


def _nearest(every: NearSegments, radius_angstrom: float) -> NearSegments:
    """Those within the radius, sorted, at least one of each point."""
    distances = distances_angstrom(every)
    order = np.argsort(distances, axis=1, kind="stable")
    inside = np.take_along_axis(distances, order, axis=1) <= radius_angstrom
    inside[:, 0] = True
    kept = np.where(inside, order, order[:, :1])[:, : int(inside.sum(axis=1).max())]
    return NearSegments(
        numbers=np.take_along_axis(every.numbers, kept, axis=1),
        offsets_angstrom=np.take_along_axis(every.offsets_angstrom, kept[..., None], axis=1),
        vectors_angstrom=np.take_along_axis(every.vectors_angstrom, kept[..., None], axis=1),
    )


def _by_line(
    points: Sequence[DislocationLine], lines: Sequence[DislocationLine], cell_angstrom: FloatArray, radius: float
) -> NearSegments:
    """Near segments of the nodes of each line among those of the line with the same number."""
    parts = [
        near_segments(own.nodes_fractional @ cell_angstrom, other, cell_angstrom, radius)
        for own, other in zip(points, lines, strict=True)
    ]
    width = max(part.numbers.shape[1] for part in parts)
    firsts = np.cumsum([0, *(len(line.nodes_fractional) for line in lines)])
    same = [padded(part, width) for part in parts]
    return NearSegments(
        numbers=np.concatenate([part.numbers + first for part, first in zip(same, firsts, strict=False)]),
        offsets_angstrom=np.concatenate([part.offsets_angstrom for part in same]),
        vectors_angstrom=np.concatenate([part.vectors_angstrom for part in same]),
    )


def _refuse_other_lines(before: Sequence[DislocationLine], after: Sequence[DislocationLine]) -> None:
    kinds = [[(line.topology, *line.period.tolist()) for line in lines] for lines in (before, after)]
    if kinds[0] != kinds[1] or not kinds[0]:
        raise PropertyError(
            f"{len(before)} lines before and {len(after)} after a step, which are not the same",
            expected="the same lines in the same order",
            next_step="leave the step out: lines broke, merged or vanished in it",
        )
