"""One property of one potential, in a child process, as a record that is written whatever happens."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glideflow.config.run import Property, RunSettings
from glideflow.config.slip_systems import SlipSystemSettings
from glideflow.errors import ConfigurationError
from glideflow.exclusive import alone
from glideflow.isolation import KILLED, Failure, Limits, Outcome, Task, run_isolated
from glideflow.job_log import KILLED_ONCE, RESUMED, WAITING
from glideflow.progress import Progress, silent
from glideflow.properties.results import LatticeResult
from glideflow.records import FAILED, OK, SKIPPED, StageFailure, StageRecord, provenance_of, summary_of
from glideflow.run import CHARACTERS
from glideflow.workbench import Workbench, request_key

if TYPE_CHECKING:
    from pydantic import BaseModel

    from glideflow.engines.protocol import Engine
    from glideflow.potentials.record import Potential
    from glideflow.properties.results import ElasticResult, GammaSurfaceResult, PeierlsStressResult


@dataclass(frozen=True, kw_only=True)
class StageRequest:
    """What is to be computed.

    Attributes:
        name: the property.
        potential: with which potential.
        settings: configuration of the run.
        lattice: record of the lattice stage, for every other property.
        slip_system: for γ surfaces and Peierls stresses.
        character: dislocation character, for Peierls stresses.
        work: folder of partial results, or None to keep none.
    """

    name: Property
    potential: Potential
    settings: RunSettings
    lattice: StageRecord | None = None
    slip_system: SlipSystemSettings | None = None
    character: str = ""
    work: Path | None = None

    @property
    def section(self) -> BaseModel:
        """Settings of the property."""
        section: BaseModel = getattr(self.settings, self.name)
        return section


def run_stage(request: StageRequest, progress: Progress = silent) -> StageRecord:
    """Compute a property in a child process.

    Physical and technical failures of the potential become a record with status ``failed``; if the lattice that the
    property needs has failed, the record is ``skipped``.

    One process at a time computes a property of a potential in a folder of partial results. A second one, e.g. of a
    run that was started again while a job of a killed run goes on, waits, and then finds what the first has left.

    Raises:
        ConfigurationError: the request itself is incomplete, or its parts contradict each other.
        TerminatedError: the child was ended from outside; nothing is known of the property.
        StorageError: the folder of partial results cannot be written.
    """
    _refuse_incomplete(request)
    _refuse_contradictory(request)
    if request.lattice is not None and not request.lattice.ok:
        return _record(request, SKIPPED, failure=_upstream_failure(request.lattice))
    with _alone(request, progress):
        outcome = _run(request, progress)
    if isinstance(outcome, Failure):
        failure = StageFailure(
            error_class=outcome.error_class,
            reason=outcome.reason,
            expected=outcome.expected,
            next_step=outcome.next_step,
            evidence=outcome.evidence,
        )
        return _record(request, FAILED, failure=failure)
    return _record(request, OK, result=outcome.value)


def _alone(request: StageRequest, progress: Progress) -> AbstractContextManager[None]:
    if request.work is None:
        return nullcontext()
    system = request.slip_system.name if request.slip_system else ""
    key = request_key(request.potential.id, request.name, system, request.character)[:8]
    return alone(request.work / f"{request.name}-{key}.lock", lambda holder: progress(f"{WAITING} {holder}", 0.0, 0.0))


def compute_stage(
    request: StageRequest, progress: Progress = silent
) -> LatticeResult | ElasticResult | GammaSurfaceResult | PeierlsStressResult:
    """Compute a property in this process; see `run_stage` for the safe way."""
    from glideflow.engines.registry import engine_for
    from glideflow.potentials.record import verify_files

    verify_files(request.potential)
    engine = engine_for(request.potential.engine, request.settings.engine)
    if request.name == "lattice":
        from glideflow.properties.lattice import relax_lattice

        return relax_lattice(engine, request.potential, request.settings.lattice, progress)
    lattice = _lattice_result(request)
    if request.name == "elastic":
        from glideflow.properties.elastic import elastic_constants

        return elastic_constants(engine, request.potential, lattice, request.settings.elastic, progress)
    return _compute_on_slip_system(request, engine, lattice, progress)


def _compute_on_slip_system(
    request: StageRequest, engine: Engine, lattice: LatticeResult, progress: Progress
) -> GammaSurfaceResult | PeierlsStressResult:
    from glideflow.crystals.slip_systems import slip_system
    from glideflow.properties.gamma_surface import gamma_surface
    from glideflow.properties.peierls_stress import peierls_stress

    assert request.slip_system is not None
    system, settings = slip_system(request.slip_system), request.settings
    workbench = Workbench(request.work, _workbench_key(request, engine))
    if workbench.names():
        progress(RESUMED, len(workbench.names()), 0.0)
    shared: dict[str, Any] = {"seed": settings.seed, "workbench": workbench, "progress": progress}
    try:
        if request.name == "gamma_surface":
            return gamma_surface(engine, request.potential, lattice, system, settings.gamma_surface, **shared)
        return peierls_stress(engine, request.potential, lattice, system, settings.peierls_stress, **shared)
    finally:
        workbench.close()


def lattice_fits(record: StageRecord, potential: Potential) -> bool:
    """Whether a record is the lattice stage of a potential: of the same structure, and computed with the same files."""
    own = summary_of(potential)
    found = (record.property, record.potential.structure, record.potential.sha256)
    return found == ("lattice", own.structure, own.sha256)


def partial_results_file(request: StageRequest) -> Path | None:
    """File of the partial results from which a request would resume, whether it is there or not.

    None for a property that keeps none, and where the lattice that it starts from is not known.
    """
    from glideflow.engines.registry import engine_for

    keeps_none = request.slip_system is None or request.work is None
    if keeps_none or request.lattice is None or not isinstance(request.lattice.result, LatticeResult):
        return None
    engine = engine_for(request.potential.engine, request.settings.engine)
    assert request.work is not None
    return request.work / f"{_workbench_key(request, engine)}.partial"  # as `Workbench` names it


def _run(request: StageRequest, progress: Progress) -> Outcome[Any]:
    engine = request.settings.engine
    launcher = tuple(part.replace("{ranks}", str(engine.mpi_ranks)) for part in engine.mpi_launcher)
    task = Task(
        function="glideflow.stages:compute_stage",
        arguments={"request": request},
        wants_progress=True,
        launcher=launcher if engine.mpi_ranks > 1 else (),
        threads=engine.threads,
        scratch=request.work,
    )
    limits = Limits(wall_time_s=engine.time_limit_s, memory_gib=engine.memory_limit_gib)
    outcome = run_isolated(task, limits, progress)
    if isinstance(outcome, Failure) and outcome.error_class == KILLED:
        # When memory runs out the kernel kills one process, often one that others have brought there: the second
        # attempt goes on from the partial results, and what is killed twice is recorded as a failure.
        progress(KILLED_ONCE, 0.0, 0.0)
        outcome = run_isolated(task, limits, progress)
    return outcome


def _workbench_key(request: StageRequest, engine: Engine) -> str:
    """Digest of what decides the partial results, the code that computes them included."""
    from glideflow.code_digest import code_digest

    assert request.slip_system is not None
    return request_key(
        request.name,
        request.potential.content_sha256,
        request.section.model_dump(mode="json"),
        request.slip_system.model_dump(mode="json"),
        request.settings.seed,
        _lattice_result(request).a_angstrom,
        _lattice_result(request).c_angstrom,
        engine.name,
        engine.version,
        code_digest(f"glideflow.properties.{request.name}"),
        code_digest("glideflow.engines.registry"),
    )


def _lattice_result(request: StageRequest) -> LatticeResult:
    assert request.lattice is not None
    assert isinstance(request.lattice.result, LatticeResult)
    return request.lattice.result


def _record(request: StageRequest, status: str, **parts: Any) -> StageRecord:  # noqa: ANN401 - result or failure
    from glideflow.engines.registry import engine_for

    engine = engine_for(request.potential.engine, request.settings.engine)
    return StageRecord(
        property=request.name,
        slip_system=request.slip_system.name if request.slip_system else "",
        character=request.character,
        status=status,
        potential=summary_of(request.potential),
        provenance=provenance_of(request.section, engine.name, engine.version, request.settings.seed),
        **parts,
    )


def _upstream_failure(lattice: StageRecord) -> StageFailure:
    reason = lattice.failure.reason if lattice.failure else "no reason recorded"
    return StageFailure(
        error_class="Upstream",
        reason=f"the lattice could not be relaxed: {reason}",
        next_step="see the failure of the lattice stage",
    )


def _refuse_incomplete(request: StageRequest) -> None:
    needs_lattice = request.name != "lattice" and request.lattice is None
    needs_system = request.name in ("gamma_surface", "peierls_stress") and request.slip_system is None
    if needs_lattice or needs_system:
        missing = "the lattice record" if needs_lattice else "a slip system"
        raise ConfigurationError(
            f"the {request.name} of {request.potential.id} was asked for without {missing}",
            expected=f"{missing} of this potential",
            next_step="give --lattice and --slip-system, or let the command compute what it needs",
        )


def _refuse_contradictory(request: StageRequest) -> None:
    """Refuse parts that do not belong together: the record would say something else than what was computed."""
    own = request.potential
    if request.lattice is not None and not lattice_fits(request.lattice, own):
        other = request.lattice
        raise ConfigurationError(
            f"the {request.name} of {own.id} ({own.structure}) was asked for with the {other.property} of "
            f"{other.potential.id} ({other.potential.structure})",
            expected="its own lattice: the same structure, computed with the same potential files",
            next_step="run `glideflow lattice` for this potential, or leave --lattice out",
        )
    if request.slip_system is not None and request.slip_system.structure != own.structure:
        raise ConfigurationError(
            f"slip system {request.slip_system.name} is for {request.slip_system.structure} crystals, "
            f"{own.id} for {own.structure}",
            expected="a slip system of the potential's structure",
            next_step="choose another one from slip_systems",
        )
    if request.character not in (CHARACTERS if request.name == "peierls_stress" else ("",)):
        raise ConfigurationError(
            f"the {request.name} was asked for with the dislocation character {request.character!r}",
            expected=f"{' or '.join(CHARACTERS)} for a Peierls stress, none for other properties",
            next_step="correct the character of the request",
        )
