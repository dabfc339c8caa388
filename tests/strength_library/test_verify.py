from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from glideflow.config.potentials import PotentialsSettings
from glideflow.errors import ConfigurationError
from glideflow.library_verify import draw_sample, verify
from glideflow.property_specs import Property
from glideflow.stages import run_stage

if TYPE_CHECKING:
    from conftest import Records
    from glideflow.library_verify import Check
    from glideflow.progress import Progress
    from glideflow.records import Library, StageRecord
    from glideflow.stages import StageRequest

ALUMINIUM = "Al_2008Mendelev_Al_eam-fs"
SOURCES = PotentialsSettings()
CHEAP: tuple[Property, ...] = ("lattice", "elastic")


def checks_of(library: Library, *properties: Property) -> dict[str, Check]:
    sample = draw_sample(library, SOURCES, Path.cwd(), count=1, seed=0)
    return {check.record: check for check in verify(library, sample, properties or CHEAP)}


def test_old_records_agree_with_a_fresh_computation(records: Records) -> None:
    checks = checks_of(records.library(records.entry()), "lattice", "elastic", "gamma_surface")
    assert {name: check.outcome for name, check in checks.items()} == {
        "lattice": "agrees",
        "elastic": "agrees",
        "gamma_surface.fcc_111": "agrees",
    }


def test_a_peierls_stress_agrees_within_its_error(records: Records) -> None:
    """Computed again in the cell and with the bracket of the record, which are not those of the configuration."""
    checks = checks_of(records.library(records.entry()), "peierls_stress")
    assert [(name, check.outcome) for name, check in checks.items()] == [("peierls_stress.fcc_111.edge", "agrees")]


def test_an_interrupted_verification_goes_on(records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = records.library(records.entry())
    sample = draw_sample(library, SOURCES, Path.cwd(), count=1, seed=0)
    first = next(iter(verify(library, sample, CHEAP, work=tmp_path)))

    computed: list[str] = []

    def counted(request: StageRequest, progress: Progress) -> StageRecord:
        computed.append(request.name)
        return run_stage(request, progress)

    monkeypatch.setattr("glideflow.stages.run_stage", counted)
    checks = list(verify(library, sample, CHEAP, work=tmp_path))
    assert (first.record, first.outcome) == ("lattice", "agrees")
    assert computed == ["elastic"]
    assert checks[0] == first
    assert [check.outcome for check in checks] == ["agrees", "agrees"]

    monkeypatch.setattr("glideflow.code_digest.code_digest", lambda *modules: "code that has changed")
    assert [check.outcome for check in verify(library, sample, CHEAP[:1], work=tmp_path)] == ["agrees"]
    assert computed == ["elastic", "lattice"]


def test_a_wrong_number_is_found(records: Records) -> None:
    wrong = records.changed("elastic", c44_gpa=records.result("elastic").c44_gpa + 1.0)
    checks = checks_of(records.library(records.entry(records["lattice"], wrong)))
    assert checks["lattice"].outcome == "agrees"
    assert checks["elastic"].outcome == "differs"
    assert [each.quantity for each in checks["elastic"].differences] == ["c44_gpa"]


def test_a_failure_that_does_not_fail_again_is_found(records: Records) -> None:
    checks = checks_of(records.library(records.entry(records["lattice"], records.failed("elastic"))))
    assert checks["elastic"].outcome == "differs"
    assert checks["elastic"].differences[0].after == "ok"


def test_what_cannot_be_computed_says_why(records: Records) -> None:
    unknown = replace(records["gamma_surface"], slip_system="fcc_001")
    checks = checks_of(records.library(records.entry(records["lattice"], unknown)), "gamma_surface")
    assert checks["gamma_surface.fcc_001"].outcome == "not computed"
    assert "no slip system fcc_001" in checks["gamma_surface.fcc_001"].reason
    alone = checks_of(records.library(records.entry(records["elastic"])), "elastic")
    assert alone["elastic"].reason == "a property that it needs is not in the library"


def test_settings_that_this_version_does_not_understand(records: Records) -> None:
    old = replace(records["lattice"].provenance, settings_json='{"forgotten": 1}')
    library = records.library(records.entry(replace(records["lattice"], provenance=old)))
    check = checks_of(library)["lattice"]
    assert check.outcome == "not computed"
    assert "settings of lattice of Al_2008Mendelev" in check.reason
    assert "forgotten" in check.reason


def test_potentials_without_their_files_are_listed(records: Records) -> None:
    library = records.library(
        records.entry(), records.entry(id="Unknown"), records.entry(id="Cu_2001Mishin_Cu_eam-alloy_v2")
    )
    sample = draw_sample(library, SOURCES, Path.cwd(), count=5, seed=0)
    assert [entry.potential.id for entry, _ in sample.entries] == [ALUMINIUM]
    assert sample.without_files == {
        "Unknown": "no source holds it",
        "Cu_2001Mishin_Cu_eam-alloy_v2": "its files are not those that the library was computed with",
    }


def test_the_sample_depends_on_the_seed_alone(records: Records) -> None:
    from glideflow.potentials.select import load_catalogue
    from glideflow.records import summary_of

    own = [summary_of(potential) for potential in load_catalogue(SOURCES, Path.cwd()).potentials.values()][:12]
    entries = [records.entry(records["lattice"], id=each.id, sha256=each.sha256) for each in own]

    def drawn(seed: int) -> list[str]:
        sample = draw_sample(records.library(*entries), SOURCES, Path.cwd(), count=4, seed=seed)
        return [entry.potential.id for entry, _ in sample.entries]

    assert drawn(1) == drawn(1)
    assert len(set(drawn(1))) == 4
    assert len({tuple(drawn(seed)) for seed in range(6)}) > 1


def test_an_id_that_the_library_does_not_have(records: Records) -> None:
    with pytest.raises(ConfigurationError, match="no potential 'nothing'"):
        draw_sample(records.library(records.entry()), SOURCES, Path.cwd(), count=1, seed=0, ids=["nothing"])
