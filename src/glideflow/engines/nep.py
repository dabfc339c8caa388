"""Neuroevolution potentials on the CPU, by the compiled evaluator of calorine.

The evaluator is handed positions and a periodic cell, and builds its neighbour lists from nothing each time. It has two
ways to do so: cells whose faces lie more than 2.5 cutoffs apart are searched by bins, in a time proportional to the
number of atoms; others pair by pair over as many images as the cutoff asks for. A dislocation cell of one line period
is of the second kind, although it holds thousands of atoms. Repeating it along the line makes it one of the first kind
at the price of evaluating every copy, so the session takes whichever of the two is expected to be faster.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import math
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from glideflow.engines.protocol import Evaluation, FloatArray, checked
from glideflow.errors import DependencyError, EngineError, PotentialError
from glideflow.potentials.nep_header import header_with_element

if TYPE_CHECKING:
    from ase import Atoms

    from glideflow.potentials.record import Potential

Repeats = tuple[int, int, int]

_BINNED_ABOVE_CUTOFFS: Final = 2.5
_IMAGES_WITHIN_CUTOFFS: Final = 2.0
_SECONDS_PER_PAIR: Final = 1.1e-8
_SECONDS_PER_ATOM: Final = 6.5e-5
"""CPU time of one candidate pair of the plain search and of one atom's energy and forces, on one core."""

_LARGEST_ATOM_COUNT: Final = (2**31 - 1) // 6000
"""Calorine counts the 6000 numbers that it keeps for the neighbours of each atom (56 kB in all) with 32 bits."""
_VACUUM_STEP_ANGSTROM: Final = 5.0


class NepEngine:
    """Adapter of calorine's evaluator of ``nep.txt`` models.

    It runs on one thread; built with OpenMP (``CFLAGS=-fopenmp``), calorine computes energies on as many as
    ``OMP_NUM_THREADS`` says, and forces on one.
    """

    name = "nep"

    @property
    def version(self) -> str:
        """Version of calorine."""
        from importlib.metadata import version

        return f"calorine {version('calorine')}"

    def open(self, potential: Potential, atoms: Atoms) -> NepSession:
        """Start a session; see `glideflow.engines.protocol.Engine.open`.

        Raises:
            DependencyError: calorine is not installed.
        """
        refuse_without_calorine()
        if potential.engine != "nep" or len(potential.files) != 1:
            raise PotentialError(
                f"potential {potential.id} is for the engine {potential.engine!r} and has {len(potential.files)} files",
                expected="the engine nep and one nep.txt",
                next_step="open it with the engine that its record names",
            )
        return NepSession(potential, atoms)


class NepSession:
    """One model on one set of atoms; see `glideflow.engines.protocol.Session`.

    Nothing of an evaluation is kept for the next one, so values never depend on earlier evaluations.
    """

    def __init__(self, potential: Potential, atoms: Atoms) -> None:
        self._label = f"potential {potential.id} in calorine"
        self._path = potential.files[0].path
        self._header = header_with_element(self._path, potential.element)
        self._element = potential.element
        self._atom_count = len(atoms)
        self._periodic = np.asarray(atoms.pbc, dtype=bool)
        self._cell = np.array(atoms.cell.array, dtype=float)
        self._evaluations = 0
        self._evaluator: Any = None
        self._evaluator_atoms = 0
        self._prepare(np.asarray(atoms.positions, dtype=float))

    @property
    def evaluations(self) -> int:
        """Number of evaluations made."""
        return self._evaluations

    @property
    def cutoff_angstrom(self) -> float:
        """Range of the radial descriptors between two atoms of the element; the angular ones reach no farther."""
        return self._header.cutoff_angstrom(self._element)

    def evaluate(self, positions_angstrom: FloatArray, cell_angstrom: FloatArray | None = None) -> Evaluation:
        """Evaluate a configuration; see `glideflow.engines.protocol.Session.evaluate`."""
        if cell_angstrom is not None:
            self._cell = np.array(cell_angstrom, dtype=float)
        box, copies = self._prepare(np.asarray(positions_angstrom, dtype=float))
        self._evaluations += 1
        try:
            energies, forces, virials = self._evaluator.get_potential_forces_and_virials()
        except Exception as error:
            raise EngineError(
                f"{self._label} stopped: {error}",
                expected="an energy for this configuration",
                next_step="look for atoms that have come too close to each other",
            ) from error
        volume = copies * (abs(float(np.linalg.det(self._cell))) or abs(float(np.linalg.det(box))))
        stress = -np.array(virials).reshape(9, -1).sum(axis=1).reshape(3, 3) / volume
        evaluation = Evaluation(
            energy_ev=float(np.sum(energies)) / copies,
            forces_ev_per_angstrom=np.array(forces).reshape(3, -1)[:, : self._atom_count].T.copy(),
            stress_ev_per_angstrom3=(stress + stress.T) / 2,
        )
        return checked(evaluation, self._label)

    def close(self) -> None:
        """Release the evaluator."""
        self._evaluator = None
        self._evaluator_atoms = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self, positions_angstrom: FloatArray) -> tuple[FloatArray, int]:
        """Hand positions and cell to the evaluator; return the periodic box of one copy, and the number of copies."""
        self._refuse_strange(positions_angstrom)
        reach = self._header.largest_cutoff_angstrom
        box = closed_box(self._cell, self._periodic, positions_angstrom, reach)
        repeats = repeats_for(box, self._atom_count, reach)
        points = _repeated(_wrapped(positions_angstrom, box), box, repeats)
        whole_box = box * np.array(repeats)[:, None]
        if len(points) != self._evaluator_atoms:
            self._make_evaluator(points, whole_box)
        else:
            self._evaluator.set_cell(_flat(whole_box))
            self._evaluator.set_positions(_flat(points))
        return box, math.prod(repeats)

    def _make_evaluator(self, points: FloatArray, box: FloatArray) -> None:
        count = len(points)
        if count > _LARGEST_ATOM_COUNT:
            raise EngineError(
                f"{self._label}: {count} atoms",
                expected=f"at most {_LARGEST_ATOM_COUNT}: calorine's neighbour lists end there",
                next_step="compute a smaller cell",
            )
        import _nepy  # calorine's compiled part: its calculator would compare and copy an Atoms object each time

        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints the model's header
                self._evaluator = _nepy.NEPY(
                    str(self._path), count, _flat(box), [self._element] * count, _flat(points), [1.0] * count
                )
        except Exception as error:
            raise PotentialError(
                f"calorine refuses {self._path}: {error}",
                expected="a complete nep.txt",
                next_step="fetch the file again; `glideflow potentials check ID` counts its values",
            ) from error
        self._evaluator_atoms = count

    def _refuse_strange(self, positions_angstrom: FloatArray) -> None:
        if positions_angstrom.shape != (self._atom_count, 3) or not np.isfinite(positions_angstrom).all():
            raise EngineError(
                f"{self._label}: positions of the shape {positions_angstrom.shape}"
                + ("" if np.isfinite(positions_angstrom).all() else " that are not finite"),
                expected=f"finite positions ({self._atom_count}, 3), as the session was opened",
                next_step="open a session for these atoms, or look for what moved them",
            )


def calorine_is_installed() -> bool:
    """Whether the compiled evaluator can be found; it is not loaded."""
    return importlib.util.find_spec("_nepy") is not None


def refuse_without_calorine() -> None:
    """Raise a DependencyError where calorine is not installed."""
    if not calorine_is_installed():
        raise DependencyError(
            "neuroevolution potentials need the package calorine",
            expected="calorine 4.1 or later; it is compiled when it is installed",
            next_step='pip install "glideflow[nep]" (needs a C++ compiler, e.g. g++)',
        )


def closed_box(
    cell_angstrom: FloatArray,
    periodic: NDArray[np.bool_],
    positions_angstrom: FloatArray,
    reach_angstrom: float,
) -> FloatArray:
    """A cell that is periodic in every direction, with vacuum along those that have no period.

    Calorine knows such cells only. Directions without a period become normal to those with one, and as long as the
    atoms take up plus more than two ranges, so that no atom sees another one across the vacuum.

    Args:
        cell_angstrom: (3, 3) cell vectors as rows; those of directions without a period are not used.
        periodic: (3,) whether each direction is periodic.
        positions_angstrom: (N, 3) positions.
        reach_angstrom: range of the potential.

    Returns:
        (3, 3) cell vectors as rows.

    Raises:
        EngineError: the periodic vectors span no area or volume.
    """
    from ase.cell import Cell

    periods = Cell(np.where(periodic[:, None], cell_angstrom, 0.0))  # type: ignore[no-untyped-call]
    box = np.array(periods.complete().array)  # type: ignore[no-untyped-call]
    for axis in np.flatnonzero(~periodic):
        extent = float(np.ptp(positions_angstrom @ box[axis]))
        # In whole steps, so that the box, and with it the order of summation, does not change with every move.
        steps = math.floor((extent + 2 * reach_angstrom) / _VACUUM_STEP_ANGSTROM) + 1
        box[axis] *= steps * _VACUUM_STEP_ANGSTROM
    if not abs(float(np.linalg.det(box))) > 1e-9:
        raise EngineError(
            f"the cell {np.asarray(cell_angstrom).tolist()} has no volume",
            expected="linearly independent cell vectors along the periodic directions",
            next_step="correct the cell, or the directions in which it is periodic",
        )
    return box


def repeats_for(box_angstrom: FloatArray, atoms: int, reach_angstrom: float) -> Repeats:
    """How often to repeat a cell along its three vectors, so that the evaluation is fastest.

    Args:
        box_angstrom: (3, 3) cell vectors as rows, all periodic.
        atoms: number of atoms in the cell.
        reach_angstrom: largest cutoff of the model.

    Returns:
        repeats that make the faces of the cell lie far enough apart for the search by bins; or one in each direction,
        where a search over all pairs costs less than the copies would.
    """
    heights = 1.0 / np.linalg.norm(np.linalg.inv(box_angstrom), axis=0)  # distances between opposite faces
    images = np.maximum(1, np.ceil(_IMAGES_WITHIN_CUTOFFS * reach_angstrom / heights))
    repeats = np.floor(_BINNED_ABOVE_CUTOFFS * reach_angstrom / heights * (1 + 1e-12)).astype(int) + 1
    search_s = atoms**2 * float(np.prod(images)) * _SECONDS_PER_PAIR
    copies_s = atoms * (int(np.prod(repeats)) - 1) * _SECONDS_PER_ATOM
    if search_s <= copies_s:
        return (1, 1, 1)
    return (int(repeats[0]), int(repeats[1]), int(repeats[2]))


def _wrapped(points: FloatArray, box: FloatArray) -> FloatArray:
    """Points inside the box: calorine steps back by one period at a time."""
    images = np.floor(np.linalg.solve(box.T, points.T).T)
    return np.asarray(points - images @ box)


def _repeated(points: FloatArray, box: FloatArray, repeats: Repeats) -> FloatArray:
    """Points of all copies, those of the first copy first."""
    shifts = np.stack(np.meshgrid(*(np.arange(n) for n in repeats), indexing="ij"), axis=-1).reshape(-1, 1, 3) @ box
    return np.asarray((points[None] + shifts).reshape(-1, 3))


def _flat(array: FloatArray) -> list[float]:
    """All x, then all y, then all z; of cell vectors, likewise."""
    flat: list[float] = array.T.ravel().tolist()
    return flat
