"""Where the result of each property lies below the folder of a run's results, and what such a name says."""

from __future__ import annotations

import re
from pathlib import Path

from glideflow.config.run import Property

# The braces are Snakemake's wildcards.
RESULT_FILES: dict[Property, str] = {
    "lattice": "potentials/{potential}/lattice.h5",
    "elastic": "potentials/{potential}/elastic.h5",
    "gamma_surface": "potentials/{potential}/gamma_surface/{slip_system}.h5",
    "peierls_stress": "potentials/{potential}/peierls_stress/{slip_system}/{character}.h5",
}
"""Path of a result, relative to ``<results>/<name>``."""

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
