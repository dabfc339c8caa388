"""Potentials that are ASE calculators: what their digest covers, and that nothing of theirs is run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from glideflow.config.potentials import FolderSource, PotentialsSettings
from glideflow.errors import PotentialError
from glideflow.potentials.calculator import (
    arguments_text,
    factory_arguments,
    factory_source,
    potential_from_calculator,
    with_factory,
)
from glideflow.potentials.manifest import SCHEMA, listing_of, parse_manifest
from glideflow.potentials.record import Potential
from glideflow.potentials.select import resolve

EMT = "ase.calculators.emt:EMT"
EAM = {"pair_style": "eam", "pair_coeff": ["* * {dir}/a"], "files": ["a"]}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that must not be imported, on the path."""
    folder = tmp_path / "path" / "my_models"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')\n")
    (folder / "network.py").write_text("def make(): ...\n")
    (folder / "layers.py").write_text("LAYERS = 2\n")
    monkeypatch.setattr(sys, "path", [str(folder.parent), *sys.path])
    factory_source.cache_clear()
    return folder


def digest(**keywords: Any) -> str:
    factory_source.cache_clear()
    return potential_from_calculator("Cu", "fcc", "my_models.network:make", **keywords).content_sha256


def test_a_calculator_as_typed() -> None:
    potential = potential_from_calculator("Cu", "fcc", EMT)
    assert (potential.id, potential.engine, potential.calculator) == ("Cu_ase.calculators.emt.EMT", "ase", EMT)
    assert (potential.calculator_arguments, potential.cutoff_angstrom, potential.files) == ("", 0.0, ())
    assert potential.source.startswith("command line; ase 3.")
    assert len(potential.calculator_sha256) == 64


def test_the_code_of_the_whole_package_decides_and_is_not_run(package: Path) -> None:
    before = digest()
    assert "my_models" not in sys.modules
    assert digest() == before
    for name, text in (("network.py", "def make(): return 1\n"), ("layers.py", "LAYERS = 3\n"), ("new.py", "")):
        (package / name).write_text(text)
        assert digest() != before
        before = digest()
    (package / "notes.txt").write_text("no code")
    assert digest() == before


def test_a_module_of_one_file(package: Path) -> None:
    (package.parent / "single.py").write_text("make = 1\n")
    first = factory_source("single")
    assert first.version == ""
    (package.parent / "single.py").write_text("make = 2\n")
    factory_source.cache_clear()
    assert factory_source("single").sha256 != first.sha256


def test_arguments_files_and_the_cutoff_decide(package: Path, tmp_path: Path) -> None:
    model = tmp_path / "a.model"
    model.write_text("weights")
    plain = digest()
    given = {
        "argument": digest(arguments={"layers": 2}),
        "other value": digest(arguments={"layers": 3}),
        "text": digest(arguments={"layers": "2"}),
        "file": digest(arguments={"model": str(model)}),
        "cutoff": digest(cutoff_angstrom=5.0),
    }
    assert len({plain, *given.values()}) == 6
    copy = tmp_path / "elsewhere" / "b.model"
    copy.parent.mkdir()
    copy.write_text("weights")
    assert digest(arguments={"model": str(copy)}) == given["file"], "where a file lies makes no difference"
    copy.write_text("other weights")
    assert digest(arguments={"model": str(copy)}) != given["file"]


def test_arguments_are_what_the_factory_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.model", "cpu"):
        (tmp_path / name).write_text("weights")
    monkeypatch.chdir(tmp_path)
    arguments = {
        "model": "a.model",
        "device": "cpu",
        "layers": 2,
        "fast": True,
        "scale": 0.5,
        "no": None,
    }
    potential = potential_from_calculator("Cu", "fcc", EMT, arguments=arguments)
    assert json.loads(potential.calculator_arguments)["model"] == "{0}"
    found = factory_arguments(potential)
    assert found["model"] == str(tmp_path / "a.model")
    assert {key: found[key] for key in arguments if key != "model"} == {
        key: value for key, value in arguments.items() if key != "model"
    }


@pytest.mark.parametrize(
    ("calculator", "keywords", "message"),
    [
        ("ase.calculators.emt", {}, "the calculator 'ase.calculators.emt'"),
        ("os:system;ls", {}, "the calculator"),
        ("no_such_package.module:make", {}, "no module 'no_such_package.module'"),
        ("ase.no_such_module:make", {}, "no module 'ase.no_such_module'"),
        ("ase.calculators.emt.deeper:make", {}, "no module"),
        (EMT, {"arguments": {"not a name": 1}}, "the argument 'not a name'"),
        (EMT, {"arguments": {"x": float("nan")}}, "the argument x = nan"),
        (EMT, {"arguments": {"x": "{0}"}}, "the argument x = {0}"),
        (EMT, {"cutoff_angstrom": 0.0}, "a cutoff of 0 Å"),
        (EMT, {"cutoff_angstrom": float("nan")}, "a cutoff of nan"),
    ],
)
def test_what_is_wrong_is_told(calculator: str, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(PotentialError, match=message) as caught:
        potential_from_calculator("Cu", "fcc", calculator, **keywords)
    assert caught.value.expected


def test_arguments_are_written_in_one_way() -> None:
    assert arguments_text({"b": 1, "a": None}) == arguments_text({"a": None, "b": 1}) == '{"a": null, "b": 1}'
    assert arguments_text({}) == ""


def test_other_potentials_are_left_alone_and_their_digests_do_not_know_calculators() -> None:
    potential = Potential(id="a", element="Cu", structure="fcc", pair_style="eam", pair_coeff=("* * x",))
    assert with_factory(potential) is potential
    assert replace(potential, calculator_sha256="x", cutoff_angstrom=3.0).content_sha256 == potential.content_sha256


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., PotentialsSettings]:
    """Settings of a run with one manifest entry for a calculator."""
    factory_source.cache_clear()

    def write(**entry: Any) -> PotentialsSettings:
        (tmp_path / "models").mkdir(exist_ok=True)
        (tmp_path / "models" / "a.model").write_text("weights")
        common = {"id": "Cu_net", "element": "Cu", "structure": "fcc", "calculator": "my_models.network:make"}
        text = yaml.safe_dump({"schema": "potential-library/1", "potentials": [common | entry]})
        (tmp_path / "models" / "manifest.yaml").write_text(text)
        return PotentialsSettings(sources=(FolderSource(path=str(tmp_path / "models")),))

    return write


def test_a_manifest_gives_arguments_files_and_the_cutoff(
    package: Path, folder: Callable[..., PotentialsSettings], tmp_path: Path
) -> None:
    settings = folder(arguments={"model": "{dir}/a.model", "layers": 2}, files=["a.model"], cutoff=5.5)
    (potential,) = resolve(settings, tmp_path)
    assert potential.cutoff_angstrom == 5.5
    assert factory_arguments(potential) == {"model": str(tmp_path / "models" / "a.model"), "layers": 2}
    assert potential.calculator_sha256
    before = potential.content_sha256
    (package / "layers.py").write_text("LAYERS = 5\n")
    factory_source.cache_clear()
    assert resolve(settings, tmp_path)[0].content_sha256 != before
    assert "my_models" not in sys.modules


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"arguments": {"model": "{dir}/b.model"}, "files": ["a.model"]}, "of one of `files`"),
        ({"arguments": {"model": "{0}"}}, "of one of `files`"),
        ({"arguments": {"model": ["a", "b"]}}, "arguments.model"),
        ({"arguments": {"a b": 1}}, "key arguments"),
        ({"arguments": {"x": float("inf")}}, "the argument x = inf"),
        ({"cutoff": -1.0}, "key cutoff"),
        ({"calculator": None, "pair_style": "zbl", "pair_coeff": ["* * 1"], "arguments": {"a": 1}}, "only for"),
        ({"calculator": None, **EAM, "arguments": {"a": 1}}, "only for a `calculator`"),
    ],
)
def test_what_is_wrong_in_a_manifest_is_told(
    folder: Callable[..., PotentialsSettings], tmp_path: Path, entry: dict[str, Any], message: str
) -> None:
    with pytest.raises(PotentialError, match=message):
        resolve(folder(**entry), tmp_path)


def test_one_calculator_for_several_metals(package: Path, folder: Callable[..., PotentialsSettings]) -> None:
    folder()
    entry = {
        "id": "general",
        "kind": "MACE",
        "covers": ["Cu", "W", "U"],
        "calculator": "my_models.network:make",
        "arguments": {"model": "{dir}/a.model"},
        "files": ["a.model"],
        "cutoff": 12.0,
    }
    listing = listing_of(parse_manifest(yaml.safe_dump({"schema": SCHEMA, "mlff": [entry]}), "m"), Path("x"), "m", "")
    copper, tungsten = listing.potentials
    assert (copper.id, tungsten.id, tungsten.structure) == ("general:Cu", "general:W", "bcc")
    assert (copper.engine, copper.cutoff_angstrom) == ("ase", 12.0)
    assert factory_arguments(copper) == {"model": str(Path("x/a.model").absolute())}
    with pytest.raises(PotentialError, match="either `pair_style`"):
        parse_manifest(yaml.safe_dump({"schema": SCHEMA, "mlff": [entry | EAM | {"arguments": {}}]}), "m")


def test_a_calculator_in_the_configuration(package: Path, tmp_path: Path) -> None:
    (tmp_path / "a.model").write_text("weights")
    source = {
        "kind": "calculator",
        "id": "general",
        "elements": ["Cu", "W"],
        "calculator": "my_models.network:make",
        "arguments": {"model": "{dir}/a.model", "fast": True},
        "files": ["a.model"],
        "cutoff_angstrom": 6.5,
    }
    copper, tungsten = resolve(PotentialsSettings.model_validate({"sources": [source]}), tmp_path)
    assert (copper.id, tungsten.id, copper.engine) == ("general:Cu", "general:W", "ase")
    assert factory_arguments(copper) == {"model": str(tmp_path / "a.model"), "fast": True}
    assert (copper.cutoff_angstrom, copper.source) == (6.5, "my_models.network:make")
    for wrong, message in (
        ({"arguments": {"model": "{dir}/b.model"}}, "of one of `files`"),
        ({"files": ["../a.model"], "arguments": {}}, "stays inside the folder"),
        ({"calculator": "no path"}, "key calculator"),
        ({"calculator": "nowhere:make"}, "no module 'nowhere'"),
    ):
        settings = PotentialsSettings.model_validate({"sources": [source | wrong]})
        with pytest.raises(PotentialError, match=message):
            resolve(settings, tmp_path)


def test_a_manifest_with_a_module_that_is_not_there_is_refused_before_any_job(
    folder: Callable[..., PotentialsSettings], tmp_path: Path
) -> None:
    with pytest.raises(PotentialError, match=r"no module 'my_models\.network'"):
        resolve(folder(), tmp_path)
