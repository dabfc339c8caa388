"""Peierls stress from elastic constants and γ surface alone: Peierls-Nabarro models, closed and semidiscrete.

What these models leave out is what makes the atomistic value: the core feels the crystal only through γ, taken at the
local disregistry as if it were homogeneous, and the half crystals are linear elastic continua without rows of atoms.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np
from numpy.typing import NDArray

from glideflow.config.peierls_nabarro import PeierlsNabarroSettings
from glideflow.crystals.layers import LayeredCrystal, cut_plane, layered_crystal
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.errors import PropertyError
from glideflow.progress import Progress, silent
from glideflow.properties.anisotropic_line import FloatArray, energy_tensor, layer_stiffness, rotated, stiffness_tensor
from glideflow.properties.disregistry import DisregistryModel, core_position, slopes_along_burgers
from glideflow.properties.peierls_nabarro_closed import half_width, joos_duesbery_stress
from glideflow.properties.peierls_nabarro_results import PeierlsNabarroResult, SemidiscreteResult
from glideflow.properties.results import ElasticResult, GammaSurfaceResult, LatticeResult
from glideflow.properties.semidiscrete import SemidiscreteCores, semidiscrete_cores
from glideflow.units import EV_PER_A2_TO_MJ_PER_M2, EV_PER_A3_TO_GPA

_GLIDE_AXIS = {"edge": 0, "screw": 1}
_COMPONENTS = {"line": 1, "surface": 2, "gradient": 2}
_LARGEST_DENOMINATOR = 24
_FEW = 3
_LOWEST_BARRIER_MJ_M2 = 1e-3
_NOT_SEEN = "not seen to glide"
_LIMIT = "limit of linear systems reached"
_NO_WAVE = 1e-9
"""Of the largest amplitude: what symmetry forbids is rounding."""


def peierls_nabarro(
    lattice: LatticeResult,
    elastic: ElasticResult,
    gamma: GammaSurfaceResult,
    system: SlipSystem,
    settings: PeierlsNabarroSettings,
    *,
    character: str = "edge",
    progress: Progress = silent,
) -> PeierlsNabarroResult:
    """Peierls stress by the closed forms of the Peierls-Nabarro model and by the semidiscrete one.

    Args:
        lattice: the relaxed crystal.
        elastic: its elastic constants.
        gamma: its γ surface of the slip system.
        system: slip plane and direction.
        settings: array, nodes, tolerance.
        character: dislocation character, ``edge`` or ``screw``.
        progress: progress callback.

    Raises:
        PropertyError: a line has no positive elastic energy, or γ has no barrier along the Burgers vector.
    """
    continuum = continuum_of(lattice, elastic, gamma, system, settings, character)
    closed_forms = _closed_forms(continuum)
    models, remarks = [], []
    for done, name in enumerate(settings.models):
        progress("Peierls-Nabarro", done, len(settings.models))
        model, remark = _semidiscrete(name, continuum, settings)
        models += [model] if model else []
        remarks += [remark] if remark else []
    standard = next((model for model in models if model.model == "surface"), None)
    return PeierlsNabarroResult(
        slip_system=system.name,
        label=system.label,
        character=character,
        cut=gamma.cut,
        peierls_mpa=None if standard is None else standard.peierls_mpa,
        burgers_vector_angstrom=continuum.burgers_angstrom,
        node_spacing_angstrom=continuum.spacing_angstrom,
        length_angstrom=settings.length_burgers * continuum.burgers_angstrom,
        resolution_mpa=settings.tolerance * continuum.energy_factor_gpa * 1e3,
        energy_tensor_gpa=continuum.energy_tensor_gpa,
        **closed_forms,
        models=tuple(models),
        flags=(*_upstream_flags(elastic, gamma), *remarks),
    )


@dataclass(frozen=True)
class Continuum:
    """What the models are made of.

    Attributes:
        burgers_angstrom: length of the Burgers vector.
        spacing_angstrom: distance between nodes.
        gap_angstrom: distance between the two planes next to the cut.
        energy_tensor_gpa: (3, 3) in the frame of the slip system.
        layer_stiffness_gpa: (3, 3) stiffness Q of a thin layer, see `layer_stiffness`.
        wavevectors_per_angstrom: (G, 2) wave vectors of γ, none of them the negative of another.
        cosine_mj_m2: (G,) coefficients.
        sine_mj_m2: (G,) coefficients.
    """

    burgers_angstrom: float
    spacing_angstrom: float
    gap_angstrom: float
    energy_tensor_gpa: FloatArray
    layer_stiffness_gpa: FloatArray
    wavevectors_per_angstrom: FloatArray
    cosine_mj_m2: FloatArray
    sine_mj_m2: FloatArray

    @property
    def energy_factor_gpa(self) -> float:
        """Energy tensor along the Burgers vector."""
        return float(self.energy_tensor_gpa[0, 0])

    def model(self, name: str, length_burgers: int) -> DisregistryModel:
        """A semidiscrete model in units of the Burgers vector and of the energy factor.

        The gradient term of ``gradient`` is what half of the space between the two planes next to the cut adds to each
        half crystal: continua that end at these planes lack it, and γ, a slip that is the same everywhere, does not
        know it. Two layers of thickness d/2 that are stretched by δ'/2 have the energy ½ δ'·(d Q/4)·δ'.
        """
        b, factor, components = self.burgers_angstrom, self.energy_factor_gpa, _COMPONENTS[name]
        layer = self.layer_stiffness_gpa if name == "gradient" else 0 * self.layer_stiffness_gpa
        unit = factor / EV_PER_A3_TO_GPA * b * EV_PER_A2_TO_MJ_PER_M2  # K b in mJ/m²
        return DisregistryModel(
            energy_tensor=self.energy_tensor_gpa[None, :components, :components] / factor,
            burgers=np.eye(components)[:1],
            wavevectors=self.wavevectors_per_angstrom[None, :, :components] * b,
            cosine=self.cosine_mj_m2[None] / unit,
            sine=self.sine_mj_m2[None] / unit,
            spacing=np.array([self.spacing_angstrom / b]),
            nodes=round(length_burgers * b / self.spacing_angstrom),
            gradient=layer[None, :components, :components] / factor * self.gap_angstrom / b / 4,
        )


def continuum_of(
    lattice: LatticeResult,
    elastic: ElasticResult,
    gamma: GammaSurfaceResult,
    system: SlipSystem,
    settings: PeierlsNabarroSettings,
    character: str,
) -> Continuum:
    """What the models of a slip system are made of; see `peierls_nabarro` for the arguments."""
    layers = layered_crystal(lattice.crystal, system)
    axis = _GLIDE_AXIS[character]
    stiffness = rotated(stiffness_tensor(elastic.tensor_gpa), layers.frame.axes)
    wavevectors, cosine, sine = plane_waves(gamma, settings.gamma)
    b, spacing = layers.burgers_vector_angstrom, settings.node_spacing
    glide, normal = np.eye(3)[axis], np.eye(3)[2]
    return Continuum(
        burgers_angstrom=b,
        spacing_angstrom=row_spacing(layers, axis) if spacing == "rows" else spacing * b,
        gap_angstrom=float(layers.gaps_angstrom[cut_plane(layers, gamma.cut)]),
        energy_tensor_gpa=energy_tensor(stiffness, glide, normal),
        layer_stiffness_gpa=layer_stiffness(stiffness, glide, normal),
        wavevectors_per_angstrom=wavevectors,
        cosine_mj_m2=cosine,
        sine_mj_m2=sine,
    )


def row_spacing(layers: LayeredCrystal, axis: int) -> float:
    """Distance in Å between equivalent rows of atoms in the glide plane, along x (0) or y (1).

    The rows run along the line of the dislocation, y for an edge (axis 0) and x for a screw (axis 1). A translation of
    the plane's lattice takes each to the next, so that this is the period of the Peierls potential of a straight
    dislocation: b/2 for the edge on {111} of fcc, b/3 on {110} of bcc, b on {10-10} of hcp.
    """
    period = float(layers.period_angstrom[axis])
    shares = [Fraction(float(v[axis]) / period) for v in layers.in_plane_angstrom]
    return period / lcm(*(share.limit_denominator(_LARGEST_DENOMINATOR).denominator for share in shares))


def plane_waves(gamma: GammaSurfaceResult, source: str = "grid") -> tuple[FloatArray, FloatArray, FloatArray]:
    """A γ surface as single plane waves.

    Args:
        gamma: the γ surface.
        source: ``grid``, the trigonometric polynomial of lowest order through every computed point, or ``fourier``,
            the Fourier representation of the record.

    Returns:
        (G, 2) wave vectors in 1/Å, none of them the negative of another, and (G,) coefficients of the cosines and of
        the sines in mJ/m².
    """
    return _grid_waves(gamma) if source == "grid" else _fitted_waves(gamma)


def _grid_waves(gamma: GammaSurfaceResult) -> tuple[FloatArray, FloatArray, FloatArray]:
    values = np.asarray(gamma.gamma_mj_m2)[:-1, :-1]  # the last row and column repeat the first
    amplitudes = np.fft.fft2(values) / values.size
    (first, weight_x, number_x), (second, weight_y, number_y) = (_waves_of(points) for points in values.shape)
    numbers = np.stack(np.meshgrid(number_x, number_y, indexing="ij"), axis=-1).reshape(-1, 2)
    weighted = (amplitudes[np.ix_(first, second)] * np.outer(weight_x, weight_y)).ravel()
    waves, cosine, sine = _without_negatives(2 * np.pi * numbers / gamma.period_angstrom, weighted.real, -weighted.imag)
    kept = np.hypot(cosine, sine) > _NO_WAVE * np.abs(cosine).max()
    return waves[kept], cosine[kept], sine[kept]


def _waves_of(points: int) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Entries of a discrete Fourier transform, their weights and wave numbers.

    The shortest wave of an even number of points has no sense of direction: it counts by half with each.
    """
    entries = np.arange(points)
    numbers = np.asarray(np.fft.fftfreq(points, 1 / points), dtype=np.float64)
    weights = np.ones(points)
    if points % 2 == 0:
        weights[points // 2] = 0.5
        entries, numbers = np.append(entries, points // 2), np.append(numbers, points / 2)
        weights = np.append(weights, 0.5)
    return entries, weights, numbers


def _fitted_waves(gamma: GammaSurfaceResult) -> tuple[FloatArray, FloatArray, FloatArray]:
    symmetry = gamma.fourier_symmetry
    rotated_waves = np.einsum("mij,si->smj", symmetry, gamma.fourier_wavevectors_per_angstrom)
    unit = 2 * np.pi / gamma.period_angstrom
    numbers = np.rint(rotated_waves.reshape(-1, 2) / unit)  # published records have them in single precision
    coefficients = [
        np.repeat(star, len(symmetry)) / len(symmetry)
        for star in (gamma.fourier_cosine_mj_m2, gamma.fourier_sine_mj_m2)
    ]
    return _without_negatives(numbers * unit, *coefficients)


def _without_negatives(
    waves: FloatArray, cosine: FloatArray, sine: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The same sum of waves with each wave vector, and its negative, once."""
    negative = (waves[:, 0] < -1e-9) | ((np.abs(waves[:, 0]) < 1e-9) & (waves[:, 1] < 0))
    sign = np.where(negative, -1.0, 1.0)
    upper = waves * sign[:, None]
    _, first, index = np.unique(upper.round(7) + 0.0, axis=0, return_index=True, return_inverse=True)
    sums = [np.bincount(index, weights, len(first)).astype(float) for weights in (cosine, sign * sine)]
    return upper[first], sums[0], sums[1]


def _closed_forms(continuum: Continuum) -> dict[str, float]:
    """Fields of the result that have closed forms."""
    b, factor, spacing = continuum.burgers_angstrom, continuum.energy_factor_gpa, continuum.spacing_angstrom
    line = np.linspace(0, 1, 721)[:, None] * [b, 0.0]
    phase = line @ continuum.wavevectors_per_angstrom.T
    values = np.cos(phase) @ continuum.cosine_mj_m2 + np.sin(phase) @ continuum.sine_mj_m2
    height = float(values.max() - values[0])
    _refuse_no_dislocation(continuum, height)
    slope_gpa = np.abs(slopes_along_burgers(continuum.model("line", 16))).max() * factor
    sinusoidal_gpa = np.pi * height / b / EV_PER_A2_TO_MJ_PER_M2 * EV_PER_A3_TO_GPA
    widths = [float(half_width(factor, b, slope)) for slope in (sinusoidal_gpa, slope_gpa)]
    stresses = [float(joos_duesbery_stress(factor, b, width, spacing)) * 1e3 for width in widths]
    return {
        "energy_factor_gpa": factor,
        "gamma_line_mj_m2": height,
        "largest_slope_mpa": float(slope_gpa) * 1e3,
        "half_width_sinusoidal_angstrom": widths[0],
        "half_width_angstrom": widths[1],
        "peierls_sinusoidal_mpa": stresses[0],
        "peierls_joos_duesbery_mpa": stresses[1],
    }


def _refuse_no_dislocation(continuum: Continuum, height_mj_m2: float) -> None:
    lowest = float(np.linalg.eigvalsh(continuum.energy_tensor_gpa).min())
    if not lowest > 0:
        raise PropertyError(
            f"the elastic energy of a line is not positive: the energy tensor has the eigenvalue {lowest:.3g} GPa",
            expected="elastic constants of a stable crystal",
            next_step="see the elastic constants of this potential and their flags",
        )
    if not height_mj_m2 > _LOWEST_BARRIER_MJ_M2:
        raise PropertyError(
            f"γ rises by {height_mj_m2:.3g} mJ/m² along the Burgers vector",
            expected="a barrier between one lattice site and the next",
            next_step="see the γ surface of this potential",
        )


def _semidiscrete(
    name: str, continuum: Continuum, settings: PeierlsNabarroSettings
) -> tuple[SemidiscreteResult | None, str]:
    """A semidiscrete model, if it has a dislocation, and what is to be said of it."""
    model = continuum.model(name, settings.length_burgers)
    cores = semidiscrete_cores(
        model, tolerance=settings.tolerance, max_steps=settings.max_steps, max_solves=settings.max_solves
    )
    if cores.spread[0]:
        return None, f"{name}: the core spreads over half of the period or more"
    remark = "" if cores.glides[0] else f"{name}: {_NOT_SEEN}, the stress is a lower bound"
    return _result(name, cores, model, continuum, settings), remark


def _result(
    name: str,
    cores: SemidiscreteCores,
    model: DisregistryModel,
    continuum: Continuum,
    settings: PeierlsNabarroSettings,
) -> SemidiscreteResult:
    """The only dislocation of a model in Å and MPa."""
    b, mpa, branch = continuum.burgers_angstrom, continuum.energy_factor_gpa * 1e3, cores.branch
    on_branch = np.isfinite(branch.glided[:, 0])
    disregistry = np.zeros((model.nodes, 2))
    disregistry[:, : model.components] = branch.unloaded[0] * b
    position = float(core_position(model, branch.unloaded)[0])
    separation = float(cores.separation[0])
    return SemidiscreteResult(
        model=name,
        peierls_mpa=float(cores.peierls[0]) * mpa,
        forward_mpa=float(cores.forward[0]) * mpa,
        reverse_mpa=float(cores.reverse[0]) * mpa,
        x_angstrom=np.asarray((np.arange(model.nodes) - position) * continuum.spacing_angstrom),
        disregistry_angstrom=disregistry,
        width_angstrom=float(cores.width[0]) * b,
        partial_separation_angstrom=None if np.isnan(separation) else separation * b,
        glided_angstrom=branch.glided[on_branch, 0] * continuum.spacing_angstrom,
        stress_mpa=branch.stress[on_branch, 0] * mpa,
        flags=_model_flags(cores, settings.tolerance),
        solves=int(cores.solves[0]),
    )


def _model_flags(cores: SemidiscreteCores, resolution: float) -> tuple[str, ...]:
    """Remarks on the only core, its stresses and their resolution in units of the energy factor."""
    if not cores.glides[0]:
        return (_NOT_SEEN, *((_LIMIT,) if cores.exhausted[0] else ()))
    if not cores.branch.periodic[0]:
        return ("core changes as it glides",)
    return ("below the resolution",) if cores.peierls[0] < _FEW * resolution else ()


def _upstream_flags(elastic: ElasticResult, gamma: GammaSurfaceResult) -> tuple[str, ...]:
    unstable = () if elastic.born_stable else ("Born-unstable",)
    return (*unstable, *(flag for flag in gamma.flags if flag.startswith("negative")))
