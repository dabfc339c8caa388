"""Which models of OpenKIM and NIST are retabulations or near-copies of each other or of what ships with LAMMPS.

Those sources do not say so themselves. The header of ``relatives.yaml`` says how the families were found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from glideflow.potentials.manifest import load_yaml
from glideflow.potentials.record import SourceStatus


@dataclass(frozen=True, kw_only=True)
class Relative:
    """What is known of a model for one element.

    Attributes:
        family: family of near-copies that it belongs to.
        flags: remarks found for its perfect crystals.
        status: ``caution`` where a remark asks for it.
    """

    family: str
    flags: tuple[str, ...] = ()
    status: SourceStatus = "ok"


def relative(model: str, element: str) -> Relative | None:
    """What is known of a model for one element; ``None`` if nothing.

    Args:
        model: extended KIM id (its version does not matter) or id of a LAMMPS implementation at NIST.
        element: chemical symbol.
    """
    number = re.search(r"[MS][OM]_\d{12}", model)
    return _table().get(f"{number[0] if number else model} {element}")


@cache
def _table() -> dict[str, Relative]:
    text = resources.files("glideflow.potentials").joinpath("relatives.yaml").read_text(encoding="utf-8")
    return {
        key: Relative(
            family=entry["family"],
            flags=tuple(entry.get("flags", ())),
            status="caution" if entry.get("flags") else "ok",
        )
        for key, entry in load_yaml(text)["relatives"].items()
    }
