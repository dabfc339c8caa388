#!/usr/bin/env python3
"""Write the measured tables of docs/mobility.md: cells of the default lines, and passing stresses of cells.

    mobility_tables.py PAGE            build what is not in the work folder yet, rewrite the tables
    mobility_tables.py PAGE --check    only say whether they are current (exit code 1)

Every number comes from `glideflow mobility build --json`, whose output is kept in the work folder (--work).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from glideflow.atomic import write_text
from glideflow.config.mobility import MobilitySettings

LINES, PASSING = ("<!-- lines -->", "<!-- end of lines -->"), ("<!-- passing -->", "<!-- end of passing -->")
GLIDEFLOW = str(Path(sys.executable).with_name("glideflow"))
SIZES_NM = ((12, 12), (15, 15), (5, 10), (8, 16), (10, 20), (30, 40))
"""Lengths and heights of cells; the edge along the lines does not matter."""
ANGLES_DEG = (0.0, 54.74, 90.0, 109.47)


def page_text(work: Path, page: str) -> str:
    """The page with its tables rewritten."""
    for (begin, end), rows in ((LINES, _lines(work)), (PASSING, _passing(work))):
        head, marker, rest = page.partition(begin)
        _, other, tail = rest.partition(end)
        if not (marker and other):
            sys.exit(f"the page lacks the markers {begin} and {end}")
        page = f"{head}{begin}\n\n" + "\n".join(rows) + f"\n\n{end}{tail}"
    return page


def _lines(work: Path) -> Iterator[str]:
    yield "| θ | line | x | cell, nm | atoms | slab | passing stress, MPa | isotropic | stress left, MPa |"
    yield "|---" * 9 + "|"
    for angle in MobilitySettings().cells.angles_deg:
        built = _built(work, f"line-{angle:g}", ["--angle", f"{angle:g}"])
        check = built["check"]
        if not check["ok"]:
            sys.exit(f"{angle}°: {check['problems']}")
        yield _row(
            [
                f"{built['angle_deg']:.2f}°",
                *(_index(direction) for direction in (built["miller_frame"][1], built["miller_frame"][0])),
                _edges(built),
                f"{built['atoms']:,}",
                str(built["removed_atoms"]),
                f"{built['passing_mpa']:.0f}",
                f"{built['passing_isotropic_mpa']:.0f}",
                f"{check['excess_stress_mpa']:.1f}",
            ]
        )


def _passing(work: Path) -> Iterator[str]:
    yield "| length × height, nm | " + " | ".join(f"{angle:g}°" for angle in ANGLES_DEG) + " |"
    yield "|---" * (1 + len(ANGLES_DEG)) + "|"
    for length, height in SIZES_NM:
        cells = [f"{length} × {height}"]
        for angle in ANGLES_DEG:
            size = ["--angle", f"{angle:g}", "--size", str(length), "0.5", str(height), "--as-built"]
            built = _built(work, f"size-{length}-{height}-{angle:g}", size)
            cells.append(f"{built['passing_mpa']:.1f} ({built['passing_isotropic_mpa']:.1f})")
        yield _row(cells)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _index(direction: Sequence[int]) -> str:
    separator = " " if max(map(abs, direction)) > 9 else ""
    return "[" + separator.join(str(index) for index in direction) + "]"


def _edges(built: dict[str, Any]) -> str:
    return " × ".join(f"{built['cell_angstrom'][axis][axis] / 10:.1f}" for axis in range(3))


def _built(work: Path, name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """What the command says of a cell, from the work folder or by running it."""
    file = work / f"{name}.json"
    if not file.is_file():
        records = [str(option) for each in ("lattice", "elastic") for option in (f"--{each}", _record(work, each))]
        command = [GLIDEFLOW, "mobility", "build", *arguments, *records, "--json"]
        write_text(file, subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


def _record(work: Path, name: str) -> Path:
    """The lattice or the elastic constants of the default potential, computed once."""
    file = work / f"{name}.h5"
    if not file.is_file():
        command = [GLIDEFLOW, name, "--potential", MobilitySettings().potential, "--output", str(file)]
        subprocess.run(command, check=True)
    return file


def main() -> None:
    """Read the arguments and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--work", type=Path, default=Path("work/mobility-tables"))
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    before = options.page.read_text(encoding="utf-8")
    after = page_text(options.work, before)
    if not options.check:
        write_text(options.page, after)
    elif before != after:
        sys.exit(f"{options.page} is not current")


if __name__ == "__main__":
    main()
