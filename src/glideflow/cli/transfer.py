"""Commands that learn the Peierls stress from cheap properties: data sets, validation, learning curves."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glideflow.cli import transfer_errors
from glideflow.cli.library import LibraryOption
from glideflow.cli.options import ConfigOption, JsonOption, SetOption, settings_from
from glideflow.cli.transfer_options import (
    DatasetOption,
    GroupOption,
    GroupsOption,
    ModelOption,
    OneModelOption,
    OneSeedOption,
    OutputsOption,
    ResumeOption,
    SeedOption,
    StructuresOption,
    configured_library,
    group_samples,
    known_structures,
    named_samples,
    print_rows,
    refuse_unwritable_outputs,
)
from glideflow.cli.transfer_train import calibrate, combine, train, tune
from glideflow.errors import ConfigurationError
from glideflow.text import printable

if TYPE_CHECKING:
    from glideflow.reporting.sections import Section
    from glideflow.transfer.dataset import TransferDataset
    from glideflow.transfer.held_out_scores import HeldOutScores
    from glideflow.transfer.strengths import StrengthTable
    from glideflow.transfer.summary import SummaryRow
    from glideflow.transfer.validation import LearningCurve, ValidationRecord

app = typer.Typer(
    no_args_is_help=True,
    help="Learn the Peierls stress from elastic constants and γ surface: data sets from a strength library, and what "
    "models make of samples that they have not seen.",
)


@app.command()
def dataset(
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the data sets, a file <group>.h5 each.")
    ] = None,
    groups: GroupsOption = None,
    library: LibraryOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make data sets from a library, and say what is in them and what is left out.

    A sample is a potential with its elastic constants in the frame of the slip
    system, its γ surface on a common grid, and the Peierls stress of its edge
    dislocation. Without --output nothing is written.
    """
    from glideflow.transfer.dataset import write_dataset

    settings = settings_from(config, overrides).transfer
    made = [group_samples(group, settings, library) for group in groups or settings.groups]
    for each in made if output is not None else ():
        assert output is not None
        write_dataset(output / f"{each.name}.h5", each)
    _print_datasets(made, settings.floor_mpa, as_json)


@app.command()
def validate(
    *,
    group: GroupOption = None,
    dataset: DatasetOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="HDF5 file for every held-out prediction.")
    ] = None,
    models: ModelOption = None,
    splits: Annotated[
        list[str] | None,
        typer.Option(
            "--split",
            help="family or metal: what is held out together. Repeatable. Default: those of the configuration; family "
            "with --training.",
        ),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=0, help="Folds of the split by family; 0 leaves one family out at a time.")
    ] = None,
    seeds: SeedOption = None,
    permuted: Annotated[
        bool, typer.Option("--permuted", help="Control: train on permuted stresses, which must leave no skill.")
    ] = False,
    training: Annotated[
        str | None,
        typer.Option(
            "--training",
            help="Of a joint data set: one model of all structures (together), one of each (apart), or both in the "
            "same folds. Default: as the model does by itself.",
            metavar="together|apart|both",
        ),
    ] = None,
    work: ResumeOption = None,
    library: LibraryOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train models on a part of the samples and score them on the rest, by family and by metal.

    Families of near-copies are never split. Everything that is random is
    repeated with every seed; the table gives means, and ± what the seeds differ by.
    """
    from glideflow.cli.display import progress_display
    from glideflow.storage import write_record
    from glideflow.transfer.regressors import regressor
    from glideflow.transfer.summary import summarise
    from glideflow.transfer.training_scope import scoped_regressors
    from glideflow.transfer.validation import Validations
    from glideflow.transfer.validation import validate as validate_model

    settings = settings_from(config, overrides).transfer
    refuse_unwritable_outputs([output])
    wanted, samples = settings.validation, named_samples(group, dataset, settings, library)
    _refuse_one_structure(samples, training)
    recipes = (
        [regressor(name, settings) for name in models or wanted.models]
        if training is None
        else scoped_regressors(models or wanted.training_models, settings, training)
    )
    own_folds = wanted.folds if training is None else wanted.training_folds
    with progress_display() as progress:
        records = [
            validate_model(
                recipe,
                samples,
                split,
                seeds or wanted.seeds,
                folds=own_folds if folds is None else folds,
                floor_mpa=settings.floor_mpa,
                permuted=permuted,
                work=work,
                progress=progress,
            )
            for split in _checked_splits(splits or (wanted.splits if training is None else ("family",)))
            for recipe in recipes
        ]
    if output is not None:
        write_record(
            output,
            Validations(
                dataset=samples.name,
                protocol=samples.protocol,
                library_name=samples.library_name,
                records=tuple(records),
            ),
        )
    _print_summary(summarise(records), as_json=as_json)
    _print_training(records, as_json=as_json)


@app.command()
def curve(
    *,
    group: GroupOption = None,
    dataset: DatasetOption = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="HDF5 file for the curves.")] = None,
    models: ModelOption = None,
    families: Annotated[
        list[int] | None, typer.Option("--families", min=2, help="Number of families trained on. Repeatable.")
    ] = None,
    seeds: SeedOption = None,
    work: ResumeOption = None,
    library: LibraryOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learning curves: held-out error against the number of families that a model was trained on."""
    from glideflow.cli.display import progress_display
    from glideflow.storage import write_record
    from glideflow.transfer.regressors import regressor
    from glideflow.transfer.validation import LearningCurves, learning_curve

    settings = settings_from(config, overrides).transfer
    refuse_unwritable_outputs([output])
    wanted, samples = settings.validation, named_samples(group, dataset, settings, library)
    with progress_display() as progress:
        curves = tuple(
            learning_curve(
                regressor(name, settings),
                samples,
                families or wanted.curve_families,
                seeds or wanted.seeds,
                folds=wanted.curve_folds,
                floor_mpa=settings.floor_mpa,
                work=work,
                progress=progress,
            )
            for name in models or wanted.curve_models
        )
    if output is not None:
        write_record(output, LearningCurves(dataset=samples.name, curves=curves))
    _print_curves(curves, as_json)


@app.command()
def table(
    files: Annotated[list[Path], typer.Argument(help="Validations (HDF5) of `glideflow transfer validate`.")],
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a table in Markdown.")] = False,
    by_structure: Annotated[
        bool, typer.Option(help="Also score the samples of each structure in a joint data set.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Put validations side by side: a row per data set, split and model."""
    from glideflow.storage import read_record
    from glideflow.transfer.summary import markdown as in_markdown
    from glideflow.transfer.summary import summarise
    from glideflow.transfer.validation import Validations

    records = [record for file in files for record in read_record(file, Validations).records]
    rows = summarise(records, by_structure=by_structure)
    if markdown and not as_json:
        print(in_markdown(rows), end="")
    else:
        _print_summary(rows, as_json=as_json)
        _print_training(records, as_json=as_json)


@app.command()
def report(
    files: Annotated[list[Path], typer.Argument(help="Validations (HDF5) of `glideflow transfer validate`.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML file to write.")],
    curves: Annotated[
        list[Path] | None, typer.Option("--curves", help="Learning curves of `glideflow transfer curve`. Repeatable.")
    ] = None,
    errors: transfer_errors.ErrorsOption = None,
    shots: transfer_errors.ShotsOption = None,
    training: transfer_errors.TrainingOption = None,
    cost: transfer_errors.CostOption = None,
    library: LibraryOption = None,
) -> None:
    """Write validations as one page with tables and figures that opens without a network.

    Figures: factors of error with their intervals, predictions against atomistic
    values, coverage of the intervals, learning curves; with --errors also errors
    by kind and route, and which claims of the paper hold.
    """
    from glideflow.reporting.transfer import write_validation_page
    from glideflow.reporting.transfer_claims import claim_section
    from glideflow.reporting.transfer_cost import cost_section
    from glideflow.reporting.transfer_errors import error_section
    from glideflow.reporting.transfer_shots import shot_section
    from glideflow.reporting.transfer_training import scope_section
    from glideflow.storage import read_record
    from glideflow.transfer.cost_panel import CostPanel
    from glideflow.transfer.error_decomposition import ErrorTable
    from glideflow.transfer.few_shot import FewShotCurve
    from glideflow.transfer.training_scope import scope_rows
    from glideflow.transfer.validation import LearningCurves, Validations

    validations = [read_record(file, Validations) for file in files]
    found = [read_record(file, LearningCurves) for file in curves or ()]
    further: list[Section] = []
    if errors is not None:
        further.append(claim_section(transfer_errors.judged(library, errors, shots, training, cost, files)))
        further.append(error_section(read_record(errors, ErrorTable)))
    if shots is not None:
        further.append(shot_section(read_record(shots, FewShotCurve)))
    if training is not None:
        further.append(scope_section(scope_rows(read_record(training, Validations).records)))
    if cost is not None:
        further.append(cost_section(read_record(cost, CostPanel)))
    write_validation_page(validations, found, output, further)
    print(output)


@app.command()
def fit(
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder; each structure gets a folder of its own in it, for predict -m."),
    ],
    groups: StructuresOption = None,
    datasets: Annotated[
        list[Path] | None,
        typer.Option("--dataset", help="Data set (HDF5) of one structure, instead of --group. Repeatable."),
    ] = None,
    validation: Annotated[
        list[Path] | None,
        typer.Option(help="Validations (HDF5) of `validate`, whose scores go onto the card. Repeatable."),
    ] = None,
    seed: OneSeedOption = 0,
    library: LibraryOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Train the model `best` on all samples of each structure, for `glideflow predict`.

    The folder holds the model, what γ surfaces of the structure look like, and
    where the training samples lie. Scores on the card are of held-out samples.
    """
    from glideflow.storage import read_record
    from glideflow.transfer.dataset import read_dataset
    from glideflow.transfer.held_out_scores import held_out_scores
    from glideflow.transfer.strength_models import fit_strength_model
    from glideflow.transfer.validation import Validations

    settings = settings_from(config, overrides).transfer
    validated = [record for file in validation or () for record in read_record(file, Validations).records]
    named = () if datasets and not groups else known_structures(groups)
    refuse_unwritable_outputs([output / "model"])
    every = [
        *(group_samples(group, settings, library) for group in named),
        *(read_dataset(file) for file in datasets or ()),
    ]
    scores = [held_out_scores(validated, samples) for samples in every]
    for samples, held_out in zip(every, scores, strict=True):
        _refuse_without_scores(samples, held_out, validation)
    for samples, held_out in zip(every, scores, strict=True):
        folder = output / samples.name
        fit_strength_model(samples, folder, floor_mpa=settings.floor_mpa, seed=seed, held_out=held_out)
        print(folder)


@app.command()
def strengths(
    *,
    model: OneModelOption = "best",
    outputs: OutputsOption = None,
    seed: OneSeedOption = 0,
    library: LibraryOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Peierls stresses of every metal by every route, beside the published ones (Table 1 of the paper).

    EAM: classical potentials, by protocol. PT-EAM: a model trained on them, fed
    with elastic constants and γ of machine-learned potentials. PT-MLFF: trained
    on stresses of other machine-learned potentials, too. MLFF: these by
    atomistics.
    """
    from glideflow.cli.display import progress_display
    from glideflow.reporting.strengths import strength_markdown
    from glideflow.strength_library import load
    from glideflow.transfer.regressors import regressor
    from glideflow.transfer.strengths import strength_table

    settings = settings_from(config, overrides).transfer
    refuse_unwritable_outputs(outputs or ())
    recipe = regressor(model, settings)
    with progress_display() as progress:
        table = strength_table(
            load(library or configured_library(settings)),
            settings.data,
            recipe,
            floor_mpa=settings.floor_mpa,
            seed=seed,
            progress=progress,
        )
    for output in outputs or ():
        _write_strengths(table, output)
    print(printable(f"{table.model}, trained on {'; '.join(table.training_source)} of {table.library_name}"))
    print(strength_markdown(table), end="")


def _write_strengths(table: StrengthTable, output: Path) -> None:
    from glideflow.atomic import write_text
    from glideflow.reporting.strengths import strength_csv, strength_markdown
    from glideflow.storage import write_record

    text = {".csv": strength_csv, ".md": strength_markdown}.get(output.suffix)
    if text is None:
        write_record(output, table)
    else:
        write_text(output, text(table))


def _refuse_one_structure(samples: TransferDataset, training: str | None) -> None:
    """With one structure, training together and apart are the same."""
    if training is not None and len(set(samples.structures)) < 2:
        raise ConfigurationError(
            f"--training {training} of the data set {samples.name!r}, which holds one structure",
            expected="a data set of several",
            next_step="name --group joint, or leave out --training",
        )


def _refuse_without_scores(
    samples: TransferDataset, held_out: Sequence[HeldOutScores], validation: Sequence[Path] | None
) -> None:
    """Validations of something else would leave the card without scores, unnoticed."""
    if validation and not held_out:
        raise ConfigurationError(
            f"no validation of the model best on {samples.name!r} in {', '.join(map(str, validation))}",
            expected="one of each data set that is fitted",
            next_step=f"run `glideflow transfer validate --group {samples.name} --model best -o FILE`, or leave out "
            "--validation",
        )


def _checked_splits(names: Sequence[str]) -> Sequence[str]:
    unknown = [name for name in names if name not in ("family", "metal")]
    if unknown:
        raise ConfigurationError(f"the split {unknown[0]!r}", expected="family or metal", next_step="correct --split")
    return names


def _print_datasets(made: Sequence[TransferDataset], floor_mpa: float, as_json: bool) -> None:
    import json

    rows = [_described(each, floor_mpa) for each in made]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    headings = ("data set", "samples", "families", "metals", "censored", "with semidiscrete", "γ error (mJ/m²)")
    keys = ("name", "samples", "families", "metals", "censored", "with_semidiscrete", "largest_gamma_error_mj_m2")
    print_rows(headings, [[_cell(row[key]) for key in keys] for row in rows])
    for row in rows:
        reasons = Counter(_in_short(reason) for reason in row["omitted"].values())
        named = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        print(printable(f"left out of {row['name']}: {named or 'nothing'}"), file=sys.stderr)


def _in_short(reason: str) -> str:
    """A reason without what differs from potential to potential; --json gives it in full."""
    return reason.split(":")[0].split(" of ")[0]


def _described(made: TransferDataset, floor_mpa: float) -> dict[str, Any]:
    """What a data set holds, and what was left out of it and why."""
    import numpy as np

    from glideflow.transfer.dataset import content_sha256, target_log10

    return {
        "name": made.name,
        "protocol": made.protocol,
        "samples": len(made),
        "families": len(set(made.families)),
        "metals": dict(Counter(made.elements)),
        "sources": dict(Counter(made.sources)),
        "censored": int(target_log10(made, floor_mpa).censored.sum()),
        "with_semidiscrete": int(np.isfinite(made.peierls_nabarro("surface")).sum()),
        "floor_mpa": floor_mpa,
        "largest_gamma_error_mj_m2": float(made.gamma_error_mj_m2.max()),
        "library": made.library_name,
        "library_sha256": made.library_sha256,
        "content_sha256": content_sha256(made),
        "potential_ids": made.potential_ids,
        "omitted": dict(zip(made.omitted_ids, made.omitted_reasons, strict=True)),
    }


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items())
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def _print_summary(rows: Sequence[SummaryRow], *, as_json: bool) -> None:
    """A table for each data set and split: all in one would be wider than a terminal."""
    import dataclasses
    import json
    from itertools import groupby

    from glideflow.transfer.summary import COLUMNS, TITLE_COLUMNS

    if as_json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2, ensure_ascii=False))
        return
    titles, columns = COLUMNS[:TITLE_COLUMNS], COLUMNS[TITLE_COLUMNS:]
    for title, found in groupby(rows, key=lambda row: ", ".join(text(row) for _, text in titles)):
        print_rows([heading for heading, _ in columns], [[text(row) for _, text in columns] for row in found], title)


def _print_training(records: Sequence[ValidationRecord], *, as_json: bool) -> None:
    """Both ways of training side by side, where models were trained both ways."""
    from glideflow.reporting.transfer_training import SCOPE_COLUMNS, scope_cells
    from glideflow.transfer.training_scope import scope_rows

    rows = scope_rows(records)
    if rows and not as_json:
        print_rows(SCOPE_COLUMNS, scope_cells(rows), "trained on all structures together, and on each apart")


def _print_curves(curves: Sequence[LearningCurve], as_json: bool) -> None:
    import json

    rows = [
        {
            "dataset": each.dataset,
            "model": each.model,
            "families": int(count),
            "median_factor": [float(value) for value in each.median_factor[k]],
            "spearman": [float(value) for value in each.spearman[k]],
        }
        for each in curves
        for k, count in enumerate(each.families)
    ]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    headings = ("data set", "model", "families", "median factor, by seed")
    print_rows(
        headings,
        [
            [str(row["dataset"]), str(row["model"]), str(row["families"]), "  ".join(f"{f:.2f}" for f in factors)]
            for row, factors in ((row, row["median_factor"]) for row in rows)
            if isinstance(factors, list)
        ],
    )


app.command()(transfer_errors.errors)
app.command()(transfer_errors.shots)
app.command()(transfer_errors.cost)
app.command()(transfer_errors.claims)
app.command()(train)
app.command()(combine)
app.command()(calibrate)
app.command()(tune)
