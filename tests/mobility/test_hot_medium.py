"""The script that measures how an elastic medium softens with temperature."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from glideflow import strength_library
from glideflow.config.run import RunSettings
from glideflow.potentials.select import find

IRON = "Fe_2003Mendelev_Fe_eam-fs"


@pytest.fixture
def script(load_script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load_script("scripts/hot_medium.py")
    for name, value in {"CELLS": 5, "START_STEPS": 300, "VOLUME_STEPS": 500, "STRESS_STEPS": 500}.items():
        monkeypatch.setattr(module, name, value)
    return module


def test_near_zero_kelvin_it_finds_the_constants_of_the_crystal_at_rest(script: ModuleType, tmp_path: Path) -> None:
    (row,) = (row for row in strength_library.to_table(strength_library.load()) if row["potential_id"] == IRON)
    lattice, tensor = script.hot_constants(find(RunSettings().potentials, tmp_path, IRON), 2.86, 1.0)
    c11, c12, c44 = (float(row[name]) for name in ("c11_gpa", "c12_gpa", "c44_gpa"))
    expected = np.diag([c11 - c12] * 3 + [c44] * 3)
    expected[:3, :3] += c12
    assert lattice == pytest.approx(float(row["a_angstrom"]), abs=1e-3)
    np.testing.assert_allclose(tensor, expected, atol=3.0)
    np.testing.assert_array_equal(tensor[3:, :3], 0.0)
