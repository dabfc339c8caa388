"""Peierls stress of a straight edge dislocation by stress control.

The resolved shear stress on the rigid top block is raised in growing steps, each started from an extrapolation of
the equilibria before it. A relaxation ends when the forces vanish (the stress is stable) or as soon as the core has
glided by one Burgers vector (it is not). The interval between the two is then bisected. Unlike straining in fixed
small steps with an energy criterion, nothing here depends on the step or on when a minimiser gives up: a relaxation
that does neither is recorded as unconverged and counts as no evidence of stability.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.crystals.dislocations import DislocationCell, DislocationSize, edge_dislocation
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.crystals.symmetry import displacement_symmetry, senses_are_equivalent
from glideflow.engines.protocol import Engine, FloatArray
from glideflow.errors import ConvergenceError, PropertyError
from glideflow.potentials.record import Potential
from glideflow.progress import Progress, silent
from glideflow.properties.core_position import CoreTracker, core_tracker
from glideflow.properties.dislocation_problem import DislocationProblem
from glideflow.properties.minimiser import Ending, Minimiser, Minimum
from glideflow.properties.results import CoreResult, LatticeResult, LoadingCurve, PeierlsStressResult
from glideflow.properties.springs import fit_springs
from glideflow.units import EV_PER_A3_TO_MPA
from glideflow.workbench import Workbench

_STABLE, _GLIDES, _UNCONVERGED = "stable", "glides", "unconverged"
_LARGEST_UNCONVERGED_ROW = 8
_LARGEST_MOVE_ANGSTROM = 0.15
_JUMP_IN_BURGERS = 0.25
"""A core that moves farther than this between two equilibria has jumped."""
_CLOSE_BELOW = 0.75
_HISTORY_FLAG = 0.1


def peierls_stress(
    engine: Engine,
    potential: Potential,
    lattice: LatticeResult,
    system: SlipSystem,
    settings: PeierlsStressSettings,
    *,
    seed: int = 0,
    workbench: Workbench | None = None,
    progress: Progress = silent,
) -> PeierlsStressResult:
    """Peierls stress of the edge dislocation of a slip system.

    Args:
        engine: who gives energies and forces.
        potential: the potential.
        lattice: its relaxed crystal.
        system: slip plane and direction.
        settings: cell, tolerances and search.
        seed: seed of the noise in the starting positions.
        workbench: where finished relaxations are kept so that an interrupted search resumes.
        progress: progress callback.

    Raises:
        ConvergenceError: no unloaded core relaxes.
        PropertyError: the core stays up to the largest stress of the settings.
    """
    cell = _dislocation_cell(lattice, system, settings)
    springs = fit_springs(engine, potential, lattice.crystal)
    with engine.open(potential, cell.atoms(potential.element)) as session:
        problem = DislocationProblem(session, cell, springs)
        loader = _Loader(problem, cell, settings, workbench or Workbench(None), progress)
        unloaded, start_energies = _relax_starts(loader, lattice, system, settings, seed)
        searches = [_search(loader, unloaded, direction, settings) for direction in settings.directions]
    layers = layered_crystal(lattice.crystal, system)
    symmetric = senses_are_equivalent(displacement_symmetry(lattice.crystal, layers, settings.cut))
    return _assemble(loader, system, searches, start_energies, symmetric=symmetric)


def _dislocation_cell(
    lattice: LatticeResult, system: SlipSystem, settings: PeierlsStressSettings, core_offset: float = 0.0
) -> DislocationCell:
    size = DislocationSize(
        burgers_vectors=settings.burgers_vectors,
        height_angstrom=settings.height_angstrom,
        line_periods=settings.line_periods,
        rigid_thickness_angstrom=settings.rigid_block_cutoffs * lattice.cutoff_angstrom,
    )
    return edge_dislocation(layered_crystal(lattice.crystal, system), size, settings.cut, core_offset)


@dataclass(frozen=True)
class _State:
    """One relaxation under load."""

    stress_mpa: float
    coordinates: FloatArray
    core_angstrom: float
    outcome: str
    largest_force: float
    energy_ev: float
    evaluations: int


@dataclass
class _Loader:
    """Relaxes the cell under a stress; finished relaxations are kept on the workbench."""

    problem: DislocationProblem
    cell: DislocationCell
    settings: PeierlsStressSettings
    workbench: Workbench
    progress: Progress
    tracker: CoreTracker = field(init=False)
    force_tolerance: float = field(init=False)
    evaluations: int = 0

    def __post_init__(self) -> None:
        self.tracker = core_tracker(self.cell)
        self.force_tolerance = self.settings.force_tolerance_ev_per_angstrom

    def relax(self, name: str, stress_mpa: float, start: FloatArray, origin_angstrom: float | None) -> _State:
        """Relax under a stress; ``origin_angstrom`` is the core position from which gliding is counted."""
        state = self._kept(name, stress_mpa)
        if state is None:
            state = self._relax(stress_mpa, start, origin_angstrom)
            self._keep(name, state)
        self.evaluations += state.evaluations
        if state.outcome == _STABLE and state.largest_force > self.force_tolerance:
            self.force_tolerance = 2 * state.largest_force
        self.progress(f"Peierls stress, {name}", self.evaluations, 0)
        return state

    @property
    def resolution_mpa(self) -> float:
        """Stress at which the Peach-Koehler force on one line period equals the force tolerance."""
        line = float(self.cell.cell_angstrom[1, 1]) / self.settings.line_periods
        return self.force_tolerance / (self.cell.burgers_vector_angstrom * line) * EV_PER_A3_TO_MPA

    def core(self, state: _State) -> CoreResult:
        return self.tracker.core(self.problem.positions(state.coordinates), state.core_angstrom)

    def _relax(self, stress_mpa: float, start: FloatArray, origin: float | None) -> _State:
        glide = _GlideMonitor(self, origin)
        minimiser = Minimiser(
            tolerance=self.force_tolerance,
            max_evaluations=self.settings.max_evaluations,
            largest_move=_LARGEST_MOVE_ANGSTROM,
            precondition=self.problem.precondition,
            monitor=glide,
        )
        self.problem.start_afresh()  # a resumed search repeats the uninterrupted one bit by bit
        minimum = minimiser.minimise(lambda q: self.problem.energy_and_gradient(q, stress_mpa), start)
        core = glide.locate(minimum.coordinates)
        return _State(
            stress_mpa=stress_mpa,
            coordinates=minimum.coordinates,
            core_angstrom=core,
            outcome=self._outcome(minimum, core, origin),
            largest_force=minimum.largest_gradient,
            energy_ev=minimum.energy_ev + self.problem.work_ev(minimum.coordinates, stress_mpa),
            evaluations=minimum.evaluations,
        )

    def _outcome(self, minimum: Minimum, core: float, origin: float | None) -> str:
        """What a relaxation says.

        An unloaded core that stops short of the tolerance, because kinks of the potential keep it from vanishing
        forces, still is an equilibrium within the larger tolerance that the settings accept; `relax` then raises the
        tolerance, and with it the resolution that the result states. Under load nothing of the kind is accepted: a
        core that creeps over the top of its barrier has small forces for hundreds of evaluations, and would pass for
        stable a few per cent above the stress at which it starts to move.
        """
        if minimum.ending is Ending.INTERRUPTED:
            return _GLIDES
        small_enough = 2 * minimum.largest_gradient <= self.settings.accepted_force_ev_per_angstrom
        if not (minimum.converged or (origin is None and small_enough)):
            return _UNCONVERGED
        glided = origin is not None and abs(core - origin) >= self.cell.burgers_vector_angstrom
        return _GLIDES if glided else _STABLE

    def _kept(self, name: str, stress_mpa: float) -> _State | None:
        entry = self.workbench.get(name)
        if entry is None or float(entry["stress_mpa"]) != stress_mpa:
            return None
        return _State(
            stress_mpa=stress_mpa,
            coordinates=np.asarray(entry["coordinates"], dtype=float),
            core_angstrom=float(entry["core_angstrom"]),
            outcome=str(entry["outcome"]),
            largest_force=float(entry["largest_force"]),
            energy_ev=float(entry["energy_ev"]),
            evaluations=int(entry["evaluations"]),
        )

    def _keep(self, name: str, state: _State) -> None:
        fields = {key: np.asarray(value) for key, value in vars(state).items()}
        self.workbench.put(name, **fields)


class _GlideMonitor:
    """Stops a relaxation as soon as the core has glided by one Burgers vector."""

    def __init__(self, loader: _Loader, origin_angstrom: float | None) -> None:
        self._loader = loader
        self._origin = origin_angstrom
        self._last = origin_angstrom if origin_angstrom is not None else loader.cell.start_angstrom

    def __call__(self, coordinates: FloatArray, gradient: FloatArray, evaluations: int) -> bool:
        del gradient
        core = self.locate(coordinates)
        if evaluations % 20 == 1:
            self._loader.progress("relaxation", evaluations, 0)
        return self._origin is not None and abs(core - self._origin) >= self._loader.cell.burgers_vector_angstrom

    def locate(self, coordinates: FloatArray) -> float:
        self._last = self._loader.tracker.position(self._loader.problem.positions(coordinates), self._last)
        return self._last


def _relax_starts(
    loader: _Loader, lattice: LatticeResult, system: SlipSystem, settings: PeierlsStressSettings, seed: int
) -> tuple[_State, FloatArray]:
    """The unloaded core of lowest energy among the starts, and the energies of all that relaxed.

    Raises:
        ConvergenceError: none of them relaxes to what the settings accept.
    """
    generator = np.random.default_rng(seed)
    states = []
    for index, offset in enumerate(settings.start_positions):
        shifted = _dislocation_cell(lattice, system, settings, offset)
        start = _coordinates_of(loader, shifted)
        start[:-2] += settings.start_noise_angstrom * generator.uniform(-1.0, 1.0, len(start) - 2)
        states.append(loader.relax(f"start {index}", 0.0, start, None))
    relaxed = [state for state in states if state.outcome == _STABLE]
    if not relaxed:
        force = min(state.largest_force for state in states)
        raise ConvergenceError(
            f"the unloaded core does not relax: a force of {force:.1e} eV/Å is left",
            expected=f"at most half of peierls_stress.accepted_force_ev_per_angstrom = "
            f"{settings.accepted_force_ev_per_angstrom:g} eV/Å",
            next_step="the potential is not smooth or its core never settles: no Peierls stress can be given",
        )
    lowest = min(relaxed, key=lambda state: state.energy_ev)
    _refuse_lost_core(loader, lowest)
    return lowest, np.array([state.energy_ev - lowest.energy_ev for state in relaxed])


def _coordinates_of(loader: _Loader, cell: DislocationCell) -> FloatArray:
    """Generalised coordinates of another start of the same cell."""
    moves = (cell.positions_angstrom - loader.cell.positions_angstrom)[loader.cell.mobile]
    return np.append(moves.ravel(), [0.0, 0.0])


def _refuse_lost_core(loader: _Loader, state: _State) -> None:
    """A core that is as wide as half of the cell is no dislocation any more."""
    core = loader.core(state)
    length = loader.tracker.length_angstrom
    if core.width_angstrom > length / 2:
        raise PropertyError(
            f"the unloaded core spreads over {core.width_angstrom:.0f} of {length:.0f} Å",
            expected="a localised dislocation core",
            next_step="the stacking fault of this potential costs (almost) nothing; see its γ surface",
        )


@dataclass(frozen=True)
class _Search:
    direction: str
    states: tuple[_State, ...]
    curve: LoadingCurve
    unloaded: CoreResult
    at_peak: CoreResult


def _search(loader: _Loader, unloaded: _State, direction: str, settings: PeierlsStressSettings) -> _Search:
    """Load in one direction until the core glides, then bisect."""
    path = _LoadingPath(loader, unloaded, 1.0 if direction == "forward" else -1.0, direction)
    _load_until_glide(path, settings, loader.resolution_mpa)
    while path.interval > max(settings.bracket * path.unstable, loader.resolution_mpa):
        if path.try_stress((path.stable + path.unstable) / 2) == _UNCONVERGED:
            break  # neither stable nor not: the interval stays as wide as it is
    return _Search(
        direction,
        tuple(path.states),
        path.curve(direction),
        loader.core(unloaded),
        loader.core(path.equilibria[-1]),
    )


def _load_until_glide(path: _LoadingPath, settings: PeierlsStressSettings, resolution_mpa: float) -> None:
    """Raise the stress until the core glides.

    Raises:
        PropertyError: it still holds at the largest stress of the settings.
        ConvergenceError: several relaxations in a row end neither in an equilibrium nor in glide.
    """
    stress, in_a_row = max(settings.initial_stress_mpa, 2 * resolution_mpa), 0
    while (outcome := path.try_stress(stress)) != _GLIDES:
        in_a_row = in_a_row + 1 if outcome == _UNCONVERGED else 0
        if in_a_row >= _LARGEST_UNCONVERGED_ROW:
            raise ConvergenceError(
                f"{in_a_row} relaxations up to {stress:.3g} MPa end neither in an equilibrium nor in glide",
                expected="forces that vanish, or a core that glides by one Burgers vector",
                next_step="the potential is not smooth enough for a Peierls stress; see its γ surface and its source",
            )
        stress *= settings.growth
        if stress > settings.maximum_stress_mpa:
            raise PropertyError(
                f"the core still holds at {path.stable:.0f} MPa",
                expected=f"glide below peierls_stress.maximum_stress_mpa = {settings.maximum_stress_mpa:g}",
                next_step="raise the limit, or see whether the core has transformed",
            )


class _LoadingPath:
    """Equilibria found so far along one loading direction, and the interval that is left."""

    def __init__(self, loader: _Loader, unloaded: _State, sign: float, name: str) -> None:
        self._loader = loader
        self._sign = sign
        self._name = name
        self.unloaded = unloaded
        self.equilibria = [unloaded]
        self.states: list[_State] = []
        self.stable = 0.0
        self.unstable = np.inf
        self.jumps = 0
        self.before_jump_mpa: float | None = None

    @property
    def interval(self) -> float:
        """Width in MPa of the interval between stable and unstable."""
        return self.unstable - self.stable

    def try_stress(self, stress_mpa: float) -> str:
        """Relax at a stress magnitude; return the outcome."""
        signed = self._sign * stress_mpa
        name = f"{self._name} {len(self.states)}"
        start = extrapolate([(s.stress_mpa, s.coordinates) for s in self._smooth_tail()], signed)
        state = self._loader.relax(name, signed, start, self.unloaded.core_angstrom)
        self.states.append(state)
        if state.outcome == _STABLE:
            self._count_jump(state)
            self.equilibria.append(state)
            self.stable = stress_mpa
        elif state.outcome == _GLIDES:
            self.unstable = stress_mpa
        return state.outcome

    def curve(self, direction: str) -> LoadingCurve:
        """The record of the search."""
        problem, states, base = self._loader.problem, self.states, self.unloaded
        return LoadingCurve(
            direction=direction,
            peierls_mpa=(self.stable + self.unstable) / 2,
            stable_mpa=self.stable,
            unstable_mpa=self.unstable,
            stress_mpa=np.array([s.stress_mpa for s in states]),
            outcome=tuple(s.outcome for s in states),
            core_position_angstrom=np.array([s.core_angstrom - base.core_angstrom for s in states]),
            shear_strain=np.array(
                [problem.shear_strain(s.coordinates) - problem.shear_strain(base.coordinates) for s in states]
            ),
            largest_force_ev_per_angstrom=np.array([s.largest_force for s in states]),
            energy_ev=np.array([s.energy_ev - base.energy_ev for s in states]),
            evaluations=np.array([s.evaluations for s in states]),
            jumps=self.jumps,
            before_jump_mpa=self.before_jump_mpa,
        )

    def _count_jump(self, state: _State) -> None:
        moved = abs(state.core_angstrom - self.equilibria[-1].core_angstrom)
        if moved > _JUMP_IN_BURGERS * self._loader.cell.burgers_vector_angstrom:
            self.jumps += 1
            if self.before_jump_mpa is None:
                self.before_jump_mpa = self.stable

    def _smooth_tail(self) -> list[_State]:
        """The last equilibria, at most three, since the core last jumped."""
        tail = [self.equilibria[-1]]
        for earlier in reversed(self.equilibria[-3:-1]):
            moved = abs(earlier.core_angstrom - tail[0].core_angstrom)
            if moved > _JUMP_IN_BURGERS * self._loader.cell.burgers_vector_angstrom:
                break
            tail.insert(0, earlier)
        return tail


def extrapolate(known: list[tuple[float, FloatArray]], target: float) -> FloatArray:
    """Lagrange extrapolation of coordinates (n,) known at one to three parameters to another parameter."""
    result = np.zeros_like(known[0][1])
    for index, (parameter, coordinates) in enumerate(known):
        others = [p for position, (p, _) in enumerate(known) if position != index]
        weight = np.prod([(target - other) / (parameter - other) for other in others]) if others else 1.0
        result += weight * coordinates
    return result


def _assemble(
    loader: _Loader,
    system: SlipSystem,
    searches: list[_Search],
    start_energies: FloatArray,
    *,
    symmetric: bool,
) -> PeierlsStressResult:
    cell, settings, resolution_mpa = loader.cell, loader.settings, loader.resolution_mpa
    decisive = min(searches, key=lambda search: search.curve.peierls_mpa)
    values = [search.curve.peierls_mpa for search in searches]
    bracket = (decisive.curve.unstable_mpa - decisive.curve.stable_mpa) / 2
    difference = max(values) - min(values)
    # Between directions that the crystal distinguishes, the difference is physics and no error.
    history = max(difference if symmetric else 0.0, _jump_mpa(decisive.curve))
    upper_bound = decisive.curve.stable_mpa <= 2 * resolution_mpa
    value = max(decisive.curve.unstable_mpa, 2 * resolution_mpa) if upper_bound else decisive.curve.peierls_mpa
    return PeierlsStressResult(
        slip_system=system.name,
        label=system.label,
        character="edge",
        protocol="converged",
        cut=settings.cut,
        peierls_mpa=value,
        peierls_error_mpa=float(np.sqrt(bracket**2 + history**2 + resolution_mpa**2)),
        is_upper_bound=upper_bound,
        bracket_mpa=bracket,
        history_mpa=history,
        resolution_mpa=resolution_mpa,
        force_tolerance_ev_per_angstrom=loader.force_tolerance,
        atoms=len(cell.positions_angstrom),
        burgers_vectors=settings.burgers_vectors,
        length_angstrom=float(cell.cell_angstrom[0, 0]),
        height_angstrom=cell.height_angstrom,
        line_angstrom=float(cell.cell_angstrom[1, 1]),
        burgers_vector_angstrom=cell.burgers_vector_angstrom,
        starts_energy_ev=start_energies,
        core_unloaded=decisive.unloaded,
        core_at_peak=decisive.at_peak,
        curves=tuple(search.curve for search in searches),
        flags=(
            *_flags(searches, upper_bound, history, value, loader),
            *(("easier in one direction",) if not symmetric and difference > _HISTORY_FLAG * value else ()),
        ),
        evaluations=loader.evaluations,
    )


def _jump_mpa(curve: LoadingCurve) -> float:
    """Stress between the first jump of the core and its final glide, if the jump came close below it.

    Such a jump is a barrier passed: whether it counts as the onset of glide is a matter of definition, hence of the
    error. A jump at a much lower stress is a transformation of the core, which is flagged and no error.
    """
    if curve.before_jump_mpa is None or curve.before_jump_mpa < _CLOSE_BELOW * curve.peierls_mpa:
        return 0.0
    return curve.peierls_mpa - curve.before_jump_mpa


def _flags(
    searches: list[_Search], upper_bound: bool, history_mpa: float, value_mpa: float, loader: _Loader
) -> tuple[str, ...]:
    checks = {
        "upper bound": upper_bound,
        "not smooth": loader.force_tolerance > loader.settings.force_tolerance_ev_per_angstrom,
        "unconverged steps": any(_UNCONVERGED in search.curve.outcome for search in searches),
        "core rearranges under load": any(search.curve.jumps for search in searches),
        "depends on loading history": not upper_bound and history_mpa > _HISTORY_FLAG * value_mpa,
    }
    return tuple(name for name, holds in checks.items() if holds)
