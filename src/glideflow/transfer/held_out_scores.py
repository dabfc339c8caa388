"""How good a model is on samples that it has not seen, as its card says and every prediction repeats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from glideflow.errors import ConfigurationError, StorageError
from glideflow.transfer.dataset import TransferDataset, content_sha256
from glideflow.transfer.summary import SummaryRow, summarise
from glideflow.transfer.validation import ValidationRecord

CARD_KEY = "validation"
"""Where the details of a card hold them."""


@dataclass(frozen=True, kw_only=True)
class HeldOutScores:
    """Scores on one split; means over the seeds.

    Attributes:
        split: what was held out together.
        seeds: the seeds.
        samples: samples scored.
        families: their families.
        censored: samples whose truth may lie below their target.
        median_factor: median factor error.
        median_factor_low: lower end of its 90 % interval by the bootstrap over families.
        median_factor_high: upper end.
        p90_factor: 90th percentile of the factor error.
        r2_log10: R² on the scale of log₁₀.
        spearman: rank correlation; None where it is not defined.
        coverage_68: share of the targets inside the 68 % intervals.
        coverage_90: the same for 90 %.
    """

    split: str
    seeds: tuple[int, ...]
    samples: int
    families: int
    censored: int
    median_factor: float
    median_factor_low: float
    median_factor_high: float
    p90_factor: float
    r2_log10: float
    spearman: float | None
    coverage_68: float | None
    coverage_90: float | None

    def sentence(self) -> str:
        """The same in words."""
        parts = [
            f"{self.split} (n = {self.samples}): a factor of {self.median_factor:.2f} "
            f"({self.median_factor_low:.1f}-{self.median_factor_high:.1f})",
            f"of {self.p90_factor:.1f} for one in ten",
        ]
        if self.spearman is not None:
            parts.append(f"rank correlation {self.spearman:.2f}")
        if self.coverage_68 is not None and self.coverage_90 is not None:
            parts.append(f"{self.coverage_68:.0%} inside 68 % and {self.coverage_90:.0%} inside 90 % intervals")
        return ", ".join(parts)


def held_out_scores(
    records: Iterable[ValidationRecord], dataset: TransferDataset, model: str = "best"
) -> tuple[HeldOutScores, ...]:
    """Scores of a model on a data set, one entry for each split; none without a validation.

    Args:
        records: validations, of other models and data sets, too.
        dataset: the data set.
        model: name of the model.

    Raises:
        ConfigurationError: a validation of a data set of this name is of other samples.
    """
    own = [record for record in records if (record.model, record.dataset, record.control) == (model, dataset.name, "")]
    sha256 = content_sha256(dataset)
    if any(record.dataset_sha256 != sha256 for record in own):
        raise ConfigurationError(
            f"the validation of {model} on {dataset.name!r} is of other samples than the model is trained on",
            expected="a validation of the same data set",
            next_step="validate it again: glideflow transfer validate",
        )
    rows = summarise(own, by_structure=False)
    return tuple(_scores(row, record) for row, record in zip(rows, own, strict=True))


def to_card(scores: Sequence[HeldOutScores]) -> dict[str, Any]:
    """What goes into the details of a card."""
    return {CARD_KEY: [asdict(each) for each in scores]}


def from_card(details: Mapping[str, Any]) -> tuple[HeldOutScores, ...]:
    """What the details of a card say; none in a card without a validation.

    Raises:
        StorageError: they are not what `to_card` wrote.
    """
    try:
        return tuple(HeldOutScores(**{**each, "seeds": tuple(each["seeds"])}) for each in details.get(CARD_KEY, ()))
    except (TypeError, KeyError) as error:
        raise StorageError(
            f"a card's scores of held-out samples cannot be read: {error!s:.200}",
            expected="a card that `glideflow transfer fit --validation` wrote",
            next_step="get the model again, or fit it again",
        ) from error


def metrics_of(scores: Sequence[HeldOutScores]) -> dict[str, float]:
    """The numbers by name and split, e.g. ``median_factor, leave one family out``."""
    names = [field.name for field in fields(HeldOutScores) if field.name not in ("split", "seeds")]
    found = {f"{name}, {each.split}": getattr(each, name) for each in scores for name in names}
    return {name: float(value) for name, value in found.items() if value is not None}


def _scores(row: SummaryRow, record: ValidationRecord) -> HeldOutScores:
    shared = {field.name for field in fields(HeldOutScores)} & {field.name for field in fields(SummaryRow)}
    values = {name: getattr(row, name) for name in shared - {"seeds"}}
    return HeldOutScores(seeds=tuple(run.seed for run in record.runs), **values)
