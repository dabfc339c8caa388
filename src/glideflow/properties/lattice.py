"""Relaxed lattice constants and cohesive energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import numpy as np

from glideflow.config.lattice import LatticeSettings
from glideflow.crystals.lattices import Crystal, conventional_atoms, crystal, reference_crystal
from glideflow.engines.protocol import Engine, Evaluation, FloatArray, Session
from glideflow.errors import ConvergenceError, EngineError, GlideflowError, PropertyError
from glideflow.potentials.record import Potential, Structure
from glideflow.progress import Progress, silent
from glideflow.properties.results import LatticeResult
from glideflow.units import EV_PER_A3_TO_GPA

_C_OVER_A_RANGE, _C_OVER_A_POINTS = 0.18, 13
"""Half width, relative to the c/a of the start, and points of the scan over c/a."""
_COMPARED_STRESS_GPA = 0.1
"""Residual stress at which energies of structures may be compared: σ²V/2C is then some µeV per atom."""


def relax_lattice(
    engine: Engine, potential: Potential, settings: LatticeSettings, progress: Progress = silent
) -> LatticeResult:
    """Lattice constants of zero stress and the energy there.

    The energy is scanned over the lattice constant (hcp at the c/a of the element's reference state, ideal where that
    is not hcp), and the lowest local minimum is refined to zero stress; hcp relaxes a and c together (its internal
    coordinates are fixed by symmetry), from every minimum over c/a at the volume of the first one, and the lowest
    energy is kept.

    Raises:
        PropertyError: the potential has no bound crystal of this structure in the scanned range.
        ConvergenceError: the stress does not come below the tolerance.
    """
    others = [s for s in get_args(Structure) if s != potential.structure] if settings.compare_structures else []
    progress("lattice", 0, 1 + len(others))
    relaxed = _relax(engine, potential, potential.structure, settings)
    energies = {potential.structure: relaxed.energy_ev_per_atom}
    all_known = True
    for done, structure in enumerate(others, start=1):
        progress("lattice", done, 1 + len(others))
        try:
            energies |= _energy_if_bound(engine, potential, structure, settings)
        except (ConvergenceError, EngineError):
            all_known = False
    progress("lattice", 1 + len(others), 1 + len(others))
    return LatticeResult(
        structure=potential.structure,
        a_angstrom=relaxed.perfect.a_angstrom,
        c_angstrom=relaxed.perfect.c_angstrom if potential.structure == "hcp" else None,
        energy_ev_per_atom=relaxed.energy_ev_per_atom,
        residual_stress_gpa=relaxed.residual_stress_gpa,
        cutoff_angstrom=relaxed.cutoff_angstrom,
        ground_state=_ground_state(potential.structure, energies, all_known) if others else "",
        energy_fcc_ev_per_atom=energies.get("fcc"),
        energy_bcc_ev_per_atom=energies.get("bcc"),
        energy_hcp_ev_per_atom=energies.get("hcp"),
        evaluations=relaxed.evaluations,
    )


@dataclass(frozen=True)
class _Relaxed:
    perfect: Crystal
    energy_ev_per_atom: float
    residual_stress_gpa: float
    cutoff_angstrom: float
    evaluations: int


@dataclass(frozen=True)
class _Probe:
    """Evaluations of one crystal structure as a function of its lattice constants."""

    session: Session
    structure: str
    element: str

    def evaluate(self, perfect: Crystal) -> Evaluation:
        atoms = conventional_atoms(perfect, self.element)
        return self.session.evaluate(atoms.positions, atoms.cell.array)

    def energy_per_atom(self, perfect: Crystal) -> float:
        return self.evaluate(perfect).energy_ev / len(conventional_atoms(perfect, self.element))

    def stress_gpa(self, perfect: Crystal) -> FloatArray:
        return self.evaluate(perfect).stress_ev_per_angstrom3 * EV_PER_A3_TO_GPA


def _energy_if_bound(
    engine: Engine, potential: Potential, structure: Structure, settings: LatticeSettings
) -> dict[Structure, float]:
    accepted_gpa = max(settings.stress_tolerance_gpa, _COMPARED_STRESS_GPA)
    tolerant = settings.model_copy(update={"stress_tolerance_gpa": accepted_gpa})
    try:
        return {structure: _relax(engine, potential, structure, tolerant).energy_ev_per_atom}
    except PropertyError:
        return {}  # a competing structure that is not bound cannot be the ground state


def _ground_state(own: Structure, energies: dict[Structure, float], all_known: bool) -> str:
    """The structure of lowest energy; empty where one of unknown energy might lie below the potential's own."""
    lowest = min(energies, key=lambda name: energies[name])
    return lowest if all_known or lowest != own else ""


def _relax(engine: Engine, potential: Potential, structure: Structure, settings: LatticeSettings) -> _Relaxed:
    guess = reference_crystal(potential.element, structure)
    with engine.open(potential, conventional_atoms(guess, potential.element)) as session:
        probe = _Probe(session, structure, potential.element)
        lower, upper = _bracket(probe, guess, settings)
        perfect = _lowest_hcp(probe, lower, upper) if structure == "hcp" else _refine_cubic(probe, lower, upper)
        residual = float(np.abs(probe.stress_gpa(perfect)).max())
        if residual > settings.stress_tolerance_gpa:
            raise ConvergenceError(
                f"{potential.id}: the {structure} crystal keeps a stress of {residual:.2e} GPa",
                expected=f"at most lattice.stress_tolerance_gpa = {settings.stress_tolerance_gpa:g} GPa",
                next_step="the potential may not be smooth there; raise the tolerance if its kinks are acceptable",
            )
        energy = probe.energy_per_atom(perfect)
        return _Relaxed(perfect, energy, residual, session.cutoff_angstrom, session.evaluations)


def _bracket(probe: _Probe, guess: Crystal, settings: LatticeSettings) -> tuple[Crystal, Crystal]:
    """Neighbouring lattice constants of the scan on both sides of its lowest interior minimum."""
    factors = 1.0 + settings.scan_range * np.linspace(-1.0, 1.0, settings.scan_points)
    scanned = [crystal(probe.structure, guess.a_angstrom * f, _scaled_c(guess, f)) for f in factors]
    energies = np.array([probe.energy_per_atom(candidate) for candidate in scanned])
    interior = np.arange(1, len(energies) - 1)
    minima = interior[(energies[interior] < energies[interior - 1]) & (energies[interior] <= energies[interior + 1])]
    if not len(minima):
        raise PropertyError(
            f"the energy of {probe.structure} {probe.element} has no minimum between a = "
            f"{scanned[0].a_angstrom:.3f} and {scanned[-1].a_angstrom:.3f} Å",
            expected="a bound crystal near the element's reference lattice constant",
            next_step="check element and structure, or widen lattice.scan_range",
        )
    lowest = int(minima[np.argmin(energies[minima])])
    return scanned[lowest - 1], scanned[lowest + 1]


def _scaled_c(guess: Crystal, factor: float) -> float | None:
    return guess.c_angstrom * factor if guess.structure == "hcp" else None


def _refine_cubic(probe: _Probe, lower: Crystal, upper: Crystal) -> Crystal:
    from scipy.optimize import brentq

    def pressure(a_angstrom: float) -> float:
        return float(np.trace(probe.stress_gpa(crystal(probe.structure, a_angstrom))))

    a = _root(brentq, pressure, lower.a_angstrom, upper.a_angstrom, probe)
    return crystal(probe.structure, a)


def _root(
    solver: Callable[..., float], function: Callable[[float], float], low: float, high: float, probe: _Probe
) -> float:
    if function(low) * function(high) > 0:
        raise ConvergenceError(
            f"the stress of {probe.structure} {probe.element} does not change sign between a = {low:.4f} and "
            f"{high:.4f} Å although the energy has a minimum there",
            expected="a stress that is the derivative of the energy",
            next_step="the potential is not smooth or not consistent; leave it out with potentials.select.exclude",
        )
    return float(solver(function, low, high, xtol=1e-13, rtol=1e-14))


def _lowest_hcp(probe: _Probe, lower: Crystal, upper: Crystal) -> Crystal:
    """The hcp crystal of lowest energy among those refined from the minima over c/a.

    Raises:
        PropertyError: none of them is bound; the error of the first start.
        ConvergenceError: none of them is found.
    """
    refined, errors = [], []
    for start in _hcp_starts(
        probe, (lower.a_angstrom + upper.a_angstrom) / 2, (lower.c_angstrom + upper.c_angstrom) / 2
    ):
        try:
            refined.append(_refine_hcp(probe, *start))
        except (PropertyError, ConvergenceError) as error:
            errors.append(error)
    if not refined:
        raise errors[0]
    return min(refined, key=probe.energy_per_atom)


def _hcp_starts(probe: _Probe, a: float, c: float) -> list[tuple[float, float]]:
    """Lattice constants a and c at the minima of the energy over c/a at constant volume, that of the argument first."""
    stretches = 1.0 + _C_OVER_A_RANGE * np.linspace(-1.0, 1.0, _C_OVER_A_POINTS)
    scanned = [(float(a / np.cbrt(stretch)), float(c * np.cbrt(stretch) ** 2)) for stretch in stretches]
    energies = np.array([probe.energy_per_atom(crystal("hcp", *lengths)) for lengths in scanned])
    interior = np.arange(1, len(energies) - 1)
    minima = interior[(energies[interior] < energies[interior - 1]) & (energies[interior] <= energies[interior + 1])]
    middle = len(scanned) // 2
    # The minimum next to the middle is found from the middle itself.
    return [(a, c), *(scanned[index] for index in minima if abs(index - middle) > 1)]


def _refine_hcp(probe: _Probe, a: float, c: float) -> Crystal:
    """Solve σ_xx + σ_yy = 0 and σ_zz = 0 for (ln a, ln c) by Newton steps with a secant Jacobian, from a and c."""
    from scipy.optimize import root

    def residual(log_lengths: FloatArray) -> FloatArray:
        stress = probe.stress_gpa(crystal("hcp", *np.exp(log_lengths)))
        return np.array([stress[0, 0] + stress[1, 1], stress[2, 2]])

    try:
        solution = root(residual, np.log([a, c]), method="hybr", tol=1e-13, options={"eps": 1e-8})
    except GlideflowError as error:
        raise ConvergenceError(f"the hcp crystal left the range of the potential: {error.found}") from error
    refined = crystal("hcp", *(float(length) for length in np.exp(solution.x)))
    if not 0.5 < refined.a_angstrom / a < 2 or not 0.5 < refined.c_angstrom / c < 2:
        raise PropertyError(
            f"hcp {probe.element} relaxes away to a = {refined.a_angstrom:.3f}, c = {refined.c_angstrom:.3f} Å",
            expected="a bound hcp crystal",
            next_step="check element and structure",
        )
    return refined
