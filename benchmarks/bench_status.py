"""`glideflow status` on a large run: the status of every record alone, against reading the records.

    python benchmarks/bench_status.py                     # 1 000 potentials with four properties each
    python benchmarks/bench_status.py --potentials 100

The results of one potential are computed, in a cell as small as it can be but with the default grid of the γ surface,
and copied under the ids of the others. CPU times are of this process, user and system; files are in the cache.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness import Row, report, timed

from glideflow.config.load import settings_from_mapping
from glideflow.records import StageRecord
from glideflow.run import ResolvedRun, validate_run
from glideflow.runs.states import run_states
from glideflow.stages import StageRequest, run_stage
from glideflow.storage import peek, read_record, write_record

CONFIGURATION = {
    "name": "status",
    "potentials": {"select": {"ids": ["Cu_2001Mishin_Cu_eam-alloy_v2"]}},
    "peierls_stress": {"burgers_vectors": 16, "height_angstrom": 40, "bracket": 0.2},
}
WHOLE_RECORDS = 400
"""Records that are read whole; the time is scaled to all."""


def compute_one(run: ResolvedRun) -> None:
    """Compute every property of the one potential of a run."""
    systems = {system.name: system for system in run.settings.slip_systems}
    records: dict[str, StageRecord] = {}
    for task in run.property_tasks():
        stage = run_stage(
            StageRequest(
                name=task.rule,  # type: ignore[arg-type]
                potential=run.potential(task.potential),
                settings=run.settings,
                upstream=tuple(records[file] for file in task.inputs),
                slip_system=systems.get(task.slip_system),
                character=task.character,
            )
        )
        records[task.output] = stage
        write_record(run.base / run.results / task.output, stage)


def multiplied(run: ResolvedRun, count: int) -> ResolvedRun:
    """The run with its potential and results so many times, under other ids."""
    [original] = run.potentials
    potentials = tuple(replace(original, id=f"copy-{number}") for number in range(count))
    folder = run.base / run.results / "potentials"
    for potential in potentials:
        shutil.copytree(folder / original.id, folder / potential.id)
    return ResolvedRun(settings=run.settings, base=run.base, potentials=potentials)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="glideflow status on a large run")
    parser.add_argument("--potentials", type=int, default=1000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        one = validate_run(settings_from_mapping(CONFIGURATION, "benchmark"), Path(folder))
        compute_one(one)
        run = multiplied(one, options.potentials)
        files = [run.base / run.results / task.output for task in run.property_tasks()]
        few = files[:WHOLE_RECORDS]
        _, status_s = timed(lambda: run_states(run))
        _, peek_s = timed(lambda: [peek(file, StageRecord, "status") for file in files])
        _, whole_s = timed(lambda: [read_record(file, StageRecord) for file in few])
    rows = [
        Row(way="all of glideflow status", cpu_s=status_s, note=f"{1000 * status_s / len(files):.2f} ms a file"),
        Row(way="the status of each record", cpu_s=peek_s),
        Row(
            way="reading whole records",
            cpu_s=whole_s * len(files) / len(few),
            measured=f"{len(few)} of {len(files)}",
            note=f"{1000 * whole_s / len(few):.2f} ms a file",
        ),
    ]
    report("status", f"status of {len(files)} results of {options.potentials} potentials", rows)


if __name__ == "__main__":
    main()
