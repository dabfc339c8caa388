"""`glideflow predict`: the Peierls stress from elastic constants and whatever is known of a γ surface."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glideflow.cli.options import (
    ConfigOption,
    JsonOption,
    PotentialChoice,
    SetOption,
    WorkOption,
    chosen_potential,
    settings_from,
    with_options,
)
from glideflow.cli.properties import refuse_unwritable
from glideflow.errors import ConfigurationError
from glideflow.text import printable

if TYPE_CHECKING:
    from glideflow.transfer.prediction import StrengthModel, StrengthPrediction, Suggestion
    from glideflow.transfer.user_inputs import UserCrystal

    _Answer = tuple[StrengthPrediction, tuple[Suggestion, ...]]

CORES = 4
"""At most, for the cores of a crystal's possible γ surfaces: on a login node others work, too."""

FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(help="Descriptions of crystals (YAML or JSON): structure, lattice, elastic, gamma.", metavar="FILE"),
]
ExampleOption = Annotated[
    str | None,
    typer.Option("--example", help="Print a description to start from: fcc, bcc or hcp.", metavar="fcc|bcc|hcp"),
]
ModelFolderOption = Annotated[
    Path | None,
    typer.Option("--model", "-m", help="Folder that `glideflow transfer fit` wrote. Default: the shipped models."),
]
SuggestOption = Annotated[
    int, typer.Option("--suggest", min=0, max=50, help="Also name so many displacements to compute γ at next.")
]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report", help="Also write a page (HTML) with γ, and what each elastic constant and each point of γ does."
    ),
]


@with_options
def predict(
    choice: PotentialChoice,
    files: FilesArgument = None,
    example: ExampleOption = None,
    model: ModelFolderOption = None,
    suggest: SuggestOption = 0,
    report: ReportOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    work: WorkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the Peierls stress of an edge dislocation from elastic constants and γ surface.

    A description of a crystal names its lattice and elastic constants and
    whatever is known of γ: single faults, points, lines, a grid, or outputs of
    calculations. What is missing of γ is estimated from what γ surfaces of the
    structure look like, and its uncertainty enters the interval.

    With a potential instead of a file (--potential, or --element and
    --structure with --calculator, --nep or --pair-style) both are computed
    first, in seconds for an EAM potential.
    """
    if example is not None:
        print(_example(example), end="")
        return
    if report is not None:
        refuse_unwritable(report)
    crystals = _described(files or [], model)
    if not crystals or any(vars(choice).values()):
        crystals = [*crystals, _computed(choice, config, overrides, work, model)]
    answers = [_answer(strength, crystal, suggest) for strength, crystal in crystals]
    if as_json:
        print(json.dumps([_plain(prediction, found) for prediction, found in answers], indent=2, ensure_ascii=False))
    else:
        for prediction, found in answers:
            _print(prediction, found, asked=suggest > 0)
    if report is not None:
        _write_report(crystals, answers, report)


def _described(files: Sequence[Path], model: Path | None) -> list[tuple[StrengthModel, UserCrystal]]:
    """Every file's crystal with the model of its structure; all are read before any is predicted."""
    from glideflow.transfer.user_inputs import read_inputs, user_crystal

    read = [(file, read_inputs(file)) for file in files]
    models: dict[str, StrengthModel] = {}
    found = []
    for file, inputs in read:
        if inputs.structure not in models:
            models[inputs.structure] = _model(model, inputs.structure)
        strength = models[inputs.structure]
        found.append((strength, user_crystal(inputs, strength.prior, file.parent, name=file.stem)))
    return found


def _model(folder: Path | None, structure: str) -> StrengthModel:
    from glideflow.transfer.strength_models import CONTEXT_FILE, read_strength_model, shipped_strength_model

    if folder is None:
        return shipped_strength_model(structure)
    own = folder / structure if (folder / structure).is_dir() else folder
    if not (own / CONTEXT_FILE).is_file():
        raise ConfigurationError(
            f"{folder} holds no model of {structure} crystals",
            expected="the folder that `glideflow transfer fit` wrote",
            next_step="correct --model, or name none for the shipped models",
        )
    found = read_strength_model(own)
    if found.prior.structure != structure:
        raise ConfigurationError(
            f"{folder} holds a model of {found.prior.structure} crystals",
            expected=f"one of {structure} crystals, in it or in its folder {structure}",
            next_step="name another folder with --model, or none for the shipped models",
        )
    return found


def _computed(
    choice: PotentialChoice, config: Path | None, overrides: list[str] | None, work: Path | None, model: Path | None
) -> tuple[StrengthModel, UserCrystal]:
    """A potential's crystal, its elastic constants and γ surface computed now."""
    from glideflow.cli.display import progress_display
    from glideflow.cli.properties import Computation, StageFailedError
    from glideflow.config.slip_systems import SlipSystemSettings
    from glideflow.transfer.user_inputs import computed_crystal

    if not any(vars(choice).values()):
        raise ConfigurationError(
            "nothing to predict was named",
            expected="files that describe crystals, or a potential",
            next_step="`glideflow predict --example fcc > my.yaml` writes a file to start from",
        )
    settings = settings_from(config, overrides)
    potential = chosen_potential(choice, settings)
    strength = _model(model, potential.structure)
    system = SlipSystemSettings.model_validate_json(strength.prior.slip_system_definition)
    computation = Computation(potential, settings, system, "edge")
    with progress_display() as progress:
        stages = list(computation.upstream("peierls_nabarro", {}, work, progress))
    failed = next((stage for stage in stages if stage.failure is not None), None)
    if failed is not None and failed.failure is not None:
        raise StageFailedError(
            f"{potential.id}, {failed.property}: {failed.failure.reason}",
            expected=failed.failure.expected,
            next_step=failed.failure.next_step,
        )
    return strength, computed_crystal(potential, stages, strength.prior)


def _answer(
    strength: StrengthModel, crystal: UserCrystal, count: int
) -> tuple[StrengthPrediction, tuple[Suggestion, ...]]:
    from glideflow.forked import on_cores
    from glideflow.transfer.prediction import predict_crystal, suggest

    with on_cores(CORES):
        return predict_crystal(strength, crystal), suggest(strength, crystal, count) if count else ()


def _plain(prediction: StrengthPrediction, found: Sequence[Suggestion]) -> dict[str, Any]:
    from dataclasses import asdict

    from glideflow import __version__

    document = asdict(prediction)
    document["intervals_mpa"] = {str(level): ends for level, ends in prediction.intervals_mpa.items()}
    document["suggestions"] = [asdict(each) for each in found]
    return document | {"glideflow_version": __version__}


def _print(prediction: StrengthPrediction, found: Sequence[Suggestion], *, asked: bool) -> None:
    from glideflow.reporting.labels import significant
    from glideflow.transfer.prediction import SHOWN_LEVELS

    shown = prediction
    intervals = ", ".join(
        f"{level:.0%} within {_mpa(low)} to {_mpa(high)} MPa"
        for level, (low, high) in shown.intervals_mpa.items()
        if level in SHOWN_LEVELS
    )
    element = f", {shown.element}" if shown.element else ""
    lines = [
        f"{shown.name or 'crystal'}{element} ({shown.slip_system}, {shown.cut} cut, edge)",
        f"  Peierls stress    {_mpa(shown.peierls_mpa)} MPa: {intervals}",
        f"  spread            a factor of {10**shown.spread_log10:.2f}: of the model "
        f"{10**shown.model_spread_log10:.2f}, of what is not known of γ {10**shown.input_spread_log10:.2f}",
        f"  γ surface         maximum {shown.gamma_maximum_mj_m2:.4g} mJ/m², known to "
        f"{significant(shown.gamma_deviation_mj_m2, 2)} mJ/m² (root mean square), "
        f"{significant(shown.gamma_residual_mj_m2, 2)} mJ/m² from the "
        "given values at most",
        f"  input from        {shown.input_source}",
        f"  model             {shown.model}, trained on {shown.trained_on}",
        *(f"  held out          {each.sentence()}" for each in shown.held_out),
        "  nearest samples   "
        + ", ".join(
            f"{each.potential_id} {'≤ ' * each.at_floor}{_mpa(each.peierls_mpa)} MPa" for each in shown.neighbours[:3]
        ),
    ]
    lines += [f"  outside of the training samples: {text}" for text in shown.outside]
    lines += [f"  warning: {text}" for text in shown.warnings]
    if asked and not found:
        lines.append("  compute next: nothing, γ is known")
    if found:
        lines += [
            "  compute next, γ at (periods along b, across it):",
            "    what is left is an average over many crystals; one point alone often does less",
        ]
        lines += [
            f"    ({each.fraction[0]:.4f}, {each.fraction[1]:.4f}) = ({each.displacement_angstrom[0]:.3f}, "
            f"{each.displacement_angstrom[1]:.3f}) Å, expected {each.gamma_mj_m2:.4g} ± "
            f"{significant(each.deviation_mj_m2, 2)} mJ/m²; then about a factor of "
            f"{10**each.input_spread_log10:.2f} is left from γ"
            for each in found
        ]
    print("\n".join(printable(line) for line in lines))


def _mpa(value: float) -> str:
    from glideflow.reporting.labels import significant

    return significant(value, 3)


def _write_report(
    crystals: Sequence[tuple[StrengthModel, UserCrystal]], answers: Sequence[_Answer], output: Path
) -> None:
    from glideflow.forked import on_cores
    from glideflow.reporting.prediction import PredictionReport, write_prediction_page
    from glideflow.transfer.prediction import sensitivity

    with on_cores(CORES):
        reports = [
            PredictionReport(
                crystal=crystal,
                prediction=prediction,
                suggestions=suggestions,
                sensitivity=sensitivity(strength, crystal),
            )
            for (strength, crystal), (prediction, suggestions) in zip(crystals, answers, strict=True)
        ]
    write_prediction_page(reports, output)
    print(output, file=sys.stderr)


def _example(structure: str) -> str:
    from importlib import resources

    if structure not in ("fcc", "bcc", "hcp"):
        raise ConfigurationError(
            f"no example for {structure!r}", expected="fcc, bcc or hcp", next_step="correct --example"
        )
    return (resources.files("glideflow") / "data" / "predict" / f"{structure}.yaml").read_text(encoding="utf-8")
