"""Cores, widths and Peierls stresses of many dislocations in the semidiscrete Peierls-Nabarro model.

Works in any consistent units, on arrays with a leading axis of dislocations; see `disregistry` for the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glideflow.properties.disregistry import (
    BoolArray,
    DisregistryModel,
    FloatArray,
    IntArray,
    energy_factor,
    relax,
    slopes_along_burgers,
)
from glideflow.properties.disregistry_branch import Branch, follow
from glideflow.properties.disregistry_load import load
from glideflow.properties.peierls_nabarro_closed import half_width
from glideflow.threads import single_thread

_OFFSET_NODES = 0.25
"""Where the cores are started, from a node: at no place that symmetry makes an equilibrium."""
_ROUGH = 1e-5
_FREE_ITERATIONS = 40
_WIDEST = 0.5
"""Of the period: a core that is wider is none."""
_FAULT_POINTS = 100
_FAULT_REACH = 0.6
"""In Burgers vectors: how far from b/2 a fault between two halves is looked for."""
_UNEQUAL = 0.01
_FEW = 3
"""Multiples of the tolerated force up to which a stress is rounding."""
_FINE = 8
"""Points per node at which a profile is interpolated."""
_PEAK = 0.3
"""Of the largest density: lower maxima are none of a partial."""


@dataclass(frozen=True)
class SemidiscreteCores:
    """B dislocations, solved.

    Attributes:
        forward: (B,) largest stress that holds the core in the positive sense; NaN where there is no dislocation.
        reverse: (B,) the same in the negative sense, in magnitude.
        glides: (B,) whether the core was seen to glide beyond these stresses; else they are lower bounds.
        exhausted: (B,) whether the limit of linear systems was reached before it was.
        width: (B,) distance between the places where the component along b is b/4 and 3b/4.
        separation: (B,) distance between the outermost maxima of the density, NaN if it has one maximum.
        spread: (B,) whether the core fills the period: there is no dislocation.
        branch: the branches of equilibria.
        solves: (B,) linear systems solved, but for the cores without load.
    """

    forward: FloatArray
    reverse: FloatArray
    glides: BoolArray
    exhausted: BoolArray
    width: FloatArray
    separation: FloatArray
    spread: BoolArray
    branch: Branch
    solves: IntArray

    @property
    def peierls(self) -> FloatArray:
        """(B,) Peierls stress, the lower of both senses."""
        return np.minimum(self.forward, self.reverse)


def semidiscrete_cores(
    model: DisregistryModel, *, tolerance: float = 1e-11, max_steps: int = 120, max_solves: int = 5000
) -> SemidiscreteCores:
    """Unloaded cores of lowest energy, and the stresses that move them.

    Args:
        model: the dislocations.
        tolerance: largest force per node that counts as none, relative to the energy factor.
        max_steps: steps along a branch to the next node after which the core is loaded instead.
        max_solves: linear systems after which a core that is loaded is given up, in each sense.
    """
    with single_thread():
        return _cores(model, tolerance, max_steps, max_solves)


def _cores(model: DisregistryModel, tolerance: float, max_steps: int, max_solves: int) -> SemidiscreteCores:
    cores = lowest_cores(model)
    width, separation = core_widths(model, cores)
    spread = ~(width < _WIDEST * model.nodes * model.spacing)
    branch = follow(model, cores, tolerance=tolerance, max_steps=max_steps)
    # Unequal senses are rare, most often a branch with corners: the loading itself decides.
    unequal = np.abs(branch.forward - branch.reverse) > _UNEQUAL * np.abs(branch.forward)
    unequal &= np.maximum(branch.forward, branch.reverse) > _FEW * tolerance * energy_factor(model)  # not rounding
    loaded = _by_loading(model, branch, (~branch.periodic | unequal) & ~spread, tolerance, max_solves)
    return SemidiscreteCores(
        forward=np.where(spread, np.nan, loaded.forward),
        reverse=np.where(spread, np.nan, loaded.reverse),
        glides=loaded.glides & ~spread,
        exhausted=loaded.exhausted,
        width=width,
        separation=separation,
        spread=spread,
        branch=branch,
        solves=branch.solves + loaded.solves,
    )


@dataclass(frozen=True)
class _Loaded:
    """(B,) stresses in both senses and how they were found; see `SemidiscreteCores`."""

    forward: FloatArray
    reverse: FloatArray
    glides: BoolArray
    exhausted: BoolArray
    solves: IntArray


def _by_loading(
    model: DisregistryModel, branch: Branch, chosen: BoolArray, tolerance: float, max_solves: int
) -> _Loaded:
    """Stresses of the branches, those of the chosen dislocations by loading them."""
    stresses = np.array([branch.forward, branch.reverse])
    glides, exhausted = np.ones(model.size, dtype=bool), np.zeros(model.size, dtype=bool)
    solves = np.zeros(model.size, dtype=np.int64)
    for index in np.flatnonzero(chosen):
        single = np.arange(model.size) == index
        loadings = [
            load(model.take(single), branch.unloaded[single], sign, tolerance=tolerance, max_solves=max_solves)
            for sign in (1.0, -1.0)
        ]
        stresses[:, index] = [loading.stress for loading in loadings]
        glides[index] = all(loading.glides for loading in loadings)
        exhausted[index] = any(loading.exhausted for loading in loadings)
        solves[index] = sum(loading.solves for loading in loadings)
    return _Loaded(stresses[0], stresses[1], glides, exhausted, solves)


def lowest_cores(model: DisregistryModel) -> FloatArray:
    """(B, n, c) relaxed disregistry of lowest energy, of those that compact and dissociated starts lead to."""
    starts = start_disregistries(model)  # (S, B, n, c)
    every = np.tile(np.arange(model.size), len(starts))
    repeated = model.take(every)
    # Well enough to tell which is the lowest; that one is then relaxed to the end.
    relaxed = relax(repeated, starts.reshape(-1, *starts.shape[2:]), held=True, tolerance=_ROUGH)
    energy = repeated.energy(relaxed, np.zeros(repeated.size))[0].reshape(len(starts), model.size)
    best = np.argmin(energy, axis=0)
    lowest = relax(model, relaxed.reshape(starts.shape)[best, np.arange(model.size)], held=True)
    return relax(model, lowest, iterations=_FREE_ITERATIONS)


def start_disregistries(model: DisregistryModel) -> FloatArray:
    """(S, B, n, c) compact cores of two widths, and cores split into halves about the lowest fault between them."""
    burgers = np.linalg.norm(model.burgers, axis=1)
    factor = energy_factor(model)
    zeta = half_width(factor, burgers, np.abs(slopes_along_burgers(model)).max(axis=1))
    zeta = np.clip(zeta, 0.1 * burgers, 0.05 * model.nodes * model.spacing)
    partial, fault = lowest_fault(model)
    rest = model.burgers - partial
    repulsion = np.einsum("bc,bcd,bd->b", partial, model.energy_tensor, rest) / (2 * np.pi)
    period = model.nodes * model.spacing
    with np.errstate(divide="ignore"):
        distance = np.clip(np.where(fault > 0, repulsion / np.abs(fault), np.inf), 2 * zeta, 0.3 * period)
    return np.array(
        [
            _arctan(model, model.burgers, zeta, 0 * zeta),
            _arctan(model, model.burgers, 0.3 * zeta, 0 * zeta),
            _arctan(model, partial, zeta / 2, -distance / 2) + _arctan(model, rest, zeta / 2, distance / 2),
            _arctan(model, partial, zeta / 2, -distance / 4) + _arctan(model, rest, zeta / 2, distance / 4),
        ]
    )


def lowest_fault(model: DisregistryModel) -> tuple[FloatArray, FloatArray]:
    """(B, c) disregistry of the fault that halves of the Burgers vector meet at, and (B,) its energy.

    It is the minimum of γ nearest to b/2 on the line through it across the Burgers vector: the intrinsic fault on {111}
    of fcc, b/2 itself where symmetry makes that a minimum, and with one component.
    """
    half = model.burgers / 2
    perfect = model.misfit(0 * half[:, None])[0][:, 0]
    if model.components == 1:
        return half, model.misfit(half[:, None])[0][:, 0] - perfect
    across = np.stack([-model.direction[:, 1], model.direction[:, 0]], axis=1)
    share = np.linspace(-_FAULT_REACH, _FAULT_REACH, 2 * _FAULT_POINTS + 1)
    offset = share[:, None] * np.linalg.norm(model.burgers, axis=1)[:, None, None] * across[:, None]
    points = half[:, None] + offset
    energy = model.misfit(points)[0]
    lowest = np.zeros(energy.shape, dtype=bool)
    lowest[:, 1:-1] = (energy[:, 1:-1] <= energy[:, :-2]) & (energy[:, 1:-1] <= energy[:, 2:])
    lowest[:, _FAULT_POINTS] |= ~lowest.any(axis=1)
    nearest = np.where(lowest, np.abs(share), np.inf).argmin(axis=1)
    chosen = np.arange(model.size)
    return points[chosen, nearest], energy[chosen, nearest] - perfect


def core_widths(model: DisregistryModel, disregistry: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(B,) distance between b/4 and 3b/4, and (B,) between the outermost maxima of the density (NaN for one)."""
    burgers = np.linalg.norm(model.burgers, axis=1)
    along = np.einsum("bic,bc->bi", disregistry, model.direction)
    fine = [_fine_profile(row, b, h) for row, b, h in zip(along, burgers, model.spacing, strict=True)]
    pairs = [_widths(x, values, b) for (x, values), b in zip(fine, burgers, strict=True)]
    width, separation = np.array(pairs).T
    return width, separation


def _arctan(model: DisregistryModel, burgers: FloatArray, width: FloatArray, centre: FloatArray) -> FloatArray:
    """(B, n, c) arctan cores with Burgers vectors (B, c), half widths and centres relative to the middle (B,)."""
    middle = (model.nodes // 2 + _OFFSET_NODES) * model.spacing + centre
    x = np.arange(model.nodes) * model.spacing[:, None] - middle[:, None]
    return np.asarray((0.5 + np.arctan(x / width[:, None]) / np.pi)[..., None] * burgers[:, None])


def _fine_profile(along: FloatArray, burgers: float, spacing: float) -> tuple[FloatArray, FloatArray]:
    """Positions and disregistry of the period, interpolated between the nodes."""
    from scipy.interpolate import CubicSpline

    nodes = np.arange(len(along) + 1) * spacing
    fine = np.linspace(0, nodes[-1], _FINE * len(along) + 1)
    return fine, np.asarray(CubicSpline(nodes, np.append(along, along[0] + burgers))(fine))


def _widths(x: FloatArray, disregistry: FloatArray, burgers: float) -> tuple[float, float]:
    first = x[np.argmax(disregistry >= burgers / 4)]
    last = x[len(x) - 1 - np.argmax(disregistry[::-1] <= 3 * burgers / 4)]
    density = np.gradient(disregistry, x)
    inner = (density[1:-1] > density[:-2]) & (density[1:-1] >= density[2:]) & (density[1:-1] > _PEAK * density.max())
    peaks = x[1:-1][inner]
    return float(last - first), float(peaks[-1] - peaks[0]) if len(peaks) > 1 else np.nan
