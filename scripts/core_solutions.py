"""Solve the cores of every crystal of the shipped library and write them into the package's data.

    python scripts/core_solutions.py

About half a second of one core for each sample that is not in the file yet. Cores that no sample needs any more are
dropped. Run it when the library, the studies or the solver have changed: `--anew` for the last.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from glideflow.config.transfer import TransferDataSettings
from glideflow.forked import mapped, on_cores
from glideflow.strength_library import load
from glideflow.threads import single_thread
from glideflow.transfer.assembly import assemble
from glideflow.transfer.core_solutions import (
    SHIPPED,
    core_key,
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
    everything = TransferDataSettings(one_per_family=False, exclude_flags=())
    dataset = assemble(load(), everything, with_stress=False)  # what has no stress is there to be predicted
    known = {} if arguments.anew or not arguments.output.exists() else read_core_solutions(arguments.output)
    keys = [core_key(dataset, index) for index in range(len(dataset))]
    found = {key: known[key] for key in keys if key in known}
    missing = [index for index, key in enumerate(keys) if key not in found]
    with single_thread(), on_cores(len(missing)):
        solved = mapped(lambda index: solved_cores(dataset, index), missing)
        for done, (index, cores) in enumerate(zip(missing, solved, strict=True)):
            print(f"{done + 1}/{len(missing)} {dataset.potential_ids[index]}", flush=True)
            found[keys[index]] = cores
    write_core_solutions(arguments.output, found)


if __name__ == "__main__":
    main()
