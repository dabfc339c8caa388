"""The loss of the mobility paper: how far predicted lines are from those that molecular dynamics found.

With node i of one state of the lines at the distance l_i from the other state (`glideflow.mobility.targets`), the
distance of the states is l(D₁, D₂) = √(Σ_i l_i²); the loss is the mean over snapshots of that from predicted to true
lines and that from true to predicted ones (equations 3 to 5 of Tian et al. 2024; the paper sums over snapshots).

Nodes move along their glide directions: with displacements w_i the squared distances are polynomials of w, whose
coefficients are scalar products of vectors known before. What is left for every member, node and near segment is a
dozen multiplications of numbers, without vectors. This module imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.mobility.graph import LineGraph
from glideflow.mobility.targets import NearSegments, StepTarget, padded


@dataclass(frozen=True, eq=False, kw_only=True)
class LossTensors:
    """Scalar products of a batch of steps; N nodes before, Q after, S snapshots, K near segments.

    d is the vector from the beginning of a segment to a point and u the segment; g are glide directions: of the point,
    or of beginning (a) and end (b) of the segment.

    Attributes:
        ahead: (5, N, K) d·d, d·u, u·u, g·d, g·u for nodes before and segments after the step, which stay.
        back: (8, Q, K) d·d, d·u, u·u, d·g_a, d·g_b, u·g_a, u·g_b, g_a·g_b for nodes after and segments before the step,
            both of whose ends move.
        begins: (Q, K) node at which the segment begins.
        ends: (Q, K) node at which it ends.
        snapshots: (N,) snapshot of each node before.
        target_snapshots: (Q,) snapshot of each node after.
        count: S.
    """

    ahead: Tensor
    back: Tensor
    begins: Tensor
    ends: Tensor
    snapshots: Tensor
    target_snapshots: Tensor
    count: int


def loss_tensors(
    graph: LineGraph,
    targets: Sequence[StepTarget],
    *,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    near: tuple[int, int] = (1, 1),
) -> LossTensors:
    """What the loss needs of a batch.

    Args:
        graph: graph of all snapshots.
        targets: one for each of them, in their order.
        dtype: of the numbers.
        device: where they go.
        near: least numbers of near segments, ahead and back, so that batches that are joined later have the same.
    """
    ahead = _together([target.ahead for target in targets], np.zeros(len(targets), dtype=np.int64), near[0])
    back = _together([target.back for target in targets], graph.node_offsets[:-1], near[1])
    ends = graph.next_nodes[back.numbers]
    sizes = [len(target.back.numbers) for target in targets]

    def tensor(products: FloatArray) -> Tensor:
        return torch.from_numpy(products).to(device=device, dtype=dtype)

    return LossTensors(
        ahead=tensor(_products_ahead(ahead, graph.glide_directions)),
        back=tensor(_products_back(back, graph.glide_directions[back.numbers], graph.glide_directions[ends])),
        begins=torch.from_numpy(back.numbers).to(device),
        ends=torch.from_numpy(ends).to(device),
        snapshots=torch.from_numpy(graph.snapshots).to(device),
        target_snapshots=torch.from_numpy(np.repeat(np.arange(len(targets)), sizes)).to(device),
        count=len(targets),
    )


def line_losses(displacements: Tensor, batch: LossTensors) -> Tensor:
    """(M, S) distance of predicted and true lines for each member and snapshot in Å, equation 4.

    Args:
        displacements: (M, N) displacements along the glide directions in Å.
        batch: the scalar products.
    """
    there = _root_of_sums(_squares_ahead(displacements, batch), batch.snapshots, batch.count)
    return 0.5 * (there + _root_of_sums(_squares_back(displacements, batch), batch.target_snapshots, batch.count))


def node_distances(displacements: Tensor, batch: LossTensors) -> tuple[Tensor, Tensor]:
    """(M, N) distances of predicted nodes from the true lines, (M, Q) those of true nodes from the predicted lines."""
    return _squares_ahead(displacements, batch).sqrt(), _squares_back(displacements, batch).sqrt()


def _squares_ahead(displacements: Tensor, batch: LossTensors) -> Tensor:
    """(M, N) squared distances of the moved nodes from the segments after the step."""
    dd, du, uu, gd, gu = batch.ahead
    w = displacements.unsqueeze(2)  # (M, N, 1)
    return _least_square(dd + w * (2 * gd + w), du + w * gu, uu)


def _squares_back(displacements: Tensor, batch: LossTensors) -> Tensor:
    """(M, Q) squared distances of the nodes after the step from the moved segments."""
    dd, du, uu, da, db, ua, ub, ab = batch.back
    shape = (len(displacements), *batch.begins.shape)
    a = displacements.index_select(1, batch.begins.flatten()).view(shape)
    b = displacements.index_select(1, batch.ends.flatten()).view(shape)
    # d - a g_a and u + b g_b - a g_a are what becomes of d and u.
    squared = dd - 2 * a * da + a * a
    product = du + b * db - a * (da + ua) + a * (a - b * ab)
    length = uu + 2 * (b * ub - a * ua) + a * a + b * b - 2 * a * b * ab
    return _least_square(squared, product, length)


def _least_square(squared: Tensor, product: Tensor, length: Tensor) -> Tensor:
    """Least squared distance to a segment over the last axis, from d·d, d·u and u·u."""
    share = (product / length.clamp(min=1e-12)).clamp(0, 1)
    return (squared + share * (share * length - 2 * product)).amin(dim=-1).clamp(min=0)


def _root_of_sums(squares: Tensor, snapshots: Tensor, count: int) -> Tensor:
    """(M, S) roots of sums over the nodes of a snapshot, whose gradient at zero is zero."""
    sums = squares.new_zeros((len(squares), count)).index_add(1, snapshots, squares)
    none = sums == 0  # and not: where it is positive, which would make zero of what is not a number
    return torch.where(none, 0.0, torch.where(none, 1.0, sums).sqrt())


def _together(parts: Sequence[NearSegments], firsts: IntArray, least: int) -> NearSegments:
    width = max(least, *(part.numbers.shape[1] for part in parts))
    same = [padded(part, width) for part in parts]
    return NearSegments(
        numbers=np.concatenate([part.numbers + int(first) for part, first in zip(same, firsts, strict=True)]),
        offsets_angstrom=np.concatenate([part.offsets_angstrom for part in same]),
        vectors_angstrom=np.concatenate([part.vectors_angstrom for part in same]),
    )


def _dot(first: FloatArray, second: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("...i,...i->...", first, second))


def _products_ahead(near: NearSegments, glide: FloatArray) -> FloatArray:
    d, u, g = near.offsets_angstrom, near.vectors_angstrom, glide[:, None]
    return np.stack([_dot(d, d), _dot(d, u), _dot(u, u), _dot(g, d), _dot(g, u)])


def _products_back(near: NearSegments, begins: FloatArray, ends: FloatArray) -> FloatArray:
    d, u = near.offsets_angstrom, near.vectors_angstrom
    pairs = ((d, d), (d, u), (u, u), (d, begins), (d, ends), (u, begins), (u, ends), (begins, ends))
    return np.stack([_dot(first, second) for first, second in pairs])
