from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.config.peierls_nabarro import PeierlsNabarroSettings
from glideflow.config.run import RunSettings
from glideflow.config.slip_systems import FCC_111
from glideflow.crystals.slip_systems import slip_system
from glideflow.errors import ConfigurationError
from glideflow.library_build import build
from glideflow.library_recompute import recomputable, recompute, recompute_settings
from glideflow.properties.peierls_nabarro import peierls_nabarro
from glideflow.records import Library, StageRecord

if TYPE_CHECKING:
    from conftest import Records

SHORT = RunSettings(peierls_nabarro=PeierlsNabarroSettings(models=("line",), length_burgers=24))


def recomputed(library: Library, given: RunSettings = SHORT) -> list[StageRecord]:
    settings = recompute_settings(library, "peierls_nabarro", given)
    return list(recompute(library, "peierls_nabarro", settings))


def test_the_record_is_what_the_function_gives_of_the_other_records(records: Records) -> None:
    (made,) = recomputed(records.library(records.entry()))
    inputs = (records.result(name) for name in ("lattice", "elastic", "gamma_surface"))
    expected = peierls_nabarro(*inputs, slip_system(FCC_111), SHORT.peierls_nabarro)
    assert made.record_name == "peierls_nabarro.fcc_111.edge"
    assert made.result.peierls_joos_duesbery_mpa == expected.peierls_joos_duesbery_mpa  # type: ignore[union-attr]
    np.testing.assert_array_equal(
        made.result.models[0].disregistry_angstrom,  # type: ignore[union-attr]
        expected.models[0].disregistry_angstrom,
    )
    assert made.potential == records["gamma_surface"].potential
    assert made.provenance.engine_version == records["gamma_surface"].provenance.engine_version
    assert json.loads(made.provenance.settings_json)["length_burgers"] == 24


def test_what_cannot_be_computed_is_recorded_and_the_others_go_on(records: Records) -> None:
    flat = records.changed("gamma_surface", gamma_mj_m2=0 * records.result("gamma_surface").gamma_mj_m2)
    without = records.failed("gamma_surface", "the points do not relax")
    library = records.library(
        records.entry(id="a"),
        records.entry(records["lattice"], records["elastic"], flat, id="flat"),
        records.entry(records["lattice"], records["elastic"], without, id="failed"),
        records.entry(records["lattice"], records["elastic"], id="unfinished"),
    )
    made = {stage.potential.id: stage for stage in recomputed(library)}
    assert {name: stage.status for name, stage in made.items()} == {"a": "ok", "flat": "failed", "failed": "skipped"}
    assert "rises by 0 mJ/m²" in made["flat"].failure.reason  # type: ignore[union-attr]
    assert "the points do not relax" in made["failed"].failure.reason  # type: ignore[union-attr]


def test_the_configuration_is_the_librarys_but_for_the_property(records: Records) -> None:
    library = records.library(records.entry())
    other = RunSettings(seed=5, peierls_nabarro=PeierlsNabarroSettings(gamma="fourier"))
    settings = recompute_settings(library, "peierls_nabarro", other)
    assert settings.peierls_nabarro.gamma == "fourier"
    assert settings.seed == RunSettings().seed
    assert settings.properties == (*RunSettings().properties, "peierls_nabarro")


def test_what_evaluates_the_potential_is_refused(records: Records) -> None:
    assert recomputable() == ("peierls_nabarro",)
    library = records.library(records.entry())
    with pytest.raises(ConfigurationError, match="evaluates the potential"):
        list(recompute(library, "elastic", RunSettings()))


def test_the_command_makes_records_that_take_the_place_of_the_old_ones(records: Records, tmp_path: Path) -> None:
    (old,) = recomputed(records.library(records.entry()))
    stale = replace(old, provenance=replace(old.provenance, glideflow_version="0.0.1"))
    run = records.results(tmp_path / "run", *records.stages.values(), stale, settings="name: my-run\n")
    configuration = tmp_path / "short.yaml"
    configuration.write_text("peierls_nabarro: {models: [line], length_burgers: 24}\n", encoding="utf-8")
    options = ["--records", str(run), "--config", str(configuration), "--output", str(tmp_path / "new")]
    result = CliRunner().invoke(app, ["library", "recompute", "peierls_nabarro", *options])
    assert result.exit_code == 0, result.output
    assert "1 records of peierls_nabarro (1 ok)" in result.stderr
    (entry,) = build([tmp_path / "new", run], "both").entries
    assert entry.missing == ()
    stage = entry.stage("peierls_nabarro")
    assert stage is not None
    assert stage.provenance == old.provenance
    assert entry.stage("peierls_stress") is not None


def test_an_unknown_property_is_named() -> None:
    result = CliRunner().invoke(app, ["library", "recompute", "strength", "--output", "new"])
    assert result.exit_code != 0
    assert "there is no property 'strength'" in str(result.exception)
