#!/usr/bin/env python3
"""Draw the figure of the README from the library of a run: ``python scripts/readme_figure.py`` after ``make run``."""

from __future__ import annotations

import argparse
from pathlib import Path

from glideflow.records import Library
from glideflow.reporting.export import write_overview
from glideflow.storage import read_record

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Read the library, write the figure, print where it lies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", type=Path, default=ROOT / "results/quick/library.h5", help="HDF5 file of a run")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/figures/quick_peierls.svg", help=".svg or .png")
    arguments = parser.parse_args()
    write_overview(read_record(arguments.library, Library), arguments.output)
    print(arguments.output)


if __name__ == "__main__":
    main()
