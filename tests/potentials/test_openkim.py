from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glideflow.errors import DependencyError, PotentialError, StorageError
from glideflow.potentials import openkim
from glideflow.potentials.check import check_potential
from glideflow.potentials.openkim import load_openkim
from glideflow.potentials.record import verify_files
from glideflow.potentials.relatives import relative

NAME = "EAM_Dynamo_Someone_2020_Cu__MO_000000000001_000"
DRIVER = "EAM_Dynamo__MD_120291908751_005"


@pytest.fixture
def models(tmp_path: Path, make_model: Callable[..., bytes], small_files: Any) -> Path:
    """A folder as the package unpacks: a usable model, one of another driver, and a damaged one."""
    folder = tmp_path / "unpacked"

    def add(name: str, driver: str, content: str) -> Path:
        spec = json.dumps({"species": ["Cu"], "title": "t"}).replace(":", " ").encode()
        made = make_model(name, driver, {"x.eam": content.encode()}, {"kimspec.edn": spec})
        path = folder / "usr" / "lib" / "portable-models" / name / "libkim-api-portable-model.so"
        path.parent.mkdir(parents=True)
        path.write_bytes(made)
        return path

    add(NAME, DRIVER, small_files.funcfl)
    add("Morse__MO_000000000002_000", "Morse_Shifted__MD_552566534109_004", "1")
    damaged = add("Damaged__MO_000000000003_000", DRIVER, small_files.funcfl)
    damaged.write_bytes(damaged.read_bytes()[:3000])
    return folder


def test_a_folder_of_models(models: Path) -> None:
    listing = load_openkim("unpacked", models.parent)
    (potential,) = listing.potentials
    verify_files(potential)
    assert check_potential(potential).ok
    assert potential.id == f"Cu_{NAME}"
    assert {entry.id for entry in listing.skipped} == {"Morse__MO_000000000002_000", "Damaged__MO_000000000003_000"}


def test_the_extract_is_made_once_and_again_only_if_the_package_changes(
    models: Path, cache_of_its_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_openkim(str(models), Path())
    with monkeypatch.context() as patch:
        patch.setattr(openkim, "read_portable_model", None)
        assert load_openkim(str(models), Path()) == first
    (changed,) = models.rglob(f"{NAME}/*.so")
    os.utime(changed, (1, 1))
    load_openkim(str(models), Path())
    assert len(list((cache_of_its_own / "openkim").iterdir())) == 2


def test_an_interrupted_extraction_leaves_nothing_behind(
    models: Path, cache_of_its_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(openkim, "write_manifest", interrupt)
        with pytest.raises(KeyboardInterrupt):
            load_openkim(str(models), Path())
    assert not list((cache_of_its_own / "openkim").iterdir())
    assert load_openkim(str(models), Path()).potentials


def test_a_cache_that_cannot_be_written_is_told(models: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cache folder") as caught:
        load_openkim(str(models), Path(), cache=tmp_path / "file")
    assert "GLIDEFLOW_CACHE" in caught.value.next_step


def test_places_without_models_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.deb").write_text("no package")
    for path, message in (
        ("nowhere", "does not exist"),
        ("empty", "holds no"),
        ("text.deb", "cannot read the package"),
    ):
        with pytest.raises(PotentialError, match=message):
            load_openkim(path, tmp_path)
    monkeypatch.setattr(openkim, "INSTALLED", (f"{tmp_path}/*/kim-api",))
    with pytest.raises(DependencyError, match="not installed") as caught:
        load_openkim("", tmp_path)
    assert "apt-get" in caught.value.next_step


@pytest.fixture(scope="module")
def real(openkim_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_openkim(str(openkim_package), Path(), cache=tmp_path_factory.mktemp("openkim"))


def test_the_real_package(real: Any) -> None:
    """Version 1:2021.01.28-2 of Debian 12: 517 models."""
    assert len(real.potentials) == 369
    assert len({potential.files[0].path.parent for potential in real.potentials}) == 274
    styles = Counter(potential.pair_style for potential in real.potentials)
    assert (styles["meam"], styles["eam/alloy"], styles["eam/fs"], styles["snap"]) == (155, 109, 56, 15)
    for potential in real.potentials:
        report = check_potential(potential)
        assert report.ok, (potential.id, report.problems)


def test_the_real_copy_of_a_bundled_potential_holds_the_same_numbers(real: Any) -> None:
    from glideflow.potentials.bundled import wheel_folder

    def numbers(text: str) -> list[float]:
        return [float(word) for word in text.split("\n", 4)[4].split() if word != "fcc"]

    (potential,) = [entry for entry in real.potentials if "MendelevKramerBecker_2008_Al" in entry.id]
    bundled = (wheel_folder() / "Al_mm.eam.fs").read_text()
    assert numbers(potential.files[0].path.read_text()) == numbers(bundled)
    assert potential.family == "Al-F03"


def test_every_real_model_has_a_family(real: Any) -> None:
    assert all(relative(potential.id, potential.element) for potential in real.potentials)
    families = {potential.family for potential in real.potentials}
    primaries = [potential for potential in real.potentials if potential.family_primary]
    assert len(primaries) == len(families)


def test_real_citations_are_plain_text(real: Any) -> None:
    for potential in real.potentials:
        assert not set("{}\\$") & set(potential.citation), potential.citation
        assert "10.25950/" in potential.citation
