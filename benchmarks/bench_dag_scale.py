"""Dry runs of the paper tier and of ten and a hundred times its size, against Snakemake's own floor.

The floor is a plain Snakefile with the same jobs, files and wildcards and no code of this package: input, output and
command of each rule, nothing else. What a run adds are the checked configuration and potentials (every parameter file
is hashed), and per job the digests that decide whether it is done again, its log, benchmark and resources.

    python benchmarks/bench_dag_scale.py                              # paper tier and ten times it
    python benchmarks/bench_dag_scale.py --factors 1 10 100           # a quarter of an hour
    python benchmarks/bench_dag_scale.py --factors 1 --finished       # also: everything is there, what is to be done?
    python benchmarks/bench_dag_scale.py --profile 10                 # where the time goes, by function

The potentials are those that ship with LAMMPS, each listed as often as needed under another id and with files of its
own. CPU times are of the whole process, user and system; a size whose expected wall time is over the limit is
extrapolated from the two before it, and marked so. With ``--finished`` Snakemake first records every result, for which
it takes 0.1 s a job by design.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pstats
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from glideflow.config.load import load_settings
from glideflow.config.potentials import PotentialsSettings
from glideflow.potentials.manifest import write_manifest
from glideflow.potentials.record import Potential
from glideflow.potentials.select import resolve
from glideflow.run import ResolvedRun, Task, validate_run

REPOSITORY = Path(__file__).resolve().parents[1]
PAPER_TIER = REPOSITORY / "config" / "paper.yaml"
PAPER_POTENTIALS = 244
"""Families of potentials of the fourteen metals that the four sources of the paper tier hold together."""

GOAL_MS_PER_JOB = 2.0
"""CPU time that a job of ours may take over the same job of the plain Snakefile."""

CONFIGURATION = "scale.yaml"
PLAIN_SNAKEFILE = '''"""The same jobs, files and wildcards, without a line of the package."""

import json

RESULTS = {results!r}
with open("results.json", encoding="utf-8") as stream:
    EVERY = json.load(stream)


rule all:
    input:
        f"{{RESULTS}}/report.html",
        f"{{RESULTS}}/site/index.html",


{rules}
rule library:
    input:
        EVERY,
    output:
        f"{{RESULTS}}/library.h5",
    shell:
        "touch {{output}}"


rule report:
    input:
        rules.library.output,
    output:
        f"{{RESULTS}}/report.html",
    shell:
        "touch {{output}}"


rule site:
    input:
        rules.library.output,
    output:
        f"{{RESULTS}}/site/index.html",
    shell:
        "touch {{output}}"
'''
PLAIN_RULE = """rule {name}:{input}
    output:
        f"{{RESULTS}}/{output}",
    shell:
        "touch {{output}}"


"""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a process took; ``None`` in place of a cost means that it was ended at the limit."""

    cpu_s: float
    wall_s: float
    memory_mb: float
    extrapolated: bool = False

    def __str__(self) -> str:
        return f"{'~' if self.extrapolated else ''}{self.cpu_s:.1f} s {self.memory_mb:.0f} MB"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A workflow of one size: Snakemake's floor and ours."""

    factor: float
    jobs: int
    floor: Cost
    ours: Cost
    finished: Cost | None = None

    @property
    def over_floor_ms(self) -> float:
        """CPU time per job over the floor."""
        return 1e3 * (self.ours.cpu_s - self.floor.cpu_s) / self.jobs


def main() -> None:
    options = parse_options()
    if options.profile:
        return profile(options.profile)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="dag-scale-") as folder:
        for factor in options.factors:
            project = Project(Path(folder, f"x{factor:g}"), round(factor * PAPER_POTENTIALS))
            rows.append(row_of(project, factor, rows, options))
            print(describe(rows[-1]), flush=True)
    Console(width=120).print(table_of(rows))
    verdict(rows)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--factors", type=float, nargs="+", default=[1, 10], help="sizes, in paper tiers")
    parser.add_argument("--limit-s", type=float, default=300, help="wall time of one dry run")
    parser.add_argument("--finished", action="store_true", help="also a dry run when everything is done")
    parser.add_argument("--profile", type=float, metavar="FACTOR", help="profile our dry run of this size instead")
    options = parser.parse_args()
    options.factors.sort()
    return options


class Project:
    """A folder with a configuration of the paper tier's settings and as many potentials as asked for."""

    def __init__(self, root: Path, potentials: int) -> None:
        self.root = root
        self.write_potentials(potentials)
        self.write_configuration()
        self.run = validate_run(load_settings(root / CONFIGURATION), root, verify=False)
        self.jobs = len(self.run.tasks()) + 1  # and the target rule
        self.write_plain_snakefile()

    def write_potentials(self, count: int) -> None:
        folder = self.root / "potentials"
        folder.mkdir(parents=True)
        bundled = resolve(PotentialsSettings(), self.root)
        copies = itertools.islice(itertools.cycle(bundled), count)
        entries = [entry_of(potential, f"p{number:06d}", folder) for number, potential in enumerate(copies)]
        write_manifest({"schema": "potential-library/1", "potentials": entries}, folder)

    def write_configuration(self) -> None:
        text = PAPER_TIER.read_text(encoding="utf-8")
        sources = "  sources:\n    - kind: folder\n      path: potentials\n  select:"
        text, found = re.subn(r"  sources:\n.*?  select:", sources, text, flags=re.DOTALL)
        assert found, f"no sources in {PAPER_TIER}"
        (self.root / CONFIGURATION).write_text(text, encoding="utf-8")

    def write_plain_snakefile(self) -> None:
        every = [f"{self.run.results}/{task.output}" for task in self.run.property_tasks()]
        (self.root / "results.json").write_text(json.dumps(every), encoding="utf-8")
        rules = "".join(plain_rules(self.run))
        text = PLAIN_SNAKEFILE.format(results=self.run.results, rules=rules)
        (self.root / "Snakefile").write_text(text, encoding="utf-8")

    def floor(self) -> list[str]:
        """Arguments of Snakemake for the plain workflow, under the same profile."""
        profile = ["--workflow-profile", str(REPOSITORY / "profiles" / "default")]
        return ["--snakefile", "Snakefile", *profile, "--dry-run", "--quiet", "all"]

    def ours(self, *further: str) -> list[str]:
        """Arguments of Snakemake for ours."""
        snakefile = ["--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", CONFIGURATION]
        return [*snakefile, *(further or ("--dry-run",)), "--quiet", "all"]

    def finish(self) -> None:
        """Let Snakemake record every result as computed just now."""
        names = [task.output for task in self.run.tasks()] + ["library.csv"]
        for name in names:
            file = self.root / self.run.results / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        subprocess.run(command(self.ours("--touch", "--forceall")), cwd=self.root, check=True, capture_output=True)


def entry_of(potential: Potential, name: str, folder: Path) -> dict[str, object]:
    """A potential under another id, of a family of its own, with files of its own that share their content on disk."""
    (folder / name).mkdir()
    for file in potential.files:
        copy = folder.parent / file.path.name
        if not copy.exists():
            shutil.copyfile(file.path, copy)
        (folder / name / file.path.name).hardlink_to(copy)
    placeholders = [f"{{dir}}/{file.path.name}" for file in potential.files]
    return {
        "id": f"{potential.element}_{name}",
        "element": potential.element,
        "structure": potential.structure,
        "pair_style": potential.pair_style,
        "pair_coeff": [line.format(*placeholders) for line in potential.pair_coeff],
        "dir": name,
        "files": [file.path.name for file in potential.files],
        "sha256": [file.sha256 for file in potential.files],
        "citation": potential.citation,
    }


def plain_rules(run: ResolvedRun) -> Iterator[str]:
    """The rules of the properties, from one task of each."""
    tasks: dict[str, Task] = {}
    for task in run.property_tasks():
        tasks.setdefault(task.rule, task)
    for name, task in tasks.items():
        source = f'\n    input:\n        f"{{RESULTS}}/{wildcards(task.inputs[0], task)}",' if task.inputs else ""
        yield PLAIN_RULE.format(name=name, input=source, output=wildcards(task.output, task))


def wildcards(path: str, task: Task) -> str:
    """A path of a task with wildcards for what differs between tasks, as an f-string writes them."""
    for value, wildcard in (
        (task.potential, "potential"),
        (task.slip_system, "slip_system"),
        (task.character, "character"),
    ):
        path = path.replace(value, f"{{{{{wildcard}}}}}") if value else path
    return path


def row_of(project: Project, factor: float, earlier: Sequence[Row], options: argparse.Namespace) -> Row:
    """Measure a size, or extrapolate what would take too long."""
    floor = measured(project.floor(), project, [(row.jobs, row.floor) for row in earlier], options.limit_s)
    ours = measured(project.ours(), project, [(row.jobs, row.ours) for row in earlier], options.limit_s)
    finished = None
    if options.finished and not ours.extrapolated:
        project.finish()
        finished = run(command(project.ours()), project.root, options.limit_s)
    return Row(factor=factor, jobs=project.jobs, floor=floor, ours=ours, finished=finished)


def measured(arguments: list[str], project: Project, earlier: Sequence[tuple[int, Cost]], limit_s: float) -> Cost:
    expected = extrapolated(earlier, project.jobs) if earlier else None
    cost = run(command(arguments), project.root, limit_s) if not expected or expected.wall_s < limit_s else None
    cost = cost or expected
    if cost is None:
        raise SystemExit(f"the smallest size takes more than {limit_s:.0f} s: give --limit-s more")
    return cost


def extrapolated(earlier: Sequence[tuple[int, Cost]], jobs: int) -> Cost:
    """The line through the last two sizes; with one size alone, everything is taken as proportional to the jobs."""
    (x0, y0), (x1, y1) = ((0, Cost(cpu_s=0, wall_s=0, memory_mb=0)), *earlier)[-2:]
    share = (jobs - x1) / (x1 - x0)

    def line(first: float, second: float) -> float:
        return second + share * (second - first)

    return Cost(
        cpu_s=line(y0.cpu_s, y1.cpu_s),
        wall_s=line(y0.wall_s, y1.wall_s),
        memory_mb=line(y0.memory_mb, y1.memory_mb),
        extrapolated=True,
    )


def command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "snakemake", *arguments]


def run(arguments: list[str], folder: Path, limit_s: float) -> Cost | None:
    """Run a process to its end, or to the limit."""
    start_s = time.monotonic()
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(arguments, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        timer = threading.Timer(limit_s, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.monotonic() - start_s
    if process.returncode and wall_s < limit_s:
        raise SystemExit(f"{' '.join(arguments)}\n{(folder / 'output.txt').read_text()}")
    if process.returncode:
        return None
    return Cost(cpu_s=usage.ru_utime + usage.ru_stime, wall_s=wall_s, memory_mb=usage.ru_maxrss / 1024)


def describe(row: Row) -> str:
    finished = f"; finished: {row.finished}" if row.finished else ""
    return f"{row.factor:g}×, {row.jobs} jobs: floor {row.floor}, glideflow {row.ours}{finished}"


def table_of(rows: Sequence[Row]) -> Table:
    table = Table(title="Dry runs, CPU time and peak memory (~ extrapolated)")
    table.add_column("paper tiers")
    for name in ("jobs", "floor", "ms/job", "glideflow", "ms/job", "over floor, ms/job", "ratio", "MB", "finished"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            f"{row.factor:g}×",
            str(row.jobs),
            f"{'~' * row.floor.extrapolated}{row.floor.cpu_s:.1f} s",
            f"{1e3 * row.floor.cpu_s / row.jobs:.2f}",
            f"{'~' * row.ours.extrapolated}{row.ours.cpu_s:.1f} s",
            f"{1e3 * row.ours.cpu_s / row.jobs:.2f}",
            f"{row.over_floor_ms:.2f}",
            f"{row.ours.cpu_s / row.floor.cpu_s:.2f}",
            f"{row.floor.memory_mb:.0f} → {row.ours.memory_mb:.0f}",
            f"{row.finished.cpu_s:.1f} s" if row.finished else "",
        )
    return table


def verdict(rows: Sequence[Row]) -> None:
    worst = max(row.over_floor_ms for row in rows if not row.ours.extrapolated)
    met = "met" if worst <= GOAL_MS_PER_JOB else "MISSED"
    print(f"goal of at most {GOAL_MS_PER_JOB:g} ms a job over the floor: {met} (largest {worst:.2f} ms)")


def profile(factor: float) -> None:
    """Print the functions of ours in which our dry run spends its time."""
    with tempfile.TemporaryDirectory(prefix="dag-scale-") as folder:
        project = Project(Path(folder, "x"), round(factor * PAPER_POTENTIALS))
        statistics = Path(folder, "statistics")
        arguments = [sys.executable, "-m", "cProfile", "-o", str(statistics), "-m", "snakemake", *project.ours()]
        subprocess.run(arguments, cwd=project.root, check=True, capture_output=True)
        pstats.Stats(str(statistics)).sort_stats(pstats.SortKey.CUMULATIVE).print_stats(
            r"glideflow|\.smk|Snakefile", 40
        )


if __name__ == "__main__":
    main()
