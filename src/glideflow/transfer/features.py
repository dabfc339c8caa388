"""What models see of a sample: scaled tensors and images, and numbers read off them.

Lengths scale with b, stresses with the shear modulus μ of the slip plane along b, and γ with μ b: by dimensional
analysis τ/μ of a rigid-rod model depends on nothing else. Every feature belongs to its sample alone; what is fitted to
many (means, principal components) is part of a model and sees training samples only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glideflow.crystals.lattices import FloatArray
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.periodic import kernel, resampled
from glideflow.units import EV_PER_A2_TO_MJ_PER_M2, EV_PER_A3_TO_GPA

GPA_ANGSTROM_TO_MJ_PER_M2 = EV_PER_A2_TO_MJ_PER_M2 / EV_PER_A3_TO_GPA
"""1 GPa·Å in mJ/m² (100)."""
STRUCTURES = ("fcc", "bcc", "hcp")
_LINE_POINTS = 240
_SIDE = 0.25
"""How far from the line of b, in periods, the fault halfway is looked for."""


@dataclass(frozen=True)
class Features:
    """Numbers of n samples by name.

    Attributes:
        names: (f) names; logarithms begin with ``log10``.
        values: (n, f) values.
    """

    names: tuple[str, ...]
    values: FloatArray


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """What is read off γ surfaces, in the same way for every plane.

    Attributes:
        fault_mj_m2: (n,) lowest γ halfway along b, on the line across it within a quarter of the period: the intrinsic
            fault on {111} of fcc, b/2 or near it elsewhere.
        barrier_mj_m2: (n,) maximum on the two straight lines from the perfect crystal to that fault and on to the next
            lattice point: the unstable fault.
        line_mj_m2: (n,) maximum straight along b.
        maximum_mj_m2: (n,) maximum of the image.
        slope_gpa: (n,) largest slope of γ along b: what the plane as a whole resists.
    """

    fault_mj_m2: FloatArray
    barrier_mj_m2: FloatArray
    line_mj_m2: FloatArray
    maximum_mj_m2: FloatArray
    slope_gpa: FloatArray


def elastic_scaled(dataset: TransferDataset) -> FloatArray:
    """(n, 6) the elastic features over μ."""
    return np.asarray(dataset.elastic_gpa / dataset.shear_modulus_gpa[:, None])


def gamma_unit_mj_m2(dataset: TransferDataset) -> FloatArray:
    """(n,) μ b in mJ/m²."""
    return np.asarray(dataset.shear_modulus_gpa * dataset.burgers_angstrom * GPA_ANGSTROM_TO_MJ_PER_M2)


def gamma_scaled(dataset: TransferDataset) -> FloatArray:
    """(n, 31, 31) γ over μ b: about 0.03 at the unstable fault, 1/(4π²) of Frenkel's sinusoid for d = b/2."""
    return np.asarray(dataset.gamma_mj_m2 / gamma_unit_mj_m2(dataset)[:, None, None])


def landmarks(dataset: TransferDataset) -> Landmarks:
    """Landmarks of every sample's γ surface."""
    images = dataset.gamma_mj_m2
    across = np.linspace(-_SIDE, _SIDE, _LINE_POINTS + 1)
    halfway = resampled(images, np.array([0.5]), across)[:, 0]  # (n, y)
    lowest = halfway.argmin(axis=1)
    line = resampled(images, np.linspace(0, 1, _LINE_POINTS), np.zeros(1))[:, :, 0]
    return Landmarks(
        fault_mj_m2=halfway.min(axis=1),
        barrier_mj_m2=np.array([_barrier(image, across[k]) for image, k in zip(images, lowest, strict=True)]),
        line_mj_m2=line.max(axis=1),
        maximum_mj_m2=images.max(axis=(1, 2)),
        slope_gpa=_largest_slope(line, dataset.burgers_angstrom),
    )


def scalars(dataset: TransferDataset) -> Features:
    """Dimensionless numbers of elastic constants, γ and geometry, the modulus that scales them, and the structure."""
    found, modulus, unit = landmarks(dataset), dataset.shear_modulus_gpa, gamma_unit_mj_m2(dataset)
    columns = {
        "log10 shear modulus (GPa)": np.log10(modulus),
        "log10 energy factor / shear modulus": np.log10(dataset.energy_factor_gpa / modulus),
        **{f"{name} / shear modulus": values for name, values in _named(dataset)},
        "log10 barrier / (modulus b)": _log10(found.barrier_mj_m2 / unit),
        "fault / barrier": found.fault_mj_m2 / np.maximum(found.barrier_mj_m2, 1e-9),
        "log10 line / (modulus b)": _log10(found.line_mj_m2 / unit),
        "log10 maximum / (modulus b)": _log10(found.maximum_mj_m2 / unit),
        "log10 mean / (modulus b)": _log10(dataset.gamma_mj_m2.mean(axis=(1, 2)) / unit),
        "log10 slope / modulus": _log10(found.slope_gpa / modulus),
        "plane spacing / b": dataset.plane_spacing_angstrom / dataset.burgers_angstrom,
        "row spacing / b": dataset.node_spacing_angstrom / dataset.burgers_angstrom,
        **{name: (np.array(dataset.structures) == name).astype(float) for name in STRUCTURES},
    }
    return Features(tuple(columns), np.stack(list(columns.values()), axis=1))


def peierls_nabarro_log10(dataset: TransferDataset, floor_mpa: float) -> Features:
    """log₁₀ of the stress by every continuum model, none below the floor.

    Where a semidiscrete model has no number (it was not computed, or its core fills the period) the closed form of
    the largest slope stands in, which every sample has.
    """
    closed = dataset.peierls_nabarro("joos_duesbery")
    stresses = np.where(np.isfinite(dataset.peierls_nabarro_mpa), dataset.peierls_nabarro_mpa, closed[:, None])
    names = tuple(f"log10 {name} Peierls-Nabarro (MPa)" for name in dataset.peierls_nabarro_names)
    return Features(names, np.log10(np.maximum(stresses, floor_mpa)))


def joined(*parts: Features) -> Features:
    """Features beside each other."""
    names = tuple(name for part in parts for name in part.names)
    return Features(names, np.concatenate([part.values for part in parts], axis=1))


def _named(dataset: TransferDataset) -> list[tuple[str, FloatArray]]:
    return list(zip(dataset.elastic_names, elastic_scaled(dataset).T, strict=True))


def _barrier(image: FloatArray, side: float) -> float:
    """Maximum of (k, l) γ on the way from 0 to (1/2, side) and on to (1, 0) of the period.

    Both halves count: where the fault lies on either side of b at equal energy, they are different, and it would
    depend on rounding which is the first.
    """
    along = np.linspace(0, 1, _LINE_POINTS + 1)
    first, second = kernel(image.shape[0], along), kernel(image.shape[1], side * (1 - np.abs(2 * along - 1)))
    return float(((first @ image) * second).sum(axis=1).max())


def _largest_slope(line: FloatArray, burgers_angstrom: FloatArray) -> FloatArray:
    """Largest slope in GPa of (n, p) γ along one period that begins and ends with the perfect crystal."""
    step = burgers_angstrom / (line.shape[1] - 1)
    return np.asarray(np.abs(np.diff(line, axis=1)).max(axis=1) / step / GPA_ANGSTROM_TO_MJ_PER_M2)


def _log10(values: FloatArray) -> FloatArray:
    """log₁₀ of what should be positive; γ of a bad potential need not be."""
    return np.log10(np.maximum(values, 1e-6))
