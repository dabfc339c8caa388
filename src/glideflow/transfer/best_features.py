"""What the model ``best`` sees of a sample: averages over its semidiscrete cores, and the shape of γ and of elasticity.

All but one are without units: stresses over the energy factor K, lengths over b, γ over K b. The one, log₁₀ K, turns
them into MPa.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.progress import Progress, silent
from glideflow.properties.peierls_nabarro_closed import half_width, joos_duesbery_stress
from glideflow.transfer.core_solutions import STUDIES, Study, core_solutions, part_of
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.features import GPA_ANGSTROM_TO_MJ_PER_M2, Features, elastic_scaled, joined, landmarks

RESOLUTION = 1e-8
"""Stresses over K below count as this one: the targets themselves are known to about 1e-7 K."""
LOG10_ENERGY_FACTOR = "log10 energy factor (GPa)"
FAULT = "fault / barrier"

_LINE_POINTS = 720
_LOWEST = 1e-6


def best_features(
    dataset: TransferDataset,
    indices: IntArray,
    *,
    known: Mapping[str, FloatArray] | None = None,
    studies: Sequence[Study] = STUDIES,
    progress: Progress = silent,
) -> Features:
    """Features of samples, all finite; for one that is new, half a second of one core goes into its cores.

    Args:
        dataset: the data set. Stresses, metals, families and Peierls-Nabarro values are not read: one made of elastic
            constants and a γ surface alone will do.
        indices: (m,) the samples.
        known: solved cores, see `glideflow.transfer.core_solutions.core_solutions`.
        studies: whose features are wanted.
        progress: progress callback.
    """
    part = dataset.select(indices)
    cores = core_solutions(part, np.arange(len(part)), known=known, studies=studies, progress=progress)
    return joined(elastic_shape(part), gamma_shape(part), core_averages(cores, studies))


def elastic_shape(dataset: TransferDataset) -> Features:
    """log₁₀ K and ratios of elastic constants."""
    factor = dataset.energy_factor_gpa
    scaled = elastic_scaled(dataset) * (dataset.shear_modulus_gpa / factor)[:, None]
    columns = {
        LOG10_ENERGY_FACTOR: np.log10(factor),
        "log10 shear modulus / energy factor": np.log10(dataset.shear_modulus_gpa / factor),
        **{f"{name} / energy factor": scaled[:, k] for k, name in enumerate(dataset.elastic_names)},
        "energy factor along the line / energy factor": dataset.energy_tensor_gpa[:, 1, 1] / factor,
        "energy factor along the normal / energy factor": dataset.energy_tensor_gpa[:, 2, 2] / factor,
    }
    return _features(columns)


def gamma_shape(dataset: TransferDataset) -> Features:
    """Landmarks of γ over K b, and how γ along b departs from a sinusoid."""
    unit = dataset.energy_factor_gpa * dataset.burgers_angstrom * GPA_ANGSTROM_TO_MJ_PER_M2
    found = landmarks(dataset)
    row = dataset.gamma_mj_m2[:, :, 0] / unit[:, None]
    amplitudes = 2 * np.fft.rfft(row, axis=1) / row.shape[1]  # (n, q)
    number = np.arange(amplitudes.shape[1])
    phases = np.exp(2j * np.pi * np.outer(number, np.arange(_LINE_POINTS + 1) / _LINE_POINTS))
    line = (amplitudes[:, 1:] @ phases[1:]).real
    line -= line[:, :1]
    slope = np.abs((amplitudes * 2j * np.pi * number @ phases).real)
    curvature = (amplitudes * (2j * np.pi * number) ** 2).real.sum(axis=1)
    steepest = slope.max(axis=1)
    zeta = half_width(1.0, 1.0, steepest)
    spacing = dataset.node_spacing_angstrom / dataset.burgers_angstrom
    first = amplitudes[:, 1].real
    columns = {
        "log10 slope / energy factor": _log10(steepest),
        "log10 line / (energy factor b)": _log10(line.max(axis=1)),
        "log10 curvature b / energy factor": _log10(curvature, 1e-3),
        "steepest at": slope[:, : _LINE_POINTS // 2 + 1].argmax(axis=1) / _LINE_POINTS,
        "halfway / line": line[:, _LINE_POINTS // 2] / np.maximum(line.max(axis=1), _LOWEST),
        **{f"wave {q} / wave 1": amplitudes[:, q].real / np.where(first == 0, -_LOWEST, first) for q in (2, 3, 4)},
        "log10 barrier / (energy factor b)": _log10(found.barrier_mj_m2 / unit),
        "log10 maximum / (energy factor b)": _log10(found.maximum_mj_m2 / unit),
        "log10 mean / (energy factor b)": _log10(dataset.gamma_mj_m2.mean(axis=(1, 2)) / unit),
        FAULT: found.fault_mj_m2 / np.maximum(found.barrier_mj_m2, _LOWEST),
        "arsinh 1000 fault / (energy factor b)": np.arcsinh(found.fault_mj_m2 / unit * 1e3),
        "half width / row spacing": zeta / spacing,
        "log10 closed form / energy factor": _log10(joos_duesbery_stress(1.0, 1.0, zeta, spacing), RESOLUTION),
    }
    return _features(columns)


def core_averages(cores: FloatArray, studies: Sequence[Study] = STUDIES) -> Features:
    """Averages over the factors of every study.

    Args:
        cores: (n, T, 3) of `glideflow.transfer.core_solutions.core_solutions`.
        studies: the studies that they are of.
    """
    return joined(*(_averages(study, cores[:, part_of(study, studies)]) for study in studies))


def stress_name(study: str) -> str:
    """Name of the feature that is a study's mean log₁₀ of the stress over K."""
    return f"{study}: log10 stress / energy factor"


def _averages(study: Study, cores: FloatArray) -> Features:
    """Features of one study from (n, f, 3)."""
    factors = np.array(study.factors)
    stress = np.nan_to_num(cores[:, :, 0], nan=0.0, posinf=0.0, neginf=0.0)
    log10 = _log10(stress, RESOLUTION)  # (n, f)
    soft, near, stiff = factors < 0.95, (factors > 0.85) & (factors < 1.3), factors > 1.1
    own = int(np.abs(np.log(factors)).argmin())
    columns = {
        stress_name(study.name): log10.mean(axis=1),
        f"{study.name}: soft": log10[:, soft].mean(axis=1),
        f"{study.name}: near": log10[:, near].mean(axis=1),
        f"{study.name}: stiff": log10[:, stiff].mean(axis=1),
        f"{study.name}: root mean square": _log10((stress[:, near] ** 2).mean(axis=1), RESOLUTION**2) / 2,
        f"{study.name}: deviation": log10[:, near].std(axis=1),
        f"{study.name}: largest": log10[:, near].max(axis=1),
        f"{study.name}: decay": log10[:, stiff].mean(axis=1) - log10[:, soft].mean(axis=1),
        f"{study.name}: width / b": cores[:, own, 1],
    }
    if study.components == 2:
        columns[f"{study.name}: separation / b"] = cores[:, own, 2]
    return _features(columns)


def _features(columns: Mapping[str, FloatArray]) -> Features:
    return Features(tuple(columns), np.stack(list(columns.values()), axis=1))


def _log10(values: FloatArray, lowest: float = _LOWEST) -> FloatArray:
    return np.asarray(np.log10(np.maximum(values, lowest)))
