"""What a Peierls stress costs by each route, in seconds of one core: Fig. 2d of the physics-transfer paper.

Three kinds of numbers, never mixed in a row:

- **counted**: force evaluations and atoms that the records of a library state, times the measured time of an evaluation
  (`glideflow.cost`);
- **measured**: processor time of whole jobs, from the benchmark files of a run of the workflow;
- **timed**: processor time of this process, now.
"""

from __future__ import annotations

import csv
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from glideflow.cost import (
    NEP_COPIES,
    NEP_SEARCH_MICROSECONDS_PER_PAIR,
    SMALL_CELL_FACTOR,
    SOLVER_MICROSECONDS_PER_ATOM,
    microseconds_per_atom,
)
from glideflow.crystals.lattices import FloatArray
from glideflow.properties.peierls_paper_results import REFERENCE, SIZE_S, PeierlsPaperResult
from glideflow.properties.results import PeierlsStressResult
from glideflow.records import Library, PotentialSummary, StageRecord
from glideflow.storage import record
from glideflow.threads import single_thread
from glideflow.transfer.best import FittedBest
from glideflow.transfer.best_features import best_features
from glideflow.transfer.core_solutions import solved_cores
from glideflow.transfer.dataset import TransferDataset

COUNTED, MEASURED, TIMED = "counted", "measured", "timed"
CONVERGED = "Peierls stress, converged"
FIXED_STEPS = "Peierls stress, fixed steps"
FIXED_STEPS_S = "Peierls stress, fixed steps, 244 atoms"
CORES, FEATURES = "prediction: cores of a new crystal", "prediction: from solved cores"
_STEPS: Mapping[str, str] = {
    "lattice": "lattice constants",
    "elastic": "elastic constants",
    "gamma_surface": "γ surface",
    "peierls_stress": CONVERGED,
    "peierls_paper": FIXED_STEPS + ", both cells",
    "peierls_nabarro": "continuum models",
}
ORDER = (*_STEPS.values(), FIXED_STEPS, FIXED_STEPS_S, CORES, FEATURES)
"""Steps from the cheapest inputs to predictions, as tables have them."""
INTERACTIONS: Mapping[str, str] = {
    "eam": "EAM",
    "adp": "ADP",
    "meam": "MEAM",
    "meam/spline": "spline MEAM",
    "snap": "SNAP",
    "nep": "NEP",
}
_TIMED_CORES = 2
_MICRO = 1e-6


@record
@dataclass(frozen=True, kw_only=True)
class CostRow:
    """What one step costs with one kind of potential.

    Attributes:
        step: what is computed.
        interaction: kind of potential; empty where there is none.
        basis: ``counted``, ``measured`` or ``timed``.
        potentials: (n) what it was found for: potentials, or samples.
        evaluations: (n,) force evaluations; NaN where they are not known.
        atoms: (n,) atoms; NaN as above.
        core_seconds: (n,) time of one core.
        source: where the numbers come from.
    """

    step: str
    interaction: str
    basis: str
    potentials: tuple[str, ...]
    evaluations: FloatArray
    atoms: FloatArray
    core_seconds: FloatArray
    source: str

    @property
    def record_name(self) -> str:
        """Name in a file of several."""
        return ", ".join(filter(None, (self.step, self.interaction, self.basis, self.source)))


@record
@dataclass(frozen=True, kw_only=True)
class CostPanel:
    """What every step costs.

    Attributes:
        library_name: name of the library.
        rows: the steps.
    """

    library_name: str
    rows: tuple[CostRow, ...]


@dataclass(frozen=True)
class _Job:
    potential: PotentialSummary
    step: str
    evaluations: float
    atoms: float
    core_seconds: float


def counted_costs(library: Library) -> tuple[CostRow, ...]:
    """Peierls stresses by atomistics, from the evaluations and atoms of their records."""
    jobs = [job for entry in library.entries for stage in entry.stages for job in _counted(stage)]
    return _rows(jobs, COUNTED, f"evaluations and atoms of the library {library.name}")


def measured_costs(library: Library, run: Path) -> tuple[CostRow, ...]:
    """Processor time of the jobs of a run of the workflow.

    Args:
        library: potentials, for their kinds; others are passed over.
        run: folder of its results, with the folder ``benchmarks``.
    """
    potentials = {entry.potential.id: entry.potential for entry in library.entries}
    jobs = [
        _Job(potentials[name], step, np.nan, np.nan, seconds)
        for folder, step in _STEPS.items()
        for name, seconds in _benchmarks(run / "benchmarks" / folder)
        if name in potentials
    ]
    return _rows(jobs, MEASURED, f"benchmarks of the run {run.name}")


def timed_predictions(model: FittedBest, dataset: TransferDataset) -> tuple[CostRow, ...]:
    """Predictions, timed on this machine with one thread: cores of a few samples, and the fitted model on all.

    Args:
        model: the model of the samples' structure.
        dataset: samples of one structure.
    """
    structure = dataset.structures[0]
    chosen = np.linspace(0, len(dataset) - 1, min(_TIMED_CORES, len(dataset))).astype(int)
    with single_thread():
        studies = model.studies((structure,))
        solving = [_seconds(partial(solved_cores, dataset, int(index), studies)) for index in chosen]
        features = best_features(dataset, np.arange(len(dataset)))
        batch = _seconds(lambda: model.predict_features(features, dataset.structures)) / len(dataset)
    names = tuple(dataset.potential_ids[int(index)] for index in chosen)
    source = f"{structure}, this process"
    return (
        _timed(CORES, names, solving, source),
        _timed(FEATURES, (structure,), [batch], f"{source}, {len(dataset)} samples at once"),
    )


def _counted(stage: StageRecord) -> Iterator[_Job]:
    result, own = stage.result, stage.potential
    if isinstance(result, PeierlsStressResult) and result.evaluations:
        each = _microseconds(own, result.atoms) + SOLVER_MICROSECONDS_PER_ATOM
        seconds = result.evaluations * result.atoms * each * _MICRO
        yield _Job(own, CONVERGED, result.evaluations, result.atoms, seconds)
    if isinstance(result, PeierlsPaperResult):
        for name, step, factor in ((REFERENCE, FIXED_STEPS, 1.0), (SIZE_S, FIXED_STEPS_S, SMALL_CELL_FACTOR)):
            cell = result.cell(name)
            if cell is not None and cell.evaluations:
                seconds = cell.evaluations * cell.atoms * factor * _microseconds(own, cell.atoms) * _MICRO
                yield _Job(own, step, cell.evaluations, cell.atoms, seconds)


def _microseconds(potential: PotentialSummary, atoms: int) -> float:
    """Time of an atom and evaluation in a cell that is one period thick along the line."""
    own = microseconds_per_atom(potential.pair_style or potential.engine)
    if potential.engine != "nep":
        return own
    return min(NEP_COPIES * own, own + NEP_SEARCH_MICROSECONDS_PER_PAIR * atoms)


def _rows(jobs: Iterable[_Job], basis: str, source: str) -> tuple[CostRow, ...]:
    groups: dict[tuple[int, str], list[_Job]] = defaultdict(list)
    for job in jobs:
        groups[ORDER.index(job.step), interaction(job.potential)].append(job)
    return tuple(_row(groups[key], key[1], basis, source) for key in sorted(groups))


def _row(jobs: list[_Job], kind: str, basis: str, source: str) -> CostRow:
    return CostRow(
        step=jobs[0].step,
        interaction=kind,
        basis=basis,
        potentials=tuple(job.potential.id for job in jobs),
        evaluations=np.array([float(job.evaluations) for job in jobs]),
        atoms=np.array([float(job.atoms) for job in jobs]),
        core_seconds=np.array([job.core_seconds for job in jobs]),
        source=source,
    )


def _timed(step: str, names: tuple[str, ...], seconds: list[float], source: str) -> CostRow:
    unknown = np.full(len(seconds), np.nan)
    return CostRow(
        step=step,
        interaction="",
        basis=TIMED,
        potentials=names,
        evaluations=unknown,
        atoms=unknown,
        core_seconds=np.array(seconds),
        source=source,
    )


def interaction(potential: PotentialSummary) -> str:
    """Kind of a potential: EAM, ADP, MEAM, spline MEAM, SNAP, NEP or other."""
    words = (potential.pair_style or potential.engine).split()
    named = [name for word in words for name in INTERACTIONS if word == name or word.startswith(f"{name}/")]
    return INTERACTIONS[max(named, key=len)] if named else "other"


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _benchmarks(folder: Path) -> Iterator[tuple[str, float]]:
    """Potential and processor time of every job of a property."""
    for file in sorted(folder.rglob("*.tsv")):
        seconds = _benchmark_seconds(file)
        if seconds is not None:
            yield file.relative_to(folder).parts[0].removesuffix(".tsv"), seconds


def _benchmark_seconds(file: Path) -> float | None:
    """Processor time in a benchmark file of Snakemake, the mean of its repeats; None if it says none."""
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            found = [float(row["cpu_time"]) for row in csv.DictReader(stream, delimiter="\t")]
    except (OSError, KeyError, ValueError, TypeError):
        return None
    return float(np.mean(found)) if found else None
