"""What the name of a result file says."""

from __future__ import annotations

import re
from pathlib import Path

from glideflow.property_specs import PROPERTIES, Property

RESULT_FILES: dict[Property, str] = {name: spec.result_file for name, spec in PROPERTIES.items()}
"""Path of the result of each property, relative to ``<results>/<name>``, with Snakemake's wildcards."""

_ESCAPED_WILDCARD = re.compile(r"\\{(\w+)\\}")


def result_labels(path: Path) -> dict[str, str] | None:
    """What the name of a result file says: the property and its wildcards; None if no result would lie there.

    ``…/potentials/Cu_a/gamma_surface/fcc_111.h5`` gives ``{"property": "gamma_surface", "potential": "Cu_a",
    "slip_system": "fcc_111"}``.
    """
    for name, template in RESULT_FILES.items():
        pattern = _ESCAPED_WILDCARD.sub(r"(?P<\1>[^/]+)", re.escape(template))
        found = re.search(f"(?:^|/){pattern}$", path.as_posix())
        if found:
            return {"property": name, **found.groupdict()}
    return None
