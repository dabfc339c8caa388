"""Slip systems: where Miller indices become Cartesian axes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from glideflow.crystals.lattices import Crystal, FloatArray
from glideflow.errors import SlipSystemError

if TYPE_CHECKING:
    from glideflow.config.slip_systems import SlipSystemSettings

_LARGEST_INDEX = 2
"""Largest Miller index among which `nearest_plane` looks."""


@dataclass(frozen=True)
class SlipSystem:
    """A slip plane and the direction of its Burgers vector.

    Attributes:
        name: name in file names and tables.
        structure: crystal structure.
        plane: three Miller indices (hkl).
        direction: three Miller indices [uvw] of the Burgers vector's direction.
        label: the indices as given, e.g. ``(111)[-110]`` or ``(10-10)[-12-10]``.
        cut: ``wide`` or ``narrow`` spacing between planes, None where the system leaves it open.
    """

    name: str
    structure: str
    plane: tuple[int, int, int]
    direction: tuple[int, int, int]
    label: str
    cut: str | None = None


@dataclass(frozen=True)
class Frame:
    """Axes of a slip system: x along the Burgers vector, z along the plane normal, y = z × x.

    For an edge dislocation y is the line direction.

    Attributes:
        axes: (3, 3) unit vectors x, y, z as rows, in the Cartesian axes of the crystal.
    """

    axes: FloatArray

    def to_frame(self, vectors: FloatArray) -> FloatArray:
        """Components in the frame of (..., 3) vectors given in the crystal's Cartesian axes."""
        return np.asarray(vectors @ self.axes.T)


def slip_system(settings: SlipSystemSettings) -> SlipSystem:
    """Read a slip system from the configuration.

    Raises:
        SlipSystemError: indices that do not fit the structure, do not sum up, or a direction out of the plane.
    """
    four = settings.structure == "hcp"
    given = (settings.plane, settings.direction)
    if not four and any(len(indices) != 3 for indices in given):
        raise SlipSystemError(
            f"slip system {settings.name!r}: four indices for a cubic crystal",
            expected="three Miller indices for fcc and bcc",
            next_step="write (hkl) and [uvw]",
        )
    plane = _plane_indices(settings.name, given[0])
    direction = _direction_indices(settings.name, given[1])
    _refuse_out_of_plane(settings.name, plane, direction)
    return SlipSystem(settings.name, settings.structure, plane, direction, _label(*given), settings.cut)


def frame(system: SlipSystem, perfect: Crystal) -> Frame:
    """The Cartesian axes of a slip system in a crystal."""
    normal = np.linalg.inv(perfect.conventional_angstrom) @ np.array(system.plane, dtype=float)
    z = normal / np.linalg.norm(normal)
    along = np.array(system.direction, dtype=float) @ perfect.conventional_angstrom
    x = along / np.linalg.norm(along)
    return Frame(np.array([x, np.cross(z, x), z]))


def shortest_lattice_vector(perfect: Crystal, direction: tuple[int, int, int]) -> FloatArray:
    """The shortest lattice vector along a direction [uvw], as (3,) Å in the crystal's Cartesian axes.

    Along the direction of slip it is the Burgers vector.
    """
    along = np.array(direction, dtype=float) @ perfect.conventional_angstrom
    coefficients = along @ np.linalg.inv(perfect.primitive_angstrom)
    integers = np.rint(coefficients).astype(int)  # a conventional vector is a lattice vector
    return np.asarray(along / reduce(gcd, (abs(int(n)) for n in integers)))


def nearest_plane(perfect: Crystal, system: SlipSystem, normal: FloatArray) -> str:
    """Indices of the plane of low indices that holds the Burgers vector and is closest to a normal.

    Args:
        perfect: the crystal.
        system: the slip system whose Burgers vector the plane has to hold.
        normal: (3,) unit normal in the crystal's Cartesian axes; its sign does not matter.

    Returns:
        Indices in brackets, e.g. ``(1-10)``, or ``(0001)`` for hcp.
    """
    span = np.arange(-_LARGEST_INDEX, _LARGEST_INDEX + 1)
    planes = np.stack(np.meshgrid(span, span, span, indexing="ij"), axis=-1).reshape(-1, 3)
    planes = planes[(planes @ np.array(system.direction) == 0) & (np.gcd.reduce(planes, axis=1) == 1)]
    normals = planes @ np.linalg.inv(perfect.conventional_angstrom).T
    angles = np.degrees(np.arccos(np.clip(normals @ normal / np.linalg.norm(normals, axis=1), -1.0, 1.0)))
    h, k, last = (int(index) for index in planes[np.argmin(angles)])
    return _label((h, k, -h - k, last) if perfect.structure == "hcp" else (h, k, last), None)


def _plane_indices(name: str, indices: tuple[int, ...]) -> tuple[int, int, int]:
    if len(indices) == 4:
        h, k, i, last = indices
        _refuse_wrong_sum(name, indices, h + k + i)
        return _nonzero(name, (h, k, last))
    return _nonzero(name, indices)


def _direction_indices(name: str, indices: tuple[int, ...]) -> tuple[int, int, int]:
    if len(indices) == 4:
        u, v, t, w = indices
        _refuse_wrong_sum(name, indices, u + v + t)
        return _nonzero(name, (u - t, v - t, w))
    return _nonzero(name, indices)


def _nonzero(name: str, indices: tuple[int, ...]) -> tuple[int, int, int]:
    divisor = reduce(gcd, (abs(n) for n in indices))
    if divisor == 0:
        raise SlipSystemError(
            f"slip system {name!r}: all indices of {indices} are zero",
            expected="at least one index that is not zero",
            next_step="correct the indices in slip_systems",
        )
    first, second, third = (n // divisor for n in indices)
    return (first, second, third)


def _refuse_wrong_sum(name: str, indices: tuple[int, ...], total: int) -> None:
    if total != 0:
        raise SlipSystemError(
            f"slip system {name!r}: the first three of the indices {indices} sum up to {total}",
            expected="Miller-Bravais indices whose first three sum up to 0",
            next_step="correct the third index, or give three Miller indices",
        )


def _refuse_out_of_plane(name: str, plane: tuple[int, int, int], direction: tuple[int, int, int]) -> None:
    product = sum(p * d for p, d in zip(plane, direction, strict=True))
    if product != 0:
        raise SlipSystemError(
            f"slip system {name!r}: the direction {direction} leaves the plane {plane} (hu + kv + lw = {product})",
            expected="a direction in the slip plane, hu + kv + lw = 0",
            next_step="correct the indices in slip_systems",
        )


def _label(plane: tuple[int, ...], direction: tuple[int, ...] | None) -> str:
    return f"({''.join(map(str, plane))})" + (f"[{''.join(map(str, direction))}]" if direction else "")
