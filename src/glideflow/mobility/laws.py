"""Mobility laws as what moves dislocation lines asks for them: velocities of nodes, and how sure the law is of them.

`MobilityLaw` is the protocol. `LocalLaw` is a formula of force, character and temperature at each point, with given
parameters or fitted to glide velocities (`fit_law`); `EnsembleLaw` is a trained ensemble of graph networks.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import numpy as np

from glideflow.crystals.lattices import FloatArray
from glideflow.errors import ConvergenceError, PropertyError, StorageError
from glideflow.mobility.baselines import LAWS, NodeStates
from glideflow.mobility.graph import line_graph
from glideflow.mobility.line_forces import LineConditions
from glideflow.mobility.velocities import ANGSTROM_PER_PS_TO_M_PER_S, glide_velocity

if TYPE_CHECKING:
    from glideflow.mobility.artifacts import MobilityCard
    from glideflow.mobility.ensemble import MobilityEnsemble
    from glideflow.mobility.trajectory import Trajectory

DRAG_LAW: Final = "linear drag by character and temperature"
BCC_LAW: Final = "phenomenological bcc law"
FORMAT: Final = "glideflow/mobility-law/1"
_RELATIVE_STEP: Final = 1e-5
_SMALLEST_ERROR_M_PER_S: Final = 5.0


@dataclass(frozen=True, eq=False, kw_only=True)
class NodeVelocities:
    """Velocities of N nodes.

    Attributes:
        directions: (N, 3) unit vectors along which the nodes glide, m = n × t.
        speed_angstrom_per_ps: (N,) velocities along them, with their signs.
        spread_angstrom_per_ps: (N,) standard deviations of these; None where the law knows of none.
    """

    directions: FloatArray
    speed_angstrom_per_ps: FloatArray
    spread_angstrom_per_ps: FloatArray | None = None

    @property
    def vectors_angstrom_per_ps(self) -> FloatArray:
        """(N, 3) velocities."""
        return np.asarray(self.speed_angstrom_per_ps[:, None] * self.directions)


class MobilityLaw(Protocol):
    """A law by which dislocation lines move."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def burgers_angstrom(self) -> float | None:
        """Length of the Burgers vector of the lines that it was made for; None if that does not matter to it."""

    def node_velocities(self, conditions: LineConditions) -> NodeVelocities:
        """Velocities of the nodes of all lines, in their order."""

    def samples(self, count: int, seed: int) -> Sequence[MobilityLaw]:
        """Laws drawn from what this one is not sure of; empty where it knows of nothing.

        Args:
            count: how many at most.
            seed: of the draw.
        """


@runtime_checkable
class PointLaw(Protocol):
    """A law that needs nothing but force, character and temperature of a point."""

    def speed_angstrom_per_ps(
        self, force_mpa_angstrom: FloatArray, character_rad: FloatArray, temperature_k: float
    ) -> FloatArray:
        """(N,) velocities along the glide direction from (N,) forces per length and (N,) character angles."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LocalLaw:
    """A formula of `glideflow.mobility.baselines.LAWS` with its parameters.

    Attributes:
        name: name of the formula.
        parameters: values by name, with units in the names.
        burgers_angstrom: length of the Burgers vector.
        covariance: (K, K) covariance of the parameters in the order of the formula; None where it is not known.
        element: metal that it is of; empty if nobody said.
    """

    name: str
    parameters: Mapping[str, float]
    burgers_angstrom: float
    covariance: FloatArray | None = None
    element: str = ""

    def __post_init__(self) -> None:
        if self.name not in LAWS or sorted(self.parameters) != sorted(LAWS[self.name].names):
            raise PropertyError(
                f"a mobility law {self.name!r} with the parameters {', '.join(self.parameters) or 'none'}",
                expected="; ".join(f"{name!r} with {', '.join(kind.names)}" for name, kind in LAWS.items()),
                next_step="correct the name, or fit the law to trajectories: glideflow mobility law",
            )

    @property
    def values(self) -> FloatArray:
        """(K,) parameters in the order of the formula."""
        return np.array([self.parameters[name] for name in LAWS[self.name].names], dtype=float)

    def speed_angstrom_per_ps(
        self, force_mpa_angstrom: FloatArray, character_rad: FloatArray, temperature_k: float
    ) -> FloatArray:
        """(N,) velocities along the glide direction.

        Args:
            force_mpa_angstrom: (N,) glide component of the Peach-Koehler force per length.
            character_rad: (N,) angle from the Burgers vector to the line about the normal.
            temperature_k: temperature.
        """
        states = self._states(force_mpa_angstrom, character_rad, temperature_k)
        return LAWS[self.name].formula(self.values, states)

    def spread_angstrom_per_ps(
        self, force_mpa_angstrom: FloatArray, character_rad: FloatArray, temperature_k: float
    ) -> FloatArray | None:
        """(N,) standard deviations of the same, to first order in the parameters: √(gᵀ C g) with g = ∂v/∂p."""
        if self.covariance is None:
            return None
        states = self._states(force_mpa_angstrom, character_rad, temperature_k)
        slopes = _slopes(self.name, self.values, states)  # (N, K)
        return np.asarray(np.sqrt(np.einsum("nk,kl,nl->n", slopes, self.covariance, slopes).clip(min=0)))

    def node_velocities(self, conditions: LineConditions) -> NodeVelocities:
        """Velocities of the nodes of all lines."""
        nodes = conditions.geometry.at_nodes
        given = (conditions.force_mpa_angstrom, nodes.character_rad, conditions.temperature_k)
        return NodeVelocities(
            directions=nodes.glide_direction,
            speed_angstrom_per_ps=self.speed_angstrom_per_ps(*given),
            spread_angstrom_per_ps=self.spread_angstrom_per_ps(*given),
        )

    def samples(self, count: int, seed: int) -> Sequence[LocalLaw]:
        """Laws with parameters drawn from their normal distribution, cut to what the formula allows."""
        if self.covariance is None:
            return ()
        random = np.random.default_rng(seed)
        drawn = random.multivariate_normal(self.values, self.covariance, size=count, method="eigh")
        names, bounds = LAWS[self.name].names, LAWS[self.name].bounds
        return [
            dataclasses.replace(self, parameters=dict(zip(names, map(float, row), strict=True)), covariance=None)
            for row in np.clip(drawn, *bounds)
        ]

    def _states(self, force: FloatArray, character_rad: FloatArray, temperature_k: float) -> NodeStates:
        return NodeStates(
            force_mpa_angstrom=np.asarray(force, dtype=float),
            character_rad=np.asarray(character_rad, dtype=float),
            temperature_k=np.full(np.shape(force), float(temperature_k)),
            burgers_angstrom=self.burgers_angstrom,
        )


def drag_law(
    *, screw_drag_mpa_ps: float, edge_drag_mpa_ps: float, burgers_angstrom: float, slope: float = 0.0
) -> LocalLaw:
    """Linear viscous drag, v = f/B with B = (B_s cos²θ + B_e sin²θ)(1 + c (T/300 K - 1)).

    Args:
        screw_drag_mpa_ps: drag coefficient B_s of a screw at 300 K in MPa·ps (1e-6 Pa·s).
        edge_drag_mpa_ps: B_e of an edge.
        burgers_angstrom: length of the Burgers vector.
        slope: share c of the drag that is proportional to the temperature: phonons.
    """
    parameters = {"screw_drag_mpa_ps": screw_drag_mpa_ps, "edge_drag_mpa_ps": edge_drag_mpa_ps, "slope": slope}
    return LocalLaw(name=DRAG_LAW, parameters=parameters, burgers_angstrom=burgers_angstrom)


def bcc_law(
    *,
    screw_drag_mpa_ps: float,
    edge_drag_mpa_ps: float,
    kink_pair_enthalpy_ev: float,
    peierls_stress_mpa: float,
    burgers_angstrom: float,
    p: float,
    q: float,
    athermal_temperature_k: float,
    slope: float = 0.0,
) -> LocalLaw:
    """Screws by thermally activated kink pairs and edges by drag; see `glideflow.mobility.baselines.bcc_law`.

    The form is that of Po et al., Acta Mater. 119, 123 (2016), after Kocks, Argon and Ashby (1975): 0 < p ≤ 1 ≤ q ≤ 2.

    Args:
        screw_drag_mpa_ps: drag coefficient of a screw above its barrier, in MPa·ps.
        edge_drag_mpa_ps: drag coefficient of an edge at 300 K.
        kink_pair_enthalpy_ev: activation enthalpy ΔH₀ without stress.
        peierls_stress_mpa: stress τ_P at which the barrier is gone.
        burgers_angstrom: length of the Burgers vector.
        p: first exponent of ΔH₀ [1 - (τ/τ_P)^p]^q.
        q: second exponent.
        athermal_temperature_k: temperature T₀ at which the entropy has taken the barrier away.
        slope: share of the drag of edges that is proportional to the temperature.
    """
    given = locals()
    parameters = {name: given[name] for name in LAWS[BCC_LAW].names}
    return LocalLaw(name=BCC_LAW, parameters=parameters, burgers_angstrom=burgers_angstrom)


@dataclass(frozen=True, eq=False)
class EnsembleLaw:
    """A trained ensemble of graph networks as a law.

    Its velocities are the mean of the better half of the members, their spread the standard deviation over these, times
    the factor by which held-out errors exceeded it, if the card knows one (`MobilityCard.spread_factor`). It sees the
    stress as it was trained to, with its own elastic medium and Gauss points.

    Attributes:
        ensemble: the networks.
        name: what it is called.
        burgers_angstrom: length of the Burgers vector of the lines that it was trained on; None if nobody said.
        card: what it was trained on and how well it did; None if nobody said.
    """

    ensemble: MobilityEnsemble
    name: str = "PI-GNN"
    burgers_angstrom: float | None = None
    card: MobilityCard | None = None

    def node_velocities(self, conditions: LineConditions) -> NodeVelocities:
        """Velocities of the nodes of all lines."""
        graph = line_graph(
            conditions.frame, conditions.applied_stress_mpa, conditions.temperature_k, self.ensemble.features
        )
        found = self.ensemble.predict(graph)
        alone = len(found.members_angstrom_per_ps) == 1
        factor = 1.0 if self.card is None else self.card.spread_factor
        return NodeVelocities(
            directions=graph.glide_directions,
            speed_angstrom_per_ps=found.velocity_angstrom_per_ps,
            spread_angstrom_per_ps=None if alone else factor * found.spread_angstrom_per_ps,
        )

    def samples(self, count: int, seed: int) -> Sequence[EnsembleLaw]:
        """Single members of the better half, in an order that the seed decides."""
        best = self.ensemble.best()
        if len(best) < 2:
            return ()
        chosen = np.random.default_rng(seed).permutation(best)[:count]
        members = [self.ensemble.members[int(number)] for number in chosen]
        ensembles = [dataclasses.replace(self.ensemble, members=(each,)) for each in members]
        return [dataclasses.replace(self, ensemble=each) for each in ensembles]


@dataclass(frozen=True, kw_only=True)
class MeasuredVelocity:
    """Glide velocity of straight lines under a resolved shear stress.

    Attributes:
        angle_deg: character angle of the lines.
        stress_mpa: resolved shear stress.
        temperature_k: temperature.
        velocity_m_per_s: velocity, positive where the stress drives the line.
        error_m_per_s: standard error.
        burgers_angstrom: length of the Burgers vector.
        element: metal.
    """

    angle_deg: float
    stress_mpa: float
    temperature_k: float
    velocity_m_per_s: float
    error_m_per_s: float
    burgers_angstrom: float
    element: str = ""


def measured_velocity(trajectory: Trajectory, *, startup_ps: float | None = None) -> MeasuredVelocity:
    """What a trajectory of a dipole says of a mobility law.

    The two lines of a periodic dipole pull and push each other, but not on average once they pass: what drives them is
    the applied stress. Its error is the larger of that of `glide_velocity` and the floor of thermal motion.

    Args:
        trajectory: of a dipole.
        startup_ps: time at its beginning that is left out; None as it was set up.

    Raises:
        PropertyError: it is one of a loop, whose lines act on themselves, or too short.
    """
    angle = trajectory.cell.character_angle_deg
    if angle is None:
        raise PropertyError(
            f"a trajectory of a {trajectory.cell.kind} has no velocity at one angle and stress",
            expected="trajectories of dipoles",
            next_step="leave it out of the fit",
        )
    found = glide_velocity(trajectory, startup_ps=startup_ps)
    errors = [found.error_m_per_s, found.thermal_floor_m_per_s]
    return MeasuredVelocity(
        angle_deg=angle,
        stress_mpa=trajectory.scenario.stress_mpa,
        temperature_k=trajectory.scenario.temperature_k,
        velocity_m_per_s=found.velocity_m_per_s,
        error_m_per_s=max(error for error in errors if not np.isnan(error)),
        burgers_angstrom=float(np.linalg.norm(trajectory.cell.burgers_angstrom)),
        element=trajectory.cell.element,
    )


def fit_law(name: str, measured: Sequence[MeasuredVelocity], *, fixed: Mapping[str, float] | None = None) -> LocalLaw:
    """Fit a law to glide velocities by weighted least squares.

    The weights are the inverse errors, of which none counts as smaller than 5 m/s. The covariance of the parameters is
    (JᵀJ)⁻¹ of the weighted residuals, times χ² per degree of freedom where that is above one: a formula that misses the
    velocities by more than their errors is not surer than it misses them by.

    Args:
        name: of the formula, one of `glideflow.mobility.baselines.LAWS`.
        measured: the velocities, at least as many as parameters that are fitted.
        fixed: parameters that are known, by name.

    Raises:
        PropertyError: the formula or a fixed parameter is unknown, there are too few velocities, or none depends on one
            of the parameters.
        ConvergenceError: the fit did not end.
    """
    from scipy.optimize import least_squares

    given = dict(fixed or {})
    _refuse_fit(name, measured, given)
    kind = LAWS[name]
    free = [number for number, parameter in enumerate(kind.names) if parameter not in given]
    burgers = float(np.mean([each.burgers_angstrom for each in measured]))
    states, velocities, errors = _as_arrays(measured, burgers)
    values = np.array([given.get(each, start) for each, start in zip(kind.names, kind.start, strict=True)])

    def residuals(chosen: FloatArray) -> FloatArray:
        values[free] = chosen
        return np.asarray((kind.formula(values, states) - velocities) / errors)

    lowest, highest = (np.array(bound)[free] for bound in kind.bounds)
    start = values[free].copy()
    found = least_squares(residuals, start, bounds=(lowest, highest), x_scale=np.abs(start))
    if not found.success:
        raise ConvergenceError(f"the fit of the law {name!r}: {found.message}", next_step="fix some of its parameters")
    values[free] = found.x
    jacobian = np.asarray(found.jac)
    _refuse_unseen([kind.names[number] for number in free], jacobian * np.abs(start))
    covariance = np.zeros((len(values), len(values)))
    covariance[np.ix_(free, free)] = _covariance(jacobian, found.fun, np.abs(start))
    return LocalLaw(
        name=name,
        parameters=dict(zip(kind.names, map(float, values), strict=True)),
        burgers_angstrom=burgers,
        covariance=covariance,
        element=measured[0].element,
    )


def _refuse_fit(name: str, measured: Sequence[MeasuredVelocity], given: Mapping[str, float]) -> None:
    known = LAWS[name].names if name in LAWS else ()
    if not known or not set(given) <= set(known):
        raise PropertyError(
            f"the law {name!r} with the fixed parameters {', '.join(given) or 'none'}",
            expected="; ".join(f"{each!r} with {', '.join(kind.names)}" for each, kind in LAWS.items()),
            next_step="correct the name",
        )
    for parameter, lowest, highest in zip(known, *LAWS[name].bounds, strict=True):
        if not lowest <= given.get(parameter, lowest) <= highest:
            raise PropertyError(
                f"{parameter} fixed at {given[parameter]:g}",
                expected=f"a value between {lowest:g} and {highest:g}",
                next_step="correct it, or let it be fitted",
            )
    wanted = len(known) - len(given)
    if len(measured) < max(1, wanted):
        raise PropertyError(
            f"{len(measured)} velocities for {wanted} parameters of the law {name!r}",
            expected="at least as many velocities as parameters",
            next_step="give more trajectories, fix parameters, or take a law with fewer",
        )


def _refuse_unseen(names: Sequence[str], jacobian: FloatArray) -> None:
    sizes = np.abs(jacobian).max(axis=0)
    unseen = [name for name, size in zip(names, sizes, strict=True) if not size > 1e-12 * sizes.max()]
    if unseen:
        raise PropertyError(
            f"velocities of which none depends on {', '.join(unseen)}",
            expected="other angles, stresses or temperatures among them as well",
            next_step="give more trajectories, or fix these parameters",
        )


def _as_arrays(measured: Sequence[MeasuredVelocity], burgers: float) -> tuple[NodeStates, FloatArray, FloatArray]:
    states = NodeStates(
        force_mpa_angstrom=np.array([each.stress_mpa * burgers for each in measured]),
        character_rad=np.radians([each.angle_deg for each in measured]),
        temperature_k=np.array([each.temperature_k for each in measured]),
        burgers_angstrom=burgers,
    )
    velocities = np.array([each.velocity_m_per_s for each in measured])
    errors = np.maximum([each.error_m_per_s for each in measured], _SMALLEST_ERROR_M_PER_S)
    return states, velocities / ANGSTROM_PER_PS_TO_M_PER_S, errors / ANGSTROM_PER_PS_TO_M_PER_S


def _covariance(jacobian: FloatArray, residuals: FloatArray, scale: FloatArray) -> FloatArray:
    """(F, F) covariance of fitted parameters."""
    scaled = jacobian * scale
    inverse = np.linalg.pinv(scaled.T @ scaled)
    degrees = max(1, len(residuals) - jacobian.shape[1])
    excess = max(1.0, float(residuals @ residuals) / degrees)
    return np.asarray(excess * inverse * np.outer(scale, scale))


def _slopes(name: str, values: FloatArray, states: NodeStates) -> FloatArray:
    """(N, K) derivatives of velocities with respect to the parameters, by central differences."""
    columns = []
    for number, value in enumerate(values):
        step = np.zeros(len(values))
        step[number] = _RELATIVE_STEP * max(abs(value), 1e-3)
        ahead, back = (LAWS[name].formula(values + sign * step, states) for sign in (1, -1))
        columns.append((ahead - back) / (2 * step[number]))
    return np.stack(columns, axis=1)


def write_law(path: Path, law: LocalLaw) -> None:
    """Write a local law as JSON.

    Raises:
        StorageError: the file cannot be written.
    """
    from glideflow.atomic import write_text

    document = {"format": FORMAT, **dataclasses.asdict(law)}
    document["parameters"] = dict(law.parameters)
    document["covariance"] = None if law.covariance is None else law.covariance.tolist()
    write_text(path, json.dumps(document, indent=2) + "\n")


def read_law(path: Path) -> MobilityLaw:
    """Read a law: JSON of `write_law`, or a folder or ``*.safetensors`` of `glideflow mobility train`.

    Raises:
        StorageError: there is none, or it is damaged.
        PropertyError: its formula or parameters are unknown.
        DependencyError: a network, and PyTorch is not installed.
    """
    if path.is_dir() or path.suffix == ".safetensors":
        from glideflow.packages import refuse_without_torch

        refuse_without_torch("mobility")
        from glideflow.mobility.artifacts import read_ensemble

        ensemble, card = read_ensemble(path)
        return EnsembleLaw(ensemble, card.name, card.burgers_angstrom, card)
    return _local_law(path, _document(path))


def _document(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path} is no mobility law: {error}",
            expected="JSON of `glideflow mobility law`, or a model of `glideflow mobility train`",
            next_step="correct the path; without --law the ensemble that ships with glideflow is taken",
        ) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise StorageError(
            f"{path} is JSON, but no mobility law",
            expected=f'"format": "{FORMAT}"',
            next_step="make one with `glideflow mobility law`",
        )
    return document


def _local_law(path: Path, document: Mapping[str, Any]) -> LocalLaw:
    try:
        covariance = document["covariance"]
        return LocalLaw(
            name=str(document["name"]),
            parameters={str(name): float(value) for name, value in document["parameters"].items()},
            burgers_angstrom=float(document["burgers_angstrom"]),
            covariance=None if covariance is None else np.array(covariance, dtype=float),
            element=str(document["element"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(
            f"{path} is a mobility law with {error!r} missing or wrong",
            expected="name, parameters, burgers_angstrom, covariance and element",
            next_step="make it anew with `glideflow mobility law`",
        ) from error
