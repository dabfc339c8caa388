"""Data sets for tests of the branch: real ones from the shipped library, and invented ones that follow a known law.

Tests of networks need PyTorch, which a machine without its CPU build lacks: they are left out there, never in CI.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glideflow.config.slip_systems import FCC_111
from glideflow.config.transfer import TransferDataSettings
from glideflow.transfer.assembly import MODELS, elastic_features_gpa, group_dataset
from glideflow.transfer.dataset import EMPIRICAL, TransferDataset, read_dataset, write_dataset
from glideflow.transfer.periodic import grid_fractions

NEED_TORCH = [
    "test_ensemble.py",
    "test_network.py",
    "test_network_artifacts.py",
    "test_resnet.py",
    "test_train_command.py",
    "test_training.py",
]

collect_ignore = [] if importlib.util.find_spec("torch") or os.environ.get("CI") else NEED_TORCH


@pytest.fixture(scope="session")
def shipped(filled_once: Callable[[str, Callable[[Path], object]], Path]) -> TransferDataset:
    """Every sample of the library that ships with the package, as it comes back from a file."""
    return read_dataset(filled_once("samples", _write_samples) / "joint.h5")


def _write_samples(folder: Path) -> None:
    write_dataset(folder / "joint.h5", group_dataset("joint", TransferDataSettings()))


@pytest.fixture(scope="session")
def invented() -> Callable[..., TransferDataset]:
    """Makes data sets of n fcc samples: log10 τ is linear in the logarithm of the height of γ, and in nothing else."""
    return _invented


def _invented(samples: int = 24, seed: int = 0, relatives: int = 1, noise: float = 0.0) -> TransferDataset:
    generator = np.random.default_rng(seed)
    height = 10 ** generator.uniform(1.5, 3, samples)
    x = 2 * np.pi * grid_fractions(31)
    shape = (1 - np.cos(x))[:, None] / 2 + (1 - np.cos(x))[None, :] / 3
    modulus = generator.uniform(20, 60, samples)
    stiffness = modulus[:, None, None] * (2 * np.eye(6) + 1)
    b = generator.uniform(2.4, 2.9, samples)
    log10_mpa = 2 * np.log10(height) - 4 + noise * generator.normal(size=samples)
    metals = ("Cu", "Ni", "Al")
    unknown = np.full((samples, len(MODELS)), np.nan)
    return TransferDataset(
        name="invented",
        potential_ids=tuple(f"P{k:03d}" for k in range(samples)),
        elements=tuple(metals[k // relatives % 3] for k in range(samples)),
        structures=("fcc",) * samples,
        slip_systems=("fcc_111",) * samples,
        families=tuple(f"F{k // relatives:03d}" for k in range(samples)),
        sources=(EMPIRICAL,) * samples,
        flags=("",) * samples,
        elastic_gpa=elastic_features_gpa(stiffness),
        stiffness_gpa=stiffness,
        energy_tensor_gpa=modulus[:, None, None] * np.diag([1.5, 1.0, 1.5]),
        energy_factor_gpa=1.5 * modulus,
        layer_stiffness_gpa=modulus[:, None, None] * np.diag([3.0, 1.0, 1.0]),
        shear_modulus_gpa=modulus,
        gamma_mj_m2=height[:, None, None] * shape,
        gamma_error_mj_m2=np.full(samples, 0.1),
        cell_angstrom=np.stack([b, np.sqrt(3) * b], axis=1),
        burgers_angstrom=b,
        plane_spacing_angstrom=0.8 * b,
        node_spacing_angstrom=b / 2,
        peierls_mpa=10**log10_mpa,
        peierls_error_mpa=np.full(samples, 0.01),
        resolution_mpa=np.full(samples, 0.01),
        is_upper_bound=np.zeros(samples, dtype=bool),
        protocol="reference",
        peierls_nabarro_names=MODELS,
        peierls_nabarro_mpa=np.where(np.arange(len(MODELS)) == 3, 10 ** (log10_mpa[:, None] / 2 + 0.5), 1.0),
        peierls_nabarro_width_angstrom=unknown,
        partial_separation_angstrom=unknown,
        slip_system_definitions=(FCC_111.model_dump_json(),),
    )
