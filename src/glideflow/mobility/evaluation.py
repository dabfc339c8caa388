"""How well a mobility law predicts steps that it has not seen: single-step errors beside what heat alone does.

The absolute error of a step is the mean of two root-mean-square distances: of predicted nodes from the true lines, and
of true nodes from the predicted lines; the percentage error is its share of the same for lines that stay where they are
(Tian et al. 2024, Fig. 5, whose errors are based on the loss in the same way). Lines diffuse meanwhile: with drag B a
line of length L by √(2kTΔt/(BL)), which no deterministic law can predict and which stands beside the errors.

This module imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from glideflow.crystals.lattices import FloatArray
from glideflow.mobility.graph import LineGraph
from glideflow.mobility.loss import line_losses, loss_tensors, node_distances
from glideflow.mobility.samples import Step, StepData, StepSource
from glideflow.mobility.velocities import ANGSTROM_PER_PS_TO_M_PER_S, thermal_displacement_angstrom

Predict = Callable[[LineGraph], FloatArray]
"""A law: velocities of the nodes of a graph along their glide directions in Å/ps."""
Group = Literal["angle", "stress", "temperature"]


@dataclass(frozen=True, kw_only=True)
class TrajectoryErrors:
    """Errors of a law for the steps of one trajectory.

    Attributes:
        name: the trajectory.
        angle: angle of its dipole in degrees, or ``loop``.
        stress_mpa: resolved shear stress.
        temperature_k: temperature.
        steps: number of steps.
        percent: median percentage error of a step.
        absolute_angstrom: median absolute error of a step.
        velocity_m_per_s: mean predicted velocity, positive in the sense of the force of a positive stress.
        observed_m_per_s: mean observed velocity.
        thermal_floor_angstrom: displacement of one line by diffusion in a step, one standard deviation; NaN where no
            drag is to be had, for want of motion.
    """

    name: str
    angle: str
    stress_mpa: float
    temperature_k: float
    steps: int
    percent: float
    absolute_angstrom: float
    velocity_m_per_s: float
    observed_m_per_s: float
    thermal_floor_angstrom: float


@dataclass(frozen=True, kw_only=True)
class GroupErrors:
    """Errors of a law for all steps of some trajectories.

    Attributes:
        group: what they have in common, e.g. ``300 K``; ``all`` for all.
        trajectories: number of trajectories.
        steps: number of steps.
        percent: median percentage error of a step.
        percent_lowest: smallest of the medians of single trajectories.
        percent_highest: largest of these.
        absolute_angstrom: median absolute error of a step.
        absolute_lowest_angstrom: smallest of the medians of single trajectories.
        absolute_highest_angstrom: largest of these.
        velocity_percent: mean over trajectories of the error of the mean velocity, in percent of the mean over
            trajectories of the observed one.
        thermal_floor_angstrom: median of the thermal floors.
    """

    group: str
    trajectories: int
    steps: int
    percent: float
    percent_lowest: float
    percent_highest: float
    absolute_angstrom: float
    absolute_lowest_angstrom: float
    absolute_highest_angstrom: float
    velocity_percent: float
    thermal_floor_angstrom: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """Errors of one law.

    Attributes:
        law: its name.
        overall: errors for all steps.
        groups: errors by angle, by stress and by temperature.
        trajectories: errors of each trajectory.
    """

    law: str
    overall: GroupErrors
    groups: Mapping[Group, tuple[GroupErrors, ...]]
    trajectories: tuple[TrajectoryErrors, ...]


@dataclass(frozen=True, eq=False)
class _Errors:
    """Errors of the steps of one trajectory: (K,) arrays, and its row."""

    row: TrajectoryErrors
    percent: FloatArray
    absolute: FloatArray


def evaluate(law: str, predict: Predict, data: StepData, trajectories: Sequence[int]) -> Evaluation:
    """Errors of a law for the steps of some trajectories.

    Args:
        law: what it is called.
        predict: the law.
        data: the steps.
        trajectories: numbers of the trajectories.
    """
    errors = [
        _trajectory_errors(predict, data.of([number]), data.sources[number], data.step_ps) for number in trajectories
    ]
    keys: Mapping[Group, Callable[[TrajectoryErrors], str]] = {
        "angle": lambda row: row.angle,
        "stress": lambda row: f"{row.stress_mpa:g} MPa",
        "temperature": lambda row: f"{row.temperature_k:g} K",
    }
    return Evaluation(
        law=law,
        overall=_grouped("all", errors),
        groups={group: _by(key, errors) for group, key in keys.items()},
        trajectories=tuple(each.row for each in errors),
    )


def loss_of(step: Step, displacement_angstrom: FloatArray) -> float:
    """Loss of predicted displacements of one step in Å, equation 4, as training has it.

    Args:
        step: the step.
        displacement_angstrom: (N,) displacements of its nodes along their glide directions.
    """
    batch = loss_tensors(step.graph, [step.target], dtype=torch.float64)
    return float(line_losses(torch.from_numpy(displacement_angstrom[None]), batch)[0, 0])


def step_errors(step: Step, displacement_angstrom: FloatArray) -> tuple[float, float]:
    """Absolute error in Å and percentage error of predicted displacements.

    Args:
        step: the step.
        displacement_angstrom: (N,) displacements of its nodes along their glide directions.
    """
    batch = loss_tensors(step.graph, [step.target], dtype=torch.float64)
    both = torch.from_numpy(np.stack([displacement_angstrom, np.zeros_like(displacement_angstrom)]))
    predicted, still = np.mean([_root_mean_square(part.numpy()) for part in node_distances(both, batch)], axis=0)
    return float(predicted), 100.0 * float(predicted) / float(still) if still > 0 else float("nan")


def _root_mean_square(distances: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt((distances**2).mean(axis=1)))


def _trajectory_errors(predict: Predict, steps: Sequence[Step], source: StepSource, step_ps: float) -> _Errors:
    velocities = [predict(step.graph) for step in steps]
    pairs = [step_errors(step, velocity * step_ps) for step, velocity in zip(steps, velocities, strict=True)]
    absolute, percent = np.array(pairs).T
    observed = float(np.mean([step.target.observed_angstrom.mean() for step in steps])) / step_ps
    row = TrajectoryErrors(
        name=source.name,
        angle="loop" if source.character_angle_deg is None else f"{source.character_angle_deg:.1f}°",
        stress_mpa=source.stress_mpa,
        temperature_k=source.temperature_k,
        steps=len(steps),
        percent=float(np.nanmedian(percent)),
        absolute_angstrom=float(np.median(absolute)),
        velocity_m_per_s=float(np.mean([each.mean() for each in velocities])) * ANGSTROM_PER_PS_TO_M_PER_S,
        observed_m_per_s=observed * ANGSTROM_PER_PS_TO_M_PER_S,
        thermal_floor_angstrom=_floor(steps, source, observed, step_ps),
    )
    return _Errors(row, percent, absolute)


def _floor(steps: Sequence[Step], source: StepSource, velocity_angstrom_per_ps: float, step_ps: float) -> float:
    """Displacement of one line by diffusion in a step, with the drag that its observed velocity tells."""
    force = float(np.mean([step.graph.glide_force_mpa_angstrom.mean() for step in steps]))
    if not force * velocity_angstrom_per_ps > 0:
        return float("nan")
    drag_pa_s = force / velocity_angstrom_per_ps * 1e-6  # MPa·ps
    lengths = [
        np.linalg.norm(step.graph.segments_angstrom, axis=1).sum() / (step.graph.lines.max() + 1) for step in steps
    ]
    return thermal_displacement_angstrom(source.temperature_k, drag_pa_s, float(np.mean(lengths)), step_ps)


def _by(key: Callable[[TrajectoryErrors], str], errors: Sequence[_Errors]) -> tuple[GroupErrors, ...]:
    names = sorted({key(each.row) for each in errors}, key=_number)
    return tuple(_grouped(name, [each for each in errors if key(each.row) == name]) for name in names)


def _number(name: str) -> float:
    head = name.rstrip("°").split()[0]
    return float("inf") if head == "loop" else float(head)


def _grouped(name: str, errors: Sequence[_Errors]) -> GroupErrors:
    rows = [each.row for each in errors]
    differences = np.array([row.velocity_m_per_s - row.observed_m_per_s for row in rows])
    observed = np.abs([row.observed_m_per_s for row in rows]).mean()
    percents, absolutes, floors = (
        np.array([getattr(row, name) for row in rows])
        for name in ("percent", "absolute_angstrom", "thermal_floor_angstrom")
    )
    return GroupErrors(
        group=name,
        trajectories=len(rows),
        steps=sum(row.steps for row in rows),
        percent=float(np.nanmedian(np.concatenate([each.percent for each in errors]))),
        percent_lowest=float(np.fmin.reduce(percents)),
        percent_highest=float(np.fmax.reduce(percents)),
        absolute_angstrom=float(np.median(np.concatenate([each.absolute for each in errors]))),
        absolute_lowest_angstrom=float(absolutes.min()),
        absolute_highest_angstrom=float(absolutes.max()),
        velocity_percent=100.0 * float(np.abs(differences).mean() / observed) if observed > 0 else float("nan"),
        thermal_floor_angstrom=float(np.nanmedian(floors)) if np.isfinite(floors).any() else float("nan"),
    )
