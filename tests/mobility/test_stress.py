from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import glideflow.mobility
from glideflow.errors import NonFiniteError, PropertyError
from glideflow.mobility import periodic_stress, segment_stress, stress_kernel
from glideflow.mobility.elasticity import IsotropicElasticity, IsotropicRow

MEDIUM = {"shear_modulus": 75.0, "poisson_ratio": 0.29, "core_radius": 0.25}
CELL = np.array([[8.0, 0.0, 0.0], [0.3, 2.8, 0.0], [0.5, -0.2, 16.0]])
BURGERS = np.array([0.2, 0.14, 0.0])
RNG = np.random.default_rng(20240311)


@pytest.fixture(params=["compiled", "numpy"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to sum; numba belongs to the extra ``mobility``."""
    if request.param == "compiled" and not stress_kernel.HAS_NUMBA:
        pytest.skip("needs the PyPI package numba")
    monkeypatch.setattr(stress_kernel, "HAS_NUMBA", request.param == "compiled")


def loop(radius: float = 3.0, sides: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A polygon that does not lie in a plane, with a Burgers vector of three components."""
    angle = 2 * np.pi * np.arange(sides) / sides
    nodes = radius * np.stack([np.cos(angle), np.sin(angle), 0.3 * np.cos(2 * angle)], axis=1)
    return nodes, np.roll(nodes, -1, axis=0), np.tile([0.2, -0.1, 0.15], (sides, 1))


def by_quadrature(
    points: np.ndarray, starts: np.ndarray, ends: np.ndarray, burgers: np.ndarray, *, order: int = 60, **medium: float
) -> np.ndarray:
    """The line integrals of Cai et al. (2006) with third derivatives of R_a, term by term, by a Gauss rule."""
    mu, nu, core = medium["shear_modulus"], medium["poisson_ratio"], medium["core_radius"]
    levi_civita = np.zeros((3, 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        levi_civita[i, j, k], levi_civita[i, k, j] = 1.0, -1.0
    nodes, weights = np.polynomial.legendre.leggauss(order)
    delta, stress = np.eye(3), np.zeros((len(points), 3, 3))
    for start, end, b in zip(starts, ends, burgers, strict=True):
        for node, weight in zip(nodes, weights, strict=True):
            r = points - (start + (node + 1) / 2 * (end - start))
            distance = np.sqrt((r * r).sum(axis=1) + core**2)
            line = weight / 2 * (end - start)
            third = 3 * np.einsum("pi,pj,pk->pijk", r, r, r) / distance[:, None, None, None] ** 5
            for term in ("ij,pk->pijk", "jk,pi->pijk", "ik,pj->pijk"):
                third -= np.einsum(term, delta, r) / distance[:, None, None, None] ** 3
            trace = np.einsum("pijj->pi", third)
            half = np.einsum("pi,m,ima,c->pac", trace, b, levi_civita, line)
            stress += mu / (8 * np.pi) * (half + half.transpose(0, 2, 1))
            source = np.einsum("m,imk,k->i", b, levi_civita, line)
            bracket = np.einsum("i,piac->pac", source, third) - np.einsum("i,pi,ac->pac", source, trace, delta)
            stress += mu / (4 * np.pi * (1 - nu)) * bracket
    return stress


def test_the_example_of_the_manual_runs(repository: Path) -> None:
    [block] = re.findall(
        r"```python\n(.*?)```", (repository / "docs" / "mobility.md").read_text("utf-8"), flags=re.DOTALL
    )
    namespace: dict[str, np.ndarray] = {}
    exec(block, namespace)
    assert namespace["stress"].shape == (1, 3, 3)
    # In the glide plane of its row a line has the field of cot; the other row, far above, adds little.
    row = 64.4 / (1 - 0.47) * 2.47 / (2 * 80.0 * math.tan(math.pi * 10.0 / 80.0))
    assert namespace["periodic"][0, 0, 2] == pytest.approx(-row, rel=0.1)


def test_the_package_exports_the_function() -> None:
    assert callable(glideflow.mobility.segment_stress)
    assert glideflow.mobility.segment_stress.__module__ == "glideflow.mobility.stress"


@pytest.mark.usefixtures("kernel")
def test_other_codes_agree(shared_folder: Path) -> None:
    """OpenDiS' StressDueToSeg, cross-checked by its authors of the reference against MoDELib."""
    reference = json.loads((shared_folder / "data" / "segment_stress_reference.json").read_text(encoding="utf-8"))
    for case in reference["cases"]:
        medium = {"shear_modulus": case["mu"], "poisson_ratio": case["nu"], "core_radius": case["a"]}
        found = segment_stress([case["x"]], [case["p1"]], [case["p2"]], [case["b"]], **medium)[0]
        expected = [case["sigma"][name] for name in ("xx", "yy", "zz", "xy", "xz", "yz")]
        components = [found[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
        np.testing.assert_allclose(components, expected, rtol=1e-10, atol=1e-12, err_msg=case["tag"])


@pytest.mark.usefixtures("kernel")
def test_a_long_screw_has_the_field_of_an_infinite_one() -> None:
    """σ_xz = -μb/2π y/ρ² (1 + a²/ρ²) and σ_yz with x, ρ² = x² + y² + a², for a line along z."""
    x, y = 0.7, -0.4
    found = segment_stress([[x, y, 0.0]], [[0, 0, -1e4]], [[0, 0, 1e4]], [[0, 0, 0.25]], **MEDIUM)[0]
    square = x**2 + y**2 + 0.25**2
    factor = 75.0 * 0.25 / (2 * math.pi) / square * (1 + 0.25**2 / square)
    expected = np.array([[0, 0, -y], [0, 0, x], [-y, x, 0]]) * factor
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.usefixtures("kernel")
def test_a_long_edge_has_the_field_of_an_infinite_one() -> None:
    """Cai et al. (2006), equations 31 to 34: the classical field with factors that make it finite at the core."""
    x, y, a, nu = 0.7, -0.4, 0.25, 0.29
    found = segment_stress([[x, y, 0.0]], [[0, 0, -1e4]], [[0, 0, 1e4]], [[0.25, 0, 0]], **MEDIUM)[0]
    square, d = x**2 + y**2 + a**2, 75.0 * 0.25 / (2 * math.pi * (1 - nu))
    xx = -d * y / square * (1 + 2 * (x**2 + a**2) / square)
    yy = d * y / square * (1 - 2 * (y**2 + a**2) / square)
    zz = -2 * d * nu * y / square * (1 + a**2 / square)
    xy = d * x / square * (1 - 2 * y**2 / square)
    np.testing.assert_allclose(found, [[xx, xy, 0], [xy, yy, 0], [0, 0, zz]], rtol=1e-7, atol=1e-8)


@pytest.mark.usefixtures("kernel")
def test_a_loop_agrees_with_its_line_integral() -> None:
    points = RNG.uniform(-4.0, 4.0, (12, 3))
    found = segment_stress(points, *loop(), **MEDIUM)
    np.testing.assert_allclose(found, by_quadrature(points, *loop(), **MEDIUM), rtol=0, atol=1e-9)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("offset", [0.0, 1e-12, 1e-6, 1e-3, 0.1])
def test_points_near_the_axis_beyond_the_ends_keep_their_digits(offset: float) -> None:
    """There the textbook integrals are differences of numbers that agree in all digits."""
    medium = MEDIUM | {"core_radius": 1e-3}
    points = np.array([[offset, 0.0, 5.0], [offset, 0.0, -40.0]])
    segment = [[[0.0, 0.0, -1.0]], [[0.0, 0.0, 1.5]], [[0.2, 0.1, 0.1]]]
    expected = by_quadrature(points, *map(np.array, segment), **medium)
    found = segment_stress(points, *segment, **medium)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-13)


def test_both_ways_to_sum_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    if not stress_kernel.HAS_NUMBA:
        pytest.skip("needs the PyPI package numba")
    points, starts, ends, burgers = (RNG.normal(size=(n, 3)) for n in (700, 90, 90, 90))
    compiled = segment_stress(points, starts, ends, burgers, **MEDIUM)
    monkeypatch.setattr(stress_kernel, "HAS_NUMBA", False)
    np.testing.assert_allclose(segment_stress(points, starts, ends, burgers, **MEDIUM), compiled, rtol=1e-9, atol=1e-9)


def test_without_core_radius_the_field_is_the_classical_one() -> None:
    """The core radius changes it in second order."""
    points = np.array([[5.0, 1.0, 2.0], [0.0, -6.0, 1.0]])
    fields = [segment_stress(points, *loop(), **MEDIUM | {"core_radius": a}) for a in (0.0, 0.01, 0.02)]
    one, two = (np.abs(field - fields[0]).max() for field in fields[1:])
    assert two / one == pytest.approx(4.0, rel=1e-2)


def test_a_loop_is_in_equilibrium() -> None:
    points, step = RNG.uniform(-4.0, 4.0, (6, 3)), 1e-3
    divergence = np.zeros((6, 3))
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        plus, minus = (segment_stress(points + sign * shift, *loop(), **MEDIUM) for sign in (1, -1))
        divergence += (plus - minus)[:, :, axis] / (2 * step)
    np.testing.assert_allclose(divergence, 0.0, atol=1e-4)


vectors = st.lists(st.floats(-5.0, 5.0), min_size=3, max_size=3).map(np.array)


@settings(max_examples=20)
@given(turn=vectors, shift=vectors)
def test_the_field_turns_and_moves_with_everything(turn: np.ndarray, shift: np.ndarray) -> None:
    points, (starts, ends, burgers) = np.array([[1.0, 2.0, 0.5], [0.0, 0.1, 0.0]]), loop()
    matrix = Rotation.from_rotvec(turn).as_matrix()
    moved = segment_stress(*(p @ matrix.T + shift for p in (points, starts, ends)), burgers @ matrix.T, **MEDIUM)
    expected = matrix @ segment_stress(points, starts, ends, burgers, **MEDIUM) @ matrix.T
    np.testing.assert_allclose(moved, expected, rtol=1e-9, atol=1e-9)


def test_sense_and_division_of_segments_do_not_matter() -> None:
    points, (starts, ends, burgers) = RNG.normal(size=(5, 3)), loop()
    expected = segment_stress(points, starts, ends, burgers, **MEDIUM)
    middle = 0.3 * starts + 0.7 * ends
    halves = segment_stress(points, np.r_[starts, middle], np.r_[middle, ends], np.r_[burgers, burgers], **MEDIUM)
    np.testing.assert_allclose(halves, expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(
        segment_stress(points, ends, starts, -burgers, **MEDIUM), expected, rtol=1e-11, atol=1e-12
    )


@pytest.mark.usefixtures("kernel")
def test_nothing_and_segments_without_length_exert_no_stress() -> None:
    none = np.zeros((0, 3))
    np.testing.assert_array_equal(segment_stress([[1, 2, 3]], none, none, none, **MEDIUM), np.zeros((1, 3, 3)))
    assert segment_stress(none, *loop(), **MEDIUM).shape == (0, 3, 3)
    starts, ends, burgers = loop()
    point = (
        np.vstack([starts, [[1.0, 1.0, 1.0]]]),
        np.vstack([ends, [[1.0, 1.0, 1.0]]]),
        np.vstack([burgers, [[1, 0, 0]]]),
    )
    at = np.array([[1.0, 1.0, 1.0]])
    np.testing.assert_array_equal(
        segment_stress(at, *point, **MEDIUM), segment_stress(at, starts, ends, burgers, **MEDIUM)
    )
    np.testing.assert_array_equal(periodic_stress(at, none, none, none, CELL, **MEDIUM), np.zeros((1, 3, 3)))


@pytest.mark.usefixtures("kernel")
def test_points_on_a_line_have_a_finite_stress_unless_there_is_no_core() -> None:
    starts, ends, burgers = loop()
    points = np.vstack([starts[0], (starts[1] + ends[1]) / 2])
    assert np.isfinite(segment_stress(points, starts, ends, burgers, **MEDIUM)).all()
    with pytest.raises(NonFiniteError, match="lies on a segment"):
        segment_stress(points[1:], starts, ends, burgers, **MEDIUM | {"core_radius": 0.0})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": [1.0, 2.0, 3.0]}, r"shape \(3,\)"),
        ({"starts": [[0.0, 0.0, 1.0]]}, "1 starts, 7 ends"),
        ({"burgers": [[0.0, math.nan, 1.0]] * 7}, "NaN or infinity, first in row 0"),
        ({"poisson_ratio": 0.5}, "Poisson ratio 0.5"),
        ({"core_radius": -1.0}, "core radius -1"),
        ({"shear_modulus": math.nan}, "shear modulus nan"),
    ],
)
def test_wrong_input_is_named(change: dict[str, object], message: str) -> None:
    starts, ends, burgers = loop()
    arguments = {"points": [[1.0, 2.0, 3.0]], "starts": starts, "ends": ends, "burgers": burgers} | MEDIUM | change
    with pytest.raises((PropertyError, NonFiniteError), match=message):
        segment_stress(**arguments)


Lines = tuple[np.ndarray, np.ndarray, np.ndarray]


def dipole_lines(offset: float, cell: np.ndarray) -> Lines:
    """Two straight lines through the cell, half of it apart along the normal, the upper one moved by an offset."""
    lower = np.array([2.0, 0.1, 4.0])
    upper = lower + np.array([offset, 0.0, cell[2, 2] / 2])
    return (
        np.array([lower, upper + cell[1]]),
        np.array([lower + cell[1], upper]),
        np.array([BURGERS, BURGERS]),
    )


@pytest.mark.parametrize(("images", "tolerance"), [(2, 4e-3), (4, 2e-4), (8, 2e-5)])
def test_a_periodic_dipole_has_the_stress_of_its_rows(images: int, tolerance: float) -> None:
    """Resolved shear stress on the lower line: all rows of the other sign in closed form; its own rows cancel."""
    cell, medium = np.diag([8.0, 2.8, 16.0]), MEDIUM | {"core_radius": 0.01}
    row = IsotropicRow(IsotropicElasticity(75.0, 0.29), BURGERS)
    for offset in (0.0, 1.0, 2.0, 3.3):
        expected = 2 * sum(row.resolved_stress_gpa(np.array(offset), 8.0 * k, 8.0) for k in range(1, 20, 2))
        stress = periodic_stress([[2.0, 1.2, 4.0]], *dipole_lines(offset, cell), cell, images=images, **medium)[0]
        assert stress[2] @ BURGERS / np.linalg.norm(BURGERS) == pytest.approx(-expected, abs=tolerance)


def small_loop(cell: np.ndarray) -> Lines:
    starts, ends, burgers = loop(radius=0.9)
    middle = cell.sum(axis=0) / 2
    return starts + middle, ends + middle, burgers


CONFIGURATIONS: dict[str, Callable[[np.ndarray], Lines]] = {
    "dipole": lambda cell: dipole_lines(1.3, cell),
    "loop": small_loop,
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_mean_over_the_cell_vanishes(name: str) -> None:
    lines = CONFIGURATIONS[name](CELL)
    steps = (np.arange(count) / count for count in (12, 6, 20))
    grid = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3) @ CELL
    stress = periodic_stress(grid, *lines, CELL, **MEDIUM | {"core_radius": 1.0})
    assert np.abs(stress).max() > 0.3
    np.testing.assert_allclose(stress.mean(axis=0), 0.0, atol=2e-4)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_sum_over_images_converges(name: str) -> None:
    lines, points = CONFIGURATIONS[name](CELL), RNG.uniform(0.0, 1.0, (20, 3)) @ CELL
    fields = [periodic_stress(points, *lines, CELL, images=count, **MEDIUM) for count in (1, 2, 4, 8)]
    errors = [np.abs(field - fields[-1]).max() for field in fields[:-1]]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 1e-3


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_periods_do_not_matter(name: str) -> None:
    """Neither of the points nor of single segments, nor where the border of the cell lies."""
    starts, ends, burgers = CONFIGURATIONS[name](CELL)
    points = RNG.uniform(0.0, 1.0, (20, 3)) @ CELL
    expected = periodic_stress(points, starts, ends, burgers, CELL, **MEDIUM)
    moved = points + RNG.integers(-3, 4, (20, 3)) @ CELL
    shifts = RNG.integers(-3, 4, (len(starts), 3)) @ CELL
    found = periodic_stress(moved, starts + shifts, ends + shifts, burgers, CELL, **MEDIUM)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    everything = np.array([0.37, 0.21, 0.63]) @ CELL
    elsewhere = periodic_stress(points + everything, starts + everything, ends + everything, burgers, CELL, **MEDIUM)
    np.testing.assert_allclose(elsewhere, expected, atol=2e-3)


def test_lines_may_meet_in_nodes() -> None:
    """Three lines through the cell whose Burgers vectors add up to zero, two of them joined along a part."""
    node, split = np.array([2.0, 0.5, 4.0]), np.array([3.0, 1.5, 4.0])
    one, two = np.array([0.2, 0.0, 0.1]), np.array([0.0, 0.2, 0.0])
    starts = np.array([node, split, split, np.array([6.0, 0.5, 12.0]) + CELL[1]])
    ends = np.array([split, node + CELL[1], node + CELL[1], [6.0, 0.5, 12.0]])
    burgers = np.array([one + two, one, two, one + two])
    fields = [periodic_stress([[5.0, 1.0, 6.0]], starts, ends, burgers, CELL, images=n, **MEDIUM) for n in (4, 8)]
    assert np.abs(fields[1]).max() > 0.01
    np.testing.assert_allclose(fields[0], fields[1], atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, e, b: (s, e + np.array([[0.0, 0.01, 0.0], [0, 0, 0]]), b), "a dislocation line ends at"),
        (lambda s, e, b: (s, e, b * [[1.0], [2.0]]), "more Burgers vector runs"),
        (lambda s, e, b: (s[:1], e[:1], b[:1]), "more Burgers vector runs"),
    ],
)
def test_lines_without_a_periodic_field_are_refused(change: Callable[..., Lines], message: str) -> None:
    with pytest.raises(PropertyError, match=message):
        periodic_stress([[0.0, 0.0, 0.0]], *change(*dipole_lines(1.0, CELL)), CELL, **MEDIUM)


def test_impossible_cells_and_images_are_refused() -> None:
    lines = dipole_lines(1.0, CELL)
    with pytest.raises(PropertyError, match="right-handed"):
        periodic_stress([[0.0, 0.0, 0.0]], *lines, CELL[[1, 0, 2]], **MEDIUM)
    with pytest.raises(PropertyError, match="images = 0"):
        periodic_stress([[0.0, 0.0, 0.0]], *lines, CELL, images=0, **MEDIUM)
