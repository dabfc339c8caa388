"""What the mobility networks see of a dislocation line: numbers that do not change when the crystal is moved or turned.

The frame of a point on a line is made of the line itself: n is the normal of the slip plane, t the unit tangent,
m = n × t the glide direction, b̂ the direction of the Burgers vector, e = n × b̂. Everything that is measured in it is
the same in any orientation of the crystal in space.

Two descriptions of one dislocation give the same numbers: line sense and Burgers vector both reversed leave the
character angle as it is; m, the resolved shear stress, the curvature towards m and the glide velocity along m change
sign together. The inversion of the crystal turns a line of angle θ into one of θ + 180°, so that θ enters by harmonics
of 2θ only. Where the normal is a two-fold axis of the crystal, as for {110} of cubic crystals, a reversed resolved
shear stress with everything else equal gives the reversed velocity (the axis turns line and glide stress around, and
leaves the character as it is). The networks see only what is even under this operation (`NODE_FEATURES`,
`GAUSS_FEATURES`), and what they find multiplies forces that are odd. The sign of n has to be that of the crystal: θ and
180° - θ are different lines of a bcc crystal, and only a proper rotation may relate the pair of b and n to that of the
training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from glideflow.crystals.lattices import FloatArray

Net = Literal["F", "B", "E"]
NETS: Final[tuple[Net, ...]] = ("F", "B", "E")

STRESS_SCALE_MPA: Final = 1000.0
TEMPERATURE_SCALE_K: Final = 1000.0
SMOOTHING_MPA: Final = 1.0
"""Stress within which the magnitude of the resolved shear stress is rounded off, to be smooth at zero."""
SPACING_SCALE_BURGERS: Final = 6.0
"""Usual distance of nodes (1.5 nm in α-iron) in Burgers vectors."""
CURVATURE_SCALE_BURGERS: Final = 0.02
"""Curvature times Burgers vector at which the feature of the curvature is half of what it can be."""


@dataclass(frozen=True)
class Feature:
    """One input of the networks.

    Attributes:
        name: its name.
        nets: networks that see it, after equation 2 of the paper: f(σ, b, s), B(T, b, s), ε(σ, b, s, T).
        reason: why it is there.
    """

    name: str
    nets: tuple[Net, ...]
    reason: str


_GEOMETRY: Final[tuple[Net, ...]] = ("F", "B", "E")
_STRESS: Final[tuple[Net, ...]] = ("F", "E")
_HEAT: Final[tuple[Net, ...]] = ("B", "E")
_ANGLES: Final = (
    Feature("cos 2θ", _GEOMETRY, "character: screw against edge"),
    Feature("sin 2θ", _GEOMETRY, "character: tells θ from 180° - θ"),
    Feature("cos 4θ", _GEOMETRY, "narrower dependence on the character, as at the cusp of the <111> line near 109°"),
    Feature("sin 4θ", _GEOMETRY, "the same"),
)
NODE_FEATURES: Final[tuple[Feature, ...]] = (
    *_ANGLES,
    Feature("|κ|b / (|κ|b + 0.02)", _STRESS, "magnitude of the curvature: kinks and small loops"),
    Feature("ln(l / 6b)", _STRESS, "length of the adjacent segments: what a node stands for"),
    Feature("T / 1000 K", _HEAT, "phonon drag grows with it, and thermal activation"),
    Feature("|τ| / GPa", _STRESS, "magnitude of the resolved shear stress, mean over the Gauss points of the node"),
)
"""Features of a node, in the order of their columns."""
GAUSS_FEATURES: Final[tuple[Feature, ...]] = (
    *_ANGLES,
    Feature("|τ| / GPa", _STRESS, "resolved shear stress b̂·σ·n: glide component of the Peach-Koehler force, over b"),
    Feature("b̂·σ·m / GPa", _STRESS, "climb component of the Peach-Koehler force, over b"),
    Feature("ττ_e / (|τ| + |τ_e|) GPa", _STRESS, "shear stress e·σ·n across b, in the sense of τ: non-glide shear"),
    Feature("(m·σ·m - n·σ·n) / 2 GPa", _STRESS, "non-glide shear at 45° to the plane, which changes the screw's core"),
    Feature("-tr σ / 3 GPa", _STRESS, "pressure"),
)
"""Features of a Gauss point, in the order of their columns."""


@dataclass(frozen=True, eq=False)
class LocalFrame:
    """Frames of points on lines; P points.

    Attributes:
        tangent: (P, 3) unit tangents t.
        normal: (3,) unit normal n of the slip plane.
        burgers_direction: (P, 3) unit vectors b̂.
    """

    tangent: FloatArray
    normal: FloatArray
    burgers_direction: FloatArray

    @property
    def glide_direction(self) -> FloatArray:
        """(P, 3) unit vectors m = n × t."""
        across = np.cross(self.normal, self.tangent)
        return np.asarray(across / np.linalg.norm(across, axis=1, keepdims=True))

    @property
    def character_rad(self) -> FloatArray:
        """(P,) angle θ from b to t about n, in (-π, π]."""
        b, t = self.burgers_direction, self.tangent
        return np.asarray(np.arctan2(np.cross(b, t) @ self.normal, np.einsum("pi,pi->p", b, t)))

    def component(self, stress: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
        """(P,) components left·σ·right of (P, 3, 3) stresses for (P, 3) or (3,) vectors."""
        first, second = (np.broadcast_to(vectors, self.tangent.shape) for vectors in (left, right))
        return np.asarray(np.einsum("pi,pij,pj->p", first, stress, second))

    def resolved_shear(self, stress: FloatArray) -> FloatArray:
        """(P,) resolved shear stress b̂·σ·n, positive where it drives the line along m.

        The Peach-Koehler force (σ·b) × t has the component (σ·b)·(t × m) = b·σ·n along m.
        """
        return self.component(stress, self.burgers_direction, self.normal)


def angle_features(character_rad: FloatArray) -> FloatArray:
    """(P, 4) harmonics of twice the character angle."""
    return np.stack([wave(k * character_rad) for k in (2, 4) for wave in (np.cos, np.sin)], axis=1)


def node_features(
    character_rad: FloatArray,
    curvature_per_angstrom: FloatArray,
    spacing_angstrom: FloatArray,
    burgers_angstrom: FloatArray,
    resolved_mpa: FloatArray,
    temperature_k: float,
) -> FloatArray:
    """(N, 8) features of nodes in the order of `NODE_FEATURES`.

    Args:
        character_rad: (N,) character angles.
        curvature_per_angstrom: (N,) curvatures towards m.
        spacing_angstrom: (N,) mean lengths of the adjacent segments.
        burgers_angstrom: (N,) lengths of the Burgers vector.
        resolved_mpa: (N,) resolved shear stresses.
        temperature_k: temperature.
    """
    bent = np.abs(curvature_per_angstrom) * burgers_angstrom
    columns = (
        bent / (bent + CURVATURE_SCALE_BURGERS),
        np.log(spacing_angstrom / (SPACING_SCALE_BURGERS * burgers_angstrom)),
        np.full(len(character_rad), temperature_k / TEMPERATURE_SCALE_K),
        magnitude(resolved_mpa) / STRESS_SCALE_MPA,
    )
    return np.column_stack([angle_features(character_rad), *columns])


def gauss_features(frame: LocalFrame, stress_mpa: FloatArray) -> FloatArray:
    """(P, 9) features of Gauss points in the order of `GAUSS_FEATURES`.

    Args:
        frame: frames of the segments at these points.
        stress_mpa: (P, 3, 3) stress there, positive in tension.
    """
    n, m, b = frame.normal, frame.glide_direction, frame.burgers_direction
    resolved = frame.resolved_shear(stress_mpa)
    crossing = frame.component(stress_mpa, np.cross(n, b), n)
    columns = (
        magnitude(resolved),
        frame.component(stress_mpa, b, m),
        resolved * crossing / (magnitude(resolved) + magnitude(crossing) + SMOOTHING_MPA),
        (frame.component(stress_mpa, m, m) - frame.component(stress_mpa, n, n)) / 2,
        -np.trace(stress_mpa, axis1=1, axis2=2) / 3,
    )
    return np.column_stack([angle_features(frame.character_rad), np.stack(columns, axis=1) / STRESS_SCALE_MPA])


def magnitude(stress_mpa: FloatArray) -> FloatArray:
    """√(τ² + s²) - s: the magnitude, rounded off at zero within s = 1 MPa."""
    return np.asarray(np.hypot(stress_mpa, SMOOTHING_MPA) - SMOOTHING_MPA)


def visible(features: tuple[Feature, ...]) -> FloatArray:
    """(3, F) ones where F-, B- and E-net see a feature, zeros elsewhere."""
    return np.array([[float(net in feature.nets) for feature in features] for net in NETS])
