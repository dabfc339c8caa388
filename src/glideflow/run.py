"""A run before it starts: settings and potentials checked together, and the list of its tasks with their files.

The workflow, ``glideflow plan`` and ``glideflow config check`` all read this; nothing here loads an engine.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

from pydantic import BaseModel

from glideflow.code_digest import code_digest
from glideflow.config.run import RunSettings
from glideflow.config.slip_systems import SlipSystemSettings
from glideflow.config.subsets import SubsetSettings
from glideflow.errors import ConfigurationError
from glideflow.potentials.record import EngineKind, Potential, verify_files
from glideflow.property_specs import PROPERTIES, Property, PropertySpec, with_needs
from glideflow.result_files import RESULT_FILES as RESULT_FILES  # part of what a run is

JoiningRule = Literal["library", "report", "site"]
Rule = Property | JoiningRule

# Results of steps that join, relative to ``<results>/<name>``.
CONFIGURATION_FILE = "config.yaml"
LIBRARY_FILE = "library.h5"
TABLE_FILE = "library.csv"
REPORT_FILE = "report.html"
SITE_FILE = "site/index.html"
SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:-]*")

# Without the name of the package: a full name in a string is a reference to code_digest, and whatever imports this
# module would depend on all of them.
ENGINE_MODULES: dict[EngineKind, str] = {
    "lammps": "engines.lammps",
    "nep": "engines.nep",
    "ase": "engines.ase_calculator",
}
"""Module of the adapter that evaluates potentials of each kind."""

JOINING_MODULES: dict[JoiningRule, str] = {
    "library": "library",
    "report": "reporting.report",
    "site": "reporting.website.site",
}
"""Module that does the work of each rule that joins results."""

DECIDING_ENGINE_KEYS = ("accelerator",)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One job of the workflow: a property of one potential, or a step that joins the results.

    Attributes:
        rule: rule of the workflow.
        potential: id of the potential; empty for steps that join results.
        slip_system: name of the slip system, where the property has one.
        character: dislocation character, where the property has one.
        output: path of the result, relative to the folder of the run's results.
        inputs: outputs of other tasks that it reads.
    """

    rule: Rule
    output: str
    inputs: tuple[str, ...] = ()
    potential: str = ""
    slip_system: str = ""
    character: str = ""

    @property
    def benchmark(self) -> str:
        """Path of the task's time and memory measurement, relative to the folder of the run's results."""
        return f"benchmarks/{self._own_path}.tsv"

    @property
    def log(self) -> str:
        """Path of what the task's command says, relative to the folder of the run's results."""
        return f"logs/{self._own_path}.log"

    @property
    def _own_path(self) -> str:
        return "/".join(filter(None, (self.rule, self.potential, self.slip_system, self.character)))


@dataclass(frozen=True, kw_only=True)
class ResolvedRun:
    """Settings that can be run, with the potentials that they select.

    Attributes:
        settings: the validated configuration.
        base: folder against which its relative paths are taken.
        potentials: selected potentials, their files present and verified.
    """

    settings: RunSettings
    base: Path
    potentials: tuple[Potential, ...]

    @property
    def results(self) -> str:
        """Folder of the results as the configuration writes it: ``<results>/<name>``."""
        return results_folder(self.settings)

    @property
    def work(self) -> str:
        """Folder of partial results as the configuration writes it: ``<work>/<name>``."""
        return f"{self.settings.work.rstrip('/')}/{self.settings.name}"

    @property
    def properties(self) -> tuple[Property, ...]:
        """Properties that are computed: those asked for and what they need, in the order of their dependence."""
        return with_needs(self.settings.properties)

    def potential(self, identifier: str) -> Potential:
        """Potential of this id.

        Raises:
            KeyError: the run has none of this id.
        """
        return self._potential_of_id[identifier]

    @cached_property
    def _potential_of_id(self) -> dict[str, Potential]:
        """Every job of a workflow looks its potential up several times: a search would be quadratic in their number."""
        return {potential.id: potential for potential in self.potentials}

    def _computed_for(self, name: Property) -> Collection[str]:
        """Ids of the potentials for which a property is computed, beside those that need it for another one."""
        return self._subsets.get(name, self._potential_of_id)

    @cached_property
    def _subsets(self) -> dict[Property, frozenset[str]]:
        return {subset.property: subset_of(self.potentials, subset) for subset in self.settings.subsets}

    def slip_systems(self, potential: Potential) -> tuple[SlipSystemSettings, ...]:
        """Slip systems that apply to a potential: those of its structure."""
        return tuple(system for system in self.settings.slip_systems if system.structure == potential.structure)

    def property_tasks(self) -> tuple[Task, ...]:
        """One task per result file of every potential, in the order of the potentials and of dependence."""
        return tuple(task for potential in self.potentials for task in self._tasks_of(potential))

    def tasks(self) -> tuple[Task, ...]:
        """Every task of the run, in an order in which it could be executed."""
        properties = self.property_tasks()
        return (
            *properties,
            Task(rule="library", output=LIBRARY_FILE, inputs=tuple(task.output for task in properties)),
            Task(rule="report", output=REPORT_FILE, inputs=(LIBRARY_FILE,)),
            Task(rule="site", output=SITE_FILE, inputs=(LIBRARY_FILE,)),
        )

    def _tasks_of(self, potential: Potential) -> Iterator[Task]:
        wanted = (name for name in self.settings.properties if potential.id in self._computed_for(name))
        for name in with_needs(tuple(wanted)):
            for labels in self._labels(PROPERTIES[name], potential):
                yield property_task(name, potential.id, **labels)

    def _labels(self, spec: PropertySpec, potential: Potential) -> Iterator[dict[str, str]]:
        if "slip_system" not in spec.labels:
            yield {}
            return
        for system in self.slip_systems(potential):
            for character in characters(system) if "character" in spec.labels else ("",):
                yield {"slip_system": system.name, "character": character}


def subset_of(potentials: Iterable[Potential], subset: SubsetSettings) -> frozenset[str]:
    """Ids of the potentials for which a property of a subset is computed."""
    chosen = [each for each in potentials if not subset.elements or each.element in subset.elements]
    if subset.families_per_metal:
        return first_of_families(chosen, subset.families_per_metal)
    return frozenset(each.id for each in chosen)


def first_of_families(potentials: Iterable[Potential], families_per_metal: int) -> frozenset[str]:
    """Ids of one potential of each of the first families of every metal; see `SubsetSettings.families_per_metal`."""
    metals: dict[tuple[str, str], dict[str, Potential]] = defaultdict(dict)
    for potential in sorted(potentials, key=lambda each: (not each.family_primary, each.id)):
        metals[potential.element, potential.structure].setdefault(potential.family or potential.id, potential)
    return frozenset(
        families[name].id for families in metals.values() for name in sorted(families)[:families_per_metal]
    )


def characters(system: SlipSystemSettings) -> tuple[str, ...]:
    """Dislocation characters that are computed on a slip system."""
    return system.characters


def property_task(name: Property, potential: str, *, slip_system: str = "", character: str = "") -> Task:
    """The task that computes a property of a potential, with its files.

    Args:
        name: the property.
        potential: id of the potential.
        slip_system: name of the slip system, where the property has one.
        character: dislocation character, where the property has one.
    """
    labels = {"potential": potential, "slip_system": slip_system, "character": character}
    needed = tuple(RESULT_FILES[each].format(**labels) for each in PROPERTIES[name].needs)
    return Task(rule=name, output=RESULT_FILES[name].format(**labels), inputs=needed, **labels)


def results_folder(settings: RunSettings) -> str:
    """Folder of the results as the configuration writes it: ``<results>/<name>``."""
    return f"{settings.results.rstrip('/')}/{settings.name}"


def validate_run(settings: RunSettings, base: Path, *, verify: bool = True) -> ResolvedRun:
    """Resolve the potentials that the settings select and check everything that can fail before the first job.

    Args:
        settings: validated configuration.
        base: folder against which relative paths of sources are taken.
        verify: also compare the SHA-256 of every parameter file with what its source states.

    Raises:
        ConfigurationError: nothing is selected, ids collide as file names, or a structure has no slip system.
        PotentialError: a source or a parameter file is missing or altered.
    """
    from glideflow.potentials.select import resolve

    potentials = tuple(resolve(settings.potentials, base))
    run = ResolvedRun(settings=settings, base=base, potentials=potentials)
    _check_ids(potentials)
    _check_slip_systems(run)
    for potential in potentials if verify else ():
        verify_files(potential)
    return run


def _check_ids(potentials: tuple[Potential, ...]) -> None:
    if not potentials:
        raise ConfigurationError(
            "potentials.select: no potential of the sources matches",
            expected="at least one potential",
            next_step="widen the selection or add a source; `glideflow potentials list` shows what there is",
        )
    for potential in potentials:
        if not SAFE_ID.fullmatch(potential.id):
            raise ConfigurationError(
                f"the id {potential.id!r} of {potential.source or 'a source'} cannot be a file name",
                expected="letters, digits and . _ + : - after a letter or digit",
                next_step="rename it in the manifest of its source, or exclude it",
            )
    counts = Counter(potential.id.lower() for potential in potentials)
    collisions = sorted(potential.id for potential in potentials if counts[potential.id.lower()] > 1)
    if collisions:
        raise ConfigurationError(
            f"the results of {', '.join(collisions)} would lie in the same folder on some file systems",
            expected="ids that differ by more than upper and lower case",
            next_step="exclude all but one, or rename them in the manifest of their source",
        )


def _check_slip_systems(run: ResolvedRun) -> None:
    wanting = [name for name in run.properties if "slip_system" in PROPERTIES[name].labels]
    missing = sorted({potential.structure for potential in run.potentials if not run.slip_systems(potential)})
    if wanting and missing:
        raise ConfigurationError(
            f"slip_systems: none for {', '.join(missing)}, though {', '.join(wanting)} is asked for",
            expected="at least one slip system for each structure that is selected",
            next_step="add one, or restrict potentials.select.structures",
        )


def settings_digest(settings: RunSettings, rule: Rule, *, slip_system: str = "") -> str:
    """Digest of the settings on which the results of a rule depend, so that a change reruns exactly these.

    Args:
        settings: configuration of the run.
        rule: rule of the workflow; those that join results state, and so depend on, everything.
        slip_system: name of the slip system, where the rule has one.
    """
    if rule in JOINING_MODULES:
        return _digest(settings.model_dump(mode="json"))
    sections = PROPERTIES[cast("Property", rule)].sections
    deciding: dict[str, object] = {key: _plain(getattr(settings, key)) for key in sections}
    deciding["engine"] = {key: getattr(settings.engine, key) for key in DECIDING_ENGINE_KEYS}
    if slip_system:
        # Which characters are computed decides the jobs, not their results.
        chosen = (system for system in settings.slip_systems if system.name == slip_system)
        deciding["slip_system"] = [system.model_dump(mode="json", exclude={"characters"}) for system in chosen]
    return _digest(deciding)


def rule_code(rule: Rule, potential: Potential | None = None) -> str:
    """Digest of the code behind a rule: of the property and of the engine's adapter, or of the step that joins.

    Args:
        rule: rule of the workflow.
        potential: the potential, for rules that compute a property of one.
    """
    modules = [_rule_module(rule)]
    if potential is not None:
        modules.append(ENGINE_MODULES[potential.engine])
    return code_digest(*(f"glideflow.{module}" for module in modules))


def _rule_module(rule: Rule) -> str:
    joining = JOINING_MODULES.get(cast("JoiningRule", rule))
    return joining if joining is not None else PROPERTIES[cast("Property", rule)].module


def _plain(value: object) -> object:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
