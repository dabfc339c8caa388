"""How to use a potential of the library: LAMMPS commands, calculators, and commands of this package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from glideflow.records import PotentialSummary

if TYPE_CHECKING:
    from glideflow.config.potentials import PotentialsSettings
    from glideflow.potentials.record import Potential

_ARGUMENTS: Mapping[str, str] = {
    "eam": "1 1 FILE",
    "eam/alloy": "* * FILE {element}",
    "eam/fs": "* * FILE {element}",
    "eam/he": "* * FILE {element}",
    "adp": "* * FILE {element}",
    "meam/spline": "* * FILE {element}",
    "meam": "* * LIBRARY {element} PARAMETERS {element}",
    "snap": "* * COEFFICIENTS PARAMETERS {element}",
}
"""Arguments of ``pair_coeff`` where the names of the files are not known, by pair style."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Lines to copy.

    Attributes:
        language: what reads them: ``LAMMPS`` or ``Python``.
        lines: the lines.
        is_exact: whether they are those that the library was computed with; else names of files are placeholders.
        in_lammps: whether the files are among those that ship with LAMMPS.
    """

    language: str
    lines: tuple[str, ...]
    is_exact: bool
    in_lammps: bool = False


def available(potentials: Iterable[PotentialSummary], sources: PotentialsSettings, base: Path) -> dict[str, Potential]:
    """Potentials of a library whose files a source holds with the same content, by id.

    Args:
        potentials: potentials of the library.
        sources: section ``potentials`` of a configuration.
        base: folder to which relative paths of sources refer.

    Raises:
        PotentialError: a source cannot be read.
        DependencyError: a source needs a package that is not installed.
        ConfigurationError: there is no source.
    """
    from glideflow.errors import GlideflowError
    from glideflow.potentials.select import load_catalogue, with_digests

    catalogue, found = load_catalogue(sources, base).potentials, {}
    for summary in potentials:
        if summary.id in catalogue:
            try:
                potential = with_digests(catalogue[summary.id])
            except GlideflowError:  # one unreadable file leaves its own page without exact lines
                continue
            if potential.content_sha256 == summary.sha256:
                found[summary.id] = potential
    return found


def usage(summary: PotentialSummary, known: Potential | None) -> Usage:
    """How a potential is used.

    Args:
        summary: the potential as the library describes it.
        known: the same with its files, if a source holds it.
    """
    if summary.engine == "nep":
        name = known.files[0].path.name if known else "FILE"
        lines = ("from calorine.calculators import CPUNEP", f"atoms.calc = CPUNEP({name!r})")
        return Usage(language="Python", lines=lines, is_exact=known is not None)
    if summary.engine != "lammps":
        return Usage(language="Python", lines=(), is_exact=False)
    if known is None:
        return Usage(language="LAMMPS", lines=_template(summary), is_exact=False)
    names = [file.path.name for file in known.files]
    return Usage(
        language="LAMMPS",
        lines=(
            "units metal",
            f"pair_style {known.pair_style}",
            *(f"pair_coeff {_with_names(line, names)}" for line in known.pair_coeff),
        ),
        is_exact=True,
        in_lammps="lammps" in summary.source,
    )


def _template(summary: PotentialSummary) -> tuple[str, ...]:
    style = summary.pair_style.split()[0] if summary.pair_style.split() else "STYLE"
    known = _ARGUMENTS.get(style, "ARGUMENTS  # as the source says; a line for each part of a hybrid style")
    arguments = known.replace("{element}", summary.element)
    return ("units metal", f"pair_style {summary.pair_style or style}", f"pair_coeff {arguments}")


def _with_names(line: str, names: Iterable[str]) -> str:
    for index, name in enumerate(names):
        line = line.replace(f"{{{index}}}", name)
    return line
