"""One property of one potential, in a child process, as a record that is written whatever happens."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glideflow.config.run import RunSettings
from glideflow.config.slip_systems import SlipSystemSettings
from glideflow.engine_task import run_engine
from glideflow.errors import ConfigurationError
from glideflow.exclusive import alone
from glideflow.isolation import Failure, Outcome
from glideflow.job_log import RESUMED, WAITING
from glideflow.progress import Progress, silent
from glideflow.property_specs import PROPERTIES, Property, PropertySpec
from glideflow.records import (
    FAILED,
    OK,
    SKIPPED,
    PropertyResult,
    StageFailure,
    StageRecord,
    provenance_of,
    summary_of,
)
from glideflow.workbench import Workbench, request_key

if TYPE_CHECKING:
    from pydantic import BaseModel

    from glideflow.engines.protocol import Engine
    from glideflow.potentials.record import Potential


@dataclass(frozen=True, kw_only=True)
class StageRequest:
    """What is to be computed.

    Attributes:
        name: the property.
        potential: with which potential.
        settings: configuration of the run.
        upstream: records of the properties that it needs (`glideflow.property_specs.PropertySpec.needs`).
        slip_system: where the property has one.
        character: dislocation character, where the property has one.
        work: folder of partial results, or None to keep none.
    """

    name: Property
    potential: Potential
    settings: RunSettings
    upstream: tuple[StageRecord, ...] = ()
    slip_system: SlipSystemSettings | None = None
    character: str = ""
    work: Path | None = None

    @property
    def spec(self) -> PropertySpec:
        """What is known of the property."""
        return PROPERTIES[self.name]

    @property
    def section(self) -> BaseModel:
        """Settings of the property."""
        section: BaseModel = getattr(self.settings, self.spec.sections[0])
        return section


def run_stage(request: StageRequest, progress: Progress = silent) -> StageRecord:
    """Compute a property in a child process.

    Physical and technical failures of the potential become a record with status ``failed``; if a property that this
    one needs has failed, the record is ``skipped``.

    One process at a time computes a property of a potential in a folder of partial results. A second one, e.g. of a
    run that was started again while a job of a killed run goes on, waits, and then finds what the first has left.

    Raises:
        ConfigurationError: the request itself is incomplete, or its parts contradict each other.
        TerminatedError: the child was ended from outside; nothing is known of the property.
        StorageError: the folder of partial results cannot be written.
    """
    _refuse_incomplete(request)
    _refuse_contradictory(request)
    failed = next((record for record in request.upstream if not record.ok), None)
    if failed is not None:
        return _record(request, SKIPPED, failure=upstream_failure(failed))
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


def compute_stage(request: StageRequest, progress: Progress = silent) -> PropertyResult:
    """Compute a property in this process; see `run_stage` for the safe way."""
    from glideflow.engines.registry import engine_for
    from glideflow.potentials.record import verify_files

    verify_files(request.potential)
    engine = engine_for(request.potential.engine, request.settings.engine)
    function = function_of(request.spec)
    with _workbench(request, engine, progress) as workbench:
        offered = _offered(request) | {"engine": engine, "workbench": workbench, "progress": progress}
        wanted = inspect.signature(function).parameters
        return function(**{name: value for name, value in offered.items() if name in wanted})


def function_of(spec: PropertySpec) -> Callable[..., PropertyResult]:
    """The function that computes a property."""
    from importlib import import_module

    module, _, name = spec.function.partition(":")
    function: Callable[..., PropertyResult] = getattr(import_module(f"glideflow.{module}"), name)
    return function


def _offered(request: StageRequest) -> dict[str, Any]:
    """What the function of a property may take, by the names of its parameters; see `PropertySpec.function`."""
    from glideflow.crystals.slip_systems import slip_system

    settings = request.settings
    return {
        "potential": request.potential,
        "settings": request.section,
        "system": slip_system(request.slip_system) if request.slip_system else None,
        "character": request.character,
        "seed": settings.seed,
        **{f"{section}_settings": getattr(settings, section) for section in request.spec.sections},
        **{PROPERTIES[name].argument: _upstream(request, name).result for name in request.spec.needs},
    }


@contextmanager
def _workbench(request: StageRequest, engine: Engine, progress: Progress) -> Iterator[Workbench]:
    """Partial results of properties of a slip system; the others take seconds and keep none."""
    if request.slip_system is None:
        yield Workbench(None)
        return
    with closing(Workbench(request.work, _workbench_key(request, engine))) as workbench:
        if workbench.names():
            progress(RESUMED, len(workbench.names()), 0.0)
        yield workbench


def _upstream(request: StageRequest, name: str) -> StageRecord:
    return next(record for record in request.upstream if record.property == name)


def record_fits(record: StageRecord, name: Property, potential: Potential) -> bool:
    """Whether a record holds a property of a potential: of the same structure, computed with the same files."""
    own = summary_of(potential)
    found = (record.property, record.potential.structure, record.potential.sha256)
    return found == (name, own.structure, own.sha256)


def partial_results_file(request: StageRequest) -> Path | None:
    """File of the partial results from which a request would resume, whether it is there or not.

    None for a property that keeps none, and where what it starts from is not known.
    """
    from glideflow.engines.registry import engine_for

    keeps_none = request.slip_system is None or request.work is None
    known = {record.property for record in request.upstream if record.ok}
    if keeps_none or not known.issuperset(request.spec.needs):
        return None
    engine = engine_for(request.potential.engine, request.settings.engine)
    assert request.work is not None
    return request.work / f"{_workbench_key(request, engine)}.partial"  # as `Workbench` names it


def _run(request: StageRequest, progress: Progress) -> Outcome[Any]:
    engine = request.settings.engine
    return run_engine(
        "glideflow.stages:compute_stage",
        {"request": request},
        engine,
        time_limit_s=engine.time_limit_s,
        scratch=request.work,
        progress=progress,
    )


def _workbench_key(request: StageRequest, engine: Engine) -> str:
    """Digest of what decides the partial results, the code that computes them included."""
    from glideflow.code_digest import code_digest

    assert request.slip_system is not None
    return request_key(
        request.name,
        request.potential.content_sha256,
        request.slip_system.model_dump(mode="json", exclude={"characters"}),
        request.character,
        request.settings.seed,
        [_plain(getattr(request.settings, section)) for section in request.spec.sections],
        [_plain(_upstream(request, name).result) for name in request.spec.needs],
        engine.name,
        engine.version,
        code_digest(f"glideflow.{request.spec.module}"),
        code_digest("glideflow.engines.registry"),
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - settings, a record, or a part of one
    """The value as lists, numbers and texts, every digit included."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value.tolist() if hasattr(value, "tolist") else value


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


def upstream_failure(record: StageRecord) -> StageFailure:
    """Why a property is skipped: the failure of a record that it needs."""
    reason = record.failure.reason if record.failure else "no reason recorded"
    title = PROPERTIES[record.property].title  # type: ignore[index]
    return StageFailure(
        error_class="Upstream",
        reason=reason if record.status == SKIPPED else f"there is no {title} to start from: {reason}",
        next_step=f"see the failure of the {title}",
    )


def _refuse_incomplete(request: StageRequest) -> None:
    there = {record.property for record in request.upstream}
    lacking = [f"the {PROPERTIES[name].title} record" for name in request.spec.needs if name not in there]
    lacking += ["a slip system"] if "slip_system" in request.spec.labels and request.slip_system is None else []
    if lacking:
        missing = " and ".join(lacking)
        raise ConfigurationError(
            f"the {request.name} of {request.potential.id} was asked for without {missing}",
            expected=f"{missing} of this potential",
            next_step="name the record and the slip system, or let the command compute what it needs",
        )


def _refuse_contradictory(request: StageRequest) -> None:
    """Refuse parts that do not belong together: the record would say something else than what was computed."""
    own = request.potential
    for record in request.upstream:
        _refuse_foreign(request, record)
    if request.slip_system is not None and request.slip_system.structure != own.structure:
        raise ConfigurationError(
            f"slip system {request.slip_system.name} is for {request.slip_system.structure} crystals, "
            f"{own.id} for {own.structure}",
            expected="a slip system of the potential's structure",
            next_step="choose another one from slip_systems",
        )
    refuse_character(request.name, request.slip_system, request.character)


def refuse_character(name: Property, system: SlipSystemSettings | None, character: str) -> None:
    """Refuse a dislocation character that a property does not have, or that the slip system does not name.

    Raises:
        ConfigurationError: it would not be what is computed.
    """
    has_one = "character" in PROPERTIES[name].labels and system is not None
    allowed: tuple[str, ...] = system.characters if has_one and system is not None else ("",)
    if character not in allowed:
        raise ConfigurationError(
            f"the {name} was asked for with the dislocation character {character!r}",
            expected=" or ".join(allowed) or "none for this property",
            next_step="correct it, or add it to `characters` of the slip system",
        )


def _refuse_foreign(request: StageRequest, record: StageRecord) -> None:
    """Refuse a record of something else than what the property needs."""
    own, system = request.potential, request.slip_system.name if request.slip_system else ""
    needed = next((name for name in request.spec.needs if name == record.property), None)
    elsewhere = record.slip_system not in ("", system) or record.character not in ("", request.character)
    if needed is None or elsewhere or not record_fits(record, needed, own):
        raise ConfigurationError(
            f"the {request.name} of {own.id} ({own.structure}) was asked for with the {record.record_name} of "
            f"{record.potential.id} ({record.potential.structure})",
            expected=f"its own {' and '.join(request.spec.needs) or 'nothing'}: the same structure, slip system and "
            "character, computed with the same potential files",
            next_step="compute these for this potential, or leave the option out",
        )
