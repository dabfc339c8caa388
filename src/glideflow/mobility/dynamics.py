"""A dislocation trajectory: molecular dynamics of a cell under stress, its lines extracted while it runs.

The time under stress is divided at checkpoints. At each of them LAMMPS is started anew from its restart file, also in a
simulation that nothing interrupts: one that was killed and goes on from there takes the same path to the last digit,
as far as the engine itself is deterministic (one thread or MPI ranks; not several OpenMP threads or GPUs).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np

from glideflow.config.engine import EngineSettings
from glideflow.config.mobility_dynamics import MobilityDynamicsSettings
from glideflow.crystals.lattices import FloatArray
from glideflow.engine_task import run_engine
from glideflow.engines.lammps import LammpsEngine
from glideflow.errors import ConfigurationError, NonFiniteError
from glideflow.exclusive import Holder, alone
from glideflow.isolation import Failure, Outcome
from glideflow.job_log import RESUMED, WAITING
from glideflow.mobility.cells import DislocationCell
from glideflow.mobility.extraction import (
    extract_lines,
    followed,
    in_order,
    refuse_non_finite,
    refuse_without_ovito,
    resampled,
)
from glideflow.mobility.molecular_dynamics import DynamicsSession, Snapshot, UnstableError
from glideflow.mobility.outcomes import Judgement, judge, judge_motion
from glideflow.mobility.trajectory import (
    LineFrame,
    MobilityScenario,
    Status,
    Trajectory,
    cell_sha256,
    joined,
    packed,
    refuse_conditions,
    summary_of_cell,
    unpacked,
    write_trajectory,
)
from glideflow.progress import Progress, silent
from glideflow.records import StageFailure, provenance_of, summary_of
from glideflow.workbench import Workbench, request_key

if TYPE_CHECKING:
    from ase import Atoms

    from glideflow.potentials.record import Potential

_Entry = Mapping[str, Any]
"""What a workbench keeps of a leg: the arrays of its frames, rejected frames, how it ended."""

STAGE = "dislocation dynamics, fs"
_EXPANSION = "expansion"
_GO_ON = "run the same command again: with --work it goes on from the last checkpoint"
_BULK_SAMPLES = 20
"""Volumes that are averaged to a thermal expansion."""
_NOT_DECIDING = ("duration_ps", "startup_ps", "time_limit_s", "keep_atoms")
"""Settings that may change between an interrupted simulation and its continuation."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TrajectoryRequest:
    """What is to be simulated.

    Attributes:
        cell: the cell with its dislocations.
        potential: the potential, one that LAMMPS evaluates.
        scenario: stress, temperature, seed.
        settings: protocol of the simulation.
        engine: how LAMMPS runs: accelerator, threads, GPUs, MPI ranks, memory.
        work: folder of checkpoints, from which an interrupted simulation goes on; None keeps none.
        output: file of the trajectory, replaced at each checkpoint; None writes none.
    """

    cell: DislocationCell
    potential: Potential
    scenario: MobilityScenario
    settings: MobilityDynamicsSettings
    engine: EngineSettings
    work: Path | None = None
    output: Path | None = None

    @property
    def applied_stress_mpa(self) -> FloatArray:
        """(3, 3) stress under which the cell is kept."""
        return self.cell.shear_stress_mpa(self.scenario.stress_mpa)

    def atoms(self, scale: float = 1.0) -> Atoms:
        """Atoms of the cell, all lengths scaled."""
        atoms = self.cell.atoms()
        atoms.set_cell(atoms.cell * scale, scale_atoms=True)  # type: ignore[no-untyped-call]
        return atoms

    def key(self) -> str:
        """Digest of everything that decides the simulation but for its duration."""
        from importlib.metadata import version

        from glideflow.code_digest import code_digest

        return request_key(
            cell_sha256(self.cell),
            self.potential.content_sha256,
            [self.scenario.stress_mpa, self.scenario.temperature_k, self.scenario.seed],
            self.settings.model_dump(mode="json", exclude=set(_NOT_DECIDING)),
            self.engine.accelerator,
            version("lammps"),
            version("ovito"),
            code_digest("glideflow.mobility.dynamics"),
        )


def run_trajectory(request: TrajectoryRequest, progress: Progress = silent) -> Trajectory:
    """Simulate a trajectory in a child process, or go on with one that was interrupted.

    What ends dislocations before their time (annihilation, a loop that vanishes, lost atoms, ...) is the status of the
    trajectory, and so is a child that crashes or runs into its limits: the frames until its last checkpoint are kept,
    and the same call goes on from there.

    Args:
        request: what to simulate.
        progress: shown the simulated time.

    Raises:
        ConfigurationError: the request cannot be met.
        NonFiniteError: the cell has atoms that are nowhere.
        DependencyError: OVITO is not installed.
        TerminatedError: the child was ended from outside by SIGTERM.
        StorageError: the folder of checkpoints or the output cannot be written.
    """
    _refuse_impossible(request)
    refuse_without_ovito()
    with _work_folder(request) as work:
        placed = replace(request, work=work)
        with alone(work / f"trajectory-{request.key()[:16]}.lock", _waiting(progress)):
            outcome = _isolated(placed, progress)
            trajectory = outcome.value if not isinstance(outcome, Failure) else _failed(placed, outcome)
    if request.output is not None:
        write_trajectory(request.output, trajectory)
    return trajectory


def simulate(request: TrajectoryRequest, progress: Progress = silent) -> Trajectory:
    """Simulate a trajectory in this process; see `run_trajectory` for the safe way."""
    from glideflow.potentials.record import verify_files

    refuse_without_ovito()
    verify_files(request.potential)
    with closing(Workbench(request.work, request.key())) as workbench:
        return _Simulation(request, workbench, progress).run()


@dataclass(eq=False, kw_only=True)
class _Leg:
    """What the time between two checkpoints has given so far."""

    frames: list[LineFrame] = field(default_factory=list)
    rejected: list[tuple[float, Judgement]] = field(default_factory=list)
    ending: Judgement = field(default_factory=Judgement)

    def entry(self, restart_sha256: str) -> _Entry:
        """The leg as an entry of a workbench."""
        return packed(self.frames) | {
            "rejected_ps": np.array([time_ps for time_ps, _ in self.rejected], dtype=float),
            "rejected": np.array([why.reason for _, why in self.rejected], dtype=np.str_),
            "status": np.array(self.ending.status),
            "reason": np.array(self.ending.reason),
            "restart_sha256": np.array(restart_sha256),
        }


class _Simulation:
    """A simulation between its checkpoints; what it has reached lies in its workbench."""

    def __init__(self, request: TrajectoryRequest, workbench: Workbench, progress: Progress) -> None:
        self._request = request
        self._settings = request.settings
        self._workbench = workbench
        self._progress = progress
        self._legs = _sound_legs(request, workbench)
        frames = list(_frames(request, self._legs))
        self._first: LineFrame | None = frames[0] if frames else None
        self._last: LineFrame | None = frames[-1] if frames else None
        since = self._last.time_ps if self._last else -np.inf
        self._missed = sum(int(np.count_nonzero(leg["rejected_ps"] > since)) for leg in self._legs)
        if self._legs:
            progress(RESUMED, len(self._legs), 0.0)

    def run(self) -> Trajectory:
        """Go on to the end, checkpoint by checkpoint."""
        while _status(self._request, self._legs) == "running":
            self._keep(self._next_leg())
            if self._request.output is not None:
                write_trajectory(self._request.output, self._trajectory())
        return self._trajectory()

    def _trajectory(self) -> Trajectory:
        return _trajectory(self._request, self._workbench, self._legs)

    def _next_leg(self) -> _Leg:
        """Frames until the next checkpoint, whose restart file is then there; the first leg is time zero alone."""
        number, leg = len(self._legs), _Leg()
        try:
            with self._starting() if number == 0 else self._going_on(number) as session:
                self._simulate(session, number, leg)
                if not leg.ending.status:
                    self._checkpoint(session, number)
        except (UnstableError, NonFiniteError) as error:
            leg.ending = Judgement(status="lost_atoms", reason=error.found)
        return leg

    @contextmanager
    def _starting(self) -> Iterator[DynamicsSession]:
        """The cell as built: expanded, relaxed, warm, and strained as the stress would strain it, at time zero."""
        request, settings = self._request, self._settings
        temperature_k = request.scenario.temperature_k
        with self._session(request.atoms(self._expansion())) as session:
            session.minimise(settings.relaxation_steps)
            missing_mpa = request.applied_stress_mpa - request.cell.applied_stress_mpa
            strain = np.asarray(np.linalg.solve(session.shear_stiffness_mpa(), missing_mpa[:2, 2]), dtype=float)
            # Half of the kinetic energy of atoms at rest in their minimum becomes potential energy.
            session.create_velocities((2 if settings.relaxation_steps else 1) * temperature_k, request.scenario.seed)
            if request.cell.kind == "dipole":  # a loop without stress shrinks and vanishes within a picosecond
                self._equilibrate(session, temperature_k)
            session.shear(strain)
            session.reset_clock()
            yield session

    def _equilibrate(self, session: DynamicsSession, temperature_k: float) -> None:
        self._progress("equilibration at zero stress", 0.0, 0.0)
        session.keep_at(temperature_k, np.zeros((3, 3)))
        session.advance(round(self._settings.equilibration_ps / self._settings.timestep_ps))
        session.let_go()

    @contextmanager
    def _going_on(self, number: int) -> Iterator[DynamicsSession]:
        """The simulation at its last checkpoint."""
        request = self._request
        with self._session(request.atoms(), _restart_file(request, number - 1)) as session:
            session.keep_at(request.scenario.temperature_k, request.applied_stress_mpa)
            yield session

    def _simulate(self, session: DynamicsSession, number: int, leg: _Leg) -> None:
        for _ in range(self._settings.frames_per_checkpoint if number else 1):
            session.advance(self._settings.steps_per_frame if number else 0)
            self._look(session.snapshot(), leg)
            if leg.ending.status:
                return

    def _session(self, atoms: Atoms, restart: Path | None = None) -> DynamicsSession:
        return DynamicsSession(self._request.potential, atoms, self._request.engine, self._settings, restart)

    def _expansion(self) -> float:
        """Factor of the lattice constant at temperature, measured once and kept."""
        kept = self._workbench.get(_EXPANSION)
        if kept is None:
            self._progress("thermal expansion", 0.0, 0.0)
            self._workbench.put(_EXPANSION, factor=np.array(_thermal_expansion(self._request)))
            kept = self._workbench.get(_EXPANSION)
        return float(kept["factor"]) if kept else 1.0

    def _look(self, snapshot: Snapshot, leg: _Leg) -> None:
        """Extract the lines of this instant, or note why they are not those of a trajectory."""
        request, settings = self._request, self._settings
        time_ps = snapshot.step * settings.timestep_ps
        cell, burgers = snapshot.cell_angstrom, request.cell.burgers_angstrom
        found = extract_lines(
            snapshot.positions_angstrom, cell, structure=request.cell.structure, burgers_angstrom=burgers
        )
        judgement = judge(found, cell, burgers, request.cell.kind, settings)
        if judgement.status:
            self._missed += 1
            leg.rejected.append((time_ps, judgement))
            # Hot atoms may hide a line for a moment, but there is no trajectory without a first frame.
            leg.ending = judgement if self._first is None or self._missed >= settings.patience_frames else leg.ending
        else:
            frame = self._accept(time_ps, snapshot, judgement)
            leg.frames.append(frame)
            first = self._first or frame
            leg.ending = judge_motion(first.lines, frame.lines, request.cell.kind, settings)
        self._progress(STAGE, 1e3 * time_ps, 1e3 * settings.duration_ps)

    def _accept(self, time_ps: float, snapshot: Snapshot, judgement: Judgement) -> LineFrame:
        cell = snapshot.cell_angstrom
        lines = [resampled(line, cell, self._settings.node_spacing_angstrom) for line in judgement.lines]
        frame = LineFrame(
            time_ps=time_ps,
            cell_angstrom=cell,
            stress_mpa=snapshot.stress_mpa,
            temperature_k=snapshot.temperature_k,
            lines=followed(self._last.lines, lines, cell) if self._last else in_order(lines),
            debris_angstrom=judgement.debris_angstrom,
        )
        self._first, self._last, self._missed = self._first or frame, frame, 0
        return frame

    def _checkpoint(self, session: DynamicsSession, number: int) -> None:
        session.write_restart(_restart_file(self._request, number))
        if self._settings.keep_atoms and self._request.output is not None:
            time_ps = number * self._settings.checkpoint_interval_ps
            session.write_atoms(self._request.output.with_suffix(".atoms") / f"{time_ps:010.3f}ps.dump")

    def _keep(self, leg: _Leg) -> None:
        """Keep a leg. Its restart file is there before the entry that names it; two of them always are."""
        number = len(self._legs)
        digest = "" if leg.ending.status else _sha256(_restart_file(self._request, number))
        entry = leg.entry(digest)
        self._workbench.put(_leg_name(number), **entry)
        self._workbench.sync()
        self._legs.append(entry)
        if number >= 2:
            _restart_file(self._request, number - 2).unlink(missing_ok=True)


def _thermal_expansion(request: TrajectoryRequest) -> float:
    """Lattice constant at temperature and zero stress over that of the cell, of a perfect crystal."""
    from ase.build import bulk

    settings, cell = request.settings, request.cell
    steps = round(settings.expansion_ps / settings.timestep_ps / 2 / _BULK_SAMPLES)
    if steps == 0:
        return 1.0
    crystal = bulk(cell.element, cell.structure, a=cell.lattice_constant_angstrom, cubic=True)
    atoms = crystal.repeat(settings.expansion_cells)  # type: ignore[no-untyped-call]
    with DynamicsSession(request.potential, atoms, request.engine, settings) as session:
        session.create_velocities(2 * request.scenario.temperature_k, request.scenario.seed)
        session.keep_at(request.scenario.temperature_k, np.zeros((3, 3)))
        session.advance(steps * _BULK_SAMPLES)
        volumes = []
        for _ in range(_BULK_SAMPLES):
            session.advance(steps)
            volumes.append(np.linalg.det(session.cell_angstrom()))
    return float((np.mean(volumes) / atoms.get_volume()) ** (1 / 3))


def _isolated(request: TrajectoryRequest, progress: Progress) -> Outcome[Trajectory]:
    return run_engine(
        "glideflow.mobility.dynamics:simulate",
        {"request": request},
        request.engine,
        time_limit_s=request.settings.time_limit_s,
        scratch=request.work,
        progress=progress,
    )


def _failed(request: TrajectoryRequest, outcome: Failure) -> Trajectory:
    """The frames until the last checkpoint of a simulation whose process has failed."""
    failure = StageFailure(
        error_class=outcome.error_class,
        reason=outcome.reason,
        expected=outcome.expected,
        next_step=outcome.next_step,
        evidence=outcome.evidence,
    )
    if outcome.error_class == "TimeLimit":
        failure = replace(failure, expected="a trajectory within mobility.dynamics.time_limit_s", next_step=_GO_ON)
    with closing(Workbench(request.work, request.key())) as workbench:
        so_far = _trajectory(request, workbench, _sound_legs(request, workbench))
    return replace(so_far, status="failed", reason=outcome.reason, failure=failure)


def _trajectory(request: TrajectoryRequest, workbench: Workbench, legs: Sequence[_Entry]) -> Trajectory:
    from importlib.metadata import version

    expansion = workbench.get(_EXPANSION)
    engine = f"{LammpsEngine().version}, ovito {version('ovito')}"
    return Trajectory(
        status=_status(request, legs),
        reason=str(legs[-1]["reason"]) if legs else "",
        scenario=request.scenario,
        cell=summary_of_cell(request.cell),
        potential=summary_of(request.potential),
        provenance=provenance_of(request.settings, LammpsEngine.name, engine, request.scenario.seed),
        expansion=float(expansion["factor"]) if expansion else 1.0,
        applied_stress_mpa=request.applied_stress_mpa,
        topologies=_topologies(request),
        rejected_ps=np.concatenate([np.zeros(0), *(leg["rejected_ps"] for leg in legs)]),
        rejected=tuple(str(reason) for leg in legs for reason in leg["rejected"]),
        **joined(legs),
    )


def _status(request: TrajectoryRequest, legs: Sequence[_Entry]) -> Status:
    ending = str(legs[-1]["status"]) if legs else ""
    for status in get_args(Status):
        if status == ending:
            return cast("Status", status)
    whole = round(request.settings.duration_ps / request.settings.checkpoint_interval_ps) + 1
    return "running" if len(legs) < whole else "completed"


def _frames(request: TrajectoryRequest, legs: Sequence[_Entry]) -> Iterator[LineFrame]:
    return unpacked(joined(legs), _topologies(request), request.cell.burgers_angstrom)


def _topologies(request: TrajectoryRequest) -> tuple[str, ...]:
    return ("infinite", "infinite") if request.cell.kind == "dipole" else ("closed",)


def _sound_legs(request: TrajectoryRequest, workbench: Workbench) -> list[_Entry]:
    """Legs up to the last one from which the simulation can go on, or which ended it."""
    legs: list[_Entry] = []
    while (entry := workbench.get(_leg_name(len(legs)))) is not None:
        legs.append(entry)
    while legs and not _is_sound(request, len(legs) - 1, legs[-1]):
        legs.pop()
    return legs


def _is_sound(request: TrajectoryRequest, number: int, leg: _Entry) -> bool:
    restart = _restart_file(request, number)
    return bool(str(leg["status"])) or (restart.is_file() and _sha256(restart) == str(leg["restart_sha256"]))


def _leg_name(number: int) -> str:
    return f"leg {number:06d}"


def _restart_file(request: TrajectoryRequest, number: int) -> Path:
    assert request.work is not None
    return request.work / f"{request.key()}.{number:06d}.restart"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _work_folder(request: TrajectoryRequest) -> Iterator[Path]:
    """The folder of checkpoints, or one that vanishes at the end."""
    if request.work is not None:
        yield request.work
        return
    with tempfile.TemporaryDirectory(prefix="glideflow-trajectory-") as name:
        yield Path(name)


def _waiting(progress: Progress) -> Callable[[Holder], None]:
    return lambda holder: progress(f"{WAITING} {holder}", 0.0, 0.0)


def _refuse_impossible(request: TrajectoryRequest) -> None:
    refuse_non_finite(request.cell.positions_angstrom, request.cell.cell_angstrom)
    if request.potential.engine != "lammps" or request.potential.element != request.cell.element:
        raise ConfigurationError(
            f"potential {request.potential.id} is for {request.potential.element} in {request.potential.engine}, "
            f"the cell is of {request.cell.element}",
            expected="a potential of the cell's element that LAMMPS evaluates",
            next_step="choose another potential, or build the cell for its element",
        )
    refuse_conditions(request.scenario.stress_mpa, request.scenario.temperature_k)
