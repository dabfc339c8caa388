"""doctor on a real Slurm: what it sees, the profile that it writes, and two ranks started by srun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from conftest import SlurmProject

pytestmark = pytest.mark.slurm

RUN = """
name: doctor
potentials:
  select:
    ids: [Cu_2001Mishin_Cu_eam-alloy_v2]
engine:
  mpi_ranks: 2
  time_limit_s: 600
  memory_limit_gib: 1
"""


def doctor(project: SlurmProject, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "glideflow", "doctor", "--config", "run.yaml", "--time-limit", "300", *arguments],
        cwd=project.root,
        env=os.environ | {"PYTHONPATH": str(project.root / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


def test_doctor_writes_a_profile_that_fits_and_runs_two_ranks_through_srun(
    make_slurm_project: Callable[[str], SlurmProject],
) -> None:
    project = make_slurm_project(RUN)
    written = doctor(project, "--write-profile", "written")
    assert written.returncode == 0, written.stderr
    keys = yaml.safe_load((project.root / "written/config.yaml").read_text())
    assert keys["slurm-status-command"] == "squeue"
    assert keys["default-resources"]["slurm_partition"] == "cpu"
    assert "slurm_account" not in keys["default-resources"]
    examined = doctor(project, "--profile", "written", "--json")
    found: dict[str, Any] = json.loads(examined.stdout)
    assert [check for check in found["checks"] if check["blocking"]] == []
    assert examined.returncode == 0
    checks = {(check["area"], check["name"]): check for check in found["checks"]}
    assert checks["Slurm", "partition gpu"]["status"] == "ok"
    assert checks["Slurm", "accounting"]["status"] == "warning"
    assert checks["LAMMPS", "MPI launcher"]["found"].startswith("srun --mpi=pmi2 -n 2: 2 ranks")


@pytest.mark.slow
def test_doctor_sees_that_the_shipped_profile_does_not_fit_this_site(
    make_slurm_project: Callable[[str], SlurmProject],
) -> None:
    project = make_slurm_project(RUN)
    profile = project.root / "profiles/slurm/config.yaml"
    profile.write_text(profile.read_text().replace('"cpu"', '"compute"').replace("squeue", "sacct"))
    examined = doctor(project, "--profile", "slurm", "--json")
    assert examined.returncode == 1
    blocking = {check["name"] for check in json.loads(examined.stdout)["checks"] if check["blocking"]}
    assert {"partition", "status command"} <= blocking
