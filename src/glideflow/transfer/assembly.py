"""Data sets from a strength library: which potentials take part, and what of their records goes in."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from glideflow import __version__
from glideflow.config.peierls_nabarro import PeierlsNabarroSettings
from glideflow.config.slip_systems import PRIMARY_SLIP_SYSTEMS, SlipSystemSettings
from glideflow.config.transfer import TransferDataSettings
from glideflow.crystals.lattices import FloatArray
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import SlipSystem, slip_system
from glideflow.errors import ConfigurationError, GlideflowError
from glideflow.properties.anisotropic_line import rotated, stiffness_tensor
from glideflow.properties.elastic import VOIGT
from glideflow.properties.peierls_nabarro import continuum_of, peierls_nabarro
from glideflow.properties.peierls_nabarro_results import PeierlsNabarroResult
from glideflow.properties.peierls_paper_results import GLIDED, REFERENCE, SIZE_S, PeierlsPaperResult
from glideflow.properties.peierls_series_results import PeierlsSeriesResult
from glideflow.properties.results import (
    ElasticResult,
    GammaSurfaceResult,
    LatticeResult,
    PeierlsStressResult,
)
from glideflow.records import Library, LibraryEntry, StageRecord
from glideflow.shipped_data import shipped_file
from glideflow.strength_library import SHIPPED, load, select
from glideflow.transfer.dataset import ELASTIC_NAMES, EMPIRICAL, GRID_POINTS, MACHINE_LEARNED, OTHER, TransferDataset
from glideflow.transfer.periodic import grid_fractions, resampled, values_at

CLOSED_FORMS = ("sinusoidal", "joos_duesbery")
MODELS = (*CLOSED_FORMS, "line", "surface", "gradient")
"""Continuum models of a data set, as `glideflow.properties.peierls_nabarro` names them."""
_SEMIDISCRETE = MODELS[len(CLOSED_FORMS) :]
ModelValues = tuple[float, float, float]
"""Stress in MPa, width and separation of the partials in Å."""
STRUCTURES = ("fcc", "bcc", "hcp")
JOINT = "joint"
CHARACTER = "edge"
_PROPERTY_OF_PROTOCOL = {
    "reference": "peierls_stress",
    "series": "peierls_series",
    "paper": "peierls_paper",
    "size_s": "peierls_paper",
}
_NO_BOUND = {"is_upper_bound": False}
_LEARNED_STYLES = frozenset(
    {"allegro", "mace", "mliap", "mtp", "nep", "pace", "pod", "quip", "snap", "symmetrix", "uf3"}
)


class _OmittedError(Exception):
    """A potential cannot be a sample, and why."""


def group_dataset(group: str, settings: TransferDataSettings, library: Path | None = None) -> TransferDataset:
    """The data set of a structure, or of all.

    Args:
        group: ``fcc``, ``bcc``, ``hcp`` or ``joint``.
        settings: which samples it has.
        library: file of the library; None for the one that ships with this package.

    Raises:
        StorageError: the file is missing, damaged, or no library.
        ConfigurationError: a flag or slip system that the settings name does not exist.
    """
    structures = STRUCTURES if group == JOINT else (group,)
    return assemble(load(library), settings, structures, name=group, library_sha256=library_digest(library))


def assemble(
    library: Library,
    settings: TransferDataSettings,
    structures: Sequence[str] = STRUCTURES,
    *,
    name: str = JOINT,
    library_sha256: str = "",
    with_stress: bool = True,
) -> TransferDataset:
    """The samples of a library: potentials with lattice, elastic constants, γ surface and Peierls stress.

    What is left out is named, with the reason: properties that are missing or have failed (a core that disintegrates
    has no Peierls stress), flags that the settings exclude, and near-copies.

    Args:
        library: the library.
        settings: which potentials take part.
        structures: crystal structures.
        name: name of the data set.
        library_sha256: digest of the library's file.
        with_stress: whether a sample needs a Peierls stress; without, those that have none are samples to be predicted.

    Raises:
        ConfigurationError: a flag or slip system that the settings name does not exist, or there is no sample.
    """
    _refuse_unknown_flags(library, settings)
    systems = _chosen_systems(library, settings)
    gathered = _Gathered(settings, _peierls_nabarro_settings(library), with_stress)
    chosen = [entry for entry in library.entries if entry.potential.structure in structures]
    if not with_stress:  # of a family then the first that has one stands for it
        names = {structure: each.name for structure, each in systems.items()}
        chosen.sort(key=lambda entry: not stress_of(entry, settings.protocol, names[entry.potential.structure]))
    for entry in chosen:
        gathered.add(entry, slip_system(systems[entry.potential.structure]))
    definitions = tuple(systems[structure].model_dump_json() for structure in structures)
    return _dataset(gathered, settings, name, library, library_sha256, definitions)


def single_sample(
    lattice: LatticeResult,
    elastic: ElasticResult,
    gamma: GammaSurfaceResult,
    definition: SlipSystemSettings,
    *,
    name: str,
    element: str = "",
    source: str = OTHER,
    semidiscrete: bool = False,
) -> TransferDataset:
    """A data set of one crystal whose Peierls stress is to be predicted.

    Args:
        lattice: the crystal.
        elastic: its elastic constants.
        gamma: its γ surface.
        definition: the slip system, with the cut of the γ surface.
        name: id of the sample.
        element: chemical symbol.
        source: ``EAM/MEAM``, ``machine-learned`` or ``other``.
        semidiscrete: whether the semidiscrete models are solved, too (0.1 to some seconds); else they are NaN.

    Raises:
        PropertyError: there is no dislocation in such a crystal.
    """
    system = slip_system(definition)
    settings = PeierlsNabarroSettings()
    wanted = settings if semidiscrete else settings.model_copy(update={"models": ()})
    found = peierls_nabarro(lattice, elastic, gamma, system, wanted, character=CHARACTER)
    values = np.array([*_closed_values(found), *(_semidiscrete_values(found, model) for model in _SEMIDISCRETE)])
    values[~np.isfinite(values)] = np.nan
    sample = {
        "potential_ids": name,
        "elements": element,
        "structures": definition.structure,
        "slip_systems": definition.name,
        "families": name,
        "sources": source,
        "flags": "",
        **_inputs(lattice, elastic, gamma, system, settings),
        "peierls_mpa": np.nan,
        "peierls_error_mpa": np.nan,
        "resolution_mpa": np.nan,
        **_NO_BOUND,
        **_columns_of(values),
    }
    return TransferDataset(
        name=name,
        **{key: _column([value]) for key, value in sample.items()},
        protocol="",
        peierls_nabarro_names=MODELS,
        slip_system_definitions=(definition.model_dump_json(),),
        glideflow_version=__version__,
    )


@dataclass(frozen=True, kw_only=True)
class Stress:
    """A Peierls stress by a protocol.

    Attributes:
        peierls_mpa: the stress.
        is_upper_bound: whether it is only a bound.
    """

    peierls_mpa: float
    is_upper_bound: bool


def stress_of(entry: LibraryEntry, protocol: str, slip_system: str) -> Stress | None:
    """The Peierls stress of a potential's edge dislocation by a protocol of `TransferDataset`; None if it has none."""
    try:
        found = _stress(entry, protocol, slip_system)
    except _OmittedError:
        return None
    return Stress(peierls_mpa=float(found["peierls_mpa"]), is_upper_bound=bool(found["is_upper_bound"]))


def source_kind(engine: str, pair_style: str) -> str:
    """Kind of a potential, one of ``EAM/MEAM``, ``machine-learned`` and ``other``."""
    words = set(pair_style.replace("/", " ").split())
    if engine == "nep" or words & _LEARNED_STYLES:
        return MACHINE_LEARNED
    return EMPIRICAL if words & {"eam", "meam", "adp", "spline"} else OTHER


def framed_stiffness_gpa(elastic: ElasticResult, axes: FloatArray) -> FloatArray:
    """(6, 6) stiffness in Voigt order in the axes of a slip system, given as the rows of (3, 3)."""
    tensor = rotated(stiffness_tensor(elastic.tensor_gpa), axes)
    return np.array([[tensor[i, j, k, m] for k, m in VOIGT] for i, j in VOIGT])


def elastic_features_gpa(stiffness_gpa: FloatArray) -> FloatArray:
    """The six features (..., 6) of stiffnesses (..., 6, 6) in the frame; see `ELASTIC_NAMES`."""
    indices = [(int(name[1]) - 1, int(name[2]) - 1) for name in ELASTIC_NAMES]
    return np.stack([stiffness_gpa[..., i, j] for i, j in indices], axis=-1)


def shear_modulus_gpa(stiffness_gpa: FloatArray) -> FloatArray:
    """C_55 - C_35²/C_33 of stiffnesses (..., 6, 6): shear of the slip plane along x at no stress along the normal."""
    c33, c35, c55 = (stiffness_gpa[..., i, j] for i, j in ((2, 2), (2, 4), (4, 4)))
    return np.asarray(c55 - c35**2 / c33)


def interpolated(gamma: GammaSurfaceResult, points: int = GRID_POINTS) -> tuple[FloatArray, float]:
    """γ on the periodic grid i/points, and its largest error.

    The values are those of the trigonometric polynomial through the computed grid. Its error is estimated by what is
    independent of it: the largest difference to the path, which was computed and not interpolated (between the points
    of the grid for fcc), and to a quintic spline on the new grid.

    Args:
        gamma: the record; its grid includes the repeated edges.
        points: points along each axis.

    Returns:
        (points, points) values in mJ/m², axis 0 along x, and the error in mJ/m².
    """
    periodic = gamma.gamma_mj_m2[:-1, :-1]
    fractions = grid_fractions(points)
    values = resampled(periodic, fractions, fractions)
    path = gamma.path_fraction[:, None] * gamma.path_vector_angstrom / gamma.period_angstrom
    along_path = np.abs(values_at(periodic, path) - gamma.path_mj_m2).max()
    against_spline = np.abs(values - _splined(periodic, fractions)).max()
    return values, float(max(along_path, against_spline))


def _splined(periodic: FloatArray, fractions: FloatArray) -> FloatArray:
    from scipy.interpolate import RectBivariateSpline

    margins = [min(10, count) for count in periodic.shape]
    padded = np.pad(periodic, [(margin, margin + 1) for margin in margins], mode="wrap")
    x, y = (np.arange(-m, count + m + 1) / count for m, count in zip(margins, periodic.shape, strict=True))
    return np.asarray(RectBivariateSpline(x, y, padded, kx=5, ky=5)(fractions, fractions))


@dataclass
class _Gathered:
    """Samples as they are found, and what is left out."""

    settings: TransferDataSettings
    continuum_settings: PeierlsNabarroSettings
    with_stress: bool
    samples: list[dict[str, Any]] = field(default_factory=list)
    omitted: list[tuple[str, str]] = field(default_factory=list)
    _families: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def add(self, entry: LibraryEntry, system: SlipSystem) -> None:
        """Take a potential in, or note why not."""
        try:
            self._refuse_unwanted(entry)
            stress = self._stress(entry, system)
            sample = _sample(entry, system, self.continuum_settings) | stress
            self._refuse_copy(entry)
        except _OmittedError as reason:
            self.omitted.append((entry.potential.id, str(reason)))
        except GlideflowError as error:
            self.omitted.append((entry.potential.id, error.found))
        else:
            self.samples.append(sample)

    def _stress(self, entry: LibraryEntry, system: SlipSystem) -> dict[str, Any]:
        try:
            return _stress(entry, self.settings.protocol, system.name)
        except _OmittedError:
            if self.with_stress:
                raise
            return dict.fromkeys(("peierls_mpa", "peierls_error_mpa", "resolution_mpa"), np.nan) | _NO_BOUND

    def _refuse_unwanted(self, entry: LibraryEntry) -> None:
        flags = [flag for flag in entry.flags if flag in self.settings.exclude_flags]
        if flags:
            raise _OmittedError(f"flagged: {'; '.join(flags)}")
        kind = source_kind(entry.potential.engine, entry.potential.pair_style)
        if self.settings.sources and kind not in self.settings.sources:
            raise _OmittedError(f"source: {kind}")

    def _refuse_copy(self, entry: LibraryEntry) -> None:
        """Of a family only the first for a metal, if so asked; called last, so that the first has all numbers."""
        own = (entry.family_computed or entry.potential.id, entry.potential.element, entry.potential.structure)
        first = self._families.setdefault(own, entry.potential.id)
        if self.settings.one_per_family and first != entry.potential.id:
            raise _OmittedError(f"near-copy or relative of {first}")


def _sample(entry: LibraryEntry, system: SlipSystem, settings: PeierlsNabarroSettings) -> dict[str, Any]:
    """One sample without its stress, by the names of the fields of `TransferDataset`."""
    lattice = _result(entry, "lattice", LatticeResult)
    elastic = _result(entry, "elastic", ElasticResult)
    gamma = _result(entry, "gamma_surface", GammaSurfaceResult, system.name)
    return {
        "potential_ids": entry.potential.id,
        "elements": entry.potential.element,
        "structures": entry.potential.structure,
        "slip_systems": system.name,
        "families": entry.family_computed or entry.potential.family or entry.potential.id,
        "sources": source_kind(entry.potential.engine, entry.potential.pair_style),
        "flags": "; ".join(entry.flags),
        **_inputs(lattice, elastic, gamma, system, settings),
        **_continuum_models(entry, system, settings),
    }


def _inputs(
    lattice: LatticeResult,
    elastic: ElasticResult,
    gamma: GammaSurfaceResult,
    system: SlipSystem,
    settings: PeierlsNabarroSettings,
) -> dict[str, Any]:
    """What a sample has of numbers from elastic constants and γ surface, without continuum models."""
    continuum = continuum_of(lattice, elastic, gamma, system, settings, CHARACTER)
    stiffness = framed_stiffness_gpa(elastic, layered_crystal(lattice.crystal, system).frame.axes)
    values, error = interpolated(gamma)
    return {
        "elastic_gpa": elastic_features_gpa(stiffness),
        "stiffness_gpa": stiffness,
        "energy_tensor_gpa": continuum.energy_tensor_gpa,
        "energy_factor_gpa": continuum.energy_factor_gpa,
        "layer_stiffness_gpa": continuum.layer_stiffness_gpa,
        "shear_modulus_gpa": shear_modulus_gpa(stiffness),
        "gamma_mj_m2": values,
        "gamma_error_mj_m2": error,
        "cell_angstrom": gamma.period_angstrom,
        "burgers_angstrom": continuum.burgers_angstrom,
        "plane_spacing_angstrom": continuum.gap_angstrom,
        "node_spacing_angstrom": continuum.spacing_angstrom,
    }


def _result(entry: LibraryEntry, name: str, kind: type[Any], system: str = "", character: str = "") -> Any:  # noqa: ANN401
    """The result of a stage; of which kind is up to the caller."""
    stage = entry.stage(name, system, character)
    if stage is None:
        raise _OmittedError(f"no {name}")
    if not stage.ok:
        raise _OmittedError(_why_failed(stage))
    assert isinstance(stage.result, kind)
    return stage.result


def _why_failed(stage: StageRecord) -> str:
    return f"{stage.property} {stage.status}" + (f": {stage.failure.reason}" if stage.failure else "")


def _stress(entry: LibraryEntry, protocol: str, system: str) -> dict[str, Any]:
    """Peierls stress, its error and resolution by a protocol."""
    result = _result(entry, _PROPERTY_OF_PROTOCOL[protocol], object, system, CHARACTER)
    if isinstance(result, PeierlsPaperResult):
        return _paper_stress(result, REFERENCE if protocol == "paper" else SIZE_S)
    assert isinstance(result, PeierlsStressResult | PeierlsSeriesResult)
    return {
        "peierls_mpa": result.peierls_mpa,
        "peierls_error_mpa": result.peierls_error_mpa,
        "resolution_mpa": getattr(result, "resolution_mpa", np.nan),
        "is_upper_bound": result.is_upper_bound,
    }


def _paper_stress(result: PeierlsPaperResult, name: str) -> dict[str, Any]:
    """The stress in one cell of the paper's protocol, which counts only where the core has glided."""
    cell = result.cell(name)
    if cell is None or cell.peierls_mpa is None:
        raise _OmittedError(f"peierls_paper has no cell {name}")
    if cell.outcome != GLIDED:
        raise _OmittedError(f"peierls_paper in the cell {name} ended before the core glided: {cell.outcome}")
    return {"peierls_mpa": cell.peierls_mpa, "peierls_error_mpa": np.nan, "resolution_mpa": np.nan} | _NO_BOUND


def _continuum_models(
    entry: LibraryEntry, system: SlipSystem, settings: PeierlsNabarroSettings
) -> dict[str, FloatArray]:
    """Stresses, widths and separations of `MODELS`; NaN where one was not computed or has no dislocation."""
    stage = entry.stage("peierls_nabarro", system.name, CHARACTER)
    result = stage.result if stage is not None else None
    found = result if isinstance(result, PeierlsNabarroResult) else None
    semidiscrete = [_semidiscrete_values(found, model) for model in _SEMIDISCRETE]
    values = np.array([*_closed_forms(entry, system, settings), *semidiscrete])
    values[~np.isfinite(values)] = np.nan
    return _columns_of(values)


def _columns_of(values: FloatArray) -> dict[str, FloatArray]:
    """Stress, width and separation of the partials from (k, 3), by the names of the fields of `TransferDataset`."""
    return {
        "peierls_nabarro_mpa": values[:, 0],
        "peierls_nabarro_width_angstrom": values[:, 1],
        "partial_separation_angstrom": values[:, 2],
    }


def _closed_forms(entry: LibraryEntry, system: SlipSystem, settings: PeierlsNabarroSettings) -> list[ModelValues]:
    """Stress in MPa and width in Å by `CLOSED_FORMS`, which cost nothing and need no record of their own."""
    needed = (_result(entry, "lattice", LatticeResult), _result(entry, "elastic", ElasticResult))
    gamma = _result(entry, "gamma_surface", GammaSurfaceResult, system.name)
    only = settings.model_copy(update={"models": ()})
    return _closed_values(peierls_nabarro(*needed, gamma, system, only, character=CHARACTER))


def _closed_values(found: PeierlsNabarroResult) -> list[ModelValues]:
    return [
        (found.peierls_sinusoidal_mpa, 2 * found.half_width_sinusoidal_angstrom, np.nan),
        (found.peierls_joos_duesbery_mpa, 2 * found.half_width_angstrom, np.nan),
    ]


def _semidiscrete_values(result: PeierlsNabarroResult | None, model: str) -> ModelValues:
    """Stress in MPa, width and separation of the partials in Å."""
    found = None if result is None else result.model(model)
    if found is None:
        return np.nan, np.nan, np.nan
    separation = found.partial_separation_angstrom
    return found.peierls_mpa, found.width_angstrom, np.nan if separation is None else separation


def _dataset(
    gathered: _Gathered,
    settings: TransferDataSettings,
    name: str,
    library: Library,
    library_sha256: str,
    slip_system_definitions: tuple[str, ...],
) -> TransferDataset:
    samples = sorted(gathered.samples, key=lambda each: (each["structures"], each["potential_ids"]))
    _refuse_empty(samples, name, gathered.omitted)
    columns: dict[str, Any] = {key: _column([each[key] for each in samples]) for key in samples[0]}
    return TransferDataset(
        name=name,
        **columns,
        protocol=settings.protocol,
        peierls_nabarro_names=MODELS,
        slip_system_definitions=slip_system_definitions,
        library_name=library.name,
        library_sha256=library_sha256,
        settings_json=json.dumps(settings.model_dump(mode="json"), sort_keys=True),
        glideflow_version=__version__,
        omitted_ids=tuple(identifier for identifier, _ in gathered.omitted),
        omitted_reasons=tuple(reason for _, reason in gathered.omitted),
    )


def _column(values: list[Any]) -> Any:  # noqa: ANN401 - texts or numbers
    return tuple(values) if isinstance(values[0], str) else np.array(values)


def _refuse_empty(samples: Sequence[object], name: str, omitted: Sequence[tuple[str, str]]) -> None:
    if not samples:
        common = Counter(reason for _, reason in omitted).most_common(1)
        raise ConfigurationError(
            f"the data set {name!r} has no sample"
            + (f"; {len(omitted)} potentials are left out, most often because of: {common[0][0]}" if common else ""),
            expected="potentials with lattice, elastic constants, γ surface and Peierls stress",
            next_step="name a library that has them, another protocol (transfer.data.protocol), or fewer conditions",
        )


def _chosen_systems(library: Library, settings: TransferDataSettings) -> dict[str, SlipSystemSettings]:
    """The slip system of each structure: the one that the settings name, else the first of the library's.

    The cut is that of the γ surface, wide where the system leaves it open.
    """
    stored = json.loads(library.settings_json).get("slip_systems", [])
    known = [SlipSystemSettings.model_validate(each) for each in stored] + list(PRIMARY_SLIP_SYSTEMS)
    unknown = set(settings.slip_systems) - {each.name for each in known}
    if unknown:
        raise ConfigurationError(
            f"the slip system {min(unknown)!r} is not in the library {library.name!r}",
            expected=", ".join(dict.fromkeys(each.name for each in known)),
            next_step="correct transfer.data.slip_systems",
        )
    named = [each for each in known if each.name in settings.slip_systems]
    chosen: dict[str, SlipSystemSettings] = {}
    for each in [*named, *known]:
        chosen.setdefault(each.structure, each.model_copy(update={"cut": each.cut or "wide"}))
    return chosen


def _peierls_nabarro_settings(library: Library) -> PeierlsNabarroSettings:
    return PeierlsNabarroSettings.model_validate(json.loads(library.settings_json).get("peierls_nabarro", {}))


def _refuse_unknown_flags(library: Library, settings: TransferDataSettings) -> None:
    """A flag that does not exist would silently exclude nothing; `select` knows which exist."""
    select(library, exclude_flags=settings.exclude_flags)


def library_digest(library: Path | None) -> str:
    """SHA-256 of a library's file; None for the one that ships with this package."""
    if library is not None:
        return hashlib.sha256(library.read_bytes()).hexdigest()
    with shipped_file(SHIPPED, what="the library", instead="another library") as path:
        return hashlib.sha256(path.read_bytes()).hexdigest()
