from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glideflow.config.mobility import MobilityCellSettings
from glideflow.errors import SlipSystemError
from glideflow.mobility.orientations import BURGERS, LINES, NORMAL, LineOrientation, line_orientation, nearest_line

TABLE = {
    0.0: ((1, 1, -1), (1, -2, -1), 2.0),
    40.32: ((2, 11, -2), (11, -4, -11), 12.0),
    81.07: ((-7, 20, 7), (10, 7, -10), 23.0),
    110.41: ((-29, 28, 29), (14, 29, -14), 50.0),
    163.14: ((-17, -8, 17), (-4, 17, 4), 26.0),
}
"""Line and glide directions by angle, and periods to search: Table 1 of doi:10.1038/s41524-024-01394-4, common factors
of 2 taken out."""
integers = st.integers(-40, 40)


def is_lattice_vector(halves: np.ndarray) -> bool:
    """Whether doubled Miller indices are those of a vector of the bcc lattice."""
    return len(set((halves % 2).tolist())) == 1


@pytest.mark.parametrize("angle_deg", TABLE)
def test_the_published_orientations_are_found_from_their_angles(angle_deg: float) -> None:
    line, glide, longest = TABLE[angle_deg]
    found = nearest_line(angle_deg, longest_period=longest, tolerance_deg=0.005)
    assert (found.line, found.glide) == (line, glide)


@pytest.mark.parametrize("pair", LINES)
def test_the_default_lines_are_what_their_angles_find(pair: tuple[int, int]) -> None:
    orientation = LineOrientation(*pair)
    assert 0 <= orientation.angle_deg < 180
    assert nearest_line(round(orientation.angle_deg, 2)) == orientation


def test_the_configured_angles_are_those_of_the_default_lines() -> None:
    assert [round(LineOrientation(*pair).angle_deg, 2) for pair in LINES] == list(MobilityCellSettings().angles_deg)


def test_the_default_angles_cover_the_half_turn() -> None:
    angles = [LineOrientation(*pair).angle_deg for pair in LINES]
    assert len(angles) == 25
    assert np.diff([*angles, 180.0]).min() > 4
    assert np.diff([*angles, 180.0]).max() < 12


@given(p=integers, q=integers)
def test_frames_are_orthogonal_with_the_burgers_vector_at_the_angle(p: int, q: int) -> None:
    if p == q == 0:
        return
    orientation = line_orientation(p, q)
    axes, angle = orientation.axes, math.radians(orientation.angle_deg)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.cross(axes[1], axes[2]), axes[0], atol=1e-12)
    assert np.dot(NORMAL, BURGERS) == 0
    burgers = axes @ np.array(BURGERS) / math.sqrt(3.0)
    np.testing.assert_allclose(burgers, [math.sin(angle), math.cos(angle), 0.0], atol=1e-12)
    assert 0 <= orientation.angle_deg < 180


@given(p=integers, q=integers)
def test_periods_are_the_shortest_lattice_vectors(p: int, q: int) -> None:
    if p == q == 0:
        return
    for halves, index in zip(line_orientation(p, q).half_periods, line_orientation(p, q).frame, strict=True):
        assert is_lattice_vector(halves)
        assert math.gcd(*index.tolist()) == 1
        assert math.gcd(*halves.tolist()) == 1 or not is_lattice_vector(halves // 2)


def test_an_angle_and_its_supplement_are_different_lines() -> None:
    """109.47° is the second <111> direction in the plane; 70.53° is not one."""
    assert nearest_line(109.47).line == (-1, 1, 1)
    assert sorted(map(abs, nearest_line(70.53).line)) == [1, 1, 5]


def test_the_nearest_line_is_the_nearest_of_all() -> None:
    found = nearest_line(33.3, longest_period=6.0, tolerance_deg=5.0)
    lines = [LineOrientation(p, q) for p in range(-12, 13) for q in range(-12, 13) if math.gcd(p, q) == 1]
    apart = [abs((line.angle_deg - 33.3 + 90) % 180 - 90) for line in lines if line.periods[1] <= 6.0]
    assert abs(found.angle_deg - 33.3) == pytest.approx(min(apart), abs=1e-12)
    assert found.periods[1] <= 6.0


def test_senses_and_divisors_do_not_matter() -> None:
    assert line_orientation(-3, -9) == line_orientation(1, 3) == nearest_line(29.5 - 180)


@pytest.mark.parametrize("angle_deg", [45.0, math.nan, math.inf])
def test_an_angle_without_a_line_is_refused(angle_deg: float) -> None:
    with pytest.raises(SlipSystemError, match=r"angle|no line"):
        nearest_line(angle_deg, longest_period=5.0, tolerance_deg=0.01)


def test_no_line_is_refused() -> None:
    with pytest.raises(SlipSystemError, match="zero"):
        line_orientation(0, 0)
    with pytest.raises(SlipSystemError, match="there is none"):
        nearest_line(45.0, longest_period=0.1)
