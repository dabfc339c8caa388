"""Peierls stress by strain control: an independent check of the search by stress control.

The rigid block at the top is displaced along the Burgers vector and held there; everything else relaxes. Its reaction
is the stress, which rises with the displacement until the core glides and falls then. Nothing has to be decided about
what is stable under a load: the largest stress of an equilibrium is the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.crystals.dislocations import DislocationCell, DislocationSize, dislocation_cell
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.engines.protocol import Engine, FloatArray
from glideflow.errors import ConvergenceError, PropertyError
from glideflow.potentials.record import Potential
from glideflow.progress import Progress, silent
from glideflow.properties.core_position import CorePoint, CoreTracker, core_tracker
from glideflow.properties.dislocation_problem import DislocationProblem
from glideflow.properties.minimiser import Ending, Minimiser, Minimum
from glideflow.properties.peierls_strain_results import PeierlsStrainResult
from glideflow.properties.peierls_stress import extrapolate
from glideflow.properties.results import LatticeResult
from glideflow.properties.springs import fit_springs
from glideflow.units import EV_PER_A3_TO_MPA
from glideflow.workbench import Workbench

_FIRST_STRAIN = 2e-6
_LARGEST_MOVE_ANGSTROM = 0.15
_MOST_STEPS = 80
_HISTORY = 3
"""Equilibria from which the start of the next relaxation is extrapolated."""
_JUMP_IN_BURGERS = 0.25


def strain_controlled_peierls_stress(
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
) -> PeierlsStrainResult:
    """Largest resolved shear stress while a cell with a dislocation is sheared, before the core has glided.

    The displacement grows by ratios until the core glides; then intervals are halved wherever the stress may exceed the
    largest one by more than half of ``settings.bracket``.

    Args:
        engine: who gives energies and forces.
        potential: the potential.
        lattice: its relaxed crystal.
        system: slip plane and direction.
        settings: cell, tolerances, growth and bracket, as for the search by stress control; of its directions, the
            first is taken.
        character: ``edge`` or ``screw``.
        seed: seed of the noise in the starting positions.
        workbench: where finished relaxations are kept so that an interrupted search resumes.
        progress: progress callback.

    Raises:
        ConvergenceError: the unloaded core or a sheared one does not relax.
        PropertyError: the core does not glide below the largest stress of the settings.
    """
    layers = layered_crystal(lattice.crystal, system)
    cut = system.cut or settings.cut
    size = DislocationSize(
        burgers_vectors=settings.burgers_vectors,
        height_angstrom=settings.height_angstrom,
        line_periods=settings.line_periods,
        rigid_thickness_angstrom=settings.rigid_block_cutoffs * lattice.cutoff_angstrom,
    )
    cells = [dislocation_cell(layers, size, cut, offset, character=character) for offset in settings.start_positions]
    springs = fit_springs(engine, potential, lattice.crystal)
    with engine.open(potential, cells[0].atoms(potential.element)) as session:
        problem = DislocationProblem(session, cells[0], springs)
        held = _HeldCell(problem, cells[0], settings, workbench or Workbench(None), progress)
        path = _Path(held, _unloaded(held, cells, seed))
        path.load_until_glide()
        path.narrow()
    return _result(path, system, cut)


@dataclass(frozen=True)
class _State:
    """One relaxation at a displacement of the block, in Å relative to where it was built."""

    displacement: float
    coordinates: FloatArray
    stress_mpa: float
    core: CorePoint
    outcome: str
    largest_force: float
    energy_ev: float
    evaluations: int


_STABLE, _GLIDES, _UNCONVERGED = "stable", "glides", "unconverged"


@dataclass
class _HeldCell:
    """Relaxes the cell with its block held along the Burgers vector; finished relaxations are kept."""

    problem: DislocationProblem
    cell: DislocationCell
    settings: PeierlsStressSettings
    workbench: Workbench
    progress: Progress
    tracker: CoreTracker = field(init=False)
    evaluations: int = 0

    def __post_init__(self) -> None:
        self.tracker = core_tracker(self.cell)
        unit = np.zeros(self.problem.size)
        unit[self.held] = 1.0
        self._column = self.problem.precondition(unit)  # (n,) column of the approximate inverse Hessian

    @property
    def held(self) -> int:
        """Coordinate of the block along the Burgers vector."""
        return self.problem.size - self.problem.block_size

    @property
    def resolution_mpa(self) -> float:
        """Stress at which the Peach-Koehler force on one line period equals the force tolerance."""
        line = float(self.cell.cell_angstrom[1, 1]) / self.settings.line_periods
        force = self.settings.force_tolerance_ev_per_angstrom
        return force / (self.cell.burgers_vector_angstrom * line) * EV_PER_A3_TO_MPA

    def relax(self, name: str, starts: Sequence[FloatArray], origin: CorePoint | None, *, free: bool = False) -> _State:
        """Relax from the lowest of one or two starts.

        ``free`` lets the block go, ``origin`` is where gliding is counted from.
        """
        displacement = float(starts[0][self.held])
        state = self._kept(name, displacement)
        if state is None:
            state = self._relax(starts, origin, free=free)
            self._keep(name, displacement, state)
        self.evaluations += state.evaluations
        self.progress(f"strain control, {name}", self.evaluations, 0)
        return state

    def _relax(self, starts: Sequence[FloatArray], origin: CorePoint | None, *, free: bool) -> _State:
        last = [origin if origin is not None else CorePoint(self.cell.start_angstrom, 0.0)]

        def glided(coordinates: FloatArray, gradient: FloatArray, evaluations: int) -> bool:
            del gradient, evaluations
            last[0] = self.tracker.locate(self.problem.positions(coordinates), last[0].x_angstrom)
            return origin is not None and self.tracker.glided(last[0], origin)

        minimiser = Minimiser(
            tolerance=self.settings.force_tolerance_ev_per_angstrom,
            max_evaluations=self.settings.max_evaluations,
            largest_move=_LARGEST_MOVE_ANGSTROM,
            precondition=self.problem.precondition if free else self._precondition,
            monitor=glided,
        )
        self.problem.start_afresh()
        known = (starts[1], self._held(starts[1])[0]) if len(starts) > 1 else None
        minimum = minimiser.minimise(self._free if free else self._held, starts[0], known)
        glided(minimum.coordinates, minimum.gradient, 0)
        return _State(
            displacement=float(minimum.coordinates[self.held]),
            coordinates=minimum.coordinates,
            stress_mpa=self._stress_mpa(minimum.coordinates),
            core=last[0],
            outcome=_outcome(minimum),
            largest_force=minimum.largest_gradient,
            energy_ev=minimum.energy_ev,
            evaluations=minimum.evaluations + len(starts),
        )

    def _free(self, coordinates: FloatArray) -> tuple[float, FloatArray]:
        return self.problem.energy_and_gradient(coordinates, 0.0)

    def _held(self, coordinates: FloatArray) -> tuple[float, FloatArray]:
        energy, gradient = self.problem.energy_and_gradient(coordinates, 0.0)
        gradient[self.held] = 0.0
        return energy, gradient

    def _precondition(self, gradient: FloatArray) -> FloatArray:
        """Inverse of the approximate Hessian with the held coordinate left out.

        With P the whole inverse, c its column and h the held coordinate, it is P - c cᵀ / c_h (block inversion).
        """
        moved = self.problem.precondition(gradient)
        return np.asarray(moved - self._column * (moved[self.held] / self._column[self.held]))

    def _stress_mpa(self, coordinates: FloatArray) -> float:
        """Force that holds the block, over the area of the glide plane."""
        _, gradient = self.problem.energy_and_gradient(coordinates, 0.0)
        return float(gradient[self.held]) / self.cell.area_angstrom2 * EV_PER_A3_TO_MPA

    def _kept(self, name: str, displacement: float) -> _State | None:
        entry = self.workbench.get(name)
        if entry is None or float(entry["asked"]) != displacement:
            return None
        return _State(
            displacement=float(entry["displacement"]),
            coordinates=np.asarray(entry["coordinates"], dtype=float),
            stress_mpa=float(entry["stress_mpa"]),
            core=CorePoint(*(float(part) for part in np.asarray(entry["core"], dtype=float))),
            outcome=str(entry["outcome"]),
            largest_force=float(entry["largest_force"]),
            energy_ev=float(entry["energy_ev"]),
            evaluations=int(entry["evaluations"]),
        )

    def _keep(self, name: str, asked: float, state: _State) -> None:
        fields = {key: np.asarray(value) for key, value in vars(state).items()}
        self.workbench.put(name, asked=np.asarray(asked), **fields)


def _outcome(minimum: Minimum) -> str:
    if minimum.ending is Ending.INTERRUPTED:
        return _GLIDES
    return _STABLE if minimum.converged else _UNCONVERGED


def _unloaded(held: _HeldCell, cells: list[DislocationCell], seed: int) -> _State:
    """The core of lowest energy among the starts, the block free.

    Raises:
        ConvergenceError: none of them relaxes.
    """
    settings, generator = held.settings, np.random.default_rng(seed)
    states = []
    for index, cell in enumerate(cells):
        moves = (cell.positions_angstrom - cells[0].positions_angstrom)[cell.mobile].ravel()
        noise = settings.start_noise_angstrom * generator.uniform(-1.0, 1.0, len(moves))
        start = np.append(moves + noise, np.zeros(held.problem.block_size))
        states.append(held.relax(f"start {index}", [start], None, free=True))
    relaxed = [state for state in states if state.outcome == _STABLE]
    if not relaxed:
        force = min(state.largest_force for state in states)
        raise ConvergenceError(
            f"the unloaded core does not relax: a force of {force:.1e} eV/Å is left",
            expected=f"at most {settings.force_tolerance_ev_per_angstrom:g} eV/Å",
            next_step="raise peierls_stress.force_tolerance_ev_per_angstrom: the potential is not smooth",
        )
    return min(relaxed, key=lambda state: state.energy_ev)


class _Path:
    """Equilibria by displacement, and the smallest displacement at which the core glides."""

    def __init__(self, held: _HeldCell, unloaded: _State) -> None:
        self.held = held
        self.unloaded = unloaded
        self.sign = 1.0 if held.settings.directions[0] == "forward" else -1.0
        self.equilibria = [unloaded]  # ascending in displacement along the direction of loading
        self.glide = np.inf
        self.unconverged = False
        self.steps = 0

    @property
    def peak(self) -> int:
        """Index of the equilibrium with the largest stress."""
        return int(np.argmax([self.stress(state) for state in self.equilibria]))

    def shift(self, state: _State) -> float:
        """Displacement of the block in the direction of loading, relative to the unloaded cell."""
        return self.sign * (state.displacement - self.unloaded.displacement)

    def stress(self, state: _State) -> float:
        """Stress in the direction of loading."""
        return self.sign * state.stress_mpa

    def load_until_glide(self) -> None:
        """Displace the block by growing steps until the core glides.

        Raises:
            PropertyError: it still holds at the largest stress of the settings, or after very many steps.
        """
        settings = self.held.settings
        shift = _FIRST_STRAIN * self.held.cell.height_angstrom
        while not np.isfinite(self.glide):
            self._try(shift)
            shift *= settings.growth
            largest = self.stress(self.equilibria[self.peak])
            if largest > settings.maximum_stress_mpa or self.steps >= _MOST_STEPS:
                raise PropertyError(
                    f"the core has not glided at {largest:.0f} MPa",
                    expected=f"glide below peierls_stress.maximum_stress_mpa = {settings.maximum_stress_mpa:g}",
                    next_step="raise the limit, or see whether the core has transformed",
                )

    def narrow(self) -> None:
        """Halve the interval in which the stress may rise the highest, until none can exceed the largest by much.

        The core passes several equal barriers on the way of one Burgers vector where its valleys lie closer (bcc).
        """
        while self.steps < _MOST_STEPS and not self.unconverged:
            above, shift = max(self._possible_rises())
            if above <= self._wanted_mpa():
                break
            self._try(shift)

    def error_mpa(self) -> float:
        """What a displacement between the computed ones could add to the largest stress."""
        return max(0.0, max(self._possible_rises())[0])

    def _possible_rises(self) -> list[tuple[float, float]]:
        """For every interval how far the stress inside may rise above the largest, and its middle.

        From an equilibrium on, the stress rises at most with the slope of the unloaded cell, which the core has not
        softened yet, until it falls, be it at once.
        """
        ends = [*(self.shift(state) for state in self.equilibria), self.glide]
        first = self.equilibria[1] if len(self.equilibria) > 1 else self.equilibria[0]
        slope = self.stress(first) / ends[1] if len(self.equilibria) > 1 else 0.0
        largest = self.stress(self.equilibria[self.peak])
        return [
            (self.stress(state) + slope * (right - left) - largest, (left + right) / 2)
            for state, left, right in zip(self.equilibria, ends[:-1], ends[1:], strict=True)
        ]

    def _wanted_mpa(self) -> float:
        value = self.stress(self.equilibria[self.peak])
        return max(self.held.settings.bracket * value / 2, self.held.resolution_mpa)

    def _try(self, shift: float) -> None:
        """Relax at a displacement, from an extrapolation of the equilibria below it."""
        self.steps += 1
        below = [state for state in self.equilibria if self.shift(state) < shift]
        displacement = self.unloaded.displacement + self.sign * shift
        state = self.held.relax(f"step {self.steps}", self._starts(below, displacement), self.unloaded.core)
        if state.outcome == _STABLE:
            self.equilibria = sorted([*self.equilibria, state], key=self.shift)
        elif state.outcome == _GLIDES:
            self.glide = min(self.glide, shift)
        else:
            self.unconverged = True
            self._refuse_unconverged(state)

    def _starts(self, below: list[_State], displacement: float) -> list[FloatArray]:
        """Where to start at a displacement: where the last equilibria below it lead, and the last one itself, sheared.

        An extrapolation of a branch that bends can lie anywhere: it has to be near, and the relaxation takes the lower
        one of the two.
        """
        path = self._smooth(below)[-_HISTORY:]
        sheared = self._sheared(path[-1], displacement)
        if len(path) == 1:
            return [sheared]
        further = extrapolate([(state.displacement, state.coordinates) for state in path], displacement)
        further[self.held.held] = displacement
        core = self.held.tracker.locate(self.held.problem.positions(further), path[-1].core.x_angstrom)
        return [sheared] if self._jumped(path[-1].core, core) else [further, sheared]

    def _jumped(self, first: CorePoint, second: CorePoint) -> bool:
        moved = abs(first.x_angstrom - second.x_angstrom)
        return moved > _JUMP_IN_BURGERS * self.held.cell.burgers_vector_angstrom

    def _refuse_unconverged(self, state: _State) -> None:
        if not np.isfinite(self.glide):
            raise ConvergenceError(
                f"a sheared core neither relaxes nor glides: a force of {state.largest_force:.1e} eV/Å is left",
                expected=f"at most {self.held.settings.force_tolerance_ev_per_angstrom:g} eV/Å",
                next_step="raise peierls_stress.force_tolerance_ev_per_angstrom: the potential is not smooth",
            )

    def _smooth(self, states: list[_State]) -> list[_State]:
        """The last of the states since the core has jumped."""
        tail = states[-1:]
        for earlier in reversed(states[:-1]):
            if self._jumped(earlier.core, tail[0].core):
                break
            tail.insert(0, earlier)
        return tail

    def _sheared(self, state: _State, displacement: float) -> FloatArray:
        """An equilibrium with everything between the blocks sheared along."""
        cell = self.held.cell
        height = cell.lattice_positions_angstrom[:, 2]
        lowest, highest = height[cell.bottom].max(), height[cell.top].min()
        share = (height[cell.mobile] - lowest) / (highest - lowest)
        start = state.coordinates.copy()
        start[: self.held.held].reshape(-1, 3)[:, cell.slip_axis] += (displacement - state.displacement) * share
        start[self.held.held] = displacement
        return start


def _result(path: _Path, system: SlipSystem, cut: str) -> PeierlsStrainResult:
    held, settings, cell = path.held, path.held.settings, path.held.cell
    peak = path.equilibria[path.peak]
    return PeierlsStrainResult(
        slip_system=system.name,
        label=system.label,
        character=cell.character,
        cut=cut,
        direction=settings.directions[0],
        peierls_mpa=path.stress(peak),
        peierls_error_mpa=float(np.hypot(path.error_mpa(), held.resolution_mpa)),
        resolution_mpa=held.resolution_mpa,
        force_tolerance_ev_per_angstrom=settings.force_tolerance_ev_per_angstrom,
        atoms=len(cell.positions_angstrom),
        burgers_vectors=settings.burgers_vectors,
        length_angstrom=float(cell.cell_angstrom[0, 0]),
        height_angstrom=cell.height_angstrom,
        shear_strain=np.array([path.shift(state) for state in path.equilibria]) / cell.height_angstrom,
        stress_mpa=np.array([path.stress(state) for state in path.equilibria]),
        core_position_angstrom=np.array([s.core.x_angstrom - path.unloaded.core.x_angstrom for s in path.equilibria]),
        glide_strain=float(path.glide) / cell.height_angstrom,
        flags=("unconverged steps",) if path.unconverged else (),
        evaluations=held.evaluations,
    )
