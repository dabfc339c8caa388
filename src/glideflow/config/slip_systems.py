"""Section ``slip_systems``: planes and directions in Miller or Miller-Bravais indices."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from glideflow.config.base import Section

Character = Literal["edge", "screw"]
Cut = Literal["wide", "narrow"]


class SlipSystemSettings(Section):
    """One slip system."""

    name: str = Field(pattern=r"^[a-z0-9_]+$", max_length=60)
    """Name used in file names and tables."""
    structure: Literal["fcc", "bcc", "hcp"]
    """Crystal structure."""
    plane: tuple[int, ...] = Field(min_length=3, max_length=4)
    """Miller (hkl) or Miller-Bravais (hkil) indices of the slip plane."""
    direction: tuple[int, ...] = Field(min_length=3, max_length=4)
    """Miller [uvw] or Miller-Bravais [uvtw] indices of the Burgers vector's direction."""
    characters: tuple[Character, ...] = Field(default=("edge",), min_length=1)
    """Characters of the dislocations whose Peierls stress is computed."""
    cut: Cut | None = None
    """Which of two inequivalent spacings between planes is cut, for the γ surface and the Peierls stress alike; the
    wide one, or for the Peierls stress ``peierls_stress.cut``, if not given."""


FCC_111 = SlipSystemSettings(name="fcc_111", structure="fcc", plane=(1, 1, 1), direction=(-1, 1, 0))
BCC_110 = SlipSystemSettings(name="bcc_110", structure="bcc", plane=(1, 1, 0), direction=(-1, 1, 1))
HCP_PRISMATIC = SlipSystemSettings(name="hcp_prismatic", structure="hcp", plane=(1, 0, -1, 0), direction=(-1, 2, -1, 0))

PRIMARY_SLIP_SYSTEMS = (FCC_111, BCC_110, HCP_PRISMATIC)
"""Slip systems of paper 000: fcc {111}<-110>, bcc {110}<111>, hcp prismatic {10-10}<11-20>."""
