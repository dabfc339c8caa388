"""Stand-ins for the programs of a site: test doubles, put on a PATH that holds nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

SINFO = """\
cpu*|up|2-00:00:00|120|64|257000|(null)|mixed
cpu*|up|2-00:00:00|8|64|257000|(null)|drained*
cpu*|up|2-00:00:00|4|128|1031000|(null)|idle~
gpu|up|1-00:00:00|10|64|515000|gpu:a100:4(S:0-1)|idle
long|up|infinite|30|64|257000|(null)|allocated
broken|down|12:00:00|4|32|128000|(null)|idle
"""
CONFIG = """\
Configuration data as of 2024-05-01T12:00:00
AccountingStorageType   = accounting_storage/slurmdbd
AccountingStorageEnforce = associations,limits
ClusterName             = atlas
MinJobAge               = 300 sec
"""
ANSWERS = {
    "sinfo": f"""
case "$*" in
  *--version*) echo "slurm 23.11.4" ;;
  *) cat <<'END'
{SINFO}END
  ;;
esac
""",
    "squeue": "printf '17|RUNNING\\n18|PENDING\\n'",
    "sacct": "echo '17|COMPLETED'",
    "scontrol": f"cat <<'END'\n{CONFIG}END",
    "sacctmgr": """
case "$*" in
  *associations*) printf 'materials|\\nmaterials|cpu\\nteaching|\\n' ;;
  *qos*) printf 'normal|400\\nlow|\\nshort|150\\n' ;;
  *) echo materials ;;
esac
""",
    "srun": "printf 'MPI plugin types are...\\n\\tnone\\n\\tpmi2\\n\\tpmix\\n' >&2",
    "sbatch": "echo 'this stand-in submits nothing' >&2; exit 1",
}
"""What the programs of a healthy cluster say; the formats are those of Slurm 22.05 and 23.11."""

MakeProgram = Callable[[str, str], Path]


@pytest.fixture
def make_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeProgram:
    """Function that puts a shell script under a name on the PATH, on which nothing else is then found."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return lambda name, script: _write_program(folder / name, script)


@pytest.fixture
def make_program_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeProgram:
    """The same, before everything else on the PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return lambda name, script: _write_program(folder / name, script)


def _write_program(file: Path, script: str) -> Path:
    file.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n", encoding="utf-8")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


@pytest.fixture
def cluster(make_program: MakeProgram) -> MakeProgram:
    """The programs of a healthy cluster; the function replaces single ones."""
    for name, script in ANSWERS.items():
        make_program(name, script)
    return make_program


@pytest.fixture(scope="session")
def sinfo() -> str:
    """What ``sinfo`` says of the healthy cluster."""
    return SINFO


@pytest.fixture(autouse=True)
def _no_codes_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine's user has configured is no part of a test."""
    for name in list(os.environ):
        if name.startswith(("VASP_", "ASE_VASP", "PMG_", "GPUMD_", "SLURM_")):
            monkeypatch.delenv(name)
