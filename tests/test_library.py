from __future__ import annotations

import csv
from dataclasses import MISSING, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glideflow.config.load import settings_from_mapping
from glideflow.errors import StorageError
from glideflow.library import COLUMNS, merge, table, write_table
from glideflow.potentials.record import Potential
from glideflow.properties.results import CoreResult, ElasticResult, LatticeResult, PeierlsStressResult
from glideflow.records import Library, StageFailure, StageRecord, provenance_of, summary_of
from glideflow.storage import WrongKindError, read_record, write_record

SETTINGS = settings_from_mapping({"name": "test"}, "test")
COPPER = Potential(id="Cu_a", element="Cu", structure="fcc", family="Cu-F1", source_status="caution")
IRON = Potential(id="Fe_b", element="Fe", structure="bcc")
LATTICE = LatticeResult(
    structure="fcc",
    a_angstrom=3.6149,
    c_angstrom=None,
    energy_ev_per_atom=-3.54,
    residual_stress_gpa=1e-9,
    cutoff_angstrom=5.5,
    ground_state="hcp",
)
ELASTIC = ElasticResult(
    tensor_gpa=np.eye(6),
    raw_tensor_gpa=np.eye(6),
    c11_gpa=170.0,
    c12_gpa=122.0,
    c44_gpa=76.0,
    c13_gpa=None,
    c33_gpa=None,
    fit_residual_gpa=0.0,
    strain_dependence=0.1,
    stability_eigenvalue_gpa=48.0,
    born_stable=True,
    strain_amplitudes=np.array([1e-3]),
    constants_by_amplitude_gpa=np.ones((1, 3)),
    bulk_modulus_gpa=138.0,
    shear_modulus_gpa=55.0,
    flags=("strain-dependent elastic constants",),
)


def peierls(value_mpa: float) -> PeierlsStressResult:
    """A result with this value and nothing else of interest."""
    fields: dict[str, Any] = {}
    for field in PeierlsStressResult.__dataclass_fields__.values():
        if field.default is not MISSING:
            continue
        fields[field.name] = {"str": "", "float": 0.0, "int": 0, "bool": False}.get(str(field.type), ())
    fields |= {"starts_energy_ev": np.zeros(1), "peierls_mpa": value_mpa, "atoms": 5712}
    core = {
        "x_angstrom": np.zeros(2),
        "disregistry_angstrom": np.zeros(2),
        "position_angstrom": 0.0,
        "width_angstrom": 1.0,
    }
    return PeierlsStressResult(**(fields | {"core_unloaded": CoreResult(**core), "core_at_peak": CoreResult(**core)}))


def stage(potential: Potential, name: str, result: Any = None, **parts: str) -> StageRecord:
    failure = (
        StageFailure(error_class="Crashed", reason="signal SIGSEGV, really\nand, a comma") if result is None else None
    )
    return StageRecord(
        property=name,
        status="ok" if failure is None else "failed",
        potential=summary_of(potential),
        provenance=provenance_of(SETTINGS.lattice, "lammps", "1", 0),
        result=result,
        failure=failure,
        **parts,
    )


def library_of(folder: Path, *stages: StageRecord) -> Library:
    files = [folder / f"{number}.h5" for number in range(len(stages))]
    for file, each in zip(files, stages, strict=True):
        write_record(file, each)
    return merge(SETTINGS, files)


def rows_of(library: Library, folder: Path) -> list[dict[str, str]]:
    write_table(library, folder / "library.csv")
    with (folder / "library.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_row_per_potential_with_its_values(tmp_path: Path) -> None:
    library = library_of(
        tmp_path,
        stage(IRON, "lattice"),
        stage(COPPER, "elastic", ELASTIC),
        stage(COPPER, "lattice", LATTICE),
        stage(COPPER, "peierls_stress", peierls(12.5), slip_system="fcc_111", character="edge"),
    )
    copper, iron = rows_of(library, tmp_path)
    assert list(copper) == list(COLUMNS)
    assert copper["potential_id"] == "Cu_a"
    assert (copper["family"], copper["source_status"], copper["status"]) == ("Cu-F1", "caution", "ok")
    assert float(copper["a_angstrom"]) == 3.6149
    assert copper["c_angstrom"] == ""
    assert [float(copper[f"c{n}_gpa"]) for n in (11, 12, 44)] == [170.0, 122.0, 76.0]
    assert (copper["slip_system"], float(copper["peierls_mpa"]), copper["peierls_atoms"]) == ("fcc_111", 12.5, "5712")
    assert copper["flags"] == "wrong ground state; strain-dependent elastic constants"
    assert (iron["status"], iron["a_angstrom"]) == ("failed", "")
    assert iron["reason"] == (
        "lattice: signal SIGSEGV, really\nand, a comma; elastic: not computed; peierls_stress: not computed"
    )
    # the order of the properties, not that of the files
    assert [s.property for s in library.entries[0].stages] == ["lattice", "elastic", "peierls_stress"]


def test_a_row_never_mixes_slip_systems(tmp_path: Path) -> None:
    """The first system's Peierls stress failed: the other system's is in the library, but not in this row."""
    library = library_of(
        tmp_path,
        stage(COPPER, "lattice", LATTICE),
        stage(COPPER, "peierls_stress", slip_system="fcc_111", character="edge"),
        stage(COPPER, "peierls_stress", peierls(99.0), slip_system="fcc_112", character="edge"),
    )
    (row,) = rows_of(library, tmp_path)
    assert row["slip_system"] == "fcc_111"
    assert row["peierls_mpa"] == ""
    assert row["status"] == "partial"
    assert library.entries[0].stage("peierls_stress", "fcc_112").result.peierls_mpa == 99.0


def test_library_comes_back_from_its_file(tmp_path: Path) -> None:
    library = library_of(tmp_path, stage(COPPER, "lattice", LATTICE), stage(IRON, "lattice"))
    write_record(tmp_path / "library.h5", library)
    found = read_record(tmp_path / "library.h5", Library)
    assert table(found) == table(library)
    assert [entry.potential.id for entry in found.entries] == ["Cu_a", "Fe_b"]


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    stages = [stage(COPPER, "lattice", LATTICE), stage(COPPER, "elastic", ELASTIC), stage(IRON, "lattice")]
    (tmp_path / "there").mkdir()
    (tmp_path / "back").mkdir()
    for folder, order in (("there", stages), ("back", stages[::-1])):
        write_record(tmp_path / f"{folder}.h5", library_of(tmp_path / folder, *order))
    assert (tmp_path / "there.h5").read_bytes() == (tmp_path / "back.h5").read_bytes()


def test_two_records_of_one_property_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="both hold lattice of Cu_a") as caught:
        library_of(
            tmp_path, stage(COPPER, "lattice", LATTICE), stage(COPPER, "lattice", replace(LATTICE, a_angstrom=4.0))
        )
    assert caught.value.expected
    assert caught.value.next_step


@pytest.mark.parametrize("accepted", [0.0, 100.0])
@pytest.mark.parametrize("kind", ["library", "folder", "configuration"])
def test_what_is_no_record_of_a_property_is_refused_and_not_called_missing(
    tmp_path: Path, kind: str, accepted: float
) -> None:
    path = tmp_path / {"library": "library.h5", "folder": "potentials", "configuration": "run.yaml"}[kind]
    library = library_of(tmp_path, stage(COPPER, "lattice", LATTICE))
    if kind == "library":
        write_record(path, library)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text("name: quick\n")
    with pytest.raises(WrongKindError) as caught:
        merge(SETTINGS, [tmp_path / "0.h5", path], accept_missing_percent=accepted)
    assert str(path) in caught.value.found
    assert "single properties" in caught.value.expected
    assert "potentials/" in caught.value.next_step


def test_table_that_cannot_be_written(tmp_path: Path) -> None:
    library = library_of(tmp_path, stage(COPPER, "lattice", LATTICE))
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot write"):
        write_table(library, tmp_path / "file" / "library.csv")


def test_results_of_different_files_under_one_id_are_refused(tmp_path: Path) -> None:
    """As after an update of a source, when not everything has been computed again."""
    updated = replace(COPPER, pair_coeff=("* * 1 2",))
    with pytest.raises(StorageError, match="different files of Cu_a") as caught:
        library_of(tmp_path, stage(COPPER, "lattice", LATTICE), stage(updated, "elastic", ELASTIC))
    assert "0.h5" in caught.value.found
    unreadable = stage(COPPER, "elastic")
    unreadable = replace(unreadable, potential=replace(unreadable.potential, sha256=""))
    assert len(library_of(tmp_path, stage(COPPER, "lattice", LATTICE), unreadable).entries) == 1
