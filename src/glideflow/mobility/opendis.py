"""Mobility laws for OpenDiS (https://github.com/OpenDiS/OpenDiS), open dislocation dynamics with Python drivers.

`OpenDisMobility` has the interface of OpenDiS' mobility modules, ``Mobility(DM, state)`` and ``OneNodeMobility(DM,
state, tag, f)``, and knows a network only by what ``DM.export_data()`` gives: pydis and ExaDiS alike, and neither is
imported. OpenDiS measures lengths in units of ``burgmag`` (in m), stresses in Pa and times in s; Burgers vectors belong
to the sense from the first to the second node of a segment, as here, with the force (σ·b) × t.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from glideflow.config.mobility_network import MobilityFeatureSettings
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import PropertyError
from glideflow.mobility.extraction import DislocationLine
from glideflow.mobility.graph import slip_normal
from glideflow.mobility.laws import MobilityLaw, PointLaw
from glideflow.mobility.line_forces import LineConditions
from glideflow.mobility.trajectory import LineFrame
from glideflow.mobility.velocities import ANGSTROM_PER_PS_TO_M_PER_S

PINNED: Final = 7
"""Constraint of nodes that do not move, in OpenDiS as in ParaDiS."""
_ANGSTROM_PER_M: Final = 1e10
_MPA_PER_PA: Final = 1e-6
_SMALLEST_FORCE_MPA_ANGSTROM: Final = 1e-3
_INDEPENDENT: Final = 1e-6
_PARALLEL: Final = 1e-3

Tag = tuple[int, int]


class ExportsNetwork(Protocol):
    """What a mobility needs of OpenDiS' ``DisNetManager``."""

    def export_data(self) -> Mapping[str, Any]:
        """Cell, nodes and segments as arrays."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Network:
    """A dislocation network in Å; N nodes, S segments, each of which is an arm of both of its nodes.

    Attributes:
        cell_angstrom: (3, 3) cell vectors as rows.
        periodic: whether the cell is periodic along each of them.
        tags: tags of the nodes: domain and number.
        positions_angstrom: (N, 3) nodes.
        pinned: (N,) whether a node is held.
        nodes: (S, 2) numbers of the nodes of each segment.
        vectors_angstrom: (S, 3) from the first to the nearest image of the second node.
        burgers_angstrom: (S, 3) Burgers vectors in that sense.
        normals: (S, 3) unit normals of the glide planes; zero where there is none.
    """

    cell_angstrom: FloatArray
    periodic: tuple[bool, bool, bool]
    tags: tuple[Tag, ...]
    positions_angstrom: FloatArray
    pinned: FloatArray
    nodes: IntArray
    vectors_angstrom: FloatArray
    burgers_angstrom: FloatArray
    normals: FloatArray


def read_network(data: Mapping[str, Any], burgmag_m: float) -> Network:
    """The network that ``DM.export_data()`` gives.

    Args:
        data: ``cell`` with ``h`` (columns are cell vectors) and ``is_periodic``, ``nodes`` with ``tags``, ``positions``
            and ``constraints``, ``segs`` with ``nodeids``, ``burgers`` and ``planes``.
        burgmag_m: unit of length in m.

    Raises:
        PropertyError: a part is missing, or a number is not finite.
    """
    unit = burgmag_m * _ANGSTROM_PER_M
    try:
        cell, given, segments = data["cell"], data["nodes"], data["segs"]
        box = np.asarray(cell["h"], dtype=float).T * unit
        x, y, z = (bool(each) for each in cell["is_periodic"])
        tags = tuple((int(domain), int(number)) for domain, number in np.asarray(given["tags"]))
        positions = np.asarray(given["positions"], dtype=float).reshape(-1, 3) * unit
        constraints = np.asarray(given["constraints"]).reshape(-1)
        nodes = np.asarray(segments["nodeids"]).astype(np.int64).reshape(-1, 2)
        burgers = np.asarray(segments["burgers"], dtype=float).reshape(-1, 3) * unit
        planes = np.asarray(segments["planes"], dtype=float).reshape(-1, 3)
    except (KeyError, TypeError, ValueError) as error:
        raise PropertyError(
            f"data of a dislocation network with {error!r} missing or wrong",
            expected="what DisNetManager.export_data() of OpenDiS gives: cell, nodes, segs",
            next_step="take a version of OpenDiS with this layout (2024 or later)",
        ) from error
    _refuse_misfit(box, nodes, len(positions), (burgers, planes))
    vectors = _nearest(positions[nodes[:, 1]] - positions[nodes[:, 0]], box, (x, y, z))
    _refuse_odd(positions, vectors, tags, nodes)
    return Network(
        cell_angstrom=box,
        periodic=(x, y, z),
        tags=tags,
        positions_angstrom=positions,
        pinned=constraints == PINNED,
        nodes=nodes,
        vectors_angstrom=vectors,
        burgers_angstrom=burgers,
        normals=_units(planes),
    )


class OpenDisMobility:
    """A mobility law as a mobility module of OpenDiS.

    A law of force, character and temperature (`glideflow.mobility.laws.PointLaw`) takes the nodal forces of OpenDiS and
    any network. A law of whole lines, such as an ensemble of graph networks, takes their geometry and the applied
    stress: it needs a periodic cell whose first two vectors span the one slip plane, and lines without junctions.

    Args:
        law: the law.
        state: OpenDiS' state with ``burgmag``, the unit of length in m.
        temperature_k: temperature.
        medium: elastic medium for laws of whole lines; None takes the default one.
        largest_speed_m_per_s: speed to which velocities are cut; None does not.

    Raises:
        PropertyError: the state has no ``burgmag``, or the temperature is none.
    """

    def __init__(
        self,
        law: MobilityLaw | PointLaw,
        state: Mapping[str, Any],
        *,
        temperature_k: float,
        medium: MobilityFeatureSettings | None = None,
        largest_speed_m_per_s: float | None = None,
    ) -> None:
        burgmag = float(state.get("burgmag", 0.0))
        if not burgmag > 0:
            raise PropertyError(
                f"burgmag = {burgmag:g} in the state of OpenDiS",
                expected="the length of the Burgers vector in m, which is its unit of length",
                next_step='set state["burgmag"], e.g. 2.48e-10',
            )
        if not 0 < temperature_k < math.inf:
            raise PropertyError(
                f"a temperature of {temperature_k:g} K",
                expected="a finite temperature above zero",
                next_step="correct temperature_k",
            )
        self.law = law
        self.temperature_k = temperature_k
        self.medium = medium or MobilityFeatureSettings()
        self.burgmag_m = burgmag
        self.largest_speed_m_per_s = largest_speed_m_per_s

    def Mobility(self, DM: ExportsNetwork, state: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Velocities of all nodes, in burgmag per second.

        Args:
            DM: the network.
            state: with ``nodeforces`` and ``nodeforcetags``, or ``nodeforce_dict``, in Pa·burgmag²; laws of whole lines
                take ``applied_stress`` instead, in Pa, in the order xx, yy, zz, yz, xz, xy.

        Returns:
            the state, with ``nodevels`` (N, 3), ``nodeveltags`` (N, 2) and ``vel_dict``.

        Raises:
            PropertyError: the network or the state is not what the law needs.
        """
        network = read_network(DM.export_data(), self.burgmag_m)
        velocities = self._velocities(network, state, self._forces(network, state))
        state["nodevels"] = velocities
        state["nodeveltags"] = np.array(network.tags, dtype=np.int64).reshape(-1, 2)
        state["vel_dict"] = dict(zip(network.tags, velocities, strict=True))
        return state

    def OneNodeMobility(
        self, DM: ExportsNetwork, state: MutableMapping[str, Any], tag: Tag, f: FloatArray, update_state: bool = True
    ) -> FloatArray:
        """Velocity of one node in burgmag per second.

        Args:
            DM: the network.
            state: see `Mobility`.
            tag: the node.
            f: (3,) force on it in Pa·burgmag²; laws of whole lines do not look at it.
            update_state: write the velocity into the state as well.

        Raises:
            PropertyError: as `Mobility`; there is no such node.
        """
        network = read_network(DM.export_data(), self.burgmag_m)
        own = (int(tag[0]), int(tag[1]))
        if own not in network.tags:
            raise PropertyError(f"no node with the tag {own} in the network", expected="a tag of one of its nodes")
        number = network.tags.index(own)
        forces = np.zeros((len(network.tags), 3))
        forces[number] = f
        velocity = np.asarray(self._velocities(network, state, forces)[number])
        if update_state:
            _put(state, own, velocity)
        return velocity

    def _velocities(self, network: Network, state: Mapping[str, Any], forces: FloatArray) -> FloatArray:
        """(N, 3) velocities in burgmag per second from (N, 3) forces in Pa·burgmag²."""
        if isinstance(self.law, PointLaw):
            unit = self.burgmag_m * _ANGSTROM_PER_M
            found = point_velocities(self.law, network, forces * _MPA_PER_PA * unit**2, self.temperature_k)
        else:
            stress = _tensor_mpa(state)
            found = line_velocities(self.law, network, stress, self.temperature_k, self.medium)
        found = found * ANGSTROM_PER_PS_TO_M_PER_S
        if self.largest_speed_m_per_s is not None:
            speed = np.linalg.norm(found, axis=1, keepdims=True)
            found = found * np.minimum(1.0, self.largest_speed_m_per_s / np.maximum(speed, 1e-300))
        return np.asarray(found / self.burgmag_m)

    def _forces(self, network: Network, state: Mapping[str, Any]) -> FloatArray:
        """(N, 3) forces in the order of the nodes, zero where the law does not need them."""
        if not isinstance(self.law, PointLaw):
            return np.zeros((len(network.tags), 3))
        if "nodeforces" in state and "nodeforcetags" in state:
            tags = [(int(domain), int(number)) for domain, number in np.asarray(state["nodeforcetags"])]
            given = dict(zip(tags, np.asarray(state["nodeforces"], dtype=float), strict=True))
        else:
            given = {(int(tag[0]), int(tag[1])): force for tag, force in state.get("nodeforce_dict", {}).items()}
        missing = [tag for tag in network.tags if tag not in given]
        if missing:
            raise PropertyError(
                f"a state of OpenDiS without the forces on {len(missing)} of {len(network.tags)} nodes",
                expected="nodeforces and nodeforcetags, or nodeforce_dict, for every node",
                next_step="compute them first: CalForce.NodeForce(DM, state)",
            )
        return np.array([given[tag] for tag in network.tags], dtype=float).reshape(-1, 3)


def point_velocities(
    law: PointLaw, network: Network, force_mpa_angstrom2: FloatArray, temperature_k: float
) -> FloatArray:
    """(N, 3) velocities in Å/ps by a law of force, character and temperature.

    Each arm has the drag B = f/v(f) that the law gives for the glide component f of the force per length of the node;
    the node has v = F / Σ ½ L B over its arms of the length L, without what leaves one of their glide planes. On a
    straight line that is the velocity of the law itself. An arm without a plane glides on that of its Burgers vector
    and direction, a screw in any direction.

    Args:
        law: the law.
        network: the network.
        force_mpa_angstrom2: (N, 3) forces on the nodes.
        temperature_k: temperature.
    """
    nodes = network.nodes.T.ravel()  # (2 S,) both ends of every segment
    lengths = np.tile(np.linalg.norm(network.vectors_angstrom, axis=1), 2)
    tangents = np.tile(network.vectors_angstrom, (2, 1)) / lengths[:, None]
    burgers, normals = (np.tile(each, (2, 1)) for each in (network.burgers_angstrom, network.normals))
    shares = np.bincount(nodes, weights=lengths / 2, minlength=len(network.tags))
    per_length = (force_mpa_angstrom2 / np.maximum(shares, 1e-300)[:, None])[nodes]  # (2 S, 3)
    force, character = _on_arms(per_length, tangents, burgers, normals)
    force = np.maximum(np.abs(force), _SMALLEST_FORCE_MPA_ANGSTROM)
    speed = law.speed_angstrom_per_ps(force, character, temperature_k)
    with np.errstate(divide="ignore"):
        drag = lengths / 2 * force / speed
    total = np.bincount(nodes, weights=drag, minlength=len(network.tags))
    free = (total > 0) & ~network.pinned.astype(bool)
    velocity = np.where(free[:, None], force_mpa_angstrom2 / np.where(free, total, 1.0)[:, None], 0.0)
    return np.asarray(np.einsum("nij,nj->ni", _in_planes(nodes, normals, len(network.tags)), velocity))


def line_velocities(
    law: MobilityLaw,
    network: Network,
    applied_stress_mpa: FloatArray,
    temperature_k: float,
    medium: MobilityFeatureSettings,
) -> FloatArray:
    """(N, 3) velocities in Å/ps by a law of whole lines.

    Args:
        law: the law.
        network: closed and infinite lines without junctions, in a periodic cell whose first two vectors span their slip
            plane.
        applied_stress_mpa: (3, 3) applied stress.
        temperature_k: temperature.
        medium: elastic medium.

    Raises:
        PropertyError: the network is not of that kind.
    """
    _refuse_unlike(network)
    lines, order = lines_of(network)
    frame = LineFrame(
        time_ps=0.0,
        cell_angstrom=network.cell_angstrom,
        stress_mpa=applied_stress_mpa,
        temperature_k=temperature_k,
        lines=lines,
    )
    conditions = LineConditions(
        frame=frame, applied_stress_mpa=applied_stress_mpa, temperature_k=temperature_k, medium=medium
    )
    velocities = np.zeros((len(network.tags), 3))
    velocities[order] = law.node_velocities(conditions).vectors_angstrom_per_ps
    velocities[network.pinned.astype(bool)] = 0.0
    return velocities


def lines_of(network: Network) -> tuple[tuple[DislocationLine, ...], IntArray]:
    """Lines of a network of which every node has two arms, and (N,) the numbers of the nodes in their order.

    Raises:
        PropertyError: a node has another number of arms, or the Burgers vector changes along a line.
    """
    arms: dict[int, list[tuple[int, int]]] = {number: [] for number in range(len(network.tags))}
    for segment, (first, second) in enumerate(network.nodes.tolist()):
        arms[first].append((segment, second))
        arms[second].append((segment, first))
    odd = [network.tags[number] for number, own in arms.items() if len(own) != 2]
    if odd:
        raise PropertyError(
            f"{len(odd)} nodes of the network that have not two arms, the first of them {odd[0]}",
            expected="closed or infinite lines without junctions and ends",
            next_step="take a law of force, character and temperature, such as glideflow.mobility.laws.bcc_law",
        )
    lines, order = [], []
    left = set(range(len(network.nodes)))
    while left:
        line, nodes = _walked(network, arms, left)
        lines.append(line)
        order.extend(nodes)
    return tuple(lines), np.array(order, dtype=np.int64)


def _walked(
    network: Network, arms: Mapping[int, list[tuple[int, int]]], left: set[int]
) -> tuple[DislocationLine, list[int]]:
    """The line of the first segment that is left, in the sense of that segment; takes its segments away."""
    segment = min(left)
    node = int(network.nodes[segment, 0])
    nodes, place = [], network.positions_angstrom[node].copy()
    places, burgers = [], network.burgers_angstrom[segment]
    while segment in left:
        left.discard(segment)
        forward = 1.0 if network.nodes[segment, 0] == node else -1.0
        _refuse_change(forward * network.burgers_angstrom[segment] - burgers, burgers, network.tags[node])
        nodes.append(node)
        places.append(place.copy())
        place += forward * network.vectors_angstrom[segment]
        following = int(network.nodes[segment].sum()) - node
        (other,) = [each for each, _ in arms[following] if each != segment]
        segment, node = other, following
    inverse = np.linalg.inv(network.cell_angstrom)
    period = np.rint((place - places[0]) @ inverse).astype(np.int64)
    line = DislocationLine(
        nodes_fractional=np.array(places) @ inverse,
        period=period,
        burgers_angstrom=burgers,
        topology="infinite" if period.any() else "closed",
    )
    return line, nodes


def _refuse_change(difference: FloatArray, burgers: FloatArray, tag: Tag) -> None:
    if np.abs(difference).max() > _PARALLEL * np.abs(burgers).max():
        raise PropertyError(
            f"a line whose Burgers vector changes at the node {tag}",
            expected="one Burgers vector along each line",
            next_step="look at the network: DisNet.is_sane()",
        )


def _refuse_unlike(network: Network) -> None:
    if not all(network.periodic):
        raise PropertyError(
            "a cell that is not periodic in all directions",
            expected="a periodic cell: the law sees the stress of all periodic images",
            next_step="make it periodic, or take a law of force, character and temperature",
        )
    across = np.linalg.norm(np.cross(network.normals, slip_normal(network.cell_angstrom)), axis=1)
    climbing = np.abs(_units(network.vectors_angstrom) @ slip_normal(network.cell_angstrom))
    worst = float(max(across.max(initial=0.0), climbing.max(initial=0.0)))
    if worst > 0.1:
        raise PropertyError(
            f"glide planes or segments that are inclined to the first two cell vectors, by a sine of {worst:.2f}",
            expected="one slip plane, spanned by the first two vectors of the cell",
            next_step="turn the cell into the frame of the plane, or take a law of force, character and temperature",
        )


def _on_arms(
    force: FloatArray, tangents: FloatArray, burgers: FloatArray, normals: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(A,) glide components of (A, 3) forces per length on arms, and (A,) character angles."""
    across = force - np.einsum("ai,ai->a", force, tangents)[:, None] * tangents
    own = np.cross(burgers, tangents)
    screw = np.linalg.norm(own, axis=1) < _PARALLEL * np.linalg.norm(burgers, axis=1)
    # A screw without a plane is free to glide along the force: on the plane of the force and its line.
    natural = np.where(screw[:, None], np.cross(tangents, across), own)
    given = np.linalg.norm(normals, axis=1) > 0.5
    planes = np.where(given[:, None], normals, _units(natural))
    component = np.einsum("ai,ai->a", force, np.cross(planes, tangents))
    character = np.arctan2(
        np.einsum("ai,ai->a", np.cross(burgers, tangents), planes), np.einsum("ai,ai->a", burgers, tangents)
    )
    return component, character


def _in_planes(nodes: IntArray, normals: FloatArray, count: int) -> FloatArray:
    """(N, 3, 3) projectors on what all glide planes of the arms of a node have in common."""
    spanned = np.zeros((count, 3, 3))
    np.add.at(spanned, nodes, np.einsum("ai,aj->aij", normals, normals))
    sizes, axes = np.linalg.eigh(spanned)
    free = (sizes <= _INDEPENDENT).astype(float)
    return np.asarray(np.einsum("nij,nj,nkj->nik", axes, free, axes))


def _units(vectors: FloatArray) -> FloatArray:
    """(A, 3) unit vectors; those without length stay zero."""
    size = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(size > 0, size, 1.0))


def _nearest(vectors: FloatArray, cell: FloatArray, periodic: tuple[bool, bool, bool]) -> FloatArray:
    fractional = np.linalg.solve(cell.T, vectors.T).T
    return np.asarray((fractional - np.rint(fractional) * np.array(periodic)) @ cell)


def _refuse_misfit(box: FloatArray, nodes: IntArray, count: int, of_segments: Sequence[FloatArray]) -> None:
    """Refuse a network whose cell, segments and nodes do not fit together."""
    odd = [
        (box.shape != (3, 3) or not abs(np.linalg.det(box)) > 0, "a cell without volume"),
        (any(len(each) != len(nodes) for each in of_segments), "another number of Burgers vectors or planes"),
        (not all(np.isfinite(each).all() for each in of_segments), "a Burgers vector or plane that is not finite"),
        (bool(len(nodes)) and not 0 <= nodes.min() <= nodes.max() < count, "a segment that ends at no node"),
    ]
    found = [text for is_odd, text in odd if is_odd]
    if found:
        raise PropertyError(
            f"a dislocation network with {', '.join(found)}",
            expected=f"segments between {count} nodes with a finite Burgers vector and plane each",
            next_step="look at the network: DisNet.is_sane()",
        )


def _refuse_odd(positions: FloatArray, vectors: FloatArray, tags: tuple[Tag, ...], nodes: IntArray) -> None:
    bad = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if len(bad):
        raise PropertyError(f"the position of the node {tags[bad[0]]} is not finite", expected="finite numbers")
    short = np.flatnonzero(np.linalg.norm(vectors, axis=1) == 0)
    if len(short):
        first, second = nodes[short[0]]
        raise PropertyError(
            f"a segment without length between the nodes {tags[first]} and {tags[second]}",
            expected="nodes that are apart",
            next_step="remesh the network",
        )


def _tensor_mpa(state: Mapping[str, Any]) -> FloatArray:
    """(3, 3) applied stress in MPa."""
    values = np.asarray(state.get("applied_stress", np.full(6, np.nan)), dtype=float).ravel()
    if values.shape != (6,) or not np.isfinite(values).all():
        raise PropertyError(
            f"an applied stress of {values.tolist()} in the state of OpenDiS",
            expected="six numbers in Pa: xx, yy, zz, yz, xz, xy",
            next_step='set state["applied_stress"]',
        )
    xx, yy, zz, yz, xz, xy = values * _MPA_PER_PA
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def _put(state: MutableMapping[str, Any], tag: Tag, velocity: FloatArray) -> None:
    """Write the velocity of one node into the state, in place where the node is known."""
    state.setdefault("vel_dict", {})[tag] = velocity
    tags = np.asarray(state.get("nodeveltags", np.zeros((0, 2), dtype=np.int64))).reshape(-1, 2)
    velocities = np.asarray(state.get("nodevels", np.zeros((0, 3)))).reshape(-1, 3)
    known = np.flatnonzero((tags == tag).all(axis=1))
    if len(known):
        velocities[known[0]] = velocity
    else:
        velocities, tags = np.vstack([velocities, velocity]), np.vstack([tags, tag])
    state["nodevels"], state["nodeveltags"] = velocities, tags
