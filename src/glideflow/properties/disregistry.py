"""Semidiscrete Peierls-Nabarro model as arrays: many dislocations at once, in any consistent units.

The disregistry δ across the glide plane is a vector of c components at n nodes a distance h apart, in an array of
dislocations of period n h. Per unit length of line and per node,

    E/h = Σ_i [ ½ u_i · K (κ * u)_i + ½ δ'_i · β δ'_i + γ(δ_i) - τ e · δ_i ],   u_i = δ_i - b i/n,

with the misfit energy γ summed at the nodes (Bulatov and Kaxiras, Phys. Rev. Lett. 78, 4221 (1997); Lu et al., Phys.
Rev. B 62, 3099 (2000)) and the elastic energy of a disregistry that is linear between them. δ' is the slope between
nodes, and β = 0 in the model of these authors. In an array every
dislocation moves with its images: no image force acts on the core wherever it is, and an equilibrium moved on by one
node is an equilibrium again. With a window that ends somewhere, small Peierls stresses drown in the force from its
ends.

The Peierls stress is the largest τ on the branch of equilibria that takes the core from one node to the next. It is
found by following the branch, stable or not, by its arc length: the bordered matrix stays regular where the Hessian
becomes singular, so that stresses of 1e-9 of the stiffness are resolved as well as any.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from glideflow.properties.wave_table import WaveTable, wave_table

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

_PER_DISLOCATION = {"elastic_hessian", "secular", "_spectrum"}
"""Cached properties of a model that have a row for each dislocation."""
_MIRROR_POINTS = 64
_MIRROR_TOLERANCE = 1e-9
_DAMPING = 0.1
"""Of the stiffness: what Newton's steps of a relaxation start with."""


@dataclass(frozen=True)
class DisregistryModel:
    """B dislocations in the semidiscrete model; see the module for the energy.

    Attributes:
        energy_tensor: (B, c, c) energy tensors K.
        burgers: (B, c) Burgers vectors.
        wavevectors: (B, G, c) or (1, G, c) wave vectors of the misfit energy.
        cosine: (B, G) its coefficients, γ(δ) = Σ_G [ cosine cos(G·δ) + sine sin(G·δ) ].
        sine: (B, G).
        spacing: (B,) distance h between nodes.
        nodes: number of nodes n.
        gradient: (B, c, c) coefficients β of the gradient term.
    """

    energy_tensor: FloatArray
    burgers: FloatArray
    wavevectors: FloatArray
    cosine: FloatArray
    sine: FloatArray
    spacing: FloatArray
    nodes: int
    gradient: FloatArray

    @property
    def size(self) -> int:
        """Number of dislocations."""
        return len(self.burgers)

    @property
    def components(self) -> int:
        """Number of components of the disregistry."""
        return int(self.burgers.shape[1])

    @property
    def direction(self) -> FloatArray:
        """(B, c) unit vectors along the Burgers vectors."""
        return np.asarray(self.burgers / np.linalg.norm(self.burgers, axis=1, keepdims=True))

    def take(self, chosen: BoolArray | IntArray) -> DisregistryModel:
        """Some of the dislocations; the model itself for all of them."""
        if chosen.dtype == bool and chosen.all():
            return self
        shared = len(self.wavevectors) == 1
        part = replace(
            self,
            energy_tensor=self.energy_tensor[chosen],
            burgers=self.burgers[chosen],
            wavevectors=self.wavevectors if shared else self.wavevectors[chosen],
            cosine=self.cosine[chosen],
            sine=self.sine[chosen],
            spacing=self.spacing[chosen],
            gradient=self.gradient[chosen],
        )
        for name in _PER_DISLOCATION & self.__dict__.keys():  # what is known of all is known of some
            part.__dict__[name] = self.__dict__[name][chosen]
        if "_table" in self.__dict__:
            part.__dict__["_table"] = self._table.take(chosen)
        return part

    def profile(self, state: FloatArray) -> FloatArray:
        """(B, n, c) disregistry of (B, n c) or, with anything behind it, (B, n c + 1) states."""
        flat = state[:, : self.nodes * self.components]
        return flat.reshape(self.size, self.nodes, self.components)

    def misfit(self, disregistry: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(B, n) misfit energy at the nodes, its (B, n, c) gradient and (B, n, c, c) Hessian.

        Args:
            disregistry: (B, n, c); any number of points instead of the nodes will do.
        """
        return self._table.sums(np.broadcast_to(disregistry, (self.size, *disregistry.shape[-2:])))

    @cached_property
    def _table(self) -> WaveTable:
        return wave_table(self.wavevectors, self.cosine, self.sine)

    def energy(self, disregistry: FloatArray, stress: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(B,) energy per length of line and node spacing, (B, n c) gradient and (B, n c, n c) Hessian.

        Args:
            disregistry: (B, n, c).
            stress: (B,) resolved shear stress.
        """
        misfit, first, second = self.misfit(disregistry)
        periodic = disregistry - self.secular
        elastic = self._elastic_force(periodic)
        load = stress[:, None, None] * self.direction[:, None]
        energy = np.sum(0.5 * periodic * elastic - load * disregistry, axis=(1, 2)) + misfit.sum(axis=1)
        gradient = elastic + first - load
        count = self.nodes * self.components
        shape = (self.size, self.nodes, self.components, self.nodes, self.components)
        hessian = self.elastic_hessian.copy().reshape(shape)
        diagonal = np.arange(self.nodes)
        hessian[:, diagonal, :, diagonal, :] += second.transpose(1, 0, 2, 3)
        return energy, gradient.reshape(self.size, count), hessian.reshape(self.size, count, count)

    @cached_property
    def secular(self) -> FloatArray:
        """(B, n, c) part of the disregistry that grows by one Burgers vector over the period."""
        return np.asarray(np.arange(self.nodes)[:, None] / self.nodes * self.burgers[:, None])

    @cached_property
    def elastic_hessian(self) -> FloatArray:
        """(B, n c, n c) second derivatives of the elastic energy and of the gradient term per node."""
        kernels = np.fft.irfft(self._spectrum, n=self.nodes, axis=1)  # (B, n, c, c)
        distance = (np.arange(self.nodes)[:, None] - np.arange(self.nodes)) % self.nodes
        count = self.nodes * self.components
        return np.asarray(kernels[:, distance].transpose(0, 1, 3, 2, 4).reshape(self.size, count, count))

    @cached_property
    def _spectrum(self) -> FloatArray:
        """(B, n // 2 + 1, c, c) response of the stress to a plane wave of the disregistry."""
        phase = 2 * np.pi * np.arange(self.nodes // 2 + 1) / self.nodes
        tensor, spacing = self.energy_tensor[:, None], self.spacing[:, None, None, None]
        elastic = elastic_spectrum(self.nodes)[:, None, None] * tensor / spacing
        slope = (2 - 2 * np.cos(phase))[:, None, None] * self.gradient[:, None] / spacing**2
        return np.asarray(elastic + slope)

    def _elastic_force(self, periodic: FloatArray) -> FloatArray:
        spectrum = np.einsum("bqcd,bqd->bqc", self._spectrum, np.fft.rfft(periodic, axis=1))
        return np.asarray(np.fft.irfft(spectrum, n=self.nodes, axis=1))


@lru_cache(maxsize=32)
def elastic_spectrum(nodes: int) -> FloatArray:
    """(n // 2 + 1,) κ(q) for unit spacing: response of the stress to a plane wave of the disregistry, for K = 1.

    κ(q) = ½ Σ_m |q + m g| sinc⁴((q + m g)/2) with g = 2π, from the elastic energy K|q|/4 of every plane wave that a
    function linear between the nodes consists of. The sum is sin⁴(q/2) [ζ(3, q/g) + ζ(3, 1 - q/g)]/π³ with the Hurwitz
    ζ. For small q it is |q|/2, the continuum.
    """
    from scipy.special import zeta

    fraction = np.arange(1, nodes // 2 + 1) / nodes
    spectrum = np.sin(np.pi * fraction) ** 4 * (zeta(3, fraction) + zeta(3, 1 - fraction)) / np.pi**3
    return np.append(0.0, spectrum)


def energy_factor(model: DisregistryModel) -> FloatArray:
    """(B,) energy tensor along the Burgers vector."""
    return np.asarray(np.einsum("bc,bcd,bd->b", model.direction, model.energy_tensor, model.direction))


def slopes_along_burgers(model: DisregistryModel, points: int = 360) -> FloatArray:
    """(B, points) slope of the misfit energy along the Burgers vector, from 0 to b, b left out."""
    fraction = np.arange(points) / points
    _, slopes, _ = model.misfit(fraction[:, None] * model.burgers[:, None])
    return np.asarray(np.einsum("bpc,bc->bp", slopes, model.direction))


def moved_on(model: DisregistryModel, disregistry: FloatArray) -> FloatArray:
    """(B, n, c) disregistry that has glided by one node under a positive stress: to lower x."""
    ahead = np.roll(disregistry, -1, axis=1)
    ahead[:, -1] += model.burgers
    return ahead


def core_position(model: DisregistryModel, disregistry: FloatArray) -> FloatArray:
    """(B,) core position in node spacings, from 0 to n: circular mean of the density along the Burgers vector.

    A homogeneous disregistry does not change it.
    """
    density = np.einsum("bic,bc->bi", moved_on(model, disregistry) - disregistry, model.direction)
    angle = 2 * np.pi * (np.arange(model.nodes) + 0.5) / model.nodes
    return np.asarray(np.angle(density @ np.exp(1j * angle)) * model.nodes / (2 * np.pi) % model.nodes)


def glided(model: DisregistryModel, start: FloatArray, disregistry: FloatArray) -> FloatArray:
    """(B,) distance in nodes that cores have glided in the sense in which a positive stress drives them, to lower x."""
    moved = core_position(model, start) - core_position(model, disregistry)
    return np.asarray((moved + model.nodes / 2) % model.nodes - model.nodes / 2)


def is_mirrored(model: DisregistryModel) -> BoolArray:
    """(B,) whether energies stay the same when the component of the disregistry along b changes its sign.

    A core and its mirror image, x to -x and that component δ to b - δ, are then equally good, under opposite stresses.
    """
    generator = np.random.default_rng(0)
    points = generator.uniform(size=(_MIRROR_POINTS, model.components)) * np.linalg.norm(model.burgers[0])
    along = model.direction[:, None]
    image = points - 2 * (points @ model.direction[:, :, None]) * along  # (B, p, c)
    energy, other = (model.misfit(each)[0] for each in (points[None], image))
    same = np.abs(energy - other).max(axis=1) <= _MIRROR_TOLERANCE * np.abs(energy).max(axis=1)
    for tensor in (model.energy_tensor, model.gradient):
        coupled = np.einsum("bc,bcd->bd", model.direction, tensor)
        coupled -= np.einsum("bd,bd->b", coupled, model.direction)[:, None] * model.direction
        same &= np.abs(coupled).max(axis=1) <= _MIRROR_TOLERANCE * np.abs(model.energy_tensor).max(axis=(1, 2))
    return np.asarray(same)


def mirror_error(model: DisregistryModel, disregistry: FloatArray, place: FloatArray) -> FloatArray:
    """(B,) largest difference between a disregistry and its mirror image, over b; see `is_mirrored`.

    Args:
        model: the dislocations.
        disregistry: (B, n, c).
        place: (B,) where the mirror stands, in halves of the node spacing.
    """
    periods, node = np.divmod(place.astype(int)[:, None] - np.arange(model.nodes), model.nodes)  # (B, n)
    image = np.take_along_axis(disregistry, node[..., None], axis=1)
    along = np.einsum("bic,bc->bi", image, model.direction)[..., None] * model.direction[:, None]
    image = image - 2 * along + (1 - periods[..., None]) * model.burgers[:, None]
    length = np.linalg.norm(model.burgers, axis=1)
    return np.asarray(np.linalg.norm(image - disregistry, axis=2).max(axis=1) / length)


def relax(
    model: DisregistryModel,
    start: FloatArray,
    *,
    stress: FloatArray | None = None,
    held: bool = False,
    farthest: float = np.inf,
    tolerance: float = 1e-7,
    iterations: int = 200,
    largest_step: float = np.inf,
    solves: IntArray | None = None,
) -> FloatArray:
    """(B, n, c) disregistry of lowest energy near a start.

    Newton steps with a multiple of unity added to the Hessian wherever the energy would rise (Levenberg).

    Args:
        model: the dislocations.
        start: (B, n, c) disregistry, its core near the middle of the period.
        stress: (B,) resolved shear stress, none by default.
        held: whether the first harmonic of the disregistry, and with it the core position, is kept: a core that is
            hardly pinned would otherwise drift for long.
        farthest: distance in nodes; when every core has moved farther, they are on the run and left alone.
        tolerance: largest force per node, in the model's units of stress.
        iterations: largest number of steps.
        largest_step: how far a node goes in a step at most, so that none leaps across an equilibrium.
        solves: (B,) counts, to which the linear systems solved are added.
    """
    settled = np.array(start, dtype=float)
    descent = _Descent(
        model=model,
        disregistry=settled.copy(),
        stress=np.zeros(model.size) if stress is None else stress,
        hold=hold_row(model) if held else np.zeros((model.size, model.nodes * model.components)),
    )
    for _ in range(iterations):
        step, residual = descent.step()
        if solves is not None:
            solves[descent.number] += 1
        done = (residual < tolerance) | (np.abs(glided(descent.model, start, descent.disregistry)) > farthest)
        if done.any():
            descent, start, step = descent.rest(done, settled), start[~done], step[~done]
        if done.all():
            return settled
        descent.advance(step * _shortening(step, largest_step))
    descent.rest(np.ones(descent.model.size, dtype=bool), settled)
    return settled


def _shortening(step: FloatArray, largest: float) -> FloatArray:
    """(B, 1, 1) factors that bring (B, n, c) steps down to a largest component."""
    length = np.abs(step).max(axis=(1, 2), keepdims=True)
    return np.asarray(np.minimum(1.0, largest / np.maximum(length, 1e-300)))


@dataclass
class _Descent:
    """Dislocations of a batch that are still on their way down.

    Attributes:
        model: these dislocations.
        disregistry: (B', n, c).
        stress: (B',) resolved shear stress.
        hold: (B', n c) rows along which the disregistry is held; zero for none.
        number: (B',) their places in the batch.
        damping: (B',) what is added to the diagonal of the Hessian.
        parts: energy, gradient and Hessian.
    """

    model: DisregistryModel
    disregistry: FloatArray
    stress: FloatArray
    hold: FloatArray
    number: IntArray = field(init=False)
    damping: FloatArray = field(init=False)
    parts: tuple[FloatArray, FloatArray, FloatArray] = field(init=False)

    def __post_init__(self) -> None:
        self.number = np.arange(self.model.size)
        self.damping = np.full(self.model.size, _DAMPING * np.abs(self.model.energy_tensor).max())
        self.damping /= self.model.spacing.min()
        self.parts = self.model.energy(self.disregistry, self.stress)

    def step(self) -> tuple[FloatArray, FloatArray]:
        """(B', n, c) damped Newton steps and (B',) largest forces left."""
        _, gradient, hessian = self.parts
        step, residual = _held_step(gradient, hessian, self.hold, self.damping)
        return step.reshape(self.disregistry.shape), residual

    def advance(self, step: FloatArray) -> None:
        """Take the steps that lower the energy; the others are tried again with more damping."""
        trial = self.disregistry + step
        new = self.model.energy(trial, self.stress)
        better = new[0] <= self.parts[0] + 1e-13 * np.abs(self.parts[0])
        self.disregistry[better] = trial[better]
        for old, fresh in zip(self.parts, new, strict=True):
            old[better] = fresh[better]
        self.damping = np.where(better, self.damping / 6, self.damping * 4)

    def rest(self, done: BoolArray, settled: FloatArray) -> _Descent:
        """Put those that are done into the batch; the others."""
        settled[self.number[done]] = self.disregistry[done]
        others = ~done
        left = copy(self)
        left.model = self.model.take(others)
        left.disregistry, left.stress, left.hold = self.disregistry[others], self.stress[others], self.hold[others]
        left.number, left.damping = self.number[others], self.damping[others]
        left.parts = tuple(part[others] for part in self.parts)  # type: ignore[assignment]
        return left


def _held_step(
    gradient: FloatArray, hessian: FloatArray, hold: FloatArray, damping: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(B, n c) damped Newton step along which the held row does not change, and (B,) the largest force left.

    A stiff spring along the held row changes nothing of such a step, and makes the matrix positive definite near a
    minimum; a multiplier takes out what is left of the step along the row.
    """
    diagonal = np.arange(gradient.shape[1])
    stiffness = hessian[:, diagonal, diagonal].max(axis=1)
    matrix = hessian + (stiffness[:, None] * hold)[:, :, None] * hold[:, None]
    matrix[:, diagonal, diagonal] += damping[:, None]
    free, along = np.moveaxis(_solve_symmetric(matrix, np.stack([-gradient, hold], axis=2)), 2, 0)
    response = np.sum(hold * along, axis=1, keepdims=True)  # 0 where nothing is held
    multiplier = np.sum(hold * free, axis=1, keepdims=True) / np.where(response == 0, 1.0, response)
    left = gradient - np.sum(gradient * hold, axis=1, keepdims=True) * hold
    return free - multiplier * along, np.asarray(np.abs(left).max(axis=1))


def _solve_symmetric(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """(B, N, r) solutions with symmetric matrices (B, N, N): by Cholesky's factors where there are, else by Gauss."""
    from scipy.linalg.lapack import dposv

    found = np.empty_like(right)
    for index, (own, wanted) in enumerate(zip(matrix, right, strict=True)):
        _, solution, failed = dposv(own, wanted)
        found[index] = np.linalg.solve(own, wanted) if failed else solution
    return found


def hold_row(model: DisregistryModel) -> FloatArray:
    """(B, n c) unit row whose product with a disregistry falls as a core near the middle moves to larger x."""
    harmonic = np.cos(2 * np.pi * (np.arange(model.nodes) / model.nodes - 0.5))
    row = harmonic[:, None] * model.direction[:, None]
    return np.asarray(row.reshape(model.size, -1) / np.sqrt(model.nodes / 2))
