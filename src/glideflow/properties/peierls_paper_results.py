"""Records of the paper's protocol. Field names carry units; shapes and conventions stand here."""

from __future__ import annotations

from dataclasses import dataclass

from glideflow.crystals.lattices import FloatArray
from glideflow.storage import record

GLIDED = "glided"
EVALUATION_LIMIT = "evaluation limit"
STRAIN_LIMIT = "strain limit"
FAILED = "failed"

REFERENCE = "reference"
SIZE_S = "S"


@record
@dataclass(frozen=True, kw_only=True)
class PaperCell:
    """The Peierls stress in one cell.

    Attributes:
        name: ``reference`` or ``S``.
        outcome: ``glided`` (the core has moved by one Burgers vector: the value is what the protocol means),
            ``evaluation limit`` or ``strain limit`` (ended before that: the value is the largest stress so far), or
            ``failed``.
        reason: why it failed; empty otherwise.
        peierls_mpa: largest stress before the core had glided by one Burgers vector, None if it failed.
        peak_strain: shear strain there, None if it failed.
        atoms: number of atoms.
        burgers_vectors: length of the upper half crystal in Burgers vectors.
        length_angstrom: cell length along the glide direction.
        height_angstrom: distance between lowest and highest plane.
        line_angstrom: cell length along the line.
        rigid_planes: planes of each rigid block.
        steps: strain steps made.
        evaluations: force evaluations made.
        shear_strain: (K,) shear strain after each step that is kept, the unstrained cell first.
        stress_mpa: (K,) stress there.
        core_position_angstrom: (K,) core position there, relative to the unstrained cell.
        largest_force_ev_per_angstrom: (K,) largest force component that the minimiser left.
    """

    name: str
    outcome: str
    reason: str = ""
    peierls_mpa: float | None = None
    peak_strain: float | None = None
    atoms: int
    burgers_vectors: int
    length_angstrom: float
    height_angstrom: float
    line_angstrom: float
    rigid_planes: int
    steps: int = 0
    evaluations: int = 0
    shear_strain: FloatArray
    stress_mpa: FloatArray
    core_position_angstrom: FloatArray
    largest_force_ev_per_angstrom: FloatArray

    @property
    def record_name(self) -> str:
        """Name among the cells of a result."""
        return self.name


@record
@dataclass(frozen=True, kw_only=True)
class PeierlsPaperResult:
    """Peierls stress by straining in fixed steps with LAMMPS' own minimiser, as the strength-library paper does.

    It depends on the minimiser's tolerances and on the step: compare it with values of the same protocol only.

    Attributes:
        slip_system: name of the slip system.
        label: its indices.
        character: dislocation character.
        protocol: ``paper``.
        cut: which plane was cut, ``wide`` or ``narrow``.
        peierls_mpa: value in the reference cell, None if that failed.
        size_s_mpa: value in size S, None if that failed or was not asked for.
        strain_step: shear strain added before each minimisation.
        energy_tolerance: relative change of the energy at which the minimiser stops.
        force_tolerance_ev_per_angstrom: two-norm of all forces at which it stops.
        max_evaluations: force evaluations after which a cell is given up.
        cells: the cells, by name.
        flags: remarks, e.g. ``reference: evaluation limit``.
        evaluations: force evaluations made in all.
    """

    slip_system: str
    label: str
    character: str
    protocol: str
    cut: str
    peierls_mpa: float | None
    size_s_mpa: float | None
    strain_step: float
    energy_tolerance: float
    force_tolerance_ev_per_angstrom: float
    max_evaluations: int
    cells: tuple[PaperCell, ...]
    flags: tuple[str, ...] = ()
    evaluations: int = 0

    def cell(self, name: str) -> PaperCell | None:
        """The cell of this name, if it was computed."""
        return next((cell for cell in self.cells if cell.name == name), None)
