"""Glide forces on the nodes of dislocation lines: from applied stress, from all segments, and from all their images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from glideflow.config.mobility_network import MobilityFeatureSettings
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import PropertyError
from glideflow.mobility.features import LocalFrame
from glideflow.mobility.graph import SHORTEST_SEGMENT_ANGSTROM, STEEPEST_TANGENT, segments_stress_mpa, slip_normal
from glideflow.mobility.trajectory import LineFrame


@dataclass(frozen=True, eq=False, kw_only=True)
class NodeGeometry:
    """Nodes of all lines of a frame, in their order; N nodes, each of which begins a segment.

    Attributes:
        starts_angstrom: (N, 3) nodes, unwrapped.
        segments_angstrom: (N, 3) vectors to the next node of the line.
        previous: (N,) node before each.
        burgers_angstrom: (N, 3) Burgers vectors.
        normal: (3,) unit normal of the slip plane.
    """

    starts_angstrom: FloatArray
    segments_angstrom: FloatArray
    previous: IntArray
    burgers_angstrom: FloatArray
    normal: FloatArray

    @cached_property
    def lengths_angstrom(self) -> FloatArray:
        """(N,) lengths of the segments."""
        return np.asarray(np.linalg.norm(self.segments_angstrom, axis=1))

    @cached_property
    def shares_angstrom(self) -> FloatArray:
        """(N,) length of line that each node stands for: half of either segment."""
        return np.asarray(0.5 * (self.lengths_angstrom + self.lengths_angstrom[self.previous]))

    @cached_property
    def at_nodes(self) -> LocalFrame:
        """Frames at the nodes, with the tangent of the circle through a node and its two neighbours."""
        units = self.segments_angstrom / self.lengths_angstrom[:, None]
        after, before = self.lengths_angstrom[:, None], self.lengths_angstrom[self.previous][:, None]
        mean = units * before + units[self.previous] * after
        size = np.linalg.norm(mean, axis=1, keepdims=True)
        # Where a line turns back on itself there is no circle; the direction of the next segment is as good as any.
        return self._frame(np.where(size > 1e-9 * before, mean / np.maximum(size, 1e-300), units))

    @cached_property
    def at_segments(self) -> LocalFrame:
        """Frames of the segments."""
        return self._frame(self.segments_angstrom / self.lengths_angstrom[:, None])

    def _frame(self, tangents: FloatArray) -> LocalFrame:
        sizes = np.linalg.norm(self.burgers_angstrom, axis=1, keepdims=True)
        return LocalFrame(tangents, self.normal, self.burgers_angstrom / sizes)


@dataclass(frozen=True, eq=False, kw_only=True)
class LineConditions:
    """Everything that a mobility law may ask of dislocation lines at one instant; N nodes.

    What is computed is computed once, and only if a law asks for it.

    Attributes:
        frame: infinite and closed lines in their periodic cell, the slip plane spanned by its first two vectors.
        applied_stress_mpa: (3, 3) stress on the cell, positive in tension.
        temperature_k: temperature.
        medium: elastic medium of the crystal, images, and Gauss points of a segment.
    """

    frame: LineFrame
    applied_stress_mpa: FloatArray
    temperature_k: float
    medium: MobilityFeatureSettings

    @cached_property
    def geometry(self) -> NodeGeometry:
        """The nodes.

        Raises:
            PropertyError: there is no line, two nodes of one coincide, or a line leaves its slip plane.
        """
        return node_geometry(self.frame)

    @cached_property
    def force_mpa_angstrom(self) -> FloatArray:
        """(N,) glide component of the Peach-Koehler force per length at the nodes, positive along m = n × t.

        The force b·σ·n at the Gauss points of both segments of a node is averaged with the linear shape functions of
        the nodes as weights, so that the work of a displacement of nodes is that of the forces on the line (Cai et al.
        2006, section 4, with a rule of integration in place of closed forms).

        Raises:
            PropertyError: as `geometry`; the lines have no periodic stress field.
        """
        geometry = self.geometry
        places, weights = np.polynomial.legendre.leggauss(self.medium.gauss_points)
        shares = (places + 1) / 2  # of a segment, from its start
        resolved = self._resolved_shear(shares)  # (N, G)
        size = np.linalg.norm(geometry.burgers_angstrom, axis=1)[:, None]
        along = size * resolved * weights / 2 * geometry.lengths_angstrom[:, None]
        at_start, at_end = along @ (1 - shares), along @ shares
        return np.asarray((at_start + at_end[geometry.previous]) / geometry.shares_angstrom)

    def _resolved_shear(self, shares: FloatArray) -> FloatArray:
        """(N, G) resolved shear stress of everything at the Gauss points of all segments, in MPa."""
        geometry = self.geometry
        points = geometry.starts_angstrom[:, None] + shares[:, None] * geometry.segments_angstrom[:, None]
        stress = self.applied_stress_mpa + segments_stress_mpa(
            points.reshape(-1, 3), self.frame.segments(), self.frame.cell_angstrom, self.medium.at(self.temperature_k)
        )
        directions = geometry.at_segments.burgers_direction
        at_points = stress.reshape(*points.shape[:2], 3, 3) @ geometry.normal  # (N, G, 3)
        return np.asarray(np.einsum("ni,ngi->ng", directions, at_points))


def node_geometry(frame: LineFrame) -> NodeGeometry:
    """Nodes of the lines of a frame.

    Raises:
        PropertyError: there is no line, one is open, two nodes of a line coincide, or one leaves its slip plane.
    """
    frame.refuse_open_lines()
    starts, ends, burgers = frame.segments()
    geometry = NodeGeometry(
        starts_angstrom=starts,
        segments_angstrom=ends - starts,
        previous=_previous([len(line.nodes_fractional) for line in frame.lines]),
        burgers_angstrom=burgers,
        normal=slip_normal(frame.cell_angstrom),
    )
    _refuse_degenerate(geometry)
    return geometry


def _previous(counts: list[int]) -> IntArray:
    """(N,) node before each, the last of the line before its first one."""
    firsts = np.cumsum([0, *counts])[:-1]
    return np.concatenate([first + np.roll(np.arange(n), 1) for first, n in zip(firsts, counts, strict=True)])


def _refuse_degenerate(geometry: NodeGeometry) -> None:
    shortest = float(geometry.lengths_angstrom.min())
    if not shortest >= SHORTEST_SEGMENT_ANGSTROM:
        raise PropertyError(
            f"two nodes of a line {shortest:.2g} Å apart",
            expected="segments of a length, and finite nodes",
            next_step="divide the line anew: glideflow.mobility.remeshing.remeshed",
        )
    steepest = float(np.abs(geometry.at_nodes.tangent @ geometry.normal).max())
    if not steepest <= STEEPEST_TANGENT:
        raise PropertyError(
            f"a tangent with the component {steepest:.2f} along the normal of the slip plane",
            expected=f"lines in the plane of the first two cell vectors, up to {STEEPEST_TANGENT}",
            next_step="leave the line out: it is not one of this slip plane",
        )
