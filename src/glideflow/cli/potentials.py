"""``glideflow potentials``: what the sources hold, whether it is sound, the NIST copy; and ``glideflow cite``."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from glideflow.cli.options import ConfigOption, JsonOption
from glideflow.errors import PotentialError

if TYPE_CHECKING:
    from glideflow.config.run import RunSettings
    from glideflow.potentials.check import CheckReport
    from glideflow.potentials.record import Potential
    from glideflow.potentials.select import Catalogue

app = typer.Typer(no_args_is_help=True, help="List, check and fetch interatomic potentials.")

ALL_STATUSES: Final = ("ok", "caution", "superseded", "retracted")
CHECK_FAILED = 1
SMOKE_TIME_LIMIT_S = 300.0
PIPE_WIDTH = 240

ElementsOption = Annotated[list[str] | None, typer.Option("--element", help="Only this metal. Repeatable.")]
StructuresOption = Annotated[list[str] | None, typer.Option("--structure", help="Only fcc, bcc or hcp. Repeatable.")]
StylesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--pair-style", help="Only this pair style; nep or ase for what LAMMPS does not evaluate. Repeatable."
    ),
]


@app.command("list")
def list_potentials(
    elements: ElementsOption = None,
    structures: StructuresOption = None,
    pair_styles: StylesOption = None,
    *,
    selected: Annotated[bool, typer.Option("--selected", help="Only what the configuration selects.")] = False,
    skipped: Annotated[bool, typer.Option("--skipped", help="What cannot be used, with the reasons.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what the configured sources hold; without a configuration, what ships with LAMMPS."""
    catalogue, selection = _catalogue(config)
    chosen = {potential.id for potential in selection}
    if skipped:
        _show_skipped(catalogue, elements or [], as_json)
        return
    shown = [
        potential
        for potential in catalogue.potentials.values()
        if _passes(potential.element, elements)
        and _passes(potential.structure, structures)
        and (not pair_styles or not set(pair_styles).isdisjoint((potential.pair_style or potential.engine).split()))
        and (not selected or potential.id in chosen)
    ]
    if as_json:
        print(json.dumps([_document(potential, chosen) for potential in shown], indent=2, ensure_ascii=False))
    else:
        _print_table(shown, chosen)
    if not shown:
        held = ", ".join(sorted({potential.element for potential in catalogue.potentials.values()})) or "none"
        print(f"nothing fits; the sources hold potentials of: {held}", file=sys.stderr)
    if catalogue.skipped:
        print(f"{len(catalogue.skipped)} entries cannot be used; --skipped says why", file=sys.stderr)


@app.command()
def check(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids; by default all that the configuration selects.")] = None,
    *,
    files_only: Annotated[
        bool, typer.Option("--files-only", help="Do not evaluate the perfect crystal with the engine.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check files, digests, headers, tables, and the energy of the perfect crystal (each in a process of its own)."""
    from glideflow.cli.display import progress_display
    from glideflow.config.potentials import PotentialSelection
    from glideflow.potentials.check import check_potential
    from glideflow.potentials.select import select

    catalogue, wanted = _catalogue(config)
    if ids:
        wanted = select(catalogue, PotentialSelection(ids=tuple(ids), source_statuses=ALL_STATUSES))
    reports = []
    with progress_display() as progress:
        for number, potential in enumerate(wanted):
            progress("potentials", number, len(wanted))
            reports.append(check_potential(potential, None if files_only else crystal_energy_ev_per_atom))
    if as_json:
        print(json.dumps([_report_document(report) for report in reports], indent=2, ensure_ascii=False))
    else:
        _print_reports(reports)
    failed = [report for report in reports if not report.ok]
    if failed:
        print(f"{len(failed)} of {len(reports)} potentials have problems", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED)


@app.command()
def fetch(
    elements: ElementsOption = None,
    pair_styles: StylesOption = None,
    path: Annotated[
        Path | None, typer.Option("--path", help="Folder of the copy. Default: that of the configured NIST source.")
    ] = None,
    *,
    config: ConfigOption = None,
) -> None:
    """Download potentials of the NIST Interatomic Potentials Repository into the local copy that runs read."""
    from glideflow.config.potentials import NistSource
    from glideflow.potentials.identifiers import METALS
    from glideflow.potentials.nist import STYLES
    from glideflow.potentials.nist import fetch as fetch_nist

    configured = [source.path for source in _settings(config).potentials.sources if isinstance(source, NistSource)]
    target = str(path) if path else (configured or [NistSource().path])[0]
    report = fetch_nist(
        target, Path.cwd(), elements=tuple(elements or METALS), pair_styles=tuple(pair_styles or sorted(STYLES))
    )
    print(f"{len(report.records)} potentials in {report.folder}")
    if report.missing:
        print("files that could not be had:", *report.missing, sep="\n  ", file=sys.stderr)


def cite(
    potential_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a potential of the configured sources.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print how to cite a potential, the terms of its files, and what their source asks to cite."""
    from dataclasses import asdict

    from glideflow.config.potentials import PotentialSelection
    from glideflow.potentials.citation import citation_of, citation_text
    from glideflow.potentials.select import load_catalogue, select

    catalogue = load_catalogue(_settings(config).potentials, Path.cwd())
    (potential,) = select(catalogue, PotentialSelection(ids=(potential_id,), source_statuses=ALL_STATUSES))
    citation = citation_of(potential)
    print(json.dumps(asdict(citation), indent=2, ensure_ascii=False) if as_json else citation_text(citation))


def crystal_energy_ev_per_atom(potential: Potential) -> float:
    """Energy of the perfect crystal at the experimental atomic volume, evaluated in a child process.

    Returns:
        eV per atom, on the potential's own zero.

    Raises:
        PotentialError: the engine refuses the potential, or its process dies or exceeds the time limit.
    """
    from glideflow.isolation import Failure, Limits, Task, run_isolated

    task = Task(function=f"{__name__}:evaluate_crystal", arguments={"potential": potential})
    outcome = run_isolated(task, Limits(wall_time_s=SMOKE_TIME_LIMIT_S))
    if isinstance(outcome, Failure):
        raise PotentialError(
            outcome.reason,
            expected=outcome.expected or f"an energy from pair_style {potential.pair_style}",
            next_step=outcome.next_step or "fetch the files again, or leave the potential out",
        )
    return float(outcome.value)


def evaluate_crystal(potential: Potential) -> float:
    """What `crystal_energy_ev_per_atom` runs in the child."""
    from glideflow.config.engine import EngineSettings
    from glideflow.crystals.lattices import conventional_atoms, reference_crystal
    from glideflow.engines.registry import engine_for

    atoms = conventional_atoms(reference_crystal(potential.element, potential.structure), potential.element)
    with engine_for(potential.engine, EngineSettings()).open(potential, atoms) as session:
        return session.evaluate(atoms.positions).energy_ev / len(atoms)


def _settings(config: Path | None) -> RunSettings:
    from glideflow.config.load import load_settings

    return load_settings(config)


def _catalogue(config: Path | None) -> tuple[Catalogue, tuple[Potential, ...]]:
    """What the sources hold, and what the configuration selects of it."""
    from glideflow.potentials.select import load_catalogue, select

    settings = _settings(config).potentials
    catalogue = load_catalogue(settings, Path.cwd())
    return catalogue, select(catalogue, settings.select)


def _passes(value: str, wanted: Sequence[str] | None) -> bool:
    return not wanted or value in wanted


def _document(potential: Potential, chosen: Collection[str]) -> dict[str, Any]:
    from dataclasses import asdict

    files = [{"path": str(file.path), "sha256": file.sha256} for file in potential.files]
    return asdict(potential) | {"files": files, "selected": potential.id in chosen}


def _report_document(report: CheckReport) -> dict[str, Any]:
    return {
        "id": report.id,
        "ok": report.ok,
        "energy_ev_per_atom": report.energy_ev_per_atom,
        "problems": [
            {"found": error.found, "expected": error.expected, "next_step": error.next_step}
            for error in report.problems
        ],
        "remarks": list(report.remarks),
    }


def _show_skipped(catalogue: Catalogue, elements: Sequence[str], as_json: bool) -> None:
    from dataclasses import asdict

    entries = [entry for entry in catalogue.skipped if not elements or not set(elements).isdisjoint(entry.elements)]
    if as_json:
        print(json.dumps([asdict(entry) for entry in entries], indent=2, ensure_ascii=False))
        return
    _print_rows(("id", "elements", "reason"), ((entry.id, " ".join(entry.elements), entry.reason) for entry in entries))


def _print_table(potentials: Iterable[Potential], chosen: Collection[str]) -> None:
    headings = ("selected", "id", "element", "structure", "pair style", "family", "status", "flags")
    _print_rows(
        headings,
        (
            (
                "yes" if potential.id in chosen else "",
                potential.id,
                potential.element,
                potential.structure,
                potential.pair_style or potential.engine,
                potential.family + (" *" if potential.family and potential.family_primary else ""),
                potential.source_status,
                "; ".join((*potential.flags, *(("fictional",) if potential.fictional else ()))),
            )
            for potential in potentials
        ),
    )


def _print_reports(reports: Iterable[CheckReport]) -> None:
    rows = []
    for report in reports:
        energy = "" if report.energy_ev_per_atom is None else f"{report.energy_ev_per_atom:.4f}"
        texts = [error.found for error in report.problems] + list(report.remarks)
        rows.append((report.id, "ok" if report.ok else "failed", energy, "; ".join(texts)))
        for error in report.problems:
            print(f"{report.id}: {error}", file=sys.stderr)
    _print_rows(("id", "result", "energy (eV/atom)", "remarks"), rows)


def _print_rows(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: what a file says is never taken for markup
    # A pipe has no width of its own, and folded ids could not be searched.
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)
