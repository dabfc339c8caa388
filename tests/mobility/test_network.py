from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from glideflow.config.mobility_network import MobilityFeatureSettings, MobilityLayerSettings
from glideflow.mobility.extraction import DislocationLine
from glideflow.mobility.features import GAUSS_FEATURES, NETS, NODE_FEATURES, visible
from glideflow.mobility.graph import LineGraph, batched, line_graph, to_pyg
from glideflow.mobility.trajectory import LineFrame

torch = pytest.importorskip("torch")
network = pytest.importorskip("glideflow.mobility.network")
physics_layers = pytest.importorskip("glideflow.mobility.physics_layers")

CELL = np.diag([80.0, 45.0, 160.0])
SETTINGS = MobilityLayerSettings()


def graph_of(seed: int = 0, nodes: int = 3, turn: np.ndarray | None = None) -> LineGraph:
    """A dipole of wavy lines under stress, turned in space."""
    random = np.random.default_rng(seed)
    turn = np.eye(3) if turn is None else turn
    lines = []
    for sense, x, z in ((1, 0.3, 0.25), (-1, 0.6, 0.75)):
        along = sense * np.arange(nodes) / nodes
        points = np.column_stack([x + random.normal(0, 0.03, nodes), along, z + random.normal(0, 0.002, nodes)])
        lines.append(
            DislocationLine(
                nodes_fractional=points,
                period=np.array([0, sense, 0]),
                burgers_angstrom=turn @ np.array([2.0, 1.4, 0.0]),
                topology="infinite",
            )
        )
    frame = LineFrame(
        time_ps=0.0, cell_angstrom=CELL @ turn.T, stress_mpa=np.zeros((3, 3)), temperature_k=300.0, lines=tuple(lines)
    )
    stress = np.array([[50.0, 20.0, 400.0], [20.0, -80.0, 250.0], [400.0, 250.0, 30.0]])
    return line_graph(frame, turn @ stress @ turn.T, 300.0 + 100 * seed, MobilityFeatureSettings(images=1))


def states(members: int, settings: MobilityLayerSettings = SETTINGS, scale: float = 1.0) -> list[dict]:
    drawn = [network.initial_state(settings, seed, np.float64) for seed in range(members)]
    return [{name: scale * value for name, value in state.items()} for state in drawn]


def terms(graph: LineGraph, members: int = 2, settings: MobilityLayerSettings = SETTINGS, scale: float = 1.0):
    networks = network.networks_of(settings, states(members, settings, scale), torch.float64)
    with torch.no_grad():
        return networks(network.graph_tensors(graph, dtype=torch.float64))


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.filterwarnings("ignore:There exist node types")  # the last layer has no use for Gauss points
def test_agrees_with_the_reference_of_pytorch_geometric(layers: int) -> None:
    """`HeteroConv` of `SAGEConv` with the same weights, network by network and member by member."""
    pytest.importorskip("torch_geometric")
    settings = MobilityLayerSettings(layers=layers, width=7)
    graph = batched([graph_of(0, 3), graph_of(1, 4)])
    found = terms(graph, 2, settings)
    for member, state in enumerate(states(2, settings)):
        outputs = [reference(graph, state, net, settings) for net in range(len(NETS))]
        drag = physics_layers.drag(outputs[1][0])
        energy = physics_layers.activation_energy(outputs[2][0])
        force = physics_layers.force(
            *outputs[0],
            torch.from_numpy(graph.glide_force_mpa_angstrom),
            torch.from_numpy(graph.tension_mpa_angstrom),
        )
        for name, expected in (("drag", drag), ("energy", energy), ("force", force)):
            np.testing.assert_allclose(getattr(found, name)[member].numpy(), expected.numpy(), rtol=1e-12)


def reference(graph: LineGraph, state: dict, net: int, settings: MobilityLayerSettings) -> tuple:
    """Outputs of one network of one member by PyTorch Geometric."""
    from torch_geometric.nn import HeteroConv, SAGEConv

    data = to_pyg(graph)
    seen = {"node": visible(NODE_FEATURES)[net] > 0, "gauss": visible(GAUSS_FEATURES)[net] > 0}
    hidden = {name: data[name].x[:, seen[name]] for name in seen}
    for layer in range(settings.layers):
        last = layer == settings.layers - 1
        sizes = {name: values.shape[1] for name, values in hidden.items()}
        own, along, acts = split_weight(
            state[f"node_weight_{layer}"][net], seen, sizes, layer, ("node", "node", "gauss")
        )
        convolutions = {
            ("node", "along", "node"): sage(own, along, state[f"node_bias_{layer}"][net]),
            ("gauss", "acts_on", "node"): sage(None, acts, None),
        }
        if not last:
            own, moves = split_weight(state[f"gauss_weight_{layer}"][net], seen, sizes, layer, ("gauss", "node"))
            bias = state[f"gauss_bias_{layer}"][net]
            convolutions["node", "moves", "gauss"] = sage(own, moves, bias)
        assert all(isinstance(each, SAGEConv) for each in convolutions.values())
        with torch.no_grad():
            found = HeteroConv(convolutions, aggr="sum")(hidden, data.edge_index_dict)
        hidden = {name: torch.nn.functional.silu(values) for name, values in found.items()}
    head, bias = state["head_weight"][net, :, 0], state["head_bias"][net]
    outputs = (hidden["node"] @ torch.from_numpy(head) + float(bias),)
    if net == 0:
        outputs += (
            hidden["node"] @ torch.from_numpy(state["tension_weight"][0, :, 0]) + float(state["tension_bias"][0]),
        )
    return outputs


def split_weight(weight: np.ndarray, seen: dict, sizes: dict, layer: int, kinds: tuple[str, ...]) -> list[np.ndarray]:
    """The blocks of a matrix that act on the vertex itself and on each kind of neighbour."""
    widths = [len(seen[kind]) if layer == 0 else sizes[kind] for kind in kinds]
    blocks = np.split(weight, np.cumsum(widths)[:-1])
    return [block[seen[kind]] if layer == 0 else block for block, kind in zip(blocks, kinds, strict=True)]


def sage(own: np.ndarray | None, neighbours: np.ndarray, bias: np.ndarray | None):
    from torch_geometric.nn import SAGEConv

    sizes = (neighbours.shape[0], own.shape[0] if own is not None else 1)
    layer = SAGEConv(sizes, neighbours.shape[1], root_weight=own is not None, bias=bias is not None).double()
    with torch.no_grad():
        layer.lin_l.weight.copy_(torch.from_numpy(neighbours.T))
        if own is not None and bias is not None:
            layer.lin_r.weight.copy_(torch.from_numpy(own.T))
            layer.lin_l.bias.copy_(torch.from_numpy(bias))
    return layer


def test_drag_is_positive_and_barriers_are_not_negative_whatever_the_weights() -> None:
    for scale in (1.0, 30.0, 3000.0):
        found = terms(graph_of(), members=5, scale=scale)
        assert bool((found.drag > 0).all())
        assert bool((found.energy >= 0).all())
        assert bool(torch.isfinite(found.velocity).all())


def test_velocity_is_force_over_drag_times_the_boltzmann_factor() -> None:
    graph = graph_of(seed=2)
    found = terms(graph)
    factor = np.exp(-found.energy.numpy() / (8.617333262e-5 * 500.0))
    np.testing.assert_allclose(found.velocity.numpy(), found.force.numpy() / found.drag.numpy() * factor, rtol=1e-12)


def test_reversed_forces_reverse_the_velocity_and_none_gives_none() -> None:
    graph = graph_of()
    reversed_forces = dataclasses.replace(
        graph,
        glide_force_mpa_angstrom=-graph.glide_force_mpa_angstrom,
        tension_mpa_angstrom=-graph.tension_mpa_angstrom,
    )
    np.testing.assert_allclose(terms(reversed_forces).velocity, -terms(graph).velocity, rtol=1e-12)
    nothing = np.zeros(graph.nodes)
    free = dataclasses.replace(graph, glide_force_mpa_angstrom=nothing, tension_mpa_angstrom=nothing)
    assert float(terms(free).velocity.abs().max()) == 0.0


def test_velocities_turn_with_the_crystal() -> None:
    turn = np.array([[0.0, 0.6, 0.8], [1.0, 0.0, 0.0], [0.0, 0.8, -0.6]])  # proper
    before, after = graph_of(), graph_of(turn=turn)
    vectors = [terms(graph).velocity.numpy()[:, :, None] * graph.glide_directions for graph in (before, after)]
    np.testing.assert_allclose(vectors[1], vectors[0] @ turn.T, atol=1e-9 * np.abs(vectors[0]).max())


def test_snapshots_and_members_do_not_see_each_other() -> None:
    graphs = [graph_of(0, 3), graph_of(1, 5)]
    together = terms(batched(graphs), members=3).velocity.numpy()
    alone = np.hstack([terms(graph, members=3).velocity.numpy() for graph in graphs])
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    one = network.networks_of(SETTINGS, states(3)[1:2], torch.float64)
    velocity = one(network.graph_tensors(batched(graphs), dtype=torch.float64)).velocity
    np.testing.assert_allclose(velocity.detach().numpy()[0], together[1], rtol=1e-12)


def test_networks_see_only_their_features() -> None:
    """Equation 2: the drag does not depend on the stress, the force not on the temperature."""
    graph = graph_of()
    stressed = dataclasses.replace(graph, gauss_features=graph.gauss_features + np.array([0.0] * 4 + [0.3] * 5))
    hot = dataclasses.replace(graph, node_features=graph.node_features + np.eye(8)[6])
    for changed, same, different in ((stressed, "drag", "energy"), (hot, "force", "energy")):
        np.testing.assert_array_equal(getattr(terms(changed), same), getattr(terms(graph), same))
        assert not np.allclose(getattr(terms(changed), different), getattr(terms(graph), different))


def test_number_of_weights() -> None:
    """F: 7 node and 9 Gauss features, B: 5 and 4, E: 8 and 9, twenty neurons; heads; the factor of the line tension."""
    expected = 0
    for nodes, gauss in ((7, 9), (5, 4), (8, 9)):
        first = 20 * (2 * nodes + gauss) + 20 + 20 * (gauss + nodes) + 20
        expected += first + 20 * 60 + 20 + 21
    assert network.parameter_count(SETTINGS) == expected + 21
    state = network.initial_state(SETTINGS, 0)
    assert sum(np.count_nonzero(values) for values in state.values()) == expected + 21


def test_refuses_weights_of_another_architecture() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        network.networks_of(MobilityLayerSettings(width=21), states(1))
    with pytest.raises(RuntimeError, match="Missing key"):
        network.networks_of(SETTINGS, [{}])
