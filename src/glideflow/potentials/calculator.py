"""A potential that is an ASE calculator, named by the import path of what makes it.

Nothing is imported here: a module named in a manifest runs in the child that evaluates it, and nowhere else. What
decides its forces is known from outside only as far as the source of its package, its arguments and its files go, so
these make up the potential's digest.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Final

from glideflow.errors import PotentialError
from glideflow.potentials.record import Potential, PotentialFile, Structure, file_sha256

CALCULATOR_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$"
ARGUMENT_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
PLACEHOLDER: Final = re.compile(r"\{(\d+)\}")

Scalar = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class FactorySource:
    """The code behind a calculator, as far as its files tell.

    Attributes:
        sha256: digest of every Python file of its top-level package, or of its one module.
        version: version of the installed distribution of the package's name; empty if there is none.
    """

    sha256: str
    version: str


def potential_from_calculator(
    element: str,
    structure: Structure,
    calculator: str,
    *,
    arguments: Mapping[str, Scalar] | None = None,
    cutoff_angstrom: float | None = None,
) -> Potential:
    """Describe an ASE calculator as a potential.

    Args:
        element: chemical symbol.
        structure: ``fcc``, ``bcc`` or ``hcp``.
        calculator: ``module:factory``, a callable that returns a calculator.
        arguments: keyword arguments of the factory. Text that has a dot or a slash and is the path of a file makes the
            file's content part of the potential.
        cutoff_angstrom: its range; None leaves it to the calculator, or to a measurement.

    Raises:
        PotentialError: the path has not this form, its module cannot be found, or an argument is not what it can be.
    """
    if not re.fullmatch(CALCULATOR_PATTERN, calculator):
        raise PotentialError(
            f"the calculator {calculator!r:.80}",
            expected="an import path module:factory, e.g. ase.calculators.emt:EMT",
            next_step="pass the path of a callable that returns an ASE calculator as --calculator",
        )
    _refuse_cutoff(cutoff_angstrom)
    given = dict(arguments or {})
    for key, value in given.items():
        if isinstance(value, str) and PLACEHOLDER.fullmatch(value):
            raise PotentialError(f"the argument {key} = {value}", expected="other text: this stands for a file here")
    files = {key: Path(value) for key, value in given.items() if isinstance(value, str) and _is_file(value)}
    placeholders = {key: f"{{{number}}}" for number, key in enumerate(files)}
    return with_factory(
        Potential(
            id=f"{element}_{calculator.replace(':', '.')}",
            element=element,
            structure=structure,
            engine="ase",
            calculator=calculator,
            calculator_arguments=arguments_text(given | placeholders),
            cutoff_angstrom=cutoff_angstrom or 0.0,
            files=tuple(PotentialFile(path=path.absolute(), sha256=file_sha256(path)) for path in files.values()),
            family=calculator,
            source="command line",
            citation=f"the authors of {calculator.partition(':')[0]}",
        )
    )


def arguments_text(arguments: Mapping[str, Scalar]) -> str:
    """Keyword arguments of a factory as a record holds them: JSON, keys sorted; empty if there are none.

    Raises:
        PotentialError: a key cannot be the name of an argument, or a number is not finite.
    """
    for key, value in arguments.items():
        if not re.fullmatch(ARGUMENT_PATTERN, key):
            raise PotentialError(
                f"the argument {key!r:.80} of a calculator",
                expected="the name of a keyword argument of its factory",
                next_step="pass arguments as NAME=VALUE",
            )
        if isinstance(value, float) and not abs(value) < float("inf"):
            raise PotentialError(f"the argument {key} = {value}", expected="a finite number")
    return json.dumps(dict(arguments), sort_keys=True) if arguments else ""


def factory_arguments(potential: Potential) -> dict[str, Scalar]:
    """Keyword arguments for a potential's factory, with the paths of its files filled in."""
    arguments: dict[str, Scalar] = json.loads(potential.calculator_arguments or "{}")
    return {key: _with_path(value, potential.files) for key, value in arguments.items()}


def with_factory(potential: Potential) -> Potential:
    """The potential with the digest of its calculator's code, and its version in the source; others unchanged.

    Raises:
        PotentialError: the module of the calculator cannot be found.
    """
    if potential.engine != "ase" or potential.calculator_sha256:
        return potential
    found = factory_source(potential.calculator.partition(":")[0])
    package = potential.calculator.partition(".")[0].partition(":")[0]
    source = f"{potential.source}; {package} {found.version}" if found.version else potential.source
    return replace(potential, calculator_sha256=found.sha256, source=source)


@functools.cache
def factory_source(module: str) -> FactorySource:
    """Find the code of a module without running any of it.

    Raises:
        PotentialError: there is no such module.
    """
    if _spec(module) is None:
        raise PotentialError(
            f"cannot make an ASE calculator: there is no module {module!r:.80}",
            expected="'module:factory' of a callable that returns an ASE calculator",
            next_step="install the module; for a file of your own, name its folder in PYTHONPATH",
        )
    top_level = module.partition(".")[0]
    top = _spec(top_level)
    assert top is not None
    digest = hashlib.sha256()
    for name, path in _python_files(top):
        digest.update(f"{name} {file_sha256(path)}\n".encode())
    return FactorySource(sha256=digest.hexdigest(), version=_version(top_level))


def _spec(module: str) -> ModuleSpec | None:
    """Specification of a module, searched along the path without importing the packages around it."""
    places: Iterable[str] | None = None
    spec: ModuleSpec | None = None
    names = module.split(".")
    for end in range(1, len(names) + 1):
        spec = PathFinder.find_spec(".".join(names[:end]), None if places is None else list(places))
        if spec is None:
            break
        places = spec.submodule_search_locations or ()
    if spec is None:  # built in, or installed in a way that only Python's own finders know
        with suppress(ImportError, ValueError, AttributeError):
            return importlib.util.find_spec(module) if len(names) == 1 else None
    return spec


def _python_files(spec: ModuleSpec) -> list[tuple[str, Path]]:
    """Relative names and paths of the Python files of a package or module, in order."""
    if spec.submodule_search_locations is None:
        return [(spec.name, Path(spec.origin))] if spec.has_location and spec.origin else []
    folders = [Path(folder) for folder in spec.submodule_search_locations]
    return sorted((str(file.relative_to(folder)), file) for folder in folders for file in folder.rglob("*.py"))


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _is_file(text: str) -> bool:
    if "." not in text and "/" not in text:  # a word such as `cpu`, whatever lies in the folder
        return False
    with suppress(OSError, ValueError):  # too long for a name, or with a null byte
        return Path(text).is_file()
    return False


def _with_path(value: Scalar, files: tuple[PotentialFile, ...]) -> Scalar:
    found = PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
    return str(files[int(found[1])].path.absolute()) if found and int(found[1]) < len(files) else value


def _refuse_cutoff(cutoff_angstrom: float | None) -> None:
    if cutoff_angstrom is not None and not 0 < cutoff_angstrom <= 100:
        raise PotentialError(
            f"a cutoff of {cutoff_angstrom:g} Å",
            expected="the range of the calculator, above 0 and at most 100 Å",
            next_step="leave it out to have it measured",
        )
