#!/usr/bin/env python3
"""Regenerate the lock files in envs/lock from pyproject.toml: ``make lock``, or ``make lock UPGRADE=1``.

default.txt     what `make setup` installs: core, workflow, nist, dev and bench, for Linux, Python 3.11 and later
nep.txt         neuroevolution potentials, which `make setup` compiles where it can
torch-cpu.txt   the branches that need PyTorch, with its CPU build (`make setup TORCH=cpu`)
transfer.txt    of these `transfer` and `mobility`, which `make setup` installs where the CPU build is to be had
torch-cuda.txt  the same with the CUDA build of the package index (`make setup TORCH=cuda`)

Versions already locked are kept unless --upgrade is given. Indexes and folders of wheels are never written into a
lock; they come from the configuration of pip, which uv does not read by itself, or from uv's own UV_... variables.
The CPU build of PyTorch is not on the general package index: give pip or uv the index or folder that holds it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = Path("envs/lock")
TORCH_EXTRAS = ("mlff", "transfer", "mobility", "genome")
TORCH_VERSION = "2.13.0"
# What pip's configuration is called in uv's environment.
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "find-links": "UV_FIND_LINKS"}


@dataclass(frozen=True)
class Lock:
    """One lock file.

    Attributes:
        name: file in envs/lock.
        extras: optional dependencies of pyproject.toml that it covers, beside the core.
        platform: arguments of uv that say for which machines it holds.
        constraints: locks whose versions it must repeat.
        overrides: requirements that replace those of pyproject.toml.
        local_wheels: whether the folders of wheels that pip knows are searched too.
    """

    name: str
    extras: tuple[str, ...]
    platform: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    local_wheels: bool = False


ANY_LINUX = ("--universal", "--python-version", "3.11")
# Wheels of PyTorch differ between platforms; glibc 2.34 is what OVITO's ask for.
ONE_LINUX = ("--python-platform", "x86_64-manylinux_2_34", "--python-version", "3.11")
ALL_LOCKS = (
    Lock("default.txt", extras=("workflow", "nist", "dev", "bench"), platform=ANY_LINUX),
    Lock("nep.txt", extras=("nep",), platform=ANY_LINUX, constraints=("default.txt",)),
    Lock(
        "torch-cpu.txt",
        extras=TORCH_EXTRAS,
        platform=ONE_LINUX,
        constraints=("default.txt",),
        overrides=(f"torch=={TORCH_VERSION}+cpu",),
        local_wheels=True,
    ),
    Lock(
        "transfer.txt",
        extras=("transfer", "mobility"),
        platform=ONE_LINUX,
        constraints=("default.txt", "torch-cpu.txt"),
        overrides=(f"torch=={TORCH_VERSION}+cpu",),
        local_wheels=True,
    ),
    Lock("torch-cuda.txt", extras=TORCH_EXTRAS, platform=ONE_LINUX, constraints=("default.txt",)),
)


def command(lock: Lock, uv: str, overrides: Path, *, upgrade: bool) -> list[str]:
    """Command line that compiles one lock; run it in the root of the repository."""
    arguments = [uv, "pip", "compile", "--quiet", "pyproject.toml", "--output-file", str(LOCKS / lock.name)]
    arguments += ["--generate-hashes", "--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
    arguments += lock.platform
    arguments += [argument for extra in lock.extras for argument in ("--extra", extra)]
    arguments += [argument for name in lock.constraints for argument in ("--constraint", str(LOCKS / name))]
    if lock.overrides:
        arguments += ["--override", str(overrides)]
    return [*arguments, "--upgrade"] if upgrade else arguments


def pip_settings(*, local_wheels: bool) -> dict[str, str]:
    """Pip's index and folders of wheels, named as uv reads them from its environment."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=False, capture_output=True, text=True
    ).stdout
    found = dict(_settings(listing))
    if not local_wheels:
        found.pop("UV_FIND_LINKS", None)
    return found


def _settings(listing: str) -> Iterator[tuple[str, str]]:
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        name = PIP_TO_UV.get(key.rpartition(".")[2])
        if name:
            yield name, ",".join(value.strip("'\"").split())


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile every lock in turn; the exit code is that of the first that fails."""
    parser = argparse.ArgumentParser(description="regenerate the lock files in envs/lock")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that pyproject.toml admits")
    options = parser.parse_args(arguments)
    uv = Path(sys.executable).with_name("uv")
    for lock in ALL_LOCKS:
        with tempfile.TemporaryDirectory() as folder:
            overrides = Path(folder, "overrides.txt")
            overrides.write_text("\n".join(lock.overrides) + "\n")
            environment = pip_settings(local_wheels=lock.local_wheels) | dict(os.environ)
            run = subprocess.run(
                command(lock, str(uv), overrides, upgrade=options.upgrade), cwd=ROOT, env=environment, check=False
            )
        if run.returncode:
            print(f"{lock.name} was not written; see the message above", file=sys.stderr)
            return run.returncode
        print(LOCKS / lock.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
