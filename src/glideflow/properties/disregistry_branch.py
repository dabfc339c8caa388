"""Following a dislocation of the semidiscrete Peierls-Nabarro model from one node to the next; see `disregistry`.

The branch of equilibria is followed by its arc length (Keller's method), stable or not, for many dislocations at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from glideflow.properties.disregistry import (
    BoolArray,
    DisregistryModel,
    FloatArray,
    core_position,
    energy_factor,
    glided,
    hold_row,
    is_mirrored,
    mirror_error,
    moved_on,
    slopes_along_burgers,
)

_STEPS_PER_ROW = 8
"""Least number of steps while the core moves by one node."""
_CORRECTIONS = 6
_EASY = 4
_SMALLEST_STEP = 1e-4
"""Of the largest step: where smaller ones would be needed, the branch is lost."""
LARGEST_TURN = 0.9
"""Least cosine of the angle between successive directions of the branch."""
_AIM = 0.7
"""Of the largest turn: what the next step is to make."""
_GROWTH = 1.5
_REFINEMENTS = 3
_SECANTS = 4
_SHORTEST_LOOP = 12
"""Points of the shortest branch that is taken for a closed one."""
_SAME_DISREGISTRY = 1e-3
"""Of a Burgers vector."""
_AT_MIRROR = 1e-3
"""Of half a node: this close to the place of a mirror a core is at it."""


@dataclass(frozen=True)
class Branch:
    """What was met on the way of B cores from one node to the next.

    Attributes:
        unloaded: (B, n, c) disregistry at the start, the point of the branch next to where the core was relaxed.
        forward: (B,) largest stress on the branch.
        reverse: (B,) smallest stress on the branch, with the sign changed.
        at_peak: (B, n, c) disregistry at the largest stress.
        glided: (p, B) distance glided at each point, in nodes and in the sense in which a positive stress drives the
            core; NaN where a branch had ended.
        stress: (p, B) stress at each point.
        complete: (B,) whether the core has come to the next node.
        periodic: (B,) whether it has there the disregistry that it had before.
        solves: (B,) linear systems solved.
    """

    unloaded: FloatArray
    forward: FloatArray
    reverse: FloatArray
    at_peak: FloatArray
    glided: FloatArray
    stress: FloatArray
    complete: BoolArray
    periodic: BoolArray
    solves: NDArray[np.int64]


def follow(model: DisregistryModel, relaxed: FloatArray, *, tolerance: float = 1e-11, max_steps: int = 120) -> Branch:
    """Follow the equilibria of each dislocation until its core has moved on by one node.

    Args:
        model: the dislocations.
        relaxed: (B, n, c) disregistries near equilibrium, e.g. from `glideflow.properties.disregistry.relax`.
        tolerance: largest force per node that counts as none, relative to the energy factor.
        max_steps: steps after which a branch is given up.
    """
    walker = _Walker(model, relaxed, tolerance)
    for _ in range(max_steps):
        if not walker.active.any():
            break
        walker.step()
    return walker.branch()


def largest_stress(
    model: DisregistryModel, relaxed: FloatArray, *, tolerance: float = 1e-11, max_steps: int = 120
) -> FloatArray:
    """(B,) largest stress, of either sense, on the way of each dislocation from one node to the next.

    As `follow` finds it, or what of the way could be followed. Where the model has a mirror
    (`glideflow.properties.disregistry.is_mirrored`) the way from one core that is its own image to the next such
    one is enough: the branch beyond is the image of the branch before, with stresses of the other sign.

    Args:
        model: the dislocations.
        relaxed: (B, n, c) disregistries near equilibrium.
        tolerance: see `follow`.
        max_steps: see `follow`.
    """
    walker = _Walker(model, relaxed, tolerance, mirrors=is_mirrored(model))
    for _ in range(max_steps):
        if not walker.active.any():
            break
        walker.step()
    return walker.largest_stress()


@dataclass
class Points:
    """Points on the branches.

    Attributes:
        state: (B, n c + 1) disregistry and, last, stress.
        tangent: (B, n c + 1) direction of the branch, of unit length in the metric.
    """

    state: FloatArray
    tangent: FloatArray

    @property
    def stress(self) -> FloatArray:
        """(B,) stress."""
        return self.state[:, -1]

    @property
    def slope(self) -> FloatArray:
        """(B,) derivative of the stress along the branch."""
        return self.tangent[:, -1]

    def take(self, chosen: BoolArray) -> Points:
        """Some of the points."""
        return Points(self.state[chosen], self.tangent[chosen])

    def put(self, chosen: BoolArray, other: Points) -> None:
        """Replace some of the points."""
        self.state[chosen], self.tangent[chosen] = other.state, other.tangent

    def copy(self) -> Points:
        """The same points, independent of these."""
        return Points(self.state.copy(), self.tangent.copy())


@dataclass
class Corrector:
    """Newton's method for equilibria on a hyperplane across the branch."""

    model: DisregistryModel
    tolerance: float
    scale: FloatArray = field(init=False)
    solves: NDArray[np.int64] = field(init=False)
    _largest_slope: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.scale = energy_factor(self.model)
        self.solves = np.zeros(self.model.size, dtype=np.int64)
        self._largest_slope = np.abs(slopes_along_burgers(self.model)).max(axis=1)

    def row(self, tangent: FloatArray, chosen: BoolArray) -> FloatArray:
        """(B', n c + 1) row of the metric Σ u·u' + (b/τ₀)² τ τ'.

        The displacements u are taken without their mean, the response of the far field; τ₀ is the largest slope of γ.
        """
        u = tangent[:, :-1].reshape(len(tangent), self.model.nodes, self.model.components)
        u = u - u.mean(axis=1, keepdims=True)
        burgers = np.linalg.norm(self.model.burgers[chosen], axis=1)
        weight = (burgers / self._largest_slope[chosen]) ** 2
        return np.append(u.reshape(len(u), -1), (weight * tangent[:, -1])[:, None], axis=1)

    def correct(
        self, start: FloatArray, row: FloatArray, target: FloatArray, chosen: BoolArray
    ) -> tuple[Points, BoolArray, int]:
        """Equilibria with ``row · state = target`` near a start, whether they were found, and Newton steps made.

        The tangents are normalised in the metric and point to where ``row · state`` grows.
        """
        model, state = self.model.take(chosen), start.copy()
        for made in range(_CORRECTIONS + 1):
            matrix, right = self._bordered(model, state, row, target)
            solution = np.linalg.solve(matrix, right)
            self.solves[chosen] += 1
            found = self._vanishes(right[..., 0], row, chosen)
            if found.all() or made == _CORRECTIONS or not np.isfinite(solution).all():
                break
            state = state + np.where(found[:, None], 0.0, solution[..., 0])
        tangent = np.asarray(solution[..., 1], dtype=float)
        length = np.sqrt(np.sum(self.row(tangent, chosen) * tangent, axis=1, keepdims=True))
        return Points(state, tangent / length), found, made

    def _bordered(
        self, model: DisregistryModel, state: FloatArray, row: FloatArray, target: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """(B', n c + 1, n c + 1) matrix and (B', n c + 1, 2) right-hand sides for Newton's step and the tangent."""
        count = model.nodes * model.components
        _, gradient, hessian = model.energy(model.profile(state), state[:, -1])
        matrix = np.zeros((model.size, count + 1, count + 1))
        matrix[:, :count, :count] = hessian
        matrix[:, :count, count] = -np.tile(model.direction, model.nodes)
        matrix[:, count] = row
        right = np.zeros((model.size, count + 1, 2))
        right[:, :count, 0] = -gradient
        right[:, count, 0] = target - np.sum(row * state, axis=1)
        right[:, count, 1] = 1.0
        return matrix, right

    def _vanishes(self, residual: FloatArray, row: FloatArray, chosen: BoolArray) -> BoolArray:
        force = np.abs(residual[:, :-1]).max(axis=1) / self.scale[chosen]
        off = np.abs(residual[:, -1]) / np.linalg.norm(row, axis=1)
        return np.asarray((force < self.tolerance) & (off < 1e-8))


class Extremum:
    """Where the stress is largest (sign +1) or smallest (-1) on each branch, so far between two points of it."""

    def __init__(self, sign: float, points: Points) -> None:
        self._sign = sign
        self._left = points.copy()
        self._bracket = np.zeros((len(points.state), 2, 3))  # of both ends: distance from the left one, value, slope
        self._where = np.zeros(len(points.state))
        self._best = sign * points.stress

    def see(self, chosen: BoolArray, left: Points, right: Points, step: FloatArray, turn: FloatArray) -> None:
        """Take note of an accepted step of the chosen branches; ``turn`` is the cosine between its tangents."""
        bracket = np.stack(
            [
                np.stack([np.zeros_like(step), self._sign * left.stress, self._sign * left.slope], axis=1),
                np.stack([step, self._sign * right.stress, self._sign * right.slope / turn], axis=1),
            ],
            axis=1,
        )
        where, value = _hermite_maximum(bracket)
        better = value > self._best[chosen]
        index = np.flatnonzero(chosen)[better]
        self._best[index], self._where[index], self._bracket[index] = value[better], where[better], bracket[better]
        self._left.state[index], self._left.tangent[index] = left.state[better], left.tangent[better]

    @property
    def height(self) -> FloatArray:
        """(B,) the stress there, as interpolated, with the sign."""
        return self._best

    def refined(self, corrector: Corrector, wanted: BoolArray | None = None) -> Points:
        """The points of the branches where the stress does not change: Hermite interpolation, the bracket shrinking.

        Where no equilibrium is found there (the branch was left between two points of it), the highest of those found.

        Args:
            corrector: finds equilibria.
            wanted: (B,) the branches that matter; of the others, the point before the extremum.
        """
        wanted = np.ones(len(self._where), dtype=bool) if wanted is None else wanted
        if not wanted.any():
            return self._left.copy()
        left, where, bracket = self._left.take(wanted), self._where[wanted], self._bracket[wanted]
        row = corrector.row(left.tangent, wanted)
        base = np.sum(row * left.state, axis=1)
        highest = left.copy()
        for _ in range(_REFINEMENTS):
            guess = left.state + where[:, None] * left.tangent
            points, found, _ = corrector.correct(guess, row, base + where, wanted)
            higher = found & (self._sign * points.stress >= self._sign * highest.stress)
            highest.put(higher, points.take(higher))
            slope = self._sign * points.slope / np.sum(row * points.tangent, axis=1)
            end = np.where(slope > 0, 0, 1)
            fresh = np.stack([where, self._sign * points.stress, slope], axis=1)
            bracket[np.flatnonzero(found), end[found]] = fresh[found]
            where, _ = _hermite_maximum(bracket)
        every = self._left.copy()
        every.put(wanted, highest)
        return every


def _hermite_maximum(bracket: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Place and value of the largest value of cubics given by place, value and slope at two ends, (B, 2, 3).

    A quadratic equation for the interior extremum; the better end where there is none.
    """
    (x0, v0, g0), (x1, v1, g1) = bracket[:, 0].T, bracket[:, 1].T
    width = x1 - x0
    rise, a, b = v1 - v0, g0 * width, g1 * width
    cubic, square = a + b - 2 * rise, 3 * rise - 2 * a - b  # v0 + a t + square t² + cubic t³
    with np.errstate(all="ignore"):
        root = np.sqrt(square**2 - 3 * cubic * a)
        inner = a / (root - square)  # where the slope goes from + to -; without cancellation for a small cubic
    inside = np.isfinite(inner) & (inner > 0) & (inner < 1)
    t = np.where(inside, inner, np.where(v1 > v0, 1.0, 0.0))
    return x0 + t * width, v0 + t * (a + t * (square + t * cubic))


class _Walker:
    """All branches, on their way."""

    def __init__(
        self, model: DisregistryModel, relaxed: FloatArray, tolerance: float, mirrors: BoolArray | None = None
    ) -> None:
        self._model = model
        self._corrector = Corrector(model, tolerance)
        everything = np.ones(model.size, dtype=bool)
        row = np.append(hold_row(model), np.zeros((model.size, 1)), axis=1)
        start = np.append(relaxed.reshape(model.size, -1), np.zeros((model.size, 1)), axis=1)
        self._points, self.active, _ = self._corrector.correct(start, row, np.sum(row * start, axis=1), everything)
        self._first = self._points.copy()
        self._glided = np.zeros(model.size)
        self._extrema = [Extremum(sign, self._points) for sign in (1.0, -1.0)]
        self._largest_step = row_step(model, relaxed) / _STEPS_PER_ROW
        self._step = self._largest_step / 2
        self._before = self._points.copy()
        self._complete = np.zeros(model.size, dtype=bool)
        self._path = [(np.zeros(model.size), self._points.stress.copy())]
        self._mirrors = _Mirrors(model, self._first, mirrors) if mirrors is not None and mirrors.any() else None

    def step(self) -> None:
        """One step on every active branch; those where it fails try a smaller one next time."""
        chosen = self.active.copy()
        left, size = self._points.take(chosen), self._step[chosen]
        row = self._corrector.row(left.tangent, chosen)
        target = np.sum(row * left.state, axis=1) + size
        right, found, made = self._corrector.correct(left.state + size[:, None] * left.tangent, row, target, chosen)
        turn = np.sum(row * right.tangent, axis=1)
        good = found & (turn > LARGEST_TURN)
        accepted = np.zeros_like(chosen)
        accepted[np.flatnonzero(chosen)[good]] = True
        self._accept(accepted, left.take(good), right.take(good), size[good], turn[good])
        factor = next_step(turn) if made <= _EASY else np.minimum(1.0, next_step(turn))
        self._step[chosen] = np.where(good, size * factor, size / 2)
        self._step = np.minimum(self._step, self._largest_step)
        self.active &= ~self._complete & ~self._looped() & (self._step > _SMALLEST_STEP * self._largest_step)

    def branch(self) -> Branch:
        """What was met."""
        peak, trough = (extremum.refined(self._corrector) for extremum in self._extrema)
        distance, stress = (np.array(column) for column in zip(*self._path, strict=True))
        return Branch(
            unloaded=self._model.profile(self._first.state),
            forward=peak.stress,
            reverse=-trough.stress,
            at_peak=self._model.profile(peak.state),
            glided=distance,
            stress=stress,
            complete=self._complete,
            periodic=self._complete & self._is_periodic(),
            solves=self._corrector.solves,
        )

    def largest_stress(self) -> FloatArray:
        """(B,) the larger of the largest stress and the magnitude of the smallest one."""
        heights = np.array([extremum.height for extremum in self._extrema])
        mirrored = self._mirrors.passed if self._mirrors else np.zeros(self._model.size, dtype=bool)
        wanted = (heights >= heights.max(axis=0)) | ~mirrored  # where both are equal, one tells of the other
        peak, trough = (
            extremum.refined(self._corrector, each) for extremum, each in zip(self._extrema, wanted, strict=True)
        )
        return np.asarray(
            np.maximum(np.where(wanted[0], peak.stress, -np.inf), np.where(wanted[1], -trough.stress, -np.inf))
        )

    def _accept(self, accepted: BoolArray, left: Points, right: Points, size: FloatArray, turn: FloatArray) -> None:
        for extremum in self._extrema:
            extremum.see(accepted, left, right, size, turn)
        self._before.put(accepted, left)
        self._points.put(accepted, right)
        before = self._glided[accepted]
        self._glided[accepted] = self._distance(right.state, accepted)
        self._complete |= self._glided >= 1.0
        if self._mirrors:
            step = _Step(size, turn, np.array([before, self._glided[accepted]]))
            self._mirrors.see(accepted, left, right, step)
            self._complete |= self._mirrors.passed
        fresh = np.where(accepted, 1.0, np.nan)
        self._path.append((self._glided * fresh, self._points.stress * fresh))

    def _looped(self) -> BoolArray:
        """Whether a branch has come back to its first point: it goes round in circles, and never to the next node."""
        away = self._points.state[:, :-1] - self._first.state[:, :-1]
        near = np.linalg.norm(away, axis=1) < self._largest_step / 2
        ahead = np.sum(self._points.tangent[:, :-1] * self._first.tangent[:, :-1], axis=1) > 0
        return np.asarray(near & ahead & (len(self._path) > _SHORTEST_LOOP))

    def _distance(self, state: FloatArray, chosen: BoolArray) -> FloatArray:
        model = self._model.take(chosen)
        return glided(model, model.profile(self._first.state[chosen]), model.profile(state))

    def _is_periodic(self) -> BoolArray:
        """Whether the first point, moved on by one node, lies on the last step of its branch."""
        ahead = moved_on(self._model, self._model.profile(self._first.state))
        wanted = np.append(ahead.reshape(self._model.size, -1), self._first.stress[:, None], axis=1)
        everything = np.ones(self._model.size, dtype=bool)
        row = self._corrector.row(self._before.tangent, everything)
        target = np.sum(row * wanted, axis=1)
        found, _, _ = self._corrector.correct(self._before.state, row, target, everything)
        off = np.abs(found.state[:, :-1] - wanted[:, :-1]).max(axis=1)
        return np.asarray(off < _SAME_DISREGISTRY * np.linalg.norm(self._model.burgers, axis=1))


class _Mirrors:
    """Which branches have come from one core that is its own mirror image to the next such one.

    Attributes:
        passed: (B,) whether they have.
    """

    def __init__(self, model: DisregistryModel, first: Points, has_mirror: BoolArray) -> None:
        self._model = model
        self._has = has_mirror
        self.passed = np.zeros(model.size, dtype=bool)
        self._start = 2 * core_position(model, model.profile(first.state))  # places in half nodes
        place = np.rint(self._start)
        at_mirror = np.abs(self._start - place) < _AT_MIRROR
        own = at_mirror & (mirror_error(model, model.profile(first.state), place) < _SAME_DISREGISTRY)
        self._last = np.where(has_mirror & own, place, np.nan)

    def see(self, chosen: BoolArray, left: Points, right: Points, step: _Step) -> None:
        """Take note of an accepted step of the chosen branches."""
        before, after = self._start[chosen] - 2 * step.glided
        place = np.where(after < before, np.floor(before), np.ceil(before))  # the one that may have been passed
        passed = (before - place) * (after - place) <= 0
        passed &= self._has[chosen] & (place != self._last[chosen]) & (before != after)
        if not passed.any():
            return
        number, place = np.flatnonzero(chosen)[passed], place[passed]
        model = self._model.take(number)
        state = self._at_place(model, left.take(passed), right.take(passed), step.take(passed), place - before[passed])
        own = mirror_error(model, model.profile(state), place) < _SAME_DISREGISTRY
        self.passed[number[own]] = ~np.isnan(self._last[number[own]])
        self._last[number[own]] = place[own]

    def _at_place(
        self, model: DisregistryModel, left: Points, right: Points, step: _Step, wanted: FloatArray
    ) -> FloatArray:
        """(B', n c + 1) states between both points where the core has moved on by so many half nodes, by secants."""
        start = model.profile(left.state)
        low, high = np.zeros_like(wanted), np.ones_like(wanted)
        low_off, high_off = -wanted, 2 * (step.glided[0] - step.glided[1]) - wanted
        for _ in range(_SECANTS):
            rise = high_off - low_off
            share = low - low_off * (high - low) / np.where(rise == 0, 1.0, rise)
            state = _between(left, right, step, share)
            off = -2 * glided(model, start, model.profile(state)) - wanted
            below = off * low_off > 0
            low, low_off = np.where(below, share, low), np.where(below, off, low_off)
            high, high_off = np.where(below, high, share), np.where(below, high_off, off)
        return state


@dataclass(frozen=True)
class _Step:
    """An accepted step of B' branches.

    Attributes:
        size: (B',) distance along the tangent at the left end.
        turn: (B',) cosine between the tangents at both ends.
        glided: (2, B') distance that the core has glided since the start, in nodes, at both ends.
    """

    size: FloatArray
    turn: FloatArray
    glided: FloatArray

    def take(self, chosen: BoolArray) -> _Step:
        """The step of some of the branches."""
        return _Step(self.size[chosen], self.turn[chosen], self.glided[:, chosen])


def _between(left: Points, right: Points, step: _Step, share: FloatArray) -> FloatArray:
    """(B', n c + 1) states on the cubic through both ends of a step, at shares (B',) of it."""
    t, size = share[:, None], step.size[:, None]
    rise, a, b = right.state - left.state, left.tangent * size, right.tangent * size / step.turn[:, None]
    return np.asarray(left.state + t * (a + t * ((3 * rise - 2 * a - b) + t * (a + b - 2 * rise))))


def next_step(turn: FloatArray) -> FloatArray:
    """(B,) factors from an accepted step to the next one: after sharp turns a shorter one, which is not rejected.

    Args:
        turn: (B,) cosines between successive directions of the branch.
    """
    angle = np.arccos(np.clip(turn, -1.0, 1.0))
    return np.asarray(np.clip(_AIM * np.arccos(LARGEST_TURN) / np.maximum(angle, 1e-9), 0.5, _GROWTH))


def row_step(model: DisregistryModel, disregistry: FloatArray) -> FloatArray:
    """(B,) length of the way of a rigid disregistry that moves by one node."""
    change = moved_on(model, disregistry) - disregistry
    return np.asarray(np.linalg.norm(change.reshape(model.size, -1), axis=1))
