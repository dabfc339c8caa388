from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import glideflow.engines.nep as nep
from glideflow.errors import PotentialError
from glideflow.potentials.manifest import SCHEMA, Entry, listing_of, parse_manifest, usable_entries

SHA = "0" * 64
MINIMAL: dict[str, Any] = {
    "id": "Cu_mine",
    "element": "Cu",
    "structure": "fcc",
    "pair_style": "eam/alloy",
    "pair_coeff": ["* * {dir}/Cu.eam.alloy Cu"],
    "files": ["Cu.eam.alloy"],
}


def entry(**changes: object) -> dict[str, Any]:
    return MINIMAL | changes


def text(*entries: object, **more: object) -> str:
    return yaml.safe_dump({"schema": SCHEMA, "potentials": list(entries), **more})


def problem(*entries: object, **more: object) -> str:
    with pytest.raises(PotentialError) as caught:
        parse_manifest(text(*entries, **more), "manifest.yaml")
    return caught.value.found


def test_an_entry_becomes_a_potential_with_placeholders() -> None:
    manifest = parse_manifest(text(entry(dir="sub", sha256=[SHA], status="caution", doi=None)), "m")
    (potential,) = listing_of(manifest, Path("/here"), "mine", "folder mine").potentials
    assert potential.pair_coeff == ("* * {0} Cu",)
    assert [file.path for file in potential.files] == [Path("/here/sub/Cu.eam.alloy")]
    assert (potential.files[0].sha256, potential.source_status, potential.source) == (SHA, "caution", "folder mine")
    assert potential.family_primary


def test_an_ase_calculator_needs_no_files() -> None:
    emt = {"id": "Cu_emt", "element": "Cu", "structure": "fcc", "calculator": "ase.calculators.emt:EMT"}
    (potential,) = listing_of(parse_manifest(text(emt), "m"), Path(), "mine", "").potentials
    assert (potential.engine, potential.calculator, potential.pair_style) == ("ase", "ase.calculators.emt:EMT", "")


def test_files_are_numbered_as_listed_even_if_one_name_begins_with_another() -> None:
    library = entry(
        pair_style="meam", files=["a", "a b.meam"], pair_coeff=["* * {dir}/a b.meam Cu {dir}/a Cu"], dir="x"
    )
    (potential,) = listing_of(parse_manifest(text(library), "m"), Path(), "mine", "").potentials
    assert potential.pair_coeff == ("* * {1} Cu {0} Cu",)


def test_the_first_of_a_family_stands_for_it_unless_one_is_marked() -> None:
    def primaries(*entries: dict[str, Any]) -> list[str]:
        listing = listing_of(parse_manifest(text(*entries), "m"), Path(), "mine", "")
        return [potential.id for potential in listing.potentials if potential.family_primary]

    first, second = entry(id="a", family="F"), entry(id="b", family="F")
    assert primaries(first, second) == ["a"]
    assert primaries(first, second | {"family_primary": True}) == ["b"]
    assert primaries(entry(id="a"), entry(id="b")) == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"element": "Xx"}, "key element"),
        ({"structure": "sc"}, "key structure"),
        ({"pair_styl": "eam"}, "key pair_styl: unknown key"),
        ({"status": "fine"}, "key status"),
        ({"files": [], "pair_coeff": ["* * Cu"]}, "at least one parameter file"),
        ({"calculator": "ase.calculators.emt:EMT"}, "either `pair_style`"),
        ({"pair_style": None}, "either `pair_style`"),
        ({"pair_style": None, "calculator": "EMT"}, "key calculator"),
        ({"pair_style": None, "calculator": "os:system;x"}, "key calculator"),
        ({"sha256": [SHA, SHA]}, "one sha256 per file"),
        ({"sha256": ["abc"]}, "key sha256[0]"),
        ({"pair_coeff": []}, "at least one line"),
        ({"pair_coeff": ["* * {dir}/other.eam Cu"]}, "one of `files`"),
        ({"pair_coeff": ["* * {0} Cu"]}, "one of `files`"),
        ({"files": ["Cu.eam.alloy", "more"]}, "more is not"),
        ({"citation": 12}, "key citation"),
    ],
)
def test_a_wrong_entry_is_named_with_its_key(changes: dict[str, Any], message: str) -> None:
    found = problem(entry(**changes))
    assert message in found
    assert "potentials[0] (id Cu_mine)" in found


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "", "x" * 300, "a\nb"])
def test_paths_cannot_leave_the_folder(name: str) -> None:
    assert "files[0]" in problem(entry(files=[name], pair_coeff=[f"* * {{dir}}/{name} Cu"]))
    assert "dir" in problem(entry(dir=name))


@pytest.mark.parametrize(
    "name", ["", "..", ".hidden", "a b", "a/b", "a;b", "a'b", 'a"b', "Ä", "x" * 129, "a\nb", "$(a)"]
)
def test_hostile_ids_are_refused(name: str) -> None:
    assert "key id" in problem(entry(id=name))


@pytest.mark.parametrize("tail", ["; shell", "$x", "`x`", '"x"', "'x'", "&", "#", "\n* * x", "{", "}", "é", "\x00"])
def test_only_plain_arguments_reach_lammps(tail: str) -> None:
    assert "pair_coeff" in problem(entry(pair_coeff=[f"* * {{dir}}/Cu.eam.alloy Cu {tail}"]))
    assert "pair_style" in problem(entry(pair_style=f"eam/alloy {tail}"))


def test_all_problems_are_told_at_once_and_long_lists_are_cut() -> None:
    found = problem(entry(element="Xx", structure="sc"), entry(id="b", colour="red"))
    assert "3 problems" in found
    assert "potentials[1] (id b), key colour" in found
    many = problem(*[entry(id=f"e{number}", element="Xx") for number in range(40)])
    assert "... and 20 more" in many


def test_an_id_given_twice_is_refused() -> None:
    assert "Cu_mine is given 2 times" in problem(entry(), entry())


@pytest.mark.parametrize(
    "content", ["a: [", "- 1", "", "schema: potential-library/2", "!!python/object/apply:os.system [ls]"]
)
def test_what_is_no_manifest_is_refused(content: str) -> None:
    with pytest.raises(PotentialError):
        parse_manifest(content, "m")


def test_machine_learned_entries_without_an_engine_are_listed_with_the_reason() -> None:
    ace = {"id": "any", "kind": "ACE (pair_style pace)", "covers": ["Cu", "Al"], "files": ["x.yace"], "sha256": SHA}
    listing = listing_of(parse_manifest(text(mlff=[ace]), "m"), Path(), "mine", "")
    assert not listing.potentials
    (skipped,) = listing.skipped
    assert (skipped.id, skipped.engine, skipped.elements) == ("any", "ace", ("Cu", "Al"))
    assert "needs the engine 'ace'" in skipped.reason


def unep(**keys: Any) -> dict[str, Any]:
    common = {"id": "UNEP", "kind": "NEP", "covers": ["Cu", "C", "Mg"], "dir": "x", "files": ["nep.txt"]}
    return common | {"citation": "Song et al. (2024)"} | keys


def test_neuroevolution_potentials_are_one_entry_for_each_metal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nep, "calorine_is_installed", lambda: True)
    listing = listing_of(parse_manifest(text(mlff=[unep(sha256=SHA)]), "m"), Path("folder"), "mine", "")
    copper, magnesium = listing.potentials
    assert (copper.id, magnesium.id) == ("UNEP:Cu", "UNEP:Mg")
    assert (copper.structure, magnesium.structure) == ("fcc", "hcp")
    assert (copper.engine, copper.pair_style, copper.pair_coeff) == ("nep", "", ())
    assert (copper.files[0].path, copper.files[0].sha256) == (Path("folder/x/nep.txt"), SHA)
    assert (copper.family, copper.family_primary) == ("Cu-Song-2024", True)
    assert copper.content_sha256 != magnesium.content_sha256
    alone = listing_of(parse_manifest(text(mlff=[unep(covers=["Cu"])]), "m"), Path(), "mine", "")
    assert [potential.id for potential in alone.potentials] == ["UNEP"]


def test_neuroevolution_potentials_without_calorine_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nep, "calorine_is_installed", lambda: False)
    listing = listing_of(parse_manifest(text(mlff=[unep()]), "m"), Path(), "mine", "")
    assert not listing.potentials
    (skipped,) = listing.skipped
    assert skipped.engine == "nep"
    assert 'pip install "glideflow[nep]"' in skipped.reason


def test_a_neuroevolution_potential_has_one_file() -> None:
    for files in ([], ["a", "b"]):
        with pytest.raises(PotentialError, match=r"the one nep.txt of a neuroevolution potential, found [02]"):
            parse_manifest(text(mlff=[unep(files=files)]), "m")


def test_machine_learned_entries_of_one_paper_are_relatives() -> None:
    def snap(name: str, citation: str) -> dict[str, Any]:
        return {
            "id": name,
            "kind": "SNAP",
            "covers": ["Mo"],
            "pair_style": "snap",
            "pair_coeff": ["* * {dir}/c {dir}/p Mo"],
            "files": ["c", "p"],
            "citation": citation,
        }

    entries = [snap("a", "Zuo et al., (2020)"), snap("b", "Zuo et al., (2020)"), snap("c", "Chen et al., (2017)")]
    potentials = listing_of(parse_manifest(text(mlff=entries), "m"), Path(), "mine", "").potentials
    assert [potential.family for potential in potentials] == ["Mo-Zuo-2020", "Mo-Zuo-2020", "Mo-Chen-2017"]
    assert [potential.family_primary for potential in potentials] == [True, False, True]
    assert {potential.structure for potential in potentials} == {"bcc"}


def test_entries_that_a_program_wrote_are_parted() -> None:
    usable, skipped = usable_entries([entry(), entry(id="bad id")])
    assert [item["id"] for item in usable] == ["Cu_mine"]
    assert skipped[0]["id"] == "bad id"
    assert "id" in skipped[0]["reason"]


names = st.text(st.sampled_from("abcXYZ019._- ()+"), min_size=1, max_size=30).filter(
    lambda name: name.strip() == name and ".." not in name and "  " not in name
)


@given(st.lists(names, min_size=1, max_size=5, unique=True))
def test_placeholders_stand_for_the_files_in_any_order(files: list[str]) -> None:
    line = "* * " + " ".join(f"{{dir}}/{name}" for name in reversed(files)) + " Cu"
    made = Entry.model_validate(entry(files=files, pair_coeff=[line]))
    (converted,) = made.placeholders()
    numbers = [int(number) for number in re.findall(r"\{(\d+)\}", converted)]
    assert [files[number] for number in numbers] == list(reversed(files))


def test_the_example_in_the_documentation_is_a_manifest(repository: Path) -> None:
    page = (repository / "docs" / "potentials.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(schema: .*?)```", page, re.DOTALL)
    assert examples
    for example in examples:
        listing = listing_of(parse_manifest(example, "docs/potentials.md"), Path(), "docs", "docs")
        assert listing.potentials
