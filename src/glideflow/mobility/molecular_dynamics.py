"""Molecular dynamics with LAMMPS in this process: a cell at constant stress and temperature, and its restart files.

The box is LAMMPS' restricted triclinic one and may tilt without end: it is never flipped, so that fractional
coordinates stay continuous. With MPI every call is made on all ranks (`glideflow.isolation.ranks`).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from glideflow.crystals.lattices import FloatArray
from glideflow.engines import lammps_library
from glideflow.engines.lammps import LammpsSession, pair_commands, relaxation_style
from glideflow.errors import EngineError, PotentialError
from glideflow.isolation.ranks import on_all_ranks
from glideflow.units import EV_PER_A3_TO_MPA, LAMMPS_BAR_TO_EV_PER_A3

if TYPE_CHECKING:
    from ase import Atoms

    from glideflow.config.engine import EngineSettings
    from glideflow.config.mobility_dynamics import MobilityDynamicsSettings
    from glideflow.potentials.record import Potential

SKIN_ANGSTROM = 0.6
"""Range of the neighbour lists beyond the cutoff; LAMMPS' 2 Å costs 10 % more at 300 K and 50 % more at 900 K."""
STRAIN = 1e-3
"""Shear with which the stiffness of a cell is measured."""
MPA_TO_BAR = 1.0 / (LAMMPS_BAR_TO_EV_PER_A3 * EV_PER_A3_TO_MPA)
_DRIFT_STEPS = 100
"""Timesteps between corrections of the rounding drift of the centre of mass."""
_COMPONENTS = (("x", 0, 0), ("y", 1, 1), ("z", 2, 2), ("xy", 0, 1), ("xz", 0, 2), ("yz", 1, 2))
_PRESSURES = ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")
_UNSTABLE = re.compile(
    "Lost atoms|Non-numeric|simulation unstable|Out of range atoms|Too many neighbor bins|box bounds"
    "|far from equilibrium"
)
_MODULE = __name__


class UnstableError(EngineError):
    """Atoms left the simulation, or are nowhere: the dynamics, not the engine, is at fault."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Snapshot:
    """Atoms and box at one instant.

    Attributes:
        step: timestep.
        positions_angstrom: (N, 3) positions relative to the origin of the box, by id.
        cell_angstrom: (3, 3) cell vectors as rows.
        stress_mpa: (3, 3) stress with the kinetic part, positive in tension.
        temperature_k: temperature of the atoms.
    """

    step: int
    positions_angstrom: FloatArray
    cell_angstrom: FloatArray
    stress_mpa: FloatArray
    temperature_k: float


class DynamicsSession(LammpsSession):
    """One LAMMPS instance that moves atoms.

    Args:
        potential: the potential.
        atoms: the cell, its vectors lower triangular; with ``restart`` only the number of atoms counts.
        engine: accelerator, threads, GPUs.
        settings: timestep and damping times.
        restart: restart file to go on from; None starts from ``atoms``.

    Raises:
        PotentialError: LAMMPS refuses the potential.
        EngineError: LAMMPS refuses the atoms or the restart file.
    """

    def __init__(
        self,
        potential: Potential,
        atoms: Atoms,
        engine: EngineSettings,
        settings: MobilityDynamicsSettings,
        restart: Path | None = None,
    ) -> None:
        self._settings = settings
        self._restart = restart
        self._style = relaxation_style(engine)
        super().__init__(potential, atoms, engine)
        self._prepared = False

    def minimise(self, steps: int) -> None:
        """Relax the atoms in the box at hand by FIRE (`relaxation_style`), as far as these steps go."""
        if steps:
            self._checked([f"min_style {self._style}", f"minimize 0.0 1e-3 {steps} {10 * steps}"])

    def shear_stiffness_mpa(self) -> FloatArray:
        """(2, 2) stresses (xz, yz) in MPa per unit of the shear strains (γ_xz, γ_yz), by central differences.

        Of the atoms where they are: for a cell with one atom per lattice point at rest these are elastic constants.
        """
        stiffness = np.empty((2, 2))
        for column, strain in enumerate(STRAIN * np.eye(2)):
            self.shear(strain)
            ahead = self._stress_at_rest()
            self.shear(-2 * strain)
            stiffness[:, column] = (ahead - self._stress_at_rest())[[0, 1], 2] / (2 * STRAIN)
            self.shear(strain)
        return stiffness

    def shear(self, strains: FloatArray) -> None:
        """Tilt box and atoms by the shear strains (γ_xz, γ_yz)."""
        height = self.cell_angstrom()[2, 2]
        xz, yz = np.asarray(strains) * height
        self._checked([f"change_box all xz delta {xz:.17g} yz delta {yz:.17g} remap units box"])
        self._prepared = False

    def create_velocities(self, temperature_k: float, seed: int) -> None:
        """Velocities of a Maxwell distribution, at rest as a whole.

        Of atoms at rest in their minimum half of this temperature becomes potential energy.
        """
        number = 1 + seed % 900_000_000  # LAMMPS takes seeds below 2^31
        self._checked([f"velocity all create {temperature_k:.17g} {number} mom yes rot no dist gaussian"])

    def keep_at(self, temperature_k: float, stress_mpa: FloatArray) -> None:
        """Thermostat and barostat for all components of the stress, (3, 3) in MPa, from now on.

        Source: Shinoda, Shiga and Mikami, Phys. Rev. B 69, 134103 (2004), as in LAMMPS' ``fix npt``. The box from which
        that measures strain is renewed at each frame: with a plastic shear γ since then, the stress τ asked for comes
        with one of 2γτ along x.
        """
        thermostat, barostat = self._settings.thermostat_ps, self._settings.barostat_ps
        stresses = " ".join(
            f"{name} {-stress_mpa[i, j] * MPA_TO_BAR:.17g} {-stress_mpa[i, j] * MPA_TO_BAR:.17g} {barostat:g}"
            for name, i, j in _COMPONENTS
        )
        temperature = f"{temperature_k:.17g} {temperature_k:.17g} {thermostat:g}"
        self._checked(
            [
                f"fix dynamics all npt temp {temperature} {stresses} flip no nreset {self._settings.steps_per_frame}",
                f"fix drift all momentum {_DRIFT_STEPS} linear 1 1 1",
            ]
        )
        self._prepared = False

    def let_go(self) -> None:
        """Take thermostat and barostat away, with what they have gathered."""
        self._checked(["unfix dynamics", "unfix drift"])
        self._prepared = False

    def advance(self, steps: int) -> None:
        """Simulate so many timesteps.

        Raises:
            UnstableError: atoms are lost or nowhere.
            EngineError: LAMMPS stops for another reason.
        """
        self._checked([f"run {steps} pre {'no' if self._prepared else 'yes'} post no"])
        self._prepared = True

    def reset_clock(self) -> None:
        """Count timesteps from zero."""
        self._checked(["reset_timestep 0"])
        self._prepared = False

    def snapshot(self) -> Snapshot:
        """Atoms and box as they are now."""
        origin, cell = self._box()
        temperature, pressures, step = on_all_ranks(f"{_MODULE}:_state", self._lammps.handle)
        stress = np.empty((3, 3))
        for (_, i, j), pressure in zip(_COMPONENTS, pressures, strict=True):
            stress[i, j] = stress[j, i] = -pressure / MPA_TO_BAR
        return Snapshot(
            step=step,
            positions_angstrom=self._lammps.points() - origin,
            cell_angstrom=cell,
            stress_mpa=stress,
            temperature_k=temperature,
        )

    def cell_angstrom(self) -> FloatArray:
        """(3, 3) cell vectors as rows."""
        return self._box()[1]

    def write_restart(self, path: Path) -> None:
        """Write everything that is needed to go on; the file is there whole or not at all."""
        from glideflow.atomic import replacing

        own = Path(self._scratch.name) / "restart"
        self._checked([f"write_restart {own}"])
        with replacing(path) as temporary:
            shutil.copyfile(own, temporary)
        own.unlink()

    def write_atoms(self, path: Path) -> None:
        """Write positions and velocities as a LAMMPS dump file."""
        from glideflow.atomic import replacing

        own = Path(self._scratch.name) / "atoms"
        self._checked([f"write_dump all custom {own} id type x y z vx vy vz modify sort id format float %.8g"])
        with replacing(path) as temporary:
            shutil.copyfile(own, temporary)
        own.unlink()

    def _set_up(self, potential: Potential, points: FloatArray) -> None:
        if self._restart is None:
            super()._set_up(potential, points)
        else:
            self._read_restart(self._restart, potential)
        commands = [
            *(["change_box all triclinic"] if not self._lammps.is_tilted() else []),
            f"neighbor {SKIN_ANGSTROM} bin",
            f"timestep {self._settings.timestep_ps:.17g}",
            "atom_modify sort 1000 0.0",
            f"thermo_style custom step temp pe {' '.join(_PRESSURES)}",
            "thermo_modify norm no lost error flush no",
        ]
        self._checked(commands)

    def _read_restart(self, restart: Path, potential: Potential) -> None:
        link = Path(self._scratch.name) / "restart-link"
        link.symlink_to(restart.resolve())
        self._checked(
            [
                "units metal",
                "atom_style atomic",
                "atom_modify map array",
                "box tilt large",
                f"read_restart {link}",
                f"mass 1 {atomic_masses[atomic_numbers[potential.element]]:.10g}",
            ]
        )
        try:
            self._command_all(pair_commands(potential, Path(self._scratch.name)))
        except Exception as error:
            raise PotentialError(
                f"LAMMPS refuses potential {potential.id}: {_said(error)}",
                expected="the potential with which the trajectory began",
                next_step="start the trajectory anew in another folder",
            ) from error
        self._checked(["neigh_modify delay 0 every 1 check yes one 20000 page 400000", "thermo 0", "log none"])

    def _stress_at_rest(self) -> FloatArray:
        """(3, 3) stress of the atoms where they are, in MPa."""
        self._prepared = False
        self._checked(["run 0 post no"])
        return self.snapshot().stress_mpa

    def _box(self) -> tuple[FloatArray, FloatArray]:
        """(3,) origin and (3, 3) vectors of the box."""
        origin, cell = on_all_ranks(f"{lammps_library.__name__}:box", self._lammps.handle)
        return origin, cell

    def _checked(self, commands: Iterable[str]) -> None:
        try:
            self._command_all(commands)
        except Exception as error:
            said = _said(error)
            kind = UnstableError if _UNSTABLE.search(said) else EngineError
            raise kind(
                f"{self._label} stopped: {said}",
                expected="a stable simulation",
                next_step="try a smaller timestep, and look at the starting cell for overlapping atoms",
            ) from error


def _said(error: Exception) -> str:
    """What LAMMPS says is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if "ERROR" in line] or lines[-1:]
    return said[0] if said else type(error).__name__


def _state(handle: int) -> tuple[float, list[float], int]:
    """Temperature, pressures in bar and timestep of the last step."""
    lammps = lammps_library.instance(handle)
    pressures = [float(lammps.get_thermo(name)) for name in _PRESSURES]
    return float(lammps.get_thermo("temp")), pressures, int(lammps.extract_global("ntimestep"))
