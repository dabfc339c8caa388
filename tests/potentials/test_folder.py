from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import glideflow.engines.nep as nep
from glideflow.errors import PotentialError
from glideflow.potentials.folder import load_folder
from glideflow.potentials.identifiers import METALS
from glideflow.potentials.record import verify_files

COUNTS = "Al 44 Au 19 Co 12 Cu 48 Fe 26 Mg 11 Mo 13 Ni 43 Pd 12 Pt 7 Ta 12 Ti 16 W 24 Zr 11"


@pytest.mark.parametrize("calorine", [True, False])
def test_the_library_is_read_whole(shared_potentials: Path, monkeypatch: pytest.MonkeyPatch, calorine: bool) -> None:
    monkeypatch.setattr(nep, "calorine_is_installed", lambda: calorine)
    listing = load_folder(shared_potentials)
    snaps = [potential for potential in listing.potentials if "snap" in potential.pair_style]
    networks = [potential for potential in listing.potentials if potential.engine == "nep"]
    tables = [potential for potential in listing.potentials if potential not in (*snaps, *networks)]
    assert (len(tables), len(snaps)) == (298, 17)
    assert (len(networks), len(listing.skipped)) == ((31, 0) if calorine else (0, 5))
    words = COUNTS.split()
    expected = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    assert {metal: sum(potential.element == metal for potential in tables) for metal in METALS} == expected
    assert len({potential.family for potential in tables}) == 244
    assert sum(potential.family_primary for potential in tables) == 244
    assert sum(potential.fictional for potential in tables) == 14
    assert {entry.engine for entry in listing.skipped} == (set() if calorine else {"nep"})
    general = {potential.element: potential.family for potential in networks if "UNEP-v1" in potential.id}
    assert len(general) == (12 if calorine else 0)
    assert len(set(general.values())) == len(general), "with and without ZBL are relatives"


def test_the_files_of_the_library_have_their_digests(shared_potentials: Path) -> None:
    for potential in load_folder(shared_potentials).potentials:
        assert all(file.sha256 for file in potential.files)
        verify_files(potential)


def test_320_entries_load_within_half_a_second(shared_potentials: Path) -> None:
    """Of which libyaml needs an eighth: what is done besides is compared with that, at the speed of this machine."""
    text = (shared_potentials / "manifest.yaml").read_text(encoding="utf-8")
    loading, parsing = (
        min(cpu_s(work) for _ in range(5))
        for work in (lambda: load_folder(shared_potentials), lambda: yaml.load(text, yaml.CSafeLoader))
    )
    assert loading < 8 * parsing


def cpu_s(work: Callable[[], object]) -> float:
    """CPU time of some work in seconds."""
    begin_s = time.process_time()
    work()
    return time.process_time() - begin_s


def test_a_missing_folder_or_manifest_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(PotentialError, match=r"manifest\.yaml: No such file"):
            load_folder(folder)


def test_a_manifest_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_bytes(b"schema: \xff\xfe")
    with pytest.raises(PotentialError, match="not UTF-8"):
        load_folder(tmp_path)
    (tmp_path / "manifest.yaml").unlink()
    (tmp_path / "manifest.yaml").mkdir()
    with pytest.raises(PotentialError, match="cannot read"):
        load_folder(tmp_path)


def test_an_unreasonably_large_manifest_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "manifest.yaml").open("wb") as stream:
        os.truncate(stream.fileno(), 65 * 2**20)
    with pytest.raises(PotentialError, match="bytes"):
        load_folder(tmp_path)
