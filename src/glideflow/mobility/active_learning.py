"""Asking for the next trajectories: those of which an ensemble of networks is least sure.

Tian et al. (npj Comput. Mater. 10 (2024), doi:10.1038/s41524-024-01394-4, Fig. 2) evaluate the ensemble along
trajectories that were simulated for all candidates. Here it is evaluated on the lines as they are built, under the
stress and at the temperature of the candidate, which takes no simulation: only those that are selected are simulated.

This module imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from glideflow.mobility.ensemble import MobilityEnsemble
from glideflow.mobility.extraction import DislocationLine, resampled
from glideflow.mobility.graph import LineGraph, line_graph
from glideflow.mobility.queries import Candidate, Query
from glideflow.mobility.scenarios import Scenario, candidate_scenarios, initial_scenarios
from glideflow.mobility.trajectory import LineFrame
from glideflow.mobility.velocities import thermal_displacement_angstrom

if TYPE_CHECKING:
    from glideflow.config.mobility import MobilitySettings
    from glideflow.config.mobility_network import MobilityFeatureSettings
    from glideflow.mobility.cells import DislocationCell

BuildCell = Callable[[Scenario], "DislocationCell"]


def next_query(
    ensemble: MobilityEnsemble, settings: MobilitySettings, build: BuildCell, previous: Query | None, seed: int
) -> Query:
    """Look at the candidates of a training, and select.

    Args:
        ensemble: the trained networks.
        settings: section ``mobility``.
        build: makes the cell of a scenario.
        previous: the query before; None after the first training.
        seed: of the run, from which the pool is drawn.

    Raises:
        ConfigurationError: a cell cannot be built.
    """
    learning = settings.learning
    iteration = 0 if previous is None else previous.iteration + 1
    known = initial_names(settings) if previous is None else previous.next_scenarios
    pool = candidate_scenarios(settings, known, iteration, seed)
    looked_at = [_looked_at(ensemble, each, build(each), settings) for each in pool]
    percent = _percent(looked_at)
    done = percent is None or percent < learning.threshold_percent or iteration >= learning.iterations
    chosen = () if done else _chosen(looked_at, learning.selected, learning.strategy)
    return Query(
        iteration=iteration,
        strategy=learning.strategy,
        simulated=known,
        uncertainty_percent=percent,
        threshold_percent=learning.threshold_percent,
        candidates=tuple(replace(each, selected=each.id in chosen) for each in looked_at),
        done=done,
    )


def initial_names(settings: MobilitySettings) -> tuple[str, ...]:
    """Names of the scenarios with which learning begins."""
    return tuple(each.id for each in initial_scenarios(settings))


def starting_graph(
    cell: DislocationCell, scenario: Scenario, features: MobilityFeatureSettings, spacing_angstrom: float
) -> LineGraph:
    """The graph of the lines as they are built, under the stress of a scenario.

    Args:
        cell: the cell.
        scenario: stress and temperature.
        features: elastic medium and Gauss points.
        spacing_angstrom: distance of nodes.
    """
    inverse = np.linalg.inv(cell.cell_angstrom)
    lines = []
    for reference in cell.reference_lines:
        line = reference.canonical()
        built = DislocationLine(
            nodes_fractional=line.points_angstrom @ inverse,
            period=np.rint(line.period_angstrom @ inverse).astype(int),
            burgers_angstrom=cell.burgers_angstrom,
            topology="closed" if line.is_closed else "infinite",
        )
        lines.append(resampled(built, cell.cell_angstrom, spacing_angstrom))
    stress_mpa = cell.shear_stress_mpa(scenario.stress_mpa)
    frame = LineFrame(
        time_ps=0.0,
        cell_angstrom=cell.cell_angstrom,
        stress_mpa=stress_mpa,
        temperature_k=scenario.temperature_k,
        lines=tuple(lines),
    )
    return line_graph(frame, stress_mpa, scenario.temperature_k, features)


def _looked_at(
    ensemble: MobilityEnsemble, scenario: Scenario, cell: DislocationCell, settings: MobilitySettings
) -> Candidate:
    graph = starting_graph(cell, scenario, ensemble.features, settings.dynamics.node_spacing_angstrom)
    prediction = ensemble.predict(graph)
    displacement = float(np.abs(prediction.velocity_angstrom_per_ps).mean()) * ensemble.step_ps
    force = float(np.abs(graph.glide_force_mpa_angstrom).mean())
    length = float(np.linalg.norm(graph.segments_angstrom, axis=1).sum()) / len(cell.reference_lines)
    drag_pa_s = force * ensemble.step_ps / displacement * 1e-6 if displacement > 0 else np.nan  # of MPa·ps
    floor = thermal_displacement_angstrom(scenario.temperature_k, drag_pa_s, length, ensemble.step_ps)
    return Candidate(
        id=scenario.id,
        displacement_angstrom=displacement,
        spread_angstrom=float(prediction.spread_angstrom_per_ps.mean()) * ensemble.step_ps,
        thermal_floor_angstrom=floor if np.isfinite(floor) else None,
    )


def _percent(candidates: Sequence[Candidate]) -> float | None:
    moved = sum(each.displacement_angstrom for each in candidates)
    return 100.0 * sum(each.spread_angstrom for each in candidates) / moved if moved > 0 else None


def _chosen(candidates: Sequence[Candidate], count: int, strategy: str) -> set[str]:
    ranked = candidates if strategy == "passive" else sorted(candidates, key=lambda each: -each.spread_angstrom)
    return {each.id for each in ranked[:count]}
