"""Elastic constants from central differences of the stress."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from glideflow.config.elastic import ElasticSettings
from glideflow.crystals.lattices import conventional_atoms
from glideflow.engines.protocol import Engine, FloatArray, Session
from glideflow.errors import ConvergenceError
from glideflow.potentials.record import Potential
from glideflow.progress import Progress, silent
from glideflow.properties.minimiser import Minimiser
from glideflow.properties.results import ElasticResult, LatticeResult
from glideflow.units import EV_PER_A3_TO_GPA

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""Pairs of Cartesian axes in Voigt order xx, yy, zz, yz, xz, xy."""
_MAX_RELAXATION_EVALUATIONS = 500


def elastic_constants(
    engine: Engine,
    potential: Potential,
    lattice: LatticeResult,
    settings: ElasticSettings,
    progress: Progress = silent,
) -> ElasticResult:
    """Elastic tensor of the relaxed crystal, C[i, j] = (σ_i(+ε_j) - σ_i(-ε_j)) / 2ε_j.

    Each of the six engineering strains is applied with both signs and every amplitude of the settings; internal
    coordinates relax at fixed cell. The tensor is then averaged over the crystal's class (cubic or hexagonal);
    how far the computed one was from it is reported as the residual.

    Raises:
        ConvergenceError: the internal coordinates of a strained cell do not relax. No strain is ever left out.
        EngineError: the engine fails for a strained cell.
    """
    atoms = conventional_atoms(lattice.crystal, potential.element)
    with engine.open(potential, atoms) as session:
        probe = _StrainProbe(session, atoms.positions, atoms.cell.array, settings.force_tolerance_ev_per_angstrom)
        raw = np.array(list(_tensors(probe, settings.strain_amplitudes, progress)))
        evaluations = session.evaluations
    return _assemble(raw, lattice, settings, evaluations)


def _tensors(probe: _StrainProbe, amplitudes: tuple[float, ...], progress: Progress) -> Iterator[FloatArray]:
    total = 6 * len(amplitudes)
    for index, amplitude in enumerate(amplitudes):
        columns = []
        for component in range(6):
            progress("elastic", 6 * index + component, total)
            columns.append(probe.derivative_gpa(component, amplitude))
        yield np.array(columns).T
    progress("elastic", total, total)


class _StrainProbe:
    """Stress of strained cells with relaxed internal coordinates."""

    def __init__(self, session: Session, positions: FloatArray, cell: FloatArray, tolerance: float) -> None:
        self._session = session
        self._positions = positions
        self._cell = cell
        self._tolerance = tolerance

    def derivative_gpa(self, component: int, amplitude: float) -> FloatArray:
        """(6,) derivative in GPa of the stress with respect to one engineering strain."""
        plus, minus = (self._stress_gpa(component, sign * amplitude) for sign in (1, -1))
        return (plus - minus) / (2 * amplitude)

    def _stress_gpa(self, component: int, strain: float) -> FloatArray:
        deformation = deformation_gradient(component, strain)
        positions, cell = self._positions @ deformation, self._cell @ deformation
        relaxed = self._relaxed(positions, cell, component, strain)
        stress = self._session.evaluate(relaxed, cell).stress_ev_per_angstrom3 * EV_PER_A3_TO_GPA
        return np.array([stress[i, j] for i, j in VOIGT])

    def _relaxed(self, positions: FloatArray, cell: FloatArray, component: int, strain: float) -> FloatArray:
        def objective(coordinates: FloatArray) -> tuple[float, FloatArray]:
            evaluation = self._session.evaluate(coordinates.reshape(-1, 3), cell)
            return evaluation.energy_ev, -evaluation.forces_ev_per_angstrom.ravel()

        minimiser = Minimiser(
            tolerance=self._tolerance,
            max_evaluations=_MAX_RELAXATION_EVALUATIONS,
            largest_move=0.01,
            precondition=lambda gradient: gradient / 10.0,  # 10 eV/Å²: the curvature of a metallic bond
        )
        minimum = minimiser.minimise(objective, positions.ravel())
        if not minimum.converged:
            raise ConvergenceError(
                f"the cell strained by {strain:g} in Voigt component {component + 1} keeps a force of "
                f"{minimum.largest_gradient:.1e} eV/Å after {minimum.evaluations} evaluations",
                expected=f"at most {self._tolerance:g} eV/Å (elastic.force_tolerance_ev_per_angstrom)",
                next_step="raise the tolerance if the potential is not smooth, or leave it out",
            )
        return minimum.coordinates.reshape(-1, 3)


def deformation_gradient(component: int, strain: float) -> FloatArray:
    """(3, 3) symmetric deformation for row vectors with one engineering Voigt strain."""
    i, j = VOIGT[component]
    deformation = np.eye(3)
    if i == j:
        deformation[i, i] += strain
    else:
        deformation[i, j] += strain / 2
        deformation[j, i] += strain / 2
    return deformation


def symmetric_tensor(raw: FloatArray, structure: str) -> FloatArray:
    """The tensor of the cubic or hexagonal class (axis along z) closest to ``raw``, (6, 6), by averaging."""
    constants = independent_constants(raw, structure)
    if structure == "hcp":
        return hexagonal_tensor(*constants)
    return cubic_tensor(*constants)


def independent_constants(raw: FloatArray, structure: str) -> FloatArray:
    """C11, C12, C44 of a cubic crystal, and C13, C33 after them for hcp, in the unit of ``raw``.

    For the hexagonal class C66 = (C11 - C12)/2 takes part: the averages are the least-squares ones of
    C11 = A + B, C12 = A - B, C66 = B.
    """
    c44_pair = (raw[3, 3] + raw[4, 4]) / 2
    if structure != "hcp":
        c11 = np.trace(raw[:3, :3]) / 3
        c12 = (raw[:3, :3].sum() - np.trace(raw[:3, :3])) / 6
        return np.array([c11, c12, (c44_pair * 2 + raw[5, 5]) / 3])
    c11, c12 = (raw[0, 0] + raw[1, 1]) / 2, (raw[0, 1] + raw[1, 0]) / 2
    mean, half = (c11 + c12) / 2, ((c11 - c12) + raw[5, 5]) / 3
    c13 = (raw[0, 2] + raw[1, 2] + raw[2, 0] + raw[2, 1]) / 4
    return np.array([mean + half, mean - half, c44_pair, c13, raw[2, 2]])


def cubic_tensor(c11: float, c12: float, c44: float) -> FloatArray:
    """(6, 6) elastic tensor of a cubic crystal in its cubic axes."""
    tensor = np.diag([c11 - c12] * 3 + [c44] * 3).astype(float)
    tensor[:3, :3] += c12
    return tensor


def hexagonal_tensor(c11: float, c12: float, c44: float, c13: float, c33: float) -> FloatArray:
    """(6, 6) elastic tensor of a hexagonal crystal with its axis along z."""
    tensor = np.diag([c11, c11, c33, c44, c44, (c11 - c12) / 2]).astype(float)
    tensor[0, 1] = tensor[1, 0] = c12
    tensor[:2, 2] = tensor[2, :2] = c13
    return tensor


def _assemble(raw: FloatArray, lattice: LatticeResult, settings: ElasticSettings, evaluations: int) -> ElasticResult:
    by_amplitude = np.array([independent_constants(tensor, lattice.structure) for tensor in raw])
    tensor = symmetric_tensor(raw[0], lattice.structure)
    lowest = float(np.linalg.eigvalsh(tensor).min())
    spread = np.ptp(by_amplitude, axis=0) / np.maximum(np.abs(by_amplitude[0]), 1.0)
    dependence = float(spread.max())
    c11, c12, c44, *hexagonal = (float(value) for value in by_amplitude[0])
    return ElasticResult(
        tensor_gpa=tensor,
        raw_tensor_gpa=raw[0],
        c11_gpa=c11,
        c12_gpa=c12,
        c44_gpa=c44,
        c13_gpa=hexagonal[0] if hexagonal else None,
        c33_gpa=hexagonal[1] if hexagonal else None,
        fit_residual_gpa=float(np.abs(raw[0] - tensor).max()),
        strain_dependence=dependence,
        stability_eigenvalue_gpa=lowest,
        born_stable=lowest > 0,
        strain_amplitudes=np.array(settings.strain_amplitudes),
        constants_by_amplitude_gpa=by_amplitude,
        bulk_modulus_gpa=float(tensor[:3, :3].sum() / 9),
        shear_modulus_gpa=_voigt_shear_modulus(tensor),
        flags=_flags(lowest, dependence, settings),
        evaluations=evaluations,
    )


def _voigt_shear_modulus(tensor: FloatArray) -> float:
    diagonal, coupling = np.trace(tensor[:3, :3]), tensor[0, 1] + tensor[0, 2] + tensor[1, 2]
    return float((diagonal - coupling + 3 * np.trace(tensor[3:, 3:])) / 15)


def _flags(lowest: float, dependence: float, settings: ElasticSettings) -> tuple[str, ...]:
    flags = []
    if lowest <= 0:
        flags.append("Born-unstable")
    if dependence > settings.strain_dependence_flag:
        flags.append("strain-dependent elastic constants")
    return tuple(flags)
