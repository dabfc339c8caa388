"""The data set that models of the Peierls stress learn from: inputs, targets and where they come from.

Frame and axes are those of the slip system (`glideflow.crystals.slip_systems.Frame`): x along the Burgers vector,
y along the line of the edge dislocation, z along the normal; Voigt order xx, yy, zz, yz, xz, xy.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import StorageError
from glideflow.storage import read_record, record, write_record

FLOOR_MPA = 0.1
"""Default floor of the target. In the reference cell the search resolves about 0.01 MPa, and below 0.3 MPa its own
noise reaches a factor of 1.2: what lies below is soft, and how soft is not known."""

GRID_POINTS = 31
"""Points of the γ images along each period. An odd number resolves both phases of every wave, so that a shifted image
holds what the original one held."""

EMPIRICAL, MACHINE_LEARNED, OTHER = "EAM/MEAM", "machine-learned", "other"
"""Kinds of sources of a sample's numbers."""

ELASTIC_NAMES = ("c11", "c13", "c33", "c44", "c55", "c66")
"""The six elastic features: stiffnesses in the frame of the slip system.

Of the stiffness in this frame only C_ij with i, j in {1, 3, 4, 5, 6} enter Stroh's matrices for a line along y
(xx, zz, xz and, by coupling, yz and xy), so that C_12, C_22, C_23 and the like are without effect on the elastic
field of the dislocation. These six are those that vanish in none of the three primary slip systems; the others (C_14,
C_34 and C_56 in fcc, C_16, C_36 and C_45 in bcc) follow from them by the symmetry of the crystal.
"""

_NOT_PER_SAMPLE = frozenset(
    {"elastic_names", "peierls_nabarro_names", "slip_system_definitions", "omitted_ids", "omitted_reasons"}
)


@record
@dataclass(frozen=True, kw_only=True)
class TransferDataset:
    """n samples: a potential, what is computed from it cheaply, and the Peierls stress of its edge dislocation.

    Attributes:
        name: what it holds, e.g. ``fcc`` or ``joint``.
        potential_ids: (n) ids of the potentials.
        elements: (n) chemical symbols.
        structures: (n) crystal structures.
        slip_systems: (n) names of the slip systems.
        families: (n) families of near-copies and relatives (``family_computed`` of the library); never split one.
        sources: (n) ``EAM/MEAM``, ``machine-learned`` or ``other``.
        flags: (n) quality flags of the library, joined by ``; ``.
        elastic_names: names of the six elastic features, see `ELASTIC_NAMES`.
        elastic_gpa: (n, 6) these features.
        stiffness_gpa: (n, 6, 6) whole stiffness in the frame of the slip system.
        energy_tensor_gpa: (n, 3, 3) Stroh energy tensor K of a line along y, in the frame: the energy per length of a
            dislocation is b·K·b/(4π) ln(R/r).
        energy_factor_gpa: (n,) K of the edge dislocation, K_xx.
        layer_stiffness_gpa: (n, 3, 3) stiffness Q of a thin layer, see `glideflow.properties.anisotropic_line`.
        shear_modulus_gpa: (n,) C_55 - C_35²/C_33: resistance to shear of the slip plane along b at no stress across it
            (C_55 itself in the primary slip systems, where C_35 vanishes).
        gamma_mj_m2: (n, 31, 31) γ at the displacements (i/31, j/31) of the periods along x (axis 0) and y (axis 1);
            the repeated edge is left out.
        gamma_error_mj_m2: (n,) largest error of these values by interpolation, as estimated by
            `glideflow.transfer.assembly.interpolated`.
        cell_angstrom: (n, 2) periods along x (the Burgers vector) and y.
        burgers_angstrom: (n,) length of the Burgers vector.
        plane_spacing_angstrom: (n,) distance between the two atomic planes next to the cut.
        node_spacing_angstrom: (n,) distance between equivalent rows of atoms along x: nodes of the semidiscrete models.
        peierls_mpa: (n,) Peierls stress; NaN where it is not known, in samples that are there to be predicted.
        peierls_error_mpa: (n,) its error; NaN where the protocol states none.
        resolution_mpa: (n,) stress that the protocol resolves; NaN as above.
        is_upper_bound: (n,) whether the stress is only a bound: the core glides at the smallest stress resolved.
        protocol: how the stresses were computed: ``reference`` (converged, the reference cell), ``series`` (limit of
            large cells), ``paper`` (fixed strain steps, the reference cell) or ``size_s`` (the same in 244 atoms).
        peierls_nabarro_names: (k) continuum models: ``sinusoidal`` and ``joos_duesbery`` (closed forms), ``line``,
            ``surface`` and ``gradient`` (semidiscrete), see `glideflow.properties.peierls_nabarro`.
        peierls_nabarro_mpa: (n, k) stresses by these models; NaN where a model has no dislocation.
        peierls_nabarro_width_angstrom: (n, k) distance between the places where the disregistry is b/4 and 3b/4 there.
        partial_separation_angstrom: (n, k) distance between the partials there; NaN where the core is not split.
        slip_system_definitions: the slip systems, each as JSON of its settings (`SlipSystemSettings`), with the cut.
        library_name: name of the library.
        library_sha256: digest of its file; empty if there was none.
        settings_json: the settings by which samples were chosen, as JSON.
        glideflow_version: version of this package.
        omitted_ids: potentials of the library that are not in the data set although their structure is asked for.
        omitted_reasons: why, one for each.
    """

    name: str
    potential_ids: tuple[str, ...]
    elements: tuple[str, ...]
    structures: tuple[str, ...]
    slip_systems: tuple[str, ...]
    families: tuple[str, ...]
    sources: tuple[str, ...]
    flags: tuple[str, ...]
    elastic_names: tuple[str, ...] = ELASTIC_NAMES
    elastic_gpa: FloatArray
    stiffness_gpa: FloatArray
    energy_tensor_gpa: FloatArray
    energy_factor_gpa: FloatArray
    layer_stiffness_gpa: FloatArray
    shear_modulus_gpa: FloatArray
    gamma_mj_m2: FloatArray
    gamma_error_mj_m2: FloatArray
    cell_angstrom: FloatArray
    burgers_angstrom: FloatArray
    plane_spacing_angstrom: FloatArray
    node_spacing_angstrom: FloatArray
    peierls_mpa: FloatArray
    peierls_error_mpa: FloatArray
    resolution_mpa: FloatArray
    is_upper_bound: NDArray[np.bool_]
    protocol: str
    peierls_nabarro_names: tuple[str, ...]
    peierls_nabarro_mpa: FloatArray
    peierls_nabarro_width_angstrom: FloatArray
    partial_separation_angstrom: FloatArray
    slip_system_definitions: tuple[str, ...] = ()
    library_name: str = ""
    library_sha256: str = ""
    settings_json: str = "{}"
    glideflow_version: str = ""
    omitted_ids: tuple[str, ...] = ()
    omitted_reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse fields of different lengths.

        Raises:
            StorageError: a field has not one entry per sample.
        """
        for name in self.sample_fields():
            length = len(getattr(self, name))
            if length != len(self.potential_ids):
                raise StorageError(
                    f"the data set {self.name!r} has {length} entries of {name} for {len(self.potential_ids)} samples",
                    expected="one entry per sample",
                )

    def __len__(self) -> int:
        return len(self.potential_ids)

    @classmethod
    def sample_fields(cls) -> tuple[str, ...]:
        """Names of the fields that have one entry per sample."""
        return tuple(
            field.name for field in dataclasses.fields(cls) if field.type != "str" and field.name not in _NOT_PER_SAMPLE
        )

    def select(self, indices: IntArray) -> TransferDataset:
        """A part of the data set, in the order of the indices.

        Args:
            indices: (m,) numbers of samples; a boolean mask (n,) selects as well.
        """
        chosen = np.arange(len(self))[np.asarray(indices)]
        parts: dict[str, Any] = {name: _taken(getattr(self, name), chosen) for name in self.sample_fields()}
        return replace(self, **parts)

    def peierls_nabarro(self, model: str) -> FloatArray:
        """(n,) stresses in MPa by one of `peierls_nabarro_names`; NaN where it has no dislocation.

        Raises:
            KeyError: the data set does not hold this model.
        """
        if model not in self.peierls_nabarro_names:
            raise KeyError(f"the data set {self.name!r} has no model {model!r}, but {self.peierls_nabarro_names}")
        return self.peierls_nabarro_mpa[:, self.peierls_nabarro_names.index(model)]


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is learned: log₁₀ of the stress in MPa, from a floor upwards.

    Attributes:
        log10_mpa: (n,) log₁₀ max(τ / MPa, floor); NaN where the stress is not known.
        censored: (n,) whether the truth may lie below: upper bounds, and stresses below the floor.
        floor_mpa: the floor.
    """

    log10_mpa: FloatArray
    censored: NDArray[np.bool_]
    floor_mpa: float

    def select(self, indices: IntArray) -> Target:
        """Those of samples (m), which may be repeated; a boolean mask (n,) selects as well."""
        return replace(self, log10_mpa=self.log10_mpa[indices], censored=self.censored[indices])


def target_log10(dataset: TransferDataset, floor_mpa: float = FLOOR_MPA) -> Target:
    """The target of every sample.

    Censored samples stay in: models are trained on the value of their bound (or the floor), because the softest
    potentials would be missing otherwise; scores count a prediction at or below it as right
    (`glideflow.transfer.metrics`).

    Args:
        dataset: the data set.
        floor_mpa: stresses below count as this one. The default suits the protocols ``reference`` and ``series``,
            which resolve about 0.01 MPa, and is far below what ``paper`` and ``size_s`` can give.
    """
    floored = np.maximum(dataset.peierls_mpa, floor_mpa)
    censored = dataset.is_upper_bound | (dataset.peierls_mpa < floor_mpa)
    return Target(log10_mpa=np.log10(floored), censored=np.asarray(censored), floor_mpa=floor_mpa)


def content_sha256(dataset: TransferDataset) -> str:
    """Digest of all samples, inputs and targets: the same for equal data, whichever library they came from.

    Flags are left out: they decide which samples there are, no model reads them, and a library that has gained size
    series remarks more.
    """
    digest = hashlib.sha256()
    for name in (*(name for name in dataset.sample_fields() if name != "flags"), "protocol"):
        value = getattr(dataset, name)
        digest.update(f"{name}\n".encode())
        digest.update(value.tobytes() if isinstance(value, np.ndarray) else json.dumps(value).encode())
    return digest.hexdigest()


def stacked(datasets: Sequence[TransferDataset]) -> TransferDataset:
    """Samples of several data sets of the same kind, one after the other."""
    first = datasets[0]
    joined: dict[str, Any] = {}
    for name in first.sample_fields():
        values = [getattr(dataset, name) for dataset in datasets]
        joined[name] = np.concatenate(values) if isinstance(values[0], np.ndarray) else sum(values, ())
    return replace(first, **joined)


def write_dataset(path: Path, dataset: TransferDataset) -> None:
    """Write a data set to an HDF5 file, atomically.

    Raises:
        StorageError: the file cannot be written.
    """
    write_record(path, dataset)


def read_dataset(path: Path) -> TransferDataset:
    """Read a data set from a file.

    Raises:
        StorageError: the file is missing, damaged, or holds something else.
    """
    return read_record(path, TransferDataset)


def _taken(values: tuple[str, ...] | NDArray[np.generic], chosen: IntArray) -> object:
    return tuple(values[index] for index in chosen) if isinstance(values, tuple) else values[chosen]
