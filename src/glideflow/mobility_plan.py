"""What the mobility branch takes before it runs: trajectories, core-hours, and GPU-hours on another machine.

Constants are those of docs/mobility_dynamics.md, measured with the EAM potential of iron on one core of a server with
``accelerator: opt``; other pair styles are scaled by what they cost in `glideflow.cost`.
"""

from __future__ import annotations

import functools
import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glideflow.config.engine import EngineSettings
from glideflow.config.mobility import MobilitySettings
from glideflow.config.run import RunSettings
from glideflow.cost import NEIGHBOUR_ANGSTROM, OTHER_NEIGHBOUR_ANGSTROM, Cost, microseconds_per_atom
from glideflow.mobility.blocks import BccMetal, whole_periods
from glideflow.mobility.orientations import nearest_line
from glideflow.mobility.scenarios import Scenario, initial_scenarios, scenario_table, trajectory_file
from glideflow.plan import (
    FIRST_ATTEMPT_SAFETY,
    GIB_IN_MB,
    MEMORY_MARGIN_MB,
    RUNTIME_MARGIN_MIN,
    RuleEstimate,
    RunPlan,
    job_threads,
)
from glideflow.potentials.record import Potential
from glideflow.run import results_folder

DYNAMICS_SHARE = 1.29 / 2.3
"""A timestep over one evaluation of `glideflow.cost`: neighbour lists live for many steps, and cells are thick."""

EXTRACTION_MICROSECONDS_PER_ATOM = 27.0
CHECKPOINT_MICROSECONDS_PER_ATOM = 4.6
BUILD_MICROSECONDS_PER_ATOM = 3.0
"""Displacements of a dipole with its images."""

STARTUP_CORE_SECONDS = 6.0
CRYSTAL_CORE_SECONDS = 12.0
REPORT_CORE_SECONDS = 8.0
REPORT_CORE_SECONDS_PER_TRAJECTORY = 0.1
BASE_MEMORY_MB = 360.0
MEMORY_MB_PER_ATOM = 0.0016
"""Largest resident memory of trajectories: 365 MB with 5,500 atoms, 585 MB with 153,000."""

FRAME_BYTES = 600.0
NODE_BYTES = 30.0
RESTART_BYTES_PER_ATOM = 2 * 130.0
"""Two restart files of LAMMPS."""

CRYSTAL_FILE = "mobility/elastic.h5"
PAGE_FILE = "mobility/mobility.html"

GPU_ATOM_STEPS_PER_S = 1.16e8
"""Published for EAM iron in LAMMPS' KOKKOS on one A100: 10 ns a day at 1 fs for a million atoms, without extraction
(Tian et al., npj Comput. Mater. 10 (2024), doi:10.1038/s41524-024-01394-4, Methods). Not measured here."""


@dataclass(frozen=True, kw_only=True)
class MobilityPlan:
    """What the mobility branch of a run takes.

    Attributes:
        run: jobs, core-hours, bytes, wall time; with learning, as if every iteration were needed.
        atom_steps: atoms times timesteps of all trajectories.
        gpu_hours_dynamics: GPU time of the same timesteps on a GPU of the published speed.
        gpu_hours_extraction: GPU time added if it waits while one thread extracts the lines of each frame.
    """

    run: RunPlan
    atom_steps: float
    gpu_hours_dynamics: float
    gpu_hours_extraction: float


def planned_scenarios(settings: MobilitySettings) -> tuple[Scenario, ...]:
    """Scenarios that are simulated at most: which ones learning will ask for is not known, so the costs are means."""
    initial = initial_scenarios(settings)
    if not settings.learning.iterations:
        return initial
    rest = [scenario for scenario in scenario_table(settings) if scenario not in set(initial)]
    asked = min(len(rest), settings.learning.iterations * settings.learning.selected)
    return (*initial, *(rest[round(k)] for k in np.linspace(0, len(rest) - 1, asked)))


def atoms_of(settings: MobilitySettings, scenario: Scenario, element: str) -> int:
    """Atoms of the cell of a scenario, from the experimental lattice constant.

    Raises:
        SlipSystemError: no line of the crystal is close enough to the angle.
        ConfigurationError: a size is none.
    """
    return _atoms(settings, scenario.kind, scenario.size, element)


@functools.cache
def _atoms(settings: MobilitySettings, kind: str, size: float, element: str) -> int:
    """Shared by the scenarios of an angle: the search for its line is a walk over thousands."""
    lattice_constant = NEIGHBOUR_ANGSTROM.get(element, OTHER_NEIGHBOUR_ANGSTROM) * 2 / math.sqrt(3)
    if kind == "loop":
        return round(2 * math.prod(settings.cells.loop_size_nm) * 1e3 / lattice_constant**3)
    longest = 10 * settings.cells.longest_period_nm / lattice_constant
    line = nearest_line(size, longest_period=longest, tolerance_deg=settings.cells.angle_tolerance_deg)
    periods = whole_periods(BccMetal(element, lattice_constant), line, settings.cells.size_nm)
    return round(2 * float(np.prod(line.periods * periods)))


def timesteps(settings: MobilitySettings, scenario: Scenario) -> int:
    """Timesteps of a trajectory, those of relaxation and equilibration among them."""
    dynamics = settings.dynamics
    warm_ps = dynamics.equilibration_ps if scenario.kind == "dipole" else 0.0
    return dynamics.relaxation_steps + round((warm_ps + dynamics.duration_ps) / dynamics.timestep_ps)


def trajectory_cost(settings: RunSettings, scenario: Scenario, potential: Potential) -> Cost:
    """What one trajectory takes: dynamics, extraction, checkpoints and thermal expansion.

    Extraction is shared by all cores of a job. GPUs are counted at the published speed, and several as that many times
    one.

    Args:
        settings: configuration of the run.
        scenario: the trajectory.
        potential: the potential.

    Raises:
        SlipSystemError: no line of the crystal is close enough to the angle.
        ConfigurationError: a size is none.
    """
    mobility, dynamics = settings.mobility, settings.mobility.dynamics
    atoms = atoms_of(mobility, scenario, potential.element)
    per_step = _core_microseconds_per_atom_step(settings.engine, potential)
    crystal = 2 * dynamics.expansion_cells**3 * dynamics.expansion_ps / dynamics.timestep_ps * per_step
    checkpoints = dynamics.duration_ps / dynamics.checkpoint_interval_ps * CHECKPOINT_MICROSECONDS_PER_ATOM
    extraction = dynamics.frames * EXTRACTION_MICROSECONDS_PER_ATOM
    per_atom = timesteps(mobility, scenario) * per_step + extraction + checkpoints + BUILD_MICROSECONDS_PER_ATOM
    nodes = 10 * mobility.cells.size_nm[1] * 2 / dynamics.node_spacing_angstrom
    return Cost(
        core_seconds=STARTUP_CORE_SECONDS + 1e-6 * (crystal + atoms * per_atom),
        memory_mb=BASE_MEMORY_MB + MEMORY_MB_PER_ATOM * atoms,
        result_bytes=dynamics.frames * (FRAME_BYTES + NODE_BYTES * nodes),
        partial_bytes=RESTART_BYTES_PER_ATOM * atoms,
    )


def _core_microseconds_per_atom_step(engine: EngineSettings, potential: Potential) -> float:
    """Core time of a timestep: of all cores of a job, which wait where GPUs move the atoms at the published speed."""
    on_core = DYNAMICS_SHARE * microseconds_per_atom(potential.pair_style)
    if not engine.gpus:
        return on_core
    slower = on_core / (DYNAMICS_SHARE * microseconds_per_atom("eam/fs"))
    return 1e6 * slower / (GPU_ATOM_STEPS_PER_S * engine.gpus) * job_threads(engine)


def trajectory_memory_mb(settings: RunSettings, scenario: Scenario, potential: Potential, attempt: int) -> int:
    """Memory in MB that a scheduler is asked for; as `glideflow.plan.job_memory_mb`."""
    limit = settings.engine.memory_limit_gib * GIB_IN_MB
    modelled = 2 * trajectory_cost(settings, scenario, potential).memory_mb
    return math.ceil(min(modelled, limit) if attempt == 1 else limit) + MEMORY_MARGIN_MB


def trajectory_runtime_min(settings: RunSettings, scenario: Scenario, potential: Potential, attempt: int) -> int:
    """Wall time in minutes that a scheduler is asked for; a job that is ended by it goes on from its checkpoint."""
    limit = settings.mobility.dynamics.time_limit_s
    seconds = trajectory_cost(settings, scenario, potential).core_seconds / job_threads(settings.engine)
    return math.ceil(min(FIRST_ATTEMPT_SAFETY * attempt * seconds, limit) / 60) + RUNTIME_MARGIN_MIN


def plan_mobility(settings: RunSettings, potential: Potential, *, cores: int, base: Path = Path()) -> MobilityPlan:
    """Estimate what the mobility branch of a run takes.

    Args:
        settings: configuration of the run.
        potential: the potential of the section ``mobility``.
        cores: cores that the run may use at a time.
        base: folder against which the folder of results is taken, to count what is done.

    Raises:
        SlipSystemError: no line of the crystal is close enough to an angle.
    """
    scenarios = planned_scenarios(settings.mobility)
    costs = [trajectory_cost(settings, scenario, potential) for scenario in scenarios]
    atoms = np.array([atoms_of(settings.mobility, scenario, potential.element) for scenario in scenarios])
    steps = np.array([timesteps(settings.mobility, scenario) for scenario in scenarios])
    extraction_s = settings.mobility.dynamics.frames * EXTRACTION_MICROSECONDS_PER_ATOM * 1e-6 * float(atoms.sum())
    results = base / results_folder(settings)
    done = _there(results, [trajectory_file(scenario.id) for scenario in scenarios])
    return MobilityPlan(
        run=_run_plan(settings, costs, cores, (_there(results, [CRYSTAL_FILE]), done, _there(results, [PAGE_FILE]))),
        atom_steps=float(atoms @ steps),
        gpu_hours_dynamics=float(atoms @ steps) / GPU_ATOM_STEPS_PER_S / 3600,
        gpu_hours_extraction=extraction_s / 3600,
    )


def _run_plan(settings: RunSettings, costs: Sequence[Cost], cores: int, done: tuple[int, int, int]) -> RunPlan:
    """Jobs before, of and after trajectories of these costs, and how many of each are done."""
    crystal = Cost(core_seconds=CRYSTAL_CORE_SECONDS, memory_mb=BASE_MEMORY_MB, result_bytes=5e4)
    report_s = REPORT_CORE_SECONDS + REPORT_CORE_SECONDS_PER_TRAJECTORY * len(costs)
    report = Cost(core_seconds=report_s, memory_mb=BASE_MEMORY_MB, result_bytes=5e6)
    threads = job_threads(settings.engine)
    rules = (
        _estimate("mobility_crystal", [crystal], 1, done[0]),
        _estimate("mobility_trajectory", costs, threads, done[1]),
        _estimate("mobility_report", [report], 1, done[2]),
    )
    walls = [cost.core_seconds / threads for cost in costs]
    wall_s = crystal.core_seconds + _makespan(walls, max(1, cores // threads)) + report.core_seconds
    return RunPlan(
        name=settings.name,
        cores=cores,
        potentials=1,
        rules=rules,
        core_hours=sum(rule.core_hours for rule in rules),
        gpu_hours=sum(walls) * settings.engine.gpus / 3600,
        wall_hours=wall_s / 3600,
        result_bytes=sum(rule.result_bytes for rule in rules),
        partial_bytes=sum(rule.partial_bytes for rule in rules),
        calibration=(),
        can_be_calibrated=False,
    )


def _there(folder: Path, files: Sequence[str]) -> int:
    return sum((folder / file).exists() for file in files)


def _estimate(rule: str, costs: Sequence[Cost], threads: int, done: int) -> RuleEstimate:
    return RuleEstimate(
        rule=rule,
        jobs=len(costs),
        done=done,
        jobs_over_limit=0,
        core_hours=sum(cost.core_seconds for cost in costs) / 3600,
        longest_job_s=max(cost.core_seconds for cost in costs) / threads,
        memory_gib=max(cost.memory_mb for cost in costs) / GIB_IN_MB,
        result_bytes=sum(cost.result_bytes for cost in costs),
        partial_bytes=sum(cost.partial_bytes for cost in costs),
        measurements=0,
    )


def _makespan(walls_s: Sequence[float], slots: int) -> float:
    """Wall time in s of jobs of which the longest one starts whenever a slot is free."""
    busy = [0.0] * slots
    for wall_s in sorted(walls_s, reverse=True):
        heapq.heapreplace(busy, busy[0] + wall_s)
    return max(busy)
