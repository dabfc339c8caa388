from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from glideflow import strength_library
from glideflow.properties.results import GammaSurfaceResult
from glideflow.transfer.augmentation import augmented
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.features import (
    elastic_scaled,
    gamma_scaled,
    joined,
    landmarks,
    peierls_nabarro_log10,
    scalars,
)

Invented = Callable[..., TransferDataset]


def test_landmarks_are_the_faults_that_were_computed(shipped: TransferDataset) -> None:
    """The library computes isf and usf at their own displacements; here they are read off the common grid.

    A γ surface with kinks has more than its grid shows, so that one in twenty may differ by more than the error stated.
    """
    found, agree = landmarks(shipped), []
    for entry in strength_library.load().entries:
        stage = entry.stage("gamma_surface")
        if entry.potential.id not in shipped.potential_ids or stage is None:
            continue
        gamma = stage.result
        assert isinstance(gamma, GammaSurfaceResult)
        number = shipped.potential_ids.index(entry.potential.id)
        allowed = 2 * shipped.gamma_error_mj_m2[number] + 0.3
        assert found.maximum_mj_m2[number] <= gamma.gamma_max_mj_m2 * 1.02 + allowed
        usf = gamma.gamma_usf_mj_m2
        if gamma.gamma_isf_mj_m2 is None:
            agree.append(abs(found.line_mj_m2[number] - usf) <= allowed)
        else:
            fault = abs(found.fault_mj_m2[number] - gamma.gamma_isf_mj_m2) <= allowed
            agree.append(fault and abs(found.barrier_mj_m2[number] - usf) <= allowed + 0.01 * usf)
    assert len(agree) >= 50
    assert np.mean(agree) >= 0.95


def test_slope_of_a_sinusoid(invented: Invented) -> None:
    """γ = h/2 (1 - cos 2πx/b) along b: π h/b, and 1 GPa·Å = 100 mJ/m²."""
    dataset = invented(4)
    found = landmarks(dataset)
    expected = np.pi * found.line_mj_m2 / dataset.burgers_angstrom / 100
    np.testing.assert_allclose(found.slope_gpa, expected, rtol=2e-3)
    np.testing.assert_allclose(found.barrier_mj_m2, found.line_mj_m2, rtol=1e-4)


def test_scaled_inputs_have_no_units(invented: Invented) -> None:
    """All stresses and γ twice as large, all lengths half as long: what has no unit stays."""
    before = invented(4)
    stresses = ("elastic_gpa", "stiffness_gpa", "energy_tensor_gpa", "energy_factor_gpa", "shear_modulus_gpa")
    lengths = ("cell_angstrom", "burgers_angstrom", "plane_spacing_angstrom", "node_spacing_angstrom")
    after = replace(
        before,
        **{name: 2 * getattr(before, name) for name in stresses},
        **{name: getattr(before, name) / 2 for name in lengths},
    )
    np.testing.assert_allclose(elastic_scaled(after), elastic_scaled(before))
    np.testing.assert_allclose(gamma_scaled(after), gamma_scaled(before))
    kept = [k for k, name in enumerate(scalars(before).names) if name != "log10 shear modulus (GPa)"]
    # γ/(μ b) is the same, γ/b over μ is not: the slope of the same γ over half the length.
    kept = [k for k in kept if "slope" not in scalars(before).names[k]]
    np.testing.assert_allclose(scalars(after).values[:, kept], scalars(before).values[:, kept])


def test_scalars_do_not_depend_on_the_description(shipped: TransferDataset) -> None:
    own = shipped.select(np.arange(0, len(shipped), 9))
    copies = augmented(own, np.arange(len(own)), copies=2, seed=5)
    before = np.concatenate([scalars(own).values, np.repeat(scalars(own).values, 2, axis=0)])
    assert np.abs(scalars(copies).values - before).max() < 0.02


def test_every_scalar_is_finite_and_named(shipped: TransferDataset) -> None:
    found = joined(scalars(shipped), peierls_nabarro_log10(shipped, 0.1))
    assert found.values.shape == (len(shipped), len(found.names))
    assert np.isfinite(found.values).all()
    assert len(set(found.names)) == len(found.names)


def test_the_closed_form_stands_in_for_a_model_without_a_number(invented: Invented) -> None:
    dataset = invented(3)
    stresses = np.array([[9.0, 4.0, 2.0, np.nan, 0.001]] * 3)
    found = peierls_nabarro_log10(replace(dataset, peierls_nabarro_mpa=stresses), floor_mpa=0.1)
    np.testing.assert_allclose(10 ** found.values[0], [9.0, 4.0, 2.0, 4.0, 0.1])
