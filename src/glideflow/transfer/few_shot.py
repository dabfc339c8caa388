"""How a model that learned from classical potentials gains by a few machine-learned ones: error against their number.

Every machine-learned potential with a stress by atomistics is held out in turn. The model is trained on the classical
potentials and on k of the others (shots), drawn without replacement, none of them a relative of the one held out for
the same metal; 0 shots are PT-EAM, k shots PT-MLFF of Y. Zhao, Z. Zhang and Z. Xu, Physics-Transfer Learning for
Material Strength Screening.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from glideflow.config.transfer import TransferDataSettings
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import ConfigurationError
from glideflow.progress import Progress, silent
from glideflow.records import Library
from glideflow.storage import record
from glideflow.threads import single_thread
from glideflow.transfer.assembly import STRUCTURES
from glideflow.transfer.dataset import EMPIRICAL, MACHINE_LEARNED, TransferDataset, stacked, target_log10
from glideflow.transfer.metrics import errors_log10
from glideflow.transfer.models import Regressor
from glideflow.transfer.strengths import samples_of, shots_for
from glideflow.transfer.validation import without_targets

FEW_ENTRIES = 5
"""Held-out potentials below which a median says next to nothing of others."""


@record
@dataclass(frozen=True, kw_only=True)
class FewShotEntry:
    """One machine-learned potential, held out, at one number of shots.

    Attributes:
        potential_id: the potential.
        element: chemical symbol.
        structure: crystal structure.
        shots: number of shots.
        available: shots that there are to draw from.
        mlff_mpa: its stress by atomistics.
        censored: whether that is a bound or below the floor.
        error_log10: (d,) errors of log₁₀ by the rule for censored samples, one for each draw of shots.
    """

    potential_id: str
    element: str
    structure: str
    shots: int
    available: int
    mlff_mpa: float
    censored: bool
    error_log10: FloatArray

    @property
    def record_name(self) -> str:
        """Name in a file of several."""
        return f"{self.potential_id}, {self.shots} shots"

    @property
    def factor(self) -> float:
        """Factor by which the prediction errs, up or down, on the geometric mean over the draws."""
        return float(10 ** np.mean(np.abs(self.error_log10)))


@record
@dataclass(frozen=True, kw_only=True)
class FewShotCurve:
    """Errors of a model against the number of shots.

    Attributes:
        model: name of the model.
        library_name: name of the library.
        floor_mpa: floor of the target.
        draws: most draws of shots for each potential and number.
        seed: seed of the draws and of the model.
        entries: held-out potentials at each number of shots.
    """

    model: str
    library_name: str
    floor_mpa: float
    draws: int
    seed: int
    entries: tuple[FewShotEntry, ...]

    def common(self, structure: str = "") -> tuple[FewShotEntry, ...]:
        """Entries at those numbers of shots that every potential of a structure, or of all structures, has.

        A curve over other potentials at every number would show what potentials differ by.
        """
        own = [each for each in self.entries if structure in ("", each.structure)]
        potentials = len({each.potential_id for each in own})
        times = Counter(each.shots for each in own)
        return tuple(each for each in own if times[each.shots] == potentials)


def few_shot_curve(
    library: Library,
    settings: TransferDataSettings,
    regressor: Regressor,
    counts: Sequence[int],
    *,
    floor_mpa: float,
    draws: int = 5,
    seed: int = 0,
    structures: Sequence[str] = STRUCTURES,
    progress: Progress = silent,
) -> FewShotCurve:
    """Errors on held-out machine-learned potentials against the number of shots.

    Args:
        library: the library.
        settings: which potentials take part; protocol and sources are not read.
        regressor: the model.
        counts: numbers of shots; those that a potential has too few others for are left out.
        floor_mpa: floor of the target.
        draws: most draws of shots for each potential and number; all of them where there are no more.
        seed: seed of the draws and of the model.
        structures: crystal structures.
        progress: progress callback.

    Raises:
        ConfigurationError: no machine-learned potential of these structures has a Peierls stress.
    """
    entries: list[FewShotEntry] = []
    for done, structure in enumerate(structures):
        progress("few shots", done, len(structures))
        kinds = (EMPIRICAL, MACHINE_LEARNED)
        empirical, learned = (samples_of(library, settings, structure, kind, "reference") for kind in kinds)
        if empirical is not None and learned is not None:
            entries += _Structure(empirical, learned, regressor, floor_mpa, seed).entries(counts, draws)
    if not entries:
        raise ConfigurationError(
            f"no machine-learned potential of {', '.join(structures)} in {library.name!r} has a Peierls stress",
            expected="some, beside classical potentials of the same structure",
            next_step="compute them: glideflow peierls --potential ID",
        )
    return FewShotCurve(
        model=regressor.name,
        library_name=library.name,
        floor_mpa=floor_mpa,
        draws=draws,
        seed=seed,
        entries=tuple(entries),
    )


def chosen_shots(allowed: IntArray, count: int, draws: int, generator: np.random.Generator) -> list[IntArray]:
    """Different sets of shots, all that there are if these are no more than ``draws``.

    Args:
        allowed: (a,) what may be drawn.
        count: how many each set has.
        draws: most sets.
        generator: source of the draws.
    """
    if comb(len(allowed), count) <= draws:
        return [np.array(each, dtype=int) for each in combinations(allowed, count)]
    found: dict[tuple[int, ...], None] = {}
    while len(found) < draws:
        drawn = generator.choice(allowed, count, replace=False)
        found.setdefault(tuple(sorted(int(each) for each in drawn)))
    return [np.array(each) for each in found]


class _Structure:
    """Held-out potentials of one structure."""

    def __init__(
        self, empirical: TransferDataset, learned: TransferDataset, regressor: Regressor, floor_mpa: float, seed: int
    ) -> None:
        self._empirical, self._learned, self._regressor, self._seed = empirical, learned, regressor, seed
        self._target = target_log10(learned, floor_mpa)
        self._without_shots = self._predicted(empirical, np.arange(len(learned)))  # the same for all of them

    def entries(self, counts: Sequence[int], draws: int) -> Iterator[FewShotEntry]:
        """Every potential at every number of shots."""
        generator = np.random.default_rng([self._seed, 3])
        for index in range(len(self._learned)):
            allowed = shots_for(self._learned, index)
            for count in (count for count in sorted(set(counts)) if count <= len(allowed)):
                yield self._entry(index, count, len(allowed), chosen_shots(allowed, count, draws, generator))

    def _entry(self, index: int, count: int, available: int, drawn: Sequence[IntArray]) -> FewShotEntry:
        learned = self._learned
        found = np.array([self._with(shots, index) for shots in drawn])
        return FewShotEntry(
            potential_id=learned.potential_ids[index],
            element=learned.elements[index],
            structure=learned.structures[index],
            shots=count,
            available=available,
            mlff_mpa=float(learned.peierls_mpa[index]),
            censored=bool(self._target.censored[index]),
            error_log10=errors_log10(found, self._target.select(np.full(len(found), index))),
        )

    def _with(self, shots: IntArray, index: int) -> float:
        """log₁₀ τ of one potential by the model of the classical ones and these shots."""
        if not len(shots):
            return float(self._without_shots[index])
        training = stacked([self._empirical, self._learned.select(shots)])
        return float(self._predicted(training, np.array([index]))[0])

    def _predicted(self, training: TransferDataset, indices: IntArray) -> FloatArray:
        with single_thread():
            fitted = self._regressor.fit(training, np.arange(len(training)), self._seed)
            return fitted.predict(without_targets(self._learned), indices).log10_mpa
