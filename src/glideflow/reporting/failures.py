"""What failed and why, by kind of failure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from glideflow.records import FAILED, SKIPPED, Library, LibraryEntry, StageFailure, StageRecord
from glideflow.reporting.collection import PROPERTY_NAMES
from glideflow.reporting.context import RunContext, run_context
from glideflow.reporting.labels import anchor

MEANINGS = {
    "Crashed": "The engine's process ended without a result, as a malformed parameter file can make it do.",
    "Killed": "The engine's process was killed from outside, twice, as the kernel does when memory runs out.",
    "TimeLimit": "The time limit of one job was reached.",
    "MemoryLimit": "The memory limit of one job was reached.",
    "NotStarted": "The MPI ranks did not find each other when they were started.",
    "NoResult": "The process ended in order but left no result.",
    "Upstream": "A result that this one needs is missing.",
    "PotentialError": "The potential is missing, altered or malformed, or does not cover the element.",
    "EngineError": "The engine could not evaluate energies, forces or stresses.",
    "NonFiniteError": "The engine returned NaN or infinity.",
    "ConvergenceError": "A numerical procedure ended without meeting its tolerance.",
    "PropertyError": "The property has no meaning for this potential, e.g. because the crystal is not bound.",
}
"""What each kind of failure means; others carry the name of an exception."""


@dataclass(frozen=True, kw_only=True)
class FailedStage:
    """One property that has no value.

    Attributes:
        potential: id of the potential.
        anchor: fragment of the potential's section in the page.
        title: the property with its slip system and character.
        failure: the recorded failure.
        blocked: properties that were skipped because of it.
        command: command that computes it again.
        log: path of the workflow's log.
    """

    potential: str
    anchor: str
    title: str
    failure: StageFailure
    blocked: tuple[str, ...]
    command: str
    log: str


@dataclass(frozen=True, kw_only=True)
class FailureGroup:
    """Failures of one kind.

    Attributes:
        error_class: the kind, see `glideflow.records.StageFailure`.
        meaning: in words, or empty.
        stages: the failures.
    """

    error_class: str
    meaning: str
    stages: tuple[FailedStage, ...]


def failure_groups(library: Library) -> tuple[FailureGroup, ...]:
    """Failures by kind, the most frequent first.

    A property that was skipped because another of the same potential failed stands with that one.
    """
    groups: dict[str, list[FailedStage]] = defaultdict(list)
    context = run_context(library)
    for entry in library.entries:
        for stage in _roots(entry):
            failure = stage.failure or StageFailure(error_class="Unknown", reason="no reason was recorded")
            groups[failure.error_class].append(_failed_stage(entry, stage, failure, context))
    ordered = sorted(groups, key=lambda name: (-len(groups[name]), name))
    return tuple(
        FailureGroup(error_class=name, meaning=MEANINGS.get(name, ""), stages=tuple(groups[name])) for name in ordered
    )


def stage_title(stage: StageRecord) -> str:
    """A property in words, e.g. ``Peierls stress, fcc_111, edge``."""
    name = PROPERTY_NAMES.get(stage.property, stage.property)
    return ", ".join(filter(None, (name, stage.slip_system, stage.character)))


def _roots(entry: LibraryEntry) -> Iterator[StageRecord]:
    """Failed stages, and skipped ones whose cause is not among them."""
    has_cause = any(stage.status == FAILED for stage in entry.stages)
    for stage in entry.stages:
        if stage.status == FAILED or (stage.status == SKIPPED and not has_cause):
            yield stage


def _failed_stage(entry: LibraryEntry, stage: StageRecord, failure: StageFailure, context: RunContext) -> FailedStage:
    first = next(_roots(entry)) is stage
    return FailedStage(
        potential=entry.potential.id,
        anchor=anchor(entry.potential.id),
        title=stage_title(stage),
        failure=failure,
        blocked=tuple(stage_title(s) for s in entry.stages if s.status == SKIPPED and s is not stage) if first else (),
        command=context.command(stage),
        log=context.log(stage),
    )
