"""Dislocation lines as heterogeneous graphs: nodes, and Gauss points of the segments linked to their nearest nodes.

Source: Tian et al., npj Comput. Mater. 10 (2024), doi 10.1038/s41524-024-01394-4, Methods: "Representing dislocations
using heterogeneous graphs".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from glideflow.config.mobility_network import MobilityFeatureSettings
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import PropertyError
from glideflow.mobility.features import LocalFrame, gauss_features, node_features
from glideflow.mobility.stress import periodic_stress
from glideflow.mobility.trajectory import LineFrame

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

SHORTEST_SEGMENT_ANGSTROM: Final = 1e-6
STEEPEST_TANGENT: Final = 0.9
"""Largest component of a tangent along the normal of the slip plane: beyond, the line has left its plane."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LineGraph:
    """Graph of one or more snapshots; S snapshots, N nodes, P Gauss points.

    Forces are per length of line and along the glide direction m; velocities along it have their sign.

    Attributes:
        positions_angstrom: (N, 3) nodes, unwrapped.
        segments_angstrom: (N, 3) vectors from each node to the next one of its line.
        next_nodes: (N,) that node.
        lines: (N,) number of the line, over all snapshots.
        glide_directions: (N, 3) unit vectors m = n × t.
        character_deg: (N,) character angle.
        glide_force_mpa_angstrom: (N,) Peach-Koehler force along m: b times the mean resolved shear stress over the
            Gauss points of the node.
        tension_mpa_angstrom: (N,) μb²κ, where κ is the curvature towards m.
        node_features: (N, 8), see `glideflow.mobility.features.NODE_FEATURES`.
        gauss_features: (P, 9), see `glideflow.mobility.features.GAUSS_FEATURES`.
        node_edges: (2, A) neighbours along the line: from, to; every segment both ways.
        gauss_edges: (2, C) Gauss points and their nearest nodes.
        temperatures_k: (S,) temperatures.
        node_offsets: (S + 1,) first node of each snapshot, and the number of all.
        gauss_offsets: (S + 1,) the same for Gauss points.
    """

    positions_angstrom: FloatArray
    segments_angstrom: FloatArray
    next_nodes: IntArray
    lines: IntArray
    glide_directions: FloatArray
    character_deg: FloatArray
    glide_force_mpa_angstrom: FloatArray
    tension_mpa_angstrom: FloatArray
    node_features: FloatArray
    gauss_features: FloatArray
    node_edges: IntArray
    gauss_edges: IntArray
    temperatures_k: FloatArray
    node_offsets: IntArray
    gauss_offsets: IntArray

    def __len__(self) -> int:
        """Number of snapshots."""
        return len(self.temperatures_k)

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.positions_angstrom)

    @property
    def snapshots(self) -> IntArray:
        """(N,) snapshot of each node."""
        return np.repeat(np.arange(len(self)), np.diff(self.node_offsets))


_PER_VERTEX: Final = (
    "positions_angstrom",
    "segments_angstrom",
    "glide_directions",
    "character_deg",
    "glide_force_mpa_angstrom",
    "tension_mpa_angstrom",
    "node_features",
    "gauss_features",
    "temperatures_k",
)


def line_graph(
    frame: LineFrame, applied_stress_mpa: FloatArray, temperature_k: float, settings: MobilityFeatureSettings
) -> LineGraph:
    """Graph of one snapshot.

    Features, forces and glide directions are those of the lines without their jitter from node to node
    (``settings.smoothing_passes``); positions are those of the frame.

    The stress at a Gauss point is that of all segments and their periodic images, its mean over the cell zero, and the
    applied one. The slip plane is spanned by the first two cell vectors.

    Args:
        frame: lines in their cell, infinite or closed.
        applied_stress_mpa: (3, 3) stress on the cell, positive in tension.
        temperature_k: temperature.
        settings: elastic medium and number of Gauss points.

    Raises:
        PropertyError: there is no line, one is open or runs along the normal of the slip plane, two nodes coincide, or
            the lines have no periodic stress field.
        NonFiniteError: a position is not finite.
    """
    settings = settings.at(temperature_k)
    lines = _lines_of(frame, settings.smoothing_passes)
    shares = _gauss_shares(settings.gauss_points)
    owners = np.repeat(np.arange(lines.nodes), len(shares))  # (P,) segment of each Gauss point
    points = (lines.starts[:, None] + shares[:, None] * lines.segments[:, None]).reshape(-1, 3)
    segments = (lines.starts, lines.starts + lines.segments, lines.burgers)
    stress = applied_stress_mpa + segments_stress_mpa(points, segments, lines.cell, settings)
    at_nodes, at_points = lines.frame_at_nodes(), lines.frame_at_segments(owners)
    links = _nearest_nodes(shares, lines.following)
    positions, ends, _ = frame.segments()
    resolved = _mean_at_nodes(at_points.resolved_shear(stress), links, lines.nodes)
    bent = np.einsum("ni,ni->n", lines.curvature, at_nodes.glide_direction)
    spacing = _mean_with_previous(lines.spacing, lines.following)
    return LineGraph(
        positions_angstrom=positions,
        segments_angstrom=ends - positions,
        next_nodes=lines.following,
        lines=lines.numbers,
        glide_directions=at_nodes.glide_direction,
        character_deg=np.degrees(at_nodes.character_rad),
        glide_force_mpa_angstrom=lines.size * resolved,
        tension_mpa_angstrom=settings.shear_modulus_gpa * 1e3 * lines.size**2 * bent,
        node_features=node_features(at_nodes.character_rad, bent, spacing, lines.size, resolved, temperature_k),
        gauss_features=gauss_features(at_points, stress),
        node_edges=_both_ways(lines.following),
        gauss_edges=links,
        temperatures_k=np.array([temperature_k], dtype=float),
        node_offsets=np.array([0, lines.nodes]),
        gauss_offsets=np.array([0, len(points)]),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Lines:
    """Smoothed lines of a snapshot; each of the N nodes begins a segment.

    Attributes:
        starts: (N, 3) nodes.
        segments: (N, 3) vectors to the next nodes.
        burgers: (N, 3) Burgers vectors.
        following: (N,) next nodes.
        numbers: (N,) numbers of the lines.
        cell: (3, 3) cell vectors as rows.
        tangent: (N, 3) unit tangents at the nodes.
        curvature: (N, 3) curvature vectors there.
    """

    starts: FloatArray
    segments: FloatArray
    burgers: FloatArray
    following: IntArray
    numbers: IntArray
    cell: FloatArray
    tangent: FloatArray
    curvature: FloatArray

    @property
    def nodes(self) -> int:
        return len(self.starts)

    @property
    def spacing(self) -> FloatArray:
        return np.asarray(np.linalg.norm(self.segments, axis=1))

    @property
    def size(self) -> FloatArray:
        return np.asarray(np.linalg.norm(self.burgers, axis=1))

    def frame_at_nodes(self) -> LocalFrame:
        return LocalFrame(self.tangent, slip_normal(self.cell), self.burgers / self.size[:, None])

    def frame_at_segments(self, segments: IntArray) -> LocalFrame:
        tangent = (self.segments / self.spacing[:, None])[segments]
        return LocalFrame(tangent, slip_normal(self.cell), (self.burgers / self.size[:, None])[segments])


def _lines_of(frame: LineFrame, smoothing_passes: int) -> _Lines:
    frame.refuse_open_lines()
    starts, ends, burgers = frame.segments()
    _refuse_coinciding(np.linalg.norm(ends - starts, axis=1))
    counts = [len(line.nodes_fractional) for line in frame.lines]
    following = _following(counts)
    starts, segments = _smoothed(starts, ends - starts, following, smoothing_passes)
    tangent, curvature = _tangents(segments, following)
    _refuse_steep(tangent, slip_normal(frame.cell_angstrom))
    return _Lines(
        starts=starts,
        segments=segments,
        burgers=burgers,
        following=following,
        numbers=np.repeat(np.arange(len(counts)), counts),
        cell=frame.cell_angstrom,
        tangent=tangent,
        curvature=curvature,
    )


def segments_stress_mpa(
    points_angstrom: FloatArray,
    segments: tuple[FloatArray, FloatArray, FloatArray],
    cell_angstrom: FloatArray,
    medium: MobilityFeatureSettings,
) -> FloatArray:
    """(P, 3, 3) stress of all segments and of their periodic images in MPa, with the mean over the cell zero.

    The sum over images depends a little on which of them lie in the cell; with a cell that moves with the lines it does
    not depend on where they are in space.

    Args:
        points_angstrom: (P, 3) points.
        segments: (S, 3) starts, ends and Burgers vectors in Å.
        cell_angstrom: (3, 3) cell vectors as rows.
        medium: elastic medium and images.

    Raises:
        PropertyError: the lines have no periodic stress field.
    """
    starts, ends, burgers = segments
    corner = (0.5 * (starts + ends)).mean(axis=0) - cell_angstrom.sum(axis=0) / 2
    return periodic_stress(
        points_angstrom - corner,
        starts - corner,
        ends - corner,
        burgers,
        cell_angstrom,
        shear_modulus=medium.shear_modulus_gpa * 1e3,
        poisson_ratio=medium.poisson_ratio,
        core_radius=medium.core_radius_burgers * float(np.linalg.norm(burgers, axis=1).mean()),
        images=medium.images,
    )


def slip_normal(cell_angstrom: FloatArray) -> FloatArray:
    """(3,) unit normal of the slip plane, which the first two of the (3, 3) cell vectors span."""
    normal = np.cross(cell_angstrom[0], cell_angstrom[1])
    return np.asarray(normal / np.linalg.norm(normal))


def batched(graphs: Sequence[LineGraph]) -> LineGraph:
    """Several graphs as one that holds all their snapshots; no edge joins two of them.

    Raises:
        PropertyError: there is none.
    """
    if not graphs:
        raise PropertyError("no graph to put together", expected="one at least")
    nodes = _firsts([graph.nodes for graph in graphs])
    points = _firsts([len(graph.gauss_features) for graph in graphs])
    lines = _firsts([int(graph.lines.max()) + 1 for graph in graphs])
    return LineGraph(
        **{name: np.concatenate([getattr(graph, name) for graph in graphs]) for name in _PER_VERTEX},
        next_nodes=np.concatenate([each.next_nodes + first for each, first in zip(graphs, nodes, strict=True)]),
        lines=np.concatenate([each.lines + first for each, first in zip(graphs, lines, strict=True)]),
        node_edges=np.hstack([each.node_edges + first for each, first in zip(graphs, nodes, strict=True)]),
        gauss_edges=np.hstack(
            [
                each.gauss_edges + np.array([[point], [node]])
                for each, point, node in zip(graphs, points, nodes, strict=True)
            ]
        ),
        node_offsets=_joined_offsets([graph.node_offsets for graph in graphs]),
        gauss_offsets=_joined_offsets([graph.gauss_offsets for graph in graphs]),
    )


def to_pyg(graph: LineGraph) -> HeteroData:
    """The graph as PyTorch Geometric's `HeteroData`, in double precision.

    Vertices ``node`` and ``gauss`` have their features in ``x``, nodes also ``pos``, ``glide_direction``,
    ``glide_force`` (MPa·Å) and ``batch``. Edges are ``along`` the line, ``acts_on`` from Gauss points to nodes, and
    ``moves`` back.
    """
    import torch
    from torch_geometric.data import HeteroData

    data = HeteroData()
    data["node"].x = torch.from_numpy(graph.node_features)
    data["node"].pos = torch.from_numpy(graph.positions_angstrom)
    data["node"].glide_direction = torch.from_numpy(graph.glide_directions)
    data["node"].glide_force = torch.from_numpy(graph.glide_force_mpa_angstrom)
    data["node"].batch = torch.from_numpy(graph.snapshots)
    data["gauss"].x = torch.from_numpy(graph.gauss_features)
    data["node", "along", "node"].edge_index = torch.from_numpy(graph.node_edges)
    data["gauss", "acts_on", "node"].edge_index = torch.from_numpy(graph.gauss_edges)
    data["node", "moves", "gauss"].edge_index = torch.from_numpy(np.ascontiguousarray(graph.gauss_edges[::-1]))
    return data


def _refuse_coinciding(spacing: FloatArray) -> None:
    if spacing.min() < SHORTEST_SEGMENT_ANGSTROM:
        raise PropertyError(
            f"two nodes of a line {spacing.min():.2g} Å apart",
            expected="segments of a length",
            next_step="divide the lines anew, with mobility.dynamics.node_spacing_angstrom above 0",
        )


def _refuse_steep(tangent: FloatArray, normal: FloatArray) -> None:
    steepest = float(np.abs(tangent @ normal).max())
    if not steepest <= STEEPEST_TANGENT:
        raise PropertyError(
            f"a tangent with the component {steepest:.2f} along the normal of the slip plane",
            expected=f"lines in their slip plane, up to {STEEPEST_TANGENT}",
            next_step="leave the frame out: the line has cross-slipped or is not one of this slip system",
        )


def _following(counts: Sequence[int]) -> IntArray:
    """(N,) next node of each, the first of the line after the last one."""
    rings = [first + np.roll(np.arange(count), -1) for first, count in zip(_firsts(counts), counts, strict=True)]
    return np.concatenate(rings)


def _firsts(counts: Sequence[int]) -> IntArray:
    """Number of the first element of each part, of parts with so many elements."""
    return np.cumsum([0, *counts])[:-1]


def _smoothed(
    starts: FloatArray, segments: FloatArray, following: IntArray, passes: int
) -> tuple[FloatArray, FloatArray]:
    """(N, 3) nodes and segments after so many passes that move nodes halfway to the middle of their neighbours."""
    for _ in range(passes):
        before = np.empty_like(segments)
        before[following] = segments
        shift = 0.25 * (segments - before)
        starts, segments = starts + shift, segments + shift[following] - shift
    return starts, segments


def _tangents(segments: FloatArray, following: IntArray) -> tuple[FloatArray, FloatArray]:
    """(N, 3) unit vectors along the chord of the two segments of a node, and (N, 3) curvature vectors dt/ds.

    Where the segments cancel, as in a line of two nodes that goes there and back, the tangent is that of the next one.
    """
    previous = np.empty_like(following)
    previous[following] = np.arange(len(following))
    spacing = np.linalg.norm(segments, axis=1, keepdims=True)
    units = segments / spacing
    chord = segments + segments[previous]
    length = np.linalg.norm(chord, axis=1, keepdims=True)
    tangent = np.where(length > 1e-9 * spacing, chord / np.maximum(length, SHORTEST_SEGMENT_ANGSTROM), units)
    return tangent, (units - units[previous]) / (0.5 * (spacing + spacing[previous]))


def _mean_with_previous(values: FloatArray, following: IntArray) -> FloatArray:
    """(N,) means over the two segments of each node."""
    mean = 0.5 * values
    mean[following] += 0.5 * values
    return mean


def _gauss_shares(count: int) -> FloatArray:
    """(G,) positions of Gauss-Legendre points on a segment from 0 to 1."""
    return np.asarray((np.polynomial.legendre.leggauss(count)[0] + 1) / 2)


def _nearest_nodes(shares: FloatArray, following: IntArray) -> IntArray:
    """(2, C) Gauss points and nodes: the nearer end of the segment, both for the point in the middle."""
    points = np.arange(len(following) * len(shares)).reshape(len(following), len(shares))
    starts = np.broadcast_to(np.arange(len(following))[:, None], points.shape)
    ends = np.broadcast_to(following[:, None], points.shape)
    first, second = shares <= 0.5 + 1e-12, shares >= 0.5 - 1e-12
    pairs = [(points[:, near].ravel(), nodes[:, near].ravel()) for near, nodes in ((first, starts), (second, ends))]
    return np.hstack([np.array(pair) for pair in pairs])


def _mean_at_nodes(values: FloatArray, links: IntArray, nodes: int) -> FloatArray:
    """(N,) means over the Gauss points of each node."""
    total = np.bincount(links[1], weights=values[links[0]], minlength=nodes)
    return np.asarray(total / np.bincount(links[1], minlength=nodes))


def _both_ways(following: IntArray) -> IntArray:
    """(2, 2 N) edges along every segment, there and back."""
    forward = np.array([np.arange(len(following)), following])
    return np.hstack([forward, forward[::-1]])


def _joined_offsets(offsets: Sequence[IntArray]) -> IntArray:
    return np.cumsum(np.concatenate([[0], *(np.diff(each) for each in offsets)]))
