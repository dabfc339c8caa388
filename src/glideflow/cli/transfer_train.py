"""Commands that train ensembles of networks, as a whole or member by member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glideflow.cli.library import LibraryOption
from glideflow.cli.options import ConfigOption, JsonOption, SetOption, settings_from
from glideflow.cli.transfer_options import DatasetOption, named_samples, print_rows, refuse_unwritable_outputs
from glideflow.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from glideflow.config.transfer import TransferSettings
    from glideflow.crystals.lattices import IntArray
    from glideflow.progress import Progress
    from glideflow.transfer.artifacts import ModelCard
    from glideflow.transfer.dataset import TransferDataset
    from glideflow.transfer.ensemble import NetworkEnsemble, NetworkRegressor
    from glideflow.transfer.training import TrainedNetwork

EnsembleOption = Annotated[
    Path,
    typer.Option("--output", "-o", help="File of the ensemble, *.safetensors; a card *.json is written beside it."),
]


@dataclass(frozen=True)
class _Job:
    """What one call of `train` has to do."""

    dataset: TransferDataset
    recipe: NetworkRegressor
    seed: int
    numbers: tuple[int, ...]
    work: Path | None
    resume: bool


def train(
    *,
    output: EnsembleOption,
    group: Annotated[
        str | None,
        typer.Option("--group", "-g", help="Train on this structure: fcc, bcc, hcp, or joint for all."),
    ] = None,
    dataset: DatasetOption = None,
    member: Annotated[
        list[int] | None,
        typer.Option(
            "--member", min=0, help="Train only this member, counted from 0. Repeatable; `combine` joins the files."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed, from which the seeds of the members follow.")] = 0,
    work: Annotated[
        Path | None,
        typer.Option("--work", help="Folder of checkpoints, from which the same command goes on if interrupted."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on from checkpoints in --work, or start anew.")
    ] = True,
    library: LibraryOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train an ensemble of networks on all samples of a data set.

    By default the network of the physics-transfer paper, a ResNet on the γ
    surface beside a dense layer on the elastic constants. Layers and training
    are set in the section transfer.networks of the configuration, e.g.
    --set transfer.networks.network.architecture=compact.
    """
    from glideflow.cli.display import progress_display
    from glideflow.packages import refuse_without_torch

    refuse_without_torch()
    settings = settings_from(config, overrides).transfer
    _refuse_bad_output(output)
    found = named_samples(group, dataset, settings, library)
    recipe = _recipe(settings)
    numbers = tuple(dict.fromkeys(member or range(recipe.members)))
    job = _Job(found, recipe, seed, numbers, work, resume)
    with progress_display() as progress:
        ensemble = _trained(job, progress)
    _write(output, ensemble, found, recipe)
    _remove_checkpoints(job)
    _print_members(numbers, ensemble, output, as_json=as_json)


def combine(
    files: Annotated[list[Path], typer.Argument(help="Ensembles (*.safetensors) of some members each.")],
    *,
    output: EnsembleOption,
    as_json: JsonOption = False,
) -> None:
    """Join members that were trained apart, on the same data with the same settings, into one ensemble."""
    from dataclasses import replace

    from glideflow.packages import refuse_without_torch
    from glideflow.transfer.ensemble import combined
    from glideflow.transfer.ensemble_files import read_ensemble, write_ensemble

    refuse_without_torch()
    _refuse_bad_output(output)
    read = [read_ensemble(file) for file in files]
    cards = [card for _, card in read]
    other = next((k for k, card in enumerate(cards) if card.data_sha256 != cards[0].data_sha256), None)
    if other is not None:
        raise StorageError(
            f"{files[other]} was trained on other data than {files[0]}",
            expected="members that were trained on the same samples",
            next_step="train them again from one data set",
        )
    ensemble = combined([each for each, _ in read])
    sources = tuple(dict.fromkeys(source for card in cards for source in card.initialised_from))
    name = f"{cards[0].name.rpartition(' x ')[0]} x {len(ensemble.members)}"
    write_ensemble(output, ensemble, replace(cards[0], name=name, initialised_from=sources))
    _print_members(range(len(ensemble.members)), ensemble, output, as_json=as_json)


def calibrate(
    ensemble: Annotated[Path, typer.Argument(help="Ensemble (*.safetensors) of `train` or `combine`.")],
    validation: Annotated[
        Path, typer.Argument(help="Validation (HDF5) of the same model on the same data, by `transfer validate`.")
    ],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File of the calibrated ensemble. Default: in its place.")
    ] = None,
    scaled: Annotated[
        bool, typer.Option("--scaled", help="Take errors for normally distributed, instead of counting them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Give an ensemble intervals that hold what they promise, by what a validation found on held-out samples.

    Its card gets the scores of that validation.
    """
    from glideflow.packages import refuse_without_torch
    from glideflow.storage import read_record
    from glideflow.transfer.ensemble_files import calibrated_on, read_ensemble, write_ensemble
    from glideflow.transfer.validation import Validations

    refuse_without_torch()
    _refuse_bad_output(output or ensemble)
    records = read_record(validation, Validations).records
    found, card = calibrated_on(*read_ensemble(ensemble), records, method="scaled" if scaled else "conformal")
    write_ensemble(output or ensemble, found, card)
    _print_calibration(found, card, as_json=as_json)


def tune(
    ensemble: Annotated[Path, typer.Argument(help="Ensemble (*.safetensors) of `train` or `combine`.")],
    *,
    output: EnsembleOption,
    dataset: Annotated[
        Path, typer.Option("--dataset", help="Data set (HDF5) of `transfer dataset` with the better samples.")
    ],
    shots: Annotated[
        list[str] | None,
        typer.Option("--shot", help="Tune to this potential of it. Repeatable. Default: all of them."),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tune a trained ensemble to a few samples of better physics, e.g. of machine-learned potentials.

    How, and which parts keep their weights, is set in transfer.networks.fine_tuning.
    """
    from glideflow.cli.display import progress_display
    from glideflow.packages import refuse_without_torch
    from glideflow.transfer.dataset import read_dataset
    from glideflow.transfer.ensemble_files import read_ensemble, tuned_card, write_ensemble

    refuse_without_torch()
    _refuse_bad_output(output)
    settings = settings_from(config, overrides).transfer.networks.fine_tuning
    found, card = read_ensemble(ensemble)
    better = read_dataset(dataset)
    chosen = _numbers_of(better.potential_ids, shots)
    _refuse_other_kind(card, better, chosen)
    with progress_display() as progress:
        tuned = found.tuned(better, chosen, settings, floor_mpa=card.floor_mpa, progress=progress)
    write_ensemble(output, tuned, tuned_card(card, tuned, better, chosen, settings))
    _print_members(range(len(tuned.members)), tuned, output, as_json=as_json)


def _numbers_of(known: Sequence[str], wanted: Sequence[str] | None) -> IntArray:
    """Numbers of the samples with these ids, all without any.

    Raises:
        ConfigurationError: there is no such sample.
    """
    import numpy as np

    unknown = sorted(set(wanted or ()) - set(known))
    if unknown:
        raise ConfigurationError(
            f"the data set has no potential {unknown[0]!r}",
            expected=f"some of {', '.join(known)}"[:400],
            next_step="correct --shot; `glideflow transfer dataset --json` lists the ids",
        )
    return np.array([number for number, name in enumerate(known) if wanted is None or name in wanted])


def _print_calibration(ensemble: NetworkEnsemble, card: ModelCard, *, as_json: bool) -> None:
    import dataclasses
    import json

    assert ensemble.calibration is not None
    content = {"split": card.split, "metrics": dict(card.metrics), **dataclasses.asdict(ensemble.calibration)}
    if as_json:
        print(json.dumps(content, indent=2, ensure_ascii=False))
        return
    pairs = zip(ensemble.calibration.levels, ensemble.calibration.factors, strict=True)
    print_rows(("interval", "widths to each side"), [[f"{level:.0%}", f"{factor:.3g}"] for level, factor in pairs])


def _refuse_bad_output(output: Path) -> None:
    """Find out before computing that an ensemble could not be written."""
    if output.suffix != ".safetensors":
        raise ConfigurationError(
            f"--output {output}", expected="a name that ends in .safetensors", next_step="correct --output"
        )
    refuse_unwritable_outputs([output])


def _refuse_other_kind(card: ModelCard, better: TransferDataset, shots: IntArray) -> None:
    """Samples of another structure or protocol are no better values of what the ensemble learned."""
    structures = sorted(set(better.select(shots).structures))
    if not set(structures) <= set(card.structures) or better.protocol != card.protocol:
        raise ConfigurationError(
            f"shots of {', '.join(structures)}, protocol {better.protocol}, for an ensemble of "
            f"{', '.join(card.structures)}, protocol {card.protocol}",
            expected="the same structures and protocol",
            next_step="name another --dataset, or only some of its potentials with --shot",
        )


def _recipe(settings: TransferSettings) -> NetworkRegressor:
    from glideflow.transfer.ensemble import NetworkRegressor

    wanted = settings.networks
    return NetworkRegressor(
        network=wanted.network, training=wanted.training, members=wanted.members, floor_mpa=settings.floor_mpa
    )


def _trained(job: _Job, progress: Progress) -> NetworkEnsemble:
    """The members, one after the other with a checkpoint each, or all at once if they are batched."""
    from glideflow.transfer.ensemble import NetworkEnsemble

    groups = [job.numbers] if job.recipe.training.batched else [(number,) for number in job.numbers]
    members = [trained for group in groups for trained in _trained_group(job, group, progress)]
    return NetworkEnsemble(members=tuple(members))


def _trained_group(job: _Job, numbers: Sequence[int], progress: Progress) -> tuple[TrainedNetwork, ...]:
    import numpy as np

    from glideflow.transfer.ensemble import member_seeds, train_members

    def show(stage: str, done: float, total: float, /) -> None:
        progress(f"member {', '.join(map(str, numbers))}: epochs", done, total)

    return train_members(
        job.dataset,
        np.arange(len(job.dataset)),
        job.recipe,
        member_seeds(job.seed, numbers),
        checkpoint=_checkpoint(job, numbers),
        resume=job.resume,
        progress=show,
    )


def _checkpoint(job: _Job, numbers: Sequence[int]) -> Path | None:
    return None if job.work is None else job.work / f"member-{'-'.join(map(str, numbers))}.safetensors"


def _remove_checkpoints(job: _Job) -> None:
    """Checkpoints go when the ensemble is written: a resumed command that finds them again trains nothing twice."""
    for numbers in ((job.numbers), *((number,) for number in job.numbers)):
        file = _checkpoint(job, numbers)
        if file is not None:
            file.unlink(missing_ok=True)


def _write(output: Path, ensemble: NetworkEnsemble, dataset: TransferDataset, recipe: NetworkRegressor) -> None:
    from dataclasses import replace

    import numpy as np

    from glideflow.transfer.ensemble_files import ensemble_card, write_ensemble

    name = replace(recipe, members=len(ensemble.members)).name
    card = ensemble_card(ensemble, dataset, np.arange(len(dataset)), name=name, floor_mpa=recipe.floor_mpa)
    training = {"training": recipe.training.model_dump(mode="json")}
    write_ensemble(output, ensemble, replace(card, details={**card.details, **training}))


def _print_members(numbers: Sequence[int], ensemble: NetworkEnsemble, output: Path, *, as_json: bool) -> None:
    import json

    rows = [_described(number, member) for number, member in zip(numbers, ensemble.members, strict=True)]
    if as_json:
        print(json.dumps({"file": str(output), "members": rows}, indent=2, ensure_ascii=False))
        return

    headings = ("member", "initialised from", "epochs", "best epoch", "training loss", "validation loss")
    print_rows(headings, [[_cell(value) for name, value in row.items() if name != "seed"] for row in rows])


def _described(number: int, member: TrainedNetwork) -> dict[str, Any]:
    validation = member.validation_loss
    return {
        "member": number,
        "seed": member.seed,
        "initialised_from": member.initialised_from,
        "epochs": len(member.train_loss),
        "best_epoch": member.best_epoch,
        "train_loss": float(member.train_loss[member.best_epoch]),
        "validation_loss": float(validation[member.best_epoch]) if len(validation) else None,
    }


def _cell(value: object) -> str:
    if value is None:
        return "none held out"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
