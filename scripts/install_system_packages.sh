#!/usr/bin/env bash
# System packages that wheels from PyPI need but do not bring: libEGL and libGL for OVITO.
#
# Checks first whether the shared libraries can be loaded, and does nothing if so. Installs with apt-get only what is
# missing and only where that is permitted (root, or sudo without a password). Otherwise it says what to run and ends
# with success: everything that does not need OVITO works without them.
#
#   scripts/install_system_packages.sh           check, install where permitted
#   scripts/install_system_packages.sh --check   only check; exit code 1 if something is missing
set -euo pipefail

# shared library -> Debian and Ubuntu package
declare -A package_of=([libEGL.so.1]=libegl1 [libGL.so.1]=libgl1)
python=${PYTHON:-python3}

missing_packages() {
    local library
    for library in "${!package_of[@]}"; do
        if ! "$python" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$library" 2> /dev/null; then
            echo "${package_of[$library]}"
        fi
    done | sort
}

run_as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo --non-interactive "$@"
    fi
}

may_become_root() {
    [ "$(id -u)" -eq 0 ] || { command -v sudo > /dev/null && sudo --non-interactive true 2> /dev/null; }
}

report_missing() {
    {
        echo "System packages are missing: $*"
        echo "  needed by: OVITO (dislocation analysis, the check of the dislocation builders in the tests)"
        echo "  next step: sudo apt-get install $*      (Debian, Ubuntu; elsewhere the packages with $(printf '%s ' "${!package_of[@]}"))"
        echo "  going on without them: what needs OVITO is skipped"
    } >&2
}

mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -eq 0 ]; then
    exit 0
fi
if [ "${1:-}" = "--check" ]; then
    report_missing "${missing[@]}"
    exit 1
fi
if ! command -v apt-get > /dev/null || ! may_become_root; then
    report_missing "${missing[@]}"
    exit 0
fi
echo "Installing system packages: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install --yes --no-install-recommends "${missing[@]}")
# The package lists of a fresh machine may be empty or old.
if ! run_as_root "${install[@]}" > /dev/null 2>&1; then
    run_as_root apt-get update > /dev/null || true
    run_as_root "${install[@]}" > /dev/null || true
fi
mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -gt 0 ]; then
    report_missing "${missing[@]}"
fi
