"""Elastic energy of straight dislocations in anisotropic crystals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glideflow.properties.elastic import VOIGT

FloatArray = NDArray[np.float64]

_ANGLES = 256
"""Points of the trapezoidal rule. It converges exponentially: 64 suffice for a Zener ratio of 8."""


def stiffness_tensor(voigt_gpa: FloatArray) -> FloatArray:
    """(3, 3, 3, 3) stiffness C_ijkl of a (6, 6) matrix in Voigt order xx, yy, zz, yz, xz, xy."""
    index = np.zeros((3, 3), dtype=int)
    for number, (i, j) in enumerate(VOIGT):
        index[i, j] = index[j, i] = number
    return np.asarray(voigt_gpa)[index[:, :, None, None], index[None, None]]


def rotated(stiffness: FloatArray, axes: FloatArray) -> FloatArray:
    """The stiffness (3, 3, 3, 3) in the axes given as the rows of a (3, 3) rotation."""
    return np.asarray(np.einsum("ai,bj,ck,dl,ijkl->abcd", axes, axes, axes, axes, stiffness, optimize=True))


def energy_tensor(stiffness: FloatArray, glide: FloatArray, normal: FloatArray) -> FloatArray:
    """Energy tensor K of a straight line, the energy per length being b·K·b/(4π) ln(R/r).

    K = (1/2π) ∫₀^{2π} [(mm) - (mn)(nn)⁻¹(nm)] dω with (ab)_jk = a_i C_ijkl b_l, where m and n turn about the line.
    It is 4π times the tensor B of Barnett and Lothe (Physica Norvegica 7, 13 (1973)) and equals that of the sextic
    formalism, but has no degenerate case: isotropic crystals need no special treatment.

    Args:
        stiffness: (3, 3, 3, 3).
        glide: (3,) unit vector perpendicular to the line.
        normal: (3,) unit vector perpendicular to the line and to ``glide``.

    Returns:
        (3, 3) symmetric, in the units of the stiffness and the axes in which it is given.
    """
    angle = 2 * np.pi * np.arange(_ANGLES) / _ANGLES
    m = np.outer(np.cos(angle), glide) + np.outer(np.sin(angle), normal)
    n = np.outer(np.cos(angle), normal) - np.outer(np.sin(angle), glide)
    mean = _free_stiffness(stiffness, m, n).mean(axis=0)
    return np.asarray((mean + mean.T) / 2)


def layer_stiffness(stiffness: FloatArray, glide: FloatArray, normal: FloatArray) -> FloatArray:
    """(3, 3) stiffness of a thin layer without tractions, (mm) - (mn)(nn)⁻¹(nm): its energy is ½ u'·Q·u' per volume.

    u' is the derivative of the displacement along ``glide``; nothing changes along the line. In an isotropic crystal Q
    is 2μ/(1-ν) along the glide direction and μ along the line.

    Args:
        stiffness: (3, 3, 3, 3).
        glide: (3,) unit vector m.
        normal: (3,) unit vector n, the normal of the layer.
    """
    layer = _free_stiffness(stiffness, glide[None], normal[None])[0]
    return np.asarray((layer + layer.T) / 2)


def _free_stiffness(stiffness: FloatArray, m: FloatArray, n: FloatArray) -> FloatArray:
    """(W, 3, 3) of (mm) - (mn)(nn)⁻¹(nm) for (W, 3) directions."""
    mm, mn, nn = (np.einsum("wi,ijkl,wl->wjk", a, stiffness, b, optimize=True) for a, b in ((m, m), (m, n), (n, n)))
    return np.asarray(mm - mn @ np.linalg.solve(nn, mn.transpose(0, 2, 1)))
