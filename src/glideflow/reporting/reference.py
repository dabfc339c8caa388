"""Published values that figures show for comparison, each with its source."""

from __future__ import annotations

from dataclasses import dataclass

from glideflow.reporting.collection import Metal


@dataclass(frozen=True)
class PublishedRange:
    """Smallest and largest Peierls stress that a publication gives for a metal.

    Attributes:
        metal: the metal.
        lowest_mpa: lowest value.
        highest_mpa: highest value.
    """

    metal: Metal
    lowest_mpa: float
    highest_mpa: float


PUBLISHED_SOURCE = "Y. Zhao, Z. Zhang and Z. Xu, Physics-Transfer Learning for Material Strength Screening, Table 1"
"""Source of `PUBLISHED_RANGES`."""

PUBLISHED_RANGES = (
    PublishedRange(Metal("Cu", "fcc"), 10.96, 28.40),
    PublishedRange(Metal("Al", "fcc"), 6.38, 17.71),
    PublishedRange(Metal("Au", "fcc"), 4.71, 11.61),
    PublishedRange(Metal("Ni", "fcc"), 17.18, 57.69),
    PublishedRange(Metal("Pd", "fcc"), 14.67, 14.79),
    PublishedRange(Metal("Pt", "fcc"), 14.61, 35.09),
    PublishedRange(Metal("Fe", "bcc"), 38.76, 131.09),
    PublishedRange(Metal("Mo", "bcc"), 50.14, 95.79),
    PublishedRange(Metal("Ta", "bcc"), 23.25, 23.36),
    PublishedRange(Metal("W", "bcc"), 45.01, 72.98),
    PublishedRange(Metal("Ti", "hcp"), 170.08, 317.36),
)
"""Edge dislocations, EAM potentials, cells of 160 nm × 2 nm × 40 nm, strain steps of 1e-5 (column "EAM").

The primary slip systems are those of this package. The protocol is not: there a minimisation ends by a looser
criterion, which raises small Peierls stresses most.
"""


def published_range(metal: Metal) -> PublishedRange | None:
    """The published range of a metal; None if there is none."""
    return next((each for each in PUBLISHED_RANGES if each.metal == metal), None)
