"""Commands on what transferred Peierls stresses err by."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glideflow.cli.library import LibraryOption
from glideflow.cli.options import ConfigOption, JsonOption, SetOption, settings_from
from glideflow.cli.transfer_options import (
    OneModelOption,
    OneSeedOption,
    OutputsOption,
    StructuresOption,
    ValidationsOption,
    configured_library,
    group_samples,
    known_structures,
    print_rows,
    refuse_unwritable_outputs,
)
from glideflow.errors import ConfigurationError
from glideflow.text import printable

if TYPE_CHECKING:
    from glideflow.config.transfer import TransferSettings
    from glideflow.records import Library
    from glideflow.reporting.transfer_claims import Claim
    from glideflow.transfer.error_decomposition import ErrorTable
    from glideflow.transfer.strengths import StrengthTable
    from glideflow.transfer.validation import ValidationRecord

ErrorsOption = Annotated[
    Path | None, typer.Option("--errors", help="Errors by kind (HDF5) of `glideflow transfer errors`.")
]
ShotsOption = Annotated[
    Path | None, typer.Option("--shots", help="Error by number of shots (HDF5) of `glideflow transfer shots`.")
]
TrainingOption = Annotated[
    Path | None, typer.Option("--training", help="Validations (HDF5) of `validate --group joint --training both`.")
]
CostOption = Annotated[Path | None, typer.Option("--cost", help="Costs (HDF5) of `glideflow transfer cost`.")]
StrengthsOption = Annotated[
    Path | None,
    typer.Option("--strengths", help="Table (HDF5) of `glideflow transfer strengths`; made first if not given."),
]


def errors(
    *,
    outputs: OutputsOption = None,
    strengths: StrengthsOption = None,
    validations: ValidationsOption = None,
    model: OneModelOption = "best",
    seed: OneSeedOption = 0,
    library: LibraryOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """What Peierls stresses of each metal err by: physics of the potentials, cell and protocol, inference.

    Every term compares two stresses that differ in one thing: a potential with
    itself in another cell or by other steps (system), classical potentials
    with machine-learned ones (physical), a prediction with atomistics of the
    same potential (inference). Routes: the whole error against machine-learned
    potentials, and the share of every term in it. What there is no data for
    stays empty and says why.
    """
    from glideflow.reporting.transfer_errors import error_csv, error_markdown
    from glideflow.storage import read_record
    from glideflow.strength_library import load
    from glideflow.transfer.error_decomposition import error_table
    from glideflow.transfer.strengths import StrengthTable
    from glideflow.transfer.validation import Validations

    settings = settings_from(config, overrides).transfer
    refuse_unwritable_outputs(outputs or ())
    file = library or configured_library(settings)
    found = load(file)
    made = read_record(strengths, StrengthTable) if strengths else _strengths(found, settings, model, seed)
    held_out = [record for file in validations or () for record in read_record(file, Validations).records]
    _refuse_other_library(held_out, file)
    table = error_table(found, settings.data, made, held_out)
    for output in outputs or ():
        _write(table, output, {".csv": error_csv, ".md": error_markdown})
    _print(table, as_json=as_json)


def shots(
    *,
    outputs: OutputsOption = None,
    groups: StructuresOption = None,
    counts: Annotated[
        list[int] | None,
        typer.Option("--shots", min=0, help="Number of shots. Repeatable. Default: those of the configuration."),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            min=1, help="Most draws of shots for each potential and number. Default: that of the configuration."
        ),
    ] = None,
    model: OneModelOption = "best",
    seed: OneSeedOption = 0,
    library: LibraryOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Error on machine-learned potentials against the number of others that a model was tuned to.

    Each machine-learned potential with a Peierls stress is held out in turn;
    the model learns from all classical potentials of its structure and from so
    many of the others.
    """
    import json
    from dataclasses import asdict

    from glideflow.cli.display import progress_display
    from glideflow.reporting.transfer_shots import SHOT_COLUMNS, cannot_show, shot_cells, shot_markdown, shot_rows
    from glideflow.strength_library import load
    from glideflow.transfer.few_shot import few_shot_curve
    from glideflow.transfer.regressors import regressor

    settings = settings_from(config, overrides).transfer
    structures = known_structures(groups)
    refuse_unwritable_outputs(outputs or ())
    with progress_display() as progress:
        curve = few_shot_curve(
            load(library or configured_library(settings)),
            settings.data,
            regressor(model, settings),
            counts or settings.shots,
            floor_mpa=settings.floor_mpa,
            draws=draws or settings.shot_draws,
            seed=seed,
            structures=structures,
            progress=progress,
        )
    for output in outputs or ():
        _write(curve, output, {".md": shot_markdown})
    rows = shot_rows(curve)
    if as_json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "cannot_show": cannot_show(curve)}, indent=2))
        return
    print_rows(SHOT_COLUMNS, shot_cells(rows))
    print("\n".join(printable(text) for text in cannot_show(curve)))


def cost(
    *,
    outputs: OutputsOption = None,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            help="Results of a run (results/<name>), whose benchmarks are shown beside.",
        ),
    ] = None,
    groups: StructuresOption = None,
    library: LibraryOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """What a Peierls stress costs: atomistics by kind of potential, its inputs, and a prediction.

    Atomistics are counted, from evaluations and atoms in the library; with
    --run also measured. Predictions by the shipped models are timed now.
    """
    from glideflow.reporting.transfer_cost import COST_COLUMNS, cost_cells, cost_markdown
    from glideflow.strength_library import load
    from glideflow.transfer.best import FittedBest
    from glideflow.transfer.cost_panel import CostPanel, counted_costs, measured_costs, timed_predictions
    from glideflow.transfer.strength_models import shipped_strength_model

    settings = settings_from(config, overrides).transfer
    structures = known_structures(groups)
    refuse_unwritable_outputs(outputs or ())
    _refuse_no_run(run)
    found = load(library or configured_library(settings))
    rows = [*counted_costs(found), *(measured_costs(found, run) if run is not None else ())]
    for structure in structures:
        model = shipped_strength_model(structure).model
        assert isinstance(model, FittedBest)
        rows += timed_predictions(model, group_samples(structure, settings, library))
    panel = CostPanel(library_name=found.name, rows=tuple(rows))
    for output in outputs or ():
        _write(panel, output, {".md": cost_markdown})
    print_rows(COST_COLUMNS, cost_cells(panel))


def claims(
    *,
    outputs: OutputsOption = None,
    errors: ErrorsOption = None,
    shots: ShotsOption = None,
    training: TrainingOption = None,
    cost: CostOption = None,
    validations: ValidationsOption = None,
    library: LibraryOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which claims of the physics-transfer paper hold on open potentials, each with the numbers that decide.

    What is not given leaves its claims undecided.
    """
    import json
    from dataclasses import asdict

    from glideflow.reporting.transfer_claims import claim_markdown

    settings = settings_from(config, overrides).transfer
    found = judged(library or configured_library(settings), errors, shots, training, cost, validations)
    for output in outputs or ():
        _write_text(output, claim_markdown(found))
    if as_json:
        print(json.dumps([asdict(each) for each in found], indent=2, ensure_ascii=False))
        return
    for each in found:
        print(printable(f"{each.verdict.upper()}: {each.claim}\n  paper: {each.paper}\n  here:  {each.here}"))


def judged(
    library: Path | None,
    errors: Path | None,
    shots: Path | None,
    training: Path | None,
    cost: Path | None,
    validations: Sequence[Path] | None,
) -> tuple[Claim, ...]:
    """Claims held against what these files say; None for what is not there.

    Raises:
        StorageError: a file is missing, damaged, or something else.
    """
    from glideflow.reporting.transfer_claims import Evidence
    from glideflow.reporting.transfer_claims import claims as judge
    from glideflow.storage import read_record
    from glideflow.strength_library import load
    from glideflow.transfer.cost_panel import CostPanel
    from glideflow.transfer.error_decomposition import ErrorTable
    from glideflow.transfer.few_shot import FewShotCurve
    from glideflow.transfer.training_scope import scope_rows
    from glideflow.transfer.validation import Validations

    return judge(
        Evidence(
            library=load(library),
            errors=None if errors is None else read_record(errors, ErrorTable),
            shots=None if shots is None else read_record(shots, FewShotCurve),
            training=() if training is None else scope_rows(read_record(training, Validations).records),
            cost=None if cost is None else read_record(cost, CostPanel),
            validations=tuple(r for file in validations or () for r in read_record(file, Validations).records),
        )
    )


def _refuse_other_library(records: Sequence[ValidationRecord], library: Path | None) -> None:
    """Held-out predictions of other stresses would be compared with these, unnoticed."""
    from glideflow.transfer.assembly import library_digest

    own = library_digest(library)
    other = next((each for each in records if each.library_sha256 != own), None)
    if other is not None:
        raise ConfigurationError(
            f"the validation of {other.model} on {other.dataset!r} is of the library with the SHA-256 "
            f"{other.library_sha256[:12] or 'of nothing'}",
            expected=f"one of the library that errors are asked of, {own[:12]}",
            next_step="name that library with --library, or validate again: glideflow transfer validate",
        )


def _refuse_no_run(run: Path | None) -> None:
    if run is not None and not (run / "benchmarks").is_dir():
        raise ConfigurationError(
            f"{run} has no folder benchmarks",
            expected="the results of a run of the workflow, e.g. results/quick",
            next_step="correct --run, or leave it out",
        )


def _write_text(output: Path, text: str) -> None:
    from glideflow.atomic import write_text

    write_text(output, text)


def _strengths(library: Library, settings: TransferSettings, model: str, seed: int) -> StrengthTable:
    from glideflow.cli.display import progress_display
    from glideflow.transfer.regressors import regressor
    from glideflow.transfer.strengths import strength_table

    recipe = regressor(model, settings)
    with progress_display() as progress:
        return strength_table(
            library, settings.data, recipe, floor_mpa=settings.floor_mpa, seed=seed, progress=progress
        )


def _write(value: Any, output: Path, texts: Mapping[str, Callable[[Any], str]]) -> None:  # noqa: ANN401 - any record
    """Write a record as text by the ending of the file, else as HDF5."""
    from glideflow.atomic import write_text
    from glideflow.storage import write_record

    text = texts.get(output.suffix)
    if text is None:
        write_record(output, value)
    else:
        write_text(output, text(value))


def _print(table: ErrorTable, *, as_json: bool) -> None:
    import json

    from glideflow.reporting.transfer_errors import ROUTE_COLUMNS, matrix, reasons, route_rows

    if as_json:
        print(json.dumps(_plain(table), indent=2, ensure_ascii=False))
        return
    headings, rows = matrix(table)
    print_rows(headings, rows, "median factor of every error (n)")
    print("\n".join(printable(text) for text in reasons(table)) + "\n", file=sys.stderr)
    routes = [row for row in route_rows(table) if row[2] != "0"]
    print_rows(ROUTE_COLUMNS, routes, "whole errors against machine-learned potentials")


def _plain(table: ErrorTable) -> dict[str, Any]:
    """The table as plain numbers; what is not a number is null."""
    import dataclasses

    terms = [
        _without_nan(
            dataclasses.asdict(term)
            | {"median_factor": term.factor, "median_ratio": term.bias, "ratio_10_to_90": list(term.spread)}
            | {"median_relative_percent": term.relative_percent}
        )
        for term in table.terms
    ]
    routes = [_without_nan(dataclasses.asdict(route)) for route in table.routes]
    return {
        "model": table.model,
        "split": table.split,
        "library": table.library_name,
        "floor_mpa": table.floor_mpa,
        "terms": terms,
        "routes": routes,
    }


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in values.items()}


def _plain_value(value: object) -> object:
    import math

    import numpy as np

    if isinstance(value, np.ndarray | list):
        return [_plain_value(float(each)) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
