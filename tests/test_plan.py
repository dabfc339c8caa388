from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glideflow.config.load import settings_from_mapping
from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.config.run import RunSettings
from glideflow.config.yaml_text import settings_yaml
from glideflow.cost import Cost, microseconds_per_atom, peierls_atoms, property_cost
from glideflow.engines.nep import repeats_for
from glideflow.job_log import KILLED_ONCE, RESUMED, WAITING
from glideflow.plan import (
    FIRST_ATTEMPT_SAFETY,
    Measurement,
    earlier_measurements,
    job_memory_mb,
    job_runtime_min,
    plan_run,
)
from glideflow.potentials.record import Potential
from glideflow.run import ResolvedRun


def run_with(potentials: tuple[Potential, ...], base: Path = Path(), **settings: object) -> ResolvedRun:
    return ResolvedRun(settings=settings_from_mapping(settings, "test"), base=base, potentials=potentials)


COPPER = Potential(id="Cu_a", element="Cu", structure="fcc", pair_style="eam/alloy")
IRON = Potential(id="Fe_a", element="Fe", structure="bcc", pair_style="eam/fs")
MAGNESIUM = Potential(id="Mg_a", element="Mg", structure="hcp", pair_style="meam")


def test_atoms_of_the_reference_cell_are_those_that_the_builder_makes() -> None:
    # Measured: 5 712 atoms for Cu at 100 Å, 5 355 for Fe at 60 Å.
    settings = run_with(()).settings.peierls_stress
    assert peierls_atoms(settings, COPPER) == pytest.approx(5712, rel=0.02)
    lower = settings.model_copy(update={"height_angstrom": 60.0})
    assert peierls_atoms(lower, IRON) == pytest.approx(5355, rel=0.02)


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("eam/alloy", 2.3),
        ("eam", 2.3),
        ("meam", 15.0),
        ("meam/spline", 28.0),
        ("adp", 4.1),
        ("snap", 300.0),
        ("nep", 65.0),
    ],
)
def test_the_longest_matching_pair_style_counts(style: str, expected: float) -> None:
    assert microseconds_per_atom(style) == expected


def test_cost_grows_with_what_is_asked_for() -> None:
    small = run_with((), gamma_surface={"grid": [11, 11]}, peierls_stress={"burgers_vectors": 30}).settings
    large = run_with(()).settings
    for rule in ("gamma_surface", "peierls_stress"):
        assert property_cost(small, rule, COPPER).core_seconds < property_cost(large, rule, COPPER).core_seconds
        assert property_cost(large, rule, COPPER).core_seconds < property_cost(large, rule, MAGNESIUM).core_seconds


def test_neuroevolution_potentials_cost_more_in_thin_cells_and_keep_more() -> None:
    """As `glideflow.engines.nep` chooses: a search that grows with the square, then four copies."""
    network = replace(COPPER, engine="nep", pair_style="", pair_coeff=())

    def cost(potential: Potential, height: float) -> Cost:
        settings = RunSettings().model_copy(
            update={"peierls_stress": PeierlsStressSettings(height_angstrom=height, burgers_vectors=60)}
        )
        return property_cost(settings, "peierls_stress", potential)

    for height, repeats in ((80.0, 1), (400.0, 4)):
        atoms = peierls_atoms(PeierlsStressSettings(height_angstrom=height, burgers_vectors=60), network)
        assert math.prod(repeats_for(np.diag([150.0, 4.43, height + 30]), atoms, 6.0)) == repeats
        memory_mb = cost(network, height).memory_mb - cost(COPPER, height).memory_mb
        assert memory_mb == pytest.approx(0.056 * atoms * repeats)
        assert cost(network, height).core_seconds > 30 * cost(COPPER, height).core_seconds


def test_plan_counts_the_jobs_of_each_rule() -> None:
    plan = plan_run(run_with((COPPER, IRON, MAGNESIUM)), cores=2)
    assert {rule.rule: rule.jobs for rule in plan.rules} == {
        "lattice": 3,
        "elastic": 3,
        "gamma_surface": 3,
        "peierls_stress": 3,
        "library": 1,
        "report": 1,
        "site": 1,
    }
    assert plan.jobs == 15
    assert plan.core_hours == pytest.approx(sum(rule.core_hours for rule in plan.rules))
    assert plan.gpu_hours == 0
    assert plan.calibration == ()


def test_properties_bring_what_they_need() -> None:
    run = run_with((COPPER,), properties=["peierls_stress"])
    assert run.properties == ("lattice", "peierls_stress")


def test_wall_time_lies_between_its_bounds() -> None:
    run = run_with((COPPER, IRON, MAGNESIUM))
    serial = plan_run(run, cores=1)
    assert serial.wall_hours == pytest.approx(serial.core_hours)
    wide = plan_run(run, cores=1000)
    chain = {rule.rule: rule.longest_job_s for rule in wide.rules}
    critical = chain["lattice"] + chain["peierls_stress"] + chain["library"] + chain["report"]
    assert wide.wall_hours * 3600 == pytest.approx(critical)
    two = plan_run(run, cores=2)
    assert max(wide.wall_hours, serial.core_hours / 2) <= two.wall_hours <= serial.wall_hours


def test_a_job_wider_than_the_machine_still_ends() -> None:
    run = run_with((COPPER,), engine={"accelerator": "omp", "threads": 8})
    assert math.isfinite(plan_run(run, cores=2).wall_hours)


def test_jobs_that_would_reach_their_limit_are_counted_and_take_no_longer() -> None:
    run = run_with((COPPER, MAGNESIUM), properties=["lattice"], engine={"time_limit_s": 2.0})
    (lattice, *_) = plan_run(run, cores=1).rules
    assert lattice.jobs_over_limit == 2
    assert lattice.longest_job_s == 2.0


def test_measurements_scale_the_model_of_the_same_rule_and_style() -> None:
    run = run_with((COPPER, MAGNESIUM), properties=["gamma_surface"])
    plain = plan_run(run, cores=1)
    slow = Measurement(run="earlier", rule="gamma_surface", pair_style="eam/alloy", seconds=30.0, modelled_seconds=10.0)
    fast = Measurement(run="earlier", rule="gamma_surface", pair_style="meam", seconds=5.0, modelled_seconds=10.0)
    measured = plan_run(run, cores=1, measurements=[slow, fast])
    expected = sum(
        factor * property_cost(run.settings, "gamma_surface", potential).core_seconds
        for factor, potential in ((3.0, COPPER), (0.5, MAGNESIUM))
    )
    rules = {rule.rule: rule for rule in measured.rules}
    assert rules["gamma_surface"].core_hours * 3600 == pytest.approx(expected)
    assert rules["gamma_surface"].measurements == 1
    assert rules["lattice"].core_hours == {rule.rule: rule for rule in plain.rules}["lattice"].core_hours
    assert measured.calibration == ("earlier",)


def test_schedulers_are_asked_for_the_limit_after_a_failure() -> None:
    run = run_with((COPPER,), engine={"time_limit_s": 36000, "memory_limit_gib": 8})
    first = job_runtime_min(run, "peierls_stress", "Cu_a", 1)
    modelled = property_cost(run.settings, "peierls_stress", COPPER).core_seconds
    assert first * 60 > FIRST_ATTEMPT_SAFETY * modelled
    assert first < job_runtime_min(run, "peierls_stress", "Cu_a", 2) == 610
    assert job_memory_mb(run, "lattice", "Cu_a", 1) < job_memory_mb(run, "lattice", "Cu_a", 2) == 8 * 1024 + 500


def test_first_request_never_exceeds_the_limit() -> None:
    run = run_with((COPPER,), engine={"time_limit_s": 60, "memory_limit_gib": 0.5})
    assert job_runtime_min(run, "peierls_stress", "Cu_a", 1) == 11
    assert job_memory_mb(run, "peierls_stress", "Cu_a", 1) == 512 + 500


def test_paper_tier_is_a_matter_of_core_weeks_not_of_minutes(repository: Path) -> None:
    from glideflow.config.load import load_settings

    settings = load_settings(repository / "config/paper.yaml")
    run = ResolvedRun(settings=settings, base=repository, potentials=(COPPER,))
    plan = plan_run(run, cores=1)
    assert 0.5 < plan.core_hours < 24
    assert peierls_atoms(settings.peierls_stress, COPPER) == pytest.approx(9.6e5, rel=0.05)


class TestBenchmarksOfEarlierRuns:
    """Snakemake's benchmark files below the folder of results."""

    HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"

    @pytest.fixture
    def earlier(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ResolvedRun:
        run = run_with((COPPER,), tmp_path, name="earlier")
        folder = tmp_path / "results/earlier"
        for task in run.property_tasks():
            file = folder / task.benchmark
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{self.HEADER}40.0\t0:00:40\t1\t1\t1\t1\t0\t0\t1\t40\n")
            log = folder / task.log
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(f"relaxation: 1\nwrote {task.output}\n")
        (folder / "config.yaml").write_text(settings_yaml(run.settings), encoding="utf-8")
        monkeypatch.setattr("glideflow.potentials.select.resolve", lambda settings, base: (COPPER,))
        return run

    def test_are_read_beside_what_the_model_says(self, earlier: ResolvedRun) -> None:
        measurements = {item.rule: item for item in earlier_measurements(earlier)}
        assert set(measurements) == {"lattice", "elastic", "gamma_surface", "peierls_stress"}
        peierls = measurements["peierls_stress"]
        assert (peierls.run, peierls.pair_style, peierls.seconds) == ("earlier", "eam/alloy", 40.0)
        assert peierls.modelled_seconds == property_cost(earlier.settings, "peierls_stress", COPPER).core_seconds

    @pytest.mark.parametrize(
        "said",
        [
            pytest.param("peierls_stress failed: the core is lost\n(recorded in x.h5)\n", id="failed"),
            pytest.param(f"{RESUMED}: 12\nwrote x.h5\n", id="resumed"),
            pytest.param(f"relaxation: 1\n{KILLED_ONCE}: 0\n{RESUMED}: 3\nwrote x.h5\n", id="engine killed"),
            pytest.param(f"{WAITING} process 7 on n1: 0\nwrote x.h5\n", id="waited"),
            pytest.param("relaxation: 1\n", id="cut off"),
            pytest.param(None, id="no log"),
        ],
    )
    def test_of_jobs_that_did_not_do_the_whole_work_do_not_count(self, earlier: ResolvedRun, said: str | None) -> None:
        (task,) = [task for task in earlier.property_tasks() if task.rule == "peierls_stress"]
        log = earlier.base / "results/earlier" / task.log
        log.write_text(said) if said is not None else log.unlink()
        assert {item.rule for item in earlier_measurements(earlier)} == {"lattice", "elastic", "gamma_surface"}

    def test_of_a_larger_run_scale_a_smaller_one(self, earlier: ResolvedRun) -> None:
        small = run_with((COPPER,), earlier.base, peierls_stress={"burgers_vectors": 30})
        plan = plan_run(small, cores=1, measurements=earlier_measurements(small))
        rule = next(rule for rule in plan.rules if rule.rule == "peierls_stress")
        assert rule.core_hours * 3600 < 40

    def test_that_are_cut_off_or_of_an_unreadable_run_are_passed_over(self, earlier: ResolvedRun) -> None:
        task = earlier.property_tasks()[0]
        folder = earlier.base / "results/earlier"
        (folder / task.benchmark).write_text(self.HEADER)
        assert task.rule not in {item.rule for item in earlier_measurements(earlier)}
        (folder / "config.yaml").write_text("nmae: earlier\n")  # codespell:ignore nmae
        assert earlier_measurements(earlier) == ()


def test_plan_is_plain_data() -> None:
    import dataclasses

    plan = plan_run(run_with((COPPER,)), cores=2)
    assert json.loads(json.dumps(dataclasses.asdict(plan)))["rules"][0]["jobs"] == 1
