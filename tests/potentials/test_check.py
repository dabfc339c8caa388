from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest

from glideflow.errors import PotentialError
from glideflow.potentials.adhoc import potential_from_command
from glideflow.potentials.bundled import load_bundled
from glideflow.potentials.check import check_potential
from glideflow.potentials.record import Potential, PotentialFile


def made(folder: Path, text: str, style: str = "eam/alloy", line: str = "* * {0} Cu") -> Potential:
    path = folder / "file"
    path.write_text(text)
    return Potential(
        id="x", element="Cu", structure="fcc", pair_style=style, pair_coeff=(line,), files=(PotentialFile(path=path),)
    )


def problem(potential: Potential) -> str:
    report = check_potential(potential)
    assert not report.ok
    assert report.energy_ev_per_atom is None
    return " | ".join(str(error) for error in report.problems)


def test_bundled_potentials_are_in_order() -> None:
    for potential in load_bundled().potentials:
        report = check_potential(potential)
        assert report.ok, report.problems
        assert not report.remarks


def test_a_missing_and_an_altered_file(tmp_path: Path, small_files: Any) -> None:
    potential = made(tmp_path, small_files.setfl(("Cu",)))
    altered = Potential(**(vars(potential) | {"files": (PotentialFile(path=tmp_path / "file", sha256="0" * 64),)}))
    assert "SHA-256" in problem(altered)
    (tmp_path / "file").unlink()
    assert "cannot read" in problem(potential)
    assert len(check_potential(potential).problems) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission(tmp_path: Path, small_files: Any) -> None:
    potential = made(tmp_path, small_files.setfl(("Cu",)))
    (tmp_path / "file").chmod(0)
    assert "Permission" in problem(potential)


def test_truncated_and_overlong_tables(tmp_path: Path, small_files: Any) -> None:
    text = small_files.setfl(("Cu",), points=50)
    assert check_potential(made(tmp_path, text)).ok
    assert "holds" in problem(made(tmp_path, text[: len(text) // 2]))
    assert "holds" in problem(made(tmp_path, text + "0.1\n" * 50))
    assert "holds" in problem(made(tmp_path, small_files.funcfl[:-20], "eam", "* * {0}"))


def test_the_layout_of_another_style_is_noticed(tmp_path: Path, small_files: Any) -> None:
    finnis_sinclair = small_files.setfl(("Cu", "Al"), points=50, densities=2)
    assert check_potential(made(tmp_path, finnis_sinclair, "eam/fs")).ok
    assert "differ in their length" in problem(made(tmp_path, finnis_sinclair, "eam/alloy"))


def test_words_among_the_numbers(tmp_path: Path, small_files: Any) -> None:
    text = small_files.setfl(("Cu",), points=50)
    assert "0.5D+00" in problem(made(tmp_path, text.replace("0.5", "0.5D+00")))


def test_values_that_are_not_finite_are_remarked(tmp_path: Path, small_files: Any) -> None:
    text = small_files.setfl(("Cu",), points=50)
    head, _, tail = text.rpartition("0.25")
    report = check_potential(made(tmp_path, head + "NaN" + tail))
    assert report.ok
    assert "1 values that are not finite" in report.remarks[0]


def test_another_element(tmp_path: Path, small_files: Any) -> None:
    assert "describes Al" in problem(made(tmp_path, small_files.setfl(("Al",))))


def test_floats_in_the_integer_fields_of_a_library(tmp_path: Path, small_files: Any) -> None:
    line = "* * {0} Cu NULL Cu"
    assert check_potential(made(tmp_path, small_files.library, "meam", line)).ok
    assert "not integers" in problem(made(tmp_path, small_files.library.replace(" 29 ", " 29. "), "meam", line))
    other = small_files.library.replace(" 13 ", " 13. ")  # an entry that the line does not take
    assert check_potential(made(tmp_path, other, "meam", line)).ok


def test_the_energy_is_asked_for_only_if_the_files_are_in_order(tmp_path: Path, small_files: Any) -> None:
    calls: list[str] = []

    def evaluate(potential: Potential) -> float:
        calls.append(potential.id)
        return -3.5

    assert check_potential(made(tmp_path, small_files.setfl(("Cu",))), evaluate).energy_ev_per_atom == -3.5
    check_potential(made(tmp_path, "nothing"), evaluate)
    assert calls == ["x"]


@pytest.mark.parametrize("energy", [math.nan, math.inf])
def test_an_energy_that_is_not_finite(tmp_path: Path, small_files: Any, energy: float) -> None:
    report = check_potential(made(tmp_path, small_files.setfl(("Cu",))), lambda potential: energy)
    assert "energy of the fcc crystal" in str(report.problems[0])


def test_an_evaluation_that_fails_is_a_problem_of_the_potential(tmp_path: Path, small_files: Any) -> None:
    def evaluate(potential: Potential) -> float:
        raise PotentialError("it died", expected="an energy")

    report = check_potential(made(tmp_path, small_files.setfl(("Cu",))), evaluate)
    assert [str(error).splitlines()[0] for error in report.problems] == ["it died"]


def test_parts_of_hybrid_styles_are_checked() -> None:
    lines = ["* * zbl 74 74", "* * snap W_2940_2017_2.snapcoeff W_2940_2017_2.snapparam W"]
    good = potential_from_command("W", "bcc", "hybrid/overlay zbl 4 4.8 snap", lines)
    assert check_potential(good).ok
    assert "atomic number of Mo" in problem(Potential(**(vars(good) | {"element": "Mo"})))
