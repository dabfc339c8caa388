"""Whether the members of an ensemble differ as much as they err.

This module imports PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from glideflow.mobility.graph import batched
from glideflow.mobility.velocities import ANGSTROM_PER_PS_TO_M_PER_S

if TYPE_CHECKING:
    from glideflow.crystals.lattices import FloatArray
    from glideflow.mobility.ensemble import MobilityEnsemble
    from glideflow.mobility.samples import Step, StepData

ERROR_OVER_SPREAD: Final = "error_over_spread"
"""Name of `error_over_spread` among the metrics of a model's card."""


def step_velocities_angstrom_per_ps(ensemble: MobilityEnsemble, steps: Sequence[Step]) -> list[FloatArray]:
    """Velocities of the better half of the members for some steps, which are shown to the networks at once.

    Args:
        ensemble: the networks.
        steps: the steps, one at least.

    Returns:
        for each step the (R, N) velocities of R members at its N nodes.
    """
    found = ensemble.predict(batched([step.graph for step in steps])).members_angstrom_per_ps
    ends = np.cumsum([step.graph.nodes for step in steps])[:-1]
    return np.split(found, ends, axis=1)


def mean_velocity_spread_m_per_s(velocities_angstrom_per_ps: Sequence[FloatArray]) -> float:
    """Standard deviation over members of their mean velocities over some steps; NaN for one member.

    Args:
        velocities_angstrom_per_ps: for each step the (R, N) velocities of the members.
    """
    means = _member_means(velocities_angstrom_per_ps)
    return float(means.std()) * ANGSTROM_PER_PS_TO_M_PER_S if len(means) > 1 else math.nan


def error_over_spread(ensemble: MobilityEnsemble, data: StepData, trajectories: Sequence[int]) -> float:
    """Root mean square, over trajectories, of the error of the mean velocity over its spread.

    Members that learned from the same data agree with each other more than with the truth. This is the factor by which
    their spread must be multiplied to have the size of their errors; if these are normal, it is the likeliest one.

    Args:
        ensemble: the networks.
        data: the steps.
        trajectories: numbers of trajectories that no weights were fitted to.

    Returns:
        the ratio; NaN without such trajectories, or without a spread.
    """
    ratios = [_ratio(ensemble, data.of([number])) for number in trajectories]
    return float(np.sqrt(np.mean(np.square(ratios)))) if ratios else math.nan


def _ratio(ensemble: MobilityEnsemble, steps: Sequence[Step]) -> float:
    velocities = step_velocities_angstrom_per_ps(ensemble, steps)
    observed = float(np.mean([step.target.observed_angstrom.mean() for step in steps])) / ensemble.step_ps
    means = _member_means(velocities)
    spread = float(means.std())
    return (float(means.mean()) - observed) / spread if spread > 0 else math.nan


def _member_means(velocities_angstrom_per_ps: Sequence[FloatArray]) -> FloatArray:
    """(R,) mean velocities of the members over some steps."""
    return np.asarray(np.mean([each.mean(axis=1) for each in velocities_angstrom_per_ps], axis=0))
