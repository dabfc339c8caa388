"""Physical constants and unit conversions (CODATA 2018, as in ASE).

Inside the package: Å, eV, eV/Å³ for stresses next to an engine, GPa for elastic constants,
MPa for resolved shear stresses, mJ/m² for γ surfaces, K, ps. ``bar`` exists only at LAMMPS' border.
"""

from typing import Final

ELEMENTARY_CHARGE_C: Final = 1.602176634e-19

EV_PER_A3_TO_GPA: Final = ELEMENTARY_CHARGE_C * 1e21
"""1 eV/Å³ in GPa (160.2176634)."""

EV_PER_A3_TO_MPA: Final = EV_PER_A3_TO_GPA * 1e3
"""1 eV/Å³ in MPa."""

EV_PER_A2_TO_MJ_PER_M2: Final = ELEMENTARY_CHARGE_C * 1e23
"""1 eV/Å² in mJ/m² (16021.76634)."""

LAMMPS_BAR_TO_EV_PER_A3: Final = 1.0 / 1.6021765e6
"""1 bar in eV/Å³ with the constant that LAMMPS' ``metal`` units use (``nktv2p`` = 1.6021765e6)."""

GIB: Final = 2**30
"""Bytes in a GiB."""
