#!/usr/bin/env python3
"""Train the ensemble that ships with the package on the shipped trajectories, and write the tables of its page.

    mobility_model.py PAGE             train, write the model, train on other splits, rewrite everything between markers
    mobility_model.py PAGE --tables    rewrite the tables for the model that is there
    mobility_model.py PAGE --check     only say whether these tables are current (exit code 1)

Time and memory of the training, and errors on other splits, are measured when it trains; the other numbers follow from
the shipped files.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glideflow.atomic import write_text
from glideflow.mobility.dataset import SHIPPED, SHIPPED_FILE, shipped_dataset
from glideflow.mobility.shipped import SHIPPED_MODEL
from glideflow.mobility.trajectory import Trajectory
from glideflow.reporting.mobility import VelocityRow, in_order, velocity_row
from glideflow.reporting.sections import markdown_table

GLIDEFLOW = str(Path(sys.executable).with_name("glideflow"))
DATA = Path(__file__).resolve().parents[1] / "src" / "glideflow" / "data"
SEED = 0
OTHER_SPLITS = (1, 2, 3, 4)
"""Seeds of further trainings, each with another choice of the trajectories that are set aside."""
OTHER_MEMBERS = 8
LOOP_STARTUP_PS = 1
"""Of the shear loops, which start at rest near balance and are over within picoseconds."""
_SPACING = "node_spacing_angstrom"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the training took.

    Attributes:
        cpu_s: processor time.
        peak_mib: largest memory.
    """

    cpu_s: float
    peak_mib: float


def trained(work: Path) -> tuple[dict[str, Any], Cost]:
    """Train, and what the command says of it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = _train(SEED, DATA / SHIPPED_MODEL, work)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return said, Cost(cpu_s=cpu_s, peak_mib=after.ru_maxrss / 1024)


def on_other_splits(work: Path) -> list[dict[str, Any]]:
    """What smaller ensembles say that learned from other parts of the trajectories."""
    few = ["--set", f"mobility.network.training.members={OTHER_MEMBERS}"]
    return [_train(seed, work / f"split-{seed}", work / f"split-{seed}" / "checkpoints", *few) for seed in OTHER_SPLITS]


def _train(seed: int, output: Path, work: Path, *options: str) -> dict[str, Any]:
    places = ["--work", str(work), "--output", str(output)]
    how = ["--leave-out", "--no-resume", "--seed", str(seed), "--json"]
    return _said(["mobility", "train", _shipped("dipole"), *places, *how, *options])


def on_other_loops(work: Path) -> list[dict[str, Any]]:
    """What small ensembles say of the loop that they have not seen, having learned from all others."""
    loops = [f"{SHIPPED}:{name}" for name, each in shipped_dataset().trajectories().items() if each.cell.kind == "loop"]
    few = ["--set", f"mobility.network.training.members={OTHER_MEMBERS}", *_set_startup()]
    # one of the others tells when to stop, and none is set aside beside the one that is left out
    few += ["--set", "mobility.network.training.test_fraction=0"]
    found = []
    for number, left_out in enumerate(loops):
        model, others = work / f"loop-{number}", [name for name in loops if name != left_out]
        places = ["--work", str(model / "checkpoints"), "--output", str(model)]
        _said(["mobility", "train", *others, *places, "--no-resume", "--seed", str(SEED), "--json", *few])
        found.append(_said(["mobility", "evaluate", str(model), left_out, "--json", *_set_startup()]))
    return found


def _set_startup() -> list[str]:
    return ["--set", f"mobility.network.training.startup_ps={LOOP_STARTUP_PS}"]


def _shipped(kind: str) -> str:
    """Shipped trajectories of one kind, as commands take them.

    The ensemble learns from dipoles, so that loops, which last for some picoseconds only, test it (experiment c of the
    mobility paper).
    """
    return f"{SHIPPED}:{kind}_*"


def _said(arguments: Sequence[str]) -> dict[str, Any]:
    """The JSON that a command prints."""
    found: dict[str, Any] = json.loads(
        subprocess.run([GLIDEFLOW, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout
    )
    return found


def with_sections(page: str, sections: dict[str, Iterator[str]]) -> str:
    """The page with what lies between the markers of each section rewritten."""
    for name, lines in sections.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        head, marker, rest = page.partition(begin)
        _, other, tail = rest.partition(end)
        if not (marker and other):
            sys.exit(f"the page lacks the markers {begin} and {end}")
        page = f"{head}{begin}\n\n" + "\n".join(lines).rstrip() + f"\n\n{end}{tail}"
    return page


def data_lines(rows: Sequence[VelocityRow], trajectories: Sequence[Trajectory]) -> Iterator[str]:
    """What the data set holds, and how it was simulated."""
    dipoles, loops = ([row for row in rows if row.kind == kind] for kind in ("dipole", "loop"))
    early = Counter(row.status for row in rows if row.status != "completed")
    size = (DATA / SHIPPED_FILE).stat().st_size
    yield f"- {len(rows)} trajectories, {sum(row.time_ps for row in rows):,.0f} ps together, in {size / 1e6:.2f} MB"
    yield f"- {len(dipoles)} dipoles: {_values(dipoles, 'angle_deg', '.2f', '°')}"
    if loops:
        yield f"- {len(loops)} shear loops of {_values(loops, 'radius_nm', 'g', ' nm')}"
    yield f"- resolved shear stress {_values(rows, 'stress_mpa', 'g', ' MPa')}"
    yield f"- temperature {_values(rows, 'temperature_k', 'g', ' K')}"
    yield f"- cells of {min(row.atoms for row in rows):,} to {max(row.atoms for row in rows):,} atoms"
    told = {name: _settings(trajectories, name) for name in ("duration_ps", "equilibration_ps", "startup_ps")}
    yield (
        f"- {told['duration_ps']} ps at constant stress and temperature, the first {told['startup_ps']} of which count "
        f"for no velocity, after {told['equilibration_ps']} ps of equilibration; timestep "
        f"{_settings(trajectories, 'timestep_ps', 1000)} fs"
    )
    interval, spacing = _settings(trajectories, "extraction_interval_ps"), _settings(trajectories, _SPACING, 0.1)
    yield f"- a frame every {interval} ps, nodes {spacing} nm apart"
    yield f"- made with {', '.join(sorted({_versions(each) for each in trajectories}))}"
    if early:
        yield "- ended before their time: " + ", ".join(f"{count} {status}" for status, count in sorted(early.items()))


def _values(rows: Sequence[VelocityRow], name: str, form: str, unit: str) -> str:
    return ", ".join(f"{value:{form}}{unit}" for value in sorted({float(getattr(row, name)) for row in rows}))


def _settings(trajectories: Sequence[Trajectory], name: str, factor: float = 1.0) -> str:
    return " or ".join(f"{factor * value:g}" for value in sorted({float(each.settings[name]) for each in trajectories}))


def _versions(trajectory: Trajectory) -> str:
    return f"{trajectory.potential.id} in {trajectory.provenance.engine} {trajectory.provenance.engine_version}"


def velocity_lines(rows: Sequence[VelocityRow]) -> Iterator[str]:
    """Velocities of each kind of line, a column for each temperature and stress."""
    conditions = sorted({(row.temperature_k, row.stress_mpa) for row in rows})
    headings = ["lines", *(f"{temperature:g} K, {stress:g} MPa" for temperature, stress in conditions)]
    table = []
    for lines in dict.fromkeys(row.lines for row in in_order(rows)):
        own = [row for row in rows if row.lines == lines]
        cells = [
            ", ".join(_velocity(row) for row in own if (row.temperature_k, row.stress_mpa) == condition)
            for condition in conditions
        ]
        table.append([lines, *cells])
    yield from markdown_table(headings, table).splitlines()


def _velocity(row: VelocityRow) -> str:
    """Velocity with its error; in brackets where heat alone would show half of it."""
    if math.isnan(row.velocity_m_per_s):
        return "–"
    text = f"{row.velocity_m_per_s:.0f} ± {row.error_m_per_s:.0f}" + ("" if row.status == "completed" else "*")
    known = row.velocity_m_per_s > 2 * row.thermal_floor_m_per_s  # the floor is NaN without motion
    return text if known else f"({text})"


def error_lines(evaluation: dict[str, Any], what: str) -> Iterator[str]:
    """Errors of every law on trajectories of a kind that is told, and velocities of each of them."""
    laws = evaluation["laws"]
    headings = ["law", "velocity, %", "step, %", "step, Å", "thermal floor, Å"]
    names = ["velocity_percent", "percent", "absolute_angstrom", "thermal_floor_angstrom"]
    rows = [[law["law"], *(_rounded(law["overall"][name]) for name in names)] for law in laws]
    overall = laws[0]["overall"]
    yield f"On {overall['trajectories']} {what}, {overall['steps']} steps of 1 ps:"
    yield ""
    yield from markdown_table(headings, rows).splitlines()
    yield ""
    yield "Mean velocities of each of them, m/s:"
    yield ""
    yield from _by_trajectory(laws)


def _by_trajectory(laws: Sequence[dict[str, Any]]) -> Iterator[str]:
    headings = ["lines", "MPa", "K", "observed", *(law["law"] for law in laws)]
    rows = []
    for number, own in enumerate(laws[0]["trajectories"]):
        predicted = [f"{law['trajectories'][number]['velocity_m_per_s']:.0f}" for law in laws]
        conditions = [own["angle"], f"{own['stress_mpa']:g}", f"{own['temperature_k']:g}"]
        rows.append([*conditions, f"{own['observed_m_per_s']:.0f}", *predicted])
    yield from markdown_table(headings, rows).splitlines()


def _rounded(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}" if abs(value) < 10 else f"{value:.0f}"


def training_lines(said: dict[str, Any], cost: Cost) -> Iterator[str]:
    """What was trained, and what that took."""
    parts = {name: len(numbers) for name, numbers in said["split"].items()}
    epochs = max(member["epochs"] for member in said["members"])
    yield (
        f"{len(said['members'])} members; trajectories: {parts['train']} to learn from, {parts['validation']} to tell "
        f"when to stop, {parts['test']} for the test; {epochs} epochs at most; {cost.cpu_s:.0f} s of processor time, "
        f"{cost.peak_mib:.0f} MiB."
    )


def split_lines(trainings: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Errors on what was set aside in other splits: median, lowest and highest."""
    tested = sum(each["laws"][0]["overall"]["trajectories"] for each in trainings)
    yield f"On {len(trainings)} other splits, {OTHER_MEMBERS} members each, {tested} trajectories set aside in all:"
    yield ""
    rows = []
    for number, law in enumerate(trainings[0]["laws"]):
        overall = [each["laws"][number]["overall"] for each in trainings]
        names = ("velocity_percent", "percent", "absolute_angstrom")
        rows.append([law["law"], *(_spread([each[name] for each in overall]) for name in names)])
    yield from markdown_table(["law", "velocity, %", "step, %", "step, Å"], rows).splitlines()


def _spread(values: Sequence[float | None]) -> str:
    known = sorted(value for value in values if value is not None)
    if not known:
        return "–"
    return f"{_rounded(statistics.median(known))} ({_rounded(known[0])} to {_rounded(known[-1])})"


def loop_lines(trainings: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Errors of every law on loops that were left out in turn: medians, lowest and highest, and mean velocities."""
    headings = ["law", "velocity, %", "step, %", "step, Å"]
    names = ("velocity_percent", "percent", "absolute_angstrom")
    steps = sum(each["laws"][0]["overall"]["steps"] for each in trainings)
    yield f"Each of {len(trainings)} loops by the others, {OTHER_MEMBERS} members, {steps} steps of 1 ps in all:"
    yield ""
    rows, joined = [], []
    for number, law in enumerate(trainings[0]["laws"]):
        own = [each["laws"][number] for each in trainings]
        rows.append([law["law"], *(_spread([each["overall"][name] for each in own]) for name in names)])
        joined.append({"law": law["law"], "trajectories": [each["trajectories"][0] for each in own]})
    yield from markdown_table(headings, rows).splitlines()
    yield ""
    yield "Mean velocities of each of them, m/s:"
    yield ""
    yield from _by_trajectory(joined)


def evaluated(kind: str, *options: str) -> dict[str, Any]:
    """What `glideflow mobility evaluate` says of the shipped model and shipped trajectories of one kind."""
    return _said(["mobility", "evaluate", SHIPPED, _shipped(kind), "--json", *options])


def _measured(work: Path) -> dict[str, Iterator[str]]:
    said, cost = trained(work)
    return {
        "training": training_lines(said, cost),
        "splits": split_lines(on_other_splits(work)),
        "loops alone": loop_lines(on_other_loops(work)),
    }


def main() -> None:
    """Read the arguments, train, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--work", type=Path, default=Path("work/mobility-model"))
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    measured = {} if options.tables or options.check else _measured(options.work)
    trajectories = shipped_dataset().trajectories()
    rows = [velocity_row(name, each) for name, each in trajectories.items()]
    data = data_lines(rows, list(trajectories.values()))
    errors = error_lines(evaluated("dipole"), "trajectories that were set aside")
    loops = error_lines(evaluated("loop", *_set_startup()), "loops, of which it has seen none")
    sections = {"data": data, "velocities": velocity_lines(rows), "errors": errors, "loops": loops}
    before = options.page.read_text(encoding="utf-8")
    after = with_sections(before, sections | measured)
    if not options.check:
        write_text(options.page, after)
    elif before != after:
        sys.exit(f"{options.page} is not current: make mobility-model")


if __name__ == "__main__":
    main()
