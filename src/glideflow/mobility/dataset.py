"""Many trajectories in one small file: data sets to be passed on, and the one that ships with the package.

from glideflow.mobility.dataset import shipped_trajectories

for name, trajectory in shipped_trajectories().items():
    print(name, trajectory.status, len(trajectory.times_ps))

A data set keeps everything that `read_trajectory` gives. Nodes, boxes, stresses and temperatures of the frames are
rounded to single precision: 1e-4 Å for a line that has crossed twenty cells, where heat moves lines by ångströms.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from glideflow import __version__
from glideflow.errors import ConfigurationError, StorageError
from glideflow.mobility.trajectory import ENDED, Trajectory, read_trajectory, refuse_misfit
from glideflow.shipped_data import shipped_file
from glideflow.storage import WrongKindError, peek, read_record, record, write_record

SHIPPED_FILE: Final = "mobility_trajectories.h5"
"""File of the shipped data set in the package's folder ``data``."""
SHIPPED: Final = "shipped"
"""What commands call the shipped data set; ``shipped:NAME`` is one of its trajectories, ``shipped:loop_*`` are some."""
LICENCE: Final = "MIT"
_ROUNDED = ("cells_angstrom", "stresses_mpa", "temperatures_k", "debris_angstrom", "nodes_fractional")
"""Arrays in single precision. Times stay as they are: steps are found by them."""


@record
@dataclass(frozen=True, kw_only=True, eq=False)
class DatasetEntry:
    """A trajectory of a data set.

    Attributes:
        name: what it is called, by default the name of its scenario.
        sha256: digest of the trajectory, see `trajectory_sha256`.
        trajectory: the trajectory.
    """

    name: str
    sha256: str
    trajectory: Trajectory


@record
@dataclass(frozen=True, kw_only=True, eq=False)
class TrajectoryDataset:
    """Trajectories that are passed on together.

    Attributes:
        description: one sentence on what they are.
        licence: of the data, an SPDX identifier. Files of potentials are no part of it.
        citations: how to cite the potentials, in alphabetical order.
        glideflow_version: version of the package that made the file.
        entries: the trajectories, ordered by name.
    """

    description: str
    licence: str
    citations: tuple[str, ...]
    glideflow_version: str
    entries: tuple[DatasetEntry, ...]

    def trajectories(self) -> dict[str, Trajectory]:
        """The trajectories by name."""
        return {entry.name: entry.trajectory for entry in self.entries}

    def sha256(self) -> str:
        """Digest of names and trajectories, whatever else the file says."""
        lines = [f"{entry.name} {entry.sha256}" for entry in self.entries]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def dataset_of(trajectories: Mapping[str, Trajectory], description: str = "") -> TrajectoryDataset:
    """Trajectories as a data set, rounded to what it keeps.

    What an engine said before it failed is left out: it may tell of the machine.

    Args:
        trajectories: by name; each has ended.
        description: one sentence on what they are; by default their number and potentials.

    Raises:
        ConfigurationError: there is none, or one is still running or has failed.
    """
    _refuse_unfinished(trajectories)
    rounded = {name: _publishable(each) for name, each in sorted(trajectories.items())}
    potentials = {each.potential.id: each.potential.citation for each in rounded.values()}
    return TrajectoryDataset(
        description=description or f"{len(rounded)} trajectories of dislocations with {', '.join(sorted(potentials))}",
        licence=LICENCE,
        citations=tuple(sorted({text for text in potentials.values() if text})),
        glideflow_version=__version__,
        entries=tuple(
            DatasetEntry(name=name, sha256=trajectory_sha256(each), trajectory=each) for name, each in rounded.items()
        ),
    )


def write_dataset(path: Path, dataset: TrajectoryDataset) -> None:
    """Write a data set to an HDF5 file, atomically; the same trajectories give the same bytes.

    Raises:
        StorageError: the file cannot be written.
    """
    stored = [replace(entry, trajectory=_single_precision(entry.trajectory)) for entry in dataset.entries]
    write_record(path, replace(dataset, entries=tuple(stored)), layout="columns")


def read_dataset(path: Path) -> TrajectoryDataset:
    """Read a data set and compare each trajectory with its digest.

    Raises:
        StorageError: the file is missing, damaged, changed, of another kind or schema version, or the parts of a
            trajectory do not fit together.
    """
    dataset = read_record(path, TrajectoryDataset)
    for entry in dataset.entries:
        refuse_misfit(f"{path} holds {entry.name}, a trajectory", entry.trajectory)
        if trajectory_sha256(entry.trajectory) != entry.sha256:
            raise StorageError(
                f"{path} holds {entry.name}, whose content is not that of its digest",
                expected=f"a trajectory with the SHA-256 {entry.sha256}",
                next_step="get the file again; with changes of your own, make one by `glideflow mobility data build`",
            )
    return dataset


def shipped_dataset() -> TrajectoryDataset:
    """The data set that ships with the package, read once per process.

    Raises:
        StorageError: it is missing or damaged.
    """
    return _shipped()


def shipped_trajectories() -> Mapping[str, Trajectory]:
    """The trajectories that ship with the package, by name; see `shipped_dataset`."""
    return shipped_dataset().trajectories()


@cache
def _shipped() -> TrajectoryDataset:
    with shipped_file(SHIPPED_FILE, what="the data set", instead="files of trajectories") as path:
        return read_dataset(path)


def trajectories_from(sources: Iterable[Path], *, by_stem: bool = False) -> dict[str, Trajectory]:
    """Trajectories by name, wherever they lie: what every command that takes trajectories reads.

    Args:
        sources: files of single trajectories, files of data sets, ``shipped`` for all of the shipped ones,
            ``shipped:NAME`` for one of them, with wildcards for some (``shipped:dipole_*``).
        by_stem: whether a single file's trajectory is called by its name without folder and ``.h5``; else as given.

    Raises:
        StorageError: a file is missing, damaged or of another kind.
        ConfigurationError: the shipped data set has no such trajectory, or two have the same name.
    """
    found: dict[str, Trajectory] = {}
    for source in sources:
        for name, trajectory in _from(source, source.name.removesuffix(".h5") if by_stem else str(source)).items():
            if name in found:
                raise ConfigurationError(
                    f"two trajectories are called {name}", expected="names that differ", next_step="name each once"
                )
            found[name] = trajectory
    return found


def trajectory_from(source: Path) -> Trajectory:
    """The one trajectory of a source, see `trajectories_from`.

    Raises:
        ConfigurationError: the source holds several.
        StorageError: as `trajectories_from`.
    """
    found = trajectories_from([source])
    if len(found) != 1:
        raise ConfigurationError(
            f"{source} holds {len(found)} trajectories",
            expected="one",
            next_step=f"name one of them, e.g. {SHIPPED}:{min(found)}; `glideflow mobility data export` writes files",
        )
    return next(iter(found.values()))


def trajectory_sha256(trajectory: Trajectory) -> str:
    """Digest of all that a trajectory holds, but for fields that have their default: later ones change no digest."""
    digest = hashlib.sha256()
    for part in _parts("", trajectory):
        digest.update(part)
    return digest.hexdigest()


def _parts(name: str, value: Any) -> Iterator[bytes]:  # noqa: ANN401 - any field of a record
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            own = getattr(value, field.name)
            if field.default is dataclasses.MISSING or own != field.default:
                yield from _parts(f"{name}.{field.name}", own)
    elif isinstance(value, np.ndarray):
        yield f"{name} {value.shape} ".encode() + np.ascontiguousarray(value, dtype=np.float64).tobytes()
    elif isinstance(value, tuple):
        yield f"{name} {len(value)}".encode()
        for number, member in enumerate(value):
            yield from _parts(f"{name}.{number}", member)
    else:  # an integer among floats comes back from a file as a float
        yield f"{name} {float(value)!r}".encode() if isinstance(value, int | float) else f"{name} {value!r}".encode()


def _from(source: Path, name: str) -> dict[str, Trajectory]:
    kind, _, chosen = str(source).partition(":")
    if kind == SHIPPED and not source.exists():
        return _of_shipped(chosen)
    return read_dataset(source).trajectories() if _is_dataset(source) else {name: read_trajectory(source)}


def _of_shipped(name: str) -> dict[str, Trajectory]:
    every = shipped_dataset().trajectories()
    found = {each: every[each] for each in every if fnmatchcase(each, name or "*")}
    if not found:
        raise ConfigurationError(
            f"the shipped data set has no trajectory {name!r}",
            expected=f"a name such as {min(every)}, or with wildcards, such as dipole_*",
            next_step="`glideflow mobility data list` lists them",
        )
    return found


def _is_dataset(path: Path) -> bool:
    try:
        peek(path, TrajectoryDataset)
    except WrongKindError:
        return False
    return True


def _refuse_unfinished(trajectories: Mapping[str, Trajectory]) -> None:
    unfinished = sorted(name for name, each in trajectories.items() if each.status not in ENDED)
    if unfinished or not trajectories:
        raise ConfigurationError(
            f"{len(unfinished)} trajectories are running or failed, e.g. {unfinished[0]}"
            if unfinished
            else "no trajectory for a data set",
            expected="trajectories that have ended, one at least",
            next_step="let them run to their end, or leave them out",
        )


def _publishable(trajectory: Trajectory) -> Trajectory:
    """The trajectory as a reader of the data set will get it."""
    failure = trajectory.failure
    told = None if failure is None else replace(failure, evidence="")
    rounded = {name: getattr(trajectory, name).astype(np.float32).astype(np.float64) for name in _ROUNDED}
    return replace(trajectory, failure=told, **rounded)


def _single_precision(trajectory: Trajectory) -> Trajectory:
    return replace(trajectory, **{name: getattr(trajectory, name).astype(np.float32) for name in _ROUNDED})
