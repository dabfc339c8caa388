"""Coarse-grained trajectories: the dislocation lines of a simulation in time, and what it was run with.

One file holds one trajectory as a record of `glideflow.storage`. While a simulation runs, the file is replaced as a
whole at each checkpoint, so that a kill at any instant leaves a complete file of the frames until then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import ConfigurationError, PropertyError, StorageError
from glideflow.mobility.cells import CellKind, DislocationCell, refuse_endless_stress
from glideflow.mobility.extraction import DislocationLine, Topology
from glideflow.records import PotentialSummary, Provenance, StageFailure
from glideflow.storage import read_record, record, write_record

Status = Literal[
    "running", "completed", "annihilated", "vanished", "broken", "merged", "gap_closed", "lost_atoms", "failed"
]
"""What became of a trajectory; see `Trajectory.status`."""

ENDED: frozenset[str] = frozenset(get_args(Status)) - {"running", "failed"}
"""Statuses of trajectories that are done: running them again gives nothing new."""


@record
@dataclass(frozen=True, kw_only=True)
class MobilityScenario:
    """Conditions under which dislocations move.

    Attributes:
        stress_mpa: resolved shear stress on the slip plane along the Burgers vector; with its sign, glide reverses.
        temperature_k: temperature.
        seed: seed of the initial velocities.
    """

    stress_mpa: float
    temperature_k: float
    seed: int


@record
@dataclass(frozen=True, kw_only=True, eq=False)
class CellSummary:
    """What a trajectory says of the cell from which it started.

    Attributes:
        element: chemical symbol.
        structure: crystal structure.
        kind: ``dipole`` or ``loop``.
        lattice_constant_angstrom: lattice constant before thermal expansion.
        atoms: number of atoms.
        character_angle_deg: angle between Burgers vector and line of a dipole; None for a loop.
        radius_angstrom: radius of a loop as built; None for a dipole.
        miller_frame: (3, 3) crystal directions of x, y (line) and z (normal of the slip plane).
        burgers_angstrom: (3,) Burgers vector of every line, each in its own sense, in the frame of the cell.
        cell_angstrom: (3, 3) cell vectors as rows, as built.
        sha256: digest of the cell: positions, vectors and what is above.
    """

    element: str
    structure: str
    kind: CellKind
    lattice_constant_angstrom: float
    atoms: int
    character_angle_deg: float | None = None
    radius_angstrom: float | None = None
    miller_frame: FloatArray
    burgers_angstrom: FloatArray
    cell_angstrom: FloatArray
    sha256: str


@dataclass(frozen=True, eq=False, kw_only=True)
class LineFrame:
    """Dislocation lines at one time.

    Attributes:
        time_ps: time under stress.
        cell_angstrom: (3, 3) cell vectors as rows.
        stress_mpa: (3, 3) stress in the cell at this instant, positive in tension.
        temperature_k: temperature of the atoms at this instant.
        lines: lines of the dipole or the loop, always in the same order.
        debris_angstrom: length of all other closed lines, too short to be dislocations.
    """

    time_ps: float
    cell_angstrom: FloatArray
    stress_mpa: FloatArray
    temperature_k: float
    lines: tuple[DislocationLine, ...]
    debris_angstrom: float = 0.0

    def nodes_angstrom(self) -> FloatArray:
        """(M, 3) nodes of all lines in Å, unwrapped."""
        return np.vstack([line.nodes_fractional for line in self.lines]) @ self.cell_angstrom

    def refuse_open_lines(self) -> None:
        """Raise a PropertyError where there is no line, or one that ends in the crystal and so has no stress field."""
        kinds = [line.topology for line in self.lines]
        if not kinds or "open" in kinds:
            raise PropertyError(
                f"a frame at {self.time_ps:g} ps with the lines: {', '.join(kinds) or 'none'}",
                expected="infinite or closed lines, one at least",
                next_step="leave frames without the expected lines out, as trajectories of `glideflow mobility run` do",
            )

    def segments(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(S, 3) starts, ends and Burgers vectors of all segments in Å, each in the sense of its line."""
        chains = [line.chain_angstrom(self.cell_angstrom) for line in self.lines]
        starts = np.vstack([chain[:-1] for chain in chains])
        ends = np.vstack([chain[1:] for chain in chains])
        burgers = np.vstack([np.tile(line.burgers_angstrom, (len(line.nodes_fractional), 1)) for line in self.lines])
        return starts, ends, burgers


@record
@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory:
    """Dislocation lines in time; F frames, M nodes and L lines in all of them together.

    Nodes lie in the sense of their line, in which its Burgers vector is that of the cell; each is the beginning of one
    segment. `frames` gives the frames one by one.

    Attributes:
        status: ``completed``, or what ended it before its time: ``annihilated`` (the lines of a dipole are gone),
            ``vanished`` (the loop is gone), ``broken`` (the lines are not those expected), ``merged`` (the loop meets
            its images), ``gap_closed`` (the glide planes of a dipole came too close), ``lost_atoms`` (the simulation
            became unstable). ``failed``: it could not be simulated, or was ended from outside. ``running``: frames
            until a checkpoint of a simulation that goes on, or was killed and can go on from there.
        reason: one sentence on the end; empty while running and when completed.
        scenario: stress, temperature, seed.
        cell: the cell from which it started.
        potential: the potential.
        provenance: versions and settings.
        expansion: factor of the cell's edges from thermal expansion.
        applied_stress_mpa: (3, 3) stress under which the cell is kept.
        times_ps: (F,) times under stress.
        cells_angstrom: (F, 3, 3) cell vectors as rows.
        stresses_mpa: (F, 3, 3) stresses in the cell at these instants.
        temperatures_k: (F,) temperatures at these instants.
        debris_angstrom: (F,) length of closed lines that are no dislocations.
        nodes_fractional: (M, 3) nodes of all frames in fractions of the cell vectors, unwrapped.
        next_nodes: (M,) for each node the node at the end of its segment, counted from the first node of its frame.
        next_images: (M, 3) cell vectors to be added to that node to reach the end of the segment.
        node_counts: (L,) nodes of each line of each frame.
        line_counts: (F,) lines of each frame.
        topologies: of each line of a frame, ``infinite`` or ``closed``.
        rejected_ps: (R,) times of frames without the expected lines, which are not among the above.
        rejected: why, for each of them.
        failure: evidence, where the status is ``failed`` or ``lost_atoms``.
    """

    status: Status
    reason: str = ""
    scenario: MobilityScenario
    cell: CellSummary
    potential: PotentialSummary
    provenance: Provenance
    expansion: float
    applied_stress_mpa: FloatArray
    times_ps: FloatArray
    cells_angstrom: FloatArray
    stresses_mpa: FloatArray
    temperatures_k: FloatArray
    debris_angstrom: FloatArray
    nodes_fractional: FloatArray
    next_nodes: IntArray
    next_images: IntArray
    node_counts: IntArray
    line_counts: IntArray
    topologies: tuple[str, ...]
    rejected_ps: FloatArray
    rejected: tuple[str, ...] = ()
    failure: StageFailure | None = None

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to simulate."""
        return self.status in ENDED

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the simulation, as they are in ``provenance``."""
        import json

        settings: dict[str, Any] = json.loads(self.provenance.settings_json)
        return settings

    def frames(self) -> Iterator[LineFrame]:
        """The frames in the order of time."""
        return unpacked(frame_arrays(self), self.topologies, self.cell.burgers_angstrom)


FRAME_ARRAYS = (
    "times_ps",
    "cells_angstrom",
    "stresses_mpa",
    "temperatures_k",
    "debris_angstrom",
    "nodes_fractional",
    "next_nodes",
    "next_images",
    "node_counts",
    "line_counts",
)
"""Fields of a trajectory that grow with its frames; those of two pieces are joined end to end."""

FrameArrays = Mapping[str, Any]


def frame_arrays(trajectory: Trajectory) -> FrameArrays:
    """The fields of a trajectory that `FRAME_ARRAYS` names."""
    return {name: getattr(trajectory, name) for name in FRAME_ARRAYS}


def packed(frames: Sequence[LineFrame]) -> dict[str, Any]:
    """Frames as the arrays of a `Trajectory`, by the names of `FRAME_ARRAYS`."""
    lines = [line for frame in frames for line in frame.lines]
    return {
        "times_ps": np.array([frame.time_ps for frame in frames], dtype=float),
        "cells_angstrom": np.array([frame.cell_angstrom for frame in frames], dtype=float).reshape(-1, 3, 3),
        "stresses_mpa": np.array([frame.stress_mpa for frame in frames], dtype=float).reshape(-1, 3, 3),
        "temperatures_k": np.array([frame.temperature_k for frame in frames], dtype=float),
        "debris_angstrom": np.array([frame.debris_angstrom for frame in frames], dtype=float),
        "nodes_fractional": np.vstack([np.zeros((0, 3)), *(line.nodes_fractional for line in lines)]),
        "next_nodes": np.concatenate([np.zeros(0, dtype=np.int64), *map(_next_nodes, frames)]),
        "next_images": np.vstack([np.zeros((0, 3), dtype=np.int64), *map(_next_images, lines)]),
        "node_counts": np.array([len(line.nodes_fractional) for line in lines], dtype=np.int64),
        "line_counts": np.array([len(frame.lines) for frame in frames], dtype=np.int64),
    }


def joined(pieces: Sequence[FrameArrays]) -> dict[str, Any]:
    """Several pieces of a trajectory as one."""
    return {name: np.concatenate([piece[name] for piece in (packed([]), *pieces)]) for name in FRAME_ARRAYS}


def unpacked(arrays: FrameArrays, topologies: Sequence[str], burgers_angstrom: FloatArray) -> Iterator[LineFrame]:
    """The frames that `packed` has packed.

    Args:
        arrays: by the names of `FRAME_ARRAYS`.
        topologies: of the lines of every frame.
        burgers_angstrom: (3,) Burgers vector of every line.
    """
    first_nodes = np.concatenate([[0], np.cumsum(arrays["node_counts"])])
    first_lines = np.concatenate([[0], np.cumsum(arrays["line_counts"])])
    for number in range(len(arrays["times_ps"])):
        own = range(first_lines[number], first_lines[number + 1])
        spans = [slice(first_nodes[line], first_nodes[line + 1]) for line in own]
        yield LineFrame(
            time_ps=float(arrays["times_ps"][number]),
            cell_angstrom=arrays["cells_angstrom"][number],
            stress_mpa=arrays["stresses_mpa"][number],
            temperature_k=float(arrays["temperatures_k"][number]),
            debris_angstrom=float(arrays["debris_angstrom"][number]),
            lines=tuple(
                _unpacked_line(arrays, span, topology, burgers_angstrom)
                for span, topology in zip(spans, topologies, strict=True)
            ),
        )


def _unpacked_line(arrays: FrameArrays, span: slice, topology: str, burgers_angstrom: FloatArray) -> DislocationLine:
    kind: Topology = "infinite" if topology == "infinite" else "closed"
    return DislocationLine(
        nodes_fractional=arrays["nodes_fractional"][span],
        period=arrays["next_images"][span].sum(axis=0),
        burgers_angstrom=burgers_angstrom,
        topology=kind,
    )


def _next_nodes(frame: LineFrame) -> IntArray:
    first, parts = 0, [np.zeros(0, dtype=np.int64)]
    for line in frame.lines:
        count = len(line.nodes_fractional)
        parts.append(first + np.roll(np.arange(count, dtype=np.int64), -1))
        first += count
    return np.concatenate(parts)


def _next_images(line: DislocationLine) -> IntArray:
    """(M, 3): only the last segment of a line leads to another image, of its first node."""
    images = np.zeros((len(line.nodes_fractional), 3), dtype=np.int64)
    images[-1] = line.period
    return images


def summary_of_cell(cell: DislocationCell) -> CellSummary:
    """What a trajectory says of its cell."""
    return CellSummary(
        element=cell.element,
        structure=cell.structure,
        kind=cell.kind,
        lattice_constant_angstrom=cell.lattice_constant_angstrom,
        atoms=len(cell.positions_angstrom),
        character_angle_deg=cell.character_angle_deg,
        radius_angstrom=cell.radius_angstrom,
        miller_frame=np.asarray(cell.miller_frame, dtype=float),
        burgers_angstrom=np.asarray(cell.burgers_angstrom, dtype=float),
        cell_angstrom=np.asarray(cell.cell_angstrom, dtype=float),
        sha256=cell_sha256(cell),
    )


def cell_sha256(cell: DislocationCell) -> str:
    """Hexadecimal digest of everything in a cell that decides how it moves."""
    import hashlib

    digest = hashlib.sha256(f"{cell.element} {cell.structure} {cell.kind}".encode())
    for array in (cell.positions_angstrom, cell.cell_angstrom, cell.burgers_angstrom, cell.applied_stress_mpa):
        digest.update(np.ascontiguousarray(array, dtype=float).tobytes())
    return digest.hexdigest()


def write_trajectory(path: Path, trajectory: Trajectory) -> None:
    """Write a trajectory to an HDF5 file, atomically.

    Raises:
        StorageError: the file cannot be written.
    """
    write_record(path, trajectory)


def read_trajectory(path: Path) -> Trajectory:
    """Read a trajectory.

    Raises:
        StorageError: the file is missing, damaged, of another kind or schema version, or its parts do not fit together.
    """
    trajectory = read_record(path, Trajectory)
    refuse_misfit(f"{path} holds a trajectory", trajectory)
    return trajectory


def refuse_conditions(stress_mpa: float, temperature_k: float) -> None:
    """Refuse conditions under which nothing can be simulated.

    Args:
        stress_mpa: resolved shear stress.
        temperature_k: temperature.

    Raises:
        ConfigurationError: the stress is not finite, or the temperature is not a positive number.
    """
    refuse_endless_stress(stress_mpa)
    if not 0 < temperature_k < math.inf:
        raise ConfigurationError(
            f"a temperature of {temperature_k:g} K",
            expected="a finite temperature above zero",
            next_step="correct the temperature",
        )


def refuse_misfit(where: str, trajectory: Trajectory) -> None:
    """Refuse a trajectory whose parts do not fit together.

    Args:
        where: what it is called in the message.
        trajectory: what was read.

    Raises:
        StorageError: an array has another shape than the others, counts disagree, or nodes are nowhere.
    """
    odd = list(_odd_shapes(trajectory)) or [*_odd_values(trajectory), *_odd_connections(trajectory)]
    if odd:
        raise StorageError(
            f"{where} whose {', '.join(dict.fromkeys(odd))} do not fit the rest",
            expected=f"{len(trajectory.times_ps)} frames of {len(trajectory.topologies)} lines in the order of time, "
            "and finite numbers",
            next_step="delete the file and run its step again",
        )


def _odd_shapes(trajectory: Trajectory) -> Iterator[str]:
    frames, nodes = len(trajectory.times_ps), len(trajectory.nodes_fractional)
    shapes = {
        "cells_angstrom": (frames, 3, 3),
        "stresses_mpa": (frames, 3, 3),
        "temperatures_k": (frames,),
        "debris_angstrom": (frames,),
        "nodes_fractional": (nodes, 3),
        "next_nodes": (nodes,),
        "next_images": (nodes, 3),
        "node_counts": (frames * len(trajectory.topologies),),
        "line_counts": (frames,),
        "applied_stress_mpa": (3, 3),
        "rejected_ps": (len(trajectory.rejected),),
    }
    yield from (name for name, shape in shapes.items() if getattr(trajectory, name).shape != shape)


def _odd_values(trajectory: Trajectory) -> Iterator[str]:
    numbers = ("applied_stress_mpa", *FRAME_ARRAYS)
    yield from (name for name in numbers if not np.isfinite(getattr(trajectory, name)).all())
    if (np.diff(trajectory.times_ps) <= 0).any():
        yield "times_ps"
    if (np.linalg.det(trajectory.cells_angstrom) <= 0).any():
        yield "cells_angstrom"
    conditions = (trajectory.scenario.stress_mpa, trajectory.scenario.temperature_k)
    if not (np.isfinite(conditions).all() and trajectory.scenario.temperature_k > 0):
        yield "scenario"
    if not np.linalg.norm(trajectory.cell.burgers_angstrom) > 0:
        yield "cell"


def _odd_connections(trajectory: Trajectory) -> Iterator[str]:
    """Counts and connections that are not those of `packed` lines."""
    if not {*trajectory.topologies} <= {"infinite", "closed"}:
        yield "topologies"
    if (trajectory.line_counts != len(trajectory.topologies)).any():
        yield "line_counts"
    counts = trajectory.node_counts
    if int(counts.sum()) != len(trajectory.nodes_fractional) or (counts < 1).any():
        yield "node_counts"
        return
    shape = (len(trajectory.times_ps), len(trajectory.topologies))
    if not np.array_equal(trajectory.next_nodes, _rings(counts.reshape(shape))):
        yield "next_nodes"
    ends = np.cumsum(counts) - 1
    through = trajectory.next_images[ends].any(axis=1).reshape(shape)
    wanted = np.array([topology == "infinite" for topology in trajectory.topologies], dtype=bool)
    if np.delete(trajectory.next_images, ends, axis=0).any() or (through != wanted).any():
        yield "next_images"


def _rings(counts: IntArray) -> IntArray:
    """(M,) next node of each node of (F, L) lines with so many nodes, counted from the first node of its frame."""
    flat = counts.ravel()
    firsts = (np.cumsum(counts, axis=1) - counts).ravel()  # of each line in its frame
    place = np.arange(flat.sum()) - np.repeat(np.cumsum(flat) - flat, flat)  # of each node in its line
    return np.asarray(np.repeat(firsts, flat) + (place + 1) % np.repeat(flat, flat))
