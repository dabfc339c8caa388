"""The table of docs/slip_systems.md: Peierls stresses of the systems and characters of `config/slip_systems.yaml`.

    python benchmarks/slip_systems.py               # all rows, some minutes
    python benchmarks/slip_systems.py Fe screw      # rows with all of these words
    python benchmarks/slip_systems.py --continuum   # the Peierls-Nabarro models of docs/peierls_nabarro.md instead

Each row is one `glideflow peierls --config config/slip_systems.yaml ... --json`, or `glideflow peierls-nabarro` with
the γ that is named.
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


def computed(name: str, potential: str, system: str, character: str, *changes: str) -> dict[str, Any]:
    """What a command prints for one dislocation."""
    command = [
        sys.executable,
        "-m",
        "glideflow",
        name,
        "--config",
        str(CONFIGURATION),
        "--potential",
        potential,
    ]
    command += ["--slip-system", system, "--character", character, "--json"]
    command += [word for change in changes for word in ("--set", change)]
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


def atomistic(row: tuple[str, str, str]) -> str:
    """A row of the atomistic table."""
    record = computed("peierls", *row)
    return f"| {' | '.join(row)} | {stress(record)} | {record['atoms']} | {core(record)} |"


def continuum(row: tuple[str, str, str]) -> str:
    """A row of the table of continuum models, with the computed points of γ and with the smooth fit."""
    values, spacing = [], 0.0
    for gamma in ("grid", "fourier"):
        record = computed("peierls-nabarro", *row, f"peierls_nabarro.gamma={gamma}")
        models = {model["model"]: model["peierls_mpa"] for model in record["models"]}
        values += ["–" if models[kind] is None else f"{models[kind]:.3g}" for kind in ("surface", "gradient")]
        spacing = record["node_spacing_angstrom"] / record["burgers_vector_angstrom"]
    return f"| {' | '.join(row)} | {spacing:.3f} b | {' | '.join(values)} |"


def main() -> None:
    """Print the table."""
    words = [word for word in sys.argv[1:] if word != "--continuum"]
    made, columns = atomistic, "Peierls stress | atoms | core"
    if "--continuum" in sys.argv:
        made, columns = continuum, "h | surface, points | gradient, points | surface, fit | gradient, fit"
    print(f"| potential | slip system | character | {columns} |")
    print("|" + "---|" * (4 + columns.count("|")))
    for row in ROWS:
        if all(any(word in cell for cell in row) for word in words):
            print(made(row), flush=True)


if __name__ == "__main__":
    main()
