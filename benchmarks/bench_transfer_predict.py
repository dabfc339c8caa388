"""What a prediction from a few values of γ costs, and what its solved cores save against the plain way.

    OMP_NUM_THREADS=1 python benchmarks/bench_transfer_predict.py

Plain: an exponential for every wave, Gauss in place of Cholesky, and the whole branch from one row to the next in place
of the half between two cores that are their own mirror images. Both ways solve the same crystals in one run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np

from glideflow.cli.predict import CORES
from glideflow.config.transfer import TransferDataSettings
from glideflow.crystals.lattices import FloatArray
from glideflow.properties.disregistry_branch import follow
from glideflow.properties.semidiscrete import lowest_cores
from glideflow.threads import single_thread
from glideflow.transfer.assembly import group_dataset
from glideflow.transfer.core_solutions import STUDIES, core_solutions, solved_cores, study_model
from glideflow.transfer.dataset import TransferDataset

CRYSTALS = 5
STRUCTURES = ("fcc", "bcc", "hcp")
_STRONG = 1e-6
"""Of K: the targets resolve no less."""


def plainly(dataset: TransferDataset, index: int) -> FloatArray:
    """(T,) stresses over K of all studies, the plain way."""
    found = []
    with (
        patch("glideflow.properties.wave_table._MOST_MULTIPLES", 0),
        patch("glideflow.properties.disregistry._solve_symmetric", np.linalg.solve),
    ):
        for study in STUDIES:
            model = study_model(dataset, index, study)
            branch = follow(model, lowest_cores(model), tolerance=1e-9, max_steps=60)
            found.append(np.maximum(branch.forward, branch.reverse))
    return np.concatenate(found)


def cores(structure: str) -> None:
    """Print the CPU time of both ways, and how far their stresses are apart."""
    dataset = group_dataset(structure, TransferDataSettings())
    spent, apart = np.zeros(2), []
    for index in np.linspace(1, len(dataset) - 2, CRYSTALS).astype(int):
        start = time.process_time()
        plain = plainly(dataset, int(index))
        middle = time.process_time()
        fast = solved_cores(dataset, int(index))[:, 0]
        spent += [middle - start, time.process_time() - middle]
        strong = plain > _STRONG
        apart.append(np.abs(fast[strong] / plain[strong] - 1))
    largest = np.concatenate(apart)
    print(
        f"{structure}: {spent[0] / CRYSTALS:.2f} CPU s a crystal plainly, {spent[1] / CRYSTALS:.2f} s now, "
        f"{spent[0] / spent[1]:.1f} times faster; stresses apart by {np.quantile(largest, 0.99):.0e} (99 %)"
    )


def shipped(structure: str) -> None:
    """Print how far all shipped cores are from those solved now; two minutes for each structure."""
    dataset = group_dataset(structure, TransferDataSettings())
    kept = core_solutions(dataset, np.arange(len(dataset)))[:, :, 0]
    now = np.array([solved_cores(dataset, index)[:, 0] for index in range(len(dataset))])
    strong = kept > _STRONG
    apart = np.abs(np.log10(now[strong] / kept[strong]))
    print(f"{structure}: of {strong.sum()} shipped stresses {np.mean(apart < 1e-3):.1%} within 0.001 decades", end=", ")
    print(f"{np.mean(apart < 0.05):.1%} within 0.05")


def first_prediction(structure: str) -> None:
    """Print what `glideflow predict` of the example costs, from its start to its end."""
    program = [sys.executable, "-m", "glideflow", "predict"]
    example = subprocess.run([*program, "--example", structure], check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "example.yaml"
        file.write_text(example, encoding="utf-8")
        start, before = time.perf_counter(), _children_seconds()
        subprocess.run([*program, str(file)], check=True, capture_output=True)
        wall, spent = time.perf_counter() - start, _children_seconds() - before
        cores_used = min(CORES, len(os.sched_getaffinity(0)))
        print(
            f"{structure}: first prediction of the example after {wall:.1f} s on {cores_used} cores, {spent:.1f} CPU s"
        )


def _children_seconds() -> float:
    """CPU seconds of all processes that were waited for."""
    import resource

    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


def main() -> None:
    """Print everything; with ``--shipped`` the comparison with the shipped cores alone."""
    with single_thread():
        for structure in STRUCTURES:
            if "--shipped" in sys.argv[1:]:
                shipped(structure)
            else:
                cores(structure)
                first_prediction(structure)


if __name__ == "__main__":
    main()
