"""A crystal as its user describes it, elastic constants and whatever is known of γ, as a sample to predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from glideflow.config.load import load_section
from glideflow.config.slip_systems import SlipSystemSettings
from glideflow.config.strength_inputs import ElasticInput, GammaGrid, GammaInput, GammaPoint, StrengthInputs
from glideflow.crystals.lattices import FloatArray
from glideflow.crystals.layers import LayeredCrystal, layered_crystal
from glideflow.crystals.slip_systems import slip_system
from glideflow.crystals.symmetry import displacement_symmetry
from glideflow.errors import ConfigurationError
from glideflow.potentials.record import Potential
from glideflow.properties.elastic import cubic_tensor, hexagonal_tensor, symmetric_tensor
from glideflow.properties.results import ElasticResult, GammaSurfaceResult, LatticeResult
from glideflow.records import StageRecord
from glideflow.transfer.assembly import framed_stiffness_gpa, shear_modulus_gpa
from glideflow.transfer.calculation_outputs import (
    NOT_REACHED,
    CalculationOutput,
    finished_output,
    output_file,
    refuse_other_settings,
)
from glideflow.transfer.features import GPA_ANGSTROM_TO_MJ_PER_M2
from glideflow.transfer.gamma_prior import (
    GammaEstimate,
    GammaPrior,
    GammaValues,
    estimate,
    fault_fractions,
    path_end_fractions,
)
from glideflow.units import EV_PER_A2_TO_MJ_PER_M2

R = TypeVar("R")

RECORD_POINTS = 31
"""Points of the γ grid of a record along each period, the repeated edge included: those of the library."""
_PATH_POINTS = 41
_CUBIC = ("c11_gpa", "c12_gpa", "c44_gpa")
_HEXAGONAL = (*_CUBIC, "c13_gpa", "c33_gpa")
_COMPUTED_ERROR_MJ_M2 = 0.02
_LARGEST_AREA_ERROR = 0.02
_LARGEST_ASYMMETRY = 0.02
_MOST_VALUES = 20_000
_MOST_CELLS_TOLD_APART = 10
_LARGEST_MOVE_ANGSTROM = 1e-2
_LARGEST_TEXT_BYTES = 4 * 2**20
_OUTCAR_TITLE = "TOTAL ELASTIC MODULI (kBar)"
_OUTCAR_ROWS = ("XX", "YY", "ZZ", "XY", "YZ", "ZX")
_KBAR_PER_GPA = 10


@dataclass(frozen=True, kw_only=True)
class UserCrystal:
    """A crystal as its user describes it.

    Attributes:
        name: what it is.
        element: chemical symbol, empty if not said.
        source: where the numbers come from.
        lattice: lattice constants.
        elastic: elastic constants.
        gamma: what is known of the γ surface.
        definition: slip system, with the cut.
        given_fractions: (P, 2) displacements in periods at which γ was given.
        error_mj_m2: largest standard error of the given values.
        warnings: what should make a reader careful about where they come from.
    """

    name: str
    element: str
    source: str
    lattice: LatticeResult
    elastic: ElasticResult
    gamma: GammaEstimate
    definition: SlipSystemSettings
    given_fractions: FloatArray
    error_mj_m2: float
    warnings: tuple[str, ...] = ()

    @cached_property
    def layers(self) -> LayeredCrystal:
        """The crystal seen along the slip system."""
        return layered_crystal(self.lattice.crystal, slip_system(self.definition))

    @cached_property
    def gamma_symmetry(self) -> FloatArray:
        """(S, 2, 2) operations on displacements that leave γ as it is, see `displacement_symmetry`."""
        return displacement_symmetry(self.lattice.crystal, self.layers, self.definition.cut or "wide")


def read_inputs(path: Path) -> StrengthInputs:
    """Read the description of a crystal (YAML or JSON).

    Raises:
        ConfigurationError: it cannot be read, or is not valid; the message lists every problem.
    """
    return load_section(path, StrengthInputs, "correct them; `glideflow predict --example fcc` prints a complete one")


def user_crystal(inputs: StrengthInputs, prior: GammaPrior, folder: Path, name: str = "") -> UserCrystal:
    """A crystal from its description, the γ surface estimated from what is given.

    Args:
        inputs: the description.
        prior: what γ surfaces of this structure look like.
        folder: where relative paths in the description start.
        name: its name, if the description gives none.

    Raises:
        ConfigurationError: constants or values are missing, contradict each other, or files do not hold them.
        PropertyError: the values do not make a γ surface.
    """
    definition = SlipSystemSettings.model_validate_json(prior.slip_system_definition)
    lattice, elastic = lattice_result(inputs), elastic_result(inputs, folder)
    layers = layered_crystal(lattice.crystal, slip_system(definition))
    known = gamma_values(inputs.gamma, definition, layers, folder)
    return UserCrystal(
        name=inputs.name or name,
        element=inputs.element,
        source=inputs.source,
        lattice=lattice,
        elastic=elastic,
        gamma=estimate(prior, known, _unit_mj_m2(lattice, elastic, definition)),
        definition=definition,
        given_fractions=known.fractions,
        error_mj_m2=float(known.error_mj_m2.max(initial=known.usf_error_mj_m2)),
        warnings=known.warnings,
    )


def computed_crystal(potential: Potential, stages: Sequence[StageRecord], prior: GammaPrior) -> UserCrystal:
    """A crystal whose elastic constants and γ surface were computed with a potential.

    Args:
        potential: the potential.
        stages: its records, lattice, elastic constants and γ surface among them, none of them failed.
        prior: what γ surfaces of its structure look like.
    """
    lattice = _of_kind(stages, LatticeResult)
    elastic = _of_kind(stages, ElasticResult)
    gamma = _of_kind(stages, GammaSurfaceResult)
    definition = SlipSystemSettings.model_validate_json(prior.slip_system_definition)
    periodic = gamma.gamma_mj_m2[:-1, :-1]
    fractions = np.stack(np.meshgrid(*(np.arange(n) / n for n in periodic.shape), indexing="ij"), axis=-1)
    known = GammaValues(
        fractions=fractions.reshape(-1, 2),
        gamma_mj_m2=periodic.ravel(),
        error_mj_m2=np.full(periodic.size, _COMPUTED_ERROR_MJ_M2),
        path_fractions=path_end_fractions(definition),
        grid_mj_m2=periodic,
    )
    return UserCrystal(
        name=potential.id,
        element=potential.element,
        source=f"computed with {potential.id}",
        lattice=lattice,
        elastic=elastic,
        gamma=estimate(prior, known, _unit_mj_m2(lattice, elastic, definition)),
        definition=definition,
        given_fractions=known.fractions,
        error_mj_m2=float(known.error_mj_m2.max(initial=known.usf_error_mj_m2)),
    )


def _of_kind(stages: Sequence[StageRecord], kind: type[R]) -> R:
    return next(stage.result for stage in stages if isinstance(stage.result, kind))


def _unit_mj_m2(lattice: LatticeResult, elastic: ElasticResult, definition: SlipSystemSettings) -> float:
    """μ b in mJ/m², the unit of γ."""
    layers = layered_crystal(lattice.crystal, slip_system(definition))
    modulus = float(shear_modulus_gpa(framed_stiffness_gpa(elastic, layers.frame.axes)))
    return modulus * layers.burgers_vector_angstrom * GPA_ANGSTROM_TO_MJ_PER_M2


def lattice_result(inputs: StrengthInputs) -> LatticeResult:
    """The lattice constants.

    Raises:
        ConfigurationError: c is missing for hcp, or given for a cubic crystal.
    """
    a, c = inputs.lattice.a_angstrom, inputs.lattice.c_angstrom
    if (inputs.structure == "hcp") != (c is not None):
        raise ConfigurationError(
            f"lattice.c_angstrom is {'missing' if c is None else f'{c:g}'} for an {inputs.structure} crystal",
            expected="both a and c for hcp, a alone for fcc and bcc",
            next_step="correct lattice, or structure",
        )
    return LatticeResult(
        structure=inputs.structure,
        a_angstrom=a,
        c_angstrom=c,
        energy_ev_per_atom=np.nan,
        residual_stress_gpa=np.nan,
        cutoff_angstrom=np.nan,
    )


def elastic_result(inputs: StrengthInputs, folder: Path) -> ElasticResult:
    """The elastic constants.

    Raises:
        ConfigurationError: they are incomplete, given twice, not those of a stable crystal, or not in the file.
    """
    raw = _raw_tensor(inputs.elastic, inputs.structure, folder)
    tensor = symmetric_tensor(raw, inputs.structure)
    _refuse_other_axes(raw, tensor, inputs.structure)
    lowest = float(np.linalg.eigvalsh(tensor).min())
    if lowest <= 0:
        raise ConfigurationError(
            f"the elastic tensor has the eigenvalue {lowest:.4g} GPa: such a crystal is not stable",
            expected="constants in GPa with C₁₁ > |C₁₂| and C₄₄ > 0, and for hcp (C₁₁ + C₁₂) C₃₃ > 2 C₁₃²",
            next_step="correct elastic; for VASP, kBar are a tenth of GPa",
        )
    c11, c12, c44 = tensor[0, 0], tensor[0, 1], tensor[3, 3]
    hexagonal = inputs.structure == "hcp"
    return ElasticResult(
        tensor_gpa=tensor,
        raw_tensor_gpa=raw,
        c11_gpa=float(c11),
        c12_gpa=float(c12),
        c44_gpa=float(c44),
        c13_gpa=float(tensor[0, 2]) if hexagonal else None,
        c33_gpa=float(tensor[2, 2]) if hexagonal else None,
        fit_residual_gpa=float(np.abs(raw - tensor).max()),
        strain_dependence=np.nan,
        stability_eigenvalue_gpa=lowest,
        born_stable=True,
        strain_amplitudes=np.zeros(0),
        constants_by_amplitude_gpa=np.zeros((0, 5 if hexagonal else 3)),
        bulk_modulus_gpa=float(tensor[:3, :3].sum() / 9),
        shear_modulus_gpa=float(
            (np.trace(tensor[:3, :3]) - tensor[0, 1] - tensor[0, 2] - tensor[1, 2] + 3 * np.trace(tensor[3:, 3:])) / 15
        ),
    )


def _refuse_other_axes(raw: FloatArray, tensor: FloatArray, structure: str) -> None:
    """Averaging over the class of the crystal would hide a tensor in other axes, or in another order."""
    apart, largest = float(np.abs(raw - tensor).max()), float(np.abs(tensor).max())
    if not apart <= _LARGEST_ASYMMETRY * largest:
        axes = "with the axis of the crystal along z" if structure == "hcp" else "in the cubic axes"
        raise ConfigurationError(
            f"the elastic tensor is {apart:.4g} GPa from one with the symmetry of {structure}",
            expected=f"a tensor {axes}, Voigt order xx, yy, zz, yz, xz, xy",
            next_step="turn it into these axes (VASP writes XX YY ZZ XY YZ ZX), or give single constants",
        )


def gamma_values(
    gamma: GammaInput, definition: SlipSystemSettings, layers: LayeredCrystal, folder: Path
) -> GammaValues:
    """Everything that is given of a γ surface, as values at displacements.

    Args:
        gamma: what is given.
        definition: the slip system, with the cut.
        layers: the crystal seen along it, for lengths and areas.
        folder: where relative paths start.

    Raises:
        ConfigurationError: nothing is given, or something that such a plane does not have, or a file is not usable.
    """
    _refuse_low_barrier(gamma)
    outputs = _outputs(gamma, layers, folder)
    points = list(_points(gamma, layers, folder, outputs))
    found = [*_faults(gamma, definition), *points, *_lines(gamma), *_grid(gamma, folder)]
    if len(found) > _MOST_VALUES:
        raise ConfigurationError(
            f"gamma holds {len(found)} values",
            expected=f"at most {_MOST_VALUES}; a γ surface of a few hundred different points leaves nothing open",
            next_step="leave out every second row and column",
        )
    if not found and gamma.usf_mj_m2 is None:
        raise ConfigurationError(
            "gamma holds no value",
            expected="at least one of isf_mj_m2, usf_mj_m2, asf_mj_m2, points, lines and grid",
            next_step="`glideflow predict --example fcc` prints an example",
        )
    return GammaValues(
        fractions=np.array([place for place, _, _ in found], dtype=float).reshape(-1, 2),
        gamma_mj_m2=np.array([value for _, value, _ in found], dtype=float),
        error_mj_m2=np.array([error for _, _, error in found], dtype=float),
        path_fractions=path_end_fractions(definition),
        usf_mj_m2=gamma.usf_mj_m2,
        usf_error_mj_m2=gamma.error_mj_m2,
        grid_mj_m2=None if gamma.grid is None else _periodic_grid(gamma.grid, folder),
        warnings=() if outputs is None else tuple(dict.fromkeys(outputs.warnings)),
    )


def _refuse_low_barrier(gamma: GammaInput) -> None:
    """The intrinsic fault ends the path on which the unstable one is the maximum."""
    if gamma.usf_mj_m2 is not None and gamma.isf_mj_m2 is not None and gamma.usf_mj_m2 < gamma.isf_mj_m2:
        raise ConfigurationError(
            f"gamma.usf_mj_m2 is {gamma.usf_mj_m2:g}, less than gamma.isf_mj_m2, {gamma.isf_mj_m2:g}",
            expected="an unstable fault that is the maximum on the way to the intrinsic one",
            next_step="look whether they are exchanged; without a barrier, give γ at displacements in gamma.points",
        )


def gamma_result(crystal: UserCrystal, gamma: GammaEstimate) -> GammaSurfaceResult:
    """A γ surface in the form of one that was computed, on the grid of the library.

    Args:
        crystal: whose it is.
        gamma: the estimate; its most likely values are taken.
    """
    system, layers = slip_system(crystal.definition), crystal.layers
    cut = crystal.definition.cut or "wide"
    fractions = np.linspace(0, 1, RECORD_POINTS)
    grid = gamma.gamma_mj_m2(np.stack(np.meshgrid(fractions, fractions, indexing="ij"), axis=-1).reshape(-1, 2))
    path = np.linspace(0, 1, _PATH_POINTS)
    path_mj_m2 = gamma.gamma_mj_m2(path[:, None] * path_end_fractions(crystal.definition))
    isf, asf = (_value_at(gamma, place) for place in fault_fractions(crystal.definition))
    waves, stars = gamma.prior.waves_per_period, len(gamma.prior.waves_per_period)
    sines = np.zeros(stars)
    sines[gamma.prior.with_sine > 0] = gamma.mean[stars:]
    return GammaSurfaceResult(
        slip_system=system.name,
        label=system.label,
        cut=cut,
        period_angstrom=layers.period_angstrom,
        x_angstrom=fractions * layers.period_angstrom[0],
        y_angstrom=fractions * layers.period_angstrom[1],
        gamma_mj_m2=grid.reshape(RECORD_POINTS, RECORD_POINTS),
        opening_angstrom=np.full((RECORD_POINTS, RECORD_POINTS), np.nan),
        gamma_isf_mj_m2=isf,
        gamma_usf_mj_m2=float(path_mj_m2.max()),
        gamma_asf_mj_m2=asf,
        gamma_max_mj_m2=float(grid.max()),
        path_vector_angstrom=path_end_fractions(crystal.definition) * layers.period_angstrom,
        path_fraction=path,
        path_mj_m2=path_mj_m2,
        fourier_wavevectors_per_angstrom=2 * np.pi * waves / layers.period_angstrom,
        fourier_cosine_mj_m2=gamma.mean[:stars] * gamma.unit_mj_m2,
        fourier_sine_mj_m2=sines * gamma.unit_mj_m2,
        fourier_symmetry=crystal.gamma_symmetry,
        fourier_residual_mj_m2=0.0,
        fourier_residual_low_mj_m2=0.0,
        symmetry_error_mj_m2=0.0,
        residual_force_ev_per_angstrom=np.nan,
        unique_points=len(crystal.given_fractions),
        flags=("estimated from points",),
    )


def _value_at(gamma: GammaEstimate, place: FloatArray | None) -> float | None:
    return None if place is None else float(gamma.gamma_mj_m2(place[None])[0])


def _raw_tensor(elastic: ElasticInput, structure: str, folder: Path) -> FloatArray:
    names = _HEXAGONAL if structure == "hcp" else _CUBIC
    constants = [name for name in _HEXAGONAL if getattr(elastic, name) is not None]
    ways = [bool(constants), elastic.tensor_gpa is not None, elastic.outcar is not None]
    given = [name for name in ElasticInput.model_fields if getattr(elastic, name) is not None]
    if sum(ways) != 1 or (constants and set(constants) != set(names)):
        raise ConfigurationError(
            f"elastic holds {', '.join(given) or 'nothing'}",
            expected=f"{', '.join(names)} for {structure}, or tensor_gpa, or outcar, and nothing else",
            next_step="complete elastic, or take out what is too much",
        )
    if elastic.outcar is not None:
        return _outcar_tensor(folder / elastic.outcar)
    if elastic.tensor_gpa is not None:
        return _whole_tensor(elastic.tensor_gpa)
    values = [getattr(elastic, name) for name in names]
    return hexagonal_tensor(*values) if structure == "hcp" else cubic_tensor(*values)


def _whole_tensor(rows: tuple[tuple[float, ...], ...]) -> FloatArray:
    if any(len(row) != 6 for row in rows):
        raise ConfigurationError(
            f"elastic.tensor_gpa has rows of {sorted({len(row) for row in rows})} numbers",
            expected="six rows of six numbers in GPa, Voigt order xx, yy, zz, yz, xz, xy",
            next_step="correct it, or give single constants",
        )
    return np.array(rows)


def _outcar_tensor(path: Path) -> FloatArray:
    """Total elastic moduli of VASP in GPa, in the Voigt order of this package; the last ones of the file.

    ASE reads none, and pymatgen would be a large dependency for a table of six rows.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            lines = [line for line in stream if _is_modulus(line) or _OUTCAR_TITLE in line or NOT_REACHED in line]
        if any(NOT_REACHED in line for line in lines):
            raise ValueError("the electrons of one of its strains have not converged")
        titles = [number for number, line in enumerate(lines) if _OUTCAR_TITLE in line]
        if not titles:
            raise ValueError(f"{_OUTCAR_TITLE} is not in it")
        start = titles[-1]
        kbar = np.array([[float(word) for word in line.split()[1:]] for line in lines[start + 1 : start + 7]])
        if kbar.shape != (6, 6):
            raise ValueError(f"{len(kbar)} complete rows")
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"no elastic moduli in {path}: {error}",
            expected=f"an OUTCAR with {_OUTCAR_TITLE} (IBRION = 5 or 6, ISIF ≥ 3, run to its end)",
            next_step="check the path and the run, or give the constants",
        ) from error
    order = [0, 1, 2, 4, 5, 3]  # VASP: XX YY ZZ XY YZ ZX
    return np.asarray(kbar[np.ix_(order, order)] / _KBAR_PER_GPA)


def _is_modulus(line: str) -> bool:
    words = line.split(maxsplit=1)
    return bool(words) and words[0] in _OUTCAR_ROWS


_Value = tuple[tuple[float, float], float, float]


def _faults(gamma: GammaInput, definition: SlipSystemSettings) -> Iterator[_Value]:
    """The faults that have a fixed place."""
    places = dict(zip(("isf_mj_m2", "asf_mj_m2"), fault_fractions(definition), strict=True))
    for name, place in places.items():
        value = getattr(gamma, name)
        if value is None:
            continue
        if place is None:
            raise ConfigurationError(
                f"gamma.{name} for {definition.name}",
                expected="a plane with this fault: {111} of fcc has an intrinsic and an aligned one",
                next_step="take it out; γ at any displacement goes into gamma.points",
            )
        yield (float(place[0]), float(place[1])), value, gamma.error_mj_m2


def _outputs(gamma: GammaInput, layers: LayeredCrystal, folder: Path) -> _Outputs | None:
    """What reads the outputs of points; None if there is none."""
    if gamma.reference_output is not None and not any(point.output for point in gamma.points):
        raise ConfigurationError(
            "gamma.reference_output is given, but no point has an output",
            expected="points with outputs, of which γ is the difference to it",
            next_step="add them, or take it out",
        )
    return _Outputs(gamma, layers, folder) if any(point.output for point in gamma.points) else None


def _points(gamma: GammaInput, layers: LayeredCrystal, folder: Path, outputs: _Outputs | None) -> Iterator[_Value]:
    for number, point in enumerate(gamma.points):
        where = f"gamma.points[{number}]"
        fraction = _fraction(point, layers, where)
        _refuse_not_one(where, gamma_mj_m2=point.gamma_mj_m2, output=point.output)
        if point.gamma_mj_m2 is not None:
            value = point.gamma_mj_m2
        else:
            assert outputs is not None
            assert point.output is not None
            value = outputs.gamma_mj_m2(folder / point.output)
        yield fraction, value, point.error_mj_m2 or gamma.error_mj_m2


def _refuse_not_one(where: str, **ways: object) -> None:
    """Of several ways to say the same, exactly one has to be used."""
    used = sum(value is not None for value in ways.values())
    if used != 1:
        raise ConfigurationError(
            f"{where} has {'both' if used else 'neither'} {(' and ' if used else ' nor ').join(ways)}",
            expected="one of them",
            next_step="correct it; `glideflow predict --example fcc` prints an example",
        )


def _fraction(point: GammaPoint, layers: LayeredCrystal, where: str) -> tuple[float, float]:
    _refuse_not_one(where, fraction=point.fraction, displacement_angstrom=point.displacement_angstrom)
    if point.fraction is not None:
        return point.fraction
    x, y = np.array(point.displacement_angstrom) / layers.period_angstrom
    return float(x), float(y)


def _lines(gamma: GammaInput) -> Iterator[_Value]:
    for line in gamma.lines:
        for share, value in zip(np.linspace(0, 1, len(line.gamma_mj_m2)), line.gamma_mj_m2, strict=True):
            yield (share * line.end_fraction[0], share * line.end_fraction[1]), value, gamma.error_mj_m2


def _grid(gamma: GammaInput, folder: Path) -> Iterator[_Value]:
    if gamma.grid is None:
        return
    values = _grid_values(gamma.grid, folder)
    _refuse_wrong_edges(values, gamma.grid, gamma.error_mj_m2)
    rows, columns = (count - gamma.grid.repeats_edges for count in values.shape)
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            yield (i / rows, j / columns), float(value), gamma.error_mj_m2


def _periodic_grid(grid: GammaGrid, folder: Path) -> FloatArray:
    """The grid without the edges that it repeats."""
    values = _grid_values(grid, folder)
    return values[:-1, :-1] if grid.repeats_edges else values


def _refuse_wrong_edges(values: FloatArray, grid: GammaGrid, error_mj_m2: float) -> None:
    """A grid whose edges are taken for what they are not would be stretched by one step, unnoticed."""
    allowed = max(4 * error_mj_m2, 0.01 * float(np.abs(values).max()))
    apart = max(np.abs(values[-1] - values[0]).max(), np.abs(values[:, -1] - values[:, 0]).max())
    if (apart <= allowed) != grid.repeats_edges:
        raise ConfigurationError(
            f"gamma.grid.repeats_edges is {str(grid.repeats_edges).lower()}, and the last row and column differ from "
            f"the first ones by {apart:.4g} mJ/m² at most",
            expected="equal edges if they are repeated, different ones if not",
            next_step=f"correct the values, or set repeats_edges: {str(not grid.repeats_edges).lower()}",
        )


def _grid_values(grid: GammaGrid, folder: Path) -> FloatArray:
    _refuse_not_one("gamma.grid", gamma_mj_m2=grid.gamma_mj_m2, file=grid.file)
    where = "gamma.grid.gamma_mj_m2" if grid.file is None else str(folder / grid.file)
    rows = [list(row) for row in grid.gamma_mj_m2 or ()] if grid.file is None else _rows(folder / grid.file)
    lengths = {len(row) for row in rows}
    if len(rows) < 3 or len(lengths) != 1 or min(lengths) < 3 or not np.isfinite(np.array(rows)).all():
        raise ConfigurationError(
            f"{where} has {len(rows)} rows of {sorted(lengths)} numbers",
            expected="at least three rows and columns of equal length, finite numbers in mJ/m²",
            next_step="correct it",
        )
    return np.array(rows)


def _rows(path: Path) -> list[list[float]]:
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_TEXT_BYTES + 1)
        if len(content) > _LARGEST_TEXT_BYTES:
            raise ValueError(f"more than {_LARGEST_TEXT_BYTES} bytes")
        text = content.decode("utf-8")
        lines = (line.split("#")[0].replace(",", " ").split() for line in text.splitlines())
        return [[float(word) for word in words] for words in lines if words]
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"cannot read γ from {path}: {error}",
            expected="rows of numbers in mJ/m², separated by blanks or commas; # begins a comment",
            next_step="check gamma.grid.file, which starts from the folder of the description",
        ) from error


class _Outputs:
    """γ from outputs of calculations that ASE reads, against the same cell without a fault."""

    def __init__(self, gamma: GammaInput, layers: LayeredCrystal, folder: Path) -> None:
        if gamma.reference_output is None:
            raise ConfigurationError(
                "gamma.points has outputs, but gamma.reference_output is missing",
                expected="the output of the same cell without a fault",
                next_step="name it",
            )
        self._faults = gamma.faults_per_cell
        self._perfect, self._reference = _finished_atoms(folder / gamma.reference_output)
        self.warnings = list(self._reference.warnings)
        self._area_angstrom2 = _area(self._perfect, layers, folder / gamma.reference_output)

    def gamma_mj_m2(self, path: Path) -> float:
        """γ of an output."""
        atoms, output = _finished_atoms(path)
        refuse_other_settings(output, self._reference)
        self.warnings += output.warnings
        if sorted(atoms.symbols) != sorted(self._perfect.symbols):
            raise ConfigurationError(
                f"{path} holds {atoms.symbols.formula}, the cell without a fault {self._perfect.symbols.formula}",
                expected="the same atoms in both",
                next_step="correct gamma.reference_output, or the point",
            )
        if np.abs(np.asarray(atoms.cell[:2]) - np.asarray(self._perfect.cell[:2])).max() > _LARGEST_MOVE_ANGSTROM:
            raise ConfigurationError(
                f"the first two cell vectors of {path} are not those of the cell without a fault",
                expected="the same plane in both; only the third vector may be tilted",
                next_step="correct gamma.reference_output, or the point",
            )
        difference_ev = atoms.get_potential_energy() - self._perfect.get_potential_energy()
        return float(difference_ev / (self._faults * self._area_angstrom2) * EV_PER_A2_TO_MJ_PER_M2)


def _finished_atoms(path: Path) -> tuple[Any, CalculationOutput]:
    """Last configuration of an output, with its energy, and what the output says of its run."""
    from ase.io import read

    try:
        output = finished_output(output_file(path))
        atoms = cast("Any", read(output.path, index=-1))
        atoms.get_potential_energy()
    except ConfigurationError:
        raise
    except Exception as error:  # what ASE's readers raise on damaged files is not limited
        raise ConfigurationError(
            f"no energy in {path}: {type(error).__name__}: {error}",
            expected="an output that ASE reads, with energies: vasprun.xml, OUTCAR, a log of GPAW, extended XYZ …, "
            "or a folder with one of the first two, or a single *.txt",
            next_step="check the path, and that the calculation ran to its end",
        ) from error
    return atoms, output


def _area(atoms: Any, layers: LayeredCrystal, path: Path) -> float:  # noqa: ANN401 - ASE has no types
    """Area of the first two vectors of a cell, which has to be a multiple of that of the slip plane's cell."""
    area = float(np.linalg.norm(np.cross(atoms.cell[0], atoms.cell[1])))
    cells = area / abs(float(np.linalg.det(layers.in_plane_angstrom)))
    if cells < 0.5 or abs(cells - round(cells)) > _LARGEST_AREA_ERROR * min(cells, _MOST_CELLS_TOLD_APART):
        raise ConfigurationError(
            f"the first two vectors of the cell in {path} span {cells:.3f} cells of the slip plane",
            expected="a whole number: the fault lies in the plane of the first two cell vectors",
            next_step="correct lattice, or give γ in mJ/m² instead of outputs",
        )
    return area
