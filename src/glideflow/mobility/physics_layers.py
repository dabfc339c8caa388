"""Physics layers: what turns plain numbers of the networks into force, drag and activation energy.

Equation 2 of Tian et al. (2024) is v = f/B exp(-ε/kT). The signs that physics demands hold by construction: B > 0,
ε ≥ 0, and without stress on a straight line there is no force. This module imports PyTorch.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from glideflow.mobility.velocities import BOLTZMANN_EV_PER_K

DRAG_SCALE_MPA_PS: Final = 100.0
"""Drag coefficient of an untrained network, 1e-4 Pa·s: of the size that phonons exert on edges in metals."""
SMALLEST_DRAG: Final = 1e-3
"""Smallest drag coefficient in that unit, so that B > 0 in floating point too."""
ENERGY_SCALE_EV: Final = 0.1
TENSION_SCALE: Final = 0.1
_UNITY: Final = math.log(math.e - 1)
"""Where softplus is 1."""
_SMALL_BARRIER: Final = -2.0
"""Untrained networks begin with a barrier of about 13 meV: neither absent nor insurmountable."""


def force(factor: Tensor, tension_factor: Tensor, glide_force: Tensor, tension: Tensor) -> Tensor:
    """Force along the glide direction in MPa·Å: f = c₁ f_PK + c₂ μb²κ with c₁ > 0.

    f_PK is that of linear elasticity for a chosen core. Both terms are odd under reversal of the glide stress and the
    bow of the line while the factors are even, so that the force is reversed with them.

    Args:
        factor: output of the F-net; at 0 the elastic force is taken as it is.
        tension_factor: its second output, the correction of the line tension.
        glide_force: f_PK in MPa·Å.
        tension: μb²κ in MPa·Å.
    """
    return functional.softplus(factor + _UNITY) * glide_force + TENSION_SCALE * tension_factor * tension


def drag(output: Tensor) -> Tensor:
    """Drag coefficient B > 0 in MPa·ps (1e-6 Pa·s) from the output of the B-net."""
    return DRAG_SCALE_MPA_PS * (functional.softplus(output + _UNITY) + SMALLEST_DRAG)


def activation_energy(output: Tensor) -> Tensor:
    """Activation energy ε ≥ 0 in eV from the output of the E-net."""
    return ENERGY_SCALE_EV * functional.softplus(output + _SMALL_BARRIER)


def velocity(force_mpa_angstrom: Tensor, drag_mpa_ps: Tensor, energy_ev: Tensor, temperature_k: Tensor) -> Tensor:
    """Velocity f/B exp(-ε/kT) in Å/ps, equation 2."""
    activated = torch.exp(-energy_ev / (BOLTZMANN_EV_PER_K * temperature_k))
    return force_mpa_angstrom / drag_mpa_ps * activated
