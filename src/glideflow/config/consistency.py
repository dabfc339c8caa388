"""Checks across sections of a configuration, made before anything runs and without any physics package."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from glideflow.config.engine import EngineSettings
from glideflow.config.potentials import PotentialsSettings
from glideflow.config.run import RunSettings
from glideflow.config.slip_systems import SlipSystemSettings
from glideflow.config.yaml_text import KeyPath

MIN_GRID_POINTS = 5
MAX_GRID_POINTS = 1001
# Braces are wildcards of Snakemake; control characters break logs and file names; quotes are harmless.
UNSAFE_PATH = re.compile(r"[{}\x00-\x1f\x7f]")
PLACEHOLDER = re.compile(r"\{[^}]*\}")
INDICES_PER_STRUCTURE = {"fcc": 3, "bcc": 3, "hcp": 4}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a configuration.

    Attributes:
        path: key path from the top.
        found: what is wrong, with the value.
        expected: what would be right.
    """

    path: KeyPath
    found: str
    expected: str


def consistency_problems(settings: RunSettings) -> tuple[Problem, ...]:
    """Every contradiction between values that are each valid alone."""
    checks: tuple[Callable[[RunSettings], Iterator[Problem]], ...] = (
        _folder_problems,
        _duplicate_problems,
        _source_problems,
        _engine_problems,
        _elastic_problems,
        _grid_problems,
        _peierls_problems,
        _slip_system_problems,
    )
    return tuple(problem for check in checks for problem in check(settings))


def path_problem(text: str, *, path: KeyPath) -> Problem | None:
    """Say why a path is refused: empty, an option in disguise, or with characters that a workflow would interpret."""
    found = f"found {text!r}"
    if not text.strip():
        return Problem(path=path, found=found, expected="a path")
    if text.startswith("-"):
        return Problem(
            path=path, found=found, expected="a path that does not start with '-' (write ./- if you mean it)"
        )
    if UNSAFE_PATH.search(text):
        return Problem(path=path, found=found, expected="a path without braces, line breaks and control characters")
    return None


def _folder_problems(settings: RunSettings) -> Iterator[Problem]:
    unsafe = [path_problem(getattr(settings, key), path=(key,)) for key in ("results", "work")]
    if any(unsafe):
        yield from filter(None, unsafe)
        return
    results, work = (Path(folder, settings.name).resolve() for folder in (settings.results, settings.work))
    if results.is_relative_to(work) or work.is_relative_to(results):
        yield Problem(
            path=("work",),
            found=f"finished results ({results}) and partial results ({work}) overlap",
            expected="two folders of which neither lies inside the other",
        )


def _duplicate_problems(settings: RunSettings) -> Iterator[Problem]:
    select = settings.potentials.select
    lists: dict[KeyPath, Sequence[object]] = {
        ("properties",): settings.properties,
        ("subsets",): [subset.property for subset in settings.subsets],
        ("potentials", "select", "ids"): [name.lower() for name in select.ids],
        ("potentials", "select", "elements"): select.elements,
        ("peierls_stress", "directions"): settings.peierls_stress.directions,
        ("peierls_series", "sizes"): [*settings.peierls_series.sizes, *settings.peierls_series.further_sizes],
        ("slip_systems",): [system.name for system in settings.slip_systems],
        ("elastic", "strain_amplitudes"): settings.elastic.strain_amplitudes,
        ("mobility", "stresses_mpa"): settings.mobility.stresses_mpa,
        ("mobility", "temperatures_k"): settings.mobility.temperatures_k,
        ("mobility", "cells", "angles_deg"): settings.mobility.cells.angles_deg,
        ("mobility", "scenarios", "seeds"): settings.mobility.scenarios.seeds,
        ("mobility", "scenarios", "loop_radii_nm"): settings.mobility.scenarios.loop_radii_nm,
        ("mobility", "scenarios", "loop_stresses_mpa"): settings.mobility.scenarios.loop_stresses_mpa,
        **{("slip_systems", i, "characters"): system.characters for i, system in enumerate(settings.slip_systems)},
    }
    for path, values in lists.items():
        repeated = sorted({str(value) for value in values if list(values).count(value) > 1})
        if repeated:
            found = f"{', '.join(repeated)} given more than once"
            yield Problem(
                path=path, found=found, expected="distinct entries (upper and lower case make no difference in ids)"
            )
    if not settings.properties:
        yield Problem(path=("properties",), found="found an empty list", expected="at least one property")


def _source_problems(settings: RunSettings) -> Iterator[Problem]:
    potentials: PotentialsSettings = settings.potentials
    if not potentials.sources:
        yield Problem(path=("potentials", "sources"), found="found an empty list", expected="at least one source")
    for index, source in enumerate(potentials.sources):
        location = ("potentials", "sources", index)
        folder = getattr(source, "path", None)
        # An empty path of openkim means the places where Debian installs it.
        if folder is not None and not (source.kind == "openkim" and folder == ""):
            problem = path_problem(folder, path=(*location, "path"))
            yield from [problem] if problem else []
        if source in potentials.sources[:index]:
            yield Problem(path=location, found="the same source is given twice", expected="each source once")
    for name in sorted(set(potentials.select.ids) & set(potentials.select.exclude)):
        expected = "an id in one of the two lists"
        yield Problem(
            path=("potentials", "select", "exclude"), found=f"{name} is both selected and excluded", expected=expected
        )


def _engine_problems(settings: RunSettings) -> Iterator[Problem]:
    engine: EngineSettings = settings.engine
    threaded = engine.accelerator in ("omp", "kokkos")
    if engine.threads > 1 and not threaded:
        found = f"found {engine.threads} with accelerator {engine.accelerator!r}, which runs on one thread"
        yield Problem(path=("engine", "threads"), found=found, expected="1, or accelerator omp or kokkos")
    if engine.gpus and engine.accelerator != "kokkos":
        found = f"found {engine.gpus} with accelerator {engine.accelerator!r}"
        yield Problem(path=("engine", "gpus"), found=found, expected="0, or accelerator kokkos")
    if not engine.mpi_launcher or not engine.mpi_launcher[0].strip():
        found = f"found {list(engine.mpi_launcher)}"
        yield Problem(
            path=("engine", "mpi_launcher"), found=found, expected="a command such as [mpiexec, -n, '{ranks}']"
        )
    unknown = sorted(set(PLACEHOLDER.findall(" ".join(engine.mpi_launcher))) - {"{ranks}"})
    if unknown:
        found = f"found the placeholder {', '.join(unknown)}"
        yield Problem(path=("engine", "mpi_launcher"), found=found, expected="only the placeholder {ranks}")


def _elastic_problems(settings: RunSettings) -> Iterator[Problem]:
    for index, amplitude in enumerate(settings.elastic.strain_amplitudes):
        if not 0 < amplitude < 0.1:
            path: KeyPath = ("elastic", "strain_amplitudes", index)
            yield Problem(path=path, found=f"found {amplitude:g}", expected="a strain above 0 and below 0.1")


def _grid_problems(settings: RunSettings) -> Iterator[Problem]:
    for index, points in enumerate(settings.gamma_surface.grid):
        # An odd count, repeated edge included, has a point at half the period: where symmetry puts its centre.
        if points % 2 == 0 or not MIN_GRID_POINTS <= points <= MAX_GRID_POINTS:
            expected = f"an odd number from {MIN_GRID_POINTS} to {MAX_GRID_POINTS} (the repeated edge counts)"
            yield Problem(path=("gamma_surface", "grid", index), found=f"found {points}", expected=expected)


def _peierls_problems(settings: RunSettings) -> Iterator[Problem]:
    peierls = settings.peierls_stress
    if peierls.maximum_stress_mpa <= peierls.initial_stress_mpa:
        found = f"found {peierls.maximum_stress_mpa:g} MPa with initial_stress_mpa {peierls.initial_stress_mpa:g}"
        yield Problem(
            path=("peierls_stress", "maximum_stress_mpa"), found=found, expected="more than the initial stress"
        )
    for index, position in enumerate(peierls.start_positions):
        if not (math.isfinite(position) and abs(position) <= 1):
            path: KeyPath = ("peierls_stress", "start_positions", index)
            yield Problem(path=path, found=f"found {position:g}", expected="from -1 to 1 Burgers vectors")


def _slip_system_problems(settings: RunSettings) -> Iterator[Problem]:
    for index, system in enumerate(settings.slip_systems):
        yield from (
            Problem(path=("slip_systems", index, key), found=found, expected=expected)
            for key, found, expected in _index_problems(system)
        )


def _index_problems(system: SlipSystemSettings) -> Iterator[tuple[str, str, str]]:
    count = INDICES_PER_STRUCTURE[system.structure]
    vectors = {"plane": system.plane, "direction": system.direction}
    wrong = False
    for key, indices in vectors.items():
        expected = _index_expectation(indices, count)
        if expected:
            wrong = True
            yield key, f"found {list(indices)} for {system.structure}", expected
    if not wrong and sum(p * d for p, d in zip(system.plane, system.direction, strict=True)) != 0:
        expected = f"a direction that lies in the plane {list(system.plane)} (h·u + k·v + … = 0)"
        yield "direction", f"found {list(system.direction)}", expected


def _index_expectation(indices: tuple[int, ...], count: int) -> str:
    if len(indices) != count:
        return f"{count} indices ({'Miller-Bravais' if count == 4 else 'Miller'})"
    if not any(indices):
        return "indices that are not all zero"
    if count == 4 and sum(indices[:3]) != 0:
        return "Miller-Bravais indices whose first three add up to zero"
    return ""
