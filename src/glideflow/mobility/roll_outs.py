"""Many steps of a mobility law from one frame of a simulation on, and how far the lines are then from the true ones.

Lines of a simulation are taken once, after its start-up, and moved by a law alone, in the cell and under the applied
stress of that instant (`glideflow.mobility.line_dynamics`). At later frames they are compared with the lines of the
simulation, as those of single steps are: by the mean of two root-mean-square distances, from the nodes of one to the
lines of the other and back. Here the distance does not wrap around the cell: a line that is one period ahead is one
period off.

Source: Tian et al., npj Comput. Mater. 10 (2024), doi 10.1038/s41524-024-01394-4, Fig. 6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from glideflow.config.mobility_glide import LineDynamicsSettings
from glideflow.config.mobility_network import MobilityFeatureSettings
from glideflow.crystals.lattices import FloatArray
from glideflow.errors import ConvergenceError, PropertyError
from glideflow.mobility.extraction import DislocationLine
from glideflow.mobility.graph import LineGraph, line_graph
from glideflow.mobility.laws import MobilityLaw, NodeVelocities
from glideflow.mobility.line_dynamics import GlideRun, LineProblem, glide
from glideflow.mobility.line_forces import LineConditions
from glideflow.mobility.trajectory import LineFrame, Trajectory
from glideflow.mobility.velocities import displacements_angstrom

INTERVAL_PS: Final = 1.0
TOLERANCE_ANGSTROM: Final = 0.2
"""Largest error of a node in one step of the integration: small beside what heat does to lines meanwhile."""
_PER_PS: Final = 10_000
"""Frames are told apart by their times in steps of 0.1 fs."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RollOut:
    """A law beside a simulation from one of its frames on; K later times.

    Attributes:
        law: name of the law.
        trajectory: name of the simulation.
        start_ps: time of the frame from which the law went on.
        times_ps: (K,) times after it at which both have lines.
        error_angstrom: (K,) distance of the predicted lines from the true ones.
        travelled_angstrom: (K,) distance of the true lines from where they started.
        displacement_angstrom: (K,) mean displacement of the predicted lines, positive in the sense of the force of a
            positive stress; of a loop that of its mean radius.
        simulated_angstrom: (K,) the same of the true lines.
        spread_angstrom: (K,) standard deviation of the predicted one by the spread of the law; NaN where it has none.
        floor_angstrom: (K,) displacement of one line by diffusion, one standard deviation; NaN where it is not known.
        predicted: frames of the law at these times.
        simulated: frames of the simulation.
        ended: why it did not reach the end of the simulation; empty if it did.
    """

    law: str
    trajectory: str
    start_ps: float
    times_ps: FloatArray
    error_angstrom: FloatArray
    travelled_angstrom: FloatArray
    displacement_angstrom: FloatArray
    simulated_angstrom: FloatArray
    spread_angstrom: FloatArray
    floor_angstrom: FloatArray
    predicted: tuple[LineFrame, ...]
    simulated: tuple[LineFrame, ...]
    ended: str = ""

    @property
    def percent(self) -> FloatArray:
        """(K,) error as a percentage of the distance that the true lines have gone; NaN where they have not moved."""
        moved = np.where(self.travelled_angstrom > 0, self.travelled_angstrom, np.nan)
        return np.asarray(100.0 * self.error_angstrom / moved)


@dataclass(frozen=True, eq=False)
class GraphLaw:
    """A law of graphs for lines that move: it sees them with the medium and Gauss points that it was fitted with.

    Attributes:
        name: what it is called.
        predict: (N,) velocities of the nodes of a graph along their glide directions in Å/ps.
        features: elastic medium and Gauss points of its graphs.
        burgers_angstrom: length of the Burgers vector of the lines that it was made for.
    """

    name: str
    predict: Callable[[LineGraph], FloatArray]
    features: MobilityFeatureSettings
    burgers_angstrom: float | None = None

    def node_velocities(self, conditions: LineConditions) -> NodeVelocities:
        """Velocities of the nodes of all lines."""
        graph = line_graph(conditions.frame, conditions.applied_stress_mpa, conditions.temperature_k, self.features)
        return NodeVelocities(directions=graph.glide_directions, speed_angstrom_per_ps=self.predict(graph))

    def samples(self, count: int, seed: int) -> Sequence[MobilityLaw]:
        """Nothing: it is one law."""
        return ()


def roll_out(
    name: str,
    trajectory: Trajectory,
    law: MobilityLaw,
    features: MobilityFeatureSettings,
    *,
    interval_ps: float = INTERVAL_PS,
    startup_ps: float | None = None,
    floor_angstrom: float = float("nan"),
) -> RollOut:
    """Move the lines of a simulation by a law, from the first frame after its start-up to its last one.

    Lines that meet or vanish, and a law that no step is small enough for, end the prediction before; what was compared
    until then counts.

    Args:
        name: of the simulation.
        trajectory: of the simulation.
        law: the law.
        features: elastic medium.
        interval_ps: time between comparisons.
        startup_ps: time at the beginning that is left out; None takes that of the trajectory's settings.
        floor_angstrom: displacement of one of its lines by diffusion in 1 ps.

    Raises:
        PropertyError: no frame of the simulation lies a whole number of intervals after the first one.
    """
    frames = _after_startup(trajectory, startup_ps)
    simulated = _at_intervals(frames, interval_ps, name)
    run, ended = _glided(trajectory, frames[0], law, features, interval_ps, max(simulated))
    shared = [number for number in sorted(simulated) if run is not None and number < len(run.frames)]
    predicted = [run.frames[number] for number in shared] if run else []
    spread = run.spread_angstrom[shared] if run else np.zeros(0)
    return _compared(
        (law.name, name),
        frames[0],
        [simulated[number] for number in shared],
        predicted,
        (spread, floor_angstrom * np.sqrt(interval_ps * np.array(shared, dtype=float)), ended),
    )


def line_error_angstrom(first: LineFrame, second: LineFrame) -> float:
    """Distance of two states of the same lines, in the cell of the first and without wrapping around it.

    The mean of two root-mean-square distances: of the nodes of the first from the nearest points of the lines of the
    second, and back.

    Args:
        first: lines, in the cell of which the distance is measured.
        second: the same lines in the same order.

    Raises:
        PropertyError: the two do not have as many lines.
    """
    if len(first.lines) != len(second.lines):
        raise PropertyError(
            f"{len(first.lines)} lines and {len(second.lines)} lines to be compared",
            expected="the same lines in the same order",
        )
    cell = first.cell_angstrom
    ways = ((first.lines, second.lines), (second.lines, first.lines))
    return float(np.mean([_root_mean_square(points, lines, cell) for points, lines in ways]))


def _root_mean_square(
    points: Sequence[DislocationLine], lines: Sequence[DislocationLine], cell_angstrom: FloatArray
) -> float:
    distances = [
        _distances(own.nodes_fractional @ cell_angstrom, other, cell_angstrom)
        for own, other in zip(points, lines, strict=True)
    ]
    return float(np.sqrt((np.concatenate(distances) ** 2).mean()))


def _distances(points: FloatArray, line: DislocationLine, cell_angstrom: FloatArray) -> FloatArray:
    """(Q,) distances of points from a line, which goes on through all periods along itself and nowhere else."""
    chain = line.chain_angstrom(cell_angstrom)
    period = line.period @ cell_angstrom
    if period.any():
        turns = np.floor((points - chain[0]) @ period / (period @ period))
        points = points - turns[:, None] * period
        chain = np.vstack([chain[:-1] - period, chain[:-1], chain + period])
    starts, vectors = chain[:-1], np.diff(chain, axis=0)
    offsets = points[:, None] - starts  # (Q, S, 3)
    shares = np.clip(np.einsum("qsi,si->qs", offsets, vectors) / np.einsum("si,si->s", vectors, vectors), 0, 1)
    return np.asarray(np.linalg.norm(offsets - shares[..., None] * vectors, axis=2).min(axis=1))


def _after_startup(trajectory: Trajectory, startup_ps: float | None) -> list[LineFrame]:
    startup = float(trajectory.settings.get("startup_ps", 0.0)) if startup_ps is None else startup_ps
    return [frame for frame in trajectory.frames() if frame.time_ps >= startup - 1e-9]


def _at_intervals(frames: Sequence[LineFrame], interval_ps: float, name: str) -> dict[int, LineFrame]:
    """Frames by the number of intervals, one at least, after the first of them."""
    interval = round(interval_ps * _PER_PS)
    ticks = [round((frame.time_ps - frames[0].time_ps) * _PER_PS) for frame in frames]
    found = {tick // interval: frame for tick, frame in zip(ticks, frames, strict=True) if tick % interval == 0 < tick}
    if not found:
        raise PropertyError(
            f"{name} has no frame a whole number of {interval_ps:g} ps after its start-up",
            expected="frames at such times",
            next_step="take another --interval, or a longer trajectory",
        )
    return found


def _glided(
    trajectory: Trajectory,
    start: LineFrame,
    law: MobilityLaw,
    features: MobilityFeatureSettings,
    interval_ps: float,
    intervals: int,
) -> tuple[GlideRun | None, str]:
    """The run of a law from a frame on, and why it ended early; None where it cannot go on at all."""
    problem = LineProblem(
        lines=start.lines,
        cell_angstrom=start.cell_angstrom,
        applied_stress_mpa=trajectory.applied_stress_mpa,
        temperature_k=trajectory.scenario.temperature_k,
        medium=features,
    )
    settings = LineDynamicsSettings(
        duration_ps=intervals * interval_ps,
        interval_ps=interval_ps,
        tolerance_angstrom=TOLERANCE_ANGSTROM,
        node_spacing_angstrom=float(trajectory.settings.get("node_spacing_angstrom", 15.0)),
    )
    try:
        run = glide(problem, law, settings)
    except (ConvergenceError, PropertyError) as error:
        return None, error.found
    return run, run.reason


def _compared(
    names: tuple[str, str],
    start: LineFrame,
    simulated: Sequence[LineFrame],
    predicted: Sequence[LineFrame],
    rest: tuple[FloatArray, FloatArray, str],
) -> RollOut:
    spread, floor, ended = rest
    begun = np.array([start.time_ps])
    return RollOut(
        law=names[0],
        trajectory=names[1],
        start_ps=start.time_ps,
        times_ps=np.array([frame.time_ps for frame in simulated]) - begun,
        error_angstrom=np.array(
            [line_error_angstrom(own, true) for own, true in zip(predicted, simulated, strict=True)]
        ),
        travelled_angstrom=np.array([line_error_angstrom(start, true) for true in simulated]),
        displacement_angstrom=_displacements(start, predicted),
        simulated_angstrom=_displacements(start, simulated),
        spread_angstrom=spread,
        floor_angstrom=floor,
        predicted=tuple(predicted),
        simulated=tuple(simulated),
        ended=ended,
    )


def _displacements(start: LineFrame, frames: Sequence[LineFrame]) -> FloatArray:
    """(K,) mean displacement of the lines since the start."""
    places = displacements_angstrom([start, *frames]).mean(axis=1)
    return np.asarray(places[1:] - places[0])
