"""Solved cores: closed forms, units, keys, and the file that ships with the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glideflow.errors import StorageError
from glideflow.properties.peierls_nabarro_closed import half_width, joos_duesbery_stress
from glideflow.transfer import core_solutions as module
from glideflow.transfer.core_solutions import (
    STUDIES,
    core_key,
    core_solutions,
    part_of,
    read_core_solutions,
    solved_cores,
    study_model,
    write_core_solutions,
)
from glideflow.transfer.dataset import TransferDataset

Invented = Callable[..., TransferDataset]
ROWS, QUARTER, LAYER, STAGGERED, _, PLANE_LAYER = STUDIES


def test_each_study_has_rows_of_its_own() -> None:
    parts = [part_of(study) for study in STUDIES]
    assert [part.stop - part.start for part in parts] == [len(study.factors) for study in STUDIES]
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]


def test_misfit_of_a_study_is_the_row_of_the_image(invented: Invented) -> None:
    dataset = invented(3)
    model = study_model(dataset, 2, ROWS)
    unit = dataset.energy_factor_gpa[2] * dataset.burgers_angstrom[2] * 100
    at = np.arange(31) / 31
    found = model.misfit(np.tile(at[None, :, None], (model.size, 1, 1)))[0]
    np.testing.assert_allclose(found * unit, np.tile(dataset.gamma_mj_m2[2][:, 0], (model.size, 1)), atol=1e-9)


def test_misfit_in_the_plane_is_the_image(shipped: TransferDataset) -> None:
    """Apart from the waves below 2e-4 of the largest, of which there are hundreds."""
    index = shipped.structures.index("fcc")
    model = study_model(shipped, index, PLANE_LAYER)
    unit = shipped.energy_factor_gpa[index] * shipped.burgers_angstrom[index] * 100
    generator = np.random.default_rng(0)
    at = generator.integers(0, 31, (20, 2))
    cell = shipped.cell_angstrom[index] / shipped.burgers_angstrom[index]
    found = model.misfit(np.tile((at / 31 * cell)[None], (model.size, 1, 1)))[0][0] * unit
    image = shipped.gamma_mj_m2[index]
    np.testing.assert_allclose(found, image[at[:, 0], at[:, 1]], atol=0.01 * image.max())


def test_layers_and_rows_of_the_studies(invented: Invented) -> None:
    """A whole layer has the coefficient Q d/4 of `Continuum.model`, a quarter a quarter; staggered rows lie closer."""
    dataset = invented(1)
    whole, quarter, staggered = (study_model(dataset, 0, study) for study in (LAYER, QUARTER, STAGGERED))
    np.testing.assert_allclose(whole.gradient, 3.0 / 1.5 * 0.8 / 4)
    np.testing.assert_allclose(quarter.gradient * 4, whole.gradient)
    np.testing.assert_allclose(staggered.spacing, 0.25)
    assert staggered.nodes == 2 * whole.nodes


def test_a_sinusoidal_surface_gives_the_closed_form(invented: Invented) -> None:
    """Where ζ/a = 1 the nodes pin a relaxed core more than the rigid one of Joós and Duesbery, by less than e^1.5; both
    fall by orders of magnitude over the factors."""
    dataset = invented(1)
    unit = dataset.energy_factor_gpa * dataset.burgers_angstrom * 100
    wanted = 1 / (4 * np.pi * 0.5) * unit / np.pi  # height that gives ζ = b/2, one row spacing
    scale = (wanted / (dataset.gamma_mj_m2[:, :, 0].max(axis=1)))[:, None, None]
    dataset = replace(dataset, gamma_mj_m2=dataset.gamma_mj_m2 * scale)
    found = core_solutions(dataset, np.array([0]))[0, part_of(ROWS), 0]
    factors = np.array(ROWS.factors)
    zeta = half_width(factors, 1.0, 1 / (4 * np.pi * 0.5))
    expected = joos_duesbery_stress(factors, 1.0, zeta, 0.5)
    assert expected[0] / expected[-1] > 100
    assert np.all(found > expected)
    assert np.all(found < np.exp(1.5) * expected)


def test_cores_have_no_units(invented: Invented) -> None:
    dataset = invented(1)
    stiffer = replace(
        dataset,
        **{  # type: ignore[arg-type]  # names of fields with such arrays
            name: getattr(dataset, name) * 3
            for name in ("energy_tensor_gpa", "energy_factor_gpa", "layer_stiffness_gpa", "gamma_mj_m2")
        },
    )
    first, second = core_solutions(dataset, np.array([0])), core_solutions(stiffer, np.array([0]))
    assert core_key(dataset, 0) != core_key(stiffer, 0)
    np.testing.assert_allclose(second, first, rtol=1e-5, atol=1e-12)


def test_only_what_decides_the_cores_is_in_the_key(invented: Invented) -> None:
    dataset = invented(2)
    noise = 1 + 1e-13 * np.random.default_rng(0).normal(size=dataset.gamma_mj_m2.shape)
    same = replace(
        dataset,
        gamma_mj_m2=dataset.gamma_mj_m2 * noise,
        peierls_mpa=dataset.peierls_mpa * 2,
        elements=("W", "W"),
        peierls_nabarro_mpa=dataset.peierls_nabarro_mpa * np.nan,
    )
    other = replace(dataset, gamma_mj_m2=dataset.gamma_mj_m2 * 1.001)
    assert core_key(dataset, 0) == core_key(same, 0)
    assert len({core_key(each, k) for each in (dataset, other) for k in (0, 1)}) == 4


def test_known_cores_are_not_solved_again(invented: Invented, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = invented(2)
    solved = {core_key(dataset, k): np.full((60, 3), 0.5 + k) for k in (0, 1)}
    write_core_solutions(tmp_path / "cores.safetensors", solved)
    monkeypatch.setattr(module, "solved_cores", None)
    found = core_solutions(dataset, np.array([1, 0]), known=read_core_solutions(tmp_path / "cores.safetensors"))
    np.testing.assert_array_equal(found[:, 0, 0], [1.5, 0.5])


def test_some_studies_are_solved_as_with_the_others(invented: Invented) -> None:
    dataset = invented(1)
    some = core_solutions(dataset, np.array([0]), studies=(QUARTER, STAGGERED))[0]
    every = core_solutions(dataset, np.array([0]))[0]
    np.testing.assert_array_equal(some[part_of(STAGGERED, (QUARTER, STAGGERED))], every[part_of(STAGGERED)])
    np.testing.assert_array_equal(some[: len(QUARTER.factors)], every[part_of(QUARTER)])


def test_another_file_is_refused(tmp_path: Path) -> None:
    from glideflow.tensor_files import write_tensors

    write_tensors(tmp_path / "other.safetensors", {"keys": np.zeros(3)}, {})
    with pytest.raises(StorageError, match="no solved cores"):
        read_core_solutions(tmp_path / "other.safetensors")


def test_every_sample_of_the_shipped_library_comes_with_its_cores(shipped: TransferDataset) -> None:
    """Or every process would solve them again; scripts/core_solutions.py writes the file anew."""
    known = module._shipped()
    missing = [name for k, name in enumerate(shipped.potential_ids) if core_key(shipped, k) not in known]
    assert missing == []


def test_shipped_cores_are_those_of_the_present_solver(shipped: TransferDataset) -> None:
    """Where γ is smooth; kinks and folds of rough surfaces make a core one of several."""
    index = shipped.potential_ids.index("Cu_2001Mishin_Cu_eam-alloy")
    fresh = solved_cores(shipped, index)
    kept = core_solutions(shipped, np.array([index]))[0]
    strong = fresh[:, 0] > 1e-6
    assert strong.any()
    np.testing.assert_allclose(kept[strong], fresh[strong], rtol=1e-2)
