"""Entries of ``subsets``: properties that are computed for a part of the potentials only."""

from __future__ import annotations

from pydantic import Field

from glideflow.config.base import Section
from glideflow.config.potentials import Element
from glideflow.property_specs import Property


class SubsetSettings(Section):
    """One property, and for how many potentials it is computed."""

    property: Property
    """The property. What other properties need is computed in any case."""
    elements: tuple[Element, ...] = ()
    """Chemical symbols; an empty list takes all that are selected."""
    families_per_metal: int = Field(default=0, ge=0)
    """One potential of each of the first so many families of every metal, by the name of the family: the one that
    stands for its family, or the first by id. A potential without a family is one of its own; 0 takes all."""
