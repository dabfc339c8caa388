"""Peierls stresses of metals by all routes side by side: potentials, transfer, and machine-learned potentials.

Table 1 of Y. Zhao, Z. Zhang and Z. Xu, Physics-Transfer Learning for Material Strength Screening:

- **EAM**: what classical potentials for a metal give, by protocol; large cells (the paper's size L) are the limit of a
  size series here.
- **PT-EAM**: a model trained on classical potentials only, fed with elastic constants and γ of machine-learned ones.
- **PT-MLFF**: the same model trained on these and on machine-learned potentials that have a stress by atomistics
  (shots), without the one that gives the inputs and its relatives for the same metal.
- **MLFF**: what machine-learned potentials give by atomistics.

Where machine-learned potentials have both, their difference to PT-EAM and PT-MLFF is the error of inference; what EAM
differs by from them is the physical error of potentials, and the system error where cells differ, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glideflow.config.transfer import Protocol, TransferDataSettings
from glideflow.crystals.lattices import IntArray
from glideflow.errors import ConfigurationError
from glideflow.progress import Progress, silent
from glideflow.records import Library
from glideflow.storage import record
from glideflow.threads import single_thread
from glideflow.transfer.assembly import STRUCTURES, assemble
from glideflow.transfer.dataset import EMPIRICAL, MACHINE_LEARNED, TransferDataset, stacked
from glideflow.transfer.models import Prediction, Regressor

PROTOCOLS: tuple[Protocol, ...] = ("reference", "series", "paper", "size_s")


@record
@dataclass(frozen=True, kw_only=True)
class EmpiricalStrengths:
    """Peierls stresses of a metal by classical potentials, one of each family.

    Attributes:
        protocol: how they were computed.
        potentials: how many.
        upper_bounds: how many of them are bounds.
        lowest_mpa: lowest.
        median_mpa: median.
        highest_mpa: highest.
    """

    protocol: str
    potentials: int
    upper_bounds: int
    lowest_mpa: float
    median_mpa: float
    highest_mpa: float


@record
@dataclass(frozen=True, kw_only=True)
class TransferredStrength:
    """The Peierls stress of a metal by the parameters of one machine-learned potential.

    Attributes:
        potential_id: the potential that gives elastic constants and γ: the input source.
        pt_eam_mpa: by the model trained on classical potentials.
        pt_eam_spread_log10: its standard deviation.
        pt_mlff_mpa: by the model with shots; NaN without shots.
        pt_mlff_spread_log10: its standard deviation.
        shots: machine-learned potentials in its training.
        mlff_mpa: by atomistics with the same potential; NaN if not computed.
        mlff_error_mpa: its error.
        is_upper_bound: whether it is only a bound.
    """

    potential_id: str
    pt_eam_mpa: float
    pt_eam_spread_log10: float
    pt_mlff_mpa: float
    pt_mlff_spread_log10: float
    shots: int
    mlff_mpa: float
    mlff_error_mpa: float
    is_upper_bound: bool


@record
@dataclass(frozen=True, kw_only=True)
class MetalStrengths:
    """One metal.

    Attributes:
        element: chemical symbol.
        structure: crystal structure.
        slip_system: slip system, character edge.
        empirical: by classical potentials, one entry for each protocol that has any.
        transferred: by machine-learned potentials, one entry each.
    """

    element: str
    structure: str
    slip_system: str
    empirical: tuple[EmpiricalStrengths, ...]
    transferred: tuple[TransferredStrength, ...]


@record
@dataclass(frozen=True, kw_only=True)
class StrengthTable:
    """All metals.

    Attributes:
        model: name of the model that transfers.
        training_source: what it was trained on, by structure.
        metals: one row for each metal.
        library_name: name of the library.
        floor_mpa: floor of the targets.
    """

    model: str
    training_source: tuple[str, ...]
    metals: tuple[MetalStrengths, ...]
    library_name: str
    floor_mpa: float


def strength_table(
    library: Library,
    settings: TransferDataSettings,
    regressor: Regressor,
    *,
    floor_mpa: float,
    seed: int = 0,
    structures: Sequence[str] | None = None,
    progress: Progress = silent,
) -> StrengthTable:
    """Peierls stresses of every metal of a library by every route.

    Args:
        library: the library.
        settings: which potentials take part; protocol and sources are those of each column.
        regressor: the model that transfers.
        floor_mpa: floor of the targets.
        seed: seed of the model.
        structures: crystal structures; None for those that have classical potentials with a Peierls stress.
        progress: progress callback.

    Raises:
        ConfigurationError: a structure that was named, or every one, has no classical potential to learn from.
    """
    metals: list[MetalStrengths] = []
    sources = []
    wanted = structures or _with_stresses(library, settings) or STRUCTURES
    for done, structure in enumerate(wanted):
        progress("transfer", done, len(wanted))
        route = _Route(library, settings, regressor, structure, floor_mpa, seed)
        metals += route.metals()
        sources.append(f"{structure}: {len(route.empirical)} classical potentials")
    return StrengthTable(
        model=regressor.name,
        training_source=tuple(sources),
        metals=tuple(metals),
        library_name=library.name,
        floor_mpa=floor_mpa,
    )


def _with_stresses(library: Library, settings: TransferDataSettings) -> list[str]:
    return [name for name in STRUCTURES if samples_of(library, settings, name, EMPIRICAL, "reference") is not None]


class _Route:
    """The routes of one structure."""

    def __init__(
        self,
        library: Library,
        settings: TransferDataSettings,
        regressor: Regressor,
        structure: str,
        floor_mpa: float,
        seed: int,
    ) -> None:
        self._regressor, self._seed, self._floor_mpa, self._structure = regressor, seed, floor_mpa, structure
        self._by_protocol = {
            protocol: found
            for protocol in PROTOCOLS
            if (found := samples_of(library, settings, structure, EMPIRICAL, protocol)) is not None
        }
        self.learned = samples_of(library, settings, structure, MACHINE_LEARNED, "reference", with_stress=False)
        if "reference" not in self._by_protocol:
            raise ConfigurationError(
                f"no classical potential of {structure} with a Peierls stress in the library {library.name!r}",
                expected="a library with Peierls stresses in the reference cell",
                next_step="compute them (`glideflow plan`), or name another library",
            )
        self.empirical = self._by_protocol["reference"]

    def metals(self) -> list[MetalStrengths]:
        """A row for each metal, in alphabetical order."""
        transferred = self._transferred()
        elements = {*self.empirical.elements, *(self.learned.elements if self.learned is not None else ())}
        return [
            MetalStrengths(
                element=element,
                structure=self._structure,
                slip_system=self.empirical.slip_systems[0],
                empirical=tuple(
                    found
                    for protocol, samples in self._by_protocol.items()
                    if (found := _range(samples, element, protocol)) is not None
                ),
                transferred=tuple(each for own, each in transferred if own == element),
            )
            for element in sorted(elements)
        ]

    def _transferred(self) -> list[tuple[str, TransferredStrength]]:
        """Every machine-learned potential with its metal."""
        learned = self.learned
        if learned is None:
            return []
        by_eam = self._predicted(self.empirical, np.arange(len(learned)))
        found = []
        for index, identifier in enumerate(learned.potential_ids):
            shots = shots_for(learned, index)
            by_mlff = self._with_shots(shots, index)
            found.append(
                (
                    learned.elements[index],
                    TransferredStrength(
                        potential_id=identifier,
                        pt_eam_mpa=float(10 ** by_eam.log10_mpa[index]),
                        pt_eam_spread_log10=float(by_eam.spread_log10[index]),
                        pt_mlff_mpa=np.nan if by_mlff is None else float(10 ** by_mlff.log10_mpa[0]),
                        pt_mlff_spread_log10=np.nan if by_mlff is None else float(by_mlff.spread_log10[0]),
                        shots=len(shots),
                        mlff_mpa=float(learned.peierls_mpa[index]),
                        mlff_error_mpa=float(learned.peierls_error_mpa[index]),
                        is_upper_bound=bool(learned.is_upper_bound[index]),
                    ),
                )
            )
        return found

    def _with_shots(self, shots: IntArray, index: int) -> Prediction | None:
        if not len(shots) or self.learned is None:
            return None
        return self._predicted(stacked([self.empirical, self.learned.select(shots)]), np.array([index]))

    def _predicted(self, training: TransferDataset, indices: IntArray) -> Prediction:
        assert self.learned is not None
        with single_thread():
            fitted = self._regressor.fit(training, np.arange(len(training)), self._seed)
            return fitted.predict(self.learned, indices)


def samples_of(
    library: Library,
    settings: TransferDataSettings,
    structure: str,
    source: str,
    protocol: Protocol,
    *,
    with_stress: bool = True,
) -> TransferDataset | None:
    """Samples of one kind of potentials of a structure; None if there is none.

    Args:
        library: the library.
        settings: which potentials take part; protocol and sources are those that follow.
        structure: crystal structure.
        source: kind of potentials.
        protocol: how the stresses were computed.
        with_stress: whether a sample needs a Peierls stress.
    """
    wanted = settings.model_copy(update={"sources": (source,), "protocol": protocol})
    try:
        return assemble(library, wanted, (structure,), name=structure, with_stress=with_stress)
    except ConfigurationError as error:
        if "has no sample" in error.found:
            return None
        raise


def shots_for(learned: TransferDataset, index: int) -> IntArray:
    """Numbers of the samples with a stress that may help to predict one: of its metal none that is of its family."""
    families, elements = np.array(learned.families), np.array(learned.elements)
    own = (families == families[index]) & (elements == elements[index])
    return np.flatnonzero(np.isfinite(learned.peierls_mpa) & ~own)


def _range(samples: TransferDataset, element: str, protocol: str) -> EmpiricalStrengths | None:
    own = samples.select(np.flatnonzero(np.array(samples.elements) == element))
    if not len(own):
        return None
    return EmpiricalStrengths(
        protocol=protocol,
        potentials=len(own),
        upper_bounds=int(own.is_upper_bound.sum()),
        lowest_mpa=float(own.peierls_mpa.min()),
        median_mpa=float(np.median(own.peierls_mpa)),
        highest_mpa=float(own.peierls_mpa.max()),
    )
