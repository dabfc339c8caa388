#!/usr/bin/env bash
# The Python environment of the containers: glideflow with the workflow, every package as envs/lock/default.txt has it.
#
#   containers/python_environment.sh ENVIRONMENT      from the root of the repository; PYTHON=python3.11 to choose one
#
# The lock also holds what developers use. Everything in it is fetched, or built, and compared with its hashes; then
# what glideflow needs to run is installed from these files alone, so that no other version can get in.
set -euo pipefail

LOCK=envs/lock/default.txt
EXTRAS=workflow,nist
environment=${1:?usage: containers/python_environment.sh ENVIRONMENT}
python=${PYTHON:-python3}

"$python" scripts/check_python.py
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT

"$python" -m venv "$environment"
pip=("$environment/bin/python" -m pip --disable-pip-version-check)
"${pip[@]}" wheel --quiet --use-pep517 --require-hashes --no-deps --wheel-dir "$fetched" --requirement "$LOCK"
# Neither an index nor a folder of pip's configuration: only what has just been compared with its hashes.
PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS="$fetched" "${pip[@]}" install --quiet --no-index ".[$EXTRAS]"
"${pip[@]}" check
