"""Commands that learn the mobility of dislocations from trajectories, and tell how well it was learned."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glideflow.cards import plain_json
from glideflow.cli.mobility_data import TRAJECTORIES_HELP
from glideflow.cli.options import ConfigOption, JsonOption, SetOption, settings_from
from glideflow.cli.transfer_options import print_rows
from glideflow.errors import ConfigurationError
from glideflow.text import printable

if TYPE_CHECKING:
    from glideflow.config.mobility_network import MobilityFeatureSettings, MobilityNetworkSettings
    from glideflow.mobility.artifacts import Part
    from glideflow.mobility.baselines import FittedLaw
    from glideflow.mobility.ensemble import MobilityEnsemble
    from glideflow.mobility.evaluation import Evaluation, Group
    from glideflow.mobility.network import State
    from glideflow.mobility.samples import Split, StepData
    from glideflow.mobility.trajectory import Trajectory
    from glideflow.progress import Progress

NETWORK = "PI-GNN"
_HEADINGS = ("trajectories", "steps", "error %", "error Å", "thermal floor Å", "velocity error %")

TrajectoriesArgument = Annotated[list[Path], typer.Argument(help=TRAJECTORIES_HELP, metavar="TRAJECTORY")]


def train(
    trajectories: TrajectoriesArgument,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the model and its card.")],
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the split, the order of steps and the initial weights.")
    ] = 0,
    work: Annotated[
        Path | None,
        typer.Option(
            "--work", help="Folder of checkpoints, from which the same command goes on. Default: in --output."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help="Go on from checkpoints, or start anew.")] = True,
    start: Annotated[
        Path | None,
        typer.Option("--start", help="Model to go on from, with its weights and its split; what is new is trained on."),
    ] = None,
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Leave out trajectories that ended before their first step.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn how fast dislocations glide from trajectories, with an ensemble of graph networks.

    Whole trajectories are set aside: by default 70 % to learn from, 10 % to
    tell when to stop, 20 % for the test, whose errors are printed beside those
    of simpler laws fitted to the same data. Features, layers and training are
    in mobility.network, e.g. --set mobility.network.training.epochs=500.
    """
    from glideflow.cli.display import progress_display
    from glideflow.cli.properties import refuse_unwritable
    from glideflow.mobility.dataset import trajectories_from
    from glideflow.packages import refuse_without_torch

    refuse_without_torch("mobility")
    from glideflow.mobility.artifacts import MODEL_FILE, read_ensemble
    from glideflow.mobility.experiments import refuse_mismatch
    from glideflow.mobility.shipped import model_path

    refuse_unwritable(output / MODEL_FILE)
    settings = settings_from(config, overrides).mobility.network
    folder = work or output / "checkpoints"
    given = trajectories_from(trajectories)
    if start is not None:
        refuse_mismatch(read_ensemble(model_path(start))[1], list(given.items()))
    _tell_medium(given, settings.features)
    with progress_display() as progress:
        data = steps_of(given, settings, leave_out=leave_out, progress=progress)
        split, weights = _split_and_start(data, settings, seed, start)
        ensemble = _trained(data, split, settings, seed, weights, (folder, resume), progress)
    laws = _fitted(data, split)
    evaluations = _evaluations(ensemble, laws, data, split.test or split.validation)
    _write(output, ensemble, (data, split, laws), evaluations, settings, seed)
    _remove_checkpoints(folder, settings)
    _print(_training_json(data, split, ensemble, evaluations), evaluations, as_json=as_json)


def evaluate(
    model: Annotated[
        Path, typer.Argument(help="Folder or model.safetensors of `glideflow mobility train`, or `shipped`.")
    ],
    trajectories: TrajectoriesArgument,
    *,
    seen: Annotated[
        bool, typer.Option("--seen", help="Count trajectories that the model was trained on or stopped by as well.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Errors of a trained model for single steps of trajectories, by angle, stress and temperature.

    Beside the model stand simpler laws that were fitted to the same training
    data. Trajectories of simulations that the model was trained on do not count
    unless --seen is given.
    """
    from glideflow.cli.display import progress_display
    from glideflow.mobility.artifacts import read_ensemble
    from glideflow.mobility.dataset import trajectories_from
    from glideflow.mobility.experiments import counted, refuse_mismatch
    from glideflow.mobility.shipped import model_path
    from glideflow.packages import refuse_without_torch

    refuse_without_torch("mobility")
    ensemble, card = read_ensemble(model_path(model))
    settings = settings_from(config, overrides).mobility.network
    settings = settings.model_copy(
        update={
            "features": ensemble.features,
            "training": settings.training.model_copy(update={"step_ps": ensemble.step_ps}),
        }
    )
    given = trajectories_from(trajectories)
    refuse_mismatch(card, list(given.items()))
    with progress_display() as progress:
        data = steps_of(given, settings, leave_out=True, progress=progress)
    parts = [card.part_of(source.simulation) for source in data.sources]
    numbers = counted(parts, seen=seen)
    evaluations = _evaluations(ensemble, card.fitted_laws(), data, numbers)
    _print(_evaluation_json(data, parts, numbers, evaluations), evaluations, as_json=as_json)


def steps_of(
    trajectories: Mapping[str, Trajectory], settings: MobilityNetworkSettings, *, leave_out: bool, progress: Progress
) -> StepData:
    """Steps of trajectories; those that are left out are named on standard error.

    Raises:
        PropertyError: no trajectory has a step, or one has none and is not to be left out.
    """
    from glideflow.mobility.samples import no_step, step_data

    data = step_data(list(trajectories.items()), settings, leave_out=leave_out, progress=progress)
    for name, reason in data.left_out.items():
        print(printable(f"left out: {name} ({trajectories[name].status}) has no step: {reason}"), file=sys.stderr)
    if data.left_out and not data.sources:
        raise no_step(data.left_out, settings, all_of=True)
    return data


def _tell_medium(trajectories: Mapping[str, Trajectory], features: MobilityFeatureSettings) -> None:
    """Say so where lines of another metal are about to be given the elastic medium of iron, which is the default."""
    names = ("shear_modulus_gpa", "poisson_ratio", "softening_per_k")
    of_iron = [name for name in names if getattr(features, name) == type(features).model_fields[name].default]
    others = sorted({each.cell.element for each in trajectories.values()} - {"Fe", ""})
    if others and of_iron:
        print(
            f"note: {', '.join(of_iron)} of {', '.join(others)} taken to be those of iron; set "
            f"{' and '.join(f'mobility.network.features.{name}' for name in of_iron)}: "
            "`glideflow mobility build --as-built` prints modulus and ratio for the potential, scripts/hot_medium.py "
            "finds the softening, and 0 leaves it out",
            file=sys.stderr,
        )


def _trained(
    data: StepData,
    split: Split,
    settings: MobilityNetworkSettings,
    seed: int,
    start: Sequence[State] | None,
    checkpoints: tuple[Path, bool],
    progress: Progress,
) -> MobilityEnsemble:
    from glideflow.mobility.training import train_ensemble

    work, resume = checkpoints
    members = range(settings.training.members)
    return train_ensemble(
        data, split, settings, seed, members, start=start, work=work, resume=resume, progress=progress
    )


def _split_and_start(
    data: StepData, settings: MobilityNetworkSettings, seed: int, start: Path | None
) -> tuple[Split, Sequence[State] | None]:
    """Split and initial weights: anew, or those of a model that is gone on from.

    Raises:
        ConfigurationError: the model has other layers or another number of members.
    """
    from glideflow.mobility.artifacts import read_ensemble
    from glideflow.mobility.samples import continued_split, split_by_trajectory
    from glideflow.mobility.shipped import model_path

    if start is None:
        return split_by_trajectory(data.sources, settings.training, seed), None
    ensemble, card = read_ensemble(model_path(start))
    found, wanted = (ensemble.layers, len(ensemble.members)), (settings.layers, settings.training.members)
    if found != wanted:
        raise ConfigurationError(
            f"--start {start} has {found[1]} members with {found[0].layers} x {found[0].width} neurons",
            expected=f"{wanted[1]} members with {wanted[0].layers} x {wanted[0].width}, as configured",
            next_step="configure what it has, or start anew",
        )
    _tell_other_features(start, ensemble.features, settings.features)
    parts = {source.simulation: card.part_of(source.simulation) for source in data.sources}
    return continued_split(data.sources, parts), [member.state for member in ensemble.members]


def _tell_other_features(start: Path, seen: MobilityFeatureSettings, wanted: MobilityFeatureSettings) -> None:
    """Say so where networks that saw lines in one way are to go on seeing them in another one."""
    then, now = seen.model_dump(), wanted.model_dump()
    other = [f"mobility.network.features.{name}={then[name]}" for name in then if then[name] != now[name]]
    if other:
        print(f"note: {start} saw lines otherwise; --set {' --set '.join(other)} goes on as it was", file=sys.stderr)


def _fitted(data: StepData, split: Split) -> tuple[FittedLaw, ...]:
    from glideflow.mobility.baselines import fitted_laws

    return fitted_laws(data, split.train)


def _evaluations(
    ensemble: MobilityEnsemble, laws: Sequence[FittedLaw], data: StepData, trajectories: Sequence[int]
) -> list[Evaluation]:
    """Errors of the networks, and of the laws behind them."""
    from glideflow.mobility.evaluation import evaluate

    found = [evaluate(NETWORK, ensemble.velocity_angstrom_per_ps, data, trajectories)]
    return [*found, *(evaluate(law.name, law.velocity_angstrom_per_ps, data, trajectories) for law in laws)]


def _write(
    output: Path,
    ensemble: MobilityEnsemble,
    made_of: tuple[StepData, Split, tuple[FittedLaw, ...]],
    evaluations: Sequence[Evaluation],
    settings: MobilityNetworkSettings,
    seed: int,
) -> None:
    from glideflow.mobility.artifacts import MODEL_FILE, ensemble_card, write_ensemble
    from glideflow.mobility.spreads import ERROR_OVER_SPREAD, error_over_spread

    data, split, laws = made_of
    scores = {
        each.law: {name: float(value) for name, value in asdict(each.overall).items() if name != "group"}
        for each in evaluations
    }
    training = settings.training.model_dump(mode="json")
    unfitted = (*split.validation, *split.test)
    own = scores.pop(NETWORK) | {ERROR_OVER_SPREAD: error_over_spread(ensemble, data, unfitted)}
    card = ensemble_card(
        ensemble, data, split, seed=seed, training=training, laws=laws, metrics=own, baseline_metrics=scores
    )
    write_ensemble(output / MODEL_FILE, ensemble, card)


def _remove_checkpoints(folder: Path, settings: MobilityNetworkSettings) -> None:
    """Checkpoints go when the model is written: the same command has nothing left to resume."""
    from glideflow.mobility.training import checkpoint_of

    members = range(settings.training.members)
    for group in (tuple(members), *((member,) for member in members)):
        file = checkpoint_of(folder, group)
        assert file is not None
        file.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _training_json(
    data: StepData, split: Split, ensemble: MobilityEnsemble, evaluations: Sequence[Evaluation]
) -> dict[str, Any]:
    parts = {name: [data.sources[k].name for k in numbers] for name, numbers in asdict(split).items()}
    members = [
        {"seed": member.seed, "epochs": len(member.train_loss), "best_epoch": member.best_epoch, "loss": member.score}
        for member in ensemble.members
    ]
    return {
        "evaluated_on": "test" if split.test else "validation",
        "split": parts,
        "left_out": {source.name: source.left_out for source in data.sources if source.left_out},
        "members": members,
        "laws": [asdict(evaluation) for evaluation in evaluations],
    }


def _evaluation_json(
    data: StepData, parts: Sequence[Part], counted: Sequence[int], evaluations: Sequence[Evaluation]
) -> dict[str, Any]:
    rows = zip(data.sources, parts, strict=True)
    return {
        "trajectories": [
            {"name": source.name, "part": part, "counted": number in counted, "left_out": source.left_out}
            for number, (source, part) in enumerate(rows)
        ],
        "laws": [asdict(evaluation) for evaluation in evaluations],
    }


def _print(content: Mapping[str, Any], evaluations: Sequence[Evaluation], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(plain_json(content), indent=2, ensure_ascii=False, allow_nan=False))
        return
    print_rows(("law", *_HEADINGS), [[each.law, *_cells(asdict(each.overall))] for each in evaluations])
    groups: tuple[Group, ...] = ("angle", "stress", "temperature")
    for group in groups:
        rows = [[each.group, *_cells(asdict(each))] for each in evaluations[0].groups[group]]
        print_rows((f"{NETWORK} by {group}", *_HEADINGS), rows)


def _cells(errors: Mapping[str, Any]) -> list[str]:
    names = ("trajectories", "steps", "percent", "absolute_angstrom", "thermal_floor_angstrom", "velocity_percent")
    return [f"{errors[name]:.3g}" if isinstance(errors[name], float) else str(errors[name]) for name in names]
