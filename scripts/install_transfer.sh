#!/usr/bin/env bash
# Put what the branches `transfer` and `mobility` need, PyTorch's CPU build among it, into the environment of an interpreter.
#
#   PYTHON=.venv/bin/python scripts/install_transfer.sh
#
# The CPU build of PyTorch is not on the general package index. It is looked for where pip is configured to look, then at
# PyTorch's own index (TORCH_INDEX, empty for none). A machine that finds it at neither goes on without these branches.
# Whatever comes has to have the SHA-256 of the lock file. An installed PyTorch of the same version is left alone, whatever
# its build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-.venv/bin/python}
lock=envs/lock/transfer.txt
torch_index=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}

is_complete() {
    "$python" - "$lock" <<'PROGRAM'
import re
import sys
from importlib import metadata
from pathlib import Path


def differs(name: str, version: str) -> bool:
    try:
        return metadata.version(name).partition("+")[0] != version.partition("+")[0]
    except metadata.PackageNotFoundError:
        return True


locked = re.findall(r"^([\w.-]+)==([^ ;\\]+)", Path(sys.argv[1]).read_text(encoding="utf-8"), re.MULTILINE)
sys.exit(any(differs(name, version) for name, version in locked))
PROGRAM
}

install() {
    "$python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$lock" "$@" 2>&1
}

if is_complete; then
    exit 0
fi
if answer=$(install); then
    exit 0
fi
# Few retries: on a machine without a way out each of them waits for nothing.
if [ -n "$torch_index" ] && answer=$(install --extra-index-url "$torch_index" --retries 1 --timeout 15); then
    exit 0
fi
cat >&2 <<MESSAGE
Going on without the branches \`transfer\` and \`mobility\`: $(grep -m 1 ERROR <<< "$answer" || tail -n 1 <<< "$answer")
  expected: the CPU build of PyTorch that $lock names
  next step: tell pip an index or a folder that has it (pip config set global.find-links DIR), then make setup TORCH=cpu
MESSAGE
