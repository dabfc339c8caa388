"""Samples in other, equally good descriptions: what a model may be shown beside the original, and must agree on.

Two kinds, both derived from the crystal and its slip system:

- `layer_group`: translations of the plane lattice and point operations under which γ is invariant. The image stays what
  it is, to the precision to which it was computed and interpolated; a model must not depend on the rest.
- `frame_changes`: the same dislocation seen from another side. The slip plane and the line of the Burgers vector leave
  four frames open, which half turns about x, y and z connect. Those that are no symmetry of the crystal's layer give
  another image (fcc: the intrinsic fault on the other side of b; bcc: the other diagonal), for the same stress.

A sample keeps its id and its family under either: `augmented` takes the samples to train on and returns copies of them
only, and the check of a split (`glideflow.transfer.splits.refuse_leak`) finds a copy in the wrong part by its family.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from glideflow.config.slip_systems import SlipSystemSettings
from glideflow.crystals.lattices import FloatArray, IntArray, crystal
from glideflow.crystals.layers import layered_crystal, rectangular_points
from glideflow.crystals.slip_systems import slip_system
from glideflow.crystals.symmetry import displacement_symmetry
from glideflow.errors import SlipSystemError
from glideflow.properties.elastic import VOIGT
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.periodic import grid_fractions, resampled, values_at

_TOLERANCE = 1e-6
_IN_FRAME = ("gamma_mj_m2", "stiffness_gpa", "energy_tensor_gpa", "layer_stiffness_gpa")
"""Fields that depend on the frame."""


@dataclass(frozen=True)
class LayerOperation:
    """An operation with γ(M d + t) = γ(d).

    Attributes:
        matrix: (2, 2) M, for displacements in Å along x and y as columns.
        translation: (2,) t in periods.
    """

    matrix: FloatArray
    translation: FloatArray


@dataclass(frozen=True)
class FrameChange:
    """A half turn of the frame about one of its axes, or none.

    Attributes:
        turn: (3,) diagonal of the rotation, which tensors follow.
        image: (2,) signs with γ'(d) = γ(signs · d): where the turn exchanges the half crystals, the displacement of the
            upper one against the lower changes its sign as well.
    """

    turn: tuple[float, float, float]
    image: tuple[float, float]


FRAMES = (
    FrameChange((1.0, 1.0, 1.0), (1.0, 1.0)),
    FrameChange((-1.0, -1.0, 1.0), (-1.0, -1.0)),
    FrameChange((1.0, -1.0, -1.0), (-1.0, 1.0)),
    FrameChange((-1.0, 1.0, -1.0), (1.0, -1.0)),
)
"""The four frames with x along the line of the Burgers vector and z normal to the slip plane. Mirrored ones add
nothing: the three structures have centres of inversion."""


def layer_groups(dataset: TransferDataset) -> dict[str, tuple[LayerOperation, ...]]:
    """Operations of each slip system of a data set, by its name."""
    wanted = set(dataset.slip_systems)
    definitions = [(json.loads(text)["name"], text) for text in dataset.slip_system_definitions]
    missing = wanted - {name for name, _ in definitions}
    if missing:
        raise SlipSystemError(
            f"the data set {dataset.name!r} does not say what the slip system {min(missing)!r} is",
            expected="its definition in slip_system_definitions",
            next_step="make the data set again with `glideflow transfer dataset`",
        )
    return {name: layer_group(text) for name, text in definitions if name in wanted}


@cache
def layer_group(definition: str) -> tuple[LayerOperation, ...]:
    """Operations of a slip system: translations of the plane lattice within a period, times point operations.

    They do not depend on the lattice constants. The identity comes first.

    Args:
        definition: `SlipSystemSettings` as JSON.
    """
    settings = SlipSystemSettings.model_validate_json(definition)
    perfect = crystal(settings.structure, 1.0)
    layers = layered_crystal(perfect, slip_system(settings))
    matrices = displacement_symmetry(perfect, layers, settings.cut or "wide")
    translations = rectangular_points(layers) / layers.period_angstrom
    return tuple(LayerOperation(matrix, translation) for matrix in matrices for translation in translations)


def frame_changes(operations: tuple[LayerOperation, ...]) -> tuple[FrameChange, ...]:
    """The frames that give different images, the given one first: one of each set that point operations connect."""
    matrices = [operation.matrix for operation in operations]
    chosen: list[FrameChange] = []
    for frame in FRAMES:
        relative = [np.diag(np.multiply(frame.image, known.image)) for known in chosen]
        if not any(np.allclose(matrix, one, atol=_TOLERANCE) for matrix in matrices for one in relative):
            chosen.append(frame)
    return tuple(chosen)


def transformed_images(images: FloatArray, cells_angstrom: FloatArray, operation: LayerOperation) -> FloatArray:
    """γ(M d + t) on the grid of γ(d).

    Args:
        images: (m, k, l) periodic images.
        cells_angstrom: (m, 2) their periods.
        operation: M and t; of the lattice or not, so that t may also be any shift of the window.
    """
    if np.abs(operation.matrix - np.diag(np.diag(operation.matrix))).max() > _TOLERANCE:
        return np.stack([_turned(image, cell, operation) for image, cell in zip(images, cells_angstrom, strict=True)])
    axes = [
        operation.matrix[axis, axis] * grid_fractions(images.shape[1 + axis]) + operation.translation[axis]
        for axis in (0, 1)
    ]
    return resampled(images, axes[0], axes[1])


def in_frame(dataset: TransferDataset, frame: FrameChange) -> TransferDataset:
    """The samples as they look in another frame: γ and every tensor; features that are scalars stay."""
    turn = np.array(frame.turn)
    voigt = np.array([turn[i] * turn[j] for i, j in VOIGT])
    images = LayerOperation(np.diag(frame.image), np.zeros(2))
    return replace(
        dataset,
        gamma_mj_m2=transformed_images(dataset.gamma_mj_m2, dataset.cell_angstrom, images),
        stiffness_gpa=dataset.stiffness_gpa * np.outer(voigt, voigt),
        energy_tensor_gpa=dataset.energy_tensor_gpa * np.outer(turn, turn),
        layer_stiffness_gpa=dataset.layer_stiffness_gpa * np.outer(turn, turn),
    )


def augmented(
    dataset: TransferDataset, indices: IntArray, copies: int, seed: int, *, shifted: bool = False
) -> TransferDataset:
    """Samples of a data set, and random equivalents of them.

    Args:
        dataset: the data set.
        indices: (m,) the samples to train on. No other one is read.
        copies: random equivalents of each: an operation of its layer group and a frame, drawn with equal probability.
        seed: seed of the draw.
        shifted: also begin the periodic image of each copy at a random point of its grid. It then no longer says where
            the perfect lattice is, except by its zero: for models that look at images by pieces.

    Returns:
        m (1 + copies) samples, the originals first, the copies with the ids and families of their originals.
    """
    own = dataset.select(indices)
    groups = layer_groups(own)
    generator = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(len(own)), copies)
    copied = [_equivalent(own.select(np.array([k])), groups, generator, shifted) for k in numbers]
    parts = [own, *copied]
    result = own.select(np.concatenate([np.arange(len(own)), numbers]))
    arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _IN_FRAME}
    assert set(result.families) <= set(own.families), "a copy stays in the family of its original"
    return replace(result, **arrays)


def _equivalent(
    sample: TransferDataset,
    groups: dict[str, tuple[LayerOperation, ...]],
    generator: np.random.Generator,
    shifted: bool,
) -> TransferDataset:
    """A data set of one sample after a random operation of its layer group, in a random frame."""
    operations = groups[sample.slip_systems[0]]
    frames = frame_changes(operations)
    operation = operations[generator.integers(len(operations))]
    images = transformed_images(sample.gamma_mj_m2, sample.cell_angstrom, operation)
    if shifted:
        steps = generator.integers(images.shape[1:])
        images = np.roll(images, tuple(int(step) for step in steps), axis=(1, 2))
    return in_frame(replace(sample, gamma_mj_m2=images), frames[generator.integers(len(frames))])


def _turned(image: FloatArray, cell_angstrom: FloatArray, operation: LayerOperation) -> FloatArray:
    """An image after an operation that mixes the axes."""
    axes = [grid_fractions(count) for count in image.shape]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    positions = (grid * cell_angstrom) @ operation.matrix.T / cell_angstrom + operation.translation
    return values_at(image, positions).reshape(image.shape)
