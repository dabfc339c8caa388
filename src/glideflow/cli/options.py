"""Options that several commands share, and how they become settings and a potential."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from glideflow.errors import ConfigurationError

if TYPE_CHECKING:
    from glideflow.config.run import RunSettings
    from glideflow.potentials.record import Potential, Structure

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration of a run (YAML). Default: built-in defaults.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one value, e.g. --set peierls_stress.height_angstrom=60. Repeatable."),
]
PotentialOption = Annotated[
    str | None, typer.Option("--potential", "-p", help="Id of a potential of the configured sources.")
]
ElementOption = Annotated[str | None, typer.Option("--element", help="Chemical symbol, e.g. Cu.")]
StructureOption = Annotated[str | None, typer.Option("--structure", help="Crystal structure: fcc, bcc or hcp.")]
PairStyleOption = Annotated[str | None, typer.Option("--pair-style", help="LAMMPS pair style, e.g. eam/alloy.")]
PairCoeffOption = Annotated[
    list[str] | None,
    typer.Option("--pair-coeff", help="Arguments of pair_coeff, e.g. '* * FILE Cu'. Repeatable; files anywhere."),
]
CalculatorOption = Annotated[
    str | None, typer.Option("--calculator", help="ASE calculator as module:factory, instead of a LAMMPS pair style.")
]
LatticeOption = Annotated[
    Path | None, typer.Option("--lattice", help="Record of the lattice stage; computed first if not given.")
]
SlipSystemOption = Annotated[
    str | None, typer.Option("--slip-system", help="Name of a configured slip system. Default: the structure's first.")
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="HDF5 file for the record, written even if the computation fails.")
]
WorkOption = Annotated[
    Path | None, typer.Option("--work", help="Folder of partial results, from which an interrupted command resumes.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


@dataclass(frozen=True, kw_only=True)
class PotentialChoice:
    """How the user named a potential: by id, or by everything that LAMMPS or ASE need."""

    potential: str | None
    element: str | None
    structure: str | None
    pair_style: str | None
    pair_coeff: list[str] | None
    calculator: str | None


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
    described = {
        "--element": choice.element,
        "--structure": choice.structure,
        "--pair-style": choice.pair_style,
        "--pair-coeff": choice.pair_coeff,
        "--calculator": choice.calculator,
    }
    given = [name for name, value in described.items() if value]
    if choice.potential is not None:
        if given:
            raise ConfigurationError(
                f"--potential was given together with {', '.join(given)}",
                expected="either the id of a configured potential, or a description of one",
                next_step="leave one of them out",
            )
        from glideflow.potentials.select import find

        return find(settings.potentials, Path.cwd(), choice.potential)
    return _described_potential(choice)


def _described_potential(choice: PotentialChoice) -> Potential:
    if choice.element is None or choice.structure is None:
        raise ConfigurationError(
            "no potential was named",
            expected="--potential ID, or --element and --structure with --pair-style and --pair-coeff or --calculator",
            next_step="`glideflow potentials list` shows the ids that come with LAMMPS",
        )
    structure = _structure(choice.structure)
    if choice.calculator is not None:
        from glideflow.potentials.calculator import potential_from_calculator

        return potential_from_calculator(choice.element, structure, choice.calculator)
    from glideflow.potentials.adhoc import potential_from_command

    return potential_from_command(choice.element, structure, choice.pair_style or "", choice.pair_coeff or [])


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
