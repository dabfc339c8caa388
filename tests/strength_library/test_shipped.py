"""The library that ships with the package: there, small, whole, and with the values that are known independently."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from glideflow.properties.results import GammaSurfaceResult, PeierlsStressResult
from glideflow.quality_flags import QUALITY_FLAGS
from glideflow.records import Library
from glideflow.strength_library import SHIPPED, counts_by_metal, load, to_table

LARGEST_FILE_BYTES = 20_000_000


@pytest.fixture(scope="module")
def file(repository: Path) -> Path:
    return repository / "src" / "glideflow" / "data" / SHIPPED


@pytest.fixture(scope="module")
def library() -> Library:
    return load()


def test_an_installed_wheel_has_it(repository: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    builder = WheelBuilder(str(repository))
    shipped = {Path(each.distribution_path) for each in builder.recurse_included_files()}
    assert Path("glideflow/data", SHIPPED) in shipped


def test_it_is_small_and_says_nothing_of_where_it_was_made(file: Path) -> None:
    content = file.read_bytes()
    assert len(content) <= LARGEST_FILE_BYTES
    paths = re.findall(rb"(?<![\w/.:)\]}>])/(?:home|root|tmp|var|work|usr|opt|mnt|data)/[\w./-]+", content)
    assert paths == []


def test_entries_are_identified(library: Library) -> None:
    ids = [entry.potential.id for entry in library.entries]
    assert ids == sorted(set(ids))
    for entry in library.entries:
        assert entry.family_computed
        assert re.fullmatch(r"[0-9a-f]{64}", entry.potential.sha256), entry.potential.id
        assert entry.potential.citation or entry.potential.source, entry.potential.id
        assert all(stage.potential.id == entry.potential.id for stage in entry.stages)


def test_what_has_no_value_has_a_reason(library: Library) -> None:
    for entry in library.entries:
        for stage in entry.stages:
            assert stage.ok or (stage.failure is not None and stage.failure.reason)
            assert json.loads(stage.provenance.settings_json)


def test_flags_and_families_are_those_of_this_version(library: Library) -> None:
    """A flag whose definition changes needs a library that is built again."""
    from glideflow.library_families import with_families
    from glideflow.quality_flags import quality_flags

    known = {flag.name for flag in QUALITY_FLAGS}
    for entry in library.entries:
        assert {flag for flag in entry.flags if ":" not in flag} <= known
        assert [flag for flag in entry.flags if flag != "not first of its family"] == list(quality_flags(entry.stages))
    mended = with_families(library.entries)
    assert [each.family_computed for each in mended] == [each.family_computed for each in library.entries]


def test_surfaces_are_whole(library: Library) -> None:
    results = [stage.result for entry in library.entries for stage in entry.stages]
    surfaces = [result for result in results if isinstance(result, GammaSurfaceResult)]
    assert surfaces
    for surface in surfaces:
        assert surface.gamma_mj_m2.shape == (len(surface.x_angstrom), len(surface.y_angstrom)) == (31, 31)
        assert surface.gamma_mj_m2.dtype == np.float64
        np.testing.assert_allclose(surface.gamma_mj_m2[0], surface.gamma_mj_m2[-1], atol=1e-3)
        assert surface.gamma_mj_m2.max() == pytest.approx(surface.gamma_max_mj_m2, rel=1e-6)


@pytest.mark.parametrize(("number", "said"), [(0, "Cu_"), (1, "31, 31) mJ/m²")])
def test_the_examples_of_the_documentation_run(
    repository: Path,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    said: str,
) -> None:
    monkeypatch.chdir(file.parent)
    text = (repository / "docs" / "library.md").read_text(encoding="utf-8")
    example = text.split("```python\n")[1 + number].partition("```")[0]
    exec(compile(example, "docs/library.md", "exec"), {})
    assert said in capsys.readouterr().out


KNOWN = {
    "Al_1994Ercolessi_Al_eam-alloy": {"gamma_isf_mj_m2": (104.0, 0.025)},
    "Al_1999Mishin_Al_eam-alloy": {"gamma_isf_mj_m2": (146.0, 0.01), "gamma_usf_mj_m2": (168.0, 0.01)},
    "Al_2003Zope_TiAl_eam-alloy": {"gamma_isf_mj_m2": (115.0, 0.015), "gamma_usf_mj_m2": (151.0, 0.01)},
    "Al_2008Mendelev_Al_eam-fs": {"gamma_isf_mj_m2": (127.1, 0.001), "gamma_usf_mj_m2": (219.7, 0.001)},
    "Cu_2001Mishin_Cu_eam-alloy": {"gamma_isf_mj_m2": (44.4, 0.002), "gamma_usf_mj_m2": (158.0, 0.03)},
    "Ni_1999Mishin_Ni_eam-alloy": {"gamma_isf_mj_m2": (125.0, 0.01), "gamma_usf_mj_m2": (366.0, 0.01)},
    "Ni_2004Mishin_NiAl_eam-alloy": {"gamma_isf_mj_m2": (134.0, 0.01)},
}
"""Stacking fault energies in mJ/m² and the relative tolerance, as papers of the potentials state them (beside ours in
docs/methods.md): F. Ercolessi, J. B. Adams, Europhys. Lett. 26, 583 (1994); Mishin et al., Phys. Rev. B 59, 3393
(1999) and 63, 224106 (2001); R. R. Zope, Y. Mishin, Phys. Rev. B 68, 024102 (2003); Y. Mishin, Acta Mater. 52, 1451
(2004). Those of Mendelev's Al are from an earlier, independent implementation."""


@pytest.mark.parametrize("identifier", KNOWN)
def test_known_stacking_fault_energies(library: Library, identifier: str) -> None:
    rows = {row["potential_id"]: row for row in to_table(library)}
    if identifier not in rows or rows[identifier]["status"] != "ok":
        pytest.skip("this version of the library does not have it")
    for column, (value, tolerance) in KNOWN[identifier].items():
        assert rows[identifier][column] == pytest.approx(value, rel=tolerance)


def test_peierls_stresses_are_intervals(library: Library) -> None:
    results = [stage.result for entry in library.entries for stage in entry.stages]
    stresses = [result for result in results if isinstance(result, PeierlsStressResult)]
    assert stresses
    for result in stresses:
        assert result.peierls_error_mpa > 0
        assert result.resolution_mpa > 0
        assert result.burgers_vectors == 60


def test_the_documentation_states_the_counts(library: Library, repository: Path) -> None:
    """docs/library.md holds what `glideflow library counts` prints."""
    text = (repository / "docs" / "library.md").read_text(encoding="utf-8")
    for metal, counts in counts_by_metal(library).items():
        assert f"| {metal} | {' | '.join(map(str, counts.values()))} |" in text
