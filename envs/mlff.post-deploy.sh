#!/bin/bash
# Written by scripts/conda_environments.py from pyproject.toml; change that file and run `make environments`.
set -euo pipefail
pip install --no-deps .
