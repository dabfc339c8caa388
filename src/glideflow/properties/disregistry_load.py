"""Loading a dislocation of the semidiscrete Peierls-Nabarro model until it glides by one Burgers vector.

The definition of the Peierls stress, carried out: the stress is raised along a branch of stable equilibria to its end,
a fold; beyond, the core is let go. It comes to rest on another branch, which is followed in turn, or it runs. Where one
branch leads from each node to the next (`disregistry_branch`), its largest stress is the same number for less work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glideflow.properties.disregistry import DisregistryModel, FloatArray, glided, relax
from glideflow.properties.disregistry_branch import LARGEST_TURN, Corrector, Extremum, Points, next_step, row_step

_STEPS_PER_ROW = 8
_SMALLEST_STEP = 1e-4
_PUSH = 0.02
"""Of the way to the next node: how far a core is moved across a fold before it is let go."""
_EXCESS = 1e-4
"""Relative excess of the stress under which it is let go."""
_LONGEST = 0.05
"""In Burgers vectors: how far a node goes in a step of a core that was let go. It must not leap over where it rests."""
_ITERATIONS = 400
_FINEST = 1e-13
_EVERY = np.ones(1, dtype=bool)


@dataclass(frozen=True)
class Loading:
    """How one dislocation was loaded.

    Attributes:
        stress: largest stress, in magnitude, that was seen to hold the core: the one that moves it if it ``glides``,
            else a lower bound of that.
        at_peak: (1, n, c) disregistry there.
        jumps: times that the core let go and came to rest before it had glided by one Burgers vector.
        glides: whether it glided in the end; False if a branch was lost, the core never let go, or the limit was
            reached.
        exhausted: whether the limit of linear systems was reached.
        solves: linear systems solved.
    """

    stress: float
    at_peak: FloatArray
    jumps: int
    glides: bool
    exhausted: bool
    solves: int


def load(
    model: DisregistryModel,
    unloaded: FloatArray,
    sign: float,
    *,
    tolerance: float = 1e-11,
    max_solves: int = 5000,
) -> Loading:
    """Load one dislocation until it glides.

    Args:
        model: one dislocation.
        unloaded: (1, n, c) its disregistry at rest.
        sign: 1 or -1, the sense of the stress.
        tolerance: largest force per node that counts as none, relative to the energy factor.
        max_solves: linear systems after which it is given up. A count, not a time: the result is the
            same on every machine.
    """
    climb = _Climb(Corrector(model, tolerance), sign, max_solves)
    farthest = float(np.linalg.norm(model.burgers[0]) / model.spacing[0])
    here, best, at_peak, stress, glides, jumps = unloaded, 0.0, unloaded, 0.0, False, 0
    while True:
        top, is_fold = climb.from_rest(here, stress)
        if sign * top.stress[0] > best:
            best, at_peak = sign * float(top.stress[0]), model.profile(top.state)
        if not is_fold:
            break
        stress = sign * best * (1 + _EXCESS)
        across = _PUSH * row_step(model, unloaded)[0] * model.profile(top.tangent)
        here = relax(
            model,
            model.profile(top.state) + across,
            stress=np.array([stress]),
            farthest=farthest + 1,
            tolerance=max(_FINEST, 0.01 * _EXCESS * abs(stress)),
            iterations=_ITERATIONS,
            largest_step=_LONGEST * float(np.linalg.norm(model.burgers[0])),
            solves=climb.corrector.solves,
        )
        glides = bool(sign * glided(model, unloaded, here)[0] >= farthest)
        if glides or climb.exhausted:
            break
        jumps += 1
    return Loading(best, at_peak, jumps, glides, climb.exhausted and not glides, climb.solves)


@dataclass
class _Climb:
    """Branches of stable equilibria of one dislocation, followed upwards in the sense of the stress."""

    corrector: Corrector
    sign: float
    max_solves: int

    @property
    def solves(self) -> int:
        """Linear systems solved so far."""
        return int(self.corrector.solves[0])

    @property
    def exhausted(self) -> bool:
        """Whether the limit is reached."""
        return self.solves >= self.max_solves

    def from_rest(self, start: FloatArray, stress: float) -> tuple[Points, bool]:
        """End of the branch on which a disregistry lies, and whether that is a fold.

        Where the branch is lost or the limit reached, the last point of it that was found.
        """
        state = np.append(start.reshape(1, -1), [[stress]], axis=1)
        fixed = np.append(np.zeros((1, state.shape[1] - 1)), [[self.sign]], axis=1)  # the tangent leads upwards
        points, found, _ = self.corrector.correct(state, fixed, np.array([self.sign * stress]), _EVERY)
        extremum = Extremum(self.sign, points)
        largest = row_step(self.corrector.model, start)[0] / _STEPS_PER_ROW
        size = largest / 2
        while found[0] and size >= _SMALLEST_STEP * largest and not self.exhausted:
            row = self.corrector.row(points.tangent, _EVERY)
            guess, target = points.state + size * points.tangent, np.sum(row * points.state, axis=1) + size
            following, good, _ = self.corrector.correct(guess, row, target, _EVERY)
            turn = np.sum(row * following.tangent, axis=1)
            if not (good[0] and turn[0] > LARGEST_TURN):
                size /= 2
                continue
            extremum.see(_EVERY, points, following, np.array([size]), turn)
            if self.sign * following.slope[0] < 0:
                return extremum.refined(self.corrector), True
            points, size = following, min(largest, size * float(next_step(turn)[0]))
        return points, False
