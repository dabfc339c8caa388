"""Elastic stress of dislocation segments: non-singular isotropic theory, alone and in a periodic cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import NonFiniteError, PropertyError

_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
_SAME_SITE = 1e-6
"""Distance in cell fractions below which two ends of segments are the same node or images of it."""
_BALANCED = 1e-6
"""Largest Burgers vector, relative to the largest one of a segment, that counts as none."""
_ON_SEGMENT = 1e-12
"""Distance from a segment, relative to its length, that rounding cannot tell from none."""
_FEWEST_POINTS, _MOST_POINTS = 8, 64


def segment_stress(
    points: ArrayLike,
    starts: ArrayLike,
    ends: ArrayLike,
    burgers: ArrayLike,
    *,
    shear_modulus: float,
    poisson_ratio: float,
    core_radius: float,
) -> FloatArray:
    """Stress of straight dislocation segments in an infinite isotropic medium, without singularity.

    The Burgers vector is spread over a core of radius a (Cai, Arsenlis, Weinberger and Bulatov, J. Mech. Phys. Solids
    54, 561 (2006)), which replaces R in the line integrals of the classical theory by R_a = √(R² + a²),

        σ_ij = μ/8π ∫ ∂_k∂_p∂_p R_a b_m (ε_kmi dx'_j + ε_kmj dx'_i)
             + μ/(4π(1-ν)) ∫ b_m ε_kml (∂_k∂_i∂_j R_a - δ_ij ∂_k∂_p∂_p R_a) dx'_l,

    solved in closed form for each segment. Only the sum over a closed line, or one that ends in the same way at
    infinity, is a stress field in equilibrium. The Burgers vector belongs to the sense from start to end, with the
    Peach-Koehler force (σ·b) × t; see `glideflow.mobility.cells.ReferenceLine`.

    Args:
        points: (P, 3) where the stress is wanted.
        starts: (S, 3) starts of the segments.
        ends: (S, 3) their ends; segments without length exert no stress.
        burgers: (S, 3) their Burgers vectors.
        shear_modulus: shear modulus μ; the stress has its unit.
        poisson_ratio: Poisson ratio ν.
        core_radius: core radius a in the unit of all lengths; 0 gives the classical, singular field.

    Returns:
        (P, 3, 3) symmetric stress, positive in tension, zero without segments.

    Raises:
        PropertyError: the arrays do not fit together, or the medium is not stable.
        NonFiniteError: a number is not finite, or a point lies on a segment without core radius.
    """
    at = _triples(points, "points")
    segments = _segments(starts, ends, burgers)
    medium = _medium(shear_modulus, poisson_ratio, core_radius)
    return _stress(at, segments, medium)


def periodic_stress(
    points: ArrayLike,
    starts: ArrayLike,
    ends: ArrayLike,
    burgers: ArrayLike,
    cell: ArrayLike,
    *,
    shear_modulus: float,
    poisson_ratio: float,
    core_radius: float,
    images: int | tuple[int, int, int] = 4,
) -> FloatArray:
    """Stress of the segments of a periodic cell and of their images, with the mean zero.

    The sum over images converges conditionally: cut off, it is wrong by a stress that is the same everywhere. The mean
    over the cell of the sum is therefore taken away, so that an applied stress, which is to be added, is the mean
    stress. That mean is exact: of a field σ in equilibrium the integral over the block of all images is
    ∮ σ_ik n_k x_j dA over its surface, where σ, that of the cell alone, is smooth.

    Lines may run through the cell from one border to another. Segments from their ends to a common point, which cancel
    between neighbouring images, then make the lines of every cell closed; without them the ends at the border of the
    block would exert stresses that fall off slowly.

    Args:
        points: (P, 3) where the stress is wanted.
        starts: (S, 3) starts of the segments, in any periodic image.
        ends: (S, 3) their ends.
        burgers: (S, 3) their Burgers vectors.
        cell: (3, 3) periods as rows, right-handed.
        shear_modulus: shear modulus; the stress has its unit.
        poisson_ratio: Poisson ratio.
        core_radius: core radius in the unit of all lengths.
        images: images on either side, at least one. One number n stands for a block of all images whose edges are about
            2n + 1 times the cube root of the cell's volume, with more images along a short period than along a long
            one: the error falls with the size of the block, and most in a compact one. Three numbers are taken as
            they are.

    Returns:
        (P, 3, 3) symmetric stress.

    Raises:
        PropertyError: as `segment_stress`; a line ends inside the cell; the net flux of Burgers vector through the cell
            is not zero, for which there is no periodic field; the cell has no volume.
        NonFiniteError: as `segment_stress`.
    """
    box = _cell(cell)
    medium = _medium(shear_modulus, poisson_ratio, core_radius)
    counts = _image_counts(images, box)
    segments = _segments(starts, ends, burgers)
    at = _into_cell(_triples(points, "points"), box)
    if not segments.count:
        return np.zeros((len(at), 3, 3))
    primary = _closed(_home(segments, box), box)
    block = _with_images(primary, box, counts)
    rest = _Quadratic.of(block, box, medium)
    mean = _block_mean(primary, box, counts, medium) - rest.mean
    return np.asarray(_stress(at, block, medium) - rest(_fractions(at, box)) - mean)


@dataclass(frozen=True, eq=False)
class _Segments:
    """Segments that have a length.

    Attributes:
        starts: (S, 3).
        ends: (S, 3).
        burgers: (S, 3).
    """

    starts: FloatArray
    ends: FloatArray
    burgers: FloatArray

    @property
    def count(self) -> int:
        return len(self.starts)

    def __add__(self, other: _Segments) -> _Segments:
        pairs = ((self.starts, other.starts), (self.ends, other.ends), (self.burgers, other.burgers))
        return _Segments(*(np.concatenate(pair) for pair in pairs))


Medium = tuple[float, float, float]


def _stress(points: FloatArray, segments: _Segments, medium: Medium) -> FloatArray:
    """(P, 3, 3) bare sum over segments."""
    # Numba takes half a second to import; whoever only builds cells does without.
    from glideflow.mobility.stress_kernel import sum_over_segments

    if medium[2] == 0:
        _refuse_singular(points, segments)
    components = sum_over_segments(points, segments.starts, segments.ends, segments.burgers, medium)
    stress = np.empty((len(points), 3, 3))
    for component, (i, j) in zip(components, _VOIGT, strict=True):
        stress[:, i, j] = stress[:, j, i] = component
    return stress


def _refuse_singular(points: FloatArray, segments: _Segments) -> None:
    """Refuse points on a segment, up to rounding, where there is no core radius."""
    for start, end in zip(segments.starts, segments.ends, strict=True):
        along = end - start
        place = np.clip((points - start) @ along / (along @ along), 0.0, 1.0)
        distance = np.linalg.norm(points - start - place[:, None] * along, axis=1)
        on_segment = np.flatnonzero(distance <= _ON_SEGMENT * np.linalg.norm(along))
        if len(on_segment):
            raise NonFiniteError(
                f"the point {points[on_segment[0]].tolist()} lies on a segment, where the stress is infinite",
                expected="a core radius above 0, or points beside the lines",
                next_step="take a core radius of about one Burgers vector",
            )


def _triples(values: ArrayLike, what: str) -> FloatArray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 2 or array.shape[1] != 3:
        raise PropertyError(f"{what} of the shape {array.shape}", expected="(N, 3): a row of x, y, z for each")
    if not np.isfinite(array).all():
        raise NonFiniteError(
            f"{what} hold NaN or infinity, first in row {int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])}",
            expected="finite numbers",
            next_step="look at the snapshot that they come from",
        )
    return array


def _segments(starts: ArrayLike, ends: ArrayLike, burgers: ArrayLike) -> _Segments:
    first, last = _triples(starts, "starts of segments"), _triples(ends, "ends of segments")
    vectors = _triples(burgers, "Burgers vectors")
    if not len(first) == len(last) == len(vectors):
        raise PropertyError(
            f"{len(first)} starts, {len(last)} ends and {len(vectors)} Burgers vectors of segments",
            expected="one of each for every segment",
        )
    kept = np.any(first != last, axis=1)
    return _Segments(first[kept], last[kept], vectors[kept])


def _medium(shear_modulus: float, poisson_ratio: float, core_radius: float) -> Medium:
    if not (0 < shear_modulus < np.inf and -1 < poisson_ratio < 0.5 and 0 <= core_radius < np.inf):
        raise PropertyError(
            f"shear modulus {shear_modulus}, Poisson ratio {poisson_ratio}, core radius {core_radius}",
            expected="a positive modulus, a ratio between -1 and 0.5, and a radius that is not negative",
            next_step="glideflow.mobility.elasticity.isotropic_equivalent gives modulus and ratio of a crystal",
        )
    return (float(shear_modulus), float(poisson_ratio), float(core_radius))


def _cell(cell: ArrayLike) -> FloatArray:
    box = _triples(cell, "periods of the cell")
    if box.shape != (3, 3) or not np.linalg.det(box) > 0:
        raise PropertyError(
            f"the cell {box.tolist()}", expected="three right-handed, linearly independent periods as rows"
        )
    return box


def _image_counts(images: int | tuple[int, int, int], cell: FloatArray) -> tuple[int, int, int]:
    given = (images,) * 3 if isinstance(images, int) else tuple(images)
    if len(given) != 3 or min(given) < 1:
        raise PropertyError(f"images = {images}", expected="at least one on either side: a number, or three")
    counts = np.array(given)
    if isinstance(images, int):
        thickness = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)  # distance of opposite borders
        counts = np.maximum(1, np.rint(((2 * images + 1) * np.cbrt(np.linalg.det(cell)) / thickness - 1) / 2))
    x, y, z = (int(count) for count in counts)
    return (x, y, z)


def _fractions(points: FloatArray, cell: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.solve(cell.T, points.T).T)


def _into_cell(points: FloatArray, cell: FloatArray) -> FloatArray:
    return np.asarray(points - np.floor(_fractions(points, cell)) @ cell)


def _home(segments: _Segments, cell: FloatArray) -> _Segments:
    """The periodic images of the segments whose middles lie in the cell."""
    middles = (segments.starts + segments.ends) / 2
    shift = _into_cell(middles, cell) - middles
    return _Segments(segments.starts + shift, segments.ends + shift, segments.burgers)


def _with_images(segments: _Segments, cell: FloatArray, counts: tuple[int, int, int]) -> _Segments:
    spans = (np.arange(-count, count + 1) for count in counts)
    shifts = np.stack(np.meshgrid(*spans, indexing="ij"), axis=-1).reshape(-1, 1, 3) @ cell  # (I, 1, 3)
    starts, ends = ((shifts + ends).reshape(-1, 3) for ends in (segments.starts, segments.ends))
    return _Segments(starts, ends, np.tile(segments.burgers, (len(shifts), 1)))


def _closed(segments: _Segments, cell: FloatArray) -> _Segments:
    """The segments, and those that make their lines closed and cancel each other between neighbouring images.

    The Burgers vector f that arrives at a node and does not leave it goes to the point O + m·cell, where O is the
    middle of the cell and m says how many periods the node lies from its image in the cell; from there it goes to O
    along the periods. All images of a node have f = 0 together, and the sum of f m is zero if nothing flows through the
    cell: both kinds of segments then vanish from the periodic sum.
    """
    nodes, flux, periods = _open_ends(segments, cell)
    if not len(nodes):
        return segments
    centre = cell.sum(axis=0) / 2
    closing = _Segments(nodes, centre + periods @ cell, flux)
    for axis in range(3):
        shortened = periods.copy()
        shortened[:, : axis + 1] = 0
        before = periods.copy()
        before[:, :axis] = 0
        leaving = before[:, axis] != 0
        legs = (centre + before[leaving] @ cell, centre + shortened[leaving] @ cell, flux[leaving])
        closing += _Segments(*legs)
    return segments + closing


def _open_ends(segments: _Segments, cell: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """(M, 3) nodes at which lines end, (M, 3) Burgers vectors that arrive there, (M, 3) periods from a common image.

    Raises:
        PropertyError: no image of a node takes up what arrives there, or the flux through the cell is not zero.
    """
    ends = np.concatenate([segments.ends, segments.starts])
    flux = np.concatenate([segments.burgers, -segments.burgers])
    sites = _sites(ends, cell)
    first = np.array([np.flatnonzero(sites == site)[0] for site in range(sites.max() + 1)])
    periods = np.rint(_fractions(ends - _into_cell(ends[first], cell)[sites], cell)).astype(np.int64)
    nodes, member = np.unique(np.column_stack([sites, periods]), axis=0, return_inverse=True)
    arriving = np.zeros((len(nodes), 3))
    np.add.at(arriving, member.ravel(), flux)
    limit = _BALANCED * np.abs(segments.burgers).max()
    by_site = np.zeros((len(first), 3))
    np.add.at(by_site, nodes[:, 0], arriving)
    _refuse_open(by_site, arriving.T @ nodes[:, 1:], ends[first], limit)
    kept = np.abs(arriving).max(axis=1) > limit
    positions = _into_cell(ends[first], cell)[nodes[kept, 0]] + nodes[kept, 1:] @ cell
    return positions, arriving[kept], nodes[kept, 1:]


def _sites(ends: FloatArray, cell: FloatArray) -> NDArray[np.int32]:
    """(N,) number of the node of each end; ends that are periodic images of each other share one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    fractions = _fractions(ends, cell) % 1.0
    fractions[fractions >= 1.0] = 0.0  # the remainder of a tiny negative number
    pairs = cKDTree(fractions, boxsize=np.ones(3)).query_pairs(_SAME_SITE, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(ends), len(ends)))
    labels: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return labels


def _refuse_open(by_site: FloatArray, through: FloatArray, sites: FloatArray, limit: float) -> None:
    open_sites = np.flatnonzero(np.abs(by_site).max(axis=1) > limit)
    if len(open_sites):
        raise PropertyError(
            f"a dislocation line ends at {sites[open_sites[0]].tolist()}, inside the crystal",
            expected="lines that are closed, run through the cell, or meet with Burgers vectors that add up to zero",
            next_step="look for a gap between segments, or for a wrong sign of a Burgers vector",
        )
    if np.abs(through).max() > limit:
        raise PropertyError(
            "more Burgers vector runs through the cell in one direction than in the other",
            expected="lines that cancel, as in a dipole: others have no periodic stress field",
            next_step="look for a missing line, or for a wrong sign of a Burgers vector",
        )


def _block_mean(primary: _Segments, cell: FloatArray, counts: tuple[int, int, int], medium: Medium) -> FloatArray:
    """(3, 3) mean over the cell of the sum over all images, as an integral over the surface of their block."""
    edges = (2 * np.array(counts) + 1)[:, None] * cell
    origin = -np.array(counts) @ cell
    middle = origin + edges.sum(axis=0) / 2
    total = np.zeros((3, 3))
    for axis in range(3):
        points, weights = _face_points(edges, axis, counts)
        normal = np.cross(edges[(axis + 1) % 3], edges[(axis + 2) % 3])  # its length is the area of the face
        for position, sign in ((origin, -1.0), (origin + edges[axis], 1.0)):
            traction = _stress(points + position, primary, medium) @ (sign * normal)  # (Q, 3)
            total += np.einsum("q,qi,qj->ij", weights, traction, points + position - middle)
    return np.asarray((total + total.T) / (2 * np.linalg.det(cell)))


def _face_points(edges: FloatArray, axis: int, counts: tuple[int, int, int]) -> tuple[FloatArray, FloatArray]:
    """(Q, 3) points of a Gauss rule on the face of the block across an edge, from its corner, and (Q,) weights."""
    normal = np.cross(edges[(axis + 1) % 3], edges[(axis + 2) % 3])
    thickness = abs(edges[axis] @ normal) / np.linalg.norm(normal)
    distance = thickness * max(0.5, counts[axis] - 0.5) / (2 * counts[axis] + 1)  # from the cell to the face
    rules = []
    for other in ((axis + 1) % 3, (axis + 2) % 3):
        wanted = 6 * np.linalg.norm(edges[other]) / distance
        rules.append(np.polynomial.legendre.leggauss(int(np.clip(np.ceil(wanted), _FEWEST_POINTS, _MOST_POINTS))))
    (x, x_weights), (y, y_weights) = rules
    first, second = (x[:, None] + 1) / 2, (y[None, :] + 1) / 2
    points = first[..., None] * edges[(axis + 1) % 3] + second[..., None] * edges[(axis + 2) % 3]
    return points.reshape(-1, 3), np.outer(x_weights, y_weights).ravel() / 4


@dataclass(frozen=True, eq=False)
class _Quadratic:
    """What a block of images lacks for being periodic, as a polynomial of second order in the cell.

    The images that are left out are far away: their stress is smooth, and where it changes over the cell it differs
    between points a period apart.

    Attributes:
        coefficients: (9, 3, 3) of the terms f_i and f_i f_j, where f are fractions of the cell from its middle.
    """

    coefficients: FloatArray

    @classmethod
    def of(cls, block: _Segments, cell: FloatArray, medium: Medium) -> _Quadratic:
        """The polynomial with the differences that a block of images has between points a period apart."""
        here = np.concatenate([_beside_border(axis) for axis in range(3)])
        there = here + np.repeat(np.eye(3), len(here) // 3, axis=0)
        stresses = (_stress(fractions @ cell, block, medium).reshape(-1, 9) for fractions in (here, there))
        first, second = stresses
        fit = np.linalg.lstsq(_terms(there) - _terms(here), second - first)[0]
        return cls(np.asarray(fit, dtype=float).reshape(9, 3, 3))

    @property
    def mean(self) -> FloatArray:
        """(3, 3) mean over the cell, to which only the squares contribute."""
        return np.asarray(self.coefficients[3:6].sum(axis=0) / 12)

    def __call__(self, fractions: FloatArray) -> FloatArray:
        """(P, 3, 3) values at (P, 3) fractions of the cell."""
        return np.asarray(np.tensordot(_terms(fractions), self.coefficients, axes=1))


def _terms(fractions: FloatArray) -> FloatArray:
    """(P, 9) terms x, y, z, xx, yy, zz, yz, xz, xy of fractions counted from the middle."""
    centred = fractions - 0.5
    return np.column_stack([centred, *(centred[:, i] * centred[:, j] for i, j in _VOIGT)])


def _beside_border(axis: int) -> FloatArray:
    """(18, 3) fractions of points on both sides of the border at zero: on it, squares would differ by nothing."""
    steps = [np.array([1, 3, 5]) / 6] * 3
    steps[axis] = np.array([-0.25, 0.25])
    return np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
