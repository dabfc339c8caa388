from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list

from glideflow.config.slip_systems import SlipSystemSettings
from glideflow.crystals.lattices import Crystal, crystal
from glideflow.crystals.layers import LayeredCrystal, layered_crystal, rectangular_points, stack
from glideflow.crystals.slip_systems import SlipSystem, frame, slip_system
from glideflow.errors import SlipSystemError

Systems = Callable[[str], tuple[Crystal, SlipSystem]]
ALL = ("fcc_111", "bcc_110", "hcp_prismatic", "bcc_112", "hcp_basal", "fcc_100")


def as_bulk(layers: LayeredCrystal) -> Atoms:
    """One repeat of the stack as a periodic cell."""
    cell = np.zeros((3, 3))
    cell[:2, :2] = layers.in_plane_angstrom
    cell[2] = layers.repeat_angstrom
    return Atoms("Cu" * len(layers.motif_angstrom), positions=layers.motif_angstrom, cell=cell, pbc=True)


@pytest.mark.parametrize("name", ALL)
def test_layers_have_the_neighbours_of_the_crystal_that_ase_builds(systems: Systems, name: str) -> None:
    perfect, system = systems(name)
    rebuilt = as_bulk(layered_crystal(perfect, system))
    extra = {"c": perfect.c_angstrom} if perfect.structure == "hcp" else {}
    expected = bulk("Cu", perfect.structure, a=perfect.a_angstrom, **extra)
    found, wanted = (neighbor_list("d", atoms, 9.0) for atoms in (rebuilt, expected))
    per_atom, per_atom_expected = len(found) / len(rebuilt), len(wanted) / len(expected)
    assert per_atom == per_atom_expected
    np.testing.assert_allclose(np.sort(found)[:: len(rebuilt)], np.sort(wanted)[:: len(expected)], atol=1e-9)


@pytest.mark.parametrize("cut", ["wide", "narrow"])
@pytest.mark.parametrize("name", ALL)
def test_every_atom_of_a_stack_is_a_site_of_the_lattice(systems: Systems, name: str, cut: str) -> None:
    perfect, system = systems(name)
    layers = layered_crystal(perfect, system)
    positions, numbers = stack(layers, cut, 7, 8)
    to_crystal = frame(system, perfect).axes
    cartesian = (positions - positions[0]) @ to_crystal  # relative to one atom, in the crystal's axes
    sites = perfect.basis @ perfect.primitive_angstrom
    fits = []
    for origin in sites:  # which basis atom the first one is
        steps = (cartesian[:, None] + origin - sites[None]) @ np.linalg.inv(perfect.primitive_angstrom)
        fits.append((np.abs(steps - np.rint(steps)).max(axis=2) < 1e-6).any(axis=1).all())
    assert any(fits)
    assert sorted(set(numbers.tolist())) == list(range(-7, 8))
    assert (np.diff(positions[:, 2]) > -1e-9).all()


@pytest.mark.parametrize("name", ALL)
def test_the_cut_lies_half_way_between_its_planes(systems: Systems, name: str) -> None:
    positions, numbers = stack(layered_crystal(*systems(name)), "wide", 3, 3)
    below, above = positions[numbers == -1, 2], positions[numbers == 0, 2]
    assert below.max() == pytest.approx(-above.min())
    assert above.min() > 0


def test_the_prismatic_plane_has_a_wide_and_a_narrow_cut(systems: Systems) -> None:
    """(10-10): spacings a/√3 and a/(2√3), in a repeat of √3 a/2."""
    perfect, system = systems("hcp_prismatic")
    layers = layered_crystal(perfect, system)
    gaps = {}
    for cut in ("wide", "narrow"):
        positions, numbers = stack(layers, cut, 4, 4)
        gaps[cut] = positions[numbers == 0, 2].min() - positions[numbers == -1, 2].max()
    assert gaps["wide"] == pytest.approx(perfect.a_angstrom / np.sqrt(3))
    assert gaps["narrow"] == pytest.approx(perfect.a_angstrom / (2 * np.sqrt(3)))
    assert layers.repeat_angstrom[2] == pytest.approx(np.sqrt(3) / 2 * perfect.a_angstrom)


@pytest.mark.parametrize(
    ("name", "period_in_a", "spacing_in_a"),
    [
        ("fcc_111", (np.sqrt(1 / 2), np.sqrt(3 / 2)), np.sqrt(1 / 3)),
        ("bcc_110", (np.sqrt(3 / 4), np.sqrt(6)), np.sqrt(1 / 2)),
        ("bcc_112", (np.sqrt(3 / 4), np.sqrt(2)), np.sqrt(1 / 6)),
        ("hcp_basal", (1.0, np.sqrt(3)), 5.168 / 3.234 / 2),
        ("hcp_prismatic", (1.0, 5.168 / 3.234), None),
    ],
)
def test_periods_and_spacings(
    systems: Systems, name: str, period_in_a: tuple[float, float], spacing_in_a: float | None
) -> None:
    perfect, system = systems(name)
    layers = layered_crystal(perfect, system)
    np.testing.assert_allclose(layers.period_angstrom, perfect.a_angstrom * np.array(period_in_a), rtol=1e-9)
    if spacing_in_a is not None:
        np.testing.assert_allclose(layers.gaps_angstrom, perfect.a_angstrom * spacing_in_a, rtol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_rectangular_period_holds_as_many_points_as_its_area(systems: Systems, name: str) -> None:
    layers = layered_crystal(*systems(name))
    points = rectangular_points(layers)
    area = np.prod(layers.period_angstrom) / np.linalg.det(layers.in_plane_angstrom)
    assert len(points) == pytest.approx(area)
    np.testing.assert_allclose(points[0], 0.0)


def test_burgers_vector_of_a_general_direction_needs_a_rectangular_period() -> None:
    skewed = SlipSystemSettings(name="skewed", structure="hcp", plane=(1, 0, -1, 1), direction=(1, 1, -2, -3))
    with pytest.raises(SlipSystemError, match="perpendicular to the Burgers vector"):
        layered_crystal(crystal("hcp", 3.0, 5.03), slip_system(skewed))


def test_of_equal_spacings_the_same_one_is_cut_whatever_the_lattice_constants() -> None:
    """Above its A planes a basal crystal slips as the mirror image of what it does above its B planes."""
    basal = SlipSystemSettings(name="basal", structure="hcp", plane=(0, 0, 0, 1), direction=(2, -1, -1, 0))
    steps = []
    for c_angstrom in np.linspace(4.5, 5.5, 60):
        layers = layered_crystal(crystal("hcp", 3.2, c_angstrom), slip_system(basal))
        positions, numbers = stack(layers, "wide", 1, 1)
        across = (positions[numbers == 0] - positions[numbers == -1])[0, :2] @ np.linalg.inv(layers.in_plane_angstrom)
        steps.append(across % 1.0)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[0], (60, 2)), atol=1e-6)


def test_a_plane_of_high_indices_has_its_rectangular_period() -> None:
    """Third slip plane of bcc beside (110) and (112): the line [-7 5 -2] is nine primitive vectors long."""
    settings = SlipSystemSettings(name="bcc_134", structure="bcc", plane=(1, 3, 4), direction=(1, 1, -1))
    layers = layered_crystal(crystal("bcc", 3.0), slip_system(settings))
    assert layers.period_angstrom == pytest.approx([1.5 * np.sqrt(3), 3.0 * np.sqrt(78)])
    assert np.linalg.det(layers.in_plane_angstrom) * layers.repeat_angstrom[2] == pytest.approx(27.0 / 2)
    assert len(rectangular_points(layers)) * 27.0 / 2 == pytest.approx(
        layers.period_angstrom.prod() * layers.repeat_angstrom[2]
    )
