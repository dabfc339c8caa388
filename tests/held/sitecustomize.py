"""Holds processes of a test in the middle of their work; Python loads this file where its folder is on PYTHONPATH.

A test that has to meet a process at work must not depend on which of the two is faster: see `Hold` in
``tests/conftest.py``, which sets the variables.
"""

from __future__ import annotations

import functools
import importlib
import os
import time
from pathlib import Path
from typing import Any


def _hold(function: str, calls: int, gate: Path) -> None:
    """Let a process wait after so many calls of ``module:name`` or ``module:Class.name`` while the gate exists."""
    module, _, name = function.partition(":")
    *owners, name = name.split(".")
    owner: Any = functools.reduce(getattr, owners, importlib.import_module(module))
    original = getattr(owner, name)
    done = 0

    @functools.wraps(original)
    def held(*arguments: Any, **keywords: Any) -> Any:
        nonlocal done
        result = original(*arguments, **keywords)
        done += 1
        if done >= calls and gate.exists():
            gate.with_suffix(f".{os.getpid()}").touch()
            while gate.exists():
                time.sleep(0.01)
        return result

    setattr(owner, name, held)


def _be_patient(seconds: float) -> None:
    """Let a command whose engine was ended wait so long for the signal that ends it too."""
    from glideflow.isolation import parent

    parent.SIGNAL_GRACE_S = seconds


if "HOLD_GRACE_S" in os.environ:
    _be_patient(float(os.environ["HOLD_GRACE_S"]))
if "HOLD_AFTER" in os.environ:
    _hold(os.environ["HOLD_AFTER"], int(os.environ["HOLD_CALLS"]), Path(os.environ["HOLD_GATE"]))
