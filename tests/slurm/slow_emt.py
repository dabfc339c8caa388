"""Effective medium theory that takes its time in cells of more than a few atoms: SLOW_EMT_S seconds an evaluation."""

from __future__ import annotations

import os
import time
from typing import Any

from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT

LATTICE_ATOMS = 4
"""Perfect crystals are not delayed."""


class SlowEMT(EMT):
    """ASE's EMT, and a pause before each evaluation, which no faster machine shortens."""

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = None) -> None:
        """Wait, then evaluate, as if for the first time.

        The neighbour list that EMT keeps depends on earlier positions, and so does the last bit of its sums.
        """
        super().calculate(atoms, properties or ["energy"], all_changes)
        if len(self.atoms) > LATTICE_ATOMS:
            time.sleep(float(os.environ.get("SLOW_EMT_S", "0")))
