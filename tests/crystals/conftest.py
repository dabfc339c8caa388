"""Slip systems and crystals that several tests look at."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from glideflow.config.slip_systems import BCC_110, FCC_111, HCP_PRISMATIC, SlipSystemSettings
from glideflow.crystals.lattices import Crystal, crystal
from glideflow.crystals.slip_systems import SlipSystem, slip_system

SETTINGS = {
    "fcc_111": FCC_111,
    "bcc_110": BCC_110,
    "hcp_prismatic": HCP_PRISMATIC,
    "bcc_112": SlipSystemSettings(name="bcc_112", structure="bcc", plane=(1, 1, 2), direction=(-1, -1, 1)),
    "hcp_basal": SlipSystemSettings(name="hcp_basal", structure="hcp", plane=(0, 0, 0, 1), direction=(2, -1, -1, 0)),
    "hcp_pyramidal": SlipSystemSettings(
        name="hcp_pyramidal", structure="hcp", plane=(1, 0, -1, 1), direction=(-1, 2, -1, 0)
    ),
    "fcc_100": SlipSystemSettings(name="fcc_100", structure="fcc", plane=(0, 0, 1), direction=(1, 1, 0)),
}
CRYSTALS = {"fcc": crystal("fcc", 3.615), "bcc": crystal("bcc", 2.855), "hcp": crystal("hcp", 3.234, 5.168)}


@pytest.fixture(scope="session")
def systems() -> Callable[[str], tuple[Crystal, SlipSystem]]:
    """A crystal and one of its slip systems, by the system's name."""

    def find(name: str) -> tuple[Crystal, SlipSystem]:
        return CRYSTALS[SETTINGS[name].structure], slip_system(SETTINGS[name])

    return find
