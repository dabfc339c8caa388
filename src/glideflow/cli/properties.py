"""Commands that compute one property of one potential: lattice, elastic, gamma, peierls."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glideflow.cli.options import (
    RUN_PANEL,
    LatticeOption,
    PotentialChoice,
    RunChoice,
    SlipSystemOption,
    chosen_potential,
    settings_from,
    with_options,
)
from glideflow.errors import ConfigurationError, GlideflowError
from glideflow.job_log import WROTE

if TYPE_CHECKING:
    from glideflow.config.run import RunSettings
    from glideflow.config.slip_systems import SlipSystemSettings
    from glideflow.potentials.record import Potential
    from glideflow.progress import Progress
    from glideflow.property_specs import Property
    from glideflow.records import StageRecord

CharacterOption = Annotated[
    str, typer.Option(help="Dislocation character, of those of the slip system.", rich_help_panel=RUN_PANEL)
]


class Control(StrEnum):
    """How a dislocation cell is loaded."""

    STRESS = "stress"
    STRAIN = "strain"


ControlOption = Annotated[Control, typer.Option("--control", help="Raise the stress, or the strain as a check.")]
ReferenceOption = Annotated[
    Path | None,
    typer.Option(
        help="Record of the peierls command for the same potential; computed first if not given.",
        rich_help_panel=RUN_PANEL,
    ),
]
ElasticOption = Annotated[
    Path | None,
    typer.Option(help="Record of the elastic command; computed first if not given.", rich_help_panel=RUN_PANEL),
]
GammaOption = Annotated[
    Path | None,
    typer.Option(help="Record of the gamma command; computed first if not given.", rich_help_panel=RUN_PANEL),
]


class StageFailedError(GlideflowError):
    """A property could not be computed and there is no file to record that in."""


@with_options
def lattice(
    choice: PotentialChoice,
    run: RunChoice,
) -> None:
    """Relaxed lattice constants and energy (on the potential's own zero) of the perfect crystal."""
    _run("lattice", choice, run)


@with_options
def elastic(
    choice: PotentialChoice,
    run: RunChoice,
    lattice: LatticeOption = None,
) -> None:
    """Elastic constants by central differences of the stress, internal coordinates relaxed."""
    _run("elastic", choice, run, given={"lattice": lattice})


@with_options
def gamma(
    choice: PotentialChoice,
    run: RunChoice,
    lattice: LatticeOption = None,
    slip_system: SlipSystemOption = None,
) -> None:
    """γ surface of a slip plane, relaxed along its normal.

    isf and asf exist for fcc {111} only and are null elsewhere; usf is the maximum along the primary path: from 0 to
    the intrinsic fault for fcc {111}, along the Burgers vector for the others.
    """
    _run(
        "gamma_surface",
        choice,
        run,
        given={"lattice": lattice},
        slip_system=slip_system,
    )


@with_options
def peierls(
    choice: PotentialChoice,
    run: RunChoice,
    lattice: LatticeOption = None,
    slip_system: SlipSystemOption = None,
    character: CharacterOption = "edge",
    control: ControlOption = Control.STRESS,
) -> None:
    """Peierls stress of a straight dislocation, with the error of the search.

    By stress control a load is raised until no equilibrium is left. By strain control the cell is sheared and its
    largest stress taken: an independent check, in one direction of loading and at two to three times the cost.
    What a larger cell would change is not in the error: peierls-series computes that.
    """
    _run(
        "peierls_stress" if control is Control.STRESS else "peierls_strain",
        choice,
        run,
        given={"lattice": lattice},
        slip_system=slip_system,
        character=character,
    )


@with_options
def peierls_series(
    choice: PotentialChoice,
    run: RunChoice,
    lattice: LatticeOption = None,
    reference: ReferenceOption = None,
    slip_system: SlipSystemOption = None,
    character: CharacterOption = "edge",
) -> None:
    """Peierls stress in the limit of large cells, with its whole error; minutes to hours.

    Searches in cells of several sizes are fitted as τ∞ + A/H + B/L; further ones with another cut, another start and a
    looser force tolerance say what the value owes to these choices.
    """
    _run(
        "peierls_series",
        choice,
        run,
        given={"lattice": lattice, "peierls_stress": reference},
        slip_system=slip_system,
        character=character,
    )


@with_options
def peierls_paper(
    choice: PotentialChoice,
    run: RunChoice,
    lattice: LatticeOption = None,
    slip_system: SlipSystemOption = None,
    character: CharacterOption = "edge",
) -> None:
    """Peierls stress by fixed strain steps and LAMMPS' own minimiser, as it is often computed.

    The value depends on the minimiser's tolerances: compare it with values of the same protocol, and with the converged
    one of `glideflow peierls`.
    """
    _run(
        "peierls_paper",
        choice,
        run,
        given={"lattice": lattice},
        slip_system=slip_system,
        character=character,
    )


@with_options
def peierls_nabarro(
    choice: PotentialChoice,
    run: RunChoice,
    lattice: LatticeOption = None,
    elastic: ElasticOption = None,
    gamma: GammaOption = None,
    slip_system: SlipSystemOption = None,
    character: CharacterOption = "edge",
) -> None:
    """Peierls stress by Peierls-Nabarro models, from elastic constants and γ surface alone; within a second.

    A baseline to compare with the atomistic value of `glideflow peierls`: usually right within a factor of a few, and
    off by orders of magnitude where the core is narrow.
    """
    _run(
        "peierls_nabarro",
        choice,
        run,
        given={"lattice": lattice, "elastic": elastic, "gamma_surface": gamma},
        slip_system=slip_system,
        character=character,
    )


def _run(
    name: Property,
    choice: PotentialChoice,
    run: RunChoice,
    *,
    given: Mapping[Property, Path | None] | None = None,
    slip_system: str | None = None,
    character: str = "",
) -> None:
    """Compute a property (and what it needs before it, if need be), write its record, print it."""
    from glideflow.cli.display import progress_display
    from glideflow.property_specs import PROPERTIES
    from glideflow.stages import refuse_character

    settings = settings_from(run.config, run.overrides)
    potential = chosen_potential(choice, settings)
    on_system = "slip_system" in PROPERTIES[name].labels
    system = chosen_slip_system(settings, potential, slip_system) if on_system else None
    refuse_character(name, system, character)
    computation = Computation(potential, settings, system, character)
    if run.output is not None:
        refuse_unwritable(run.output)
    with progress_display() as progress:
        upstream = computation.upstream(name, given or {}, run.work, progress)
        stage = computation.stage(name, upstream, run.work, progress)
    if run.output is not None:
        from glideflow.storage import write_record

        write_record(run.output, stage)
    base = next((record for record in upstream if record.property == "lattice"), None)
    _report(stage, base, run.output, run.as_json)


@dataclasses.dataclass(frozen=True)
class Computation:
    """What is common to a property and to those that it needs.

    Attributes:
        potential: the potential.
        settings: how properties are computed.
        system: slip system of properties that have one.
        character: dislocation character of properties that have one.
    """

    potential: Potential
    settings: RunSettings
    system: SlipSystemSettings | None
    character: str

    def stage(
        self, name: Property, upstream: Iterable[StageRecord], work: Path | None, progress: Progress
    ) -> StageRecord:
        """Compute a property."""
        from glideflow.property_specs import PROPERTIES
        from glideflow.stages import StageRequest, run_stage

        spec = PROPERTIES[name]
        request = StageRequest(
            name=name,
            potential=self.potential,
            settings=self.settings,
            upstream=tuple(record for record in upstream if record.property in spec.needs),
            slip_system=self.system if "slip_system" in spec.labels else None,
            character=self.character if "character" in spec.labels else "",
            work=work,
        )
        return run_stage(request, progress)

    def upstream(
        self, name: Property, given: Mapping[Property, Path | None], work: Path | None, progress: Progress
    ) -> tuple[StageRecord, ...]:
        """What a property needs: read from the files that are given, else computed."""
        from glideflow.property_specs import PROPERTIES

        records: list[StageRecord] = []
        for needed in PROPERTIES[name].needs:
            path = given.get(needed)
            records.append(self.stage(needed, records, work, progress) if path is None else self.read(needed, path))
        return tuple(records)

    def read(self, name: Property, path: Path) -> StageRecord:
        """The record of a property in a file.

        Raises:
            ConfigurationError: it is not of this potential.
            StorageError: the file holds no record.
        """
        from glideflow.records import StageRecord
        from glideflow.stages import record_fits
        from glideflow.storage import read_record

        record = read_record(path, StageRecord)
        if not record_fits(record, name, self.potential):
            potential = self.potential
            raise ConfigurationError(
                f"{path} holds the {record.property} of {record.potential.id} ({record.potential.structure})",
                expected=f"the {name} of {potential.id} ({potential.structure}), computed with its own files",
                next_step=f"compute the {name} of this potential, or leave the option out",
            )
        return record


def chosen_slip_system(settings: RunSettings, potential: Potential, name: str | None) -> SlipSystemSettings:
    """The slip system of this name, or the first one of the potential's structure.

    Raises:
        ConfigurationError: there is none.
    """
    fitting = [system for system in settings.slip_systems if system.structure == potential.structure]
    chosen = [system for system in fitting if name in (None, system.name)]
    if not chosen:
        raise ConfigurationError(
            f"no slip system {name!r} for {potential.structure} crystals" if name else "no slip system is configured",
            expected="one of " + (", ".join(system.name for system in fitting) or "none: slip_systems has no entry"),
            next_step="add an entry to slip_systems; a name, the structure, plane and direction are enough",
        )
    return chosen[0]


def refuse_unwritable(output: Path) -> None:
    """Find out before computing that the result could not be written: hours of work must not end in that.

    Raises:
        ConfigurationError: it could not.
    """
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
