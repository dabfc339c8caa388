"""Solve the cores of every sample of the shipped library and write them into the package's data.

    python scripts/core_solutions.py

About half a second of one core for each sample that is not in the file yet. Cores that no sample needs any more are
dropped. Run it when the library, the studies or the solver have changed: `--anew` for the last.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from glideflow.config.transfer import TransferDataSettings
from glideflow.threads import single_thread
from glideflow.transfer.assembly import group_dataset
from glideflow.transfer.core_solutions import (
    SHIPPED,
    core_key,
    core_solutions,
    read_core_solutions,
    solved_cores,
    write_core_solutions,
)

TARGET = Path(__file__).parents[1] / "src" / "glideflow" / "data" / SHIPPED


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--anew", action="store_true", help="solve those again that the file holds")
    parser.add_argument("--output", type=Path, default=TARGET, help="file to write")
    arguments = parser.parse_args()
    settings = TransferDataSettings(one_per_family=False, exclude_flags=())
    dataset = group_dataset("joint", settings)
    known = {} if arguments.anew or not arguments.output.exists() else read_core_solutions(arguments.output)
    solve = solved_cores if arguments.anew else None
    found = {}
    with single_thread():
        for index, name in enumerate(dataset.potential_ids):
            print(f"{index + 1}/{len(dataset)} {name}", flush=True)
            cores = solve(dataset, index) if solve else core_solutions(dataset, np.array([index]), known=known)[0]
            found[core_key(dataset, index)] = cores
    write_core_solutions(arguments.output, found)


if __name__ == "__main__":
    main()
