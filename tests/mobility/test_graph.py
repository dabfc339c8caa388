from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from glideflow.config.mobility_network import MobilityFeatureSettings
from glideflow.errors import ConfigurationError, PropertyError
from glideflow.mobility.extraction import DislocationLine, Topology
from glideflow.mobility.features import GAUSS_FEATURES, NETS, NODE_FEATURES, visible
from glideflow.mobility.graph import LineGraph, batched, line_graph, to_pyg
from glideflow.mobility.trajectory import LineFrame

CELL = np.array([[80.0, 0.0, 0.0], [3.0, 42.0, 0.0], [-6.0, 2.0, 160.0]])
BURGERS = np.array([2.1, 1.3, 0.0])
SETTINGS = MobilityFeatureSettings(images=1, gauss_points=3)
STRESS = np.array([[120.0, -40.0, 310.0], [-40.0, 60.0, 205.0], [310.0, 205.0, -90.0]])
INVARIANT = (
    "character_deg",
    "glide_force_mpa_angstrom",
    "tension_mpa_angstrom",
    "node_features",
    "gauss_features",
)


def _line(nodes: np.ndarray, period: np.ndarray, topology: Topology) -> DislocationLine:
    return DislocationLine(nodes_fractional=nodes, period=period, burgers_angstrom=BURGERS, topology=topology)


def dipole(seed: int = 0, nodes: int = 4) -> LineFrame:
    """Two wavy lines in opposite senses."""
    random = np.random.default_rng(seed)
    lines = []
    for sense, x, z in ((1, 0.2, 0.25), (-1, 0.6, 0.75)):
        along = sense * (np.arange(nodes) + random.uniform(0, 0.2, nodes)) / nodes
        points = np.column_stack([x + random.normal(0, 0.02, nodes), along, z + random.normal(0, 0.002, nodes)])
        lines.append(_line(points, np.array([0, sense, 0]), "infinite"))
    return LineFrame(
        time_ps=1.0, cell_angstrom=CELL, stress_mpa=np.zeros((3, 3)), temperature_k=300.0, lines=tuple(lines)
    )


def loop(radius: float = 15.0, nodes: int = 12, sense: int = 1) -> LineFrame:
    angles = sense * 2 * np.pi * np.arange(nodes) / nodes
    points = np.column_stack([radius * np.cos(angles) + 40, radius * np.sin(angles) + 21, np.full(nodes, 80.0)])
    line = _line(points @ np.linalg.inv(CELL), np.zeros(3, dtype=int), "closed")
    return LineFrame(time_ps=0.0, cell_angstrom=CELL, stress_mpa=np.zeros((3, 3)), temperature_k=300.0, lines=(line,))


def graph_of(frame: LineFrame, stress: np.ndarray = STRESS) -> LineGraph:
    return line_graph(frame, stress, 500.0, SETTINGS)


def with_lines(frame: LineFrame, change: Callable[[DislocationLine], DislocationLine]) -> LineFrame:
    return dataclasses.replace(frame, lines=tuple(change(line) for line in frame.lines))


@given(seed=st.integers(0, 2**31))
@settings(max_examples=8)
def test_features_do_not_change_when_the_crystal_is_moved_and_turned(seed: int) -> None:
    turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    shift = np.random.default_rng(seed).uniform(-2, 2, 3)
    before = graph_of(dipole())
    moved = with_lines(
        dipole(),
        lambda line: dataclasses.replace(
            line, nodes_fractional=line.nodes_fractional + shift, burgers_angstrom=turn @ BURGERS
        ),
    )
    after = graph_of(dataclasses.replace(moved, cell_angstrom=CELL @ turn.T), turn @ STRESS @ turn.T)
    for name in INVARIANT:
        scale = np.abs(getattr(before, name)).max()
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-8 * scale, err_msg=name)
    np.testing.assert_allclose(after.glide_directions, before.glide_directions @ turn.T, atol=1e-12)


def test_order_of_nodes_and_lines_does_not_matter() -> None:
    before = graph_of(dipole())
    turned = with_lines(dipole(), lambda line: _begun_later(line, 1))
    after = graph_of(dataclasses.replace(turned, lines=turned.lines[::-1]))
    order = np.array([5, 6, 7, 4, 1, 2, 3, 0])
    np.testing.assert_allclose(after.node_features, before.node_features[order], atol=1e-9)
    np.testing.assert_allclose(after.gauss_features.reshape(8, -1), before.gauss_features.reshape(8, -1)[order])
    np.testing.assert_array_equal(order[after.next_nodes], before.next_nodes[order])

    # The nodes that each Gauss point is linked to are the same ones under their new numbers.
    def links(graph: LineGraph, name: np.ndarray) -> set[tuple[int, int, int]]:
        points, nodes = graph.gauss_edges
        return set(zip(name[points // 3].tolist(), (points % 3).tolist(), name[nodes].tolist(), strict=True))

    assert links(after, order) == links(before, np.arange(8))


def _begun_later(line: DislocationLine, count: int) -> DislocationLine:
    nodes = np.vstack([line.nodes_fractional[count:], line.nodes_fractional[:count] + line.period])
    return dataclasses.replace(line, nodes_fractional=nodes)


def test_the_other_description_of_the_same_dislocation_moves_the_same_way() -> None:
    before, after = graph_of(dipole()), graph_of(with_lines(dipole(), lambda line: line.reversed()))
    order = np.array([3, 2, 1, 0, 7, 6, 5, 4])
    np.testing.assert_allclose(after.node_features, before.node_features[order], atol=1e-9)
    for force in ("glide_force_mpa_angstrom", "tension_mpa_angstrom"):
        vectors = [getattr(graph, force)[:, None] * graph.glide_directions for graph in (before, after)]
        np.testing.assert_allclose(vectors[1], vectors[0][order], rtol=1e-9)


def test_reversed_glide_stress_reverses_the_forces_and_nothing_that_networks_see() -> None:
    straight = with_lines(dipole(), _straightened)
    half_turn = np.diag([-1.0, -1.0, 1.0])  # about the normal: reverses the shear on the slip plane only
    alone = [graph_of(straight, 1e6 * stress) for stress in (STRESS, half_turn @ STRESS @ half_turn)]
    np.testing.assert_allclose(alone[1].glide_force_mpa_angstrom, -alone[0].glide_force_mpa_angstrom, rtol=1e-4)
    np.testing.assert_allclose(alone[1].node_features, alone[0].node_features, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(alone[1].gauss_features, alone[0].gauss_features, rtol=1e-4, atol=100)


def _straightened(line: DislocationLine) -> DislocationLine:
    nodes = line.nodes_fractional.copy()
    nodes[:, [0, 2]] = nodes[:1, [0, 2]]
    return dataclasses.replace(line, nodes_fractional=nodes)


def test_peach_koehler_force_of_a_straight_line_under_a_large_stress() -> None:
    stress = 1e7 * np.eye(3)[[2, 1, 0]]  # σ_xz and the like, far above what the lines exert
    graph = graph_of(with_lines(dipole(), _straightened), stress)
    line = np.array([CELL[1] / np.linalg.norm(CELL[1]), -CELL[1] / np.linalg.norm(CELL[1])]).repeat(4, axis=0)
    force = np.cross(stress @ BURGERS, line)
    along = np.einsum("ni,ni->n", force, graph.glide_directions)
    np.testing.assert_allclose(graph.glide_force_mpa_angstrom, along, rtol=1e-3)
    np.testing.assert_allclose(graph.glide_directions, np.cross([0, 0, 1], line), atol=1e-12)
    angle = np.degrees(np.arctan2(CELL[1, 1], CELL[1, 0]) - np.arctan2(BURGERS[1], BURGERS[0]))
    np.testing.assert_allclose(graph.character_deg, [angle] * 4 + [angle - 180] * 4, rtol=1e-9)
    assert np.abs(graph.tension_mpa_angstrom).max() < 1e-6


def test_line_tension_of_a_circle_points_to_its_centre() -> None:
    frame = loop(radius=15.0, nodes=24)
    graph = graph_of(frame, np.zeros((3, 3)))
    outwards = graph.positions_angstrom - frame.nodes_angstrom().mean(axis=0)
    towards = -graph.tension_mpa_angstrom * np.einsum(
        "ni,ni->n", graph.glide_directions, outwards / np.linalg.norm(outwards, axis=1, keepdims=True)
    )
    curvature = 1 / 15.0  # difference of the tangents of two sides of a regular polygon, over the length of a side
    smoothed = 1 - 0.5 * (1 - np.cos(2 * np.pi / 24))  # a node halfway to the middle of its neighbours
    shear_modulus_mpa = 64.3e3 * (1 - 500 * SETTINGS.softening_per_k)
    expected = shear_modulus_mpa * BURGERS @ BURGERS * curvature / smoothed
    np.testing.assert_allclose(towards, expected, rtol=1e-9)
    # The elastic stress of the loop on itself shrinks it, in either sense.
    for sense in (1, -1):
        shrinking = graph_of(loop(sense=sense), np.zeros((3, 3)))
        assert (shrinking.glide_force_mpa_angstrom * shrinking.tension_mpa_angstrom).sum() > 0


def test_a_hot_medium_is_a_softer_one() -> None:
    """Tension and the stress of the lines fall with the shear modulus; the applied stress does not."""
    frame = dipole()
    soft = SETTINGS.model_copy(update={"softening_per_k": 1e-3})
    halved = SETTINGS.model_copy(update={"shear_modulus_gpa": SETTINGS.shear_modulus_gpa / 2, "softening_per_k": 0.0})
    hot, same = (line_graph(frame, STRESS, 500.0, each) for each in (soft, halved))
    for name in ("tension_mpa_angstrom", "glide_force_mpa_angstrom", "node_features", "gauss_features"):
        np.testing.assert_array_equal(getattr(hot, name), getattr(same, name))
    with pytest.raises(ConfigurationError, match="has none at 1000 K"):
        line_graph(frame, STRESS, 1000.0, soft)


def test_jitter_from_node_to_node_is_not_seen_and_positions_stay() -> None:
    straight = with_lines(dipole(), _straightened)
    across = np.array([0.03, 0.0, 0.0]) * np.array([1, -1, 1, -1])[:, None]
    jittered = with_lines(
        straight, lambda line: dataclasses.replace(line, nodes_fractional=line.nodes_fractional + across)
    )
    seen, raw = (
        graph_of(jittered),
        line_graph(jittered, STRESS, 500.0, SETTINGS.model_copy(update={"smoothing_passes": 0})),
    )
    for name in INVARIANT:
        np.testing.assert_allclose(getattr(seen, name), getattr(graph_of(straight), name), rtol=1e-6, atol=1e-6)
    assert np.abs(raw.tension_mpa_angstrom).min() > 1000.0
    np.testing.assert_array_equal(seen.positions_angstrom, jittered.nodes_angstrom())
    np.testing.assert_array_equal(seen.segments_angstrom, raw.segments_angstrom)


def test_gauss_points_are_linked_to_their_nearest_nodes() -> None:
    graph = graph_of(loop(nodes=5))
    shares = (np.polynomial.legendre.leggauss(3)[0] + 1) / 2
    points = (graph.positions_angstrom[:, None] + shares[:, None] * graph.segments_angstrom[:, None]).reshape(-1, 3)
    distances = np.linalg.norm(points[:, None] - graph.positions_angstrom, axis=2)
    nearest = np.argwhere(distances <= distances.min(axis=1, keepdims=True) + 1e-9)
    assert set(map(tuple, graph.gauss_edges.T.tolist())) == set(map(tuple, nearest.tolist()))
    pairs = {(k, (k + 1) % 5) for k in range(5)}
    assert set(map(tuple, graph.node_edges.T.tolist())) == pairs | {(b, a) for a, b in pairs}


def test_batches_are_the_graphs_side_by_side() -> None:
    parts = [graph_of(dipole(seed, nodes)) for seed, nodes in ((1, 4), (2, 3))] + [graph_of(loop())]
    whole = batched(parts)
    assert (len(whole), whole.nodes) == (3, 8 + 6 + 12)
    assert set(whole.snapshots[whole.node_edges[0]] - whole.snapshots[whole.node_edges[1]]) == {0}
    assert len(set(whole.lines.tolist())) == 5
    for number, part in enumerate(parts):
        nodes = slice(*whole.node_offsets[number : number + 2])
        points = slice(*whole.gauss_offsets[number : number + 2])
        np.testing.assert_array_equal(whole.node_features[nodes], part.node_features)
        np.testing.assert_array_equal(whole.gauss_features[points], part.gauss_features)
        own = (whole.gauss_edges[1] >= nodes.start) & (whole.gauss_edges[1] < nodes.stop)
        moved = whole.gauss_edges[:, own] - [[points.start], [nodes.start]]
        np.testing.assert_array_equal(moved, part.gauss_edges)
    np.testing.assert_array_equal(batched([batched(parts[:2]), parts[2]]).gauss_offsets, whole.gauss_offsets)


def test_features_have_names_for_every_column_and_only_their_nets_see_them() -> None:
    graph = graph_of(dipole())
    assert graph.node_features.shape[1] == len(NODE_FEATURES)
    assert graph.gauss_features.shape[1] == len(GAUSS_FEATURES)
    force, drag, energy = visible(NODE_FEATURES)
    heat = [feature.name.startswith("T") for feature in NODE_FEATURES].index(True)
    assert (force[heat], drag[heat], energy[heat]) == (0, 1, 1)
    assert visible(GAUSS_FEATURES)[1].sum() == 4  # the drag depends on the character, not on the stress


def test_pytorch_geometric_gets_the_same_graph() -> None:
    pytest.importorskip("torch_geometric")
    graph = batched([graph_of(dipole()), graph_of(loop())])
    data = to_pyg(graph)
    data.validate()
    assert data["node"].num_nodes == graph.nodes
    assert data["gauss", "acts_on", "node"].edge_index.shape == graph.gauss_edges.shape
    np.testing.assert_array_equal(data["node"].batch.numpy(), graph.snapshots)


def _on_edge(line: DislocationLine) -> DislocationLine:
    return dataclasses.replace(line, nodes_fractional=line.nodes_fractional[:, [0, 2, 1]])


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (dataclasses.replace(dipole(), lines=()), "the lines: none"),
        (with_lines(dipole(), lambda line: dataclasses.replace(line, topology="open")), "open"),
        (
            with_lines(
                dipole(), lambda line: dataclasses.replace(line, nodes_fractional=line.nodes_fractional[[0, 1, 1]])
            ),
            "two nodes of a line 0 Å apart",
        ),
        (with_lines(loop(), _on_edge), "along the normal"),
    ],
)
def test_refuses_lines_that_have_no_graph(frame: LineFrame, reason: str) -> None:
    with pytest.raises(PropertyError, match=reason):
        graph_of(frame)


def test_the_documentation_lists_every_feature_with_its_reason(repository: Path) -> None:
    page = (repository / "docs" / "mobility_network.md").read_text(encoding="utf-8").replace("\\|", "|")
    rows = {" ".join(line.split()) for line in page.splitlines()}
    for feature in (*NODE_FEATURES, *GAUSS_FEATURES[4:]):  # those of the angle are described together
        seen = ["•" if net in feature.nets else "" for net in NETS]
        assert " ".join(f"| {' | '.join([feature.name, *seen, feature.reason])} |".split()) in rows, feature.name
