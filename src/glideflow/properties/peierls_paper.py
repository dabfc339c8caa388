"""The Peierls stress as the strength-library paper computes it: fixed strain steps and LAMMPS' own minimiser.

The cell is sheared by a small step, all of it between two rigid blocks, and minimised by LAMMPS' conjugate gradients
with the tolerances that users type; the stress is the reaction on the moved block, and the value its largest before the
core has glided by one Burgers vector. The energy tolerance ends minimisations long before the forces vanish, so that
the value depends on it, on the step and on the height of the cell: it is here to be compared with values of the same
kind, and with the converged one (`glideflow.properties.peierls_stress`).

Source: "A step-wise strain increment of 1e-5 is applied", Methods of the strength-library paper; its small cell S has
244 atoms in 3.48 nm x 0.44 nm x 1.90 nm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from glideflow.config.peierls_paper import PeierlsPaperSettings
from glideflow.crystals.dislocations import DislocationCell, DislocationSize, dislocation_cell
from glideflow.crystals.layers import LayeredCrystal, layered_crystal
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.engines.lammps_minimise import LammpsMinimiser, LammpsMinimum
from glideflow.engines.protocol import Engine, FloatArray
from glideflow.errors import EngineError, PropertyError
from glideflow.potentials.record import Potential
from glideflow.progress import Progress, silent
from glideflow.properties.core_position import CorePoint, CoreTracker, core_tracker
from glideflow.properties.peierls_paper_results import (
    EVALUATION_LIMIT,
    FAILED,
    GLIDED,
    REFERENCE,
    SIZE_S,
    STRAIN_LIMIT,
    PaperCell,
    PeierlsPaperResult,
)
from glideflow.properties.results import LatticeResult
from glideflow.units import EV_PER_A3_TO_MPA
from glideflow.workbench import Workbench

_SIZE_S_BURGERS_VECTORS = 14
_SIZE_S_PLANES = 9
_KEPT_POINTS = 200
"""Points of a loading curve that are recorded; the small cell takes thousands of steps."""
_CHECKPOINT_EVALUATIONS = 500


def peierls_paper(
    engine: Engine,
    potential: Potential,
    lattice: LatticeResult,
    system: SlipSystem,
    settings: PeierlsPaperSettings,
    *,
    character: str = "edge",
    workbench: Workbench | None = None,
    progress: Progress = silent,
) -> PeierlsPaperResult:
    """Peierls stress by the protocol of the strength-library paper, in the reference cell and in size S.

    A cell that cannot be computed is a recorded outcome as long as another one can.

    Args:
        engine: who evaluates the potential, LAMMPS.
        potential: the potential.
        lattice: its relaxed crystal.
        system: slip plane and direction.
        settings: cells, strain step and tolerances; the cut of the slip system, if it has one, comes first.
        character: ``edge`` or ``screw``.
        workbench: where the way is kept every few hundred evaluations, so that an interrupted one resumes.
        progress: progress callback.

    Raises:
        PropertyError: the potential is not evaluated by LAMMPS, or no cell could be computed.
    """
    layers = layered_crystal(lattice.crystal, system)
    cut = system.cut or settings.cut
    bench = workbench or Workbench(None)
    cells = []
    for name, size in _sizes(layers, lattice, settings).items():
        cell = dislocation_cell(layers, size, cut, character=character)
        straining = _Straining(name, cell, settings, bench.section(name), progress)
        cells.append(_computed(engine, potential, straining, size))
    if all(cell.outcome == FAILED for cell in cells):
        raise PropertyError(
            cells[0].reason,
            expected="a cell that LAMMPS' minimiser can relax",
            next_step="see the log; `glideflow potentials check ID` evaluates the potential by itself",
        )
    return _result(system, character, cut, settings, cells)


def _sizes(
    layers: LayeredCrystal, lattice: LatticeResult, settings: PeierlsPaperSettings
) -> dict[str, DislocationSize]:
    """The cells by name."""
    spacing = float(layers.repeat_angstrom[2]) / len(layers.plane_heights_angstrom)
    reference = DislocationSize(
        burgers_vectors=settings.burgers_vectors,
        height_angstrom=settings.height_angstrom,
        line_periods=settings.line_periods,
        rigid_thickness_angstrom=settings.rigid_block_cutoffs * lattice.cutoff_angstrom,
    )
    small = DislocationSize(
        burgers_vectors=_SIZE_S_BURGERS_VECTORS,
        height_angstrom=_SIZE_S_PLANES * spacing,
        line_periods=1,
        rigid_thickness_angstrom=_thickness_of(layers, settings.size_s_rigid_planes),
    )
    return {REFERENCE: reference} | ({SIZE_S: small} if settings.size_s else {})


def _thickness_of(layers: LayeredCrystal, planes: int) -> float:
    """Thickness that holds so many planes at either end, whichever of unequal spacings comes first there."""
    gaps = layers.gaps_angstrom
    return float((planes - 1) * gaps.max() + gaps.min() / 2)


@dataclass
class _Straining:
    """A cell on its way: where it is, and what has been seen so far."""

    name: str
    cell: DislocationCell
    settings: PeierlsPaperSettings
    workbench: Workbench
    progress: Progress
    tracker: CoreTracker = field(init=False)
    positions: FloatArray = field(init=False)
    origin: CorePoint | None = None
    evaluations: int = 0
    outcome: str = ""
    strains: list[float] = field(default_factory=list)
    stresses: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)
    forces: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tracker = core_tracker(self.cell)
        self.positions = self.cell.positions_angstrom
        self.shape = _shear_shape(self.cell)
        self._kept = 0
        self._resume()

    def go(self, session: LammpsMinimiser) -> None:
        """Strain and minimise until the core has glided or a limit is reached."""
        while not self.outcome:
            ended = self._step(session)
            if ended or self.evaluations - self._kept >= _CHECKPOINT_EVALUATIONS:
                self._keep()

    def _step(self, session: LammpsMinimiser) -> bool:
        """Strain once and minimise; return whether that was the last step."""
        strain = len(self.strains) * self.settings.strain_step
        start = self.positions + (self.settings.strain_step if self.strains else 0.0) * self.shape
        minimum = session.minimise(
            start,
            energy_tolerance=self.settings.energy_tolerance,
            force_tolerance_ev_per_angstrom=self.settings.force_tolerance_ev_per_angstrom,
            max_evaluations=self.settings.max_evaluations - self.evaluations,
        )
        self.evaluations += minimum.evaluations
        self.positions = minimum.positions_angstrom
        if self.evaluations >= self.settings.max_evaluations:
            self.outcome = EVALUATION_LIMIT  # the minimisation that reached it is no step
            return True
        self._record(strain, minimum)
        if strain + self.settings.strain_step > self.settings.maximum_strain and not self.outcome:
            self.outcome = STRAIN_LIMIT
        return bool(self.outcome)

    def _record(self, strain: float, minimum: LammpsMinimum) -> None:
        near = self.cores[-1] if self.cores else self.cell.start_angstrom
        core = self.tracker.locate(self.positions, near)
        if self.origin is None:
            self.origin = core
        if self.tracker.glided(core, self.origin):
            self.outcome = GLIDED
        reaction = float(minimum.reaction_ev_per_angstrom[self.cell.slip_axis])
        self.strains.append(strain)
        self.stresses.append(-reaction / self.cell.area_angstrom2 * EV_PER_A3_TO_MPA)
        self.cores.append(core.x_angstrom)
        self.forces.append(minimum.largest_force_ev_per_angstrom)
        if len(self.strains) % 20 == 1:
            self.progress(f"paper protocol, cell {self.name}", self.evaluations, self.settings.max_evaluations)

    @property
    def peak(self) -> int:
        """Step of the largest stress before the core had glided."""
        before = self.stresses[:-1] if self.outcome == GLIDED else self.stresses
        return int(np.argmax(before))

    def _keep(self) -> None:
        self._kept = self.evaluations
        self.workbench.put(
            f"evaluation {self.evaluations}",
            positions=self.positions,
            curve=np.array([self.strains, self.stresses, self.cores, self.forces]),
            origin=np.array(self.origin if self.origin is not None else (np.nan, np.nan)),
            evaluations=np.array(self.evaluations),
            outcome=np.array(self.outcome),
        )

    def _resume(self) -> None:
        """Go on from the last entry of the workbench."""
        names = self.workbench.names()
        entry = self.workbench.get(names[-1]) if names else None
        if entry is None:
            return
        self.positions = np.asarray(entry["positions"], dtype=float)
        curve = np.asarray(entry["curve"], dtype=float)
        self.strains, self.stresses, self.cores, self.forces = (row.tolist() for row in curve)
        x, z = (float(part) for part in np.asarray(entry["origin"], dtype=float))
        self.origin = CorePoint(x, z)
        self.evaluations = self._kept = int(entry["evaluations"])
        self.outcome = str(entry["outcome"])


def _shear_shape(cell: DislocationCell) -> FloatArray:
    """(N, 3) displacements in Å of a unit shear strain of the crystal between the blocks, the lower one at rest."""
    height = cell.lattice_positions_angstrom[:, 2]
    lowest, highest = height[cell.bottom].max(), height[cell.top].min()
    shape = np.zeros_like(cell.positions_angstrom)
    shape[:, cell.slip_axis] = np.clip(height, lowest, highest) - lowest
    return shape


def _computed(engine: Engine, potential: Potential, straining: _Straining, size: DislocationSize) -> PaperCell:
    """Strain a cell; that the engine cannot is recorded."""
    cell, reason = straining.cell, ""
    try:
        if not straining.outcome:
            with LammpsMinimiser(engine, potential, cell.atoms(potential.element), cell.top, cell.bottom) as session:
                straining.go(session)
    except EngineError as error:
        reason = error.found
    done = not reason and bool(straining.strains)
    chosen = list(_kept_points(straining)) if straining.strains else []
    return PaperCell(
        name=straining.name,
        outcome=straining.outcome if done else FAILED,
        reason=reason if reason or done else "the unstrained cell takes more evaluations than the limit",
        peierls_mpa=straining.stresses[straining.peak] if done else None,
        peak_strain=straining.strains[straining.peak] if done else None,
        atoms=len(cell.positions_angstrom),
        burgers_vectors=size.burgers_vectors,
        length_angstrom=float(cell.cell_angstrom[0, 0]),
        height_angstrom=cell.height_angstrom,
        line_angstrom=float(cell.cell_angstrom[1, 1]),
        rigid_planes=len(np.unique(cell.plane[cell.top])),
        steps=max(0, len(straining.strains) - 1),
        evaluations=straining.evaluations,
        shear_strain=np.array([straining.strains[k] for k in chosen]),
        stress_mpa=np.array([straining.stresses[k] for k in chosen]),
        core_position_angstrom=np.array([straining.cores[k] - straining.cores[0] for k in chosen]),
        largest_force_ev_per_angstrom=np.array([straining.forces[k] for k in chosen]),
    )


def _kept_points(straining: _Straining) -> Iterator[int]:
    """Steps that are recorded: evenly spaced ones, the first, the last and the peak."""
    last = len(straining.strains) - 1
    even = np.rint(np.linspace(0, last, min(_KEPT_POINTS, last + 1))).astype(int)
    yield from sorted({int(k) for k in even} | {straining.peak})


def _result(
    system: SlipSystem, character: str, cut: str, settings: PeierlsPaperSettings, cells: list[PaperCell]
) -> PeierlsPaperResult:
    values = {cell.name: cell.peierls_mpa for cell in cells}
    return PeierlsPaperResult(
        slip_system=system.name,
        label=system.label,
        character=character,
        protocol="paper",
        cut=cut,
        peierls_mpa=values[REFERENCE],
        size_s_mpa=values.get(SIZE_S),
        strain_step=settings.strain_step,
        energy_tolerance=settings.energy_tolerance,
        force_tolerance_ev_per_angstrom=settings.force_tolerance_ev_per_angstrom,
        max_evaluations=settings.max_evaluations,
        cells=tuple(cells),
        flags=tuple(f"{cell.name}: {cell.outcome}" for cell in cells if cell.outcome != GLIDED),
        evaluations=sum(cell.evaluations for cell in cells),
    )
