from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from glideflow.config.slip_systems import SlipSystemSettings
from glideflow.crystals.lattices import Crystal, crystal
from glideflow.crystals.slip_systems import SlipSystem, frame, shortest_lattice_vector, slip_system
from glideflow.errors import SlipSystemError

Systems = Callable[[str], tuple[Crystal, SlipSystem]]
ALL = ("fcc_111", "bcc_110", "hcp_prismatic", "bcc_112", "hcp_basal", "hcp_pyramidal", "fcc_100")
INDICES = st.integers(-4, 4)


def settings(structure: str, plane: tuple[int, ...], direction: tuple[int, ...]) -> SlipSystemSettings:
    return SlipSystemSettings(name="test", structure=structure, plane=plane, direction=direction)


@pytest.mark.parametrize("name", ALL)
def test_frames_are_right_handed_and_lie_along_direction_and_normal(systems: Systems, name: str) -> None:
    perfect, system = systems(name)
    axes = frame(system, perfect).axes
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-14)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    direction = np.array(system.direction) @ perfect.conventional_angstrom
    np.testing.assert_allclose(
        frame(system, perfect).to_frame(direction), [np.linalg.norm(direction), 0, 0], atol=1e-12
    )
    # two lattice vectors of the plane, from its indices alone: (hkl) cuts the axes at a1/h, a2/k, a3/l
    h, k, l = system.plane  # noqa: E741 - Miller indices
    for vector in ((k, -h, 0), (l, 0, -h), (0, l, -k)):
        assert (np.array(vector) @ perfect.conventional_angstrom) @ axes[2] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "in_units_of_a"),
    [
        ("fcc_111", np.sqrt(1 / 2)),
        ("bcc_110", np.sqrt(3 / 4)),
        ("bcc_112", np.sqrt(3 / 4)),
        ("hcp_prismatic", 1.0),
        ("hcp_basal", 1.0),
    ],
)
def test_burgers_vectors(systems: Systems, name: str, in_units_of_a: float) -> None:
    perfect, system = systems(name)
    vector = shortest_lattice_vector(perfect, system.direction)
    assert np.linalg.norm(vector) == pytest.approx(in_units_of_a * perfect.a_angstrom)
    steps = vector @ np.linalg.inv(perfect.primitive_angstrom)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-10)


@given(INDICES, INDICES, INDICES)
def test_four_index_directions_are_the_vectors_they_name(u: int, v: int, w: int) -> None:
    """[uvtw] is u a1 + v a2 + t a3 + w c with a3 = -(a1 + a2)."""
    assume((u, v, w) != (0, 0, 0))
    t = -(u + v)
    h, k = u + 2 * v, -(2 * u + v)  # the prismatic plane that holds the direction
    perfect = crystal("hcp", 3.0, 5.0)
    a1, a2, c = perfect.conventional_angstrom
    expected = u * a1 + v * a2 + t * -(a1 + a2) + w * c
    assume((h, k) != (0, 0))
    system = slip_system(settings("hcp", (h, k, -(h + k), 0), (u, v, t, w)))
    found = np.array(system.direction) @ perfect.conventional_angstrom
    np.testing.assert_allclose(np.cross(found, expected), 0.0, atol=1e-9)
    assert found @ expected > 0


def test_four_index_planes_drop_the_third() -> None:
    assert slip_system(settings("hcp", (1, 0, -1, 1), (-1, 2, -1, 0))).plane == (1, 0, 1)
    assert slip_system(settings("hcp", (1, 0, -1, 0), (-1, 2, -1, 0))).direction == (0, 1, 0)
    assert slip_system(settings("hcp", (1, 0, -1, 0), (-1, 2, -1, 0))).label == "(10-10)[-12-10]"


@pytest.mark.parametrize(
    ("structure", "plane", "direction", "found"),
    [
        ("fcc", (1, 1, 1), (1, 1, 0), "leaves the plane"),
        ("bcc", (1, 1, 0), (1, 1, 1), "leaves the plane"),
        ("hcp", (1, 0, -1, 0), (1, 0, -1, 0), "leaves the plane"),
        ("hcp", (1, 0, 0, 0), (-1, 2, -1, 0), "sum up to 1"),
        ("hcp", (1, 0, -1, 0), (-1, 2, -2, 0), "sum up to -1"),
        ("fcc", (1, 1, -2, 0), (1, -1, 0, 0), "four indices for a cubic crystal"),
        ("fcc", (0, 0, 0), (1, -1, 0), "are zero"),
        ("fcc", (1, 1, 1), (0, 0, 0), "are zero"),
        ("hcp", (0, 0, 0, 0), (-1, 2, -1, 0), "are zero"),
        ("hcp", (1, 0, -1, 0), (0, 0, 0, 0), "are zero"),
    ],
)
def test_indices_that_are_no_slip_system_are_refused(
    structure: str, plane: tuple[int, ...], direction: tuple[int, ...], found: str
) -> None:
    with pytest.raises(SlipSystemError, match=found) as caught:
        slip_system(settings(structure, plane, direction))
    assert caught.value.expected
    assert caught.value.next_step


def test_common_factors_do_not_matter() -> None:
    once, twice = (slip_system(settings("fcc", (n, n, n), (-n, n, 0))) for n in (1, 2))
    assert (once.plane, once.direction) == (twice.plane, twice.direction)
