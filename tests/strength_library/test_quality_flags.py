from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from glideflow.quality_flags import NOT_FIRST, QUALITY_FLAGS, quality_flags

if TYPE_CHECKING:
    from conftest import Records


def test_good_records_earn_no_flag(records: Records) -> None:
    assert quality_flags([records["lattice"], records.changed("elastic", flags=())]) == ()


@pytest.mark.parametrize(
    ("name", "values", "flag"),
    [
        ("lattice", {"ground_state": "hcp"}, "wrong ground state"),
        ("lattice", {"a_angstrom": 4.05 * 1.09}, "lattice far from reference"),
        ("lattice", {"a_angstrom": 4.05 * 1.03}, "lattice far from reference"),  # the volume is 9 % off
        ("lattice", {"energy_ev_per_atom": float("nan")}, "not a number"),
        ("elastic", {"born_stable": False}, "Born-unstable"),
        ("elastic", {"flags": ("strain-dependent elastic constants",)}, "strain-dependent elastic constants"),
        ("elastic", {"tensor_gpa": np.full((6, 6), np.inf)}, "not a number"),
        ("gamma_surface", {"flags": ("negative γ",)}, "negative γ"),
        ("gamma_surface", {"gamma_isf_mj_m2": -3.0}, "negative intrinsic stacking fault energy"),
        ("gamma_surface", {"flags": ("not smooth along the normal",)}, "not smooth"),
        ("peierls_stress", {"is_upper_bound": True}, "upper bound"),
        ("peierls_stress", {"flags": ("unconverged steps",)}, "unconverged steps"),
        ("peierls_stress", {"flags": ("easier in one direction",)}, "easier in one direction"),
        ("peierls_stress", {"flags": ("glides in one direction only",)}, "glides in one direction only"),
    ],
)
def test_each_flag_by_what_it_means(records: Records, name: str, values: dict[str, Any], flag: str) -> None:
    cleared = {"flags": ()} if hasattr(records.result(name), "flags") else {}
    assert flag not in quality_flags([records.changed(name, **cleared)])
    assert flag in quality_flags([records.changed(name, **(cleared | values))])


def test_small_deviations_of_the_lattice_are_no_flag(records: Records) -> None:
    assert quality_flags([records.changed("lattice", a_angstrom=4.05 * 1.02)]) == ()


def test_a_jump_of_the_core_is_a_rearrangement(records: Records) -> None:
    result = records.result("peierls_stress")
    jumping = tuple(replace(curve, jumps=1) for curve in result.curves)
    assert "core rearranges under load" in quality_flags([records.changed("peierls_stress", curves=jumping, flags=())])


@pytest.mark.parametrize(("factor", "transforms"), [(1.2, False), (1.3, True), (0.7, True)])
def test_a_core_of_another_width_is_another_core(records: Records, factor: float, transforms: bool) -> None:
    result = records.result("peierls_stress")
    core = replace(result.core_unloaded, width_angstrom=factor * result.core_unloaded.width_angstrom)
    flags = quality_flags([records.changed("peierls_stress", core_at_peak=core)])
    assert ("core transforms under load" in flags) is transforms


def test_remarks_without_a_flag_are_kept(records: Records) -> None:
    stage = records.changed("elastic", flags=("something new", "Born-unstable"))
    assert quality_flags([stage]) == ("Born-unstable", "something new")
    other = replace(stage, property="peierls_nabarro")
    assert quality_flags([other]) == ("peierls_nabarro: something new",), "the other one is that of what it has read"


def test_failures_earn_no_flag(records: Records) -> None:
    assert quality_flags([records.failed("lattice")]) == ()


def test_every_flag_is_defined_once_and_explained() -> None:
    words = [word for flag in QUALITY_FLAGS for word in (flag.name, *flag.remarks)]
    assert len(set(words)) == len(words)
    assert all(flag.meaning and not flag.meaning.endswith(".") for flag in QUALITY_FLAGS)
    assert QUALITY_FLAGS[-1].name == NOT_FIRST
