"""Every check of a site in one pass. No check can hang it, and none that breaks keeps the others from being made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from glideflow.config.load import settings_from_mapping
from glideflow.config.run import RunSettings
from glideflow.errors import GlideflowError
from glideflow.progress import Progress, silent
from glideflow.run import ResolvedRun, results_folder, validate_run
from glideflow.site.check import Check, check_of_error, plain
from glideflow.site.code_checks import code_checks
from glideflow.site.engine_checks import engine_checks
from glideflow.site.machine_checks import folder_checks, machine_checks, potential_check
from glideflow.site.profile import Profile, find_profile, read_profile
from glideflow.site.profile_checks import AREA as PROFILE_AREA
from glideflow.site.profile_checks import Demand, profile_checks
from glideflow.site.python_checks import python_checks
from glideflow.site.slurm import SlurmSite, look_at_slurm
from glideflow.site.slurm_checks import slurm_checks

USUAL_PROFILE = "slurm"
COMMAND_LIMIT_S = 15.0
"""Time that a program of the site has for an answer."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What is looked at, and for whom.

    Attributes:
        settings: the configuration that is to be run.
        base: folder in which the workflow would be started.
        profile: profile that will be used; empty if none is named, and Slurm's is then looked at where there is one.
        limit_s: time limit of one probe of LAMMPS; questions to programs have at most `COMMAND_LIMIT_S`.
    """

    settings: RunSettings
    base: Path
    profile: str = ""
    limit_s: float = 60.0

    @property
    def command_limit_s(self) -> float:
        """Time limit of a question to a program."""
        return min(COMMAND_LIMIT_S, self.limit_s)

    @property
    def needs_slurm(self) -> bool:
        """Whether the run goes through Slurm: its profile is named, or its ranks are started by srun."""
        engine = self.settings.engine
        return bool(self.profile) or (engine.mpi_ranks > 1 and Path(engine.mpi_launcher[0]).name == "srun")


def examine(visit: Visit, slurm: SlurmSite, progress: Progress = silent) -> tuple[Check, ...]:
    """Make every check.

    Args:
        visit: what is looked at.
        slurm: what Slurm says of itself, from `look_at`.
        progress: told what is being looked at.

    Raises:
        ConfigurationError: the profile that is named sets values which make no configuration that can be run.
    """
    profile = _profile(visit, slurm)
    if visit.profile and isinstance(profile, Profile):
        visit = replace(visit, settings=in_force(visit.settings, profile))
    run = _resolved(visit)
    resolved = run if isinstance(run, ResolvedRun) else None
    engine = visit.settings.engine
    uses_lammps = resolved is None or any(potential.engine == "lammps" for potential in resolved.potentials)
    elements = sorted({potential.element for potential in resolved.potentials}) if resolved else []
    parts: Mapping[str, Callable[[], Iterable[Check]]] = {
        "Python": lambda: python_checks(visit.base, visit.limit_s),
        "Machine": lambda: machine_checks(engine, cluster=bool(visit.profile)),
        "Potentials": lambda: [potential_check(run)],
        "Folders": lambda: folder_checks(resolved, *_folders(visit)),
        "LAMMPS": lambda: engine_checks(
            engine,
            required=uses_lammps,
            limit_s=visit.limit_s,
            queue=_queue(profile),
            progress=progress,
        ),
        "Slurm": lambda: slurm_checks(slurm, required=visit.needs_slurm),
        PROFILE_AREA: lambda: _of_profile(visit, slurm, profile),
        "Other codes": lambda: code_checks(elements, limit_s=visit.command_limit_s),
    }
    checks: list[Check] = []
    for number, (area, part) in enumerate(parts.items()):
        progress(area, number, len(parts))
        checks += _guarded(area, part)
    return tuple(checks)


def in_force(settings: RunSettings, profile: Profile) -> RunSettings:
    """The configuration with the values that a profile sets, e.g. the MPI launcher of a site.

    Raises:
        ConfigurationError: the values make no configuration that can be run.
    """
    merged = _merged(settings.model_dump(mode="json"), profile.configuration)
    return settings_from_mapping(merged, f"the configuration with what {profile.file} sets")


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping with changes, nested mappings key by key, as Snakemake merges configurations."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def look_at(visit: Visit) -> SlurmSite:
    """Ask Slurm, within the visit's time limit."""
    return look_at_slurm(visit.command_limit_s)


def _guarded(area: str, part: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """The checks of an area; one that breaks is a finding of its own."""
    try:
        yield from part()
    except GlideflowError as error:
        yield check_of_error(error, area=area, name="check", required=True)
    except Exception as error:
        yield Check(
            area=area,
            name="check",
            status="warning",
            found=plain(f"the check itself failed: {type(error).__name__}: {error}"),
            expected="a finding",
            next_step="please report it with this message",
        )


def _resolved(visit: Visit) -> ResolvedRun | GlideflowError:
    try:
        return validate_run(visit.settings, visit.base)
    except GlideflowError as error:
        return error


def _folders(visit: Visit) -> tuple[Path, Path]:
    settings = visit.settings
    return visit.base / results_folder(settings), visit.base / settings.work / settings.name


def _profile(visit: Visit, slurm: SlurmSite) -> Profile | GlideflowError | None:
    """The profile that is named, or the usual one where there is a Slurm."""
    name = visit.profile or (USUAL_PROFILE if slurm.installed else "")
    file = find_profile(name, visit.base) if name else None
    if file is None:
        return None
    try:
        return read_profile(file)
    except GlideflowError as error:
        return error


def _queue(profile: Profile | GlideflowError | None) -> dict[str, str]:
    """Where ``srun`` is to look for nodes, as variables of its environment."""
    if not isinstance(profile, Profile):
        return {}
    names = {"SLURM_PARTITION": "slurm_partition", "SLURM_ACCOUNT": "slurm_account"}
    found = {variable: profile.default_resources.get(key, "") for variable, key in names.items()}
    return {variable: value for variable, value in found.items() if value}


def _of_profile(visit: Visit, slurm: SlurmSite, profile: Profile | GlideflowError | None) -> Iterator[Check]:
    required = bool(visit.profile)
    if isinstance(profile, GlideflowError):
        yield check_of_error(profile, area=PROFILE_AREA, name="file", required=required)
    elif profile is not None and slurm.installed:
        yield from profile_checks(slurm, profile, Demand.of(visit.settings.engine), required=required)
    elif profile is None and required:
        yield Check(
            area=PROFILE_AREA,
            name="file",
            status="missing",
            found=f"there is no profile {plain(visit.profile, 60)}",
            expected="a folder with config.yaml here, or in Snakemake's folder of profiles",
            next_step="write one: glideflow doctor --write-profile DIR",
            required=True,
        )
    else:
        found = "there is no Slurm here" if profile is None else "it cannot be compared: there is no Slurm here"
        yield Check(area=PROFILE_AREA, name="file", status="not applicable", found=found)
