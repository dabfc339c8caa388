"""Dislocation lines that move by a mobility law in a periodic cell: Heun's method with control of its error.

A node glides with the velocity that the law gives for it, from the applied stress and the stress of all segments with
their periodic images. Between steps long segments are split and short ones merged. Positions are unwrapped, as in the
trajectories of molecular dynamics (`glideflow.mobility.trajectory`), of which the result is one more.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from glideflow import __version__
from glideflow.config.mobility_glide import LineDynamicsRecord, LineDynamicsSettings
from glideflow.config.mobility_network import MobilityFeatureSettings
from glideflow.crystals.lattices import FloatArray
from glideflow.errors import ConfigurationError, ConvergenceError, PropertyError
from glideflow.mobility.extraction import DislocationLine
from glideflow.mobility.laws import LocalLaw, MobilityLaw, NodeVelocities
from glideflow.mobility.line_forces import LineConditions
from glideflow.mobility.remeshing import remeshed
from glideflow.mobility.targets import distances_angstrom, near_segments
from glideflow.mobility.trajectory import CellSummary, LineFrame, MobilityScenario, Status, Trajectory, packed
from glideflow.progress import Progress, silent
from glideflow.records import PotentialSummary, provenance_of

ENGINE: Final = "line dynamics"
GAUSS_POINTS: Final = 5
"""Points of a segment at which stress is taken to move lines: a loop of 24 segments then shrinks within 0.1 % of its
closed form, against 6 % with the two points that networks see."""
_SAFETY, _MOST_SHRINKING, _MOST_GROWTH = 0.9, 0.2, 2.0
_SAME_TIME_PS: Final = 1e-9


@dataclass(frozen=True, eq=False, kw_only=True)
class LineProblem:
    """Lines, where they are, and what drives them.

    Attributes:
        lines: infinite and closed lines at time zero.
        cell_angstrom: (3, 3) cell vectors as rows; the first two span the slip plane.
        applied_stress_mpa: (3, 3) stress on the cell, positive in tension.
        temperature_k: temperature.
        medium: elastic medium of the crystal, images, Gauss points.
    """

    lines: tuple[DislocationLine, ...]
    cell_angstrom: FloatArray
    applied_stress_mpa: FloatArray
    temperature_k: float
    medium: MobilityFeatureSettings

    def frame(self, lines: tuple[DislocationLine, ...], time_ps: float) -> LineFrame:
        """Lines at a time as a frame of a trajectory."""
        return LineFrame(
            time_ps=time_ps,
            cell_angstrom=self.cell_angstrom,
            stress_mpa=self.applied_stress_mpa,
            temperature_k=self.temperature_k,
            lines=lines,
        )

    def conditions(self, lines: tuple[DislocationLine, ...]) -> LineConditions:
        """What a law is told of lines."""
        return LineConditions(
            frame=self.frame(lines, 0.0),
            applied_stress_mpa=self.applied_stress_mpa,
            temperature_k=self.temperature_k,
            medium=self.medium,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class GlideRun:
    """Lines in time; F frames.

    Attributes:
        status: ``completed``, ``annihilated`` (two lines through the cell have met), ``vanished`` (a loop is gone) or
            ``merged`` (a loop has met another line or its periodic images).
        reason: one sentence on the end; empty when completed.
        end_ps: time at which it ended.
        frames: the frames.
        spread_angstrom: (F,) standard deviation of the distance that the lines have gone, to first order: the integral
            of the mean spread of the law over the nodes, as if it erred in the same sense all the time; NaN where the
            law knows of no spread.
        steps: steps taken.
        rejected_steps: steps that were too large and taken again.
    """

    status: Status
    reason: str
    end_ps: float
    frames: tuple[LineFrame, ...]
    spread_angstrom: FloatArray
    steps: int
    rejected_steps: int


@dataclass(frozen=True, eq=False)
class _State:
    lines: tuple[DislocationLine, ...]
    time_ps: float
    step_ps: float
    spread_angstrom: float = 0.0
    steps: int = 0
    rejected: int = 0
    status: Status = "running"
    reason: str = ""


def glide(
    problem: LineProblem, law: MobilityLaw, settings: LineDynamicsSettings, progress: Progress = silent
) -> GlideRun:
    """Move lines by a law.

    Each step is one of Heun's method, x + Δt (v(x) + v(x + Δt v(x)))/2. It is accepted if no node is farther than the
    tolerance from where Euler's method would have it, which bounds the step where the tension of the line makes the
    equations stiff.

    Args:
        problem: the lines and what drives them.
        law: the law.
        settings: time, tolerance, division of the lines, ends.
        progress: what is shown meanwhile.

    Raises:
        PropertyError: the lines are open, leave their slip plane or have no periodic stress field at the start.
        ConvergenceError: no step, however small, is within the tolerance.
    """
    state = _State(_divided(problem.lines, problem, settings), 0.0, settings.first_step_ps)
    state = _judged(state, problem, settings)
    frames, spreads = [problem.frame(state.lines, 0.0)], [state.spread_angstrom]
    for number in range(1, settings.frames + 1):
        state = _advanced(state, number * settings.interval_ps, problem, law, settings)
        if state.status != "running":
            break
        frames.append(problem.frame(state.lines, number * settings.interval_ps))
        spreads.append(state.spread_angstrom)
        progress("moving lines", number, settings.frames)
    return GlideRun(
        status="completed" if state.status == "running" else state.status,
        reason=state.reason,
        end_ps=state.time_ps,
        frames=tuple(frames),
        spread_angstrom=np.array(spreads),
        steps=state.steps,
        rejected_steps=state.rejected,
    )


def glide_samples(
    problem: LineProblem, law: MobilityLaw, settings: LineDynamicsSettings, count: int, seed: int = 0
) -> tuple[GlideRun, ...]:
    """Runs with laws drawn from what a law is not sure of: their differences are its uncertainty, to all orders.

    Args:
        problem: the lines and what drives them.
        law: the law.
        settings: as for `glide`.
        count: runs at most; an ensemble has no more than its better half of members.
        seed: of the draw.

    Raises:
        PropertyError: the law knows of no uncertainty; or as `glide`.
        ConvergenceError: as `glide`.
    """
    laws = law.samples(count, seed)
    if not laws:
        raise PropertyError(
            f"the law {law.name!r}, which does not say how sure it is",
            expected="a law fitted to velocities, or an ensemble of two networks or more",
            next_step="fit the law to trajectories: glideflow mobility law",
        )
    return tuple(glide(problem, each, settings) for each in laws)


def _advanced(
    state: _State, until_ps: float, problem: LineProblem, law: MobilityLaw, settings: LineDynamicsSettings
) -> _State:
    """The state at a later time, or at its end before that."""
    while state.status == "running" and state.time_ps < until_ps - _SAME_TIME_PS:
        state = _stepped(state, until_ps - state.time_ps, problem, law, settings)
    return state


def _stepped(
    state: _State, largest_ps: float, problem: LineProblem, law: MobilityLaw, settings: LineDynamicsSettings
) -> _State:
    """The state after one accepted step, with its lines divided anew."""
    here = law.node_velocities(problem.conditions(state.lines))
    wanted, rejected = min(state.step_ps, settings.largest_step_ps), 0
    while True:
        step = min(wanted, largest_ps)
        displacement, error = _heun(state.lines, here, step, problem, law)
        factor = _SAFETY * np.sqrt(settings.tolerance_angstrom / max(error, 1e-300))
        if error <= settings.tolerance_angstrom:
            break
        wanted, rejected = step * float(np.clip(factor, _MOST_SHRINKING, _SAFETY)), rejected + 1
        _refuse_tiny(wanted, error, settings)
    lines = _divided(moved(state.lines, displacement, problem.cell_angstrom), problem, settings)
    # A step that was cut short by the next frame says nothing against the one that was wanted.
    following = max(wanted if step < wanted else 0.0, step * float(np.clip(factor, _MOST_SHRINKING, _MOST_GROWTH)))
    after = replace(
        state,
        lines=lines,
        time_ps=state.time_ps + step,
        step_ps=min(following, settings.largest_step_ps),
        spread_angstrom=state.spread_angstrom + step * _mean_spread(here),
        steps=state.steps + 1,
        rejected=state.rejected + rejected,
    )
    return _judged(after, problem, settings)


def _heun(
    lines: tuple[DislocationLine, ...], here: NodeVelocities, step_ps: float, problem: LineProblem, law: MobilityLaw
) -> tuple[FloatArray, float]:
    """(N, 3) displacements of the nodes and the largest distance from Euler's, infinite where the lines tangle."""
    first = here.vectors_angstrom_per_ps
    try:
        there = law.node_velocities(problem.conditions(moved(lines, step_ps * first, problem.cell_angstrom)))
    except PropertyError:
        return step_ps * first, float("inf")
    correction = 0.5 * step_ps * (there.vectors_angstrom_per_ps - first)
    largest = float(np.linalg.norm(correction, axis=1).max())
    return step_ps * first + correction, largest if np.isfinite(largest) else float("inf")


def _refuse_tiny(step_ps: float, error_angstrom: float, settings: LineDynamicsSettings) -> None:
    if step_ps < settings.smallest_step_ps:
        raise ConvergenceError(
            f"a step of {step_ps:.2g} ps still errs by {error_angstrom:.2g} Å",
            expected=f"an error of at most {settings.tolerance_angstrom:g} Å in steps above "
            f"{settings.smallest_step_ps:g} ps",
            next_step="look at the lines: do two of them, or a line and its image, touch? Is the law smooth?",
        )


def _mean_spread(velocities: NodeVelocities) -> float:
    spread = velocities.spread_angstrom_per_ps
    return float("nan") if spread is None else float(spread.mean())


def moved(
    lines: Sequence[DislocationLine], displacement_angstrom: FloatArray, cell_angstrom: FloatArray
) -> tuple[DislocationLine, ...]:
    """Lines with their nodes displaced.

    Args:
        lines: lines with N nodes in all.
        displacement_angstrom: (N, 3) displacements in the order of lines and nodes.
        cell_angstrom: (3, 3) cell vectors as rows.
    """
    fractional = np.linalg.solve(cell_angstrom.T, displacement_angstrom.T).T
    ends = np.cumsum([0, *(len(line.nodes_fractional) for line in lines)])
    return tuple(
        replace(line, nodes_fractional=line.nodes_fractional + fractional[first:last])
        for line, (first, last) in zip(lines, pairwise(ends), strict=True)
    )


def _divided(
    lines: Sequence[DislocationLine], problem: LineProblem, settings: LineDynamicsSettings
) -> tuple[DislocationLine, ...]:
    spacing = settings.node_spacing_angstrom
    bounds = {
        "shortest_angstrom": settings.shortest_segment * spacing,
        "longest_angstrom": settings.longest_segment * spacing,
    }
    return tuple(remeshed(line, problem.cell_angstrom, **bounds) for line in lines)


def _judged(state: _State, problem: LineProblem, settings: LineDynamicsSettings) -> _State:
    for status, reason in _ends(state.lines, problem.cell_angstrom, settings):
        return replace(state, status=status, reason=f"{reason} after {state.time_ps:.4g} ps")
    return state


def _ends(
    lines: Sequence[DislocationLine], cell_angstrom: FloatArray, settings: LineDynamicsSettings
) -> Iterator[tuple[Status, str]]:
    """What ends the motion of lines, if anything does."""
    for line in lines:
        if line.topology != "closed":
            continue
        length = line.length_angstrom(cell_angstrom)
        if length < settings.shortest_loop_angstrom:
            yield "vanished", f"the loop is shorter than {settings.shortest_loop_angstrom:g} Å"
        extent = float(np.ptp(line.nodes_fractional, axis=0)[:2].max())
        if extent > settings.largest_extent:
            yield "merged", f"the loop extends over {100 * extent:.0f} % of the cell"
    for number, first in enumerate(lines):
        for second in lines[number + 1 :]:
            if _distance(first, second, cell_angstrom, settings.annihilation_angstrom) < settings.annihilation_angstrom:
                both = first.topology == second.topology == "infinite"
                yield ("annihilated" if both else "merged"), "two lines have met"


def _distance(first: DislocationLine, second: DislocationLine, cell_angstrom: FloatArray, radius: float) -> float:
    """Distance in Å from the nodes of one line to the segments of another, in any periodic image."""
    near = near_segments(first.nodes_fractional @ cell_angstrom, second, cell_angstrom, radius)
    return float(distances_angstrom(near).min())


def straight_dipole(
    angle_deg: float, size_angstrom: tuple[float, float, float], burgers_angstrom: float
) -> tuple[FloatArray, tuple[DislocationLine, ...]]:
    """Two straight lines of opposite sense along y on planes half a cell apart, one above the other.

    Args:
        angle_deg: angle θ from the Burgers vector to the lines; b = b (sin θ, cos θ, 0).
        size_angstrom: edges of the cell along x (glide), y (lines) and z (normal of the slip plane).
        burgers_angstrom: length of the Burgers vector.

    Returns:
        (3, 3) cell vectors as rows, and the lines; the lower one runs along +y.

    Raises:
        ConfigurationError: an edge or the Burgers vector is not positive, or the angle is not finite.
    """
    _refuse_size(size_angstrom, burgers_angstrom)
    if not math.isfinite(angle_deg):
        raise ConfigurationError(
            f"lines at an angle of {angle_deg:g}°", expected="a finite angle in degrees", next_step="correct the angle"
        )
    angle = np.radians(angle_deg)
    burgers = burgers_angstrom * np.array([np.sin(angle), np.cos(angle), 0.0])
    lines = tuple(
        DislocationLine(
            nodes_fractional=np.array([[0.5, 0.0, height], [0.5, 0.5 * sense, height]]),
            period=np.array([0, sense, 0]),
            burgers_angstrom=burgers,
            topology="infinite",
        )
        for sense, height in ((1, 0.25), (-1, 0.75))
    )
    return np.diag(np.asarray(size_angstrom, dtype=float)), lines


def circular_loop(
    radius_angstrom: float, size_angstrom: tuple[float, float, float], burgers_angstrom: float, sides: int = 48
) -> tuple[FloatArray, tuple[DislocationLine, ...]]:
    """A shear loop in the middle of a cell, with its Burgers vector along x, as a polygon with the area of the circle.

    It grows under a positive resolved shear stress: its sense is clockwise seen along -z.

    Args:
        radius_angstrom: radius.
        size_angstrom: edges of the cell along x, y and z (normal of the slip plane).
        burgers_angstrom: length of the Burgers vector.
        sides: sides of the polygon.

    Returns:
        (3, 3) cell vectors as rows, and the loop.

    Raises:
        ConfigurationError: an edge, the radius or the Burgers vector is not positive, or the loop does not fit.
    """
    _refuse_size(size_angstrom, burgers_angstrom)
    if not 0 < 2 * radius_angstrom < min(size_angstrom[:2]):
        raise ConfigurationError(
            f"a loop of radius {radius_angstrom / 10:g} nm in a cell of {size_angstrom[0] / 10:g} x "
            f"{size_angstrom[1] / 10:g} nm",
            expected="a positive radius, and a diameter below the shorter edge",
            next_step="take a larger cell or a smaller loop",
        )
    cell = np.diag(np.asarray(size_angstrom, dtype=float))
    angle = -2 * np.pi * np.arange(sides) / sides
    corner = radius_angstrom * np.sqrt(2 * np.pi / sides / np.sin(2 * np.pi / sides))
    corners = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(sides)]) * corner
    loop = DislocationLine(
        nodes_fractional=0.5 + corners @ np.linalg.inv(cell),
        period=np.zeros(3, dtype=np.int64),
        burgers_angstrom=np.array([burgers_angstrom, 0.0, 0.0]),
        topology="closed",
    )
    return cell, (loop,)


def _refuse_size(size_angstrom: tuple[float, float, float], burgers_angstrom: float) -> None:
    if not all(0 < length < math.inf for length in (*size_angstrom, burgers_angstrom)):
        raise ConfigurationError(
            f"a cell of {' x '.join(f'{edge / 10:g}' for edge in size_angstrom)} nm with a Burgers vector of "
            f"{burgers_angstrom:g} Å",
            expected="positive lengths",
            next_step="correct the size or the Burgers vector",
        )


def resolved_stress_mpa(stress_mpa: float, burgers_angstrom: FloatArray) -> FloatArray:
    """(3, 3) pure shear on the plane normal to z along a Burgers vector in it, as in molecular dynamics.

    Args:
        stress_mpa: resolved shear stress.
        burgers_angstrom: (3,) Burgers vector.
    """
    stress = np.zeros((3, 3))
    stress[2, :2] = stress[:2, 2] = stress_mpa * burgers_angstrom[:2] / np.linalg.norm(burgers_angstrom)
    return stress


def cell_summary(
    problem: LineProblem, *, element: str, angle_deg: float | None = None, radius_angstrom: float | None = None
) -> CellSummary:
    """What a trajectory says of a cell that holds lines and no atoms.

    Args:
        problem: the lines.
        element: metal; empty if nobody said.
        angle_deg: character angle of a dipole.
        radius_angstrom: radius of a loop.
    """
    burgers = problem.lines[0].burgers_angstrom
    digest = hashlib.sha256(problem.cell_angstrom.tobytes() + burgers.tobytes())
    for line in problem.lines:
        digest.update(line.nodes_fractional.tobytes())
    return CellSummary(
        element=element,
        structure="bcc",
        kind="dipole" if angle_deg is not None else "loop",
        lattice_constant_angstrom=2 / np.sqrt(3) * float(np.linalg.norm(burgers)),
        atoms=0,
        character_angle_deg=angle_deg,
        radius_angstrom=radius_angstrom,
        miller_frame=np.zeros((3, 3)),
        burgers_angstrom=burgers,
        cell_angstrom=problem.cell_angstrom,
        sha256=digest.hexdigest(),
    )


def glide_trajectory(
    run: GlideRun,
    problem: LineProblem,
    law: MobilityLaw,
    settings: LineDynamicsSettings,
    *,
    cell: CellSummary,
    stress_mpa: float,
) -> Trajectory:
    """A run as a trajectory of the kind that molecular dynamics gives; the law stands in the place of the potential.

    Args:
        run: the run.
        problem: the lines and what drove them.
        law: the law.
        settings: of the run.
        cell: the cell; see `cell_summary`.
        stress_mpa: resolved shear stress.
    """
    parameters = dict(law.parameters) if isinstance(law, LocalLaw) else {}
    moved_by = {"law": law.name, "law_parameters": parameters, "medium": problem.medium}
    return Trajectory(
        status=run.status,
        reason=run.reason,
        scenario=MobilityScenario(stress_mpa=stress_mpa, temperature_k=problem.temperature_k, seed=0),
        cell=cell,
        potential=_law_summary(law, cell.element),
        provenance=provenance_of(LineDynamicsRecord(**dict(settings), **moved_by), ENGINE, __version__, 0),
        expansion=1.0,
        applied_stress_mpa=problem.applied_stress_mpa,
        topologies=tuple(line.topology for line in problem.lines),
        rejected_ps=np.zeros(0),
        **packed(run.frames),
    )


def _law_summary(law: MobilityLaw, element: str) -> PotentialSummary:
    return PotentialSummary(
        id=law.name,
        element=element,
        structure="bcc",
        engine=ENGINE,
        pair_style="",
        family="",
        source="mobility law",
        source_status="ok",
        source_flags=(),
        fictional=False,
        citation="",
        doi="",
        licence="",
        sha256="",
    )
