"""Dislocation lines moved by a law: Heun's method with control of its error against Euler's with a fixed step.

A loop of radius 5 nm shrinks under its own tension. Both ways use the same forces and nodes; Euler's step is halved
until its error in the radius is that of Heun's method, or there are 1024 of them. The error, in the note of each row,
is against a run whose steps are controlled a thousand times as closely. Then the rate at which loops shrink is compared
with its closed form, by the number of Gauss points of a segment.

    python benchmarks/bench_line_dynamics.py
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from harness import Row, report, timed

from glideflow.config.mobility_glide import LineDynamicsSettings
from glideflow.config.mobility_network import MobilityFeatureSettings
from glideflow.mobility.laws import drag_law
from glideflow.mobility.line_dynamics import LineProblem, circular_loop, glide, moved, resolved_stress_mpa

BURGERS, DRAG, SHEAR_MODULUS_GPA, POISSON_RATIO = 2.48, 85.0, 64.3, 0.3
RADIUS, DURATION_PS = 50.0, 0.5
MOST_EULER_STEPS = 1024
FIXED_NODES = {"shortest_segment": 0.0, "longest_segment": 10.0}
LAW = drag_law(screw_drag_mpa_ps=DRAG, edge_drag_mpa_ps=DRAG, burgers_angstrom=BURGERS)


def problem(edge: float, sides: int = 24, points: int = 5) -> LineProblem:
    cell, lines = circular_loop(RADIUS, (edge,) * 3, BURGERS, sides)
    medium = MobilityFeatureSettings(
        images=1, gauss_points=points, shear_modulus_gpa=SHEAR_MODULUS_GPA, poisson_ratio=POISSON_RATIO
    )
    stress = resolved_stress_mpa(0.0, lines[0].burgers_angstrom)
    return LineProblem(lines=lines, cell_angstrom=cell, applied_stress_mpa=stress, temperature_k=300.0, medium=medium)


def radius(line_chain: np.ndarray) -> float:
    area = sum(0.5 * (a[0] * b[1] - b[0] * a[1]) for a, b in pairwise(line_chain))
    return float(np.sqrt(abs(area) / np.pi))


def by_heun(tolerance: float) -> tuple[float, str]:
    settings = LineDynamicsSettings(
        duration_ps=DURATION_PS, interval_ps=DURATION_PS, tolerance_angstrom=tolerance, **FIXED_NODES
    )
    run = glide(problem(600.0), LAW, settings)
    (line,) = run.frames[-1].lines
    return radius(line.chain_angstrom(run.frames[-1].cell_angstrom)), f"{run.steps} steps"


def by_euler(steps: int) -> tuple[float, str]:
    start = problem(600.0)
    lines = start.lines
    for _ in range(steps):
        velocities = LAW.node_velocities(start.conditions(lines)).vectors_angstrom_per_ps
        lines = moved(lines, DURATION_PS / steps * velocities, start.cell_angstrom)
    return radius(lines[0].chain_angstrom(start.cell_angstrom)), f"{steps} steps"


def closed_rate() -> float:
    """dR/dt in Å/ps of a glide loop without load, from its energy (Cai et al. 2006, up to (a/R)²)."""
    ratio = POISSON_RATIO
    bracket = (2 - ratio) / (1 - ratio) * (np.log(8 * RADIUS / BURGERS) - 1) + 0.5
    return -float(SHEAR_MODULUS_GPA * 1e3 * BURGERS**2 / (8 * np.pi * RADIUS) * bracket / DRAG)


def rate(sides: int, points: int) -> float:
    """dR/dt of the mean radius of a polygon in a cell of twenty radii."""
    start = problem(20 * RADIUS, sides, points)
    conditions = start.conditions(start.lines)
    speeds = LAW.node_velocities(conditions).speed_angstrom_per_ps
    return float(speeds @ conditions.geometry.shares_angstrom) / (2 * np.pi * RADIUS)


def main() -> None:
    by_heun(0.05)  # compiles
    exact, _ = by_heun(5e-5)
    (found, note), heun_s = timed(lambda: by_heun(0.05))
    aim = abs(found - exact)
    rows = [Row(way="Heun, 0.05 Å a step", cpu_s=heun_s, note=f"{note}, error {aim:.2g} Å")]
    steps, error = 16, np.inf
    while error > aim and steps <= MOST_EULER_STEPS:
        (found, note), euler_s = timed(lambda steps=steps: by_euler(steps))
        error = abs(found - exact)
        rows.append(Row(way=f"Euler, {steps} steps", cpu_s=euler_s, note=f"{note}, error {error:.2g} Å"))
        steps *= 2
    rates = {
        f"{sides} segments, {points} Gauss points": rate(sides, points) / closed_rate() - 1
        for sides in (12, 24, 48)
        for points in (2, 3, 5)
    }
    report("line_dynamics", "a loop that shrinks", rows, error_of_rate=rates)
    for name, deviation in rates.items():
        print(f"rate of shrinking, {name}: {100 * deviation:+.2f} % off the closed form")


if __name__ == "__main__":
    main()
