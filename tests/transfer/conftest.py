"""Tests of networks need PyTorch, which a machine without its CPU build lacks: they are left out there, never in CI."""

from __future__ import annotations

import importlib.util
import os

NEED_TORCH = [
    "test_ensemble.py",
    "test_network.py",
    "test_network_artifacts.py",
    "test_resnet.py",
    "test_train_command.py",
    "test_training.py",
]

collect_ignore = [] if importlib.util.find_spec("torch") or os.environ.get("CI") else NEED_TORCH
