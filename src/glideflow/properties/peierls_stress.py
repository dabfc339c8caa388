"""Peierls stress of a straight edge or screw dislocation by stress control.

The resolved shear stress on the rigid top block is raised in growing steps, each started from an extrapolation of
the equilibria before it. A relaxation ends when the forces vanish (the stress is stable) or as soon as the core has
glided, by one Burgers vector (edge) or into the next Peierls valley (screw): it is not. The interval between the two
is then bisected. Unlike straining in fixed small steps with an energy criterion, nothing here depends on the step or
on when a minimiser gives up: a relaxation that does neither is recorded as unconverged and counts as no evidence of
stability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.crystals.dislocations import DislocationCell, DislocationSize, dislocation_cell
from glideflow.crystals.layers import LayeredCrystal, layered_crystal
from glideflow.crystals.slip_systems import SlipSystem, nearest_plane
from glideflow.crystals.symmetry import displacement_symmetry, senses_are_equivalent
from glideflow.engines.protocol import Engine, FloatArray
from glideflow.errors import ConvergenceError, PropertyError
from glideflow.potentials.record import Potential
from glideflow.progress import Progress, silent
from glideflow.properties.core_position import CorePoint, CoreTracker, core_tracker, dissociation
from glideflow.properties.dislocation_problem import DislocationProblem
from glideflow.properties.fold import fold_stress
from glideflow.properties.minimiser import Ending, Minimiser, Minimum
from glideflow.properties.results import CoreJump, CoreResult, LatticeResult, LoadingCurve, PeierlsStressResult
from glideflow.properties.springs import fit_springs
from glideflow.units import EV_PER_A3_TO_MPA
from glideflow.workbench import Workbench

_STABLE, _GLIDES, _UNCONVERGED, _VOID = "stable", "glides", "unconverged", "void"
_LARGEST_UNCONVERGED_ROW = 8
_LARGEST_MOVE_ANGSTROM = 0.15
_JUMP_IN_BURGERS = 0.25
"""A core that moves farther than this between two equilibria has jumped."""
_FOLD_EQUILIBRIA = 4
"""Equilibria from which the end of their branch is extrapolated."""
_BESIDE_FOLD = 0.4
"""Distance of the next stress from the extrapolated end of the branch, in wanted intervals."""
_VISIBLE_IN_VALLEYS = 0.1
_NEAR_FOLD = 4.0
"""Distance from the extrapolated end, in wanted intervals, within which it is trusted."""
_ROOM_IN_INTERVAL = 0.3
_FROM_STABLE = 0.35
"""Where an interval is split of which nothing else is known."""
_LARGEST_ADVICE = 12
"""Stresses chosen by the extrapolated end of one branch; a branch that needs more is not seen right."""
_REPEATED_EQUILIBRIA = 3
_BEYOND_BRACKET = (4.0, 16.0)
"""How far above the interval found in one direction the other one is tried, in widths of it."""
_CLOSE_BELOW = 0.75
_HISTORY_FLAG = 0.1


def peierls_stress(
    engine: Engine,
    potential: Potential,
    lattice: LatticeResult,
    system: SlipSystem,
    settings: PeierlsStressSettings,
    *,
    character: str = "edge",
    seed: int = 0,
    workbench: Workbench | None = None,
    progress: Progress = silent,
) -> PeierlsStressResult:
    """Peierls stress of a straight dislocation of a slip system.

    Args:
        engine: who gives energies and forces.
        potential: the potential.
        lattice: its relaxed crystal.
        system: slip plane and direction.
        settings: cell, tolerances and search; the cut of the slip system, if it has one, comes first.
        character: ``edge`` or ``screw``.
        seed: seed of the noise in the starting positions.
        workbench: where finished relaxations are kept so that an interrupted search resumes.
        progress: progress callback.

    Raises:
        ConvergenceError: no unloaded core relaxes, or none under load.
        PropertyError: the core stays up to the largest stress of the settings.
    """
    layers = layered_crystal(lattice.crystal, system)
    build = _Builder(layers, lattice, settings, system.cut or settings.cut, character)
    cell = build.cell()
    springs = fit_springs(engine, potential, lattice.crystal)
    with engine.open(potential, cell.atoms(potential.element)) as session:
        problem = DislocationProblem(session, cell, springs)
        loader = _Loader(problem, cell, settings, workbench or Workbench(None), progress)
        unloaded, starts = _relax_starts(loader, build, seed)
        searches, held = _search_as_fine_as_possible(loader, unloaded, settings)
    symmetric = senses_are_equivalent(displacement_symmetry(lattice.crystal, layers, build.cut))
    result = _assemble(loader, build, system, searches, starts, symmetric=symmetric)
    return replace(result, flags=(*result.flags, *held))


@dataclass(frozen=True)
class _Builder:
    """Makes the cell, with the core where it is wanted."""

    layers: LayeredCrystal
    lattice: LatticeResult
    settings: PeierlsStressSettings
    cut: str
    character: str

    def cell(self, core_offset: float = 0.0) -> DislocationCell:
        size = DislocationSize(
            burgers_vectors=self.settings.burgers_vectors,
            height_angstrom=self.settings.height_angstrom,
            line_periods=self.settings.line_periods,
            rigid_thickness_angstrom=self.settings.rigid_block_cutoffs * self.lattice.cutoff_angstrom,
        )
        # In pairs of valleys for a screw: a quarter takes it from one valley to halfway to the next.
        offset = 2 * core_offset if self.character == "screw" else core_offset
        return dislocation_cell(self.layers, size, self.cut, offset, character=self.character)


@dataclass(frozen=True)
class _State:
    """One relaxation under load."""

    stress_mpa: float
    coordinates: FloatArray
    core_angstrom: float
    core_height_angstrom: float
    outcome: str
    largest_force: float
    energy_ev: float
    evaluations: int

    @property
    def core(self) -> CorePoint:
        return CorePoint(self.core_angstrom, self.core_height_angstrom)


_Branch = Sequence[tuple[float, FloatArray]]
"""Stresses in MPa and coordinates of equilibria, from one to the next without a jump of the core."""


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
    attempt: str = ""
    evaluations: int = 0

    def __post_init__(self) -> None:
        self.tracker = core_tracker(self.cell)
        self.force_tolerance = self.settings.force_tolerance_ev_per_angstrom

    def coarsen(self) -> bool:
        """Go on with ten times the force tolerance, as far as the settings accept it; say whether they accept more."""
        accepted = self.settings.accepted_force_ev_per_angstrom
        if self.force_tolerance >= accepted:
            return False
        self.force_tolerance = min(10 * self.force_tolerance, accepted)
        self.attempt = f" within {self.force_tolerance:.1e} eV/Å"
        return True

    def relax_start(self, name: str, start: FloatArray) -> _State:
        """Relax an unloaded core."""
        return self._remembered(name, 0.0, lambda: self._relax(0.0, start, None, ()))

    def relax_further(
        self, name: str, stress_mpa: float, path: Sequence[_State], origin: CorePoint, *, straight: bool
    ) -> _State:
        """Relax under a stress, from where the last equilibria lead.

        Args:
            name: of the relaxation.
            stress_mpa: the stress.
            path: equilibria from one to the next without a jump of the core, the last one last.
            origin: core position from which gliding is counted.
            straight: whether the minimiser may learn from them how the cell responds to the load.
        """
        return self._remembered(name, stress_mpa, lambda: self._relax_further(stress_mpa, path, origin, straight))

    def _remembered(self, name: str, stress_mpa: float, compute: Callable[[], _State]) -> _State:
        name += self.attempt
        state = self._kept(name, stress_mpa)
        if state is None:
            state = compute()
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

    def _relax_further(self, stress_mpa: float, path: Sequence[_State], origin: CorePoint, straight: bool) -> _State:
        """Relax from an extrapolation, or from the last equilibrium where that says nothing.

        A branch that bends, or has torn by less than what counts as a jump, leads anywhere: to a core that has glided,
        or to atoms on top of each other. What comes of such a start says nothing of the load. So the core may not move
        far on the way, and the start may not lie higher than the last equilibrium does under the same load.
        """
        last = path[-1]
        branch = [(state.stress_mpa, state.coordinates) for state in path]
        start = extrapolate(branch, stress_mpa)
        core = self.tracker.locate(self.problem.positions(start), last.core_angstrom)
        if self.jumped(last.core, core):
            return self._relax(stress_mpa, last.coordinates, origin, ())
        known = (last.coordinates, last.energy_ev - self.problem.work_ev(last.coordinates, stress_mpa))
        return self._relax(stress_mpa, start, origin, branch if straight else (), known)

    def jumped(self, first: CorePoint, second: CorePoint) -> bool:
        """Whether two points are too far apart for a core to have moved from one to the other smoothly."""
        moved = float(np.hypot(*np.subtract(first, second)))
        return moved > _JUMP_IN_BURGERS * self.cell.burgers_vector_angstrom

    def _relax(
        self,
        stress_mpa: float,
        start: FloatArray,
        origin: CorePoint | None,
        branch: _Branch,
        known: tuple[FloatArray, float] | None = None,
    ) -> _State:
        glide = _GlideMonitor(self, origin)
        minimiser = Minimiser(
            tolerance=self.force_tolerance,
            max_evaluations=self.settings.max_evaluations,
            largest_move=_LARGEST_MOVE_ANGSTROM,
            precondition=self.problem.precondition,
            pairs=self.problem.responses(branch),
            monitor=glide,
        )
        self.problem.start_afresh()  # a resumed search repeats the uninterrupted one bit by bit
        minimum = minimiser.minimise(lambda q: self.problem.energy_and_gradient(q, stress_mpa), start, known)
        core = glide.locate(minimum.coordinates)
        return _State(
            stress_mpa=stress_mpa,
            coordinates=minimum.coordinates,
            core_angstrom=core.x_angstrom,
            core_height_angstrom=core.z_angstrom,
            outcome=self._outcome(minimum, core, origin),
            largest_force=minimum.largest_gradient,
            energy_ev=minimum.energy_ev + self.problem.work_ev(minimum.coordinates, stress_mpa),
            evaluations=minimum.evaluations,
        )

    def _outcome(self, minimum: Minimum, core: CorePoint, origin: CorePoint | None) -> str:
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
        glided = origin is not None and self.tracker.glided(core, origin)
        return _GLIDES if glided else _STABLE

    def _kept(self, name: str, stress_mpa: float) -> _State | None:
        entry = self.workbench.get(name)
        if entry is None or float(entry["stress_mpa"]) != stress_mpa:
            return None
        return _State(
            stress_mpa=stress_mpa,
            coordinates=np.asarray(entry["coordinates"], dtype=float),
            core_angstrom=float(entry["core_angstrom"]),
            core_height_angstrom=float(entry["core_height_angstrom"]),
            outcome=str(entry["outcome"]),
            largest_force=float(entry["largest_force"]),
            energy_ev=float(entry["energy_ev"]),
            evaluations=int(entry["evaluations"]),
        )

    def _keep(self, name: str, state: _State) -> None:
        fields = {key: np.asarray(value) for key, value in vars(state).items()}
        self.workbench.put(name, **fields)


class _GlideMonitor:
    """Stops a relaxation as soon as the core has glided."""

    def __init__(self, loader: _Loader, origin: CorePoint | None) -> None:
        self._loader = loader
        self._origin = origin
        self._last = origin if origin is not None else CorePoint(loader.cell.start_angstrom, 0.0)

    def __call__(self, coordinates: FloatArray, gradient: FloatArray, evaluations: int) -> bool:
        del gradient
        core = self.locate(coordinates)
        if evaluations % 20 == 1:
            self._loader.progress("relaxation", evaluations, 0)
        return self._origin is not None and self._loader.tracker.glided(core, self._origin)

    def locate(self, coordinates: FloatArray) -> CorePoint:
        positions = self._loader.problem.positions(coordinates)
        self._last = self._loader.tracker.locate(positions, self._last.x_angstrom)
        return self._last


def _relax_starts(loader: _Loader, build: _Builder, seed: int) -> tuple[_State, list[_State]]:
    """The unloaded core of lowest energy among the starts, and all that relaxed.

    Raises:
        ConvergenceError: none of them relaxes to what the settings accept.
    """
    settings, generator = loader.settings, np.random.default_rng(seed)
    states = []
    for index, offset in enumerate(settings.start_positions):
        start, block = _coordinates_of(loader, build.cell(offset)), loader.problem.block_size
        start[:-block] += settings.start_noise_angstrom * generator.uniform(-1.0, 1.0, len(start) - block)
        states.append(loader.relax_start(f"start {index}", start))
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
    return lowest, relaxed


def _coordinates_of(loader: _Loader, cell: DislocationCell) -> FloatArray:
    """Generalised coordinates of another start of the same cell."""
    moves = (cell.positions_angstrom - loader.cell.positions_angstrom)[loader.cell.mobile]
    return np.append(moves.ravel(), np.zeros(loader.problem.block_size))


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


class _HoldsError(PropertyError):
    """The core holds up to the largest stress of the settings in one direction."""


@dataclass(frozen=True)
class _Search:
    direction: str
    states: tuple[_State, ...]
    curve: LoadingCurve
    unloaded: CoreResult
    at_peak: CoreResult


def _search_as_fine_as_possible(
    loader: _Loader, unloaded: _State, settings: PeierlsStressSettings
) -> tuple[list[_Search], tuple[str, ...]]:
    """The searches at the force tolerance of the settings, or at the smallest at which relaxations under load end.

    Tables with kinks (the embedding functions of Zhou et al. 2004 have two each) may let the unloaded core settle, and
    no core under load. The tolerance then is ten times as large, as far as the settings accept it; the resolution, and
    with it the error, grows in proportion, and the result is flagged as not smooth.

    Raises:
        ConvergenceError: relaxations do not end within the largest force that is accepted either.
    """
    while True:
        try:
            return _search_all(loader, unloaded, settings)
        except ConvergenceError:
            if not loader.coarsen():
                raise


def _search_all(
    loader: _Loader, unloaded: _State, settings: PeierlsStressSettings
) -> tuple[list[_Search], tuple[str, ...]]:
    """The search in each direction in which the core glides, and a flag if it holds in another one.

    Raises:
        PropertyError: it glides in none.
    """
    searches: list[_Search] = []
    held = {}
    for direction in settings.directions:
        try:
            expected_mpa = _expected(searches[-1].curve) if searches else ()
            searches.append(_search(loader, unloaded, direction, settings, expected_mpa))
        except _HoldsError as error:
            held[direction] = error
    if not searches:
        first = held[settings.directions[0]]
        raise PropertyError(first.found, expected=first.expected, next_step=first.next_step)
    return searches, ("glides in one direction only",) if held else ()


def _search(
    loader: _Loader, unloaded: _State, direction: str, settings: PeierlsStressSettings, expected_mpa: tuple[float, ...]
) -> _Search:
    """Load in one direction until the core glides, then narrow the interval down.

    Stresses at which the core is expected to hold or to glide are tried on the way: where loading in another direction
    has found just these, nothing is left to be narrowed down.
    """
    path = _LoadingPath(loader, unloaded, 1.0 if direction == "forward" else -1.0, direction)
    stress = min([max(settings.initial_stress_mpa, 2 * loader.resolution_mpa), *expected_mpa])
    while np.isfinite(stress):
        _load_until_glide(path, settings, stress, expected_mpa)
        stress = _narrow(path, settings, loader.resolution_mpa)
    return _Search(
        direction,
        tuple(path.states),
        path.curve(direction),
        loader.core(unloaded),
        loader.core(path.equilibria[-1]),
    )


def _expected(curve: LoadingCurve) -> tuple[float, ...]:
    """Stresses to try in another direction: the last equilibria of this one, where it glided, and a little beyond."""
    stresses = zip(np.abs(curve.stress_mpa).tolist(), curve.outcome, strict=True)
    stable = sorted({stress for stress, outcome in stresses if outcome == _STABLE and stress <= curve.stable_mpa})
    width = curve.unstable_mpa - curve.stable_mpa
    beyond = (curve.unstable_mpa + share * width for share in _BEYOND_BRACKET)
    return (*stable[-_REPEATED_EQUILIBRIA:], curve.unstable_mpa, *beyond)


def _narrow(path: _LoadingPath, settings: PeierlsStressSettings, resolution_mpa: float) -> float:
    """Narrow the interval down to what is wanted; return the stress from which to load on, infinite if there is none.

    A core that jumps to another equilibrium inside the interval has left the branch from which it was seen to glide,
    and may well stay at that stress: nothing is known above the jump, and loading goes on from there.
    """
    while path.interval > (wanted := max(settings.bracket * path.unstable, resolution_mpa)):
        unstable, jumps = path.unstable, len(path.jumps)
        if path.try_stress(path.next_stress(np.inf, wanted)) == _UNCONVERGED:
            break  # neither stable nor not: the interval stays as wide as it is
        if len(path.jumps) > jumps:
            path.forget_glide()
            return unstable
    return np.inf


def _load_until_glide(
    path: _LoadingPath, settings: PeierlsStressSettings, stress: float, expected_mpa: tuple[float, ...]
) -> None:
    """Raise the stress until the core glides, passing over none of those expected.

    Raises:
        PropertyError: it still holds at the largest stress of the settings.
        ConvergenceError: several relaxations in a row end neither in an equilibrium nor in glide.
    """
    in_a_row = 0
    while (outcome := path.try_stress(stress)) != _GLIDES:
        in_a_row = in_a_row + 1 if outcome == _UNCONVERGED else 0
        if in_a_row >= _LARGEST_UNCONVERGED_ROW:
            raise ConvergenceError(
                f"{in_a_row} relaxations up to {stress:.3g} MPa end neither in an equilibrium nor in glide",
                expected="forces that vanish, or a core that glides by one Burgers vector",
                next_step="the potential is not smooth enough for a Peierls stress; see its γ surface and its source",
            )
        if stress >= settings.maximum_stress_mpa:
            raise _HoldsError(
                f"the core still holds at {path.stable:.0f} MPa",
                expected=f"glide below peierls_stress.maximum_stress_mpa = {settings.maximum_stress_mpa:g}",
                next_step="raise the limit, or see whether the core has transformed",
            )
        stress = _further(path, settings, stress, [each for each in expected_mpa if each > stress])


def _further(path: _LoadingPath, settings: PeierlsStressSettings, stress: float, expected_mpa: list[float]) -> float:
    """The stress after one at which the core has not glided."""
    highest = min([settings.growth * stress, settings.maximum_stress_mpa, *expected_mpa])
    if expected_mpa or path.stable < stress:  # the last relaxation did not converge
        return highest
    wanted = max(settings.bracket * stress, path.resolution_mpa)
    return min(highest, path.next_stress(settings.growth, wanted))


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
        self._advised = 0
        self.jumps: list[CoreJump] = []

    @property
    def resolution_mpa(self) -> float:
        """Resolution of the method in MPa."""
        return self._loader.resolution_mpa

    @property
    def interval(self) -> float:
        """Width in MPa of the interval between stable and unstable."""
        return self.unstable - self.stable

    def next_stress(self, growth: float, wanted_mpa: float) -> float:
        """Stress that should narrow the interval most at the least cost; at most the last stable one times the growth.

        A relaxation that ends in glide takes several times the evaluations of one that ends in an equilibrium, so the
        end of the branch as the last equilibria see it is approached from below: from afar, where it is seen too high,
        by half of the way, then to just below it, and once to just above. Where they do not say, or have been wrong
        too often, the interval is split nearer to its stable end, or the stress grows.
        """
        highest = min(self.unstable, growth * self.stable)
        fold = self._fold_mpa() if np.isfinite(self.unstable) or self._has_moved() else None
        if fold is None or fold >= highest or self._advised >= _LARGEST_ADVICE:
            return highest if highest < self.unstable else self.stable + _FROM_STABLE * self.interval
        self._advised += 1
        rest, beside = fold - self.stable, _BESIDE_FOLD * wanted_mpa
        if rest <= wanted_mpa and fold + beside < self.unstable:
            return fold + beside
        stress = fold - beside if rest < _NEAR_FOLD * wanted_mpa else self.stable + rest / 2
        return float(max(stress, self.stable + _ROOM_IN_INTERVAL * rest))

    def try_stress(self, stress_mpa: float) -> str:
        """Relax at a stress magnitude; return the outcome."""
        signed = self._sign * stress_mpa
        name = f"{self._name} {len(self.states)}"
        # Near its end a branch bends: what it says of the response would carry the core over the barrier.
        straight = not (self._has_moved() or np.isfinite(self.unstable))
        state = self._loader.relax_further(name, signed, self._smooth_tail(), self.unloaded.core, straight=straight)
        self.states.append(state)
        if state.outcome == _STABLE:
            self._note_jump(state)
            self.equilibria.append(state)
            self.stable = stress_mpa
        elif state.outcome == _GLIDES:
            self._advised = self._advised if np.isfinite(self.unstable) else 0
            self.unstable = stress_mpa
        return state.outcome

    def forget_glide(self) -> None:
        """Take back that the core glides at any stress tried so far: it has jumped, and starts from elsewhere now."""
        self.states = [replace(s, outcome=_VOID) if s.outcome == _GLIDES else s for s in self.states]
        self.unstable, self._advised = np.inf, 0

    def curve(self, direction: str) -> LoadingCurve:
        """The record of the search."""
        problem, states, base = self._loader.problem, self.states, self.unloaded
        fold = self._fold_mpa()
        return LoadingCurve(
            direction=direction,
            peierls_mpa=(self.stable + self.unstable) / 2 if fold is None else fold,
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
            jumps=len(self.jumps),
            before_jump_mpa=self.jumps[0].stable_mpa if self.jumps else None,
            estimate="middle" if fold is None else "fold",
            core_height_angstrom=np.array([s.core_height_angstrom - base.core_height_angstrom for s in states]),
            core_width_angstrom=np.array([self._loader.core(s).width_angstrom for s in states]),
            core_jumps=tuple(self.jumps),
            glide_angle_deg=self._glide_angle_deg(),
        )

    def _has_moved(self) -> bool:
        """Whether the core has moved far enough for its positions to say where the branch ends."""
        moved = abs(self.equilibria[-1].core_angstrom - self.unloaded.core_angstrom)
        return moved >= _VISIBLE_IN_VALLEYS * self._loader.cell.valley_angstrom

    def _fold_mpa(self) -> float | None:
        """Where the branch of the last equilibria ends, if they say so."""
        tail = self._smooth_tail(_FOLD_EQUILIBRIA)
        moved = np.array([self._sign * (state.core_angstrom - self.unloaded.core_angstrom) for state in tail])
        return fold_stress(moved, np.abs([state.stress_mpa for state in tail]), self.stable, self.unstable)

    def _glide_angle_deg(self) -> float | None:
        """Angle of a screw's way against the slip plane, from the glide at the lowest stress."""
        gliding = [state for state in self.states if state.outcome == _GLIDES]
        if self._loader.cell.character != "screw" or not gliding:
            return None
        way = np.subtract(min(gliding, key=lambda state: abs(state.stress_mpa)).core, self.unloaded.core)
        return float(np.degrees(np.arctan2(self._sign * way[1], self._sign * way[0])))

    def _note_jump(self, state: _State) -> None:
        last = self.equilibria[-1]
        if not self._loader.jumped(last.core, state.core):
            return
        before, after = self._loader.core(last), self._loader.core(state)
        self.jumps.append(
            CoreJump(
                stable_mpa=abs(last.stress_mpa),
                jumped_mpa=abs(state.stress_mpa),
                from_angstrom=last.core_angstrom - self.unloaded.core_angstrom,
                to_angstrom=state.core_angstrom - self.unloaded.core_angstrom,
                width_before_angstrom=before.width_angstrom,
                width_after_angstrom=after.width_angstrom,
                polarity_before=before.polarity,
                polarity_after=after.polarity,
            )
        )

    def _smooth_tail(self, most: int = 3) -> list[_State]:
        """The last equilibria, at most ``most``, since the core last jumped."""
        tail = [self.equilibria[-1]]
        for earlier in reversed(self.equilibria[-most:-1]):
            if self._loader.jumped(earlier.core, tail[0].core):
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
    build: _Builder,
    system: SlipSystem,
    searches: list[_Search],
    starts: list[_State],
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
    split = dissociation(decisive.unloaded, cell.burgers_vector_angstrom, loader.tracker.length_angstrom)
    lowest = min(state.energy_ev for state in starts)
    upper_bound = decisive.curve.stable_mpa <= 2 * resolution_mpa
    value = max(decisive.curve.unstable_mpa, 2 * resolution_mpa) if upper_bound else decisive.curve.peierls_mpa
    return PeierlsStressResult(
        slip_system=system.name,
        label=system.label,
        character=cell.character,
        protocol="converged",
        cut=build.cut,
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
        starts_energy_ev=np.array([state.energy_ev - lowest for state in starts]),
        core_unloaded=decisive.unloaded,
        core_at_peak=decisive.at_peak,
        curves=tuple(search.curve for search in searches),
        flags=(
            *_flags(searches, upper_bound, history, value, loader),
            *(("easier in one direction",) if not symmetric and difference > _HISTORY_FLAG * value else ()),
        ),
        evaluations=loader.evaluations,
        starts_width_angstrom=np.array([loader.core(state).width_angstrom for state in starts]),
        valley_angstrom=cell.valley_angstrom,
        partials_angstrom=split.partials_angstrom if split.is_split else None,
        partial_half_width_angstrom=split.half_width_angstrom if split.is_split else None,
        dissociation_angstrom=split.width_angstrom if split.is_split else None,
        glide_plane=_glide_plane(build, system, decisive.curve),
    )


def _glide_plane(build: _Builder, system: SlipSystem, curve: LoadingCurve) -> str:
    """Indices of the plane on which the core leaves: an edge has no choice."""
    if curve.glide_angle_deg is None:
        return system.label.partition("[")[0]
    angle = np.radians(curve.glide_angle_deg)
    # The screw's frame: its glide direction is -y of the slip system.
    normal = np.array([0.0, np.sin(angle), np.cos(angle)]) @ build.layers.frame.axes
    return nearest_plane(build.lattice.crystal, system, normal)


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
