#!/usr/bin/env python3
"""Elastic constants of a hot bcc crystal by molecular dynamics, and the isotropic medium of its dislocations.

    hot_medium.py Fe_2003Mendelev_Fe_eam-fs 2.855 10 300 600 900

After the potential stands a lattice constant in Å to start from. Prints a line for each temperature, and the share of
the first one's shear modulus that is lost per kelvin, `mobility.network.features.softening_per_k`; let the first be
near 0 K, from which that counts. The volume without pressure is found first; then stresses are averaged in boxes
strained by the same amount in both senses. Two to three minutes of one core for a temperature.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from glideflow.config.run import RunSettings
from glideflow.crystals.lattices import FloatArray
from glideflow.engines.lammps import pair_commands
from glideflow.engines.lammps_library import LammpsLibrary
from glideflow.mobility.elasticity import isotropic_equivalent
from glideflow.potentials.record import Potential
from glideflow.potentials.select import find

CELLS = 10
"""Cubic cells along each axis."""
STRAIN = 0.006
START_STEPS, VOLUME_STEPS, STRESS_STEPS = 2000, 10_000, 9000
"""Timesteps of 2 fs until the crystal is at rest, and over which volume and stresses are averaged."""
_EVERY = 5
_BAR_PER_GPA = 1e4


@dataclass(frozen=True)
class HotCrystal:
    """A crystal at a temperature in one LAMMPS.

    Attributes:
        lammps: its LAMMPS.
        edge_angstrom: edge of the unstrained box.
        temperature_k: temperature.
        scratch: folder for LAMMPS' files.
    """

    lammps: LammpsLibrary
    edge_angstrom: float
    temperature_k: float
    scratch: Path

    def lattice_angstrom(self) -> float:
        """Lattice constant without pressure."""
        self._settle("npt", "iso 0 0 1")
        return float(self._means(("lx", "ly", "lz"), VOLUME_STEPS).mean()) / CELLS

    def stress_gpa(self, strain: FloatArray) -> FloatArray:
        """(4,) stresses xx, yy, zz, yz at engineering strains (4,) of the same components."""
        *edges, tilt = self.edge_angstrom * (np.append(np.ones(3), 0.0) + strain)
        sizes = " ".join(f"{axis} final 0 {edge:.10f}" for axis, edge in zip("xyz", edges, strict=True))
        self._run(f"change_box all {sizes} yz final {tilt:.10f} remap units box")
        self._settle("nvt")
        return -self._means(("pxx", "pyy", "pzz", "pyz"), STRESS_STEPS) / _BAR_PER_GPA

    def _settle(self, ensemble: str, pressure: str = "") -> None:
        temperature = f"temp {self.temperature_k} {self.temperature_k} 0.1"
        self._run(f"fix dynamics all {ensemble} {temperature} {pressure}", f"run {START_STEPS}")

    def _means(self, names: tuple[str, ...], steps: int) -> FloatArray:
        """Means of thermodynamic quantities over a run."""
        file = self.scratch / "means"
        variables = " ".join(f"v_{name}_now" for name in names)
        self._run("reset_timestep 0", *(f"variable {name}_now equal {name}" for name in names))
        self._run(f"fix means all ave/time {_EVERY} {steps // _EVERY} {steps} {variables} file {file}", f"run {steps}")
        return np.asarray(np.loadtxt(file)[1:])

    def _run(self, *commands: str) -> None:
        for command in commands:
            self.lammps.command(command)


@contextmanager
def hot_crystal(potential: Potential, lattice_angstrom: float, temperature_k: float) -> Iterator[HotCrystal]:
    """A crystal at rest in a cubic box, which ends with the context."""
    with tempfile.TemporaryDirectory() as folder:
        lammps = LammpsLibrary.start(["-log", "none", "-screen", "none"])
        for command in [
            "units metal",
            f"lattice bcc {lattice_angstrom:.10f}",
            f"region box prism 0 {CELLS} 0 {CELLS} 0 {CELLS} 0 0 0",
            "create_box 1 box",
            "create_atoms 1 box",
            f"mass 1 {atomic_masses[atomic_numbers[potential.element]]}",
            *pair_commands(potential, Path(folder)),
            "timestep 0.002",
            f"velocity all create {2 * temperature_k} 4711 mom yes",
        ]:
            lammps.command(command)
        try:
            yield HotCrystal(lammps, CELLS * lattice_angstrom, temperature_k, Path(folder))
        finally:
            lammps.close()


def hot_constants(potential: Potential, start_angstrom: float, temperature_k: float) -> tuple[float, FloatArray]:
    """Lattice constant in Å and (6, 6) elastic constants in GPa at a temperature."""
    with hot_crystal(potential, start_angstrom, temperature_k) as crystal:
        lattice = crystal.lattice_angstrom()

    def slope(direction: list[float]) -> FloatArray:
        """(4,) change of the stress with the strain along a direction."""
        ends = []
        for sign in (1.0, -1.0):
            with hot_crystal(potential, lattice, temperature_k) as crystal:
                ends.append(crystal.stress_gpa(sign * STRAIN * np.array(direction)))
        return np.asarray(ends[0] - ends[1]) / (2 * STRAIN)

    drawn, sheared, swollen = slope([-0.5, -0.5, 1, 0]), slope([0, 0, 0, 1]), slope([1, 1, 1, 0])
    difference = (drawn[2] - drawn[:2].mean()) / 1.5  # C11 - C12
    total = swollen[:3].mean()  # C11 + 2 C12
    tensor = np.diag(np.append(np.full(3, difference), np.full(3, sheared[3])))
    tensor[:3, :3] += (total - difference) / 3
    return lattice, tensor


def main() -> None:
    """Print constants and media, and the loss of the shear modulus by least squares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("potential", help="id, see `glideflow potentials list`")
    parser.add_argument("lattice", type=float, help="lattice constant in Å to start from")
    parser.add_argument("temperatures", type=float, nargs="+", help="K")
    options = parser.parse_args()
    potential = find(RunSettings().potentials, Path.cwd(), options.potential)
    moduli = []
    for temperature_k in options.temperatures:
        lattice, tensor = hot_constants(potential, options.lattice, temperature_k)
        medium = isotropic_equivalent(tensor)
        moduli.append(medium.shear_modulus_gpa)
        constants = " ".join(f"{tensor[place]:.1f}" for place in ((0, 0), (0, 1), (3, 3)))
        print(
            f"{temperature_k:g} K: a = {lattice:.4f} Å, C11 C12 C44 = {constants} GPa; "
            f"μ = {medium.shear_modulus_gpa:.1f} GPa, ν = {medium.poisson_ratio:.3f}",
            flush=True,
        )
    if len(moduli) > 1:
        warmer, lost = (
            np.array(options.temperatures[1:]) - options.temperatures[0],
            1 - np.array(moduli[1:]) / moduli[0],
        )
        print(f"softening {warmer @ lost / (warmer @ warmer):.2e} per kelvin")


if __name__ == "__main__":
    main()
