#!/usr/bin/env python3
"""Write the measured tables of docs/transfer.md from validations: ``make transfer-table``.

    transfer_table.py FOLDER PAGE           rewrite the part of the page between its markers
    transfer_table.py FOLDER PAGE --check   only say whether it is current (exit code 1)

FOLDER holds <group>.validation.h5, <group>.control.h5 and <group>.curves.h5 of `glideflow transfer`, and the data sets
in data/<group>.h5.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from glideflow.atomic import write_text
from glideflow.storage import read_record
from glideflow.transfer.dataset import TransferDataset, read_dataset, target_log10
from glideflow.transfer.summary import SummaryRow, summarise
from glideflow.transfer.validation import LearningCurve, LearningCurves, Validations

BEGIN, END = "<!-- make transfer-table writes from here -->", "<!-- to here -->"
GROUPS = ("fcc", "bcc", "hcp", "joint")
FAMILY, METAL = "family", "metal"


def page_text(folder: Path, page: str) -> str:
    """The page with its measured part rewritten."""
    head, marker, rest = page.partition(BEGIN)
    _, other, tail = rest.partition(END)
    if not (marker and other):
        sys.exit(f"the page lacks the markers {BEGIN} and {END}")
    groups = [group for group in GROUPS if (folder / f"{group}.validation.h5").is_file()]
    parts = [*_data_sets(folder, groups), *(line for group in groups for line in _group(folder, group))]
    return head + BEGIN + "\n\n" + "\n".join(parts) + "\n" + END + tail


def _data_sets(folder: Path, groups: Sequence[str]) -> Iterator[str]:
    yield from ("| data set | samples | censored | with a semidiscrete stress | metals | left out |", "|---" * 6 + "|")
    for group in groups:
        yield _line(_described(read_dataset(folder / "data" / f"{group}.h5")))
    yield ""


def _described(made: TransferDataset) -> list[str]:
    metals = ", ".join(f"{name} {count}" for name, count in sorted(Counter(made.elements).items()))
    reasons = Counter(reason.split(":")[0].split(" of ")[0] for reason in made.omitted_reasons)
    omitted = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in reasons.most_common())
    counts = (len(made), target_log10(made).censored.sum(), np.isfinite(made.peierls_nabarro("surface")).sum())
    return [made.name, *(str(int(count)) for count in counts), metals, omitted]


def _group(folder: Path, group: str) -> Iterator[str]:
    """Tables of one data set: scores of every model, and the learning curves."""
    rows = summarise(read_record(folder / f"{group}.validation.h5", Validations).records, by_structure=False)
    control = summarise(read_record(folder / f"{group}.control.h5", Validations).records, by_structure=False)
    held_out = " and ".join(dict.fromkeys(row.split for row in rows))
    controlled = " and ".join(dict.fromkeys(row.split for row in control))
    yield from (f"### {group}", "", f"Held out: {held_out}; permuted: {controlled}.", "")
    headings = [
        "model",
        "factor",
        "known to",
        "90 %",
        "R²",
        "rank",
        "in 68 %",
        "in 90 %",
        "other metal: factor",
        "R²",
        "rank",
    ]
    yield from (_line([*headings, "permuted: factor", "rank"]), "|---" * (len(headings) + 2) + "|")
    for name in dict.fromkeys(row.model for row in rows):
        yield _line([name, *_scores(rows, control, name)])
    yield ""
    curves = read_record(folder / f"{group}.curves.h5", LearningCurves).curves
    yield from _curves(curves)
    yield ""


def _scores(rows: Sequence[SummaryRow], control: Sequence[SummaryRow], name: str) -> Iterator[str]:
    family, metal = _find(rows, name, FAMILY), _find(rows, name, METAL)
    permuted = _find(control, name, FAMILY)
    yield from (_factor(family), f"{family.median_factor_low:.1f}–{family.median_factor_high:.1f}")
    yield from (f"{family.p90_factor:.1f}", f"{family.r2_log10:.2f}", _number(family.spearman))
    yield from (_number(family.coverage_68), _number(family.coverage_90))
    yield from (_factor(metal), f"{metal.r2_log10:.2f}", _number(metal.spearman))
    yield from (_factor(permuted), _number(permuted.spearman))


def _curves(curves: Sequence[LearningCurve]) -> Iterator[str]:
    counts = sorted({int(count) for each in curves for count in each.families})
    yield from (_line(["families trained on", *map(str, counts)]), "|---" * (len(counts) + 1) + "|")
    for each in curves:
        means = dict(zip((int(count) for count in each.families), each.median_factor.mean(axis=1), strict=True))
        yield _line([each.model, *(f"{means[count]:.2f}" if count in means else "" for count in counts)])


def _find(rows: Sequence[SummaryRow], model: str, split: str) -> SummaryRow:
    return next(row for row in rows if row.model == model and split in row.split)


def _factor(row: SummaryRow) -> str:
    spread = "" if row.median_factor_deviation is None else f" ± {row.median_factor_deviation:.2f}"
    return f"{row.median_factor:.2f}{spread}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    before = arguments.page.read_text(encoding="utf-8")
    after = page_text(arguments.folder, before)
    if arguments.check:
        print("current" if after == before else f"{arguments.page} is not current: make transfer-table")
        return int(after != before)
    write_text(arguments.page, after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
