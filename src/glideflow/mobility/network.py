"""The physics-informed graph network (PI-GNN) of the mobility paper, for all members of an ensemble at once.

Each of the three networks (F, B, E) is a stack of HeteroSAGE layers (Hamilton et al. 2017, for two kinds of vertices)
and a linear layer at the nodes. With W a matrix of weights, [·, ·] concatenation and ⟨·⟩ the mean over neighbours, a
layer is

    nodes         x_i ← φ(W_n [x_i, ⟨x⟩ along the line, ⟨g⟩ of the Gauss points of i] + b_n)
    Gauss points  g_p ← φ(W_g [g_p, ⟨x⟩ of the nodes of p] + b_g)

with both from the layer before. That is PyTorch Geometric's ``HeteroConv`` of ``SAGEConv`` with one matrix for each
vertex itself instead of one per kind of edge, which add up to the same. In the last layer Gauss points are not needed.

Members of an ensemble and the three networks are leading axes of all weights: a batch of small graphs is a few dozen
matrix products instead of thousands. What a network does not see (`features.visible`) has weight zero for good. In the
first layer the means over neighbours are of features, not of weights: they are taken once, when the tensors are made.

Source: Tian et al., npj Comput. Mater. 10 (2024), doi 10.1038/s41524-024-01394-4, Methods. This module imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from glideflow.config.mobility_network import MobilityLayerSettings
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.mobility import physics_layers
from glideflow.mobility.features import GAUSS_FEATURES, NETS, NODE_FEATURES, visible
from glideflow.mobility.graph import LineGraph

ACTIVATIONS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "silu": functional.silu,
    "tanh": torch.tanh,
    "relu": functional.relu,
}

State = Mapping[str, NDArray[np.generic]]
"""Weights of one member by name; the first axis is that of the three networks F, B, E where there are three."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GraphTensors:
    """A graph as the networks take it; N nodes, P Gauss points, three networks.

    Attributes:
        nodes: (3, N, 25) features of nodes, their means over neighbours along the line, and means over Gauss points.
        gauss: (3, P, 17) features of Gauss points, and means over their nodes.
        along: (2, A) neighbours along the line: from, to.
        acts: (2, C) Gauss points and nodes.
        per_neighbour: (N, 1) one over the number of neighbours along the line.
        per_gauss: (N, 1) one over the number of Gauss points of a node.
        per_node: (P, 1) one over the number of nodes of a Gauss point.
        glide_force: (N,) Peach-Koehler force along the glide direction in MPa·Å.
        tension: (N,) μb²κ in MPa·Å.
        temperature: (N,) in K.
    """

    nodes: Tensor
    gauss: Tensor
    along: Tensor
    acts: Tensor
    per_neighbour: Tensor
    per_gauss: Tensor
    per_node: Tensor
    glide_force: Tensor
    tension: Tensor
    temperature: Tensor


@dataclass(frozen=True, eq=False)
class MobilityTerms:
    """What an ensemble finds; M members, N nodes.

    Attributes:
        velocity: (M, N) velocity along the glide direction in Å/ps.
        force: (M, N) force f in MPa·Å.
        drag: (M, N) drag coefficient B in MPa·ps. Only f/B is determined: a factor common to both cancels.
        energy: (M, N) activation energy ε in eV.
    """

    velocity: Tensor
    force: Tensor
    drag: Tensor
    energy: Tensor


def graph_tensors(graph: LineGraph, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> GraphTensors:
    """A graph as tensors.

    Args:
        graph: of any number of snapshots.
        dtype: of features and forces.
        device: where they go.
    """
    points = len(graph.gauss_features)
    nodes, gauss = graph.node_features, graph.gauss_features
    along, acts, back = graph.node_edges, graph.gauss_edges, graph.gauss_edges[::-1]
    at_nodes = np.hstack([nodes, _mean(nodes, along, graph.nodes), _mean(gauss, acts, graph.nodes)])
    at_gauss = np.hstack([gauss, _mean(nodes, back, points)])
    seen_by_nodes, seen_by_gauss = _masks()

    def tensor(values: FloatArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device=device, dtype=dtype)

    return GraphTensors(
        nodes=tensor(seen_by_nodes[:, None, :] * at_nodes),
        gauss=tensor(seen_by_gauss[:, None, :] * at_gauss),
        along=torch.from_numpy(np.ascontiguousarray(along)).to(device),
        acts=torch.from_numpy(np.ascontiguousarray(acts)).to(device),
        per_neighbour=tensor(_inverse_degree(along[1], graph.nodes)),
        per_gauss=tensor(_inverse_degree(acts[1], graph.nodes)),
        per_node=tensor(_inverse_degree(acts[0], points)),
        glide_force=tensor(graph.glide_force_mpa_angstrom),
        tension=tensor(graph.tension_mpa_angstrom),
        temperature=tensor(graph.temperatures_k[graph.snapshots]),
    )


class MobilityNetworks(nn.Module):
    """F-, B- and E-nets of all members of an ensemble; the second axis of every parameter is that of the members.

    Args:
        settings: layers.
        members: number of members M.
        dtype: of the weights.
    """

    def __init__(self, settings: MobilityLayerSettings, members: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.members, self.depth = members, settings.layers
        self.activation = ACTIVATIONS[settings.activation]
        for name, shape in parameter_shapes(settings).items():
            stacked = torch.zeros((shape[0], members, *shape[1:]), dtype=dtype)
            self.register_parameter(name, nn.Parameter(stacked))

    def forward(self, graph: GraphTensors) -> MobilityTerms:
        """Forces, drag coefficients, activation energies and velocities of all members at all nodes."""
        hidden = self._hidden(graph)  # (3 M, N, H)
        head = self._of_members("head_weight")
        outputs = (hidden @ head).view(len(NETS), self.members, -1)
        outputs = outputs + self.get_parameter("head_bias").unsqueeze(2)  # (3, M, N)
        tension = (hidden[: self.members] @ self._of_members("tension_weight")).squeeze(2)
        tension = tension + self.get_parameter("tension_bias").squeeze(0).unsqueeze(1)  # (M, N)
        force = physics_layers.force(outputs[0], tension, graph.glide_force, graph.tension)
        drag = physics_layers.drag(outputs[1])
        energy = physics_layers.activation_energy(outputs[2])
        return MobilityTerms(physics_layers.velocity(force, drag, energy, graph.temperature), force, drag, energy)

    def _of_members(self, name: str) -> Tensor:
        """A parameter with networks and members as one axis."""
        return self.get_parameter(name).flatten(0, 1)

    def _hidden(self, graph: GraphTensors) -> Tensor:
        """(3 M, N, H) what the layers make of the nodes."""
        nodes = self._first("node", graph.nodes)
        gauss = self._first("gauss", graph.gauss) if self.depth > 1 else graph.gauss
        for layer in range(1, self.depth):
            updated = self._gauss(layer, nodes, gauss, graph) if layer < self.depth - 1 else gauss
            nodes, gauss = self._nodes(layer, nodes, gauss, graph), updated
        return nodes

    def _first(self, vertex: str, features: Tensor) -> Tensor:
        """(3 M, V, H) first layer, in which all members see the same features (3, V, F)."""
        weight, bias = self.get_parameter(f"{vertex}_weight_0"), self.get_parameter(f"{vertex}_bias_0")
        product = torch.einsum("kvf,kmfh->kmvh", features, weight) + bias.unsqueeze(2)
        return self.activation(product.flatten(0, 1))

    def _nodes(self, layer: int, nodes: Tensor, gauss: Tensor, graph: GraphTensors) -> Tensor:
        along = _mean_over(nodes, graph.along[0], graph.along[1], graph.per_neighbour)
        acting = _mean_over(gauss, graph.acts[0], graph.acts[1], graph.per_gauss)
        return self._linear(f"node_{{}}_{layer}", torch.cat([nodes, along, acting], dim=2))

    def _gauss(self, layer: int, nodes: Tensor, gauss: Tensor, graph: GraphTensors) -> Tensor:
        owners = _mean_over(nodes, graph.acts[1], graph.acts[0], graph.per_node)
        return self._linear(f"gauss_{{}}_{layer}", torch.cat([gauss, owners], dim=2))

    def _linear(self, name: str, inputs: Tensor) -> Tensor:
        weight, bias = (self._of_members(name.format(part)) for part in ("weight", "bias"))
        return self.activation(torch.baddbmm(bias.unsqueeze(1), inputs, weight))

    def state(self, member: int) -> dict[str, NDArray[np.generic]]:
        """Copies of the weights of one member, on the CPU."""
        return {name: value.detach()[:, member].cpu().numpy().copy() for name, value in self.named_parameters()}

    def load(self, states: Sequence[State]) -> MobilityNetworks:
        """Take the weights of all members.

        Raises:
            RuntimeError: names or shapes are not those of this architecture.
        """
        stacked = {
            name: torch.from_numpy(np.stack([np.asarray(state[name]) for state in states], axis=1))
            for name in (states[0] if states else {})
        }
        self.load_state_dict(stacked, strict=True)
        return self


def parameter_shapes(settings: MobilityLayerSettings) -> dict[str, tuple[int, ...]]:
    """Shapes of the parameters of one member by name."""
    nodes, gauss, width, nets = len(NODE_FEATURES), len(GAUSS_FEATURES), settings.width, len(NETS)
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(settings.layers):
        at_nodes, at_gauss = (2 * nodes + gauss, gauss + nodes) if layer == 0 else (3 * width, 2 * width)
        shapes |= {f"node_weight_{layer}": (nets, at_nodes, width), f"node_bias_{layer}": (nets, width)}
        if layer < settings.layers - 1:
            shapes |= {f"gauss_weight_{layer}": (nets, at_gauss, width), f"gauss_bias_{layer}": (nets, width)}
    shapes |= {"head_weight": (nets, width, 1), "head_bias": (nets,)}
    return shapes | {"tension_weight": (1, width, 1), "tension_bias": (1,)}


def parameter_count(settings: MobilityLayerSettings) -> int:
    """Number of weights of a member that act on something: 5,944 by default. The paper does not give its own."""
    shapes = parameter_shapes(settings)
    unseen = sum(_unseen(name).size - int(_unseen(name).sum()) for name in shapes if _unseen(name).size)
    return sum(int(np.prod(shape)) for shape in shapes.values()) - unseen * settings.width


def initial_state(settings: MobilityLayerSettings, seed: int, dtype: type[np.floating] = np.float32) -> State:
    """Random weights of one member, uniform within ±1/√(inputs) as in PyTorch's own linear layers.

    Args:
        settings: layers.
        seed: of this member alone.
        dtype: of the weights. The same seed gives the same numbers in either precision, to rounding.
    """
    random = np.random.default_rng(seed)
    state: dict[str, NDArray[np.generic]] = {}
    for name, shape in parameter_shapes(settings).items():
        mask = _unseen(name)
        inputs = mask.sum(axis=1) if mask.size else np.full(shape[0], _inputs(name, settings))
        bound = 1 / np.sqrt(np.maximum(inputs, 1)).reshape(-1, *[1] * (len(shape) - 1))
        drawn = random.uniform(-1, 1, shape) * bound
        state[name] = np.asarray(drawn * mask[:, :, None] if mask.size else drawn, dtype=dtype)
    return state


def networks_of(
    settings: MobilityLayerSettings, states: Sequence[State], dtype: torch.dtype = torch.float32
) -> MobilityNetworks:
    """The networks of an ensemble with given weights.

    Raises:
        RuntimeError: names or shapes are not those of this architecture.
    """
    return MobilityNetworks(settings, len(states), dtype).load(states)


def _inputs(name: str, settings: MobilityLayerSettings) -> int:
    """Inputs of the layer to which a parameter belongs, of one behind the first."""
    if name.startswith(("head", "tension")):
        return settings.width
    if name.endswith("_0"):
        return len(GAUSS_FEATURES) + len(NODE_FEATURES)
    return (3 if name.startswith("node") else 2) * settings.width


def _masks() -> tuple[FloatArray, FloatArray]:
    """(3, 25) and (3, 17) what the networks see of the inputs of the first layer, at nodes and Gauss points."""
    nodes, gauss = visible(NODE_FEATURES), visible(GAUSS_FEATURES)
    return np.hstack([nodes, nodes, gauss]), np.hstack([gauss, nodes])


def _unseen(name: str) -> FloatArray:
    """Which inputs the weights of a first layer see, (3, F); empty for other parameters."""
    masks = dict(zip(("node_weight_0", "gauss_weight_0"), _masks(), strict=True))
    return masks.get(name, np.empty(0))


def _mean(values: FloatArray, edges: IntArray, count: int) -> FloatArray:
    """(count, F) means over the neighbours of each vertex."""
    total = np.zeros((count, values.shape[1]))
    np.add.at(total, edges[1], values[edges[0]])
    return total * _inverse_degree(edges[1], count)


def _inverse_degree(targets: IntArray, count: int) -> FloatArray:
    return np.asarray(1 / np.maximum(np.bincount(targets, minlength=count), 1))[:, None]


def _mean_over(values: Tensor, sources: Tensor, targets: Tensor, per_neighbour: Tensor) -> Tensor:
    """(K, T, H) means of (K, V, H) over the neighbours of each of T vertices."""
    total = values.new_zeros((values.shape[0], len(per_neighbour), values.shape[2]))
    return total.index_add(1, targets, values.index_select(1, sources)) * per_neighbour
