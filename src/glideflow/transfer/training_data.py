"""What networks are trained on: inputs, targets and families of some samples of a data set, free of PyTorch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import PropertyError
from glideflow.transfer.augmentation import LayerOperation, frame_changes, layer_groups, transformed_images
from glideflow.transfer.dataset import FLOOR_MPA, TransferDataset, target_log10

Augment = Callable[[FloatArray, IntArray, np.random.Generator], FloatArray]
"""From γ images (B, k, l), the numbers (B,) of their samples in the training data, and a generator to equivalent
images: what the same crystals show when looked at from elsewhere."""


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Inputs and targets of m samples.

    Attributes:
        gamma_mj_m2: (m, k, l) γ images.
        elastic_gpa: (m, 6) elastic features.
        log10_mpa: (m,) log₁₀ of the stress in MPa, floored.
        censored: (m,) whether the truth may lie below.
        families: (m) families, which are never split.
    """

    gamma_mj_m2: FloatArray
    elastic_gpa: FloatArray
    log10_mpa: FloatArray
    censored: NDArray[np.bool_]
    families: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what training would silently turn into NaN.

        Raises:
            PropertyError: there is no sample, or a number is not finite.
        """
        if not self.families:
            raise PropertyError("no samples to train on", expected="some", next_step="look at the split or the filters")
        for name in ("gamma_mj_m2", "elastic_gpa", "log10_mpa"):
            lost = np.flatnonzero(~np.isfinite(getattr(self, name)).reshape(len(self), -1).all(axis=1))
            if lost.size:
                raise PropertyError(
                    f"{name} is not finite for {lost.size} of {len(self)} samples, first that of number {lost[0]}",
                    expected="finite inputs and a known stress for every sample that is trained on",
                    next_step="leave these samples out of the training part",
                )

    def __len__(self) -> int:
        return len(self.families)

    def sha256(self) -> str:
        """Digest of every number and family: what a checkpoint belongs to."""
        digest = hashlib.sha256("\0".join(self.families).encode())
        for values in (self.gamma_mj_m2, self.elastic_gpa, self.log10_mpa, self.censored):
            digest.update(repr((values.shape, values.dtype.str)).encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()


def training_data(dataset: TransferDataset, indices: IntArray, floor_mpa: float = FLOOR_MPA) -> TrainingData:
    """Samples of a data set as a network takes them.

    Args:
        dataset: the data set.
        indices: (m,) the samples.
        floor_mpa: floor of the target, see `glideflow.transfer.dataset.target_log10`.

    Raises:
        PropertyError: an input or a stress is not known.
    """
    part = dataset.select(indices)
    target = target_log10(part, floor_mpa)
    return TrainingData(
        gamma_mj_m2=part.gamma_mj_m2,
        elastic_gpa=part.elastic_gpa,
        log10_mpa=target.log10_mpa,
        censored=target.censored,
        families=part.families,
    )


class EquivalentImages:
    """Random equivalents of γ images: operations of the layer group, and frames that describe the same dislocation.

    An `Augment` for the samples of one selection. Images that were made once are kept, a hundred kB per sample at most.

    Args:
        dataset: the data set.
        indices: (m,) the samples of the training data, in their order. No other one is read.
        shifted: also put the origin at a random point of the grid; the image then no longer says where the perfect
            lattice is, except by its zero.

    Raises:
        SlipSystemError: the data set does not say what its slip systems are.
    """

    def __init__(self, dataset: TransferDataset, indices: IntArray, *, shifted: bool = False) -> None:
        own = dataset.select(indices)
        self._images, self._cells, self._shifted = own.gamma_mj_m2, own.cell_angstrom, shifted
        groups = {name: _descriptions(group) for name, group in layer_groups(own).items()}
        self._descriptions = [groups[name] for name in own.slip_systems]
        self._made: dict[tuple[int, int], FloatArray] = {}

    def __call__(self, gamma: FloatArray, samples: IntArray, generator: np.random.Generator) -> FloatArray:
        """Equivalents of the images of the given samples."""
        draws = generator.random(len(samples))
        chosen = np.array([self._image(int(k), float(draw)) for k, draw in zip(samples, draws, strict=True)])
        return _rolled(chosen, generator) if self._shifted else chosen

    def _image(self, sample: int, draw: float) -> FloatArray:
        number = int(draw * len(self._descriptions[sample]))
        if (sample, number) not in self._made:
            operation = self._descriptions[sample][number]
            one = slice(sample, sample + 1)
            (self._made[sample, number],) = transformed_images(self._images[one], self._cells[one], operation)
        return self._made[sample, number]


def _descriptions(group: tuple[LayerOperation, ...]) -> tuple[LayerOperation, ...]:
    """Every operation of a layer group in every frame."""
    return tuple(
        LayerOperation(operation.matrix @ np.diag(frame.image), operation.translation)
        for operation in group
        for frame in frame_changes(group)
    )


def _rolled(gamma: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Images (B, k, l) with their origin at a random point of the grid each."""
    shifts = generator.integers(0, gamma.shape[1:], size=(len(gamma), 2))
    rows = (np.arange(gamma.shape[1]) + shifts[:, :1]) % gamma.shape[1]  # (B, k)
    columns = (np.arange(gamma.shape[2]) + shifts[:, 1:]) % gamma.shape[2]  # (B, l)
    return np.asarray(gamma[np.arange(len(gamma))[:, None, None], rows[:, :, None], columns[:, None, :]])


def held_out_families(families: Sequence[str], fraction: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Choose whole families at random until they make up a share of the samples.

    Args:
        families: (m) family of each sample.
        fraction: share of the samples to reach; 0 chooses none. One family stays in any case.
        generator: source of randomness.

    Returns:
        (m,) True for the samples that are held out.
    """
    names = sorted(set(families))
    members = np.array(families)
    held_out = np.zeros(len(families), dtype=bool)
    for name in generator.permutation(names)[: len(names) - 1]:
        if held_out.sum() >= fraction * len(families):
            break
        held_out |= members == name
    if set(members[held_out]) & set(members[~held_out]):
        raise AssertionError("a family lies on both sides of the split")
    return held_out
