"""Semidiscrete dislocation cores of samples, solved with elastic energies that are scaled up and down.

What a semidiscrete Peierls-Nabarro model says of one γ surface and one energy factor K hangs on how the waves of
γ(δ(x)) interfere at the rows of atoms: a core that is wider by a few per cent can have twice the stress, or a tenth.
The atomistic core has another width than the model's, by more than that. So every model is solved for a set of factors
on K, and features are averages over them: what stays is how much there is to interfere.

The models are those of `glideflow.properties.disregistry`:

``rows``: along b, the misfit energy summed at equivalent rows of atoms.
``quarter``, ``layer``: the same with a quarter, and the whole, of the energy of stretched layers between the two planes
next to the cut (`glideflow.properties.peierls_nabarro.Continuum.model`).
``staggered``: summed twice as densely: the rows above the cut lie halfway between those below, as on prism planes.
``plane quarter``, ``plane layer``: with both components of the disregistry, so that cores may dissociate.

Solved cores of the shipped library are part of the package; others are solved once per process, or read from a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import StorageError
from glideflow.forked import mapped
from glideflow.progress import Progress, silent
from glideflow.properties.disregistry import DisregistryModel
from glideflow.properties.disregistry_branch import largest_stress
from glideflow.properties.semidiscrete import core_widths, lowest_cores
from glideflow.tensor_files import read_tensors, write_tensors
from glideflow.threads import single_thread
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.features import GPA_ANGSTROM_TO_MJ_PER_M2

SHIPPED = "core_solutions.safetensors"
"""Solved cores of the shipped library, in the package's data."""
QUANTITIES = ("stress / energy factor", "width / b", "separation / b")

_VERSION = "1"
"""Part of every key: to be raised when the same input is to be solved anew."""
_LENGTH_BURGERS = 24
_SPLIT_LENGTH_BURGERS = 40
_MOST_SPLIT_NODES = 80
"""Periods of the arrays, the latter with room for dissociated cores, and a limit to what they cost. Cores need not be
isolated to the last digit: features are averages over other cores."""
_TOLERANCE = 1e-9
_MAX_STEPS = 60
_FACTORS = tuple(float(factor) for factor in np.geomspace(0.7, 1.6, 12))
_ROUNDING = 1e-6
"""GPa: below, components of tensors that symmetry forbids."""
_FEW_FACTORS = tuple(float(factor) for factor in np.geomspace(0.75, 1.4, 6))
_NO_WAVE = 2e-4
"""Of the largest amplitude: what a γ surface of two dimensions can do without."""
_KEY_DIGITS = 6
"""Significant digits of the inputs in a key: machines differ in the last ones of a Fourier transform."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A model and the factors on its elastic energy.

    Attributes:
        name: as in the text of the module.
        components: 1 for the disregistry along b, 2 for that in the plane.
        row_share: distance of the nodes over that of equivalent rows.
        gradient: share of the energy of the layers next to the cut.
        factors: factors on K, ascending.
    """

    name: str
    components: int = 1
    row_share: float = 1.0
    gradient: float = 0.0
    factors: tuple[float, ...] = _FACTORS


STUDIES = (
    Study(name="rows"),
    Study(name="quarter", gradient=0.25),
    Study(name="layer", gradient=1.0),
    Study(name="staggered", row_share=0.5),
    Study(name="plane quarter", components=2, gradient=0.25, factors=_FEW_FACTORS),
    Study(name="plane layer", components=2, gradient=1.0, factors=_FEW_FACTORS),
)


def part_of(study: Study, studies: Sequence[Study] = STUDIES) -> slice:
    """Rows of `core_solutions` of some studies that belong to one of them."""
    start = 0
    for each in studies:
        if each == study:
            return slice(start, start + len(each.factors))
        start += len(each.factors)
    raise KeyError(study.name)


def core_solutions(
    dataset: TransferDataset,
    indices: IntArray,
    *,
    known: Mapping[str, FloatArray] | None = None,
    studies: Sequence[Study] = STUDIES,
    progress: Progress = silent,
) -> FloatArray:
    """Solved cores of samples: half a second of one core for each that is not known yet, with all studies.

    Args:
        dataset: the data set; neither stresses nor Peierls-Nabarro values are read.
        indices: (m,) the samples.
        known: cores by `core_key`, with all studies, beside those of the package and of this process.
        studies: those that are wanted; those with two components take about half of the time.
        progress: progress callback.

    Returns:
        (m, T, 3) of `QUANTITIES` for the T factors of the studies, one study behind the other. The stress is the
        larger one of both senses on the way from one row to the next, or on what of the way could be followed;
        the separation is 0 where the core is not split.
    """
    part = dataset.select(indices)
    wanted = tuple(studies)
    keys = [core_key(part, index) for index in range(len(part))]
    found = {key: _known(key, known or {}, wanted) for key in keys}
    unknown = [index for key, index in dict(zip(keys, range(len(part)), strict=True)).items() if found[key] is None]
    for done, cores in enumerate(mapped(lambda index: solved_cores(part, index, wanted), unknown)):
        progress("cores", done + 1, len(unknown))
        key = keys[unknown[done]]
        found[key] = _solved[key, wanted] = cores
    return np.array([found[key] for key in keys]).reshape(len(part), -1, len(QUANTITIES))


def core_key(dataset: TransferDataset, index: int) -> str:
    """Digest of what decides the cores of a sample, to six digits."""
    image = dataset.gamma_mj_m2[index]
    largest = float(np.abs(image).max())
    kept = slice(2)
    numbers = (
        largest,
        *dataset.energy_tensor_gpa[index][kept, kept].ravel(),
        *dataset.layer_stiffness_gpa[index][kept, kept].ravel(),
        *dataset.cell_angstrom[index],
        dataset.burgers_angstrom[index],
        dataset.plane_spacing_angstrom[index],
        dataset.node_spacing_angstrom[index],
    )
    digest = hashlib.sha256(f"{_VERSION} {STUDIES!r}".encode())
    digest.update(" ".join(_rounded(float(number)) for number in numbers).encode())
    shape = np.rint(image / largest * 10**_KEY_DIGITS) if largest else np.zeros(image.shape)
    digest.update(shape.astype("<i8").tobytes())
    return digest.hexdigest()


def read_core_solutions(path: Path) -> dict[str, FloatArray]:
    """Solved cores by `core_key`, from a file of `write_core_solutions`.

    Raises:
        StorageError: the file is missing, damaged, or holds something else.
    """
    arrays = read_tensors(path, kind="solved cores").arrays
    if arrays.keys() != {"keys", "cores"} or len(arrays["keys"]) != len(arrays["cores"]):
        raise StorageError(f"{path} holds no solved cores", expected="what `write_core_solutions` writes")
    keys = (bytes(key).hex() for key in np.asarray(arrays["keys"], dtype=np.uint8))
    return dict(zip(keys, np.asarray(arrays["cores"], dtype=np.float64), strict=True))


def write_core_solutions(path: Path, solved: Mapping[str, FloatArray]) -> None:
    """Write solved cores to a safetensors file, atomically.

    Numbers are kept in single precision; `core_solutions` rounds what it solves in the same way.

    Raises:
        StorageError: the file cannot be written.
    """
    ordered = sorted(solved)
    keys = np.array([list(bytes.fromhex(key)) for key in ordered], dtype=np.uint8)
    cores = np.array([solved[key] for key in ordered], dtype=np.float32)
    write_tensors(path, {"keys": keys, "cores": cores}, {"kind": "solved cores"})


def study_model(dataset: TransferDataset, index: int, study: Study) -> DisregistryModel:
    """The dislocations of a study in units of b and K, one for each factor."""
    b, energy_factor = dataset.burgers_angstrom[index], dataset.energy_factor_gpa[index]
    spacing, count = dataset.node_spacing_angstrom[index] / b * study.row_share, len(study.factors)
    kept = slice(study.components)
    layer = dataset.layer_stiffness_gpa[index][kept, kept] * dataset.plane_spacing_angstrom[index] / b / 4
    numbers, amplitudes = _row_waves(dataset, index) if study.components == 1 else _plane_waves(dataset, index)
    amplitudes = np.tile(amplitudes / (energy_factor * b * GPA_ANGSTROM_TO_MJ_PER_M2), (count, 1))
    return DisregistryModel(
        energy_tensor=np.multiply.outer(study.factors, dataset.energy_tensor_gpa[index][kept, kept] / energy_factor),
        burgers=np.tile(np.eye(study.components)[:1], (count, 1)),
        wavevectors=2.0 * np.pi * numbers[None] / (dataset.cell_angstrom[index][kept] / b),
        cosine=amplitudes.real,
        sine=-amplitudes.imag,
        spacing=np.full(count, spacing),
        nodes=_nodes(study, spacing),
        gradient=np.tile(study.gradient * layer / energy_factor, (count, 1, 1)),
    )


def _nodes(study: Study, spacing: float) -> int:
    if study.components == 1:
        return round(_LENGTH_BURGERS / spacing)
    return min(round(_SPLIT_LENGTH_BURGERS / spacing), _MOST_SPLIT_NODES)


def _row_waves(dataset: TransferDataset, index: int) -> tuple[FloatArray, NDArray[np.complex128]]:
    """(G, 1) wave numbers of γ along b, and (G,) complex amplitudes in mJ/m²."""
    row = dataset.gamma_mj_m2[index][:, 0]
    number = np.arange(len(row) // 2 + 1, dtype=np.float64)
    return number[:, None], np.fft.rfft(row) / len(row) * np.where(number > 0, 2.0, 1.0)


def _plane_waves(dataset: TransferDataset, index: int) -> tuple[FloatArray, NDArray[np.complex128]]:
    """(G, 2) wave numbers of γ, of a wave and its negative only one, and (G,) complex amplitudes in mJ/m²."""
    image = dataset.gamma_mj_m2[index]
    first, second = np.meshgrid(*(np.fft.fftfreq(count, 1 / count) for count in image.shape), indexing="ij")
    mean = (first == 0) & (second == 0)
    upper = (first > 0) | ((first == 0) & (second >= 0))
    amplitudes = (np.fft.fft2(image) / image.size * np.where(mean, 1.0, 2.0))[upper]
    kept = np.abs(amplitudes) > _NO_WAVE * np.abs(amplitudes).max()
    return np.stack([first, second], axis=-1)[upper][kept], amplitudes[kept]


def _rounded(number: float) -> str:
    """Six digits; zero for what is only rounding: components of tensors that symmetry forbids."""
    return f"{number:.{_KEY_DIGITS}g}" if abs(number) > _ROUNDING else "0"


@single_thread()
def solved_cores(dataset: TransferDataset, index: int, studies: Sequence[Study] = STUDIES) -> FloatArray:
    """(T, 3) cores of a sample, solved now; rounded to single precision, as files keep them."""
    found = [_solution(dataset, index, study) for study in studies]
    return np.concatenate(found).astype(np.float32).astype(np.float64)


_solved: dict[tuple[str, tuple[Study, ...]], FloatArray] = {}


def _known(key: str, known: Mapping[str, FloatArray], studies: tuple[Study, ...]) -> FloatArray | None:
    """(T, 3) cores of a key that a file holds, or that this process has solved; None if nobody has."""
    for source in (known, _shipped()):
        if key in source:
            return np.concatenate([source[key][part_of(study)] for study in studies])
    return _solved.get((key, studies))


@lru_cache(maxsize=1)
def _shipped() -> Mapping[str, FloatArray]:
    """Cores that come with the package; none where it was built without them."""
    with resources.as_file(resources.files("glideflow") / "data" / SHIPPED) as path:
        return read_core_solutions(path) if path.exists() else {}


def _solution(dataset: TransferDataset, index: int, study: Study) -> FloatArray:
    """(f, 3) of one study."""
    model = study_model(dataset, index, study)
    cores = lowest_cores(model)
    stress = largest_stress(model, cores, tolerance=_TOLERANCE, max_steps=_MAX_STEPS)
    width, separation = core_widths(model, cores)
    return np.stack([stress, width, np.nan_to_num(separation)], axis=1)
