from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from glideflow.config.consistency import consistency_problems
from glideflow.config.mobility import MobilitySettings
from glideflow.config.run import RunSettings


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"stresses_mpa": [250.0, 250.0]}, ("mobility", "stresses_mpa")),
        ({"temperatures_k": [300.0, 500.0, 300.0]}, ("mobility", "temperatures_k")),
        ({"cells": {"angles_deg": [90.0, 90.0]}}, ("mobility", "cells", "angles_deg")),
    ],
)
def test_what_is_named_twice_is_refused(section: dict[str, Any], path: tuple[str, ...]) -> None:
    (problem,) = consistency_problems(RunSettings.model_validate({"mobility": section}))
    assert problem.path == path
    assert "more than once" in problem.found


@pytest.mark.parametrize(
    "section",
    [
        {"cells": {"angles_deg": []}},
        {"cells": {"angles_deg": [181.0]}},
        {"cells": {"size_nm": [8.0, 2.8]}},
        {"cells": {"size_nm": [80.0, 28.0, 1600.0]}},
        {"temperatures_k": [0.0]},
        {"stress_mpa": 500.0},
    ],
)
def test_impossible_values_are_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MobilitySettings.model_validate(section)
