from __future__ import annotations

import numpy as np
import pytest

from glideflow.config.slip_systems import BCC_110, FCC_111, HCP_PRISMATIC, SlipSystemSettings
from glideflow.crystals.lattices import crystal
from glideflow.crystals.slip_systems import frame, slip_system
from glideflow.properties.anisotropic_line import energy_tensor, layer_stiffness, rotated, stiffness_tensor
from glideflow.properties.elastic import cubic_tensor, hexagonal_tensor

X, Y, Z = np.eye(3)
CUBIC = cubic_tensor(170.0, 122.5, 75.8)
HEXAGONAL = hexagonal_tensor(141.0, 74.0, 44.0, 73.0, 168.0)


def isotropic(shear: float, poisson: float) -> np.ndarray:
    lame = 2 * shear * poisson / (1 - 2 * poisson)
    return stiffness_tensor(cubic_tensor(lame + 2 * shear, lame, shear))


@pytest.mark.parametrize("poisson", [0.0, 0.25, 0.45])
def test_isotropic_crystals_have_the_textbook_factors(poisson: float) -> None:
    edge = 40.0 / (1 - poisson)
    tensor = energy_tensor(isotropic(40.0, poisson), X, Z)
    np.testing.assert_allclose(tensor, np.diag([edge, 40.0, edge]), atol=1e-11)


def test_screw_along_110_of_a_cubic_crystal() -> None:
    """√(C44 (C11 - C12)/2): Hirth and Lothe, Theory of Dislocations, section 13-4."""
    line, normal = np.array([1, -1, 0]) / np.sqrt(2), np.array([1, 1, 1]) / np.sqrt(3)
    tensor = energy_tensor(stiffness_tensor(CUBIC), np.cross(normal, line), normal)
    assert line @ tensor @ line == pytest.approx(np.sqrt(75.8 * (170.0 - 122.5) / 2), rel=1e-12)


def test_edge_along_100_of_a_cubic_crystal() -> None:
    """(C11 + C12) √(C44 (C11 - C12) / (C11 (C11 + C12 + 2 C44))): Hirth and Lothe, section 13-4."""
    expected = (170.0 + 122.5) * np.sqrt(75.8 * (170.0 - 122.5) / (170.0 * (170.0 + 122.5 + 2 * 75.8)))
    assert energy_tensor(stiffness_tensor(CUBIC), X, Y)[0, 0] == pytest.approx(expected, rel=1e-12)


def test_lines_along_the_axis_of_a_hexagonal_crystal() -> None:
    """The basal plane is isotropic: an edge sees its Poisson ratio, a screw C44."""
    tensor = energy_tensor(stiffness_tensor(HEXAGONAL), X, Y)
    assert tensor[0, 0] == pytest.approx((141.0 - 74.0) / 2 * (141.0 + 74.0) / 141.0, rel=1e-12)
    assert tensor[2, 2] == pytest.approx(44.0, rel=1e-12)


def test_prismatic_screw_of_a_hexagonal_crystal() -> None:
    tensor = energy_tensor(stiffness_tensor(HEXAGONAL), Z, Y)
    assert tensor[0, 0] == pytest.approx(np.sqrt(44.0 * (141.0 - 74.0) / 2), rel=1e-12)


@pytest.mark.parametrize("settings", [FCC_111, BCC_110, HCP_PRISMATIC], ids=lambda settings: settings.name)
@pytest.mark.parametrize("axis", [0, 1], ids=["edge", "screw"])
def test_the_sextic_formalism_of_atomman_gives_the_same_tensor(settings: SlipSystemSettings, axis: int) -> None:
    import atomman

    hexagonal = settings.structure == "hcp"
    voigt = HEXAGONAL if hexagonal else CUBIC
    axes = frame(slip_system(settings), crystal(settings.structure, 3.2, 5.1 if hexagonal else None)).axes
    own = energy_tensor(rotated(stiffness_tensor(voigt), axes), np.eye(3)[axis], Z)
    constants = atomman.ElasticConstants(Cij=voigt)
    if hexagonal and axis == 0:  # the sextic formalism is degenerate for a line along the axis; the integral is not
        with pytest.raises(ValueError, match=r"\w"):
            atomman.defect.Stroh(constants, burgers=X, transform=axes, m=np.eye(3)[axis], n=Z)
        return
    peer = atomman.defect.Stroh(constants, burgers=X, transform=axes, m=np.eye(3)[axis], n=Z)
    np.testing.assert_allclose(own, peer.K_tensor, atol=1e-9)


def test_a_thin_layer_of_an_isotropic_crystal_is_in_plane_stress() -> None:
    layer = layer_stiffness(isotropic(40.0, 0.3), X, Z)
    np.testing.assert_allclose(layer, np.diag([2 * 40.0 / 0.7, 40.0, 0.0]), atol=1e-11)


def test_rotation_keeps_the_energy_of_a_line() -> None:
    axes = frame(slip_system(BCC_110), crystal("bcc", 2.87, None)).axes
    stiffness = stiffness_tensor(CUBIC)
    inside = energy_tensor(rotated(stiffness, axes), X, Z)
    outside = energy_tensor(stiffness, axes[0], axes[2])
    np.testing.assert_allclose(axes.T @ inside @ axes, outside, atol=1e-11)
