"""Error against the number of machine-learned shots, as a table and a figure, and what so few of them cannot show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from glideflow.reporting.figures.few_shot import shots_figure
from glideflow.reporting.labels import significant
from glideflow.reporting.sections import Section, markdown_table, plot, text_table
from glideflow.transfer.assembly import STRUCTURES
from glideflow.transfer.few_shot import FEW_ENTRIES, FewShotCurve, FewShotEntry

SHOT_COLUMNS = ("held out", "shots", "n", "factor", "lowest to highest", "bounds")
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class ShotRow:
    """A group of held-out potentials at one number of shots.

    Attributes:
        group: a metal, a structure, or ``all``.
        shots: number of shots.
        potentials: n.
        factor: median over the potentials of the factor by which predictions err.
        lowest: the smallest of these factors.
        highest: the largest.
        bounds: potentials whose stress is a bound or below the floor.
    """

    group: str
    shots: int
    potentials: int
    factor: float
    lowest: float
    highest: float
    bounds: int


def shot_rows(curve: FewShotCurve) -> tuple[ShotRow, ...]:
    """All potentials, those of each structure, and each metal; groups at numbers of shots that all of them have."""
    return tuple(row for group, entries in _groups(curve) for row in _rows(group, entries))


def cannot_show(curve: FewShotCurve) -> tuple[str, ...]:
    """What the curve says nothing about, in sentences."""
    return tuple(_cannot(curve))


def shot_cells(rows: Sequence[ShotRow]) -> list[list[str]]:
    """Cells of every row, in the order of `SHOT_COLUMNS`."""
    return [
        [
            row.group,
            str(row.shots),
            str(row.potentials),
            significant(row.factor),
            f"{significant(row.lowest)} to {significant(row.highest)}",
            str(row.bounds),
        ]
        for row in rows
    ]


def shot_markdown(curve: FewShotCurve) -> str:
    """The table in Markdown, and what it cannot show."""
    table = markdown_table(SHOT_COLUMNS, shot_cells(shot_rows(curve)))
    return "\n".join([table, *(f"- {text}" for text in cannot_show(curve))]) + "\n"


def shot_section(curve: FewShotCurve) -> Section:
    """The curve as a section of the page."""
    rows = shot_rows(curve)
    return Section(
        name="shots",
        title="Few shots",
        notes=(
            f"The model {curve.model}, trained on classical potentials and on so many machine-learned ones, on another "
            "machine-learned potential that it has not seen. 0 shots: PT-EAM; more: PT-MLFF.",
            *cannot_show(curve),
        ),
        plots=(plot("shots-curve", "Error against the number of shots.", shots_figure(curve)),),
        tables=(text_table("Error by number of shots", SHOT_COLUMNS, shot_cells(rows)),),
    )


def _groups(curve: FewShotCurve) -> Iterator[tuple[str, Sequence[FewShotEntry]]]:
    yield ALL, curve.common()
    for structure in STRUCTURES:
        if any(each.structure == structure for each in curve.entries):
            yield structure, curve.common(structure)
    metals = dict.fromkeys((each.element, each.structure) for each in curve.entries)
    for metal in metals:
        yield f"{metal[0]} ({metal[1]})", [each for each in curve.entries if (each.element, each.structure) == metal]


def _rows(group: str, entries: Sequence[FewShotEntry]) -> Iterator[ShotRow]:
    for count in sorted({each.shots for each in entries}):
        own = [each for each in entries if each.shots == count]
        factors = [each.factor for each in own]
        yield ShotRow(
            group=group,
            shots=count,
            potentials=len(own),
            factor=float(10 ** np.median(np.log10(factors))),
            lowest=min(factors),
            highest=max(factors),
            bounds=sum(each.censored for each in own),
        )


def _cannot(curve: FewShotCurve) -> Iterator[str]:
    for structure in STRUCTURES:
        own = {each.potential_id: each for each in curve.entries if each.structure == structure}
        most = max((each.shots for each in curve.entries if each.structure == structure), default=0)
        if len(own) < 2:
            count = "no machine-learned potential" if not own else "one machine-learned potential"
            yield f"{structure}: {count} with a Peierls stress: there is no other one to learn from."
            continue
        few = f"; medians of fewer than {FEW_ENTRIES} say next to nothing of others" if len(own) < FEW_ENTRIES else ""
        yield f"{structure}: {len(own)} held-out potentials and up to {most} shots{few}."
        bounds = sum(each.censored for each in own.values())
        if bounds:
            yield (
                f"{structure}: {bounds} of {len(own)} stresses are bounds or below {curve.floor_mpa:g} MPa, the floor; "
                "any prediction at or below one counts as right."
            )
