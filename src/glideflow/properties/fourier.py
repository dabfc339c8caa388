"""Fourier representation of a γ surface in plane waves symmetrised over its point group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class FourierSurface:
    """γ(d) = Σ_s [ c_s <cos(G_s · M d)> + q_s <sin(G_s · M d)> ], averaged over the operations M.

    The representation has the translations of the plane lattice and the given operations by construction.

    Attributes:
        wavevectors_per_angstrom: (S, 2) one reciprocal vector G of each star, 2π included, the first one zero.
        cosine_mj_m2: (S,) coefficients c.
        sine_mj_m2: (S,) coefficients q, zero where the star's sine vanishes by symmetry.
        symmetry: (M, 2, 2) operations.
    """

    wavevectors_per_angstrom: FloatArray
    cosine_mj_m2: FloatArray
    sine_mj_m2: FloatArray
    symmetry: FloatArray

    def __call__(self, displacements_angstrom: FloatArray) -> FloatArray:
        """γ in mJ/m² at (..., 2) displacements in Å, shape (...)."""
        points = np.asarray(displacements_angstrom, dtype=float)
        cosines, sines = star_functions(points.reshape(-1, 2), self.wavevectors_per_angstrom, self.symmetry)
        return np.asarray(cosines @ self.cosine_mj_m2 + sines @ self.sine_mj_m2).reshape(points.shape[:-1])

    def gradient(self, displacements_angstrom: FloatArray) -> FloatArray:
        """∂γ/∂d in mJ/m²/Å at (..., 2) displacements in Å, shape (..., 2)."""
        points = np.asarray(displacements_angstrom, dtype=float)
        rotated = np.einsum("mij,si->msj", self.symmetry, self.wavevectors_per_angstrom)  # M^T G
        phases = np.einsum("pj,msj->pms", points.reshape(-1, 2), rotated)
        weights = -np.sin(phases) * self.cosine_mj_m2 + np.cos(phases) * self.sine_mj_m2
        gradient = np.einsum("pms,msj->pj", weights, rotated) / len(self.symmetry)
        return np.asarray(gradient).reshape(points.shape)


def fit_fourier_surface(
    displacements_angstrom: FloatArray,
    gamma_mj_m2: FloatArray,
    in_plane_angstrom: FloatArray,
    symmetry: FloatArray,
    shells: int,
) -> FourierSurface:
    """Least-squares fit of a symmetrised Fourier series.

    Args:
        displacements_angstrom: (P, 2) displacements.
        gamma_mj_m2: (P,) energies there.
        in_plane_angstrom: (2, 2) vectors of the plane lattice as rows.
        symmetry: (M, 2, 2) operations from `glideflow.crystals.symmetry.displacement_symmetry`.
        shells: stars of reciprocal vectors beyond the constant.
    """
    wavevectors = star_wavevectors(in_plane_angstrom, symmetry, shells)
    cosines, sines = star_functions(displacements_angstrom, wavevectors, symmetry)
    with_sine = has_sine(wavevectors, symmetry)
    design = np.hstack([cosines, sines[:, with_sine]])
    coefficients = np.linalg.lstsq(design, gamma_mj_m2, rcond=1e-10)[0]
    sine = np.zeros(len(wavevectors))
    sine[with_sine] = coefficients[len(wavevectors) :]
    return FourierSurface(wavevectors, np.asarray(coefficients[: len(wavevectors)], dtype=float), sine, symmetry)


def star_wavevectors(in_plane_angstrom: FloatArray, symmetry: FloatArray, shells: int) -> FloatArray:
    """(shells + 1, 2) one reciprocal vector of each star in 1/Å, shortest first, starting with zero.

    Vectors related by an operation or by inversion belong to one star (cosines and sines cover both signs).
    """
    reciprocal = 2 * np.pi * np.linalg.inv(in_plane_angstrom).T
    span = np.arange(-2 * shells - 2, 2 * shells + 3)
    vectors = np.stack(np.meshgrid(span, span, indexing="ij"), axis=-1).reshape(-1, 2) @ reciprocal
    vectors = vectors[np.lexsort((-vectors[:, 1].round(9), -vectors[:, 0].round(9), _norms(vectors).round(9)))]
    chosen: list[FloatArray] = []
    seen: set[tuple[float, float]] = set()
    for vector in vectors:
        if _key(vector) in seen:
            continue
        chosen.append(vector)
        images = np.einsum("mij,i->mj", symmetry, vector)
        seen |= {_key(image) for image in (*images, *-images)}
        if len(chosen) == shells + 1:
            break
    return np.array(chosen)


def star_functions(
    displacements_angstrom: FloatArray, wavevectors_per_angstrom: FloatArray, symmetry: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Averages over the operations of cos(G · M d) and sin(G · M d), each (P, S)."""
    rotated = np.einsum("mij,pj->mpi", symmetry, displacements_angstrom)
    phases = np.einsum("mpi,si->mps", rotated, wavevectors_per_angstrom)
    return np.cos(phases).mean(axis=0), np.sin(phases).mean(axis=0)


def has_sine(wavevectors_per_angstrom: FloatArray, symmetry: FloatArray) -> NDArray[np.bool_]:
    """(S,) whether a star's sine does not vanish by symmetry: no operation turns G into -G."""
    images = np.einsum("mij,si->smj", symmetry, wavevectors_per_angstrom)
    inverted = np.abs(images + wavevectors_per_angstrom[:, None]).max(axis=2) < 1e-6
    return np.asarray(~inverted.any(axis=1))


def _norms(vectors: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(vectors, axis=1))


def _key(vector: FloatArray) -> tuple[float, float]:
    return (round(float(vector[0]), 6) + 0.0, round(float(vector[1]), 6) + 0.0)
