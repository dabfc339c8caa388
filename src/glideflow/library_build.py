"""A library for others: finished records of several runs in one small file that says nothing of where it was made."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from glideflow import __version__
from glideflow.config.load import load_settings
from glideflow.config.run import RunSettings
from glideflow.errors import ConfigurationError
from glideflow.library import Gathered, missing_result
from glideflow.library_families import with_families
from glideflow.potentials.bundled import bundled_citations
from glideflow.records import Library, LibraryEntry, PotentialSummary
from glideflow.result_files import result_labels
from glideflow.run import CONFIGURATION_FILE, ResolvedRun

DOUBLE_PRECISION_UP_TO = 36
"""Numbers of an array that is kept in double precision: a tensor is, a curve or a surface is not."""

LONGEST_EVIDENCE = 1500
"""Characters of an engine's last output that are kept with a failure."""

# An absolute path of at least two parts; not the slashes of URLs, DOIs, units and fractions.
_ABSOLUTE_PATH = re.compile(r"(?<![\w/.:)\]}>])/(?:[\w.+@~-]+/)+(?P<name>[\w.+@~-]+)")

R = TypeVar("R")


def build(folders: Sequence[Path], name: str, *, only_complete: bool = False) -> Library:
    """Gather whatever records runs have finished so far, the first of several folders first.

    Args:
        folders: results of runs, ``<results>/<name>``, each with its configuration. Where several hold the same
            property of a potential, the first one wins.
        name: name of the library; the configuration in it is that of the first folder.
        only_complete: leave potentials out of which a configuration asks for more than there is. Without, what they
            lack is named in their entries.

    Raises:
        ConfigurationError: a folder is no folder of results, or holds no records.
        StorageError: properties of one id were computed with different parameter files.
        WrongKindError: a file where a record should lie is something else.
    """
    runs = [(folder, _settings_of(folder)) for folder in folders]
    found = _first_of_each(folders)
    gathered = Gathered(found.values())
    potentials = [stages[0].potential for _, stages in sorted(gathered.stages.items())]
    wanted = {_place(file): file for run in runs for file in _expected(potentials, *run)}
    gathered.missing += [missing_result(file, "not computed") for place, file in wanted.items() if place not in found]
    lacking = {each.potential for each in gathered.missing}
    entries = [each for each in gathered.entries() if not (only_complete and each.potential.id in lacking)]
    return Library(
        name=name,
        glideflow_version=__version__,
        settings_json=json.dumps(runs[0][1].model_dump(mode="json"), sort_keys=True),
        entries=with_families(entries),  # of what is left: a copy of what is not in the library is none
        missing=() if only_complete else tuple(gathered.missing),
        accept_missing_percent=100.0,
    )


def publishable(library: Library) -> Library:
    """The library without paths of this machine, with long arrays in single precision and short evidence.

    Potentials that ship with LAMMPS are cited as this package's catalogue does: collections cite at times what took a
    file over, and not what it was made for.
    """
    cited = replace(library, entries=tuple(map(_cited, library.entries)))
    return _transformed(cited, _without_paths, _single_precision)


def _cited(entry: LibraryEntry) -> LibraryEntry:
    potential = entry.potential
    citation, doi = bundled_citations().get(potential.id, (potential.citation, potential.doi))
    stages = (replace(stage, potential=replace(stage.potential, citation=citation, doi=doi)) for stage in entry.stages)
    return replace(entry, potential=replace(potential, citation=citation, doi=doi), stages=tuple(stages))


def _settings_of(folder: Path) -> RunSettings:
    configuration = folder / CONFIGURATION_FILE
    if not configuration.is_file():
        raise ConfigurationError(
            f"{folder} holds no {CONFIGURATION_FILE}",
            expected="the results of a run: its configuration, and records below potentials/",
            next_step="name the folder <results>/<name> of the run; the workflow writes its configuration there",
        )
    return load_settings(configuration)


def _first_of_each(folders: Sequence[Path]) -> dict[str, Path]:
    """Records of all folders by their `_place`; of those with the same one, that of the first folder."""
    found: dict[str, Path] = {}
    for folder in folders:
        records = [path for path in sorted((folder / "potentials").rglob("*.h5")) if result_labels(path)]
        if not records:
            raise ConfigurationError(
                f"{folder} holds no records", expected="files such as potentials/ID/lattice.h5 in it"
            )
        for path in records:
            found.setdefault(_place(path), path)
    return found


def _place(path: Path) -> str:
    """Property and labels of the result that lies there, as one text."""
    return json.dumps(result_labels(path), sort_keys=True)


def _expected(potentials: Iterable[PotentialSummary], folder: Path, settings: RunSettings) -> Iterator[Path]:
    """Results, relative to its folder, that a run should have of the potentials of which it has any.

    Those that it computes for some families only are not among them: which families these are depends on potentials
    of which nothing may be here yet.
    """
    begun = [each for each in potentials if (folder / "potentials" / each.id).is_dir()]
    of_some = {subset.property for subset in settings.subsets}
    of_all = tuple(name for name in settings.properties if name not in of_some)
    narrowed = settings.model_copy(update={"properties": of_all, "subsets": ()})
    run = ResolvedRun(settings=narrowed, base=folder, potentials=tuple(map(_as_potential, begun)))
    yield from (Path(task.output) for task in run.property_tasks())


def _as_potential(summary: PotentialSummary) -> Any:  # noqa: ANN401 - a Potential, without its files
    from glideflow.potentials.record import Potential

    shared = {field.name for field in dataclasses.fields(Potential)} & set(vars(summary))
    return Potential(**{name: getattr(summary, name) for name in shared}, flags=summary.source_flags)


def _transformed(value: R, text: Callable[[str, str], str], array: Callable[[NDArray[Any]], NDArray[Any]]) -> R:
    """A record with a function applied to every text in it (with the name of its field) and one to every array."""

    def changed(name: str, part: Any) -> Any:  # noqa: ANN401 - any field of a record
        if isinstance(part, str):
            return text(name, part)
        if isinstance(part, tuple):
            return tuple(changed(name, member) for member in part)
        if isinstance(part, np.ndarray):
            return array(part)
        return _transformed(part, text, array) if dataclasses.is_dataclass(part) else part

    fields = dataclasses.fields(value)  # type: ignore[arg-type]  # called with records only
    return replace(value, **{field.name: changed(field.name, getattr(value, field.name)) for field in fields})  # type: ignore[type-var]


def _without_paths(name: str, text: str) -> str:
    told = _ABSOLUTE_PATH.sub(lambda match: match["name"], text)
    return told[-LONGEST_EVIDENCE:] if name == "evidence" else told


def _single_precision(array: NDArray[Any]) -> NDArray[Any]:
    long = array.dtype == np.float64 and array.size > DOUBLE_PRECISION_UP_TO
    return array.astype(np.float32) if long else array
