"""Options that several commands share, and how they become settings and a potential."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast, get_args, get_type_hints

import typer

from glideflow.errors import ConfigurationError
from glideflow.text import printable

if TYPE_CHECKING:
    from glideflow.config.run import RunSettings
    from glideflow.potentials.record import Potential, Structure

POTENTIAL_PANEL: Final = "Which potential"
RUN_PANEL: Final = "Settings, input and output"


def _about_potential(*names: str, help: str, metavar: str | None = None) -> Any:  # noqa: ANN401 - typer's own
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=POTENTIAL_PANEL)


def _about_run(*names: str, help: str) -> Any:  # noqa: ANN401 - typer's own
    return typer.Option(*names, help=help, rich_help_panel=RUN_PANEL)


PotentialOption = Annotated[
    str | None,
    _about_potential("--potential", "-p", help="Id of a potential of the configured sources: `potentials list`."),
]
ElementOption = Annotated[
    str | None, _about_potential("--element", help="Chemical symbol, e.g. Cu, for a potential described here.")
]
StructureOption = Annotated[
    str | None, _about_potential("--structure", help="Crystal structure: fcc, bcc or hcp.", metavar="fcc|bcc|hcp")
]
PairStyleOption = Annotated[str | None, _about_potential("--pair-style", help="LAMMPS pair style, e.g. eam/alloy.")]
PairCoeffOption = Annotated[
    list[str] | None,
    _about_potential("--pair-coeff", help="Arguments of pair_coeff, e.g. '* * FILE Cu'. Repeatable; files anywhere."),
]
NepOption = Annotated[
    Path | None,
    _about_potential("--nep", help="Neuroevolution potential (nep.txt), instead of a pair style.", metavar="FILE"),
]
CalculatorOption = Annotated[
    str | None,
    _about_potential(
        "--calculator",
        help="ASE calculator by its import path, instead of a pair style, e.g. ase.calculators.emt:EMT.",
        metavar="MODULE:FACTORY",
    ),
]
ArgumentOption = Annotated[
    list[str] | None,
    _about_potential(
        "--argument", help="Argument of --calculator, e.g. model=w.model. Repeatable.", metavar="NAME=VALUE"
    ),
]
CutoffOption = Annotated[
    float | None,
    _about_potential("--cutoff", help="Range of --calculator in Å. Default: stated by it, and measured."),
]
ConfigOption = Annotated[
    Path | None, _about_run("--config", "-c", help="Configuration of a run (YAML). Default: built-in defaults.")
]
SetOption = Annotated[
    list[str] | None,
    _about_run("--set", help="Override one value, e.g. --set peierls_stress.height_angstrom=60. Repeatable."),
]
LatticeOption = Annotated[
    Path | None, _about_run("--lattice", help="Record of the lattice command; computed first if not given.")
]
SlipSystemOption = Annotated[
    str | None, _about_run("--slip-system", help="Name of a configured slip system. Default: the structure's first.")
]
OutputOption = Annotated[
    Path | None, _about_run("--output", "-o", help="HDF5 file for the record, written even if the computation fails.")
]
WorkOption = Annotated[
    Path | None, _about_run("--work", help="Folder of partial results, from which an interrupted command resumes.")
]
JsonOption = Annotated[
    bool,
    _about_run("--json", help="Print the result as JSON on standard output; progress stays on standard error."),
]


@dataclass(frozen=True, kw_only=True)
class PotentialChoice:
    """How the user named a potential: by id, or by everything that LAMMPS, calorine or ASE need."""

    potential: PotentialOption = None
    element: ElementOption = None
    structure: StructureOption = None
    pair_style: PairStyleOption = None
    pair_coeff: PairCoeffOption = None
    nep: NepOption = None
    calculator: CalculatorOption = None
    argument: ArgumentOption = None
    cutoff: CutoffOption = None


@dataclass(frozen=True, kw_only=True)
class RunChoice:
    """What commands that compute share beside the potential: settings, and where results go."""

    config: ConfigOption = None
    overrides: SetOption = None
    output: OutputOption = None
    work: WorkOption = None
    as_json: JsonOption = False


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take whole groups of options: a parameter that is a dataclass stands for one option per field.

    Args:
        command: a function whose parameters are options, or dataclasses of options such as `PotentialChoice`.

    Returns:
        a function with an option for each field in place of each dataclass, for typer to read.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}

    @functools.wraps(command)
    def expanded(**given: Any) -> None:  # noqa: ANN401 - whatever the options hold
        grouped = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**grouped, **given)

    parameters = list(_expanded_parameters(command, hints, groups))
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def _expanded_parameters(
    command: Callable[..., None], hints: Mapping[str, Any], groups: Mapping[str, Any]
) -> Iterator[inspect.Parameter]:
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in groups:
            yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
            continue
        types = get_type_hints(groups[name], include_extras=True)
        for field in fields(groups[name]):
            yield inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=types[field.name]
            )


def settings_from(config: Path | None, overrides: list[str] | None) -> RunSettings:
    """Settings of a configuration file with ``--set`` overrides.

    Raises:
        ConfigurationError: the file or an override is not valid.
    """
    from glideflow.config.load import load_settings, settings_from_mapping

    settings = load_settings(config)
    if not overrides:
        return settings
    mapping = settings.model_dump(mode="json")
    for override in overrides:
        _apply(mapping, override)
    return settings_from_mapping(mapping, "--set")


def chosen_potential(choice: PotentialChoice, settings: RunSettings) -> Potential:
    """The potential that the user named.

    Raises:
        ConfigurationError: neither or both ways of naming it were used, or the id is unknown.
        PotentialError: files or styles do not fit.
    """
    if choice.potential is not None:
        _refuse_description(choice)
        from glideflow.potentials.select import find

        return find(settings.potentials, Path.cwd(), choice.potential)
    return _described_potential(choice)


def _refuse_description(choice: PotentialChoice) -> None:
    given = [
        _option(field.name) for field in fields(choice) if field.name != "potential" and getattr(choice, field.name)
    ]
    if given:
        raise ConfigurationError(
            f"--potential was given together with {', '.join(given)}",
            expected="either the id of a configured potential, or a description of one",
            next_step="leave one of them out",
        )


def _described_potential(choice: PotentialChoice) -> Potential:
    evaluators = [name for name in ("pair_style", "nep", "calculator") if getattr(choice, name) is not None]
    if choice.element is None or choice.structure is None or not (evaluators or choice.pair_coeff):
        wanted = [_option(name) for name in ("element", "structure") if getattr(choice, name) is None]
        raise ConfigurationError(
            "no potential was named" + (f": {' and '.join(wanted)} missing" if len(wanted) < 2 and wanted else ""),
            expected="--potential ID, or --element and --structure with --pair-style and --pair-coeff, --nep, or "
            "--calculator",
            next_step="`glideflow potentials list` shows the ids that come with LAMMPS",
        )
    _refuse_mixture(choice, evaluators)
    structure = _structure(choice.structure)
    if choice.nep is not None:
        from glideflow.engines.nep import refuse_without_calorine
        from glideflow.potentials.adhoc import potential_from_nep

        refuse_without_calorine()
        return _undamaged(potential_from_nep(choice.element, structure, choice.nep))
    if choice.calculator is not None:
        return _calculator(choice, choice.element, structure, choice.calculator)
    from glideflow.potentials.adhoc import potential_from_command

    return _undamaged(
        potential_from_command(choice.element, structure, choice.pair_style or "", choice.pair_coeff or [])
    )


def _undamaged(potential: Potential) -> Potential:
    """A potential whose files hold what their headers announce.

    LAMMPS passes over values that are too many, and computes with tables that these have shifted.

    Raises:
        PotentialError: they hold something else.
    """
    from glideflow.potentials.check import check_potential

    report = check_potential(potential)
    if report.problems:
        raise report.problems[0]
    for remark in report.remarks:
        print(printable(f"remark: {remark}"), file=sys.stderr)
    return potential


def _calculator(choice: PotentialChoice, element: str, structure: Structure, calculator: str) -> Potential:
    from glideflow.potentials.calculator import potential_from_calculator

    arguments = dict(_argument(text) for text in choice.argument or [])
    return potential_from_calculator(element, structure, calculator, arguments=arguments, cutoff_angstrom=choice.cutoff)


def _argument(text: str) -> tuple[str, str | int | float | bool | None]:
    """One ``NAME=VALUE``; the value is read as a scalar of YAML, so ``2`` is a number and ``true`` is true."""
    from glideflow.config.yaml_text import parse_yaml

    name, separator, value = text.partition("=")
    data = parse_yaml(value, f"--argument {name}").data if separator else []
    if not isinstance(data, str | int | float | bool | None):
        raise ConfigurationError(
            f"--argument {text!r:.200}",
            expected="NAME=VALUE with text, a number, true or false",
            next_step="for anything else, write a small factory of your own that sets the calculator up",
        )
    return name, data


def _refuse_mixture(choice: PotentialChoice, evaluators: Sequence[str]) -> None:
    """Refuse two ways to evaluate at once, and options that belong to another way."""
    only = {"pair_coeff": "pair_style", "argument": "calculator", "cutoff": "calculator"}
    stray = [name for name, owner in only.items() if getattr(choice, name) is not None and owner not in evaluators]
    if len(evaluators) > 1 or (stray and evaluators):
        raise ConfigurationError(
            f"{', '.join(_option(name) for name in (*evaluators, *stray))} were given together",
            expected="--pair-style with --pair-coeff, or --nep, or --calculator with --argument and --cutoff",
            next_step="keep the options of one of them",
        )


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _structure(name: str) -> Structure:
    from glideflow.potentials.record import Structure

    if name not in get_args(Structure):
        raise ConfigurationError(f"the structure {name!r}", expected="fcc, bcc or hcp", next_step="correct --structure")
    return cast("Structure", name)


def _apply(mapping: dict[str, Any], override: str) -> None:
    from glideflow.config.yaml_text import parse_yaml

    key, separator, text = override.partition("=")
    *parents, last = key.split(".")
    section: Any = mapping
    for parent in parents:
        section = section.get(parent) if isinstance(section, dict) else None
    if not separator or not isinstance(section, dict):
        raise ConfigurationError(
            f"--set {override!r} names no configuration value",
            expected="SECTION.KEY=VALUE, e.g. gamma_surface.layers=24",
            next_step="`glideflow config show` lists the keys",
        )
    section[last] = parse_yaml(text, f"--set {key}").data
