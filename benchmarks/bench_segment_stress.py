"""Stress of dislocation segments: compiled by numba and by NumPy against a plain loop with textbook integrals.

All three sum the same formula (Cai et al., J. Mech. Phys. Solids 54, 561 (2006)) over all pairs of points and
segments. The loop is the one that everybody writes first, NumPy on three numbers at a time and a tensor for each pair.
It does some of the pairs, and its time is extrapolated.

    python benchmarks/bench_segment_stress.py
    python benchmarks/bench_segment_stress.py --points 2000 --segments 5000
"""

from __future__ import annotations

import argparse

import numpy as np
from harness import Row, report, timed

from glideflow.mobility import segment_stress, stress_kernel

MEDIUM = {"shear_modulus": 75.0, "poisson_ratio": 0.29, "core_radius": 0.25}
PLAIN_PAIRS = 4000


def plain(points: np.ndarray, starts: np.ndarray, ends: np.ndarray, burgers: np.ndarray) -> np.ndarray:
    """The sum in two Python loops."""
    mu, nu, a2 = MEDIUM["shear_modulus"], MEDIUM["poisson_ratio"], MEDIUM["core_radius"] ** 2
    total = np.zeros((len(points), 3, 3))
    for p, x in enumerate(points):
        for start, end, b in zip(starts, ends, burgers, strict=True):
            length = np.linalg.norm(end - start)
            t = (end - start) / length
            upper = (x - start) @ t
            d = x - start - upper * t
            q2 = d @ d + a2
            j03, j05, j13, j15, j25 = _integrals(upper, q2) - _integrals(upper - length, q2)
            c = np.cross(b, t)
            half = np.outer((2 * j03 + 3 * a2 * j05) * np.cross(d, b) - (2 * j13 + 3 * a2 * j15) * c, t)
            cross = np.outer(c, j03 * d + j13 * t)
            mixed = np.outer(d, t)
            square = np.outer(d, d) * j05 + (mixed + mixed.T) * j15 + np.outer(t, t) * j25
            rest = 3 * (d @ c) * square + (d @ c) * (j03 + 3 * a2 * j05) * np.eye(3) - cross - cross.T
            total[p] += -mu / (8 * np.pi) * (half + half.T) + mu / (4 * np.pi * (1 - nu)) * rest
    return total


def _integrals(y: float, q2: float) -> np.ndarray:
    """Antiderivatives of 1/R³, 1/R⁵, y/R³, y/R⁵ and y²/R⁵ with R² = q² + y²."""
    r = np.sqrt(q2 + y * y)
    return np.array(
        [
            y / (q2 * r),
            y / (3 * q2 * r**3) + 2 * y / (3 * q2**2 * r),
            -1 / r,
            -1 / (3 * r**3),
            y**3 / (3 * q2 * r**3),
        ]
    )


def by_numpy(points: np.ndarray, starts: np.ndarray, ends: np.ndarray, burgers: np.ndarray) -> np.ndarray:
    """What is done where numba is not installed."""
    installed, stress_kernel.HAS_NUMBA = stress_kernel.HAS_NUMBA, False
    try:
        return segment_stress(points, starts, ends, burgers, **MEDIUM)
    finally:
        stress_kernel.HAS_NUMBA = installed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--segments", type=int, default=10_000)
    sizes = parser.parse_args()
    rng = np.random.default_rng(1)
    points, starts, burgers = rng.normal(size=(sizes.points, 3)), *rng.normal(size=(2, sizes.segments, 3))
    ends = starts + 0.3 * rng.normal(size=starts.shape)
    pairs = sizes.points * sizes.segments

    few = max(1, PLAIN_PAIRS // sizes.segments)
    segments = slice(0, PLAIN_PAIRS // few)
    done = few * len(starts[segments])
    part = (points[:few], starts[segments], ends[segments], burgers[segments])
    expected, plain_s = timed(lambda: plain(*part))
    np.testing.assert_allclose(segment_stress(*part, **MEDIUM), expected, rtol=1e-8, atol=1e-8)

    rows = [_row("plain loop", plain_s * pairs / done, pairs, f"{done:.0f} pairs")]
    vectorised, numpy_s = timed(lambda: by_numpy(points, starts, ends, burgers))
    rows.append(_row("NumPy", numpy_s, pairs))
    if stress_kernel.HAS_NUMBA:  # compiled by the check above
        compiled, numba_s = timed(lambda: segment_stress(points, starts, ends, burgers, **MEDIUM))
        np.testing.assert_allclose(compiled, vectorised, rtol=1e-8, atol=1e-8)
        rows.append(_row("numba", numba_s, pairs))
    report("segment_stress", f"stress of {sizes.segments} segments at {sizes.points} points", rows, pairs=pairs)


def _row(way: str, cpu_s: float, pairs: int, measured: str = "") -> Row:
    return Row(way=way, cpu_s=cpu_s, measured=measured, note=f"{pairs / cpu_s / 1e6:.3g} million pairs/s")


if __name__ == "__main__":
    main()
