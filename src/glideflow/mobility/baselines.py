"""Mobility laws that networks have to beat, fitted to the same steps: linear drag and a phenomenological law for bcc.

Each gives the velocity v along the glide direction from the glide component f of the Peach-Koehler force, the character
angle θ and the temperature T of a node. Fits minimise the sum of ρ(r) over nodes with r the difference of velocities in
Å/ps and ρ(r) = 2 (√(1 + r²) - 1), which grows like |r| as the loss of the networks does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from glideflow.crystals.lattices import FloatArray
from glideflow.mobility.graph import LineGraph
from glideflow.mobility.samples import StepData
from glideflow.mobility.velocities import BOLTZMANN_EV_PER_K

REFERENCE_K: Final = 300.0
_LAW = Callable[[FloatArray, "NodeStates"], FloatArray]


@dataclass(frozen=True, eq=False, kw_only=True)
class NodeStates:
    """What the laws know of nodes; N nodes.

    Attributes:
        force_mpa_angstrom: (N,) glide component of the Peach-Koehler force.
        character_rad: (N,) character angle.
        temperature_k: (N,) temperature.
        burgers_angstrom: length of the Burgers vector.
    """

    force_mpa_angstrom: FloatArray
    character_rad: FloatArray
    temperature_k: FloatArray
    burgers_angstrom: float


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedLaw:
    """A law with its parameters.

    Attributes:
        name: what it is called.
        parameters: values by name, with units in the names.
        burgers_angstrom: length of the Burgers vector of the steps that it was fitted to.
    """

    name: str
    parameters: Mapping[str, float]
    burgers_angstrom: float

    def velocity_angstrom_per_ps(self, graph: LineGraph) -> FloatArray:
        """(N,) velocities of the nodes of a graph along their glide directions."""
        return LAWS[self.name].formula(np.array(list(self.parameters.values())), _states(graph, self.burgers_angstrom))


@dataclass(frozen=True)
class _Kind:
    """A law to be fitted.

    Attributes:
        formula: velocities from parameters and nodes.
        names: names of the parameters.
        start: where the fit starts.
        bounds: smallest and largest values.
    """

    formula: _LAW
    names: tuple[str, ...]
    start: tuple[float, ...]
    bounds: tuple[tuple[float, ...], tuple[float, ...]]


def fitted_laws(data: StepData, trajectories: Sequence[int]) -> tuple[FittedLaw, ...]:
    """Fit every law to the steps of some trajectories.

    Args:
        data: the steps.
        trajectories: numbers of the trajectories: those that networks are trained on.
    """
    steps = data.of(trajectories)
    burgers = float(np.mean([data.sources[number].burgers_angstrom for number in trajectories]))
    velocities = np.concatenate([step.target.observed_angstrom for step in steps]) / data.step_ps
    nodes = _joined([_states(step.graph, burgers) for step in steps], burgers)
    return tuple(_fitted(name, nodes, velocities) for name in LAWS)


def linear_drag(parameters: FloatArray, nodes: NodeStates) -> FloatArray:
    """Velocity v = f/B with one drag coefficient B in MPa·ps (1e-6 Pa·s)."""
    return np.asarray(nodes.force_mpa_angstrom / parameters[0])


def drag_by_character(parameters: FloatArray, nodes: NodeStates) -> FloatArray:
    """Velocity v = f/B with drag of phonons: B = (B_s cos²θ + B_e sin²θ)(1 + c (T/300 K - 1))."""
    screw, edge, slope = parameters
    cosine = np.cos(nodes.character_rad) ** 2
    heating = 1 + slope * (nodes.temperature_k / REFERENCE_K - 1)
    return np.asarray(nodes.force_mpa_angstrom / ((screw * cosine + edge * (1 - cosine)) * heating))


def bcc_law(parameters: FloatArray, nodes: NodeStates) -> FloatArray:
    """Velocity v = v_s cos²θ + v_e sin²θ with thermally activated screws and dragged edges.

    Screws move by pairs of kinks, v_s = f/B_s exp(-ΔG/2kT), where ΔG = ΔH₀ ([1 - (|τ|/τ_P)^p]^q - T/T₀), not below
    zero; edges by v_e = f/(B_e (1 + c (T/300 K - 1))).

    Source: Po et al., Acta Mater. 119, 123 (2016), without its non-Schmid stresses and with a constant drag of screws.
    """
    screw_drag, edge_drag, slope, enthalpy, peierls, p, q, athermal = parameters
    strength = np.clip(np.abs(nodes.force_mpa_angstrom) / nodes.burgers_angstrom / peierls, 0, 1)
    barrier = np.maximum(enthalpy * ((1 - strength**p) ** q - nodes.temperature_k / athermal), 0)
    activated = np.exp(-barrier / (2 * BOLTZMANN_EV_PER_K * nodes.temperature_k))
    screw = activated / screw_drag
    edge = 1 / (edge_drag * (1 + slope * (nodes.temperature_k / REFERENCE_K - 1)))
    cosine = np.cos(nodes.character_rad) ** 2
    return np.asarray(nodes.force_mpa_angstrom * (screw * cosine + edge * (1 - cosine)))


_DRAG = (1.0, 1e5)
LAWS: Final[Mapping[str, _Kind]] = {
    "linear drag": _Kind(linear_drag, ("drag_mpa_ps",), (100.0,), ((_DRAG[0],), (_DRAG[1],))),
    "linear drag by character and temperature": _Kind(
        drag_by_character,
        ("screw_drag_mpa_ps", "edge_drag_mpa_ps", "slope"),
        (200.0, 100.0, 0.3),
        ((_DRAG[0], _DRAG[0], 0.0), (_DRAG[1], _DRAG[1], 0.99)),
    ),
    "phenomenological bcc law": _Kind(
        bcc_law,
        (
            "screw_drag_mpa_ps",
            "edge_drag_mpa_ps",
            "slope",
            "kink_pair_enthalpy_ev",
            "peierls_stress_mpa",
            "p",
            "q",
            "athermal_temperature_k",
        ),
        (150.0, 100.0, 0.3, 0.3, 1500.0, 0.8, 1.5, 1000.0),
        ((_DRAG[0], _DRAG[0], 0.0, 0.0, 50.0, 0.1, 1.0, 100.0), (_DRAG[1], _DRAG[1], 0.99, 3.0, 1e4, 1.0, 2.0, 1e4)),
    ),
}
"""Laws by name."""


def _states(graph: LineGraph, burgers_angstrom: float) -> NodeStates:
    return NodeStates(
        force_mpa_angstrom=graph.glide_force_mpa_angstrom,
        character_rad=np.radians(graph.character_deg),
        temperature_k=graph.temperatures_k[graph.snapshots],
        burgers_angstrom=burgers_angstrom,
    )


def _joined(parts: Sequence[NodeStates], burgers_angstrom: float) -> NodeStates:
    names = ("force_mpa_angstrom", "character_rad", "temperature_k")
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return NodeStates(**arrays, burgers_angstrom=burgers_angstrom)


def _fitted(name: str, nodes: NodeStates, velocities: FloatArray) -> FittedLaw:
    from scipy.optimize import least_squares

    kind = LAWS[name]

    def residuals(parameters: FloatArray) -> FloatArray:
        return kind.formula(parameters, nodes) - velocities

    found = least_squares(
        residuals,
        kind.start,
        bounds=kind.bounds,
        x_scale=np.abs(kind.start),
        loss="soft_l1",
    )
    parameters = dict(zip(kind.names, map(float, found.x), strict=True))
    return FittedLaw(name=name, parameters=parameters, burgers_angstrom=nodes.burgers_angstrom)
