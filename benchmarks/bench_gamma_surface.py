"""A γ surface of 31 × 31 points in one session, against one LAMMPS process per point and against atomman.

Cu of Mishin et al. (2001) on {111}, slab of 36 planes, relaxation along the normal to 1e-5 eV/Å, the same slab, grid
and tolerance for everybody. One process per point is what scripts around LAMMPS do; atomman's
`StackingFault.iterfaultmap` makes the configurations of its stacking fault maps, which are then run with
`atomman.lammps.run`, a process each too. Of these two, a sample of points is computed and the time per point multiplied
by the 900 points of the grid (31 × 31 with the repeated edges left out). The energies of the sample are compared with
ours.

    python benchmarks/bench_gamma_surface.py
    python benchmarks/bench_gamma_surface.py --sample 60
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase.io.lammpsdata import write_lammps_data
from harness import Row, lammps_executable, lattice, potential, report, timed

from glideflow.config.gamma_surface import GammaSurfaceSettings
from glideflow.config.slip_systems import FCC_111
from glideflow.crystals.slip_systems import slip_system
from glideflow.engines.lammps import LammpsEngine
from glideflow.properties.gamma_surface import fault_geometry, gamma_surface
from glideflow.properties.results import GammaSurfaceResult, LatticeResult
from glideflow.units import EV_PER_A2_TO_MJ_PER_M2

POINTS = 30  # per axis, the repeated edge left out
Sample = list[tuple[int, int]]
SETTINGS = GammaSurfaceSettings(grid=(POINTS + 1, POINTS + 1), layers=36)  # atomman stacks repeats of three
SCRIPT = """
units metal
atom_style atomic
boundary p p {boundary}
box tilt large
read_data {data}
mass 1 63.546
{pair}
fix plane all setforce 0.0 0.0 NULL
thermo_style custom step pe
min_style cg
minimize 0.0 1e-5 10000 100000
print "ENERGY $(pe:%.12g)"
"""


def pair_commands() -> str:
    """Commands that choose the potential."""
    copper = potential("Cu")
    return f"pair_style {copper.pair_style}\npair_coeff {copper.pair_coeff[0].format(copper.files[0].path)}"


def energy_in_a_process(folder: Path, data: Path, boundary: str) -> float:
    """Energy in eV of a configuration relaxed along z, by a LAMMPS process of its own."""
    script = folder / "in.lammps"
    script.write_text(SCRIPT.format(boundary=boundary, data=data, pair=pair_commands()), encoding="utf-8")
    command = [lammps_executable(), "-in", str(script), "-log", "none", "-sf", "opt"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout
    return float(next(line.split()[1] for line in output.splitlines() if line.startswith("ENERGY")))


def process_per_point(copper: LatticeResult, sample: Sample) -> list[float]:
    """γ in mJ/m² at grid points, by a script around LAMMPS."""
    geometry = fault_geometry(copper, slip_system(FCC_111), SETTINGS)
    cell = geometry.cell
    energies = []
    with tempfile.TemporaryDirectory() as name:
        for point in [(0, 0), *sample]:
            atoms = cell.atoms("Cu")
            atoms.positions, _ = cell.displaced(np.array(point) / POINTS * geometry.layers.period_angstrom)
            write_lammps_data(Path(name) / "data", atoms, atom_style="atomic", masses=False)
            energies.append(energy_in_a_process(Path(name), Path(name) / "data", "f"))
    return [(energy - energies[0]) / cell.area_angstrom2 * EV_PER_A2_TO_MJ_PER_M2 for energy in energies[1:]]


def atomman_map(copper: LatticeResult, sample: Sample) -> list[float]:
    """γ in mJ/m² at grid points, by configurations of atomman's stacking fault map."""
    import atomman as am

    a = copper.a_angstrom
    box = am.Box(vects=a / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    unit_cell = am.System(box=box, atoms=am.Atoms(atype=1, pos=np.zeros((1, 3))), symbols="Cu")
    fault = am.defect.StackingFault([1, 1, 1], unit_cell, conventional_setting="f")
    # displacements along x and y of the slip system, in the axes of the conventional cell
    fault.a1vect_uvw = [-0.5, 0.5, 0.0]
    fault.a2vect_uvw = [-0.5, -0.5, 1.0]
    repeats = round(SETTINGS.layers / fault.rcell.natoms)
    fault.surface(sizemults=[1, 1, repeats], vacuumwidth=SETTINGS.vacuum_angstrom)
    energies = {}
    wanted = {(0, 0), *sample}
    with tempfile.TemporaryDirectory() as name:
        for a1, a2, system in fault.iterfaultmap(num_a1=POINTS, num_a2=POINTS):
            point = (round(a1 * POINTS), round(a2 * POINTS))
            if point in wanted:
                energies[point] = atomman_energy(system, Path(name))
    area = fault.surfacearea * EV_PER_A2_TO_MJ_PER_M2**-1
    return [(energies[point] - energies[0, 0]) / area for point in sample]


def atomman_energy(system: object, folder: Path) -> float:
    """Energy in eV of one of atomman's systems, run and read the way that its calculations do."""
    import atomman as am

    system.dump("atom_data", f=str(folder / "atom.dat"), units="metal", atom_style="atomic")  # type: ignore[attr-defined]
    script = SCRIPT.format(boundary="p", data=folder / "atom.dat", pair=pair_commands())
    (folder / "in.lammps").write_text(script, encoding="utf-8")
    log = am.lammps.run(
        lammps_executable(),
        script_name=str(folder / "in.lammps"),
        logfile=str(folder / "log.lammps"),
        screen=False,
        suffix="opt",
    )
    return float(log.simulations[-1].thermo.PotEng.values[-1])


def per_point(
    work: Callable[[LatticeResult, Sample], list[float]],
    copper: LatticeResult,
    sample: Sample,
) -> tuple[list[float], float]:
    """γ at the sample, and the processor time per point beyond what a map costs once."""
    energies, whole = timed(lambda: work(copper, sample))
    _, once = timed(lambda: work(copper, sample[:1]))
    return energies, (whole - once) / (len(sample) - 1)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sample", type=int, default=13, help="points that are computed in processes of their own")
    count = arguments.parse_args().sample
    copper = lattice("Cu")

    def ours() -> GammaSurfaceResult:
        return gamma_surface(LammpsEngine(), potential("Cu"), copper, slip_system(FCC_111), SETTINGS)

    surface, cpu_s = timed(ours)
    chosen = np.random.default_rng(0).choice(POINTS**2, size=count, replace=False)
    sample = [(int(index) // POINTS, int(index) % POINTS) for index in chosen]
    here = np.array([surface.gamma_mj_m2[point] for point in sample])
    rows = [
        Row(
            way="glideflow, one session",
            cpu_s=cpu_s,
            note=f"{surface.unique_points} unique points, {surface.evaluations} evaluations",
        )
    ]
    for way, work in (
        ("one LAMMPS process per point", process_per_point),
        ("atomman's stacking fault map", atomman_map),
    ):
        energies, seconds = per_point(work, copper, sample)
        # atomman's sense of the second axis is its own
        mirrored = np.array([surface.gamma_mj_m2[i, (POINTS - j) % POINTS] for i, j in sample])
        difference = min(float(np.abs(grid - np.array(energies)).max()) for grid in (here, mirrored))
        for points, what in ((POINTS**2, way), (surface.unique_points, f"{way}, our unique points only")):
            rows.append(
                Row(
                    way=what,
                    cpu_s=seconds * points,
                    measured=f"{count} of {points} points",
                    note=f"largest difference {difference:.1e} mJ/m²",
                )
            )
    report("gamma_surface", "γ surface of Cu {111}, 31 × 31 points", rows, sample=sample)


if __name__ == "__main__":
    main()
