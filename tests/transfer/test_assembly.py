"""Data sets from the shipped library: tensors against closed forms, γ against what was computed between its points."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from glideflow import strength_library
from glideflow.config.slip_systems import BCC_110, FCC_111, HCP_PRISMATIC, SlipSystemSettings
from glideflow.config.transfer import TransferDataSettings
from glideflow.crystals.lattices import crystal
from glideflow.crystals.slip_systems import frame, slip_system
from glideflow.errors import ConfigurationError
from glideflow.properties.anisotropic_line import energy_tensor, stiffness_tensor
from glideflow.properties.peierls_nabarro_results import PeierlsNabarroResult
from glideflow.properties.results import ElasticResult, GammaSurfaceResult
from glideflow.quality_flags import NOT_FIRST
from glideflow.records import LibraryEntry
from glideflow.transfer.assembly import (
    assemble,
    elastic_features_gpa,
    framed_stiffness_gpa,
    interpolated,
    shear_modulus_gpa,
    source_kind,
)
from glideflow.transfer.dataset import ELASTIC_NAMES, TransferDataset
from glideflow.transfer.features import landmarks

C11, C12, C44 = 168.0, 121.0, 75.0
HCP = {"c11": 63.5, "c12": 25.9, "c13": 21.7, "c33": 66.5, "c44": 18.4}


def cubic() -> np.ndarray:
    tensor = np.diag([C11 - C12] * 3 + [C44] * 3)
    tensor[:3, :3] += C12
    return tensor


def hexagonal() -> np.ndarray:
    tensor = np.zeros((6, 6))
    tensor[:2, :2] = HCP["c12"]
    tensor[0, 0] = tensor[1, 1] = HCP["c11"]
    tensor[2, 2] = HCP["c33"]
    tensor[:2, 2] = tensor[2, :2] = HCP["c13"]
    tensor[3, 3] = tensor[4, 4] = HCP["c44"]
    tensor[5, 5] = (HCP["c11"] - HCP["c12"]) / 2
    return tensor


def framed(tensor: np.ndarray, settings: SlipSystemSettings) -> np.ndarray:
    template = next(iter(strength_library.load().entries)).stage("elastic")
    assert template is not None
    assert isinstance(template.result, ElasticResult)
    axes = frame(slip_system(settings), crystal(settings.structure, 3.0)).axes
    return framed_stiffness_gpa(replace(template.result, tensor_gpa=tensor), axes)


ALONG_111 = (C11 + 2 * C12 + 4 * C44) / 3
ALONG_110 = (C11 + C12 + 2 * C44) / 2
SHEAR_111 = (C11 - C12 + C44) / 3
ACROSS = (C11 + 2 * C12 - 2 * C44) / 3
CLOSED_FORMS = {
    # Textbook moduli of cubic crystals along <110> and <111>; C66 of fcc is shear of (1-10) along [11-2].
    "fcc": (FCC_111, cubic(), (ALONG_110, ACROSS, ALONG_111, SHEAR_111, SHEAR_111, (C11 - C12 + 4 * C44) / 6)),
    "bcc": (BCC_110, cubic(), (ALONG_111, ACROSS, ALONG_110, None, SHEAR_111, SHEAR_111)),
    "hcp": (
        HCP_PRISMATIC,
        hexagonal(),
        (HCP["c11"], HCP["c12"], HCP["c11"], HCP["c44"], (HCP["c11"] - HCP["c12"]) / 2, HCP["c44"]),
    ),
}


@pytest.mark.parametrize("structure", CLOSED_FORMS)
def test_elastic_features_are_the_moduli_of_the_slip_system(structure: str) -> None:
    settings, tensor, expected = CLOSED_FORMS[structure]
    features = elastic_features_gpa(framed(tensor, settings))
    for name, found, known in zip(ELASTIC_NAMES, features, expected, strict=True):
        if known is not None:
            assert found == pytest.approx(known, rel=1e-12), name
    assert shear_modulus_gpa(framed(tensor, settings)) == pytest.approx(features[4], rel=1e-12)


@pytest.mark.parametrize("structure", CLOSED_FORMS)
def test_what_the_features_leave_out_does_not_act_on_the_line(structure: str) -> None:
    settings, tensor, _ = CLOSED_FORMS[structure]
    stiffness = framed(tensor, settings)
    x, _, z = np.eye(3)
    before = energy_tensor(stiffness_tensor(stiffness), x, z)
    for other in range(6):  # C_i2: stress or strain along the line
        changed = stiffness.copy()
        changed[1, other] = changed[other, 1] = 1.3 * stiffness[1, other] + 1
        np.testing.assert_allclose(energy_tensor(stiffness_tensor(changed), x, z), before, rtol=1e-12, atol=1e-12)
    for index in (0, 2, 4):
        changed = stiffness.copy()
        changed[index, index] *= 1.1
        assert energy_tensor(stiffness_tensor(changed), x, z)[0, 0] > before[0, 0] * 1.001


@pytest.mark.parametrize("structure", ["fcc", "bcc", "hcp"])
def test_the_features_decide_the_rest_by_symmetry(structure: str) -> None:
    """All that enters Stroh's matrices is a linear function of the six, the same for every crystal of the structure."""
    settings, tensor, _ = CLOSED_FORMS[structure]
    generator = np.random.default_rng(0)
    kept = np.ix_([0, 2, 3, 4, 5], [0, 2, 3, 4, 5])
    features, blocks = [], []
    for _ in range(12):
        varied = _varied(tensor, structure, generator)
        stiffness = framed(varied, settings)
        features.append(elastic_features_gpa(stiffness))
        blocks.append(stiffness[kept].ravel())
    fitted = np.array(features) @ np.linalg.lstsq(np.array(features), np.array(blocks), rcond=1e-10)[0]
    np.testing.assert_allclose(fitted, np.array(blocks), atol=1e-8)


def _varied(tensor: np.ndarray, structure: str, generator: np.random.Generator) -> np.ndarray:
    """Another crystal with the same symmetry."""
    if structure != "hcp":
        c11, c12, c44 = np.array([C11, C12, C44]) * generator.uniform(0.8, 1.2, 3)
        varied = np.diag([c11 - c12] * 3 + [c44] * 3)
        varied[:3, :3] += c12
        return varied
    varied = tensor * generator.uniform(0.8, 1.2)
    varied[3, 3] = varied[4, 4] = generator.uniform(15, 22)
    varied[2, 2] = generator.uniform(60, 70)
    return varied


def test_energy_factor_of_a_prismatic_edge_is_that_of_the_isotropic_basal_plane(shipped: TransferDataset) -> None:
    hcp = shipped.select(np.array(shipped.structures) == "hcp")
    c11, c13, _, _, c55, _ = hcp.elastic_gpa.T  # in the frame: C11, C12 and C66 of the crystal
    np.testing.assert_allclose(hcp.energy_factor_gpa, c55 * (c11 + c13) / c11, rtol=1e-9)
    np.testing.assert_allclose(hcp.shear_modulus_gpa, (c11 - c13) / 2, rtol=1e-9)


def test_closed_forms_follow_from_the_samples_own_numbers(shipped: TransferDataset) -> None:
    """The sinusoid of γ's height along b, by hand: ζ = K b/(4π τ), τ = π h/b, and the limit of wide cores."""
    b, spacing, factor = shipped.burgers_angstrom, shipped.node_spacing_angstrom, shipped.energy_factor_gpa
    height_gpa_angstrom = landmarks(shipped).line_mj_m2 / 100
    zeta = factor * b**2 / (4 * np.pi**2 * height_gpa_angstrom)
    # The stage takes γ along b from the smooth fit of the record, which lies some per cent beside a γ with kinks.
    deviation = np.abs(shipped.peierls_nabarro_width_angstrom[:, 0] / (2 * zeta) - 1)
    assert np.quantile(deviation, 0.95) < 0.05
    assert deviation.max() < 0.1
    wide = 1e3 * factor * b / spacing * np.exp(-2 * np.pi * zeta / spacing)
    chosen = zeta > spacing
    assert chosen.sum() > 10
    difference = np.abs(np.log10(shipped.peierls_nabarro_mpa[:, 0] / wide))
    assert np.all(difference[chosen] < 0.05 + deviation.max() * (2 * np.pi * zeta / spacing / np.log(10))[chosen])


def test_semidiscrete_stresses_are_those_of_the_records(shipped: TransferDataset) -> None:
    compared = 0
    for entry in strength_library.load().entries:
        stage = entry.stage("peierls_nabarro")
        if entry.potential.id not in shipped.potential_ids or stage is None or stage.result is None:
            continue
        assert isinstance(stage.result, PeierlsNabarroResult)
        number = shipped.potential_ids.index(entry.potential.id)
        known = stage.result.model("surface")
        if known is not None:
            assert shipped.peierls_nabarro("surface")[number] == known.peierls_mpa
            compared += 1
    assert compared >= 5
    assert not np.isinf(shipped.peierls_nabarro_mpa).any()


def surface(function: object, points: int = 31) -> GammaSurfaceResult:
    """A record with an invented γ on its grid and on its path."""
    entry = next(entry for entry in strength_library.load().entries if entry.potential.structure == "fcc")
    stage = entry.stage("gamma_surface")
    assert stage is not None
    assert isinstance(stage.result, GammaSurfaceResult)
    result = stage.result
    grid = np.linspace(0, 1, points)
    path = result.path_fraction[:, None] * result.path_vector_angstrom / result.period_angstrom
    return replace(
        result,
        gamma_mj_m2=function(grid[:, None], grid[None, :]),  # type: ignore[operator]
        path_mj_m2=function(path[:, 0], path[:, 1]),  # type: ignore[operator]
    )


def smooth(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 200 * (2 - np.cos(2 * np.pi * x) - np.cos(2 * np.pi * (x + 2 * y)) * np.cos(4 * np.pi * y))


def kinked(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 100 * np.abs(np.sin(np.pi * x)) + 100 * np.abs(np.sin(np.pi * y))


@pytest.mark.parametrize("points", [17, 31])
def test_smooth_surfaces_are_interpolated_exactly(points: int) -> None:
    values, error = interpolated(surface(smooth, points))
    grid = np.arange(31) / 31
    np.testing.assert_allclose(values, smooth(grid[:, None], grid[None, :]), atol=1e-9)
    assert error < (0.01 if points == 31 else 1.0)  # that of the spline that it is compared with


def test_the_stated_error_of_a_kinked_surface_covers_the_true_one() -> None:
    values, error = interpolated(surface(kinked))
    grid = np.arange(31) / 31
    true = np.abs(values - kinked(grid[:, None], grid[None, :])).max()
    assert 0.1 < true < error < 10 * true


def test_grid_points_that_both_grids_have_are_kept(shipped: TransferDataset) -> None:
    assert np.abs(shipped.gamma_mj_m2[:, 0, 0]).max() < 1e-6  # the perfect crystal
    assert shipped.gamma_mj_m2.shape[1:] == (31, 31)


def test_every_potential_is_in_or_named(shipped: TransferDataset) -> None:
    library = strength_library.load()
    assert sorted((*shipped.potential_ids, *shipped.omitted_ids)) == sorted(e.potential.id for e in library.entries)
    assert all(shipped.omitted_reasons)
    assert shipped.library_sha256


def test_copies_come_in_only_if_asked_for() -> None:
    library = strength_library.load()
    one = assemble(library, TransferDataSettings(), ["fcc"])
    pairs = Counter(zip(one.families, one.elements, strict=True))
    assert max(pairs.values()) == 1
    everything = assemble(library, TransferDataSettings(one_per_family=False), ["fcc"])
    assert len(everything) > len(one)
    copies = set(everything.potential_ids) - set(one.potential_ids)
    reasons = dict(zip(one.omitted_ids, one.omitted_reasons, strict=True))
    assert all(reasons[name].startswith("near-copy or relative of") for name in copies)


def test_flags_and_sources_exclude_by_name() -> None:
    library = strength_library.load()
    flag = "core rearranges under load"
    fewer = assemble(library, TransferDataSettings(exclude_flags=(flag,)), ["fcc"])
    assert not any(flag in flags for flags in fewer.flags)
    assert f"flagged: {flag}" in fewer.omitted_reasons
    empirical = assemble(library, TransferDataSettings(sources=("EAM/MEAM",)), ["fcc"])
    assert set(empirical.sources) == {"EAM/MEAM"}


def test_what_does_not_exist_is_refused() -> None:
    library = strength_library.load()
    with pytest.raises(ConfigurationError, match="'soft' is unknown"):
        assemble(library, TransferDataSettings(exclude_flags=("soft",)))
    with pytest.raises(ConfigurationError, match="'fcc_113'"):
        assemble(library, TransferDataSettings(slip_systems=("fcc_113",)))
    bare = replace(library, entries=tuple(_without_stress(entry) for entry in library.entries))
    with pytest.raises(ConfigurationError, match="no sample"):
        assemble(bare, TransferDataSettings(), ["hcp"])


def test_without_a_stress_samples_can_still_be_predicted() -> None:
    library = strength_library.load()
    fcc = replace(library, entries=tuple(_without_stress(entry) for entry in library.entries))
    found = assemble(fcc, TransferDataSettings(), ["bcc"], with_stress=False)
    assert len(found) > 8
    assert np.isnan(found.peierls_mpa).all()
    assert not found.is_upper_bound.any()


def _without_stress(entry: LibraryEntry) -> LibraryEntry:
    return dataclasses.replace(entry, stages=tuple(s for s in entry.stages if s.property != "peierls_stress"))


def test_a_copy_stands_in_for_a_first_potential_without_a_stress() -> None:
    library = strength_library.load()
    copies = [entry for entry in library.entries if NOT_FIRST in entry.flags and entry.potential.element == "Cu"]
    stripped = {entry.family_computed for entry in copies}
    entries = tuple(
        _without_stress(entry) if entry.family_computed in stripped and NOT_FIRST not in entry.flags else entry
        for entry in library.entries
    )
    found = assemble(replace(library, entries=entries), TransferDataSettings(), ["fcc"])
    assert {entry.potential.id for entry in copies} & set(found.potential_ids)


@pytest.mark.parametrize(
    ("engine", "style", "kind"),
    [
        ("lammps", "eam/alloy", "EAM/MEAM"),
        ("lammps", "meam/spline", "EAM/MEAM"),
        ("lammps", "hybrid/overlay zbl 4 4.8 snap", "machine-learned"),
        ("lammps", "pace product", "machine-learned"),
        ("nep", "", "machine-learned"),
        ("ase", "", "other"),
    ],
)
def test_kinds_of_sources(engine: str, style: str, kind: str) -> None:
    assert source_kind(engine, style) == kind
