"""Electronic-structure and molecular-dynamics codes of the site that later branches call, where they are named."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from glideflow.site.ask import ask
from glideflow.site.check import Check, Status, plain

AREA = "Other codes"

POTCAR_FUNCTIONALS = (
    *("POT_PAW_PBE_64", "POT_PAW_PBE_54", "POT_PAW_PBE_52", "POT_GGA_PAW_PBE", "POT_PAW_PBE"),
    *("potpaw_PBE.64", "potpaw_PBE.54", "potpaw_PBE.52", "potpaw_PBE", ""),
)
"""Folders of projector-augmented-wave data sets below the one that is configured: pymatgen's names, then VASP's own."""


@dataclass(frozen=True, kw_only=True)
class Code:
    """A program that is found by an environment variable, else by its name on the PATH.

    Attributes:
        name: what it is called.
        variables: environment variables that hold its command.
        programs: names of its executables, any of which will do.
    """

    name: str
    variables: tuple[str, ...]
    programs: tuple[str, ...]


VASP = Code(
    name="VASP",
    variables=("VASP_COMMAND", "ASE_VASP_COMMAND", "PMG_VASP_EXE"),
    programs=("vasp_std", "vasp", "vasp_gpu"),
)
GPUMD = Code(name="GPUMD", variables=("GPUMD_COMMAND",), programs=("gpumd",))


def code_checks(elements: Sequence[str], *, limit_s: float) -> Iterator[Check]:
    """What there is of VASP, its data sets, GPUMD, GPAW and calorine.

    The library branch needs none of them but calorine, and that for neuroevolution potentials only.

    Args:
        elements: chemical symbols of the run, whose data sets are looked for.
        limit_s: time limit of each question.
    """
    yield _vasp()
    yield _potcars(elements)
    yield _gpumd(limit_s)
    yield _gpaw(limit_s)
    yield _calorine()


def find_command(code: Code, environment: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Where a code's command is named, and the command as words; empty if it is not configured."""
    for variable in code.variables:
        if environment.get(variable, "").strip():
            try:
                return variable, tuple(shlex.split(environment[variable]))
            except ValueError:  # an open quote
                return variable, (environment[variable],)
    for program in code.programs:
        if shutil.which(program):
            return "the PATH", (program,)
    return "", ()


def _not_configured(code: Code) -> Check:
    found = f"not configured: {' and '.join(code.variables)} not set, no {' or '.join(code.programs)} on the PATH"
    return Check(area=AREA, name=code.name, status="not applicable", found=found)


def _absent(code: Code, where: str, words: Sequence[str], absent: str) -> Check:
    return Check(
        area=AREA,
        name=code.name,
        status="missing",
        found=f"{where} says {plain(shlex.join(words), 120)}, but there is no program {plain(absent, 60)}",
        expected="a command whose programs exist, e.g. srun vasp_std",
        next_step=f"correct {where}, or load the module of {code.name}",
    )


def _programs(words: Sequence[str], code: Code) -> Iterator[str]:
    """The words of a command that must be programs: the first (perhaps a launcher), and the code's own."""
    yield words[0]
    yield from (word for word in words[1:] if Path(word).name in code.programs)


def _vasp() -> Check:
    where, words = find_command(VASP, os.environ)
    if not words:
        return _not_configured(VASP)
    for program in _programs(words, VASP):
        if shutil.which(program) is None:
            return _absent(VASP, where, words, program)
    # It has no option that only says its version, and starting it costs a licence's good will and a node.
    return Check(area=AREA, name="VASP", status="ok", found=f"{plain(shlex.join(words), 120)} ({where}); not started")


def _potcars(elements: Sequence[str]) -> Check:
    name = "POTCAR files"
    where, folder = potcar_folder(os.environ)
    if folder is None:
        found = "not configured: neither PMG_VASP_PSP_DIR nor VASP_PP_PATH is set, and pymatgen's settings name none"
        return Check(area=AREA, name=name, status="not applicable", found=found)
    if not (folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)):
        return Check(
            area=AREA,
            name=name,
            status="missing",
            found=f"{where} names {plain(str(folder), 120)}, which is no folder that can be read",
            expected="the folder of the licensed data sets",
            next_step=f"correct {where}, or ask who may give you access",
        )
    lacking = [element for element in elements if not has_potcar(folder, element)]
    status: Status = "warning" if lacking else "ok"
    return Check(
        area=AREA,
        name=name,
        status=status,
        found=f"{plain(str(folder), 120)} ({where}): {len(elements) - len(lacking)} of {len(elements)} elements",
        expected=f"data sets of {', '.join(lacking)} too" if lacking else "",
        next_step=f"look for one of {', '.join(POTCAR_FUNCTIONALS[:4])} below it" if lacking else "",
    )


def potcar_folder(environment: Mapping[str, str]) -> tuple[str, Path | None]:
    """Where the folder of VASP's data sets is named, and the folder: for pymatgen, then for ASE."""
    for variable in ("PMG_VASP_PSP_DIR", "VASP_PP_PATH"):
        if environment.get(variable, "").strip():
            return variable, Path(environment[variable]).expanduser()
    for file in (Path("~/.config/.pmgrc.yaml").expanduser(), Path("~/.pmgrc.yaml").expanduser()):
        try:
            settings = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError):
            continue
        if isinstance(settings, dict) and settings.get("PMG_VASP_PSP_DIR"):
            return str(file), Path(str(settings["PMG_VASP_PSP_DIR"])).expanduser()
    return "", None


def has_potcar(folder: Path, element: str) -> bool:
    """Whether there is a data set of an element in one of the usual arrangements."""
    names = [f"POTCAR.{element}.gz", f"POTCAR.{element}", f"{element}/POTCAR", f"{element}/POTCAR.gz"]
    names += [f"{element}_{kind}/POTCAR" for kind in ("pv", "sv", "d")]
    return any((folder / functional / name).is_file() for functional in POTCAR_FUNCTIONALS for name in names)


def _gpumd(limit_s: float) -> Check:
    where, words = find_command(GPUMD, os.environ)
    if not words:
        return _not_configured(GPUMD)
    for program in _programs(words, GPUMD):
        if shutil.which(program) is None:
            return _absent(GPUMD, where, words, program)
    with tempfile.TemporaryDirectory(prefix="glideflow-doctor-") as empty:
        answer = ask(*words, limit_s=limit_s, folder=Path(empty))  # says its version, then that there is no input
    version = re.search(r"(?i)version\s+([0-9][\w.]*)", answer.text)
    told = f"version {version.group(1)}" if version else f"does not say its version: {answer.described}"
    return Check(
        area=AREA,
        name="GPUMD",
        status="ok" if version else "warning",
        found=f"{plain(shlex.join(words), 120)} ({where}), {told}",
        expected="" if version else "a program that says its version and asks for its input",
        next_step="" if version else "try it by hand; on a login node without a GPU it may not start",
    )


def _gpaw(limit_s: float) -> Check:
    if importlib.util.find_spec("gpaw") is None:
        found = "not configured: the Python package gpaw is not in this environment"
        return Check(area=AREA, name="GPAW", status="not applicable", found=found)
    answer = ask("gpaw", "info", limit_s=limit_s)
    setups = re.search(r"(?im)^.*setups.*$", answer.text)
    return Check(
        area=AREA,
        name="GPAW",
        status="ok" if answer.good else "warning",
        found=plain(f"gpaw info answers{f': {setups.group()}' if setups else ''}") if answer.good else answer.described,
        expected="" if answer.good else "gpaw info, with its libraries and data sets",
        next_step="" if answer.good else "pip install gpaw gpaw-data, and see the DFT page of the documentation",
    )


def _calorine() -> Check:
    from glideflow.engines.nep import NepEngine, calorine_is_installed

    if not calorine_is_installed():
        found = 'not installed: neuroevolution potentials are left out; pip install "glideflow[nep]" compiles it'
        return Check(area=AREA, name="calorine", status="not applicable", found=found)
    return Check(area=AREA, name="calorine", status="ok", found=f"{NepEngine().version}: neuroevolution potentials")
