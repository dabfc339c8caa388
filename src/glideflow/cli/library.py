"""Commands on libraries: gather results into one, write it as a table, compare it, compute it again."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glideflow.cli.options import ConfigOption, JsonOption, WorkOption
from glideflow.errors import ConfigurationError
from glideflow.runs.commands import workflow_command
from glideflow.text import printable

if TYPE_CHECKING:
    from glideflow.config.run import RunSettings
    from glideflow.library_compare import LibraryDifference
    from glideflow.library_unpack import Outcome
    from glideflow.library_verify import Check, Sample
    from glideflow.potentials.record import Potential
    from glideflow.property_specs import Property
    from glideflow.records import Library
    from glideflow.run import Rule

DIFFERENT = 1
"""Exit status of comparisons that find a difference."""
MOST_NAMED = 10
"""Potentials that one line of a message names."""

LibraryOption = Annotated[
    Path | None, typer.Option("--library", help="HDF5 file of a library. Default: the one that ships with glideflow.")
]

library_app = typer.Typer(
    no_args_is_help=True,
    help="Strength libraries: gather, write as a table, compare, verify. Default: the one that ships with glideflow.",
)


@library_app.command()
def merge(
    results: Annotated[
        list[Path] | None,
        typer.Argument(help="Records of single properties (HDF5). Default: those of the configuration's run."),
    ] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="HDF5 file of the library.")],
    config: ConfigOption = None,
    table: Annotated[Path | None, typer.Option("--csv", help="Table with a row per potential.")] = None,
    accept_missing_percent: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=100,
            help="Share of the records that may be missing or unreadable because their job died; they are named in "
            "the library. Default: library.accept_missing_percent of the configuration.",
        ),
    ] = None,
) -> None:
    """Gather records of single properties into one library and one table.

    A recorded failure is a result like any other. What is missing is an error, unless its share is accepted.
    """
    from glideflow.config.load import load_settings
    from glideflow.library import merge as merge_records
    from glideflow.library import write_table
    from glideflow.storage import write_record

    settings = load_settings(config)
    library = merge_records(
        settings,
        results or _results_of_run(settings),
        accept_missing_percent=accept_missing_percent,
        rerun_command=workflow_command(config),
    )
    write_record(output, library, layout="columns")
    if table is not None:
        write_table(library, table)
    _tell(library, output)


@library_app.command()
def build(
    *,
    records: Annotated[
        list[Path],
        typer.Option(
            "--records",
            help="Results of a run, <results>/<name>, finished or not. Repeatable; of several results for the same "
            "property of a potential, that of the folder named first is taken.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="HDF5 file of the library.")],
    name: Annotated[str, typer.Option(help="Name of the library.")] = "strength-library",
    only_complete: Annotated[
        bool, typer.Option("--only-complete", help="Leave potentials out that lack a result that their run asks for.")
    ] = False,
) -> None:
    """Make a small library for others out of finished records of several runs.

    Long arrays have single precision and nothing says where it was made; that is how the shipped library is built.
    """
    from glideflow.library_build import build as build_library
    from glideflow.library_build import publishable
    from glideflow.storage import write_record

    library = publishable(build_library(records, name, only_complete=only_complete))
    write_record(output, library, layout="columns")
    _tell_counts(library, output)


@library_app.command()
def unpack(*, config: ConfigOption = None, library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Make the records of a library results of a run, which then computes only what they lack.

    Records of the same parameter files, settings, slip systems and seed are taken;
    results that the run has stay. Start the workflow afterwards.
    """
    import json

    from glideflow.cli.display import progress_display
    from glideflow.config.load import load_settings
    from glideflow.library_unpack import unpack as unpacked
    from glideflow.run import validate_run
    from glideflow.strength_library import load

    run = validate_run(load_settings(config), Path.cwd())
    with progress_display() as progress:
        found = unpacked(load(library), run, Path.cwd(), progress)
    if as_json:
        names = ("rule", "potential", "slip_system", "character", "output")
        rows = [{name: getattr(task, name) for name in names} | {"outcome": outcome} for task, outcome in found]
        print(json.dumps(rows, indent=2))
    else:
        _print_outcomes(Counter((task.rule, outcome) for task, outcome in found))
    taken = sum(outcome == "taken" for _, outcome in found)
    print(f"took {taken} records into {run.results}; compute the rest: {workflow_command(config)}", file=sys.stderr)


def _print_outcomes(counted: Counter[tuple[Rule, Outcome]]) -> None:
    from glideflow.library_unpack import OUTCOMES

    met = [outcome for outcome in OUTCOMES if any(found == outcome for _, found in counted)]
    rules = dict.fromkeys(rule for rule, _ in counted)
    _print_rows(("property", *met), ((rule, *(counted[rule, outcome] for outcome in met)) for rule in rules))
    for outcome in met:
        print(f"{outcome}: {OUTCOMES[outcome]}")


@library_app.command()
def recompute(
    name: Annotated[str, typer.Argument(metavar="PROPERTY", help="The property, e.g. peierls_nabarro.")],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the new records; it becomes that of a run's results.")
    ],
    records: Annotated[
        list[Path] | None,
        typer.Option("--records", help="Results of a run, <results>/<name>, instead of a library. Repeatable."),
    ] = None,
    library: LibraryOption = None,
    config: ConfigOption = None,
) -> None:
    """Compute one property of a whole library again, from the records that it needs.

    For properties that follow from others alone, such as peierls_nabarro: neither
    potentials nor engines are needed. The configuration decides that property; the
    rest of the output's configuration is that of the library. `glideflow library
    build --records OUTPUT --records RESULTS` puts the new records in the place of
    the old ones.
    """
    from glideflow.cli.display import progress_display
    from glideflow.config.load import load_settings
    from glideflow.library_build import build as build_library
    from glideflow.library_recompute import recompute as recomputed
    from glideflow.library_recompute import recompute_settings, write_recomputed
    from glideflow.strength_library import load

    (chosen,) = _checked_properties([name])
    content = build_library(records, "library") if records else load(library)
    settings = recompute_settings(content, chosen, load_settings(config))
    with progress_display() as progress:
        counted = Counter(write_recomputed(recomputed(content, chosen, settings, progress), settings, output))
    summary = ", ".join(f"{count} {status}" for status, count in sorted(counted.items()))
    print(f"{counted.total()} records of {chosen} ({summary}) in {output}", file=sys.stderr)


@library_app.command()
def export(
    file: Annotated[Path, typer.Argument(help="CSV file.")],
    *,
    library: LibraryOption = None,
    all_slip_systems: Annotated[
        bool,
        typer.Option(
            "--all-slip-systems", help="A row per slip system and dislocation character, the first one first."
        ),
    ] = False,
) -> None:
    """Write a library as a table: one row per potential. docs/library.md says what each column holds."""
    from glideflow.library_table import write_table
    from glideflow.strength_library import load

    content = load(library)
    write_table(content, file, all_slip_systems=all_slip_systems)
    _tell_counts(content, file)


@library_app.command()
def site(
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the site. An older site there is replaced.")
    ],
    library: LibraryOption = None,
    config: ConfigOption = None,
) -> None:
    """Write a library as a site that opens from disk: a page per potential, metal and structure.

    Prints the page to open. The sources of the configuration tell the LAMMPS
    commands of the potentials whose files they hold; by default those that ship
    with LAMMPS. docs/site.md says what is on the pages.
    """
    import dataclasses

    from glideflow.config.load import load_settings
    from glideflow.reporting.website.site import write_site
    from glideflow.strength_library import load

    content, settings = load(library), load_settings(config)
    if config is not None:
        content = dataclasses.replace(content, name=settings.name)
    print(write_site(content, output, _with_files(content, settings)))


def _with_files(library: Library, settings: RunSettings) -> dict[str, Potential]:
    """Potentials whose files are there; a source that cannot be read leaves them out, and is named."""
    from glideflow.errors import GlideflowError
    from glideflow.reporting.website.usage import available

    try:
        return available((entry.potential for entry in library.entries), settings.potentials, Path.cwd())
    except GlideflowError as error:
        print(printable(f"without the LAMMPS commands of the sources: {error.found}"), file=sys.stderr)
        return {}


@library_app.command()
def counts(*, library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Count the potentials of a library by metal and status, and its quality flags."""
    import json

    from glideflow.strength_library import COUNTED, counts_by_metal, load

    content = load(library)
    by_metal = counts_by_metal(content)
    flags = Counter(flag for entry in content.entries for flag in entry.flags)
    if as_json:
        print(json.dumps({"by_metal": by_metal, "flags": dict(flags.most_common())}, indent=2, ensure_ascii=False))
        return
    _print_rows(("metal", *COUNTED), ((metal, *row.values()) for metal, row in by_metal.items()))
    _print_rows(("flag", "potentials"), flags.most_common())


@library_app.command()
def flags(*, as_json: JsonOption = False) -> None:
    """Explain the quality flags that values of a library can carry."""
    import dataclasses
    import json

    from glideflow.quality_flags import QUALITY_FLAGS

    if as_json:
        kept = ("name", "concerns", "meaning")
        rows = [{key: dataclasses.asdict(flag)[key] for key in kept} for flag in QUALITY_FLAGS]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    _print_rows(
        ("flag", "concerns", "meaning"),
        ((flag.name, ", ".join(flag.concerns) or "the potential", flag.meaning) for flag in QUALITY_FLAGS),
    )


@library_app.command()
def families(*, library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Show the families of the sources that turn out to be one: near-copies by their computed numbers."""
    import json

    from glideflow.library_families import merged_families
    from glideflow.strength_library import load

    merged = merged_families(load(library).entries)
    if as_json:
        print(json.dumps(merged, indent=2))
    else:
        _print_rows(("family", "families of the sources"), ((name, ", ".join(found)) for name, found in merged.items()))


@library_app.command()
def diff(
    before: Annotated[Path, typer.Argument(help="HDF5 file of a library.")],
    after: Annotated[Path, typer.Argument(help="HDF5 file of another version of it.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Compare two libraries: what was added, removed, and changed by more than it may.

    Exit status 0 if nothing differs, 1 if something does.
    """
    import dataclasses
    import json

    from glideflow.library_compare import compare_libraries
    from glideflow.strength_library import load

    found = compare_libraries(load(before), load(after))
    if as_json:
        print(json.dumps(dataclasses.asdict(found), indent=2, ensure_ascii=False))
    else:
        _print_difference(found)
    if found.any:
        raise typer.Exit(DIFFERENT)


@library_app.command()
def verify(
    *,
    sample: Annotated[int, typer.Option(min=1, help="How many potentials are computed again.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of their choice.")] = 0,
    potential: Annotated[
        list[str] | None, typer.Option("--potential", "-p", help="Exactly this potential instead. Repeatable.")
    ] = None,
    properties: Annotated[
        list[str] | None,
        typer.Option(
            "--property", help="Compare this property only, e.g. lattice. Repeatable. Default: the main four."
        ),
    ] = None,
    library: LibraryOption = None,
    config: ConfigOption = None,
    work: WorkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute random potentials of a library again, from their files, and compare.

    The files come from the sources of the configuration; by default those that
    ship with LAMMPS. Lattice, elastic constants and γ surface have to agree up to
    rounding, Peierls stresses within their errors. A Peierls stress takes minutes.
    Exit status 0 if everything agrees, 1 if something differs or could not be
    computed.
    """
    from glideflow.cli.display import progress_display
    from glideflow.config.load import load_settings
    from glideflow.library_verify import AGREES, draw_sample
    from glideflow.library_verify import verify as verify_sample
    from glideflow.strength_library import load

    content, wanted = load(library), _checked_properties(properties)
    sources = load_settings(config).potentials
    drawn = draw_sample(content, sources, Path.cwd(), count=sample, seed=seed, ids=potential or ())
    with progress_display() as progress:
        checks = list(verify_sample(content, drawn, wanted, progress, work))
    _print_checks(checks, drawn, as_json)
    if not checks or any(check.outcome != AGREES for check in checks):
        raise typer.Exit(DIFFERENT)


def _checked_properties(names: list[str] | None) -> tuple[Property, ...]:
    from glideflow.property_specs import ALL_PROPERTIES, DEFAULT_PROPERTIES

    unknown = [name for name in names or () if name not in ALL_PROPERTIES]
    if unknown:
        raise ConfigurationError(
            f"there is no property {unknown[0]!r}",
            expected=f"one of {', '.join(ALL_PROPERTIES)}",
            next_step="correct the name",
        )
    return tuple(name for name in ALL_PROPERTIES if name in names) if names else DEFAULT_PROPERTIES


def _print_checks(checks: list[Check], drawn: Sample, as_json: bool) -> None:
    import dataclasses
    import json

    from glideflow.library_compare import lines_of

    if as_json:
        rows = [dataclasses.asdict(check) for check in checks]
        document = {"checks": rows, "without_files": drawn.without_files}
        print(json.dumps(document, indent=2, ensure_ascii=False))
        return
    _print_rows(("potential", "record", "outcome"), ((c.potential, c.record, _outcome(c)) for c in checks))
    for check in checks:
        for line in lines_of(check.differences):
            print(printable(line))
    _tell_without_files(drawn.without_files)


def _outcome(check: Check) -> str:
    return f"{check.outcome}: {check.reason}" if check.reason else check.outcome


def _tell_without_files(missing: dict[str, str]) -> None:
    for reason in dict.fromkeys(missing.values()):
        ids = [name for name, found in missing.items() if found == reason]
        named = ", ".join(ids[:MOST_NAMED])
        more = f" and {len(ids) - MOST_NAMED} more (--json names them)" if len(ids) > MOST_NAMED else ""
        print(printable(f"{len(ids)} cannot be computed again, {reason}: {named}{more}"), file=sys.stderr)


def _print_difference(found: LibraryDifference) -> None:
    from glideflow.library_compare import lines_of

    changed = found.changed_records()
    added, removed = (
        Counter(record.partition(".")[0] for _, record in records)
        for records in (found.records_added, found.records_removed)
    )
    names = dict.fromkeys([*found.compared, *added, *removed])
    _print_rows(
        ("property", "compared", "changed", "added", "removed"),
        ((name, found.compared.get(name, 0), changed[name], added[name], removed[name]) for name in names),
    )
    for word, ids in (("added", found.potentials_added), ("removed", found.potentials_removed)):
        if ids:
            print(f"potentials {word}: {len(ids)}: {', '.join(ids)}")
    for word, records in (("added", found.records_added), ("removed", found.records_removed)):
        for identifier, record in records:
            print(f"{word}: {identifier} {record}")
    for line in lines_of(found.changed):
        print(printable(line))


def _print_rows(headings: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*headings)
    for row in rows:
        table.add_row(*(printable(str(cell)) for cell in row))
    Console().print(table, markup=False)


def _results_of_run(settings: RunSettings) -> list[Path]:
    """Files of every result that the run of these settings should have."""
    from glideflow.run import validate_run

    run = validate_run(settings, Path.cwd(), verify=False)
    return [Path(run.results, task.output) for task in run.property_tasks()]


def _tell(library: Library, output: Path) -> None:
    """Say on standard error what was gathered, and name what is missing."""
    _tell_counts(library, output)
    if library.missing:
        expected = len(library.missing) + sum(len(entry.stages) for entry in library.entries)
        accepted = f"accepted: {library.accept_missing_percent:g} %"
        print(f"missing: {len(library.missing)} of {expected} results ({accepted})", file=sys.stderr)
    for each in library.missing:
        print(printable(f"  {each.potential} {each.stage_name}: {each.reason}"), file=sys.stderr)


def _tell_counts(library: Library, output: Path) -> None:
    counted = Counter(entry.status for entry in library.entries)
    summary = ", ".join(f"{count} {status}" for status, count in sorted(counted.items()))
    print(f"{len(library.entries)} potentials ({summary}) in {output}", file=sys.stderr)
