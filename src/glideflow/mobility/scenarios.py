"""The table of scenarios: which dislocations are simulated under which conditions, with stable names."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from glideflow.crystals.lattices import FloatArray
from glideflow.errors import ConfigurationError
from glideflow.mobility.cells import CellKind

if TYPE_CHECKING:
    from glideflow.config.mobility import MobilitySettings

ID_PATTERN = r"(?:dipole_[0-9.e+-]+deg|loop_[0-9.e+-]+nm)_[0-9.e+-]+MPa_[0-9.e+-]+K_[0-9]+"
"""What names of scenarios look like."""

_PARTS = re.compile(r"(dipole|loop)_(.+?)(?:deg|nm)_(.+)MPa_(.+)K_([0-9]+)")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One trajectory to be simulated.

    Attributes:
        kind: ``dipole`` or ``loop``.
        size: angle of a dipole in degrees, or radius of a loop in nm.
        stress_mpa: resolved shear stress.
        temperature_k: temperature.
        seed: seed of the velocities.
    """

    kind: CellKind
    size: float
    stress_mpa: float
    temperature_k: float
    seed: int

    @property
    def id(self) -> str:
        """Name that says everything, e.g. ``dipole_109.47deg_500MPa_300K_0``; the same values give the same name."""
        unit = "deg" if self.kind == "dipole" else "nm"
        numbers = [np.format_float_positional(x, trim="-") for x in (self.size, self.stress_mpa, self.temperature_k)]
        return f"{self.kind}_{numbers[0]}{unit}_{numbers[1]}MPa_{numbers[2]}K_{self.seed}"

    @property
    def options(self) -> tuple[str, ...]:
        """Options of `glideflow mobility run` that simulate it."""
        lines = f"--angle={self.size!r}" if self.kind == "dipole" else f"--radius={self.size!r}"
        conditions = (f"--stress={self.stress_mpa!r}", f"--temperature={self.temperature_k!r}", f"--seed={self.seed}")
        return (f"--kind={self.kind}", lines, *conditions)


def trajectory_file(scenario: str) -> str:
    """Where the trajectory of a scenario lies below the folder of a run's results.

    Args:
        scenario: name of the scenario.
    """
    return f"mobility/trajectories/{scenario}.h5"


def scenario_from_id(name: str) -> Scenario:
    """The scenario that a name stands for.

    Raises:
        ConfigurationError: it is not the name of one.
    """
    found = _PARTS.fullmatch(name)
    try:
        if found is None:
            raise ValueError
        size, stress, temperature = (float(text) for text in found.groups()[1:4])
        kind: CellKind = "dipole" if found[1] == "dipole" else "loop"
        scenario = Scenario(kind=kind, size=size, stress_mpa=stress, temperature_k=temperature, seed=int(found[5]))
        if scenario.id != name or not all(map(math.isfinite, (size, stress, temperature))):
            raise ValueError
    except ValueError:
        raise ConfigurationError(
            f"the scenario {name!r:.120}",
            expected="a name such as dipole_90deg_500MPa_300K_0 or loop_5nm_1500MPa_300K_0",
            next_step="`glideflow mobility scenarios` lists those of a configuration",
        ) from None
    return scenario


def scenario_table(settings: MobilitySettings) -> tuple[Scenario, ...]:
    """Every scenario of the grid: angles x stresses x temperatures x seeds, then radii of loops likewise.

    Args:
        settings: section ``mobility``.
    """
    grid = settings.scenarios
    blocks: tuple[tuple[CellKind, Sequence[float], Sequence[float]], ...] = (
        ("dipole", settings.cells.angles_deg, settings.stresses_mpa),
        ("loop", grid.loop_radii_nm, grid.loop_stresses_mpa),
    )
    return tuple(
        Scenario(kind=kind, size=size, stress_mpa=stress, temperature_k=temperature, seed=seed)
        for kind, sizes, stresses in blocks
        for size, stress, temperature, seed in product(sizes, stresses, settings.temperatures_k, grid.seeds)
    )


def initial_scenarios(settings: MobilitySettings) -> tuple[Scenario, ...]:
    """Scenarios that are simulated before anything was learned; all of them where nothing is to be learned.

    Far from each other (`farthest_first`) in angle on its circle of 180°, in stress and in temperature, each in units
    of its range; loops are far from dipoles.

    Args:
        settings: section ``mobility``.
    """
    table = scenario_table(settings)
    if not settings.learning.iterations:
        return table
    return tuple(table[number] for number in sorted(farthest_first(table, settings.scenarios.initial)))


def farthest_first(table: Sequence[Scenario], count: int) -> list[int]:
    """Numbers of scenarios that are spread over a table, in the order in which they are taken.

    The first one is the most central, each further one as far from those before as the table allows.

    Args:
        table: scenarios to choose from.
        count: how many at most.
    """
    places = _places(table)
    chosen = [int(np.argmin(np.linalg.norm(places - places.mean(axis=0), axis=1)))]
    nearest = np.linalg.norm(places - places[chosen[0]], axis=1)
    while len(chosen) < min(count, len(table)):
        nearest[chosen] = -1.0  # repetitions with another seed lie at a distance of zero
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return chosen


def candidate_scenarios(
    settings: MobilitySettings, known: Collection[str], iteration: int, seed: int
) -> tuple[Scenario, ...]:
    """Scenarios that are looked at after a training, drawn at random from those that were not simulated yet.

    Args:
        settings: section ``mobility``.
        known: names of the scenarios that were simulated.
        iteration: number of the training.
        seed: of the run.
    """
    rest = [scenario for scenario in scenario_table(settings) if scenario.id not in known]
    order = np.random.default_rng([seed, iteration]).permutation(len(rest))[: settings.learning.candidates]
    return tuple(rest[number] for number in order.tolist())


def _places(table: Sequence[Scenario]) -> FloatArray:
    """(N, 5) places of scenarios, in units in which they can be compared."""
    loops = np.array([scenario.kind == "loop" for scenario in table])
    sizes = np.array([scenario.size for scenario in table])
    angles = 2 * np.radians(sizes)  # lines have no sense: 180° is 0°
    radii = np.where(loops, sizes / max(sizes[loops], default=1.0), 0.0)
    circle = np.where(loops, 0.0, 1.0) * np.array([np.cos(angles), np.sin(angles)]) / 2
    ranges = [_by_range([scenario.stress_mpa for scenario in table])]
    ranges.append(_by_range([scenario.temperature_k for scenario in table]))
    return np.column_stack([*circle, radii, *ranges])


def _by_range(values: Sequence[float]) -> FloatArray:
    array = np.asarray(values)
    return np.asarray((array - array.min()) / (np.ptp(array) or 1.0))
