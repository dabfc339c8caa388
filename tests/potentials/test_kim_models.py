from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from glideflow.errors import PotentialError
from glideflow.potentials.kim_models import DRIVERS, model_entries
from glideflow.potentials.manifest import usable_entries
from glideflow.potentials.portable_model import PortableModel

EAM, MEAM, SNAP = "EAM_Dynamo__MD_120291908751_005", "MEAM_LAMMPS__MD_249792265679_000", "SNAP__MD_536750310735_000"
PAPER = {
    "author": 'Curie, Marie and M{\\"u}ller, A.',
    "journal": "J. Tests",
    "volume": "1",
    "pages": "2--3",
    "year": "1903",
}


def model(
    driver: str,
    files: Mapping[str, str],
    species: tuple[str, ...] = ("Cu",),
    name: str = "Some_Model_Cu__MO_000000000001_000",
    simulator: Mapping[str, Any] | None = None,
    **spec: object,
) -> PortableModel:
    kim = {"species": list(species), "title": "A model", "doi": "10.25950/x", "source-citations": [PAPER]} | spec
    metadata = {"kimspec.edn": edn(kim)}
    if simulator is not None:
        metadata["smspec.edn"] = edn(simulator)
    contents = {file: text.encode("latin-1") for file, text in files.items()}
    return PortableModel(name=name, driver=driver, files=contents, metadata=metadata)


def edn(value: Any) -> bytes:
    """JSON is EDN once the colons are gone; the test values hold none in their texts."""
    return json.dumps(value).replace(":", " ").encode()


def only(portable: PortableModel) -> Mapping[str, Any]:
    entries = model_entries(portable)
    assert not entries.skipped
    (entry,) = entries.potentials
    assert usable_entries([entry])[0] == [entry]
    return entry


def reason(portable: PortableModel) -> str:
    entries = model_entries(portable)
    assert not entries.potentials
    return str(entries.skipped[0]["reason"])


def test_the_supported_drivers() -> None:
    assert set(DRIVERS) == {"EAM_Dynamo", "MEAM_LAMMPS", "SNAP"}


def test_a_funcfl_table(small_files: Any) -> None:
    entry = only(model(EAM, {"cu.eam": small_files.funcfl}))
    assert (entry["pair_style"], entry["pair_coeff"]) == ("eam", ["* * {dir}/cu.eam"])
    assert (entry["id"], entry["structure"]) == ("Cu_Some_Model_Cu__MO_000000000001_000", "fcc")


def test_setfl_tables_are_told_apart_by_their_length_not_their_name(small_files: Any) -> None:
    alloy, finnis_sinclair = small_files.setfl(("Cu", "Al")), small_files.setfl(("Cu", "Al"), densities=2)
    assert only(model(EAM, {"x.fs": alloy}))["pair_style"] == "eam/alloy"
    assert only(model(EAM, {"x.alloy": finnis_sinclair}))["pair_style"] == "eam/fs"
    assert only(model(EAM, {"x.alloy": alloy}))["pair_coeff"] == ["* * {dir}/x.alloy Cu"]


def test_every_metal_of_a_model_has_an_entry_and_others_have_none(small_files: Any) -> None:
    entries = model_entries(model(EAM, {"x": small_files.setfl(("Cu", "H", "Al"))}, species=("Cu", "H", "Al")))
    assert [entry["element"] for entry in entries.potentials] == ["Cu", "Al"]
    assert not model_entries(model(EAM, {"x": small_files.setfl(("H",))}, species=("H",))).potentials


def test_remarks_after_the_elements_are_cut(small_files: Any) -> None:
    lines = small_files.setfl(("Cu",)).split("\n")
    lines[3] += " 3.54 ! cohesive energy"
    portable = model(EAM, {"x": "\n".join(lines)})
    assert model_entries(portable).files["x"].split(b"\n")[3] == b"1 Cu"
    assert "line 4" in only(portable)["flags"][0]


def test_tables_that_do_not_hold_what_they_should(small_files: Any) -> None:
    assert "truncated" in reason(model(EAM, {"x": small_files.setfl(("Cu",))[:-30]}))
    assert "does not name Al" in reason(model(EAM, {"x": small_files.setfl(("Cu",))}, species=("Al",)))
    assert "header" in reason(model(EAM, {"x": "nothing"}))
    assert "2 parameter files" in reason(model(EAM, {"x": "", "y": ""}))


def test_a_meam_library_with_and_without_parameters(small_files: Any) -> None:
    elements = "# a remark\nCu AlS\n"
    entry = only(model(MEAM, {"elems.meam": elements, "library.meam": small_files.library, "p.meam": "rc = 4"}))
    assert entry["pair_coeff"] == ["* * {dir}/library.meam Cu AlS {dir}/p.meam Cu"]
    assert entry["files"] == ["library.meam", "p.meam"]
    bare = only(model(MEAM, {"elems.meam": "Cu", "library.meam": small_files.library}))
    assert bare["pair_coeff"] == ["* * {dir}/library.meam Cu NULL Cu"]


def test_floats_in_integer_fields_are_rewritten_and_nothing_else(small_files: Any) -> None:
    floats = small_files.library.replace(" 29 ", " 29. ").replace(" -5\n", " -5.0\n")
    portable = model(MEAM, {"elems.meam": "Cu", "library.meam": floats})
    assert model_entries(portable).files["library.meam"].decode() == small_files.library
    assert "integers" in only(portable)["flags"][0]
    untouched = model(MEAM, {"elems.meam": "Cu", "library.meam": small_files.library})
    assert model_entries(untouched).files["library.meam"].decode() == small_files.library
    assert only(untouched)["flags"] == []


def test_spline_meam_needs_one_element() -> None:
    files = {"elems.meam": "Cu", "Cu.meam.spline": "13"}
    assert only(model(MEAM, files))["pair_style"] == "meam/spline"
    assert "atom type for every element" in reason(model(MEAM, files | {"elems.meam": "Cu O"}))


def test_a_spectral_neighbour_model_loses_its_obsolete_keyword() -> None:
    portable = model(SNAP, {"a.snapcoeff": "1 2", "a.snapparam": "rcutfac 4\ndiagonalstyle 3\ntwojmax 6\n"})
    assert model_entries(portable).files["a.snapparam"] == b"rcutfac 4\ntwojmax 6\n"
    entry = only(portable)
    assert (entry["pair_style"], entry["pair_coeff"]) == ("snap", ["* * {dir}/a.snapcoeff {dir}/a.snapparam Cu"])
    assert "diagonalstyle" in entry["flags"][0]


def test_a_spectral_neighbour_model_with_a_repulsive_core() -> None:
    hybrid = "# zbl\n1\nTa\nzbl 4.0 4.8\nTa Ta zbl 73 73\n"
    files = {"c": "1", "p": "2", "h": hybrid}
    entry = only(model(SNAP, files, species=("Ta",)))
    assert entry["pair_style"] == "hybrid/overlay zbl 4 4.8 snap"
    assert entry["pair_coeff"] == ["* * zbl 73 73", "* * snap {dir}/c {dir}/p Ta"]
    assert "ZBL" in reason(model(SNAP, files | {"h": hybrid.replace("Ta Ta", "Ta W")}, species=("Ta",)))


def test_simulator_models_of_one_pair_style() -> None:
    simulator = {
        "simulator-name": "LAMMPS",
        "units": "metal",
        "supported-species": "Cu Ta",
        "model-defn": ["pair_style adp", "pair_coeff * * @<parameter-file-1>@ @<atom-type-sym-list>@"],
    }
    entry = only(model("", {"x.adp": "1"}, simulator=simulator))
    assert (entry["pair_style"], entry["pair_coeff"]) == ("adp", ["* * {dir}/x.adp Cu"])
    for change in (
        {"simulator-name": "ASAP"},
        {"units": "real"},
        {"model-defn": ["pair_style adp"]},
        {"model-defn": ["pair_style eam/cd", "pair_coeff * * @<parameter-file-1>@ @<atom-type-sym-list>@"]},
        {"model-defn": ["pair_style adp", "shell rm -rf /"]},
    ):
        assert "simulator model" in reason(model("", {"x.adp": "1"}, simulator=simulator | change))


def test_other_drivers_and_models_with_code_are_skipped_with_the_reason() -> None:
    assert "Morse_Shifted" in reason(model("Morse_Shifted__MD_552566534109_004", {"x": ""}))
    assert "own code" in reason(model("", {}))


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "a b", "x" * 200, "a;b", "é", ""])
def test_names_that_are_no_plain_file_names_are_refused(name: str, small_files: Any) -> None:
    assert "plain file name" in reason(model(EAM, {name: small_files.funcfl}))
    assert "plain file name" in reason(model(EAM, {"x": small_files.funcfl}, name=name))


def test_metadata_that_cannot_be_read_is_told() -> None:
    broken = PortableModel(name="x", driver=EAM, files={}, metadata={"kimspec.edn": b"{"})
    without = PortableModel(name="x", driver=EAM, files={}, metadata={})
    for portable in (broken, without):
        with pytest.raises(PotentialError, match="kimspec"):
            model_entries(portable)


def test_citation_doi_disclaimer_and_licence(small_files: Any) -> None:
    portable = model(EAM, {"x": small_files.funcfl}, disclaimer="Not for liquids. " * 50)
    entry = only(portable)
    assert entry["citation"].startswith("Marie Curie, A. Müller, J. Tests 1, 2–3 (1903); OpenKIM, A model")
    assert "10.25950/x" in entry["citation"]
    assert entry["flags"][0].startswith("disclaimer of its developers: Not for liquids.")
    assert len(entry["flags"][0]) < 500
    assert entry["license"].startswith("CDDL-1.0")


def test_a_file_that_differs_from_its_provenance_is_flagged(small_files: Any) -> None:
    from hashlib import sha1

    portable = model(EAM, {"x": small_files.funcfl})

    def flags(checksum: str) -> list[str]:
        history = [{"checksums": {"x": checksum}}, {"checksums": {"x": "an older one"}}]
        portable.metadata["kimprovenance.edn"] = edn(history)
        return list(only(portable)["flags"])

    assert flags(sha1(small_files.funcfl.encode()).hexdigest()) == []
    assert "provenance" in flags("0" * 40)[0]
    portable.files["x"] = small_files.funcfl.replace("\n", "\r\n").encode()
    assert flags(sha1(small_files.funcfl.encode()).hexdigest()) == []
