"""Which OpenKIM models are retabulations or near-copies of each other or of potentials from other sources.

OpenKIM itself does not say so. ``kim_relatives.yaml`` was found by comparing energies of fcc, bcc and hcp crystals and
of a disordered cell at several volumes; its header states the tolerance.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from glideflow.potentials.manifest import load_yaml


@dataclass(frozen=True, kw_only=True)
class Relative:
    """What is known of a model for one element.

    Attributes:
        family: family of near-copies that it belongs to.
        flags: remarks found for its perfect crystals.
    """

    family: str
    flags: tuple[str, ...] = ()


def relative(model: str, element: str) -> Relative | None:
    """What is known of a model, by its extended KIM id in any version, for one element; ``None`` if nothing."""
    number = re.search(r"[MS][OM]_\d{12}", model)
    return _table().get(f"{number[0]} {element}") if number else None


@cache
def _table() -> dict[str, Relative]:
    text = resources.files("glideflow.potentials").joinpath("kim_relatives.yaml").read_text(encoding="utf-8")
    return {
        key: Relative(family=entry["family"], flags=tuple(entry.get("flags", ())))
        for key, entry in load_yaml(text)["relatives"].items()
    }
