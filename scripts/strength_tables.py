#!/usr/bin/env python3
"""Write the measured parts of the pages on transferred stresses: ``make strength-models``.

    strength_tables.py FOLDER PAGE...           rewrite the parts of the pages between their markers
    strength_tables.py FOLDER PAGE... --check   only say which pages are not current (exit code 1)

FOLDER holds <group>.validation.h5 of the model `best` (those of classical potentials alone in classical/), errors.h5,
shots.h5, training.h5 and cost.h5 of `glideflow transfer`, and strengths.h5. A part stands between
``<!-- make strength-models writes NAME from here -->`` and ``<!-- to here -->``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from glideflow.reporting.page_parts import write_pages
from glideflow.reporting.sections import markdown_table
from glideflow.reporting.strengths import strength_markdown
from glideflow.reporting.transfer_claims import Evidence, claim_markdown, claims
from glideflow.reporting.transfer_cost import cost_markdown
from glideflow.reporting.transfer_errors import ROUTE_COLUMNS, matrix, reasons, route_rows
from glideflow.reporting.transfer_shots import shot_markdown
from glideflow.reporting.transfer_training import scope_markdown
from glideflow.storage import read_record
from glideflow.strength_library import load
from glideflow.transfer.cost_panel import CostPanel
from glideflow.transfer.error_decomposition import ErrorTable
from glideflow.transfer.few_shot import FewShotCurve
from glideflow.transfer.strengths import StrengthTable
from glideflow.transfer.summary import SummaryRow, summarise
from glideflow.transfer.training_scope import scope_rows
from glideflow.transfer.validation import ValidationRecord, Validations

GROUPS = ("fcc", "bcc", "hcp")
CLASSICAL = "classical"
COMMAND = "make strength-models"


def _validations(folder: Path) -> tuple[ValidationRecord, ...]:
    files = [folder / f"{group}.validation.h5" for group in GROUPS]
    return tuple(record for file in files for record in read_record(file, Validations).records)


def _best(folder: Path) -> str:
    """Families and metals left out, a row for each structure: of all potentials, and of classical ones alone."""
    headings = ["data set", "families: factor", "known to", "90 %", "rank", "in 68 %", "in 90 %"]
    cells = [*_best_rows(folder, ""), *_best_rows(folder / CLASSICAL, ", EAM/MEAM alone")]
    return markdown_table([*headings, "metals: factor", "known to", "rank"], cells)


def _best_rows(folder: Path, told: str) -> Iterator[list[str]]:
    rows = summarise([each for each in _validations(folder) if each.model == "best"], by_structure=False)
    for group in GROUPS:
        yield [f"{group}{told}, {_of(rows, group, 'family').samples}", *_scores(rows, group)]


def _scores(rows: tuple[SummaryRow, ...], group: str) -> Iterator[str]:
    family, metal = _of(rows, group, "family"), _of(rows, group, "metal")
    yield from _factor(family)
    yield f"{family.p90_factor:.1f}"
    shares = (family.spearman, family.coverage_68, family.coverage_90)
    yield from ("" if value is None else f"{value:.2f}" for value in shares)
    yield from _factor(metal)
    yield f"{metal.spearman:.2f}"


def _factor(row: SummaryRow) -> Iterator[str]:
    deviation = "" if row.median_factor_deviation is None else f" ± {row.median_factor_deviation:.2f}"
    yield f"{row.median_factor:.2f}{deviation}"
    yield f"{row.median_factor_low:.1f}–{row.median_factor_high:.1f}"


def _of(rows: tuple[SummaryRow, ...], group: str, split: str) -> SummaryRow:
    return next(row for row in rows if row.dataset == group and split in row.split)


def _errors(folder: Path) -> str:
    table = read_record(folder / "errors.h5", ErrorTable)
    return f"{markdown_table(*matrix(table))}\n" + "".join(f"- {text}.\n" for text in reasons(table))


def _routes(folder: Path) -> str:
    routes = route_rows(read_record(folder / "errors.h5", ErrorTable))
    return markdown_table(ROUTE_COLUMNS, [row for row in routes if row[2] != "0"])


def _training(folder: Path) -> str:
    return scope_markdown(scope_rows(read_record(folder / "training.h5", Validations).records))


def _claims(folder: Path) -> str:
    return claim_markdown(
        claims(
            Evidence(
                library=load(),
                errors=read_record(folder / "errors.h5", ErrorTable),
                shots=read_record(folder / "shots.h5", FewShotCurve),
                training=scope_rows(read_record(folder / "training.h5", Validations).records),
                cost=read_record(folder / "cost.h5", CostPanel),
                validations=_validations(folder),
            )
        )
    )


PARTS: Mapping[str, Callable[[Path], str]] = {
    "best": _best,
    "strengths": lambda folder: strength_markdown(read_record(folder / "strengths.h5", StrengthTable)),
    "errors": _errors,
    "routes": _routes,
    "shots": lambda folder: shot_markdown(read_record(folder / "shots.h5", FewShotCurve)),
    "training": _training,
    "cost": lambda folder: cost_markdown(read_record(folder / "cost.h5", CostPanel)),
    "claims": _claims,
}


def main() -> int:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    parts = {name: partial(part, arguments.folder) for name, part in PARTS.items()}
    return write_pages(arguments.pages, COMMAND, parts, check=arguments.check)


if __name__ == "__main__":
    sys.exit(main())
