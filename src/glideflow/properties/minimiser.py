"""Preconditioned L-BFGS for energies whose differences drown in rounding long before the forces vanish."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Objective = Callable[[FloatArray], tuple[float, FloatArray]]
"""Coordinates (n,) to energy in eV and gradient (n,) in eV per coordinate."""
Preconditioner = Callable[[FloatArray], FloatArray]
"""Approximate inverse Hessian applied to a gradient (n,)."""

_SUFFICIENT_DECREASE = 1e-4
_CURVATURE = 0.9
_ENERGY_NOISE = 2e-13
"""Relative rounding of a sum over atoms, below which energies say nothing."""
_LINE_SEARCH_STEPS = 12


class Ending(StrEnum):
    """How a minimisation ended."""

    CONVERGED = "converged"
    INTERRUPTED = "interrupted"
    """The monitor asked to stop."""
    EXHAUSTED = "evaluation limit"
    STALLED = "no progress"


@dataclass(frozen=True)
class Minimum:
    """Where a minimisation ended.

    Attributes:
        coordinates: (n,) best coordinates; the last ones if interrupted.
        energy_ev: energy there.
        gradient: (n,) gradient there.
        ending: why it ended.
        evaluations: number of energy evaluations.
    """

    coordinates: FloatArray
    energy_ev: float
    gradient: FloatArray
    ending: Ending
    evaluations: int

    @property
    def converged(self) -> bool:
        """Whether the force tolerance was met."""
        return self.ending is Ending.CONVERGED

    @property
    def largest_gradient(self) -> float:
        """Largest gradient component in magnitude, eV per coordinate."""
        return float(np.abs(self.gradient).max())


@dataclass(frozen=True, kw_only=True)
class Minimiser:
    """Settings of the minimisation.

    Attributes:
        tolerance: largest gradient component at the minimum, eV per coordinate.
        max_evaluations: evaluations after which it is given up.
        largest_move: cap on the change of any coordinate in one step.
        memory: pairs kept by L-BFGS.
        patience: evaluations without a tenth off the largest gradient component after which it is given up.
        precondition: approximate inverse Hessian; the identity if None.
        pairs: changes of coordinates and of the gradient (n,) between points known beforehand, oldest first; L-BFGS
            starts with them as if it had made these steps.
        monitor: called with coordinates, gradient and evaluations after each step; True stops.
    """

    tolerance: float
    max_evaluations: int
    largest_move: float = 0.1
    memory: int = 20
    patience: int = 400
    precondition: Preconditioner | None = None
    pairs: Sequence[tuple[FloatArray, FloatArray]] = ()
    monitor: Callable[[FloatArray, FloatArray, int], bool] | None = None

    def minimise(
        self, objective: Objective, start: FloatArray, known: tuple[FloatArray, float] | None = None
    ) -> Minimum:
        """Minimise from ``start``.

        ``known`` are the coordinates and the energy of a safer start, e.g. an earlier equilibrium from which ``start``
        has been extrapolated. It is taken, without `pairs`, where ``start`` turns out to lie higher.

        The line search accepts a step that lowers the energy sufficiently (Armijo's condition) while energies mean
        something, and by the approximate Wolfe conditions on gradients alone (Hager and Zhang, SIAM J. Optim. 16,
        170, 2005) once the expected decrease is below the rounding of the energy. Steps along which the gradient
        shows no positive curvature do not enter the memory.
        """
        return _Run(self, objective, start, known).go()


@dataclass
class _Point:
    coordinates: FloatArray
    energy: float
    gradient: FloatArray


@dataclass
class _Memory:
    """Pairs of steps and gradient changes; two-loop recursion around the preconditioner."""

    limit: int
    precondition: Preconditioner | None
    pairs: deque[tuple[FloatArray, FloatArray, float]] = field(default_factory=deque)

    def direction(self, gradient: FloatArray) -> FloatArray:
        q = -gradient
        weights: list[float] = []
        for step, change, rho in reversed(self.pairs):
            weight = rho * float(step @ q)
            weights.append(weight)
            q = q - weight * change
        r = self.precondition(q) if self.precondition else q
        for (step, change, rho), weight in zip(self.pairs, reversed(weights), strict=True):
            r = r + step * (weight - rho * float(change @ r))
        return r

    def add(self, step: FloatArray, change: FloatArray) -> None:
        product = float(step @ change)
        if product <= 1e-12 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            return
        self.pairs.append((step, change, 1.0 / product))
        if len(self.pairs) > self.limit:
            self.pairs.popleft()


class _Run:
    """One minimisation in progress."""

    def __init__(
        self, settings: Minimiser, objective: Objective, start: FloatArray, known: tuple[FloatArray, float] | None
    ) -> None:
        self._settings = settings
        self._objective = objective
        self._evaluations = 0
        self._point = self._evaluate(np.array(start, dtype=float))
        pairs = settings.pairs
        if known is not None and not self._point.energy <= known[1] + _ENERGY_NOISE * abs(known[1]):
            self._point, pairs = self._evaluate(np.array(known[0], dtype=float)), ()
        self._best = self._point
        self._improved_at = 0
        self._memory = _Memory(settings.memory, settings.precondition)
        for step, change in pairs:
            self._memory.add(step, change)

    def go(self) -> Minimum:
        while True:
            ending = self._ending()
            if ending is not None:
                return self._minimum(ending)
            self._step()

    def _ending(self) -> Ending | None:
        size = _size(self._point)
        if size <= self._settings.tolerance:
            return Ending.CONVERGED
        if size < 0.9 * _size(self._best):
            self._best, self._improved_at = self._point, self._evaluations
        monitor = self._settings.monitor
        if monitor is not None and monitor(self._point.coordinates, self._point.gradient, self._evaluations):
            return Ending.INTERRUPTED
        if self._evaluations >= self._settings.max_evaluations:
            return Ending.EXHAUSTED
        stuck = self._evaluations - self._improved_at >= self._settings.patience
        return Ending.STALLED if stuck else None

    def _step(self) -> None:
        direction = self._memory.direction(self._point.gradient)
        if direction @ self._point.gradient >= 0 or not np.isfinite(direction).all():
            self._memory.pairs.clear()
            direction = self._memory.direction(self._point.gradient)
        direction = direction * min(1.0, self._settings.largest_move / np.abs(direction).max())
        accepted = self._line_search(direction)
        if accepted is self._point:
            self._memory.pairs.clear()
            return
        self._memory.add(accepted.coordinates - self._point.coordinates, accepted.gradient - self._point.gradient)
        self._point = accepted

    def _line_search(self, direction: FloatArray) -> _Point:
        slope = float(direction @ self._point.gradient)
        furthest = self._settings.largest_move / float(np.abs(direction).max())
        length, lower, upper = 1.0, 0.0, np.inf
        trial = self._point
        for _ in range(_LINE_SEARCH_STEPS):
            trial = self._evaluate(self._point.coordinates + length * direction)
            new_slope = float(direction @ trial.gradient)
            if self._acceptable(trial, length, slope, new_slope):
                return trial
            if new_slope < 0 and trial.energy <= self._point.energy:
                if length >= furthest:
                    return trial  # downhill as far as one step may go
                lower = length
            else:
                upper = length
            secant = length * slope / (slope - new_slope) if new_slope != slope else np.inf
            length = min(_safeguarded(secant, lower, upper), furthest)
            if self._evaluations >= self._settings.max_evaluations:
                break
        return trial if trial.energy < self._point.energy or _size(trial) < _size(self._point) else self._point

    def _acceptable(self, trial: _Point, length: float, slope: float, new_slope: float) -> bool:
        noise = _ENERGY_NOISE * max(1.0, abs(self._point.energy))
        flat = abs(length * slope) < 1e3 * noise
        decreased = trial.energy <= self._point.energy + _SUFFICIENT_DECREASE * length * slope
        if decreased and not flat:
            # A step cut short by the cap on moves may go on downhill: the next one will.
            return True
        approximate = _CURVATURE * slope <= new_slope <= (2 * _SUFFICIENT_DECREASE - 1) * slope
        return approximate and trial.energy <= self._point.energy + 10 * noise

    def _evaluate(self, coordinates: FloatArray) -> _Point:
        energy, gradient = self._objective(coordinates)
        self._evaluations += 1
        return _Point(coordinates, energy, gradient)

    def _minimum(self, ending: Ending) -> Minimum:
        # The lowest forces are what an equilibrium is judged by, unless the monitor wants the state it stopped at.
        use_best = ending in (Ending.EXHAUSTED, Ending.STALLED)
        point = min(self._best, self._point, key=_size) if use_best else self._point
        return Minimum(point.coordinates, point.energy, point.gradient, ending, self._evaluations)


def _size(point: _Point) -> float:
    return float(np.abs(point.gradient).max())


def _safeguarded(secant: float, lower: float, upper: float) -> float:
    """A step length inside the bracket, away from its ends."""
    if not np.isfinite(upper):
        # A slope that becomes steeper, as on the way over an inflection, does not say how far the minimum is.
        return float(np.clip(secant, 1.1 * lower, 4.0 * lower)) if secant > lower else 4.0 * lower
    width = upper - lower
    return float(np.clip(secant, lower + 0.1 * width, upper - 0.1 * width))
