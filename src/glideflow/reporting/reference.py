"""Published values that figures show for comparison, each with its source."""

from __future__ import annotations

from dataclasses import dataclass

from glideflow.reporting.collection import Metal


@dataclass(frozen=True)
class PublishedRange:
    """Peierls stresses that a publication gives for a metal.

    Attributes:
        metal: the metal.
        lowest_mpa: lowest value of classical potentials.
        highest_mpa: highest value of classical potentials.
        pt_eam_mpa: by a network trained on classical potentials and fed with better parameters.
        pt_mlff_mpa: by this network tuned on machine-learned potentials.
        mlff_mpa: by a machine-learned potential; None if not given.
    """

    metal: Metal
    lowest_mpa: float
    highest_mpa: float
    pt_eam_mpa: float
    pt_mlff_mpa: float
    mlff_mpa: float | None = None


PUBLISHED_SOURCE = "Y. Zhao, Z. Zhang and Z. Xu, Physics-Transfer Learning for Material Strength Screening, Table 1"
"""Source of `PUBLISHED_RANGES`."""

PUBLISHED_RANGES = (
    PublishedRange(Metal("Cu", "fcc"), 10.96, 28.40, 14.71, 12.87, 13.07),
    PublishedRange(Metal("Al", "fcc"), 6.38, 17.71, 11.17, 7.22, 7.41),
    PublishedRange(Metal("Au", "fcc"), 4.71, 11.61, 9.45, 11.98),
    PublishedRange(Metal("Ni", "fcc"), 17.18, 57.69, 15.26, 14.03),
    PublishedRange(Metal("Pd", "fcc"), 14.67, 14.79, 14.28, 11.75),
    PublishedRange(Metal("Pt", "fcc"), 14.61, 35.09, 13.86, 13.21),
    PublishedRange(Metal("Fe", "bcc"), 38.76, 131.09, 40.09, 26.09, 27.01),
    PublishedRange(Metal("Mo", "bcc"), 50.14, 95.79, 59.38, 29.66),
    PublishedRange(Metal("Ta", "bcc"), 23.25, 23.36, 31.45, 15.83),
    PublishedRange(Metal("W", "bcc"), 45.01, 72.98, 77.59, 38.48),
    PublishedRange(Metal("Ti", "hcp"), 170.08, 317.36, 210.25, 218.41, 219.7),
)
"""Edge dislocations, cells of 160 nm × 2 nm × 40 nm, strain steps of 1e-5; all columns of the table.

The primary slip systems are those of this package. The protocol is not: there a minimisation ends by a looser
criterion, which raises small Peierls stresses most.
"""


def published_range(metal: Metal) -> PublishedRange | None:
    """The published range of a metal; None if there is none."""
    return next((each for each in PUBLISHED_RANGES if each.metal == metal), None)
