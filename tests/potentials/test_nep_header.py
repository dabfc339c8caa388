from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glideflow.errors import PotentialError
from glideflow.potentials.adhoc import potential_from_nep
from glideflow.potentials.check import check_potential
from glideflow.potentials.nep_header import header_with_element, nep_header, nep_header_of

NepFile = Callable[..., Path]
HEADER = """nep4_zbl 2 Al Cu
zbl 0.9 1.8
cutoff 6 4 100 60
n_max 8 6
basis_size 10 8
l_max 4 2 1
ANN 50 0
"""


def refused(text: str) -> str:
    with pytest.raises(PotentialError) as caught:
        nep_header_of(text.encode(), "nep.txt")
    assert caught.value.expected
    assert caught.value.next_step
    return str(caught.value)


def test_header() -> None:
    header = nep_header_of(HEADER.encode(), "nep.txt")
    assert header.elements == ("Al", "Cu")
    assert (header.kind, header.version, header.zbl_angstrom) == ("nep4_zbl", 4, (0.9, 1.8))
    assert header.cutoff_angstrom("Cu") == header.largest_cutoff_angstrom == 6.0
    assert header.angular_cutoffs_angstrom == (4.0, 4.0)
    # descriptors 9 + 7 (4 + 1 + 1); networks of two elements; coefficients of four pairs; scalers
    assert header.values == (51 + 2) * 50 * 2 + 1 + 4 * (9 * 11 + 7 * 9) + 51
    assert header.header_lines == 7


def test_variants() -> None:
    ranges = HEADER.replace("cutoff 6 4", "cutoff 6 4 5.5 5")
    header = nep_header_of(ranges.encode(), "nep.txt")
    assert header.radial_cutoffs_angstrom == (6.0, 5.5)
    assert header.angular_cutoffs_angstrom == (4.0, 5.0)
    assert header.cutoff_angstrom("Cu") == 5.5
    plain = nep_header_of(HEADER.encode(), "").values
    flexible = nep_header_of(HEADER.replace("0.9 1.8", "0 0").encode(), "")
    assert flexible.values == plain + 30
    assert flexible.zbl_angstrom == (0.0, 0.0)
    assert nep_header_of(HEADER.replace("0.9 1.8", "0.9 1.8 0.65").encode(), "").values == plain
    without = nep_header_of(HEADER.replace("nep4_zbl", "nep4").replace("zbl 0.9 1.8\n", "").encode(), "")
    assert (without.values, without.zbl_angstrom, without.header_lines) == (plain, None, 6)
    assert nep_header_of(HEADER.replace("nep4", "nep3").encode(), "").values == plain - 53 * 50
    assert nep_header_of(HEADER.replace("nep4", "nep5").encode(), "").values == plain + 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (HEADER, "", "its first word is ''"),
        ("nep4_zbl", "nep4_dipole", "of the kind 'nep4_dipole'"),
        ("nep4_zbl", "nep4_zbl_charge2", "of the kind 'nep4_zbl_charge2'"),
        ("nep4_zbl", "nep2", "of the kind 'nep2'"),
        ("nep4_zbl", "version", "its first word is 'version'"),
        ("2 Al Cu", "3 Al Cu", "announces 3 elements"),
        ("2 Al Cu", "999999999999 Al Cu", "announces 999999999999 elements"),
        ("2 Al Cu", "two Al Cu", "could not convert"),
        ("0.9 1.8", "1.8 0.9", "radii of its ZBL"),
        ("zbl 0.9 1.8\n", "", "stands where 'zbl' is expected"),
        ("6 4 100 60", "4 6 100 60", "its cutoffs are"),
        ("6 4 100 60", "inf 4 100 60", "its cutoffs are"),
        ("6 4 100 60", "6 nan 100 60", "its cutoffs are"),
        ("6 4 100 60", "6 4", "stands where 'cutoff' is expected"),
        ("n_max 8 6", "n_max 8 -6", "does not hold counts"),
        ("n_max 8 6", "n_max 8 6.5", "does not hold counts"),
        ("n_max 8 6", "n_max 1e300 inf", "does not hold counts"),
        ("n_max 8 6", "n_max 900 600", "descriptors and 50 neurons"),
        ("ANN 50 0", "ANN 5000 0", "and 5000 neurons"),
        ("l_max 4 2 1\nANN 50 0\n", "", "ends within its header"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, message: str) -> None:
    assert message in refused(HEADER.replace(old, new))


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode()))
def test_any_bytes_are_a_header_or_one_message(content: bytes) -> None:
    for start in (b"", b"nep4 1 Cu\ncutoff "):
        with pytest.raises(PotentialError):
            nep_header_of(start + content, "nep.txt")


def test_files(nep_file: NepFile, tmp_path: Path) -> None:
    path = nep_file()
    assert header_with_element(path, "Al") == nep_header(path)
    with pytest.raises(PotentialError, match="describes Al, Cu, not W"):
        header_with_element(path, "W")
    with pytest.raises(PotentialError, match="cannot read"):
        nep_header(tmp_path / "nowhere")


def test_a_potential_from_a_file(nep_file: NepFile, tmp_path: Path) -> None:
    path = nep_file("my nep.txt")
    potential = potential_from_nep("Cu", "fcc", Path("my nep.txt"), folder=tmp_path)
    assert (potential.id, potential.engine, potential.files[0].path) == ("Cu_my-nep.txt", "nep", path)
    assert potential.files[0].sha256
    assert potential.content_sha256 != potential_from_nep("Al", "fcc", path).content_sha256
    with pytest.raises(PotentialError, match="does not exist") as caught:
        potential_from_nep("Cu", "fcc", tmp_path / "my nip.txt")
    assert "my nep.txt" in caught.value.next_step
    assert "LAMMPS" not in str(caught.value)
    with pytest.raises(PotentialError, match="no element 'Xx'"):
        potential_from_nep("Xx", "fcc", path)
    with pytest.raises(PotentialError, match="is a folder"):
        potential_from_nep("Cu", "fcc", tmp_path)


def test_check_counts_values_and_finds_what_is_no_number(nep_file: NepFile) -> None:
    path = nep_file()
    assert check_potential(potential_from_nep("Cu", "fcc", path)).ok
    lines = path.read_text().splitlines()
    for changed, message in (
        (lines[:-1], "values"),
        ([*lines[:20], "nan", *lines[21:]], "'nan'"),
        ([*lines[:20], "x", *lines[21:]], "'x'"),
    ):
        path.write_text("\n".join(changed))
        (problem,) = check_potential(potential_from_nep("Cu", "fcc", path)).problems
        assert message in problem.found
