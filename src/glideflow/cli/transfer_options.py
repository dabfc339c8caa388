"""Options that the commands of `glideflow transfer` share, and what they do with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glideflow.cli.properties import refuse_unwritable
from glideflow.errors import ConfigurationError
from glideflow.text import printable

if TYPE_CHECKING:
    from glideflow.config.transfer import TransferSettings
    from glideflow.transfer.dataset import TransferDataset

GroupOption = Annotated[
    str | None,
    typer.Option("--group", "-g", help="Make the data set of this structure first: fcc, bcc, hcp, or joint for all."),
]
DatasetOption = Annotated[
    Path | None, typer.Option("--dataset", help="Data set (HDF5) of `glideflow transfer dataset`, instead of --group.")
]
ModelOption = Annotated[
    list[str] | None,
    typer.Option("--model", "-m", help="Only this model. Repeatable. Default: those of the configuration."),
]
SeedOption = Annotated[
    list[int] | None, typer.Option("--seed", min=0, help="Seed. Repeatable. Default: those of the configuration.")
]
GroupsOption = Annotated[
    list[str] | None,
    typer.Option("--group", "-g", help="fcc, bcc, hcp or joint. Repeatable. Default: those of the configuration."),
]
StructuresOption = Annotated[
    list[str] | None, typer.Option("--group", "-g", help="fcc, bcc or hcp. Repeatable. Default: all three.")
]
ValidationsOption = Annotated[
    list[Path] | None,
    typer.Option("--validation", help="Validations (HDF5) of `glideflow transfer validate`. Repeatable."),
]
OutputsOption = Annotated[
    list[Path] | None,
    typer.Option("--output", "-o", help="HDF5 file for the result; a .csv or .md file is text. Repeatable."),
]
OneModelOption = Annotated[str, typer.Option("--model", "-m", help="The model that transfers.")]
OneSeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of the model.")]
ResumeOption = Annotated[
    Path | None, typer.Option("--work", help="Folder of partial results, from which an interrupted one resumes.")
]


def named_samples(
    group: str | None, file: Path | None, settings: TransferSettings, library: Path | None
) -> TransferDataset:
    """The data set that the user named, by --group or --dataset.

    Raises:
        ConfigurationError: neither or both are given, or there is no such group.
        StorageError: the file is not what it should be.
    """
    from glideflow.transfer.dataset import read_dataset

    if (group is None) == (file is None):
        raise ConfigurationError(
            "no data set was named" if group is None else "both --group and --dataset were given",
            expected="--group fcc (or bcc, hcp, joint), or --dataset FILE",
            next_step="give one of them; `glideflow transfer dataset` shows what the groups hold",
        )
    return read_dataset(file) if file is not None else group_samples(str(group), settings, library)


def group_samples(group: str, settings: TransferSettings, library: Path | None) -> TransferDataset:
    """The data set of a structure, or of all.

    Raises:
        ConfigurationError: there is no such group, or the configuration names no file.
        StorageError: the file is no library.
    """
    from glideflow.transfer.assembly import JOINT, STRUCTURES, group_dataset

    if group not in (*STRUCTURES, JOINT):
        raise ConfigurationError(
            f"the data set {group!r}",
            expected=f"one of {', '.join((*STRUCTURES, JOINT))}",
            next_step="correct --group, or transfer.groups of the configuration",
        )
    return group_dataset(group, settings.data, library or configured_library(settings))


def known_structures(names: Sequence[str] | None) -> tuple[str, ...]:
    """Structures that the user named with --group, all three without any.

    Raises:
        ConfigurationError: there is no such structure.
    """
    from glideflow.transfer.assembly import STRUCTURES

    unknown = [name for name in names or () if name not in STRUCTURES]
    if unknown:
        raise ConfigurationError(
            f"the structure {unknown[0]!r}", expected=", ".join(STRUCTURES), next_step="correct --group"
        )
    return tuple(names or STRUCTURES)


def refuse_unwritable_outputs(outputs: Iterable[Path | None]) -> None:
    """Find out before computing that a result could not be written.

    Raises:
        ConfigurationError: it could not.
    """
    for output in outputs:
        if output is not None:
            refuse_unwritable(output)


def configured_library(settings: TransferSettings) -> Path | None:
    """File of the library that the configuration names; None for the one that ships with the package.

    Raises:
        ConfigurationError: it is the one that a run of the workflow computes.
    """
    if settings.library == "run":
        raise ConfigurationError(
            "transfer.library is `run`, the library that a run of the workflow computes",
            expected="a file",
            next_step="name it: --library results/<name>/library.h5",
        )
    return None if settings.library == "shipped" else Path(settings.library)


def print_rows(headings: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Aligned columns on as many characters as they need: in a box they would be cut to the width of the terminal."""
    cells = [[printable(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    if title:
        print(printable(title))
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()
