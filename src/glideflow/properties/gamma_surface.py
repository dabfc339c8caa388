"""γ surfaces: energy of two half crystals displaced against each other along a slip plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glideflow.config.gamma_surface import GammaSurfaceSettings
from glideflow.crystals.layers import LayeredCrystal, layered_crystal, stack
from glideflow.crystals.slabs import FaultCell, slab_cell, tilted_cell
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.crystals.symmetry import displacement_symmetry, grid_displacements, grid_orbits
from glideflow.engines.protocol import Engine, FloatArray, Session
from glideflow.errors import ConvergenceError, PropertyError
from glideflow.potentials.record import Potential
from glideflow.progress import Progress, silent
from glideflow.properties.fourier import FourierSurface, fit_fourier_surface
from glideflow.properties.minimiser import Minimiser, Minimum
from glideflow.properties.results import GammaSurfaceResult, LatticeResult
from glideflow.units import EV_PER_A2_TO_MJ_PER_M2
from glideflow.workbench import Workbench

_HESSIAN_STEP_ANGSTROM = 1e-3
_LOWEST_CURVATURE_EV_PER_A2 = 0.05
_LARGEST_NORMAL_MOVE_ANGSTROM = 0.2
_PATIENCE_EVALUATIONS = 60


@dataclass(frozen=True)
class FaultPoint:
    """One displacement, computed.

    Attributes:
        gamma_mj_m2: fault energy.
        opening_angstrom: change of the distance between the two planes next to the cut.
        residual_force_ev_per_angstrom: largest force along the normal that is left.
        evaluations: engine evaluations made.
    """

    gamma_mj_m2: float
    opening_angstrom: float
    residual_force_ev_per_angstrom: float
    evaluations: int


@dataclass(frozen=True)
class FaultGeometry:
    """What a γ surface is computed on: the stack of planes, its symmetry, the cut and the cell."""

    layers: LayeredCrystal
    symmetry: FloatArray
    cut: str
    cell: FaultCell


def fault_geometry(
    lattice: LatticeResult, system: SlipSystem, settings: GammaSurfaceSettings, cut: str = "wide"
) -> FaultGeometry:
    """The stack, symmetry and cell for a γ surface."""
    layers = layered_crystal(lattice.crystal, system)
    symmetry = displacement_symmetry(lattice.crystal, layers, cut)
    if settings.cell == "tilted":
        cell = tilted_cell(layers, cut, settings.layers)
    else:
        cell = slab_cell(layers, cut, settings.layers, settings.vacuum_angstrom)
    return FaultGeometry(layers, symmetry, cut, cell)


def gamma_surface(
    engine: Engine,
    potential: Potential,
    lattice: LatticeResult,
    system: SlipSystem,
    settings: GammaSurfaceSettings,
    *,
    cut: str | None = None,
    seed: int = 0,
    workbench: Workbench | None = None,
    progress: Progress = silent,
) -> GammaSurfaceResult:
    """Compute a γ surface, γ(d) = (E(d) - E(0)) / area (paper 000, equation 1).

    The upper half is displaced rigidly and the atoms then relax along the slip-plane normal only. All points are
    computed in one engine session; symmetry-unique ones only, unless the settings say otherwise.

    Args:
        engine: who gives energies and forces.
        potential: the potential.
        lattice: its relaxed crystal.
        system: slip plane and direction.
        settings: grid, cell, relaxation, symmetry.
        cut: ``wide`` or ``narrow`` spacing between planes, where they differ; None for that of the slip system, or
            the wide one if it leaves that open.
        seed: seed of the random symmetry checks.
        workbench: where finished points are kept so that an interrupted computation resumes.
        progress: progress callback.

    Raises:
        ConvergenceError: a point does not relax; the error names the displacement.
        PropertyError: the random checks contradict the assumed symmetry.
    """
    geometry = fault_geometry(lattice, system, settings, cut or system.cut or "wide")
    with engine.open(potential, geometry.cell.atoms(potential.element)) as session:
        relaxer = FaultRelaxer(session, geometry.cell, settings)
        points = _PointSource(relaxer, workbench or Workbench(None))
        grid, opening, unique = _grid(points, geometry, settings, progress)
        landmarks = _landmarks(points, geometry, settings, progress)
        error = _symmetry_error(points, geometry, settings, seed, float(grid.max()))
        evaluations, residual_force = points.evaluations, points.residual_force_ev_per_angstrom
    fourier, residual, residual_low = _fourier(geometry, grid, settings, unique)
    return GammaSurfaceResult(
        slip_system=system.name,
        label=system.label,
        cut=geometry.cut,
        period_angstrom=geometry.layers.period_angstrom,
        x_angstrom=np.linspace(0.0, geometry.layers.period_angstrom[0], settings.grid[0]),
        y_angstrom=np.linspace(0.0, geometry.layers.period_angstrom[1], settings.grid[1]),
        gamma_mj_m2=grid,
        opening_angstrom=opening,
        gamma_isf_mj_m2=landmarks.isf_mj_m2,
        gamma_usf_mj_m2=landmarks.usf_mj_m2,
        gamma_asf_mj_m2=landmarks.asf_mj_m2,
        gamma_max_mj_m2=float(grid.max()),
        path_vector_angstrom=landmarks.path_vector_angstrom,
        path_fraction=landmarks.path_fraction,
        path_mj_m2=landmarks.path_mj_m2,
        fourier_wavevectors_per_angstrom=fourier.wavevectors_per_angstrom,
        fourier_cosine_mj_m2=fourier.cosine_mj_m2,
        fourier_sine_mj_m2=fourier.sine_mj_m2,
        fourier_symmetry=fourier.symmetry,
        fourier_residual_mj_m2=residual,
        fourier_residual_low_mj_m2=residual_low,
        symmetry_error_mj_m2=error,
        residual_force_ev_per_angstrom=residual_force,
        unique_points=unique,
        flags=_flags(
            grid,
            landmarks,
            kinks=residual_force > settings.force_tolerance_ev_per_angstrom,
            thin=geometry.cell.depth_angstrom < lattice.cutoff_angstrom,
        ),
        evaluations=evaluations,
    )


class FaultRelaxer:
    """Fault energies in one session, relaxed along the normal.

    The Hessian of the unfaulted cell along the normal, by central differences, preconditions every relaxation.
    Every relaxation starts from the rigid shift of the unfaulted cell. Starting from the point before would save a
    fifth of the evaluations, but near maxima, where planes can lock in two ways, the value would then depend on the
    way there (by 6 mJ/m² for one point of prismatic Zr). As it is, a point depends on its displacement alone, and a
    computation that was interrupted gives the same bits as one that was not.

    Attributes:
        preparation_evaluations: engine evaluations made before the first point.
    """

    def __init__(self, session: Session, cell: FaultCell, settings: GammaSurfaceSettings) -> None:
        self._session = session
        self._cell = cell
        self._settings = settings
        self._count = len(cell.positions_angstrom)
        self._inverse_hessian: FloatArray | None = None
        self._reference = np.zeros(self._count + 1)
        self._reference_energy_ev = 0.0
        self._afresh = True
        self._prepare()
        self.preparation_evaluations = session.evaluations

    def compute(self, displacement_angstrom: FloatArray) -> FaultPoint:
        """Energy and opening at a displacement (2,) in Å of the upper half.

        Raises:
            ConvergenceError: the relaxation does not meet its tolerance.
        """
        before = self._session.evaluations
        normal, energy_ev, force = self._relax(displacement_angstrom)
        gamma = (energy_ev - self._reference_energy_ev) / self._cell.area_angstrom2 * EV_PER_A2_TO_MJ_PER_M2
        opening = self._opening(normal) - self._opening(self._reference)
        return FaultPoint(gamma, opening, force, self._session.evaluations - before)

    def _prepare(self) -> None:
        if self._settings.relaxation == "normal":
            self._inverse_hessian = self._normal_inverse_hessian()
        self._reference, self._reference_energy_ev, _ = self._relax(np.zeros(2))

    def _objective(self, displacement_angstrom: FloatArray, normal: FloatArray) -> tuple[float, FloatArray]:
        """Energy and gradient for the atoms' moves along the normal and, for a tilted cell, its relative height."""
        positions, cell = self._cell.displaced(displacement_angstrom)
        stretch = np.diag([1.0, 1.0, 1.0 + normal[-1]])
        stretched = positions @ stretch
        stretched[:, 2] += normal[:-1]
        cell = cell @ stretch
        evaluation = self._session.evaluate(stretched, cell if self._cell.tilted or self._afresh else None)
        self._afresh = False
        gradient = np.append(-evaluation.forces_ev_per_angstrom[:, 2], 0.0)
        if self._cell.tilted:
            # dE/d(height) at fixed moves: all atoms at their stretched heights follow the cell affinely.
            virial = evaluation.stress_ev_per_angstrom3[2, 2] * float(np.linalg.det(cell)) / (1.0 + normal[-1])
            gradient[-1] = virial + float(gradient[:-1] @ (-normal[:-1])) / (1.0 + normal[-1])
        return evaluation.energy_ev, gradient

    def _relax(self, displacement_angstrom: FloatArray) -> tuple[FloatArray, float, float]:
        """Moves along the normal, energy, and the largest force that is left."""
        self._afresh = True
        if self._settings.relaxation == "none":
            return self._reference, self._objective(displacement_angstrom, self._reference)[0], 0.0
        minimiser = Minimiser(
            tolerance=self._settings.force_tolerance_ev_per_angstrom,
            max_evaluations=self._settings.max_evaluations,
            largest_move=_LARGEST_NORMAL_MOVE_ANGSTROM,
            patience=_PATIENCE_EVALUATIONS,
            precondition=self._precondition,
        )
        minimum = minimiser.minimise(lambda normal: self._objective(displacement_angstrom, normal), self._reference)
        if not minimum.converged and not self._is_good_enough(minimum):
            raise ConvergenceError(
                f"the γ point at {displacement_angstrom[0]:.4f}, {displacement_angstrom[1]:.4f} Å keeps a force of "
                f"{minimum.largest_gradient:.1e} eV/Å along the normal ({minimum.ending})",
                expected=f"at most {self._settings.force_tolerance_ev_per_angstrom:g} eV/Å "
                "(gamma_surface.force_tolerance_ev_per_angstrom)",
                next_step="raise gamma_surface.accepted_error_mj_m2 if the potential is not smooth, or relax nothing "
                "(gamma_surface.relaxation: none)",
            )
        return minimum.coordinates, minimum.energy_ev, minimum.largest_gradient

    def _is_good_enough(self, minimum: Minimum) -> bool:
        """Whether the energy that is left to gain is negligible although the forces do not vanish."""
        left_ev = float(minimum.gradient @ self._precondition(minimum.gradient)) / 2
        error_mj_m2 = left_ev / self._cell.area_angstrom2 * EV_PER_A2_TO_MJ_PER_M2
        return error_mj_m2 <= self._settings.accepted_error_mj_m2

    def _precondition(self, gradient: FloatArray) -> FloatArray:
        assert self._inverse_hessian is not None
        return self._inverse_hessian @ gradient

    def _normal_inverse_hessian(self) -> FloatArray:
        """Inverse of the Hessian along the normal, its soft and negative directions stiffened."""
        size = self._count + 1 if self._cell.tilted else self._count
        hessian = np.zeros((self._count + 1, self._count + 1))
        hessian[-1, -1] = 1.0
        for index in range(size):
            step = np.zeros(self._count + 1)
            step[index] = _HESSIAN_STEP_ANGSTROM if index < self._count else 1e-4
            plus, minus = (self._objective(np.zeros(2), sign * step)[1] for sign in (1, -1))
            hessian[index] = (plus - minus) / (2 * step[index])
        values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
        stiff = np.maximum(np.abs(values), _LOWEST_CURVATURE_EV_PER_A2)
        return np.asarray((vectors / stiff) @ vectors.T)

    def _opening(self, normal: FloatArray) -> float:
        heights = self._cell.positions_angstrom[:, 2] * (1.0 + normal[-1]) + normal[:-1]
        if self._cell.tilted:
            return float(self._cell.cell_angstrom[2, 2] * (1.0 + normal[-1]) - np.ptp(heights))
        return float(heights[self._cell.upper].min() - heights[~self._cell.upper].max())


class _PointSource:
    """γ points by displacement: known already, or from the workbench, or else computed and kept.

    Attributes:
        evaluations: engine evaluations made for the points so far and before them, in this run or an earlier one.
        residual_force_ev_per_angstrom: largest force along the normal left at any of them.
    """

    def __init__(self, relaxer: FaultRelaxer, workbench: Workbench) -> None:
        self._relaxer = relaxer
        self._workbench = workbench
        self._known: dict[str, FaultPoint] = {}
        self.evaluations = relaxer.preparation_evaluations
        self.residual_force_ev_per_angstrom = 0.0

    def __call__(self, displacement_angstrom: FloatArray) -> FaultPoint:
        name = f"{displacement_angstrom[0]:.9f},{displacement_angstrom[1]:.9f}"
        if name not in self._known:
            point = self._kept(name) or self._compute(name, displacement_angstrom)
            self._known[name] = point
            self.evaluations += point.evaluations
            self.residual_force_ev_per_angstrom = max(
                self.residual_force_ev_per_angstrom, point.residual_force_ev_per_angstrom
            )
        return self._known[name]

    def _compute(self, name: str, displacement_angstrom: FloatArray) -> FaultPoint:
        point = self._relaxer.compute(displacement_angstrom)
        self._workbench.put(name, **{key: np.asarray(value) for key, value in vars(point).items()})
        return point

    def _kept(self, name: str) -> FaultPoint | None:
        entry = self._workbench.get(name)
        if entry is None:
            return None
        return FaultPoint(
            gamma_mj_m2=float(entry["gamma_mj_m2"]),
            opening_angstrom=float(entry["opening_angstrom"]),
            residual_force_ev_per_angstrom=float(entry["residual_force_ev_per_angstrom"]),
            evaluations=int(entry["evaluations"]),
        )


def _grid(
    points: _PointSource, geometry: FaultGeometry, settings: GammaSurfaceSettings, progress: Progress
) -> tuple[FloatArray, FloatArray, int]:
    """Energies and openings on the grid with its repeated edges, and how many points were computed."""
    shape = (settings.grid[0] - 1, settings.grid[1] - 1)
    representatives = _representatives(geometry, settings, shape)
    unique = np.unique(representatives)
    energies, openings = np.zeros(representatives.size), np.zeros(representatives.size)
    for done, index in enumerate(unique):
        progress("γ surface", done, len(unique))
        fractions = np.array(np.unravel_index(index, shape)) / shape
        point = points(fractions * geometry.layers.period_angstrom)
        energies[index], openings[index] = point.gamma_mj_m2, point.opening_angstrom
    progress("γ surface", len(unique), len(unique))
    full = [_with_edges(values[representatives].reshape(shape)) for values in (energies, openings)]
    return full[0], full[1], len(unique)


def _representatives(
    geometry: FaultGeometry, settings: GammaSurfaceSettings, shape: tuple[int, int]
) -> NDArray[np.int64]:
    if not settings.use_symmetry:
        return np.arange(shape[0] * shape[1])
    return grid_orbits(geometry.layers, geometry.symmetry, shape)


def _with_edges(periodic: FloatArray) -> FloatArray:
    return np.pad(periodic, ((0, 1), (0, 1)), mode="wrap")


@dataclass(frozen=True)
class _Landmarks:
    isf_mj_m2: float | None
    usf_mj_m2: float
    asf_mj_m2: float | None
    path_vector_angstrom: FloatArray
    path_fraction: FloatArray
    path_mj_m2: FloatArray


def _landmarks(
    points: _PointSource, geometry: FaultGeometry, settings: GammaSurfaceSettings, progress: Progress
) -> _Landmarks:
    """The primary path and the extremal faults on it."""
    isf, asf = special_faults(geometry.layers, geometry.cut)
    path = isf if isf is not None else np.array([geometry.layers.burgers_vector_angstrom, 0.0])
    fractions = np.linspace(0.0, 1.0, settings.path_points)
    energies = []
    for done, fraction in enumerate(fractions):
        progress("γ line", done, len(fractions))
        energies.append(points(fraction * path).gamma_mj_m2)
    progress("γ line", len(fractions), len(fractions))
    line = np.array(energies)
    return _Landmarks(
        isf_mj_m2=None if isf is None else points(isf).gamma_mj_m2,
        usf_mj_m2=_refined_maximum(points, path, fractions, line),
        asf_mj_m2=None if asf is None else points(asf).gamma_mj_m2,
        path_vector_angstrom=path,
        path_fraction=fractions,
        path_mj_m2=line,
    )


def special_faults(layers: LayeredCrystal, cut: str) -> tuple[FloatArray | None, FloatArray | None]:
    """Displacements (2,) of the intrinsic and of the aligned fault of close-packed planes, the shortest along ±y.

    In fcc {111} and hcp (0001), plane 0 above the cut lies in one kind of hollow of plane -1 below it, at r modulo the
    plane lattice. A displacement by -r puts atoms on top of atoms; r (= -2r) puts them into the other kind of hollow:
    ABC|BC in fcc, AB|CA (often called I2) in hcp. Other planes have no such faults and give None.
    """
    if not _is_close_packed(layers):
        return None, None
    (below, above), _ = stack(layers, cut, 1, 1)
    to_fractions = np.linalg.inv(layers.in_plane_angstrom)
    for sign in (1.0, -1.0):
        candidate = np.array([0.0, sign * layers.period_angstrom[1] / 3])
        fractions = (candidate - (above - below)[:2]) @ to_fractions
        if np.allclose(fractions, np.rint(fractions), atol=1e-6):
            return candidate, -candidate
    return None, None


def _is_close_packed(layers: LayeredCrystal) -> bool:
    """Whether the planes are those of spheres that touch, one atom per plane-lattice point.

    (111) of bcc is hexagonal too, at a quarter of the spacing; c/a of hcp metals keeps within 15 % of the ideal one.
    """
    first, second = np.linalg.norm(layers.in_plane_angstrom, axis=1)
    spacing = layers.repeat_angstrom[2] / len(layers.motif_angstrom)
    one_atom_each = len(layers.motif_angstrom) == len(layers.plane_heights_angstrom)
    hexagonal = np.isclose(first, second, rtol=1e-6) and np.isclose(
        abs(layers.in_plane_angstrom[0] @ layers.in_plane_angstrom[1]), first**2 / 2, rtol=1e-6
    )
    return bool(one_atom_each and hexagonal and np.isclose(spacing, np.sqrt(2 / 3) * first, rtol=0.2))


def _refined_maximum(points: _PointSource, path: FloatArray, fractions: FloatArray, energies: FloatArray) -> float:
    """Maximum along the path, the largest sampled point refined by computed points."""
    from scipy.optimize import minimize_scalar

    top = int(np.argmax(energies))
    low, high = fractions[max(top - 1, 0)], fractions[min(top + 1, len(fractions) - 1)]
    best = minimize_scalar(
        lambda fraction: -points(fraction * path).gamma_mj_m2,
        bounds=(float(low), float(high)),
        method="bounded",
        options={"xatol": 1e-3, "maxiter": 12},
    )
    return float(max(energies[top], -best.fun))


def _symmetry_error(
    points: _PointSource, geometry: FaultGeometry, settings: GammaSurfaceSettings, seed: int, largest: float
) -> float:
    """Largest difference between random points and their symmetry-equivalent images.

    Raises:
        PropertyError: the difference is beyond any numerical error.
    """
    generator = np.random.default_rng(seed)
    errors = [0.0]
    for _ in range(settings.symmetry_check_points if settings.use_symmetry else 0):
        displacement = generator.random(2) * geometry.layers.period_angstrom
        # Not the identity, which would compare a point with itself.
        operation = geometry.symmetry[generator.integers(min(1, len(geometry.symmetry) - 1), len(geometry.symmetry))]
        lattice_vector = generator.integers(-1, 2, size=2) @ geometry.layers.in_plane_angstrom
        image = operation @ displacement + lattice_vector
        errors.append(abs(points(displacement).gamma_mj_m2 - points(image).gamma_mj_m2))
    error = max(errors)
    if error > max(1.0, 0.01 * largest):
        raise PropertyError(
            f"equivalent displacements differ by {error:.2f} mJ/m²",
            expected="a γ surface with the symmetry of its crystal",
            next_step="the potential is not smooth, or has several relaxed states; "
            "set gamma_surface.use_symmetry: false",
        )
    return error


def _fourier(
    geometry: FaultGeometry, grid: FloatArray, settings: GammaSurfaceSettings, unique: int
) -> tuple[FourierSurface, float, float]:
    """The Fourier representation, and its root mean square errors overall and below 0.7 of the maximum."""
    shape = (settings.grid[0] - 1, settings.grid[1] - 1)
    displacements = grid_displacements(geometry.layers, shape).reshape(-1, 2)
    values = grid[:-1, :-1].ravel()
    surface = fit_fourier_surface(
        displacements,
        values,
        geometry.layers.in_plane_angstrom,
        geometry.symmetry,
        min(settings.fourier_shells, max(1, unique // 4)),
    )
    errors = surface(displacements) - values
    low = values <= 0.7 * values.max()
    return surface, _root_mean_square(errors), _root_mean_square(errors[low])


def _root_mean_square(errors: FloatArray) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def _flags(grid: FloatArray, landmarks: _Landmarks, *, kinks: bool, thin: bool) -> tuple[str, ...]:
    flags = ["not smooth along the normal"] if kinks else []
    if thin:
        flags.append("cell thinner than the range of the potential")
    if grid.min() < -1.0:
        flags.append("negative γ")
    if landmarks.isf_mj_m2 is not None and landmarks.isf_mj_m2 < 0:
        flags.append("negative intrinsic stacking fault energy")
    return tuple(flags)
