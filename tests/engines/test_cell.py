from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from glideflow.engines.cell import triangular_cell
from glideflow.errors import EngineError

ENTRIES = st.floats(-20.0, 20.0, allow_nan=False, width=32)


@given(arrays(float, (3, 3), elements=ENTRIES))
def test_rotation_is_proper_and_keeps_the_metric(vectors: np.ndarray) -> None:
    assume(np.linalg.det(vectors) > 1e-3)
    triangle = triangular_cell(vectors)
    scale = np.abs(vectors).max()
    np.testing.assert_allclose(triangle.rotation @ triangle.rotation.T, np.eye(3), atol=1e-13)
    assert np.linalg.det(triangle.rotation) == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(vectors @ triangle.rotation, triangle.vectors_angstrom, atol=1e-13 * scale)
    np.testing.assert_array_equal(np.triu(triangle.vectors_angstrom, 1), 0.0)
    assert (np.diag(triangle.vectors_angstrom) > 0).all()


def test_orthogonal_cell_is_left_alone() -> None:
    triangle = triangular_cell(np.diag([3.0, 4.0, 5.0]))
    assert triangle.is_orthogonal
    np.testing.assert_allclose(triangle.bounds_and_tilts, (3, 4, 5, 0, 0, 0), atol=1e-14)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(
    "vectors",
    [np.diag([1.0, 1.0, -1.0]), np.ones((3, 3)), np.diag([1.0, 1.0, 0.0]), np.full((3, 3), np.nan)],
    ids=["left-handed", "flat", "no height", "not a number"],
)
def test_cells_without_a_right_handed_volume_are_refused(vectors: np.ndarray) -> None:
    with pytest.raises(EngineError, match="signed volume") as caught:
        triangular_cell(vectors)
    assert caught.value.expected
    assert caught.value.next_step
