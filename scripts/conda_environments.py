#!/usr/bin/env python3
"""Write the conda environments of the workflow's branches from the extras of pyproject.toml.

    conda_environments.py           write envs/<branch>.yaml and envs/<branch>.post-deploy.sh
    conda_environments.py --check   only say which of them are not current (exit code 1)

The workflow uses them with ``snakemake --sdm conda``. Packages come from pip, as in pyproject.toml, so that both ways
to set up resolve the same requirements; the post-deploy script puts glideflow itself into the environment.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
BRANCHES: Mapping[str, tuple[str, ...]] = {
    "library": ("nep",),
    "mlff": ("mlff",),
    "transfer": ("transfer",),
    "mobility": ("mobility",),
    "genome": ("genome",),
    "dft": ("dft",),
}
"""Extras of each branch, beside the core dependencies."""

COMPILERS: Mapping[str, str] = {"calorine": "cxx-compiler"}
"""What of conda-forge builds the packages that pip gets as source."""

NOTICE = "# Written by scripts/conda_environments.py from pyproject.toml; change that file and run `make environments`."


def environment_files(root: Path) -> dict[Path, str]:
    """Path, relative to the root, and content of every file."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    files: dict[Path, str] = {}
    for branch, extras in BRANCHES.items():
        files[Path("envs", f"{branch}.yaml")] = _environment(branch, project, extras)
        files[Path("envs", f"{branch}.post-deploy.sh")] = _post_deploy()
    return files


def _environment(branch: str, project: Mapping[str, Any], extras: Sequence[str]) -> str:
    optional = project["optional-dependencies"]
    requirements = sorted({*project["dependencies"], *(item for extra in extras for item in optional[extra])})
    lines = [
        NOTICE,
        f"name: glideflow-{branch}",
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        f"  - python {project['requires-python']}",
        *(
            f"  - {compiler}"
            for compiler in sorted({COMPILERS[name] for name in COMPILERS if _among(name, requirements)})
        ),
        "  - pip",
        "  - pip:",
        *(f"      - {requirement}" for requirement in requirements),
    ]
    return "\n".join(lines) + "\n"


def _among(name: str, requirements: Sequence[str]) -> bool:
    return any(Requirement(text).name == name for text in requirements)


def _post_deploy() -> str:
    # Snakemake runs it with the interpreter of its first line, in the folder where the workflow was started.
    return f"#!/bin/bash\n{NOTICE}\nset -euo pipefail\npip install --no-deps .\n"


def outdated(root: Path) -> Iterator[Path]:
    """Files that are missing or not what pyproject.toml gives."""
    for path, content in environment_files(root).items():
        file = root / path
        if not file.is_file() or file.read_text(encoding="utf-8") != content:
            yield path


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description="conda environments from the extras of pyproject.toml")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a file is not current")
    options = parser.parse_args(arguments)
    paths = list(outdated(ROOT))
    for path in paths:
        if options.check:
            print(f"{path} is not current; run `make environments`", file=sys.stderr)
        else:
            (ROOT / path).write_text(environment_files(ROOT)[path], encoding="utf-8")
            print(path)
    return 1 if options.check and paths else 0


if __name__ == "__main__":
    sys.exit(main())
