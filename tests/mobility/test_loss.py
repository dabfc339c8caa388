from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glideflow.config.mobility_network import MobilityFeatureSettings
from glideflow.errors import PropertyError
from glideflow.mobility.extraction import DislocationLine
from glideflow.mobility.graph import LineGraph, batched, line_graph
from glideflow.mobility.targets import (
    StepTarget,
    distances_angstrom,
    line_distance_angstrom,
    near_segments,
    step_target,
)
from glideflow.mobility.trajectory import LineFrame

torch = pytest.importorskip("torch")
loss = pytest.importorskip("glideflow.mobility.loss")

CELL = np.array([[60.0, 0.0, 0.0], [5.0, 40.0, 0.0], [-8.0, 3.0, 100.0]])
BURGERS = np.array([2.4, 0.6, 0.0])


def straight(nodes: int, x: float = 0.3, shift: float = 0.0, image: tuple[int, int, int] = (0, 0, 0)) -> LineFrame:
    """Two straight lines in opposite senses, displaced along x and described in any periodic image."""
    lines = []
    for sense, at, z in ((1, x, 0.2), (-1, x + 0.4, 0.7)):
        along = sense * (np.arange(nodes) + shift) / nodes
        points = np.column_stack([np.full(nodes, at), along, np.full(nodes, z)]) + image
        lines.append(line(points, sense))
    return frame_of(*lines)


def line(points: np.ndarray, sense: int) -> DislocationLine:
    return DislocationLine(
        nodes_fractional=points,
        period=np.array([0, sense, 0]),
        burgers_angstrom=BURGERS,
        topology="infinite" if sense else "closed",
    )


def frame_of(*lines: DislocationLine) -> LineFrame:
    return LineFrame(time_ps=0.0, cell_angstrom=CELL, stress_mpa=np.zeros((3, 3)), temperature_k=300.0, lines=lines)


def wavy(seed: int, nodes: int) -> LineFrame:
    random = np.random.default_rng(seed)
    lines = []
    for each, sense in zip(straight(nodes).lines, (1, -1), strict=True):
        lines.append(line(each.nodes_fractional + random.normal(0, 0.03, (nodes, 3)) * [1, 0.3, 0.02], sense))
    return frame_of(*lines)


def graph_of(frame: LineFrame) -> LineGraph:
    return line_graph(frame, np.zeros((3, 3)), 300.0, MobilityFeatureSettings(images=1))


def losses(
    graph: LineGraph, targets: list[StepTarget], displacements: np.ndarray, *, dtype: type = np.float64
) -> np.ndarray:
    tensor = torch.from_numpy(np.atleast_2d(displacements).astype(dtype))
    return loss.line_losses(tensor, loss.loss_tensors(graph, targets, dtype=tensor.dtype)).numpy()


def test_lines_are_no_distance_from_themselves_however_they_are_divided() -> None:
    before = straight(3)
    graph = graph_of(before)
    for after in (before, straight(5), straight(4, shift=0.37), straight(3, image=(2, -1, 1))):
        assert line_distance_angstrom(before, after) < 1e-10
        found = losses(graph, [step_target(graph, before, after, 60.0)], np.zeros(6))
        assert found.max() < 1e-6


def test_gradient_is_zero_and_not_infinite_where_the_loss_is_zero() -> None:
    before = straight(3)
    graph = graph_of(before)
    batch = loss.loss_tensors(graph, [step_target(graph, before, before, 60.0)], dtype=torch.float64)
    displacements = torch.zeros((1, 6), dtype=torch.float64, requires_grad=True)
    loss.line_losses(displacements, batch).sum().backward()
    assert torch.isfinite(displacements.grad).all()


def test_straight_lines_apart_by_a_known_distance() -> None:
    before, after = straight(4, x=0.3), straight(3, x=0.35)
    graph = graph_of(before)
    target = step_target(graph, before, after, 60.0)
    # Both lines have moved by 0.05 periods along x; between parallel lines that is less by the sine of their angle.
    apart = 0.05 * 60.0 * CELL[1, 1] / np.linalg.norm(CELL[1])
    expected = 0.5 * apart * (np.sqrt(8) + np.sqrt(6))
    assert line_distance_angstrom(before, after) == pytest.approx(expected, rel=1e-12)
    assert losses(graph, [target], np.zeros(8))[0, 0] == pytest.approx(expected, rel=1e-12)
    # +x is against m = n × t for the line along +y, along it for the other one.
    np.testing.assert_allclose(target.observed_angstrom, [-apart] * 4 + [apart] * 4, rtol=1e-9)
    assert losses(graph, [target], target.observed_angstrom).max() < 1e-6


def test_the_perpendicular_counts_where_its_foot_lies_inside() -> None:
    """The case in which equation 3 as printed measures to the end of the segment instead."""
    chain = line(np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.0]]), 1)
    square = 40.0 * np.eye(3)
    inside, beyond = np.array([[3.0, 7.0, 0.0]]), np.array([[3.0, 20.0, 4.0]])
    assert distances_angstrom(near_segments(inside, chain, square, 100.0))[0, 0] == pytest.approx(3.0)
    closed = dataclasses.replace(chain, period=np.zeros(3, dtype=int), topology="closed")
    assert distances_angstrom(near_segments(beyond, closed, square, 100.0))[0, 0] == pytest.approx(5.0)
    outside = np.array([[0.0, 24.0, 3.0]])  # 4 Å behind the end, 3 Å beside it
    assert distances_angstrom(near_segments(outside, closed, square, 100.0))[0, 0] == pytest.approx(5.0)


@given(seed=st.integers(0, 2**31), nodes=st.integers(2, 5), others=st.integers(2, 5))
@settings(max_examples=10)
def test_agrees_with_a_search_over_all_segments_and_images(seed: int, nodes: int, others: int) -> None:
    before, after = wavy(seed, nodes), wavy(seed + 1, others)
    graph = graph_of(before)
    displacements = np.random.default_rng(seed).normal(0, 8, 2 * nodes)
    moved = graph.positions_angstrom + displacements[:, None] * graph.glide_directions
    expected = 0.0
    for number, (own, other) in enumerate(zip(before.lines, after.lines, strict=True)):
        first = moved[number * nodes : (number + 1) * nodes]
        chains = (np.vstack([first, first[:1] + own.period @ CELL]), other.chain_angstrom(CELL))
        sums = [searched(chains[0][:-1], chains[1]), searched(chains[1][:-1], chains[0])]
        expected = expected + np.array(sums)
    expected = 0.5 * np.sqrt(expected).sum()
    found = losses(graph, [step_target(graph, before, after, np.inf)], displacements)
    assert found[0, 0] == pytest.approx(expected, rel=1e-9)
    single = losses(graph, [step_target(graph, before, after, np.inf)], displacements, dtype=np.float32)
    assert single[0, 0] == pytest.approx(expected, rel=1e-4)


def searched(points: np.ndarray, chain: np.ndarray) -> float:
    """Sum of squared distances to the nearest of all segments in the 125 nearest images."""
    images = np.array(list(itertools.product(range(-2, 3), repeat=3))) @ CELL
    total = 0.0
    for point in points:
        best = np.inf
        for start, end in itertools.pairwise(chain):
            relative = point - start - images
            share = np.clip(relative @ (end - start) / ((end - start) @ (end - start)), 0, 1)
            best = min(best, float(((relative - share[:, None] * (end - start)) ** 2).sum(axis=1).min()))
        total += best
    return total


def test_near_segments_are_enough_where_nothing_moves_far() -> None:
    before, after = wavy(3, 8), wavy(4, 7)
    graph = graph_of(before)
    displacements = np.random.default_rng(0).normal(0, 3, 16)
    targets = [step_target(graph, before, after, radius) for radius in (25.0, np.inf)]
    assert targets[0].ahead.numbers.shape[1] < targets[1].ahead.numbers.shape[1]
    near, exact = (losses(graph, [target], displacements) for target in targets)
    np.testing.assert_allclose(near, exact, rtol=1e-12)
    assert line_distance_angstrom(before, after, radius_angstrom=1e-3) >= line_distance_angstrom(before, after)


def test_gradient_agrees_with_finite_differences() -> None:
    frames = [wavy(seed, 3) for seed in range(4)]
    graphs = [graph_of(frame) for frame in frames[:2]]
    targets = [step_target(graphs[k], frames[k], frames[k + 2], 60.0) for k in range(2)]
    batch = loss.loss_tensors(batched(graphs), targets, dtype=torch.float64)
    start = torch.from_numpy(np.random.default_rng(5).normal(0, 4, (2, 12))).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: loss.line_losses(w, batch), (start,), eps=1e-5, atol=1e-6)


def test_a_batch_is_its_snapshots_side_by_side() -> None:
    frames = [wavy(seed, nodes) for seed, nodes in ((0, 3), (1, 5), (2, 4), (3, 2))]
    pairs = [(frames[0], frames[1]), (frames[2], frames[3]), (frames[1], frames[1])]
    graphs = [graph_of(first) for first, _ in pairs]
    targets = [step_target(graph, *pair, 60.0) for graph, pair in zip(graphs, pairs, strict=True)]
    whole = batched(graphs)
    displacements = np.random.default_rng(1).normal(0, 3, (2, whole.nodes))
    together = losses(whole, targets, displacements)
    assert together.shape == (2, 3)
    for number, (graph, target) in enumerate(zip(graphs, targets, strict=True)):
        own = displacements[:, whole.node_offsets[number] : whole.node_offsets[number + 1]]
        np.testing.assert_allclose(together[:, number], losses(graph, [target], own)[:, 0], rtol=1e-12)


def circle(radius: float, nodes: int) -> LineFrame:
    angles = -2 * np.pi * (np.arange(nodes) + 0.2) / nodes  # in the sense in which m = n × t points outwards
    points = np.column_stack([radius * np.cos(angles) + 30, radius * np.sin(angles) + 20, np.full(nodes, 50.0)])
    return frame_of(line(points @ np.linalg.inv(CELL), 0))


def test_a_growing_loop_moves_outwards_by_the_difference_of_the_radii() -> None:
    before, after = circle(10.0, 20), circle(12.0, 400)
    graph = graph_of(before)
    target = step_target(graph, before, after, 60.0)
    np.testing.assert_allclose(target.observed_angstrom, 2.0, rtol=1e-3)
    # From the circle back to the polygon: 2 Å and, between its corners, up to R (1 - cos π/20) more.
    still, grown = (losses(graph, [target], displacement * np.ones(20))[0, 0] for displacement in (0.0, 2.0))
    sagitta = 10.0 * (1 - np.cos(np.pi / 20))
    assert 0.5 * 2.0 * (np.sqrt(20) + 20) * 0.999 < still < 0.5 * (2.0 * np.sqrt(20) + (2.0 + sagitta) * 20)
    assert grown < 0.5 * 1.2 * sagitta * 20 + 0.05


def test_refuses_lines_that_are_not_the_same() -> None:
    before, after = straight(3), straight(3)
    with pytest.raises(PropertyError, match="2 lines before and 1 after"):
        step_target(graph_of(before), before, dataclasses.replace(after, lines=after.lines[:1]), 60.0)
