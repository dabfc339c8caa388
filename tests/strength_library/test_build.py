from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from glideflow.errors import ConfigurationError, StorageError
from glideflow.library_build import build, publishable
from glideflow.records import Library
from glideflow.storage import read_record, write_record

if TYPE_CHECKING:
    from conftest import Records


def test_records_of_a_run_become_a_library(records: Records, tmp_path: Path) -> None:
    library = build([records.results(tmp_path / "run")], "a name")
    (entry,) = library.entries
    assert (library.name, library.missing, entry.status) == ("a name", (), "ok")
    assert [stage.property for stage in entry.stages] == ["lattice", "elastic", "gamma_surface", "peierls_stress"]
    assert "strain-dependent elastic constants" in entry.flags
    assert entry.family_computed == entry.potential.family == "Al-F03"


def test_what_a_run_asks_for_and_lacks_is_named(records: Records, tmp_path: Path) -> None:
    begun = records.of(records["lattice"], id="begun")
    folder = records.results(tmp_path / "run", *begun, *records.stages.values())
    library = build([folder], "test")
    partial = next(entry for entry in library.entries if entry.potential.id == "begun")
    assert partial.missing == ("elastic", "gamma_surface.fcc_111", "peierls_stress.fcc_111.edge")
    assert library.missing[0].file == "potentials/begun/elastic.h5"
    complete = build([folder], "test", only_complete=True)
    assert [entry.potential.id for entry in complete.entries] == ["Al_2008Mendelev_Al_eam-fs"]
    assert complete.missing == ()


def test_what_a_run_computes_for_some_families_only_is_not_missed(records: Records, tmp_path: Path) -> None:
    settings = "properties: [lattice, elastic]\nsubsets: [{property: elastic, families_per_metal: 1}]\n"
    folder = records.results(tmp_path / "run", records["lattice"], settings=settings)
    assert build([folder], "test").entries[0].missing == ()


def test_of_several_folders_the_first_wins(records: Records, tmp_path: Path) -> None:
    first = records.results(tmp_path / "first", records["lattice"], settings="properties: [lattice]\n")
    other = records.changed("lattice", a_angstrom=9.0)
    second = records.results(tmp_path / "second", other, records["elastic"], settings="properties: [elastic]\n")
    (entry,) = build([first, second], "test").entries
    lattice = entry.stage("lattice")
    assert lattice is not None
    assert lattice.result == records.result("lattice")
    assert (entry.stage("elastic") is not None, entry.missing) == (True, ())
    assert build([second, first], "test").entries[0].stages[0].result == other.result


def test_potentials_that_ship_with_lammps_are_cited_by_their_own_publication(records: Records, tmp_path: Path) -> None:
    taken_over = {"citation": "Bonny et al., Phil. Mag. 89 (2009)", "doi": "10.1080/14786430903299824"}
    copper = records.of(records["lattice"], id="Cu_2001Mishin_Cu_eam-alloy_v2", **taken_over)
    own = records.of(records["lattice"], id="mine", **taken_over)
    folder = records.results(tmp_path / "run", *copper, *own, settings="properties: [lattice]\n")
    cited = {entry.potential.id: entry for entry in publishable(build([folder], "test")).entries}
    mishin = cited["Cu_2001Mishin_Cu_eam-alloy_v2"]
    for potential in (mishin.potential, *(stage.potential for stage in mishin.stages)):
        assert potential.citation.startswith("Y. Mishin, M.J. Mehl")
        assert potential.doi == "10.1103/PhysRevB.63.224106"
    assert cited["mine"].potential.doi == taken_over["doi"]


def test_a_damaged_record_is_missing(records: Records, tmp_path: Path) -> None:
    folder = records.results(tmp_path / "run")
    file = next(folder.rglob("elastic.h5"))
    file.write_bytes(file.read_bytes()[:1000])
    (entry,) = build([folder], "test").entries
    assert entry.missing == ("elastic",)


@pytest.mark.parametrize("spoil", ["config.yaml", "potentials"])
def test_what_is_no_folder_of_results(records: Records, tmp_path: Path, spoil: str) -> None:
    folder = records.results(tmp_path / "run")
    (folder / spoil).rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match=str(folder)):
        build([folder], "test")


def test_properties_computed_with_other_files_are_not_joined(records: Records, tmp_path: Path) -> None:
    first = records.results(tmp_path / "first", records["lattice"])
    second = records.results(tmp_path / "second", *records.of(records["elastic"], sha256="0" * 64))
    with pytest.raises(StorageError, match="different files"):
        build([first, second], "test")


def test_nothing_says_where_a_published_library_was_made(records: Records, tmp_path: Path) -> None:
    reason = "cannot read /home/someone/pots/Al.eam: [1/Å] at https://a.b/c/d, doi:10.1/a/b, ratio 1/2/3, dir (/a/b/c)"
    crashed = records.failed("elastic", reason)
    crashed = replace(crashed, failure=replace(crashed.failure, evidence="x" * 5000 + "\n/data/run/log.lammps"))
    settings = f"results: {tmp_path}/results\npotentials: {{sources: [{{kind: folder, path: /srv/pots/mine}}]}}\n"
    folder = records.results(tmp_path / "run", records["lattice"], crashed, settings=settings)
    library = publishable(build([folder], "test"))
    failure = library.entries[0].stages[1].failure
    assert failure is not None
    assert failure.reason == ("cannot read Al.eam: [1/Å] at https://a.b/c/d, doi:10.1/a/b, ratio 1/2/3, dir (c)")
    assert failure.evidence.endswith("x\nlog.lammps")
    assert len(failure.evidence) <= 1500
    assert '"path": "mine"' in library.settings_json
    assert '"results": "results"' in library.settings_json
    write_record(tmp_path / "library.h5", library, layout="columns")
    content = (tmp_path / "library.h5").read_bytes()
    assert str(tmp_path).encode() not in content
    assert b"/srv/" not in content


def test_long_arrays_lose_half_of_their_digits_and_nothing_else(records: Records, tmp_path: Path) -> None:
    library = build([records.results(tmp_path / "run")], "test")
    write_record(tmp_path / "library.h5", publishable(library), layout="columns")
    found = read_record(tmp_path / "library.h5", Library)
    for before, after in zip(library.entries[0].stages, found.entries[0].stages, strict=True):
        for name, value in vars(before.result).items():
            if isinstance(value, np.ndarray):
                stored = getattr(after.result, name)
                assert stored.dtype == value.dtype
                np.testing.assert_allclose(stored, value, rtol=1e-7 if value.size > 36 else 0)
            elif isinstance(value, float | int | str | bool):
                assert getattr(after.result, name) == value


def test_the_same_records_give_the_same_bytes(records: Records, tmp_path: Path) -> None:
    folder = records.results(tmp_path / "run")
    for name in ("a.h5", "b.h5"):
        write_record(tmp_path / name, publishable(build([folder], "test")), layout="columns")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
