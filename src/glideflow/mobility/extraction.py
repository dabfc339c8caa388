"""Dislocation lines from atoms in memory, in one convention, at a set spacing, and followed from frame to frame.

A line is a chain of nodes with a sense. Reversing the sense and the Burgers vector describes the same dislocation; here
every line has the sense in which its Burgers vector is that of the cell, so that the two lines of a dipole run in
opposite senses. The convention is that of dislocation dynamics: the Peach-Koehler force per length is (σ b) × t with
the unit tangent t.

Nodes are kept in fractional coordinates, unwrapped: they move through periodic boundaries without jumps, and their
motion does not contain that of a box that changes its shape.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import ConfigurationError, DependencyError, NonFiniteError, PropertyError

Topology = Literal["infinite", "closed", "open"]

FEWEST_NODES: dict[Topology, int] = {"infinite": 2, "closed": 3, "open": 2}
"""Nodes that a line needs at least, however short it is."""
LARGEST_BURGERS_DEVIATION = 0.25
"""Share of the length by which a Burgers vector may differ from the reference and still be the same one.

The vectors come from a lattice fitted to hot atoms; those of other lattice vectors differ by half a length or more.
"""


@dataclass(frozen=True, eq=False, kw_only=True)
class DislocationLine:
    """A dislocation line as a chain of nodes.

    Attributes:
        nodes_fractional: (M, 3) nodes in the order of the line's sense, in fractions of the cell vectors, not wrapped
            into the cell. The last node is joined to the first one, displaced by ``period``, unless the line is open.
        period: (3,) cell vectors by which the end of an infinite line lies from its beginning; zero for others.
        burgers_angstrom: (3,) Burgers vector for this sense, in the frame of the cell.
        topology: ``infinite`` (through periodic boundaries), ``closed``, or ``open`` (ends at something else).
    """

    nodes_fractional: FloatArray
    period: IntArray
    burgers_angstrom: FloatArray
    topology: Topology

    def chain_fractional(self) -> FloatArray:
        """(M + 1, 3) nodes and, at the end, where the chain closes; (M, 3) for an open line."""
        if self.topology == "open":
            return self.nodes_fractional
        return np.vstack([self.nodes_fractional, self.nodes_fractional[:1] + self.period])

    def chain_angstrom(self, cell_angstrom: FloatArray) -> FloatArray:
        """The same in Å, for (3, 3) cell vectors as rows."""
        return np.asarray(self.chain_fractional() @ cell_angstrom)

    def length_angstrom(self, cell_angstrom: FloatArray) -> float:
        """Length of the line, of an infinite one per period."""
        return float(np.linalg.norm(np.diff(self.chain_angstrom(cell_angstrom), axis=0), axis=1).sum())

    def centre_fractional(self) -> FloatArray:
        """(3,) mean of the line along its length, for nodes at equal distances."""
        chain = self.chain_fractional()
        return np.asarray(0.5 * (chain[1:] + chain[:-1]).mean(axis=0))

    def reversed(self) -> DislocationLine:
        """The same dislocation described in the other sense."""
        return replace(
            self,
            nodes_fractional=self.nodes_fractional[::-1],
            period=-self.period,
            burgers_angstrom=-self.burgers_angstrom,
        )

    def translated(self, periods: IntArray) -> DislocationLine:
        """The periodic image that lies so many cell vectors away."""
        return replace(self, nodes_fractional=self.nodes_fractional + periods)


def extract_lines(
    positions_angstrom: FloatArray,
    cell_angstrom: FloatArray,
    *,
    structure: str,
    burgers_angstrom: FloatArray,
) -> tuple[DislocationLine, ...]:
    """Dislocation lines of a fully periodic cell by OVITO's dislocation extraction, nothing written to disk.

    Args:
        positions_angstrom: (N, 3) positions, in any periodic image.
        cell_angstrom: (3, 3) cell vectors as rows; the cell's origin is at zero.
        structure: ``bcc``, ``fcc`` or ``hcp``.
        burgers_angstrom: (3,) Burgers vector that a line shall have if it can. A line of another one keeps its own, in
            either sense.

    Returns:
        Lines with the points that the extraction gives, longest first.

    Raises:
        NonFiniteError: positions or cell hold NaN or infinity.
        ConfigurationError: the structure is none of these.
        DependencyError: OVITO is not installed, or does not load.

    Source: Stukowski, Bulatov and Arsenlis, Modelling Simul. Mater. Sci. Eng. 20, 085007 (2012).
    """
    refuse_non_finite(positions_angstrom, cell_angstrom)
    inverse: FloatArray = np.asarray(np.linalg.inv(cell_angstrom), dtype=float)
    found = _analysed(_wrapped(positions_angstrom, cell_angstrom, inverse), cell_angstrom, structure)
    lines = [canonical(_line(each, inverse), burgers_angstrom) for each in found]
    return tuple(sorted(lines, key=lambda line: -line.length_angstrom(cell_angstrom)))


def refuse_non_finite(positions_angstrom: FloatArray, cell_angstrom: FloatArray) -> None:
    """Refuse atoms that are nowhere.

    Raises:
        NonFiniteError: positions or cell hold NaN or infinity.
    """
    lost = int(np.count_nonzero(~np.isfinite(positions_angstrom).all(axis=1)))
    if lost or not np.isfinite(cell_angstrom).all():
        raise NonFiniteError(
            f"{lost} of {len(positions_angstrom)} atoms have positions that are not finite"
            if lost
            else "the cell holds a value that is not finite",
            expected="finite positions and cell vectors",
            next_step="look for overlapping atoms in the starting cell, and try a smaller timestep",
        )


def canonical(line: DislocationLine, burgers_angstrom: FloatArray) -> DislocationLine:
    """The line in the sense in which its Burgers vector is the reference, which then replaces the measured one.

    Args:
        line: a line in either sense.
        burgers_angstrom: (3,) the reference.
    """
    along = line if line.burgers_angstrom @ burgers_angstrom >= 0 else line.reversed()
    if has_burgers(along, burgers_angstrom):
        return replace(along, burgers_angstrom=np.asarray(burgers_angstrom, dtype=float))
    return along


def has_burgers(line: DislocationLine, burgers_angstrom: FloatArray) -> bool:
    """Whether the Burgers vector of a line is this one, but for the inaccuracy of the extraction."""
    deviation = np.linalg.norm(line.burgers_angstrom - burgers_angstrom)
    return bool(deviation <= LARGEST_BURGERS_DEVIATION * np.linalg.norm(burgers_angstrom))


def resampled(line: DislocationLine, cell_angstrom: FloatArray, spacing_angstrom: float) -> DislocationLine:
    """The line with nodes at equal distances along it, about ``spacing_angstrom`` apart.

    An infinite line begins where it crosses a face of the cell, a closed one in the direction of the first cell vector
    from its centre, so that nodes do not slide along the line from frame to frame.

    Args:
        line: an infinite or closed line.
        cell_angstrom: (3, 3) cell vectors as rows.
        spacing_angstrom: distance of nodes.

    Raises:
        PropertyError: the line is open.
    """
    if line.topology == "open":
        raise PropertyError(
            "an open dislocation line was to be divided",
            expected="an infinite or a closed line",
            next_step="treat the frame as one with a broken line",
        )
    chain = line.chain_fractional()
    arc = _arc_length(chain @ cell_angstrom)
    count = max(FEWEST_NODES[line.topology], round(arc[-1] / spacing_angstrom))
    begin = _crossing(line, arc) if line.topology == "infinite" else _foremost(line, arc, cell_angstrom)
    wanted = begin + arc[-1] * np.arange(count) / count
    twice = np.vstack([chain, chain[1:] + line.period])
    arc_twice = np.concatenate([arc, arc[1:] + arc[-1]])
    nodes = np.stack([np.interp(wanted, arc_twice, twice[:, axis]) for axis in range(3)], axis=1)
    return replace(line, nodes_fractional=nodes)


def in_order(lines: Sequence[DislocationLine]) -> tuple[DislocationLine, ...]:
    """Lines of a first frame: centres inside the cell, those along the second cell vector before those against it."""
    inside = [line.translated(-np.floor(line.centre_fractional()).astype(np.int64)) for line in lines]
    return tuple(sorted(inside, key=lambda line: (-line.period[1], line.centre_fractional()[2])))


def followed(
    previous: Sequence[DislocationLine], lines: Sequence[DislocationLine], cell_angstrom: FloatArray
) -> tuple[DislocationLine, ...]:
    """Lines of a frame in the order of the frame before, in the periodic images that continue its lines.

    A line is continued by one of the same topology and period whose nearest image lies closest; in a time between
    frames a line must not cross half a cell.

    Args:
        previous: lines of the frame before, unwrapped.
        lines: as many lines, in any order and any periodic image, of the same topologies and periods.
        cell_angstrom: (3, 3) cell vectors as rows.

    Raises:
        PropertyError: the lines are not those of the frame before.
    """
    from scipy.optimize import linear_sum_assignment

    if not _alike(previous, lines):
        raise PropertyError(
            f"{_description(lines)} after {_description(previous)}",
            expected="the same lines in every frame",
            next_step="end the trajectory at the frame before",
        )
    costs = np.array([[_distance(old, new, cell_angstrom) for new in lines] for old in previous]).reshape(
        len(previous), len(lines)
    )
    _, order = linear_sum_assignment(np.where(np.isfinite(costs), costs, 1e9))
    pairs = zip(previous, (lines[int(k)] for k in order), strict=True)
    return tuple(new.translated(_image(old, new)) for old, new in pairs)


def _alike(previous: Sequence[DislocationLine], lines: Sequence[DislocationLine]) -> bool:
    kinds = [sorted((line.topology, *line.period.tolist()) for line in each) for each in (previous, lines)]
    return kinds[0] == kinds[1]


def _description(lines: Sequence[DislocationLine]) -> str:
    return ", ".join(f"{line.topology} line {line.period.tolist()}" for line in lines) or "no lines"


def _image(old: DislocationLine, new: DislocationLine) -> IntArray:
    """(3,) cell vectors that bring the new line closest to the old one."""
    return np.rint(old.centre_fractional() - new.centre_fractional()).astype(np.int64)


def _distance(old: DislocationLine, new: DislocationLine, cell_angstrom: FloatArray) -> float:
    if (old.topology, *old.period) != (new.topology, *new.period):
        return float("inf")
    apart = new.translated(_image(old, new)).centre_fractional() - old.centre_fractional()
    return float(np.linalg.norm(apart @ cell_angstrom))


def _arc_length(chain_angstrom: FloatArray) -> FloatArray:
    """(M,) length of the chain up to each of its points."""
    steps = np.linalg.norm(np.diff(chain_angstrom, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _crossing(line: DislocationLine, arc: FloatArray) -> float:
    """Arc length at which an infinite line first crosses the face of the cell that its period crosses most often."""
    axis = int(np.argmax(np.abs(line.period)))
    height = line.chain_fractional()[:, axis] * np.sign(line.period[axis])
    face = np.ceil(height[0] - 1e-12)
    after = int(np.argmax(height >= face - 1e-12))
    if after == 0:
        return 0.0
    share = (face - height[after - 1]) / (height[after] - height[after - 1])
    return float(arc[after - 1] + share * (arc[after] - arc[after - 1]))


def _foremost(line: DislocationLine, arc: FloatArray, cell_angstrom: FloatArray) -> float:
    """Arc length of the point of a closed line that is seen from its centre along the first cell vector."""
    seen = (line.nodes_fractional - line.nodes_fractional.mean(axis=0)) @ cell_angstrom
    ahead = cell_angstrom[0] / np.linalg.norm(cell_angstrom[0])
    distance = np.maximum(np.linalg.norm(seen, axis=1), 1e-12)
    return float(arc[int(np.argmax(seen @ ahead / distance))])


def _wrapped(positions_angstrom: FloatArray, cell_angstrom: FloatArray, inverse: FloatArray) -> FloatArray:
    fractional = positions_angstrom @ inverse
    return np.asarray((fractional - np.floor(fractional)) @ cell_angstrom)


def _line(found: Any, inverse: FloatArray) -> DislocationLine:  # noqa: ANN401 - OVITO ships no types
    """A line of OVITO in the convention of dislocation dynamics, where the Burgers vector has the other sign."""
    points = np.asarray(found.points) @ inverse
    burgers = -np.asarray(found.spatial_burgers_vector, dtype=float)
    if not found.is_loop:
        return DislocationLine(
            nodes_fractional=points, period=np.zeros(3, dtype=np.int64), burgers_angstrom=burgers, topology="open"
        )
    period = np.rint(points[-1] - points[0]).astype(np.int64)
    topology: Topology = "infinite" if period.any() else "closed"
    return DislocationLine(nodes_fractional=points[:-1], period=period, burgers_angstrom=burgers, topology=topology)


def _analysed(positions_angstrom: FloatArray, cell_angstrom: FloatArray, structure: str) -> list[Any]:
    """OVITO's own line objects."""
    refuse_without_ovito()
    from ovito.data import DataCollection, Particles, SimulationCell
    from ovito.modifiers import DislocationAnalysisModifier

    data = DataCollection()
    data.objects.append(SimulationCell(pbc=(True, True, True)))
    data.cell_[:, :3] = cell_angstrom.T
    particles = Particles()
    particles.create_property("Position", data=positions_angstrom)
    data.objects.append(particles)
    data.apply(DislocationAnalysisModifier(input_crystal_structure=_lattice(structure)))
    network: Any = data.dislocations
    return list(network.lines)


def _lattice(structure: str) -> Any:  # noqa: ANN401 - OVITO ships no types
    from ovito.modifiers import DislocationAnalysisModifier

    known = {name.lower(): name for name in ("BCC", "FCC", "HCP")}
    if structure not in known:
        raise ConfigurationError(
            f"dislocations were to be found in the structure {structure!r}",
            expected=" or ".join(known),
            next_step="correct the structure of the cell",
        )
    return getattr(DislocationAnalysisModifier.Lattice, known[structure])


def refuse_without_ovito() -> None:
    """Refuse to go on where OVITO is not installed; where it is, keep it to the threads that this process may use.

    Raises:
        DependencyError: OVITO is not installed, or does not load.
    """
    if importlib.util.find_spec("ovito") is None:
        raise DependencyError(
            "the package ovito is not installed: it finds the dislocation lines among atoms",
            expected="the PyPI package ovito, with the system libraries libEGL and libGL",
            next_step='pip install "glideflow[mobility]"; on Debian also apt install libegl1 libgl1',
        )
    os.environ.setdefault("OVITO_THREAD_COUNT", os.environ.get("OMP_NUM_THREADS", "1"))
    try:
        importlib.import_module("ovito.modifiers")
    except ImportError as error:
        raise DependencyError(
            f"the package ovito does not load: {error}",
            expected="the system libraries libEGL and libGL beside it",
            next_step="on Debian: apt install libegl1 libgl1; `glideflow doctor` tries it",
        ) from error
