"""The ensemble that ships with the package, and where the data of any ensemble end.

from glideflow.mobility.shipped import shipped_law

law = shipped_law()                     # an `EnsembleLaw`
law.card.metrics["velocity_percent"]    # its error on simulations that it has not seen
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from glideflow.errors import StorageError
from glideflow.mobility.dataset import SHIPPED

if TYPE_CHECKING:
    from glideflow.mobility.artifacts import MobilityCard, TrainedSource
    from glideflow.mobility.laws import MobilityLaw

SHIPPED_MODEL: Final = "mobility_model"
"""Folder of the shipped ensemble in the package's folder ``data``."""
LARGEST_ANGLE_GAP_DEG: Final = 15.0
"""Farthest angle from one that an ensemble was trained on that counts as inside its data."""
_BURGERS_TOLERANCE: Final = 0.02


@dataclass(frozen=True, kw_only=True)
class GlideConditions:
    """Lines to be moved by a law, and what moves them.

    Attributes:
        kind: ``dipole`` or ``loop``.
        angle_deg: angle of a dipole; None for a loop.
        stress_mpa: resolved shear stress.
        temperature_k: temperature.
        burgers_angstrom: length of the Burgers vector; None if nobody said.
        potential_id: potential of the simulation from which the lines come; empty if they come from none.
    """

    kind: str
    angle_deg: float | None
    stress_mpa: float
    temperature_k: float
    burgers_angstrom: float | None = None
    potential_id: str = ""


def shipped_model() -> Path:
    """Folder of the ensemble that ships with the package.

    Raises:
        StorageError: this installation has none.
    """
    folder = Path(str(resources.files("glideflow") / "data" / SHIPPED_MODEL))
    if not folder.is_dir():
        raise StorageError(
            f"this installation has no {SHIPPED_MODEL}",
            expected="the ensemble that ships with glideflow",
            next_step="install glideflow again, or name a model of `glideflow mobility train`",
        )
    return folder


def model_path(path: Path) -> Path:
    """Where a model lies that a command was given: ``shipped`` stands for the shipped one."""
    return shipped_model() if str(path) == SHIPPED and not path.exists() else path


def shipped_law() -> MobilityLaw:
    """The ensemble that ships with the package, as a law.

    Raises:
        StorageError: this installation has none, or it is damaged.
        DependencyError: PyTorch is not installed.
    """
    from glideflow.mobility.laws import read_law

    return read_law(shipped_model())


def held_out_errors(card: MobilityCard) -> str:
    """One sentence on how well an ensemble did on simulations that it has not seen; empty where nobody looked."""
    if not card.metrics.get("trajectories"):
        return ""
    own = card.metrics
    others = {name: scores["velocity_percent"] for name, scores in card.baseline_metrics.items()}
    best = min(others, key=lambda name: others[name], default="")
    beside = f"; the best of {len(others)} fitted laws, {best}, {others[best]:.0f} %" if best else ""
    factor = card.spread_factor
    wider = f"; its members differ by less, and their spread counts {factor:.1f} times" if factor > 1 else ""
    return (
        f"on {own['trajectories']:.0f} simulations that it has not seen it erred by {own['velocity_percent']:.0f} % of "
        f"the mean velocity{beside}, and by {own['absolute_angstrom']:.1f} Å in a step of {card.step_ps:g} ps{wider}"
    )


def outside_data(card: MobilityCard, conditions: GlideConditions) -> tuple[str, ...]:
    """Where conditions lie outside of what an ensemble was trained on, one sentence for each.

    Args:
        card: of the ensemble.
        conditions: what it is asked for.
    """
    sources = [source for source in card.sources if source.part == "train"]
    return (
        *_outside_lines(sources, conditions),
        *_outside_range("stress", [abs(each.stress_mpa) for each in sources], abs(conditions.stress_mpa), "MPa"),
        *_outside_range("temperature", [each.temperature_k for each in sources], conditions.temperature_k, "K"),
        *_other_material(card, sources, conditions),
    )


def _outside_lines(sources: list[TrainedSource], conditions: GlideConditions) -> Iterator[str]:
    kinds = sorted({source.kind for source in sources})
    if conditions.kind not in kinds:
        yield f"it was trained on no {conditions.kind}: {' and '.join(kinds)}s only"
    angles = [source.character_angle_deg for source in sources if source.character_angle_deg is not None]
    if conditions.angle_deg is None or not angles:
        return
    gaps = {angle: abs((angle - conditions.angle_deg + 90) % 180 - 90) for angle in angles}
    nearest = min(gaps, key=lambda angle: gaps[angle])
    if gaps[nearest] > LARGEST_ANGLE_GAP_DEG:
        yield f"lines at {conditions.angle_deg:.2f}°: the nearest that it was trained on are at {nearest:.2f}°"


def _outside_range(name: str, trained: list[float], asked: float, unit: str) -> Iterator[str]:
    if trained and not min(trained) <= asked <= max(trained):
        yield f"a {name} of {asked:g} {unit}: it was trained between {min(trained):g} and {max(trained):g} {unit}"


def _other_material(card: MobilityCard, sources: list[TrainedSource], conditions: GlideConditions) -> Iterator[str]:
    potentials = sorted({source.potential_id for source in sources} - {""})
    if conditions.potential_id and potentials and conditions.potential_id not in potentials:
        yield f"lines of {conditions.potential_id}: it was trained on {', '.join(potentials)}"
    burgers = conditions.burgers_angstrom
    if burgers is not None and abs(burgers / card.burgers_angstrom - 1) > _BURGERS_TOLERANCE:
        yield f"a Burgers vector of {burgers:g} Å: it was trained with {card.burgers_angstrom:.4g} Å"
