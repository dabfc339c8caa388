"""Isotropic stand-ins for a cubic crystal, and the stress that one row of dislocations exerts on another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import FloatArray
from glideflow.errors import PropertyError
from glideflow.mobility.orientations import LineOrientation
from glideflow.properties.anisotropic_line import energy_tensor, rotated, stiffness_tensor
from glideflow.properties.elastic import VOIGT

ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True)
class IsotropicElasticity:
    """An isotropic medium.

    Attributes:
        shear_modulus_gpa: shear modulus μ.
        poisson_ratio: Poisson ratio ν.
    """

    shear_modulus_gpa: float
    poisson_ratio: float

    def __post_init__(self) -> None:
        if not (self.shear_modulus_gpa > 0 and -1.0 < self.poisson_ratio < 0.5):
            raise PropertyError(
                f"a shear modulus of {self.shear_modulus_gpa:g} GPa and a Poisson ratio of {self.poisson_ratio:g}",
                expected="a positive modulus and a ratio between -1 and 0.5: a stable isotropic medium",
                next_step="look at the elastic constants, or give the two numbers",
            )


def isotropic_equivalent(tensor_gpa: FloatArray) -> IsotropicElasticity:
    """The isotropic medium in which ½<111>{110} screw and edge have the line energies of the crystal.

    μ = K_s and ν = 1 - K_s/K_e, where b·K·b/(4π) is the prefactor of the energy per length of a straight dislocation
    (Barnett and Lothe), along b for the screw and across it for the edge. Interactions at a distance and the forces
    that straighten a line scale with these energies, which averages over the directions of the crystal do not give: for
    α-iron (Mendelev et al. 2003) μ is 64 GPa here and 89 GPa in Voigt's average.

    Args:
        tensor_gpa: (6, 6) elastic constants in the cubic axes, Voigt order.

    Raises:
        PropertyError: no stable isotropic medium has these energies.
    """
    stiffness = stiffness_tensor(tensor_gpa)
    edge_line, screw_line = LineOrientation(-1, 2).axes, LineOrientation(1, 1).axes
    edge, screw = (_energy_factor(stiffness, axes, burgers) for axes, burgers in ((edge_line, 0), (screw_line, 1)))
    return IsotropicElasticity(screw, 1.0 - screw / edge)


def voigt_average(tensor_gpa: FloatArray) -> IsotropicElasticity:
    """Voigt's average over all directions of a (6, 6) tensor in GPa.

    Raises:
        PropertyError: it is not that of a stable medium.
    """
    bulk = tensor_gpa[:3, :3].sum() / 9
    coupling = tensor_gpa[0, 1] + tensor_gpa[0, 2] + tensor_gpa[1, 2]
    shear = (np.trace(tensor_gpa[:3, :3]) - coupling + 3 * np.trace(tensor_gpa[3:, 3:])) / 15
    return IsotropicElasticity(float(shear), float((3 * bulk - 2 * shear) / (2 * (3 * bulk + shear))))


def _energy_factor(stiffness: FloatArray, axes: FloatArray, direction: int) -> float:
    """K in GPa for a line along y of the axes, with its Burgers vector along one of them."""
    return float(energy_tensor(rotated(stiffness, axes), np.eye(3)[0], np.eye(3)[2])[direction, direction])


def elastic_strain(tensor_gpa: FloatArray, orientation: LineOrientation, stress_mpa: FloatArray) -> FloatArray:
    """(3, 3) strain under a stress, both in the frame of an orientation.

    Args:
        tensor_gpa: (6, 6) elastic constants in the cubic axes, Voigt order.
        orientation: the frame.
        stress_mpa: (3, 3) stress.
    """
    axes = orientation.axes
    cubic = axes.T @ stress_mpa @ axes
    engineering = np.linalg.solve(tensor_gpa, np.array([cubic[i, j] for i, j in VOIGT]) / 1e3)
    strain = np.zeros((3, 3))
    for value, (i, j) in zip(engineering, VOIGT, strict=True):
        strain[i, j] = strain[j, i] = value if i == j else value / 2
    return np.asarray(axes @ strain @ axes.T)


class IsotropicRow:
    """A row of parallel dislocations along their glide direction x, in an isotropic medium.

    Lines have the sense x × z = -y for the given Burgers vector.

    Args:
        medium: the medium.
        burgers_angstrom: (3,) Burgers vector with the lines along y and the glide plane normal along z.
    """

    description = "isotropic"

    def __init__(self, medium: IsotropicElasticity, burgers_angstrom: FloatArray) -> None:
        self._screw = medium.shear_modulus_gpa * burgers_angstrom[1] ** 2
        self._edge = medium.shear_modulus_gpa / (1 - medium.poisson_ratio) * burgers_angstrom[0] ** 2
        self._burgers = float(np.linalg.norm(burgers_angstrom))

    def resolved_stress_gpa(self, x: FloatArray, z: float, period: float) -> FloatArray:
        """Resolved shear stress of the row at positions x along the glide direction and a height z ≠ 0.

        The sums over 1/ζ and 1/ζ² with ζ = x + iz of the fields of single lines are π/L cot(πζ/L) and the square of
        π/L / sin(πζ/L) (Anderson, Hirth and Lothe 2017, section 19.3).

        Args:
            x: positions along the glide direction, in any unit of length.
            z: height over the row, in that unit.
            period: distance of the lines in the row, in that unit; lengths of the Burgers vector must agree with it.
        """
        phase = np.pi * (np.asarray(x) + 1j * z) / period
        first, second = np.pi / period / np.tan(phase), (np.pi / period / np.sin(phase)) ** 2
        edge, screw = (first - 1j * z * second).real, first.real
        return np.asarray((self._edge * edge + self._screw * screw) / (2 * np.pi * self._burgers))


class AnisotropicRow:
    """The same in an anisotropic medium, by the sextic formalism (Stroh, Philos. Mag. 3, 625 (1958)).

    Args:
        stiffness_gpa: (3, 3, 3, 3) in the frame with the lines along y and the glide plane normal along z.
        burgers_angstrom: (3,) Burgers vector in that frame.
    """

    description = "anisotropic"

    def __init__(self, stiffness_gpa: FloatArray, burgers_angstrom: FloatArray) -> None:
        roots, tractions = _stroh(stiffness_gpa)
        self._roots = roots
        self._weights = (burgers_angstrom @ tractions) ** 2
        self._burgers = float(np.linalg.norm(burgers_angstrom))

    def resolved_stress_gpa(self, x: FloatArray, z: float, period: float) -> FloatArray:
        """Resolved shear stress of the row; see `IsotropicRow.resolved_stress_gpa`."""
        phase = np.pi * (np.asarray(x)[..., None] + self._roots * z) / period  # (..., 3)
        sums = np.pi / period / np.tan(phase)
        return np.asarray((self._weights * sums).sum(axis=-1).imag / (np.pi * self._burgers))


def anisotropic_row(
    tensor_gpa: FloatArray, orientation: LineOrientation, burgers_angstrom: FloatArray
) -> AnisotropicRow:
    """A row of lines of an orientation in a crystal with (6, 6) elastic constants in its cubic axes."""
    return AnisotropicRow(rotated(stiffness_tensor(tensor_gpa), orientation.axes), burgers_angstrom)


def _stroh(stiffness: FloatArray) -> tuple[ComplexArray, ComplexArray]:
    """(3,) roots with positive imaginary part, and (3, 3) traction vectors as columns, normalised to 2 a·l = 1."""
    xx, xz, zz = stiffness[0, :, :, 0], stiffness[0, :, :, 2], stiffness[2, :, :, 2]
    inverse = np.linalg.inv(zz)
    first = -inverse @ xz.T
    matrix = np.block([[first, inverse], [xz @ inverse @ xz.T - xx, first.T]])
    roots, vectors = np.linalg.eig(matrix)
    upper = roots.imag > 0
    roots, vectors = roots[upper], vectors[:, upper]
    scale = np.sqrt(2.0 * np.sum(vectors[:3] * vectors[3:], axis=0))
    return roots, np.asarray(vectors[3:] / scale)
