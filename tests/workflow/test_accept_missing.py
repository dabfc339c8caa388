"""Going on without results whose jobs died: what the workflow then does, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from glideflow.config.load import load_settings
from glideflow.records import Library, StageFailure, StageRecord, provenance_of, summary_of
from glideflow.run import validate_run
from glideflow.storage import read_record, write_record

if TYPE_CHECKING:
    from conftest import Project

LOST = "results/test/potentials/Fe_2003Mendelev_Fe_eam-fs/peierls_stress/bcc_110/edge.h5"
JOINED_FILES = [f"results/test/{name}" for name in ("library.h5", "library.csv", "report.html", "site/index.html")]
ACCEPT = "library={accept_missing_percent: 10, wait_for_missing: false}"


@pytest.fixture
def recorded(done: Project) -> Project:
    """A run of three potentials in which every property is a recorded failure: twelve results without an engine."""
    run = validate_run(load_settings(done.root / "run.yaml"), done.root)
    for task in run.property_tasks():
        file = done.root / run.results / task.output
        stage = StageRecord(
            property=task.rule,
            slip_system=task.slip_system,
            character=task.character,
            status="failed",
            potential=summary_of(run.potential(task.potential)),
            provenance=provenance_of(run.settings.lattice, "lammps", "1", 0),
            failure=StageFailure(error_class="ConvergenceError", reason="did not converge"),
        )
        write_record(file, stage)
    done.snakemake("--touch", "--configfile", "run.yaml")
    return done


def test_a_missing_result_is_computed_unless_the_configuration_goes_on_without(recorded: Project) -> None:
    for file in (LOST, *JOINED_FILES):
        (recorded.root / file).unlink()
    assert recorded.pending() == {"peierls_stress": 1, "library": 1, "report": 1, "site": 1}
    assert recorded.pending("--config", ACCEPT) == {"library": 1, "report": 1, "site": 1}


def test_a_lost_lattice_does_not_come_back_through_what_was_computed_from_it(recorded: Project) -> None:
    (recorded.root / "results/test/potentials/Fe_2003Mendelev_Fe_eam-fs/lattice.h5").unlink()
    assert recorded.pending("--config", ACCEPT) == {"library": 1, "report": 1, "site": 1}


def test_the_library_names_what_is_missing_and_is_made_again_when_it_is_there(recorded: Project) -> None:
    lost = (recorded.root / LOST).read_bytes()
    (recorded.root / LOST).unlink()
    target = "results/test/library.h5"
    recorded.snakemake("--cores", "1", "--configfile", "run.yaml", "--config", ACCEPT, "--", target)
    library = read_record(recorded.root / target, Library)
    assert [each.file for each in library.missing] == [LOST]
    assert library.accept_missing_percent == 10
    assert recorded.pending("--", target) == {"peierls_stress": 1, "library": 1}
    (recorded.root / LOST).write_bytes(lost)
    assert recorded.pending()["library"] == 1


def test_more_than_is_accepted_ends_in_a_message(recorded: Project) -> None:
    for file in list((recorded.root / "results/test/potentials").glob("*/elastic.h5"))[:2]:
        file.unlink()
    text = recorded.refusal("--cores", "1", "--config", ACCEPT, "--", "results/test/library.h5")
    assert "2 of 12 results (16.7 %) are missing" in text
    assert "at most 10 % missing" in text
    assert "snakemake --configfile results/test/config.yaml" in text


def test_an_unreadable_result_is_no_library_by_default(recorded: Project) -> None:
    (recorded.root / LOST).write_bytes(b"\x89HDF\r\n\x1a\n torn")
    text = recorded.refusal("--cores", "1", "--", "results/test/library.h5")
    assert "1 of 12 results (8.33 %) are missing: Fe_2003Mendelev_Fe_eam-fs peierls_stress.bcc_110.edge" in text
    assert "cannot be opened as HDF5" in text
