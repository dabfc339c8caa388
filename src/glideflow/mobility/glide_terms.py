"""What a trained ensemble makes of straight lines: velocity without a barrier f/B, barrier ε, and what comes of both.

Two straight lines in the cell of a dipole, where symmetry leaves no glide force between them: one above the other, and
half a period farther. What is given is the mean over both places and both lines, so that stresses that the lines exert
on each other besides largely cancel.

Only f/B and ε have a meaning of their own: f and B share a factor that cancels, and a part of ε in proportion to the
temperature can stand for a part of B as well.

Source: Tian et al., npj Comput. Mater. 10 (2024), doi 10.1038/s41524-024-01394-4, Fig. 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from glideflow.config.mobility_network import MobilityFeatureSettings
from glideflow.crystals.lattices import FloatArray
from glideflow.mobility.extraction import DislocationLine, resampled
from glideflow.mobility.graph import LineGraph, batched, line_graph
from glideflow.mobility.line_dynamics import resolved_stress_mpa, straight_dipole
from glideflow.mobility.trajectory import LineFrame
from glideflow.mobility.velocities import ANGSTROM_PER_PS_TO_M_PER_S

if TYPE_CHECKING:
    from glideflow.mobility.artifacts import MobilityCard
    from glideflow.mobility.ensemble import MobilityEnsemble

FAR_ANGLE_DEG: Final = 15.0
"""Difference to every line angle of the training beyond which an angle counts as extrapolated."""
ANGLE_STEP_DEG: Final = 10.0
POINTS: Final = 13
"""Stresses and temperatures along an axis."""
SERIES: Final = 5
"""Series of a figure at most."""
BEYOND: Final = 1.25
"""Share of the largest trained stress or temperature up to which is looked."""

Variable = Literal["angle", "stress", "temperature"]


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Straight lines at an angle, under a stress, at a temperature."""

    angle_deg: float
    stress_mpa: float
    temperature_k: float


@dataclass(frozen=True, kw_only=True)
class GlideTerms:
    """What an ensemble makes of one of them.

    Attributes:
        conditions: angle, stress and temperature.
        free_velocity_m_per_s: mean over the members of f/B, the velocity without a barrier.
        free_velocity_spread_m_per_s: its standard deviation over the members.
        energy_ev: mean barrier.
        energy_spread_ev: its standard deviation.
        velocity_m_per_s: mean of f/B · exp(−ε/kT).
        velocity_spread_m_per_s: its standard deviation.
        extrapolated: of angle, stress and temperature those of which the training has nothing near.
    """

    conditions: Conditions
    free_velocity_m_per_s: float
    free_velocity_spread_m_per_s: float
    energy_ev: float
    energy_spread_ev: float
    velocity_m_per_s: float
    velocity_spread_m_per_s: float
    extrapolated: tuple[Variable, ...]


@dataclass(frozen=True, kw_only=True)
class TrainingRange:
    """Conditions that a model was trained on.

    Attributes:
        angles_deg: line angles of its dipoles, sorted.
        loops: whether it was trained on loops, which have lines at all angles.
        stresses_mpa: magnitudes of its stresses, sorted.
        temperatures_k: its temperatures, sorted.
    """

    angles_deg: tuple[float, ...]
    loops: bool
    stresses_mpa: tuple[float, ...]
    temperatures_k: tuple[float, ...]

    def outside(self, conditions: Conditions) -> tuple[Variable, ...]:
        """Of angle, stress and temperature those of which the training has nothing near."""
        far: dict[Variable, bool] = {
            "angle": self.far_angle(conditions.angle_deg),
            "stress": not _within(abs(conditions.stress_mpa), self.stresses_mpa),
            "temperature": not _within(conditions.temperature_k, self.temperatures_k),
        }
        return tuple(name for name, is_far in far.items() if is_far)

    def far_angle(self, angle_deg: float) -> bool:
        """Whether no trained line is within `FAR_ANGLE_DEG`; θ and θ + 180° are the same line."""
        if self.loops:
            return False
        differences = [abs((angle_deg - own + 90) % 180 - 90) for own in self.angles_deg]
        return min(differences, default=np.inf) > FAR_ANGLE_DEG


def training_range(card: MobilityCard) -> TrainingRange:
    """Conditions that a model was trained on, from its card."""
    sources = [source for source in card.sources if source.part == "train"]
    return TrainingRange(
        angles_deg=tuple(
            sorted({each.character_angle_deg for each in sources if each.character_angle_deg is not None})
        ),
        loops=any(each.kind == "loop" for each in sources),
        stresses_mpa=tuple(sorted({abs(each.stress_mpa) for each in sources})),
        temperatures_k=tuple(sorted({each.temperature_k for each in sources})),
    )


@dataclass(frozen=True, kw_only=True)
class TermSeries:
    """Terms along one variable.

    Attributes:
        along: the variable.
        by: the variable that tells the series of a group apart.
        fixed: the third one with its value, e.g. ``500 MPa``.
        terms: in the order of ``along``.
    """

    along: Variable
    by: Variable
    fixed: str
    terms: tuple[GlideTerms, ...]


def term_series(
    ensemble: MobilityEnsemble,
    card: MobilityCard,
    *,
    size_angstrom: tuple[float, float, float],
    spacing_angstrom: float,
) -> tuple[TermSeries, ...]:
    """Terms against the angle, by temperature and by stress, and against stress and temperature, by angle.

    What is not on an axis is in the middle of what was trained on. Stresses and temperatures go a quarter beyond.

    Args:
        ensemble: the networks.
        card: what they were trained on.
        size_angstrom: edges of the cell along x (glide), y (lines) and z (normal).
        spacing_angstrom: distance of nodes.
    """
    trained = training_range(card)
    lines = _StraightLines(ensemble.features, card.burgers_angstrom, size_angstrom, spacing_angstrom)
    grids = _grids(trained)
    every = list(dict.fromkeys(each for *_, wanted in grids for each in wanted))
    known = dict(zip(every, _terms(ensemble, [lines.graphs(each) for each in every], every, trained), strict=True))
    return tuple(
        TermSeries(along=along, by=by, fixed=fixed, terms=tuple(known[each] for each in wanted))
        for along, by, fixed, wanted in grids
    )


def _grids(trained: TrainingRange) -> list[tuple[Variable, Variable, str, list[Conditions]]]:
    """Conditions of each series."""
    stress, temperature = _middle(trained.stresses_mpa), _middle(trained.temperatures_k)
    own = [angle for angle in trained.angles_deg if 0 <= angle <= 180]
    angles = sorted({*np.arange(0.0, 180.0 + ANGLE_STEP_DEG, ANGLE_STEP_DEG).tolist(), *own})
    shown = _shown(trained.angles_deg) or (0.0, 45.0, 90.0, 135.0)
    at_stress, at_temperature = f"{stress:g} MPa", f"{temperature:g} K"
    found: list[tuple[Variable, Variable, str, list[Conditions]]] = []
    for each in _shown(trained.temperatures_k):
        found.append(("angle", "temperature", at_stress, [_at(angle, stress, each) for angle in angles]))
    for each in _shown(trained.stresses_mpa):
        found.append(("angle", "stress", at_temperature, [_at(angle, each, temperature) for angle in angles]))
    for each in shown:
        steps = np.linspace(0.0, BEYOND * trained.stresses_mpa[-1], POINTS).tolist()
        found.append(("stress", "angle", at_temperature, [_at(each, step, temperature) for step in steps]))
    for each in shown:
        coldest, hottest = trained.temperatures_k[0] / BEYOND, BEYOND * trained.temperatures_k[-1]
        steps = np.linspace(coldest, hottest, POINTS).tolist()
        found.append(("temperature", "angle", at_stress, [_at(each, stress, step) for step in steps]))
    return found


@dataclass(frozen=True, eq=False)
class _StraightLines:
    features: MobilityFeatureSettings
    burgers_angstrom: float
    size_angstrom: tuple[float, float, float]
    spacing_angstrom: float

    def graphs(self, conditions: Conditions) -> tuple[LineGraph, ...]:
        """Both places of the lines."""
        cell, lines = straight_dipole(conditions.angle_deg, self.size_angstrom, self.burgers_angstrom)
        divided = [resampled(line, cell, self.spacing_angstrom) for line in lines]
        stress = resolved_stress_mpa(conditions.stress_mpa, lines[0].burgers_angstrom)
        places = (divided, [divided[0], _shifted(divided[1])])
        frames = [
            LineFrame(
                time_ps=0.0,
                cell_angstrom=cell,
                stress_mpa=stress,
                temperature_k=conditions.temperature_k,
                lines=tuple(place),
            )
            for place in places
        ]
        return tuple(line_graph(frame, stress, conditions.temperature_k, self.features) for frame in frames)


def _shifted(line: DislocationLine) -> DislocationLine:
    return replace(line, nodes_fractional=line.nodes_fractional + np.array([0.5, 0.0, 0.0]))


def _terms(
    ensemble: MobilityEnsemble,
    graphs: Sequence[Sequence[LineGraph]],
    conditions: Sequence[Conditions],
    trained: TrainingRange,
) -> Iterator[GlideTerms]:
    """Terms of each of some conditions from its graphs, all of which are shown to the networks at once."""
    found = ensemble.predict(batched([graph for own in graphs for graph in own]))
    ends = np.cumsum([0, *(sum(graph.nodes for graph in own) for own in graphs)])
    for each, first, last in zip(conditions, ends[:-1], ends[1:], strict=True):
        own = slice(first, last)
        yield GlideTerms(
            conditions=each,
            free_velocity_m_per_s=_m_per_s(found.free_velocity_angstrom_per_ps[own]),
            free_velocity_spread_m_per_s=_m_per_s(found.free_velocity_spread_angstrom_per_ps[own]),
            energy_ev=float(found.energy_ev[own].mean()),
            energy_spread_ev=float(found.energy_spread_ev[own].mean()),
            velocity_m_per_s=_m_per_s(found.velocity_angstrom_per_ps[own]),
            velocity_spread_m_per_s=_m_per_s(found.spread_angstrom_per_ps[own]),
            extrapolated=trained.outside(each),
        )


def _m_per_s(velocities_angstrom_per_ps: FloatArray) -> float:
    return float(velocities_angstrom_per_ps.mean()) * ANGSTROM_PER_PS_TO_M_PER_S


def _at(angle_deg: float, stress_mpa: float, temperature_k: float) -> Conditions:
    return Conditions(angle_deg=angle_deg, stress_mpa=stress_mpa, temperature_k=temperature_k)


def _within(value: float, trained: Sequence[float]) -> bool:
    return bool(trained) and trained[0] - 1e-9 <= value <= trained[-1] + 1e-9


def _middle(values: Sequence[float]) -> float:
    return values[len(values) // 2]


def _shown(values: Sequence[float]) -> tuple[float, ...]:
    """So many of the sorted values as series, from the first to the last."""
    numbers: FloatArray = np.linspace(0, len(values) - 1, min(SERIES, len(values)))
    return tuple(values[round(number)] for number in numbers.tolist())
