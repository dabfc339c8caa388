"""Effective medium theory that takes its time in cells of more than a few atoms: SLOW_EMT_S seconds an evaluation."""

from __future__ import annotations

import os
import time
from typing import Any

from ase.calculators.emt import EMT

LATTICE_ATOMS = 4
"""Perfect crystals are not delayed."""


class SlowEMT(EMT):
    """ASE's EMT, and a pause before each evaluation, which no faster machine shortens."""

    def calculate(self, *arguments: Any, **options: Any) -> None:
        """Wait, then evaluate."""
        super().calculate(*arguments, **options)
        if len(self.atoms) > LATTICE_ATOMS:
            time.sleep(float(os.environ.get("SLOW_EMT_S", "0")))
