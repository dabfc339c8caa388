"""Validations of models of the Peierls stress as one page that opens from disk without a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from glideflow.atomic import write_text
from glideflow.reporting.figures.validation import calibration, factors, learning, parity
from glideflow.reporting.sections import Section, TextTable, plot, text_table
from glideflow.reporting.templating import plots_page
from glideflow.transfer.summary import COLUMNS, TITLE_COLUMNS, SummaryRow, summarise
from glideflow.transfer.validation import LearningCurve, LearningCurves, ValidationRecord, Validations


def write_validation_page(
    validations: Sequence[Validations],
    curves: Sequence[LearningCurves],
    path: Path,
    further: Sequence[Section] = (),
) -> None:
    """Write the page, atomically; the same validations give the same bytes.

    Args:
        validations: validations, several of one data set included.
        curves: learning curves of the same data sets, or none.
        path: the HTML file; its folder is made if need be.
        further: what else the page says, before the data sets.

    Raises:
        StorageError: the file cannot be written.
    """
    write_text(path, validation_page(validations, curves, further))


def validation_page(
    validations: Sequence[Validations], curves: Sequence[LearningCurves], further: Sequence[Section] = ()
) -> str:
    """The page as HTML."""
    own = [
        _section(name, records, [curve for each in curves if each.dataset == name for curve in each.curves])
        for name, records in _by_dataset(validations).items()
    ]
    sections = [*further, *own]
    return plots_page(
        "transfer.html",
        {each.id: each.figure for section in sections for each in section.plots},
        library=", ".join(dict.fromkeys(each.library_name for each in validations)),
        sections=sections,
    )


def _by_dataset(validations: Iterable[Validations]) -> dict[str, list[ValidationRecord]]:
    found: dict[str, list[ValidationRecord]] = {}
    for each in validations:
        found.setdefault(each.dataset, []).extend(each.records)
    return found


def _section(name: str, records: Sequence[ValidationRecord], curves: Sequence[LearningCurve]) -> Section:
    proper = [record for record in records if not record.control]
    rows = summarise(proper, by_structure=False)
    parts = [("factors", "Median factor by which models err; bars: 90 % interval over families.", factors(rows))]
    if proper:
        best = _best(proper, rows)
        parts.append(("parity", f"Held out by {best.model}, {best.split}.", parity(best)))
        first = [record for record in proper if record.split == proper[0].split]
        parts.append(("calibration", f"Intervals of the models, {proper[0].split}.", calibration(first)))
    if curves:
        parts.append(("learning", "Error against the number of families trained on.", learning(curves)))
    plots = tuple(plot(f"{name}-{kind}", words, made) for kind, words, made in parts)
    return Section(name=name, title=name, plots=plots, tables=tuple(_tables(summarise(records))))


def _best(records: Sequence[ValidationRecord], rows: Sequence[SummaryRow]) -> ValidationRecord:
    """The model with the smallest median factor on the first split."""
    pairs = [pair for pair in zip(records, rows, strict=True) if pair[0].split == records[0].split]
    return min(pairs, key=lambda pair: pair[1].median_factor)[0]


def _tables(rows: Sequence[SummaryRow]) -> Iterable[TextTable]:
    titles, columns = COLUMNS[:TITLE_COLUMNS], COLUMNS[TITLE_COLUMNS:]
    ordered = sorted(rows, key=lambda row: (row.split, row.structure))  # stable: models keep their order
    for title, found in groupby(ordered, key=lambda row: ", ".join(text(row) for _, text in titles)):
        cells = [[text(row) for _, text in columns] for row in found]
        yield text_table(title, [heading for heading, _ in columns], cells)
