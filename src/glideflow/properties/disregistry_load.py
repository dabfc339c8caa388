"""Loading a dislocation of the semidiscrete Peierls-Nabarro model until it glides by one Burgers vector.

The definition of the Peierls stress, carried out: the stress is raised along a branch of stable equilibria to its end,
a fold; beyond, the core is let go. It comes to rest on another branch, which is followed in turn, or it runs. Where one
branch leads from each node to the next (`disregistry_branch`), its largest stress is the same number for less work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glideflow.properties.disregistry import DisregistryModel, FloatArray, glided, relax
from glideflow.properties.disregistry_branch import Corrector, Extremum, Points, row_step

_STEPS_PER_ROW = 8
_SMALLEST_STEP = 1e-4
_LARGEST_TURN = 0.9
_PUSH = 0.02
"""Of the way to the next node: how far a core is moved across a fold before it is let go."""
_EXCESS = 1e-4
"""Relative excess of the stress under which it is let go."""
_FINEST = 1e-13
_EVERY = np.ones(1, dtype=bool)


@dataclass(frozen=True)
class Loading:
    """How one dislocation was loaded.

    Attributes:
        stress: largest stress, in magnitude, that held the core.
        at_peak: (1, n, c) disregistry there.
        jumps: times that the core let go and came to rest before it had glided by one Burgers vector.
        glides: whether it glided in the end; False if a branch was lost or the core never let go.
        solves: linear systems solved along branches.
    """

    stress: float
    at_peak: FloatArray
    jumps: int
    glides: bool
    solves: int


def load(
    model: DisregistryModel,
    unloaded: FloatArray,
    sign: float,
    *,
    tolerance: float = 1e-11,
    max_steps: int = 120,
    max_jumps: int = 12,
) -> Loading:
    """Load one dislocation until it glides.

    Args:
        model: one dislocation.
        unloaded: (1, n, c) its disregistry at rest.
        sign: 1 or -1, the sense of the stress.
        tolerance: largest force per node that counts as none, relative to the energy factor.
        max_steps: steps along one branch after which it is given up.
        max_jumps: times that the core may come to rest again.
    """
    corrector = Corrector(model, tolerance)
    farthest = float(np.linalg.norm(model.burgers[0]) / model.spacing[0])
    here, best, at_peak = unloaded, -np.inf, unloaded
    stress = 0.0
    for jumps in range(max_jumps + 1):
        fold = _fold(corrector, here, stress, sign, max_steps)
        if fold is None:
            break
        if sign * fold.stress[0] > best:
            best, at_peak = sign * float(fold.stress[0]), model.profile(fold.state)
        stress = sign * best * (1 + _EXCESS)
        across = _PUSH * row_step(model, unloaded)[0] * model.profile(fold.tangent)
        here = relax(
            model,
            model.profile(fold.state) + across,
            stress=np.array([stress]),
            farthest=farthest + 1,
            tolerance=max(_FINEST, 0.01 * _EXCESS * abs(stress)),
        )
        if sign * glided(model, unloaded, here)[0] >= farthest:
            return Loading(best, at_peak, jumps, True, int(corrector.solves[0]))
    return Loading(best, at_peak, jumps, False, int(corrector.solves[0]))


def _fold(corrector: Corrector, start: FloatArray, stress: float, sign: float, max_steps: int) -> Points | None:
    """End of the branch of stable equilibria in the sense of the stress; None if it is lost."""
    state = np.append(start.reshape(1, -1), [[stress]], axis=1)
    fixed = np.append(np.zeros((1, state.shape[1] - 1)), [[sign]], axis=1)  # at this stress; the tangent leads upwards
    points, found, _ = corrector.correct(state, fixed, np.array([sign * stress]), _EVERY)
    extremum = Extremum(sign, points)
    largest = row_step(corrector.model, start)[0] / _STEPS_PER_ROW
    size = largest / 2
    for _ in range(max_steps):
        if not found[0] or size < _SMALLEST_STEP * largest:
            return None
        row = corrector.row(points.tangent, _EVERY)
        guess = points.state + size * points.tangent
        following, good, _ = corrector.correct(guess, row, np.sum(row * points.state, axis=1) + size, _EVERY)
        turn = np.sum(row * following.tangent, axis=1)
        if not (good[0] and turn[0] > _LARGEST_TURN):
            size /= 2
            continue
        extremum.see(_EVERY, points, following, np.array([size]), turn)
        if sign * following.slope[0] < 0:
            return extremum.refined(corrector)
        points, size = following, min(largest, 1.5 * size)
    return None
