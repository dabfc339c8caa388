from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import glideflow.engines.nep as nep
from glideflow.config.potentials import BundledSource, FolderSource, PotentialSelection, PotentialsSettings
from glideflow.errors import ConfigurationError, PotentialError
from glideflow.potentials.bundled import load_bundled
from glideflow.potentials.record import Potential, file_sha256
from glideflow.potentials.select import Catalogue, find, load_catalogue, resolve, select, with_digests


def catalogue(*potentials: Potential) -> Catalogue:
    return Catalogue(potentials={entry.id: entry for entry in potentials}, skipped=(), names=("here",))


def made(identity: str, **more: Any) -> Potential:
    return replace(Potential(id=identity, element="Cu", structure="fcc", pair_style="eam/alloy"), **more)


def ids(potentials: tuple[Potential, ...]) -> list[str]:
    return [potential.id for potential in potentials]


@pytest.fixture
def folders(tmp_path: Path, small_files: Any) -> Path:
    """Two folders that share one id."""
    for name, own in (("one", "Cu_one"), ("two", "Cu_two")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "Cu.eam").write_text(small_files.funcfl + f"# {name}\n")
        entries = [
            {
                "id": identity,
                "element": "Cu",
                "structure": "fcc",
                "pair_style": "eam",
                "pair_coeff": ["* * {dir}/Cu.eam"],
                "files": ["Cu.eam"],
            }
            for identity in ("Cu_shared", own)
        ]
        (folder / "manifest.yaml").write_text(yaml.safe_dump({"schema": "potential-library/1", "potentials": entries}))
    return tmp_path


def settings(*names: str, **selection: Any) -> PotentialsSettings:
    sources = tuple(FolderSource(path=name) for name in names)
    return PotentialsSettings(sources=sources, select=PotentialSelection(**selection))


def test_the_first_source_that_holds_an_id_wins_and_order_is_that_of_sources_then_ids(folders: Path) -> None:
    forward = resolve(settings("one", "two"), folders)
    assert ids(forward) == ["Cu_one", "Cu_shared", "Cu_two"]
    assert forward[1].files[0].path.parent.name == "one"
    backward = resolve(settings("two", "one"), folders)
    assert ids(backward) == ["Cu_shared", "Cu_two", "Cu_one"]
    assert backward[0].files[0].path.parent.name == "two"


def test_digests_that_a_source_does_not_state_are_filled_in(folders: Path) -> None:
    (potential,) = resolve(settings("one", ids=("Cu_one",)), folders)
    assert potential.files[0].sha256 == file_sha256(folders / "one" / "Cu.eam")


def test_a_missing_parameter_file_is_refused_before_any_job(folders: Path) -> None:
    (folders / "two" / "Cu.eam").unlink()
    with pytest.raises(PotentialError, match=r"Cu\.eam: No such file"):
        resolve(settings("one", "two"), folders)
    bundled = load_bundled().potentials[0]
    gone = replace(bundled, files=(replace(bundled.files[0], path=folders / "gone"),))
    with pytest.raises(PotentialError, match="gone"):
        with_digests(gone)


def test_the_default_is_one_bundled_potential_per_family() -> None:
    selected = resolve(PotentialsSettings(), Path())
    assert len(selected) == 63
    assert len({potential.family for potential in selected}) == 63


def test_families_that_two_sources_share_are_counted_once(shared_potentials: Path) -> None:
    both = PotentialsSettings(sources=(BundledSource(), FolderSource(path=str(shared_potentials))))
    selected = resolve(both, Path())
    families = [(potential.element, potential.family) for potential in selected if potential.family]
    assert len(families) == len(set(families))
    assert "Cu_2001Mishin_Cu_eam-alloy_v2" in ids(selected)
    assert "Cu_2001Mishin_Cu_eam-alloy" not in ids(selected)


def test_the_primary_stands_for_a_family_and_another_if_it_is_filtered_out() -> None:
    entries = catalogue(
        made("a", family="F", family_primary=False), made("b", family="F", source_status="caution"), made("c")
    )
    assert ids(select(entries, PotentialSelection())) == ["b", "c"]
    assert ids(select(entries, PotentialSelection(source_statuses=("ok",)))) == ["a", "c"]
    assert ids(select(entries, PotentialSelection(exclude=("b",)))) == ["a", "c"]
    assert ids(select(entries, PotentialSelection(families="all"))) == ["a", "b", "c"]


def test_the_same_family_name_of_two_elements_is_two_families() -> None:
    entries = catalogue(made("a", family="F"), made("b", family="F", element="Al"))
    assert ids(select(entries, PotentialSelection())) == ["a", "b"]


def test_each_filter() -> None:
    entries = catalogue(
        made("a"),
        made("b", element="Fe", structure="bcc"),
        made("c", pair_style="hybrid/overlay zbl 4 4.8 snap"),
        made("d", fictional=True),
        made("e", source_status="superseded"),
        made("f", source_status="retracted"),
        made("g", engine="nep", pair_style="", element="W", structure="bcc"),
        made("h", engine="ase", pair_style="", element="W", structure="bcc"),
    )

    def chosen(**selection: Any) -> str:
        return "".join(ids(select(entries, PotentialSelection(**selection))))

    assert chosen() == "abcgh"
    assert chosen(elements=("Fe",)) == "b"
    assert chosen(structures=("fcc",)) == "ac"
    assert chosen(pair_styles=("snap",)) == "c"
    assert chosen(engines=("nep",)) == "g"
    assert chosen(engines=("nep", "ase")) == "gh"
    assert chosen(engines=("nep",), pair_styles=("snap",)) == ""
    assert chosen(pair_styles=("hybrid/overlay", "eam/alloy")) == "abc"
    assert chosen(fictional=True) == "abcdgh"
    assert chosen(source_statuses=("superseded",)) == "e"
    assert chosen(source_statuses=("ok", "retracted")) == "abcfgh"
    assert chosen(limit_per_element=1) == "abg"
    assert chosen(exclude=("a",)) == "bcgh"


def test_ids_overrule_every_filter_but_a_retraction() -> None:
    entries = catalogue(
        made("a", fictional=True, family="F", family_primary=False), made("b", source_status="retracted")
    )
    assert ids(select(entries, PotentialSelection(ids=("a",), elements=("Fe",)))) == ["a"]
    with pytest.raises(ConfigurationError, match="retracted b"):
        select(entries, PotentialSelection(ids=("a", "b")))
    assert ids(select(entries, PotentialSelection(ids=("b",), source_statuses=("retracted",)))) == ["b"]


@pytest.mark.parametrize("key", ["ids", "exclude"])
def test_unknown_ids_are_told_with_the_closest(key: str) -> None:
    with pytest.raises(ConfigurationError, match="Cu_2001Mishin_Cu_eam-alloy_v2") as caught:
        resolve(PotentialsSettings(select=PotentialSelection(**{key: ("Cu_2001Mishin_Cu_eam_alloy",)})), Path())
    assert "potentials that ship with LAMMPS" in caught.value.expected


@given(st.text(max_size=400))
def test_any_unknown_id_is_a_configuration_error(name: str) -> None:
    with pytest.raises(ConfigurationError):
        select(catalogue(made("a")), PotentialSelection(ids=(name + "?",)))


@pytest.mark.parametrize("name", ["UNEP-v1", "UNEP-v1:Cu"])
def test_an_entry_that_cannot_be_used_is_told_with_its_reason(
    shared_potentials: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(nep, "calorine_is_installed", lambda: False)
    with pytest.raises(ConfigurationError, match="needs calorine: pip install"):
        resolve(settings(str(shared_potentials), ids=(name,)), Path())
    monkeypatch.setattr(nep, "calorine_is_installed", lambda: True)
    if name == "UNEP-v1":
        with pytest.raises(ConfigurationError, match="did you mean UNEP-v1:W, "):
            resolve(settings(str(shared_potentials), ids=(name,)), Path())


def test_an_empty_selection_says_which_filter_left_how_many_out() -> None:
    wanted = PotentialsSettings(select=PotentialSelection(elements=("Cu", "Zr"), structures=("bcc",)))
    with pytest.raises(ConfigurationError) as caught:
        resolve(wanted, Path())
    assert "69 usable" in caught.value.found
    assert "select.elements = ('Cu', 'Zr') leaves out 53" in caught.value.found
    assert "select.structures = ('bcc',) leaves out 16" in caught.value.found


def test_find_looks_past_the_selection() -> None:
    excluded = PotentialsSettings(select=PotentialSelection(elements=("W",)))
    assert find(excluded, Path(), "Cu_1985Foiles_Cu_eam").element == "Cu"
    with pytest.raises(ConfigurationError, match="no usable potential"):
        find(excluded, Path(), "nope")


def test_no_source_at_all_is_told() -> None:
    with pytest.raises(ConfigurationError, match="sources is empty"):
        load_catalogue(PotentialsSettings(sources=()), Path())
