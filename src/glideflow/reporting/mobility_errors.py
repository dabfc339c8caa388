"""Errors of a trained ensemble and of fitted laws on simulations that they have not seen, as a section of a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from glideflow.reporting.labels import number
from glideflow.reporting.sections import Section, TextTable, text_table

if TYPE_CHECKING:
    from glideflow.mobility.artifacts import MobilityCard
    from glideflow.mobility.ensemble import MobilityEnsemble
    from glideflow.mobility.evaluation import Evaluation
    from glideflow.mobility.samples import StepData
    from glideflow.mobility.trajectory import Trajectory

NETWORK = "PI-GNN"
_HEADINGS = ("law", "trajectories", "steps", "velocity, %", "step, %", "step, Å", "thermal floor, Å")


def held_out_section(model: Path, trajectories: Mapping[str, Trajectory], startup_ps: float | None = None) -> Section:
    """What an ensemble and the laws fitted beside it err by on trajectories that it has not seen.

    Args:
        model: its file or folder, or ``shipped``.
        trajectories: by name; those that it was trained on, or stopped by, or without a step, are passed over.
        startup_ps: time at the beginning of each that is left out; None as they were set up.

    Raises:
        StorageError: the model is missing or damaged.
        ConfigurationError: trajectories are of another potential than those that the model was trained on.
        DependencyError: PyTorch is not installed.
    """
    from glideflow.packages import refuse_without_torch

    refuse_without_torch("mobility")
    from glideflow.mobility.artifacts import read_ensemble
    from glideflow.mobility.evaluation import evaluate
    from glideflow.mobility.experiments import refuse_mismatch
    from glideflow.mobility.shipped import model_path

    ensemble, card = read_ensemble(model_path(model))
    parts = [source.part for source in card.sources]
    note = f"{card.name}: {len(parts)} trajectories, {parts.count('train')} of them to learn from."
    refuse_mismatch(card, list(trajectories.items()))
    data = _unseen_steps(ensemble, card, trajectories, startup_ps)
    if data.left_out:
        note += f" Left out, because they have no step: {', '.join(data.left_out)}."
    if not data.sources:
        return Section(name="errors", title="Errors", notes=(f"{note} It has seen all that have a step.",))
    laws = {law.name: law.velocity_angstrom_per_ps for law in card.fitted_laws()}
    predictors = {NETWORK: ensemble.velocity_angstrom_per_ps} | laws
    kinds = dict.fromkeys(source.kind for source in data.sources)
    own = {kind: [k for k, source in enumerate(data.sources) if source.kind == kind] for kind in kinds}
    return section_of(
        {
            kind: [evaluate(name, law, data, numbers) for name, law in predictors.items()]
            for kind, numbers in own.items()
        },
        note,
    )


def _unseen_steps(
    ensemble: MobilityEnsemble, card: MobilityCard, trajectories: Mapping[str, Trajectory], startup_ps: float | None
) -> StepData:
    """Steps of the trajectories that an ensemble has not seen, as it sees steps."""
    from glideflow.config.mobility_network import MobilityNetworkSettings, MobilityTrainingSettings
    from glideflow.mobility.samples import simulation_sha256, step_data

    settings = MobilityNetworkSettings(
        features=ensemble.features,
        training=MobilityTrainingSettings(step_ps=ensemble.step_ps, startup_ps=startup_ps),
    )
    unseen = [
        (name, each) for name, each in trajectories.items() if card.part_of(simulation_sha256(each)) in ("test", "new")
    ]
    return step_data(unseen, settings, leave_out=True)


def section_of(evaluations: Mapping[str, Sequence[Evaluation]], note: str) -> Section:
    """Errors of laws as a section: all steps by law, and mean velocities of each trajectory.

    Args:
        evaluations: by kind of lines, dipoles or loops, those of every law, on the same trajectories.
        note: what the first of them is.
    """
    return Section(
        name="errors",
        title="Errors",
        notes=(
            f"{note} The laws were fitted to the same part. No law that is not random foresees thermal motion: the "
            "floor is how far it takes one line in a step at the drag τb/v, and fast lines fluctuate less.",
        ),
        tables=tuple(table for kind, own in evaluations.items() for table in _tables(kind, own)),
    )


def _tables(kind: str, evaluations: Sequence[Evaluation]) -> Iterator[TextTable]:
    title = f"{kind.capitalize()}s that it has not seen"
    yield text_table(title, _HEADINGS, [_law_cells(each) for each in evaluations])
    yield _velocities(evaluations)


def _velocities(evaluations: Sequence[Evaluation]) -> TextTable:
    headings = ("lines", "MPa", "K", "observed", *(each.law for each in evaluations))
    rows = [
        (
            own.angle,
            f"{own.stress_mpa:g}",
            f"{own.temperature_k:g}",
            number(own.observed_m_per_s, 0),
            *(number(each.trajectories[position].velocity_m_per_s, 0) for each in evaluations),
        )
        for position, own in enumerate(evaluations[0].trajectories)
    ]
    return text_table("Mean velocities of each of them, m/s", headings, rows)


def _law_cells(evaluation: Evaluation) -> tuple[str, ...]:
    found = evaluation.overall
    values = (found.velocity_percent, found.percent, found.absolute_angstrom, found.thermal_floor_angstrom)
    return (
        evaluation.law,
        str(found.trajectories),
        str(found.steps),
        *(number(value, digits) for value, digits in zip(values, (0, 0, 2, 2), strict=True)),
    )
