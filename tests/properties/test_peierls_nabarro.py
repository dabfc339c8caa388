from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from glideflow.config.peierls_nabarro import PeierlsNabarroSettings
from glideflow.config.slip_systems import BCC_110, FCC_111, HCP_PRISMATIC, SlipSystemSettings
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import frame, slip_system
from glideflow.crystals.symmetry import displacement_symmetry, grid_displacements
from glideflow.errors import PropertyError
from glideflow.properties.elastic import cubic_tensor, hexagonal_tensor
from glideflow.properties.fourier import FourierSurface, fit_fourier_surface
from glideflow.properties.peierls_nabarro import continuum_of, peierls_nabarro, plane_waves, row_spacing
from glideflow.properties.peierls_nabarro_results import PeierlsNabarroResult
from glideflow.properties.results import ElasticResult, GammaSurfaceResult, LatticeResult
from glideflow.storage import read_record, write_record
from glideflow.units import EV_PER_A2_TO_MJ_PER_M2, EV_PER_A3_TO_GPA

HCP_BASAL = SlipSystemSettings(name="hcp_basal", structure="hcp", plane=(0, 0, 0, 1), direction=(2, -1, -1, 0))
LINE_ONLY = PeierlsNabarroSettings(models=("line",), length_burgers=30)


def lattice_of(structure: str, a: float = 3.2) -> LatticeResult:
    return LatticeResult(
        structure=structure,
        a_angstrom=a,
        c_angstrom=1.6 * a if structure == "hcp" else None,
        energy_ev_per_atom=-3.0,
        residual_stress_gpa=0.0,
        cutoff_angstrom=6.0,
    )


def elastic_of(structure: str, factor: float = 1.0) -> ElasticResult:
    if structure == "hcp":
        tensor = hexagonal_tensor(141.0, 74.0, 44.0, 73.0, 168.0) * factor
    else:
        tensor = cubic_tensor(170.0, 122.5, 75.8) * factor
    nothing: dict[str, Any] = {"strain_amplitudes": np.zeros(0), "constants_by_amplitude_gpa": np.zeros((0, 3))}
    return ElasticResult(
        tensor_gpa=tensor,
        raw_tensor_gpa=tensor,
        c11_gpa=tensor[0, 0],
        c12_gpa=tensor[0, 1],
        c44_gpa=tensor[3, 3],
        c13_gpa=None,
        c33_gpa=None,
        fit_residual_gpa=0.0,
        strain_dependence=0.0,
        stability_eigenvalue_gpa=1.0,
        born_stable=True,
        bulk_modulus_gpa=100.0,
        shear_modulus_gpa=50.0,
        **nothing,
    )


def gamma_of(settings: SlipSystemSettings, lattice: LatticeResult, height: float = 900.0) -> GammaSurfaceResult:
    """A smooth γ surface with the symmetry of the slip system: Gaussian wells at the points of the plane lattice."""
    layers = layered_crystal(lattice.crystal, slip_system(settings))
    symmetry = displacement_symmetry(lattice.crystal, layers, "wide")
    points = grid_displacements(layers, (24, 24)).reshape(-1, 2)
    span = np.arange(-4, 5)
    sites = np.stack(np.meshgrid(span, span), axis=-1).reshape(-1, 2) @ layers.in_plane_angstrom
    distance = np.linalg.norm(points[:, None] - sites, axis=2) / layers.burgers_vector_angstrom
    wells = -np.exp(-((distance / 0.45) ** 2)).sum(axis=1)
    values = height * (wells - wells.min()) / np.ptp(wells)
    fit = fit_fourier_surface(points, values, layers.in_plane_angstrom, symmetry, 12)
    return gamma_record(settings, layers.period_angstrom, fit)


def on_a_grid(fit: FourierSurface, period: np.ndarray, shape: tuple[int, int] = (31, 31)) -> np.ndarray:
    shares = np.meshgrid(*[np.linspace(0, 1, points) for points in shape], indexing="ij")
    return fit(np.stack(shares, axis=-1).reshape(-1, 2) * period).reshape(shape)


def gamma_record(settings: SlipSystemSettings, period: np.ndarray, fit: FourierSurface) -> GammaSurfaceResult:
    empty = np.zeros((0, 0))
    return GammaSurfaceResult(
        slip_system=settings.name,
        label="",
        cut="wide",
        period_angstrom=period,
        x_angstrom=np.zeros(0),
        y_angstrom=np.zeros(0),
        gamma_mj_m2=on_a_grid(fit, period),
        opening_angstrom=empty,
        gamma_isf_mj_m2=None,
        gamma_usf_mj_m2=0.0,
        gamma_asf_mj_m2=None,
        gamma_max_mj_m2=0.0,
        path_vector_angstrom=np.zeros(2),
        path_fraction=np.zeros(0),
        path_mj_m2=np.zeros(0),
        fourier_wavevectors_per_angstrom=fit.wavevectors_per_angstrom,
        fourier_cosine_mj_m2=fit.cosine_mj_m2,
        fourier_sine_mj_m2=fit.sine_mj_m2,
        fourier_symmetry=fit.symmetry,
        fourier_residual_mj_m2=0.0,
        fourier_residual_low_mj_m2=0.0,
        symmetry_error_mj_m2=0.0,
        residual_force_ev_per_angstrom=0.0,
        unique_points=0,
    )


def computed(
    settings: SlipSystemSettings, options: PeierlsNabarroSettings, character: str = "edge"
) -> PeierlsNabarroResult:
    lattice = lattice_of(settings.structure)
    return peierls_nabarro(
        lattice,
        elastic_of(settings.structure),
        gamma_of(settings, lattice),
        slip_system(settings),
        options,
        character=character,
    )


@pytest.mark.parametrize(
    ("settings", "edge", "screw"),
    [
        (FCC_111, 1 / 2, np.sqrt(3) / 2),
        (BCC_110, 1 / 3, np.sqrt(8) / 3),
        (HCP_PRISMATIC, 1.0, 1.6),
        (HCP_BASAL, 1 / 2, np.sqrt(3) / 2),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_spacing_of_equivalent_rows(settings: SlipSystemSettings, edge: float, screw: float) -> None:
    layers = layered_crystal(lattice_of(settings.structure).crystal, slip_system(settings))
    b = layers.burgers_vector_angstrom
    assert row_spacing(layers, 0) == pytest.approx(edge * b)
    assert row_spacing(layers, 1) == pytest.approx(screw * b)


@pytest.mark.parametrize("settings", [FCC_111, BCC_110, HCP_PRISMATIC], ids=lambda settings: settings.name)
def test_plane_waves_are_the_fourier_representation(settings: SlipSystemSettings) -> None:
    gamma = gamma_of(settings, lattice_of(settings.structure))
    surface = FourierSurface(
        gamma.fourier_wavevectors_per_angstrom,
        gamma.fourier_cosine_mj_m2,
        gamma.fourier_sine_mj_m2,
        gamma.fourier_symmetry,
    )
    waves, cosine, sine = plane_waves(gamma, "fourier")
    points = np.random.default_rng(0).normal(size=(20, 2)) * 4
    phase = points @ waves.T
    np.testing.assert_allclose(np.cos(phase) @ cosine + np.sin(phase) @ sine, surface(points), atol=1e-9)


def test_every_model_of_every_structure_and_the_record_on_disk(tmp_path: Any) -> None:
    for settings in (FCC_111, BCC_110, HCP_PRISMATIC):
        result = computed(settings, PeierlsNabarroSettings(length_burgers=24))
        assert [model.model for model in result.models] == ["line", "surface", "gradient"]
        assert result.flags == ()
        for model in result.models:
            resolved = model.peierls_mpa > 3 * result.resolution_mpa
            assert model.flags == (() if resolved else ("below the resolution",))
            assert 0 < model.peierls_mpa < result.largest_slope_mpa
            assert model.forward_mpa == pytest.approx(model.reverse_mpa, rel=1e-4, abs=result.resolution_mpa)
            along = model.disregistry_angstrom[:, 0]
            assert (np.diff(along) > -1e-6).all()
            assert np.ptp(along) == pytest.approx(result.burgers_vector_angstrom, rel=0.1)
            assert np.abs(model.stress_mpa).max() <= model.forward_mpa + result.resolution_mpa
        surface, gradient = result.model("surface"), result.model("gradient")
        assert surface is not None
        assert gradient is not None
        assert result.peierls_mpa == surface.peierls_mpa
        assert gradient.width_angstrom > surface.width_angstrom
        assert gradient.peierls_mpa < surface.peierls_mpa
        write_record(tmp_path / "record.h5", result)
        again = read_record(tmp_path / "record.h5", PeierlsNabarroResult)
        np.testing.assert_array_equal(again.models[1].disregistry_angstrom, surface.disregistry_angstrom)


def test_stresses_scale_with_elastic_constants_and_gamma_together() -> None:
    """Twice the stiffness and twice γ: the same core, twice the stress. This is what units have to survive."""
    lattice, system = lattice_of("bcc"), slip_system(BCC_110)
    once = peierls_nabarro(lattice, elastic_of("bcc"), gamma_of(BCC_110, lattice), system, LINE_ONLY)
    twice = peierls_nabarro(lattice, elastic_of("bcc", 2.0), gamma_of(BCC_110, lattice, 1800.0), system, LINE_ONLY)
    assert twice.half_width_angstrom == pytest.approx(once.half_width_angstrom)
    assert twice.peierls_joos_duesbery_mpa == pytest.approx(2 * once.peierls_joos_duesbery_mpa)
    assert twice.models[0].peierls_mpa == pytest.approx(2 * once.models[0].peierls_mpa, rel=1e-6)
    assert twice.models[0].width_angstrom == pytest.approx(once.models[0].width_angstrom)


def test_stresses_scale_with_lengths() -> None:
    """Twice the lattice constant and twice γ: everything twice as wide, the same stress."""
    small, large = lattice_of("bcc", 2.8), lattice_of("bcc", 5.6)
    system = slip_system(BCC_110)
    first = peierls_nabarro(small, elastic_of("bcc"), gamma_of(BCC_110, small), system, LINE_ONLY)
    second = peierls_nabarro(large, elastic_of("bcc"), gamma_of(BCC_110, large, 1800.0), system, LINE_ONLY)
    assert second.models[0].width_angstrom == pytest.approx(2 * first.models[0].width_angstrom)
    assert second.models[0].peierls_mpa == pytest.approx(first.models[0].peierls_mpa, rel=1e-5)


@pytest.mark.parametrize("shape", [(31, 31), (24, 25)])
def test_the_waves_of_a_grid_go_through_every_point(shape: tuple[int, int]) -> None:
    """Of even and of odd numbers of points, smooth or not."""
    gamma = gamma_of(FCC_111, lattice_of("fcc"))
    values = np.random.default_rng(3).uniform(0, 900, shape)
    values[-1], values[:, -1] = values[0], values[:, 0]
    values[-1, -1] = values[0, 0]
    waves, cosine, sine = plane_waves(replace(gamma, gamma_mj_m2=values), "grid")
    shares = np.meshgrid(*[np.linspace(0, 1, points) for points in shape], indexing="ij")
    phase = np.stack(shares, axis=-1) * gamma.period_angstrom @ waves.T
    np.testing.assert_allclose(np.cos(phase) @ cosine + np.sin(phase) @ sine, values, atol=1e-9)


@pytest.mark.parametrize("settings", [FCC_111, BCC_110, HCP_PRISMATIC], ids=lambda settings: settings.name)
def test_a_grid_that_resolves_the_fit_gives_the_same_waves(settings: SlipSystemSettings) -> None:
    gamma = gamma_of(settings, lattice_of(settings.structure))
    points = np.random.default_rng(0).normal(size=(20, 2)) * 4
    fitted, gridded = (
        np.cos(points @ waves.T) @ cosine + np.sin(points @ waves.T) @ sine
        for waves, cosine, sine in (plane_waves(gamma, source) for source in ("fourier", "grid"))
    )
    np.testing.assert_allclose(gridded, fitted, atol=1e-6)


def test_the_grid_is_what_the_model_feels_if_so_asked() -> None:
    smooth, same = (computed(BCC_110, LINE_ONLY.model_copy(update={"gamma": source})) for source in ("fourier", "grid"))
    assert same.models[0].peierls_mpa == pytest.approx(smooth.models[0].peierls_mpa, rel=1e-4)
    lattice = lattice_of("bcc")
    gamma = gamma_of(BCC_110, lattice)
    along = np.cos(6 * np.pi * np.linspace(0, 1, 31))[:, None]  # a third harmonic, which rows b/3 apart feel
    rough = replace(gamma, gamma_mj_m2=gamma.gamma_mj_m2 + 20 * (1 - along))
    stresses = [
        peierls_nabarro(
            lattice,
            elastic_of("bcc"),
            rough,
            slip_system(BCC_110),
            LINE_ONLY.model_copy(update={"gamma": source}),
        )
        .models[0]
        .peierls_mpa
        for source in ("fourier", "grid")
    ]
    assert stresses[0] == pytest.approx(smooth.models[0].peierls_mpa)
    assert abs(stresses[1] / stresses[0] - 1) > 0.1


def test_the_largest_slope_in_megapascal() -> None:
    """dγ/dx by differences in mJ/m²/Å, which is 10 MPa."""
    lattice = lattice_of("bcc")
    gamma = gamma_of(BCC_110, lattice)
    result = computed(BCC_110, LINE_ONLY)
    waves, cosine, sine = plane_waves(gamma)
    x = np.linspace(0, result.burgers_vector_angstrom, 4001)
    phase = np.outer(x, waves[:, 0])
    line = np.cos(phase) @ cosine + np.sin(phase) @ sine
    assert result.largest_slope_mpa == pytest.approx(10 * np.gradient(line, x).max(), rel=1e-3)
    assert result.gamma_line_mj_m2 == pytest.approx(line.max() - line[0], rel=1e-4)


def test_the_array_is_long_enough() -> None:
    values = [
        computed(BCC_110, PeierlsNabarroSettings(models=("line",), length_burgers=length)).models[0].peierls_mpa
        for length in (30, 60)
    ]
    assert values[0] == pytest.approx(values[1], rel=0.05)


def test_fewer_nodes_make_a_larger_stress() -> None:
    values = [
        computed(BCC_110, PeierlsNabarroSettings(models=("line",), length_burgers=24, node_spacing=spacing))
        for spacing in (1 / 3, 0.5, 1.0)
    ]
    assert values[0].models[0].peierls_mpa == pytest.approx(computed(BCC_110, LINE_ONLY).models[0].peierls_mpa, rel=0.1)
    stresses = [value.models[0].peierls_mpa for value in values]
    assert stresses[0] < stresses[1] < stresses[2]


def test_a_screw_has_its_own_factor_and_rows() -> None:
    screw, edge = computed(FCC_111, LINE_ONLY, "screw"), computed(FCC_111, LINE_ONLY)
    assert screw.energy_factor_gpa == pytest.approx(np.sqrt(75.8 * (170.0 - 122.5) / 2), rel=1e-9)
    assert screw.node_spacing_angstrom == pytest.approx(np.sqrt(3) * edge.node_spacing_angstrom)
    assert screw.models[0].peierls_mpa > edge.models[0].peierls_mpa


def test_an_unstable_crystal_or_a_flat_plane_has_no_dislocation() -> None:
    lattice, system = lattice_of("bcc"), slip_system(BCC_110)
    unstable = replace(elastic_of("bcc"), tensor_gpa=cubic_tensor(100.0, 120.0, 75.8), born_stable=False)
    with pytest.raises(PropertyError, match="not positive"):
        peierls_nabarro(lattice, unstable, gamma_of(BCC_110, lattice), system, LINE_ONLY)
    with pytest.raises(PropertyError, match="rises by"):
        peierls_nabarro(lattice, elastic_of("bcc"), gamma_of(BCC_110, lattice, 0.0), system, LINE_ONLY)


def test_atomman_gives_the_same_energies() -> None:
    """Differences between cores of two widths, elastic and misfit, by atomman's SDVPN on the same constants and γ."""
    lattice, system = lattice_of("fcc"), slip_system(FCC_111)
    gamma, elastic = gamma_of(FCC_111, lattice), elastic_of("fcc")
    peer = _atomman_model(elastic, gamma, frame(system, lattice.crystal).axes)
    continuum = continuum_of(lattice, elastic, gamma, system, PeierlsNabarroSettings(), "edge")
    model, b = continuum.model("surface", 200), continuum.burgers_angstrom
    x = (np.arange(model.nodes) - model.nodes / 2) * continuum.spacing_angstrom
    near = np.abs(x) < 16 * b  # where the cores differ: atomman's cost is quadratic
    unit = continuum.energy_factor_gpa / EV_PER_A3_TO_GPA * b**2 * model.spacing[0]  # K b h in eV/Å
    unloaded, energies, elastic_part, misfit_part = np.zeros(1), [], [], []
    for width in (0.8 * b, 1.2 * b):
        core = _split_core(x, b, width)
        misfit = model.misfit(core[None] / b)[0].sum()
        energies.append([model.energy(core[None] / b, unloaded)[0][0] - misfit, misfit])
        theirs = np.stack([core[near, 0], 0 * core[near, 0], -core[near, 1]], axis=1)  # its third axis is x × z
        elastic_part.append(peer.elastic_energy(x[near], theirs))
        misfit_part.append(peer.misfit_energy(x[near], theirs))
    elastic_change, misfit_change = unit * np.diff(energies, axis=0)[0]
    assert elastic_change == pytest.approx(np.diff(elastic_part)[0], rel=4e-3)  # the images
    assert misfit_change == pytest.approx(np.diff(misfit_part)[0], rel=0.02)  # radial functions between its points


def _split_core(x: np.ndarray, b: float, width: float) -> np.ndarray:
    """Two partials of finite extent: farther out, nothing changes with their width."""
    parts = [0.5 + np.tanh((x - sign * 4 * b) / width) / 2 for sign in (-1, 1)]
    across = b / (2 * np.sqrt(3)) * (parts[0] - parts[1])
    return np.stack([b / 2 * (parts[0] + parts[1]), across], axis=1)


def _atomman_model(elastic: ElasticResult, gamma: GammaSurfaceResult, axes: np.ndarray) -> Any:
    """The same constants and γ surface, in eV and Å, as atomman takes them."""
    from atomman import ElasticConstants
    from atomman.defect import SDVPN, GammaSurface, Stroh

    share = np.linspace(0, 1, 31)
    along, across = np.meshgrid(share, share, indexing="ij")
    points = np.stack([along.ravel(), across.ravel()], axis=1) * gamma.period_angstrom
    waves, cosine, sine = plane_waves(gamma)
    values = np.cos(points @ waves.T) @ cosine + np.sin(points @ waves.T) @ sine
    surface = GammaSurface(
        a1vect=gamma.period_angstrom[0] * axes[0],
        a2vect=gamma.period_angstrom[1] * axes[1],
        a1=along.ravel(),
        a2=across.ravel(),
        E_gsf=values / EV_PER_A2_TO_MJ_PER_M2,
    )
    constants = ElasticConstants(Cij=elastic.tensor_gpa / EV_PER_A3_TO_GPA)
    line = Stroh(constants, burgers=gamma.period_angstrom[0] * axes[0], transform=axes, m=np.eye(3)[0], n=np.eye(3)[2])
    return SDVPN(volterra=line, gamma=surface)


def sinusoidal_gamma(height: float) -> GammaSurfaceResult:
    """γ = height sin²(π x/b) on {10-10} of hcp, whatever y, as a grid and as a Fourier representation."""
    layers = layered_crystal(lattice_of("hcp").crystal, slip_system(HCP_PRISMATIC))
    symmetry = displacement_symmetry(lattice_of("hcp").crystal, layers, "wide")
    waves = np.array([[0.0, 0.0], [2 * np.pi / layers.period_angstrom[0], 0.0]])
    fit = FourierSurface(waves, height / 2 * np.array([1.0, -1.0]), np.zeros(2), symmetry)
    return gamma_record(HCP_PRISMATIC, layers.period_angstrom, fit)


@pytest.mark.parametrize("source", ["grid", "fourier"])
@pytest.mark.parametrize(("height", "wide"), [(60.0, True), (2e5, False)])
def test_limits_of_joos_and_duesbery_for_a_sinusoid_with_either_source_of_gamma(
    source: Any, height: float, wide: bool
) -> None:
    """Wide cores (K b/a) exp(-2πζ/a), narrow ones (3√3/8) τ_max a/(πζ); ζ = K b/(4π τ_max), τ_max = π height/b."""
    options = PeierlsNabarroSettings(models=(), gamma=source)
    lattice, elastic = lattice_of("hcp"), elastic_of("hcp")
    result = peierls_nabarro(lattice, elastic, sinusoidal_gamma(height), slip_system(HCP_PRISMATIC), options)
    b, spacing, factor = result.burgers_vector_angstrom, result.node_spacing_angstrom, result.energy_factor_gpa
    largest = np.pi * height / b / 100  # GPa
    zeta = factor * b / (4 * np.pi * largest)
    limit = factor * b / spacing * np.exp(-2 * np.pi * zeta / spacing)
    if not wide:
        limit = 3 * np.sqrt(3) / 8 * largest * spacing / (np.pi * zeta)
    assert result.gamma_line_mj_m2 == pytest.approx(height, rel=1e-9)
    assert result.half_width_angstrom == pytest.approx(zeta, rel=1e-4)
    assert result.peierls_joos_duesbery_mpa == pytest.approx(result.peierls_sinusoidal_mpa, rel=1e-3)
    assert result.peierls_sinusoidal_mpa == pytest.approx(1e3 * limit, rel=1e-3)


def test_both_sources_of_a_sinusoid_are_one_core() -> None:
    stresses = []
    for source in ("grid", "fourier"):
        options = PeierlsNabarroSettings(length_burgers=30, gamma=source)  # type: ignore[arg-type]  # a literal
        given = (lattice_of("hcp"), elastic_of("hcp"), sinusoidal_gamma(600.0), slip_system(HCP_PRISMATIC))
        stresses.append([model.peierls_mpa for model in peierls_nabarro(*given, options).models])
    np.testing.assert_allclose(stresses[0], stresses[1], rtol=1e-6)


def rough(gamma: GammaSurfaceResult) -> GammaSurfaceResult:
    """A γ surface with two kinks along b, as the range of a first-neighbour potential makes them."""
    share = np.linspace(0, 1, 31)
    along = 3000 * (1 - np.abs(2 * share - 1))
    return replace(gamma, gamma_mj_m2=gamma.gamma_mj_m2 + along[:, None])


def test_a_core_that_was_not_seen_to_glide_has_a_bound_that_says_so() -> None:
    lattice = lattice_of("fcc")
    given = (lattice, elastic_of("fcc"), rough(gamma_of(FCC_111, lattice)), slip_system(FCC_111))
    short, whole = (
        peierls_nabarro(*given, PeierlsNabarroSettings(models=("line",), length_burgers=24, max_solves=limit))
        for limit in (200, 20_000)
    )
    assert short.flags == ("line: not seen to glide, the stress is a lower bound",)
    assert short.models[0].flags == ("not seen to glide", "limit of linear systems reached")
    assert whole.flags == ()
    assert 0 <= short.models[0].peierls_mpa < whole.models[0].peierls_mpa < whole.largest_slope_mpa
    assert short.models[0].solves < whole.models[0].solves


def test_waves_in_single_precision_are_put_back_on_their_lattice() -> None:
    """Published libraries keep the wave vectors so: γ must still repeat after one Burgers vector."""
    gamma = gamma_of(FCC_111, lattice_of("fcc"))
    single = gamma.fourier_wavevectors_per_angstrom.astype(np.float32)
    waves, _, _ = plane_waves(replace(gamma, fourier_wavevectors_per_angstrom=single), "fourier")
    turns = waves * gamma.period_angstrom / (2 * np.pi)
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-12)
