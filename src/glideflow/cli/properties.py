"""Commands that compute one property of one potential: lattice, elastic, gamma, peierls."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glideflow.cli.options import (
    CalculatorOption,
    ConfigOption,
    ElementOption,
    JsonOption,
    LatticeOption,
    OutputOption,
    PairCoeffOption,
    PairStyleOption,
    PotentialChoice,
    PotentialOption,
    SetOption,
    SlipSystemOption,
    StructureOption,
    WorkOption,
    chosen_potential,
    settings_from,
)
from glideflow.errors import ConfigurationError, GlideflowError
from glideflow.job_log import WROTE

if TYPE_CHECKING:
    from glideflow.config.run import Property, RunSettings
    from glideflow.config.slip_systems import SlipSystemSettings
    from glideflow.potentials.record import Potential
    from glideflow.records import StageRecord

CharacterOption = Annotated[str, typer.Option("--character", help="Dislocation character; edge is implemented.")]


class StageFailedError(GlideflowError):
    """A property could not be computed and there is no file to record that in."""


def lattice(
    potential: PotentialOption = None,
    element: ElementOption = None,
    structure: StructureOption = None,
    pair_style: PairStyleOption = None,
    pair_coeff: PairCoeffOption = None,
    calculator: CalculatorOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = None,
    work: WorkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Relaxed lattice constants and energy (on the potential's own zero) of the perfect crystal."""
    choice = _choice(potential, element, structure, pair_style, pair_coeff, calculator)
    _run("lattice", choice, config, overrides, output=output, work=work, as_json=as_json)


def elastic(
    potential: PotentialOption = None,
    element: ElementOption = None,
    structure: StructureOption = None,
    pair_style: PairStyleOption = None,
    pair_coeff: PairCoeffOption = None,
    calculator: CalculatorOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    lattice: LatticeOption = None,
    output: OutputOption = None,
    work: WorkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Elastic constants by central differences of the stress, internal coordinates relaxed."""
    choice = _choice(potential, element, structure, pair_style, pair_coeff, calculator)
    _run("elastic", choice, config, overrides, lattice=lattice, output=output, work=work, as_json=as_json)


def gamma(
    potential: PotentialOption = None,
    element: ElementOption = None,
    structure: StructureOption = None,
    pair_style: PairStyleOption = None,
    pair_coeff: PairCoeffOption = None,
    calculator: CalculatorOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    lattice: LatticeOption = None,
    slip_system: SlipSystemOption = None,
    output: OutputOption = None,
    work: WorkOption = None,
    as_json: JsonOption = False,
) -> None:
    """γ surface of a slip plane, relaxed along its normal.

    isf and asf exist for fcc {111} only and are null elsewhere; usf is the maximum along the primary path: from 0 to
    the intrinsic fault for fcc {111}, along the Burgers vector for the others.
    """
    choice = _choice(potential, element, structure, pair_style, pair_coeff, calculator)
    _run(
        "gamma_surface",
        choice,
        config,
        overrides,
        lattice=lattice,
        slip_system=slip_system,
        output=output,
        work=work,
        as_json=as_json,
    )


def peierls(
    potential: PotentialOption = None,
    element: ElementOption = None,
    structure: StructureOption = None,
    pair_style: PairStyleOption = None,
    pair_coeff: PairCoeffOption = None,
    calculator: CalculatorOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    lattice: LatticeOption = None,
    slip_system: SlipSystemOption = None,
    character: CharacterOption = "edge",
    output: OutputOption = None,
    work: WorkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Peierls stress of a straight dislocation by stress control, with the error of the search."""
    choice = _choice(potential, element, structure, pair_style, pair_coeff, calculator)
    _run(
        "peierls_stress",
        choice,
        config,
        overrides,
        lattice=lattice,
        slip_system=slip_system,
        character=character,
        output=output,
        work=work,
        as_json=as_json,
    )


def _choice(
    potential: str | None,
    element: str | None,
    structure: str | None,
    pair_style: str | None,
    pair_coeff: list[str] | None,
    calculator: str | None,
) -> PotentialChoice:
    return PotentialChoice(
        potential=potential,
        element=element,
        structure=structure,
        pair_style=pair_style,
        pair_coeff=pair_coeff,
        calculator=calculator,
    )


def _run(
    name: Property,
    choice: PotentialChoice,
    config: Path | None,
    overrides: list[str] | None,
    *,
    lattice: Path | None = None,
    slip_system: str | None = None,
    character: str = "",
    output: Path | None,
    work: Path | None,
    as_json: bool,
) -> None:
    """Compute a property (and the lattice before it, if need be), write its record, print it."""
    from glideflow.cli.display import progress_display

    character = _checked_character(character)
    settings = settings_from(config, overrides)
    potential = chosen_potential(choice, settings)
    system = _slip_system(settings, potential, slip_system) if name in ("gamma_surface", "peierls_stress") else None
    if output is not None:
        _refuse_unwritable(output)
    with progress_display() as progress:
        base = _lattice_record(name, potential, settings, lattice, progress)
        stage = _stage(name, potential, settings, base, system, character, work, progress)
    if output is not None:
        from glideflow.storage import write_record

        write_record(output, stage)
    _report(stage, base, output, as_json)


def _stage(
    name: Property,
    potential: Potential,
    settings: RunSettings,
    lattice: StageRecord | None,
    system: SlipSystemSettings | None,
    character: str,
    work: Path | None,
    progress: Any,  # noqa: ANN401 - a Progress
) -> StageRecord:
    from glideflow.stages import StageRequest, run_stage

    request = StageRequest(
        name=name,
        potential=potential,
        settings=settings,
        lattice=lattice,
        slip_system=system,
        character=character,
        work=work,
    )
    return run_stage(request, progress)


def _lattice_record(
    name: Property,
    potential: Potential,
    settings: RunSettings,
    path: Path | None,
    progress: Any,  # noqa: ANN401 - a Progress
) -> StageRecord | None:
    if name == "lattice":
        return None
    if path is None:
        return _stage("lattice", potential, settings, None, None, "", None, progress)
    from glideflow.records import StageRecord
    from glideflow.stages import lattice_fits
    from glideflow.storage import read_record

    record = read_record(path, StageRecord)
    if not lattice_fits(record, potential):
        raise ConfigurationError(
            f"{path} holds the {record.property} of {record.potential.id} ({record.potential.structure})",
            expected=f"the lattice of {potential.id} ({potential.structure}), computed with the same potential files",
            next_step="run `glideflow lattice` for this potential, or leave --lattice out",
        )
    return record


def _slip_system(settings: RunSettings, potential: Potential, name: str | None) -> SlipSystemSettings:
    fitting = [system for system in settings.slip_systems if system.structure == potential.structure]
    chosen = [system for system in fitting if name in (None, system.name)]
    if not chosen:
        raise ConfigurationError(
            f"no slip system {name!r} for {potential.structure} crystals" if name else "no slip system is configured",
            expected="one of " + (", ".join(system.name for system in fitting) or "none: slip_systems has no entry"),
            next_step="add an entry to slip_systems; a name, the structure, plane and direction are enough",
        )
    return chosen[0]


def _checked_character(character: str) -> str:
    if character not in ("", "edge"):
        raise ConfigurationError(
            f"the dislocation character {character!r}", expected="edge", next_step="leave --character out"
        )
    return character


def _refuse_unwritable(output: Path) -> None:
    """Find out before computing that the result could not be written: hours of work must not end in that."""
    import tempfile

    reason = "a folder of this name is there" if output.is_dir() else ""
    try:
        # Permissions do not tell: root passes them all, and a read-only file system passes them too.
        output.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=output.parent).close()
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise ConfigurationError(
            f"{output} cannot be written: {reason}",
            expected="a file in a folder with write permission",
            next_step="choose another --output, or mend the permissions",
        )


def _report(stage: StageRecord, base: StageRecord | None, output: Path | None, as_json: bool) -> None:
    if as_json:
        print(json.dumps(stage_json(stage, base), indent=2, allow_nan=False))
    elif stage.ok and output is None:
        _print_table(stage, base)
    if stage.failure is None:
        if output is not None:
            print(f"{WROTE} {output}", file=sys.stderr)
    elif output is not None:
        print(f"{stage.property} {stage.status}: {stage.failure.reason}\n(recorded in {output})", file=sys.stderr)
    else:
        raise StageFailedError(
            f"{stage.potential.id}, {stage.property}: {stage.failure.reason}",
            expected=stage.failure.expected,
            next_step=stage.failure.next_step,
        )


def stage_json(stage: StageRecord, base: StageRecord | None = None) -> dict[str, Any]:
    """A stage as plain JSON: potential, status, the lattice constants, and every field of the result."""
    from glideflow.properties.results import LatticeResult

    document: dict[str, Any] = {
        "property": stage.property,
        "potential_id": stage.potential.id,
        "element": stage.potential.element,
        "structure": stage.potential.structure,
        "potential_sha256": stage.potential.sha256,
        "status": stage.status,
    }
    if stage.failure is not None:
        document["failure"] = dataclasses.asdict(stage.failure)
    if base is not None and isinstance(base.result, LatticeResult):
        names = ("a_angstrom", "c_angstrom", "energy_ev_per_atom")
        document |= {name: getattr(base.result, name) for name in names}
    if stage.result is not None:
        document |= {key: _plain(value) for key, value in dataclasses.asdict(stage.result).items()}
    return document | {"provenance": dataclasses.asdict(stage.provenance)}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field of a record
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value.tolist() if hasattr(value, "tolist") else value


def _print_table(stage: StageRecord, base: StageRecord | None) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{stage.potential.id}: {stage.property.replace('_', ' ')}", title_justify="left")
    for heading in ("quantity", "value", "unit"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    hidden = ("provenance", "potential_sha256", "property", "potential_id", "failure")
    for name, value in stage_json(stage, base).items():
        if name not in hidden and not isinstance(value, list | dict):
            table.add_row(name, _number(value), _unit(name))
        elif name == "flags":
            table.add_row(name, "; ".join(value) or "none", "")
    Console().print(table, markup=False)


def _unit(name: str) -> str:
    from glideflow.storage import unit_of

    unit = unit_of(name)
    return "" if unit == "1" else unit


def _number(value: Any) -> str:  # noqa: ANN401 - a scalar
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
