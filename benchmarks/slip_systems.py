"""The table of docs/slip_systems.md: Peierls stresses of the systems and characters of `config/slip_systems.yaml`.

    python benchmarks/slip_systems.py               # all rows, some minutes
    python benchmarks/slip_systems.py Fe screw      # rows with all of these words

Each row is one `glideflow peierls --config config/slip_systems.yaml ... --json`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]
CONFIGURATION: Final = REPOSITORY / "config" / "slip_systems.yaml"
IRON, TUNGSTEN = "Fe_2003Mendelev_Fe_eam-fs", "W_2001Zhou_W_eam-alloy"
COPPER, ALUMINIUM = "Cu_2001Mishin_Cu_eam-alloy_v2", "Al_2008Mendelev_Al_eam-fs"
MAGNESIUM, ZIRCONIUM = "Mg_2006Sun_Mg_eam-fs", "Zr_2007Mendelev_Zr_eam-fs"
ROWS: Final = (
    (IRON, "bcc_110", "edge"),
    (IRON, "bcc_110", "screw"),
    (IRON, "bcc_112", "edge"),
    (IRON, "bcc_123", "edge"),
    (TUNGSTEN, "bcc_110", "screw"),
    (TUNGSTEN, "bcc_112", "edge"),
    (COPPER, "fcc_111", "edge"),
    (COPPER, "fcc_111", "screw"),
    (ALUMINIUM, "fcc_111", "edge"),
    (ALUMINIUM, "fcc_111", "screw"),
    (MAGNESIUM, "hcp_basal", "edge"),
    (MAGNESIUM, "hcp_basal", "screw"),
    (MAGNESIUM, "hcp_pyramidal", "edge"),
    (ZIRCONIUM, "hcp_prismatic", "edge"),
    (ZIRCONIUM, "hcp_prismatic_narrow", "edge"),
    (ZIRCONIUM, "hcp_basal", "edge"),
)


def computed(potential: str, system: str, character: str) -> dict[str, Any]:
    """What the command prints for one dislocation."""
    command = [sys.executable, "-m", "glideflow", "peierls", "--config", str(CONFIGURATION), "--potential", potential]
    command += ["--slip-system", system, "--character", character, "--json"]
    finished = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False)
    answer: dict[str, Any] = json.loads(finished.stdout)
    if answer["status"] != "ok":
        raise SystemExit(f"{potential} {system} {character}: {answer.get('reason', answer['status'])}")
    return answer


def stress(record: dict[str, Any]) -> str:
    """The value with its error, and both directions where they are two values."""
    if record["is_upper_bound"]:
        return f"≤ {record['peierls_mpa']:.2g}"
    value = f"{record['peierls_mpa']:.4g} ± {record['peierls_error_mpa']:.2g}"
    ways = [f"{curve['direction']} {curve['peierls_mpa']:.4g}" for curve in record["curves"]]
    return f"{value} ({', '.join(ways)})" if "easier in one direction" in record["flags"] else value


def core(record: dict[str, Any]) -> str:
    """Shape of the unloaded core, and whether it stays what it was."""
    apart, unloaded = record["dissociation_angstrom"], record["core_unloaded"]
    shape = f"{unloaded['width_angstrom']:.1f} Å wide" if apart is None else f"partials {apart:.1f} Å apart"
    if unloaded["polarity"] is not None:
        shape += f", polarity {unloaded['polarity']:.2f}"
    changes = [flag.removeprefix("core ") for flag in record["flags"] if flag.endswith("under load")]
    return ", ".join([shape, *changes])


def main() -> None:
    """Print the table."""
    print("| potential | slip system | character | Peierls stress | atoms | core |")
    print("|---|---|---|---|---|---|")
    for row in ROWS:
        if all(any(word in cell for cell in row) for word in sys.argv[1:]):
            record = computed(*row)
            print(f"| {' | '.join(row)} | {stress(record)} | {record['atoms']} | {core(record)} |", flush=True)


if __name__ == "__main__":
    main()
