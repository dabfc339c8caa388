"""What fixed strain steps make of the Peierls stresses of a library, against the converged values.

    python benchmarks/compare_protocols.py [LIBRARY]

One line for each structure and cell: potentials whose core glided by both protocols, the median of both, the median of
their difference (10 to 90 % of the potentials in brackets), and the rank correlation. Upper bounds count with their
value.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from glideflow.config.transfer import Protocol, TransferDataSettings
from glideflow.errors import ConfigurationError
from glideflow.records import Library
from glideflow.strength_library import load
from glideflow.transfer.assembly import assemble

CELLS: dict[Protocol, str] = {"paper": "reference", "size_s": "244 atoms"}
STRUCTURES = ("fcc", "bcc", "hcp")


def stresses_mpa(library: Library, structure: str, protocol: Protocol) -> dict[str, float]:
    """Peierls stresses by potential."""
    wanted = TransferDataSettings(protocol=protocol, one_per_family=False, exclude_flags=())
    try:
        samples = assemble(library, wanted, (structure,))
    except ConfigurationError:
        return {}
    return dict(zip(samples.potential_ids, samples.peierls_mpa, strict=True))


def row(library: Library, structure: str, protocol: Protocol) -> str:
    """One line of the table."""
    converged, fixed = (stresses_mpa(library, structure, each) for each in ("reference", protocol))
    both = sorted(set(converged) & set(fixed))
    if len(both) < 3:
        return f"| {structure} | {CELLS[protocol]} | {len(both)} | | | | |"
    pair = np.array([[converged[name], fixed[name]] for name in both])
    apart = pair[:, 1] - pair[:, 0]
    low, high = np.quantile(apart, [0.1, 0.9])
    middle = np.median(pair, axis=0)
    return (
        f"| {structure} | {CELLS[protocol]} | {len(both)} | {middle[0]:.3g} | {middle[1]:.3g} | "
        f"{np.median(apart):+.3g} ({low:+.3g} to {high:+.3g}) | {spearmanr(*pair.T)[0]:.2f} |"
    )


def main() -> None:
    """Print the table."""
    library = load(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    print("| structure | cell | potentials | converged (MPa) | fixed steps (MPa) | difference (MPa) | rank |")
    print("|---|---|---|---|---|---|---|")
    for structure in STRUCTURES:
        for protocol in CELLS:
            print(row(library, structure, protocol))


if __name__ == "__main__":
    main()
