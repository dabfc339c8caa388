"""Forests of regression trees as plain arrays: no pickle to store, no scikit-learn to predict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import FloatArray
from glideflow.errors import StorageError

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

Int32Array = NDArray[np.int32]
LEAF = -1

_WHOLE = ("roots", "feature", "left", "right", "features")
_REAL = ("threshold", "value")


@dataclass(frozen=True, kw_only=True)
class ForestArrays:
    """T trees with N nodes in all, those of one tree behind the other.

    A sample goes to the left child where its feature, rounded to single precision as scikit-learn does, is at most the
    threshold.

    Attributes:
        roots: (T,) root of each tree.
        feature: (N,) feature that a node looks at, -1 for a leaf.
        threshold: (N,) largest value that goes left.
        left: (N,) left child, -1 for a leaf.
        right: (N,) right child, -1 for a leaf.
        value: (N,) mean target of a node.
        features: (1,) number of features.
    """

    roots: Int32Array
    feature: Int32Array
    threshold: FloatArray
    left: Int32Array
    right: Int32Array
    value: FloatArray
    features: Int32Array

    def __post_init__(self) -> None:
        """Refuse what is no forest: children come after their parents, so that no walk is endless.

        Raises:
            StorageError: lengths, features or children do not fit.
        """
        nodes = len(self.feature)
        inner = self.feature != LEAF
        children = np.stack([self.left, self.right])[:, inner]
        sound = (
            all(getattr(self, name).shape == (nodes,) for name in ("threshold", "left", "right", "value"))
            and self.features.shape == (1,)
            and bool(np.all((self.roots >= 0) & (self.roots < nodes)))
            and bool(np.all((self.feature >= LEAF) & (self.feature < self.features[0])))
            and bool(np.all((children > np.flatnonzero(inner)) & (children < nodes)))
            and bool(np.isfinite(self.value).all() and not np.isnan(self.threshold).any())
        )
        if not (sound and self.roots.size):
            raise StorageError(
                f"arrays of {nodes} nodes and {self.roots.size} roots are no forest",
                expected="trees whose children follow their parents and whose features exist",
                next_step="get the file again",
            )

    def tree_values(self, inputs: FloatArray) -> FloatArray:
        """What each tree says.

        Args:
            inputs: (m, F) features.

        Returns:
            (m, T) means of the leaves.
        """
        rounded = np.asarray(inputs, dtype=np.float32)
        node = np.tile(self.roots, (len(rounded), 1))  # (m, T)
        sample = np.broadcast_to(np.arange(len(rounded))[:, None], node.shape)
        active = np.flatnonzero(self.feature[node.ravel()] != LEAF)
        flat, rows = node.ravel(), sample.ravel()
        while active.size:
            at = flat[active]
            below = rounded[rows[active], self.feature[at]] <= self.threshold[at]
            flat[active] = np.where(below, self.left[at], self.right[at])
            active = active[self.feature[flat[active]] != LEAF]
        return np.asarray(self.value[flat.reshape(node.shape)])

    def predict(self, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation over the trees.

        Args:
            inputs: (m, F) features.

        Returns:
            (m,) means, (m,) standard deviations.

        Raises:
            StorageError: another number of features.
        """
        if inputs.ndim != 2 or inputs.shape[1] != int(self.features[0]):
            raise StorageError(f"features of shape {inputs.shape}", expected=f"(m, {int(self.features[0])})")
        values = self.tree_values(inputs)
        return values.mean(axis=1), values.std(axis=1)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The arrays by name."""
        return {name: getattr(self, name) for name in (*_WHOLE, *_REAL)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> ForestArrays:
        """A forest from what `to_arrays` gave.

        Raises:
            StorageError: an array is missing, or they are no forest.
        """
        missing = [name for name in (*_WHOLE, *_REAL) if name not in arrays]
        if missing:
            raise StorageError(f"a forest without {', '.join(missing)}", expected="all arrays of a forest")
        whole = {name: np.asarray(arrays[name], dtype=np.int32) for name in _WHOLE}
        real = {name: np.asarray(arrays[name], dtype=np.float64) for name in _REAL}
        return cls(**whole, **real)  # type: ignore[arg-type]  # names of fields by their types


def forest_to_arrays(forest: RandomForestRegressor | ExtraTreesRegressor) -> ForestArrays:
    """Arrays of a fitted forest of scikit-learn with one target.

    Args:
        forest: ``RandomForestRegressor`` or ``ExtraTreesRegressor``.
    """
    trees = [estimator.tree_ for estimator in forest.estimators_]
    starts = np.cumsum([0, *(tree.node_count for tree in trees)])
    leaf = [tree.children_left == LEAF for tree in trees]

    def moved(name: str) -> Int32Array:
        parts = [
            np.where(end, LEAF, getattr(tree, name) + start)
            for tree, end, start in zip(trees, leaf, starts[:-1], strict=True)
        ]
        return np.concatenate(parts).astype(np.int32)

    return ForestArrays(
        roots=starts[:-1].astype(np.int32),
        feature=np.concatenate(
            [np.where(end, LEAF, tree.feature) for tree, end in zip(trees, leaf, strict=True)]
        ).astype(np.int32),
        threshold=np.concatenate([np.where(end, 0.0, tree.threshold) for tree, end in zip(trees, leaf, strict=True)]),
        left=moved("children_left"),
        right=moved("children_right"),
        value=np.concatenate([tree.value[:, 0, 0] for tree in trees]),
        features=np.array([forest.n_features_in_], dtype=np.int32),
    )
