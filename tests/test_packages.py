from __future__ import annotations

import sys
from pathlib import Path

import pytest

from glideflow.errors import DependencyError
from glideflow.packages import refuse_without_torch


def test_a_pytorch_that_does_not_load_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that was built for a CUDA that this machine does not have."""
    for name, says in (
        ("torch", "raise ImportError('libcudart.so.13: cannot open shared object file')"),
        ("safetensors", ""),
    ):
        (tmp_path / f"{name}.py").write_text(says, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DependencyError, match=r"torch does not load: libcudart\.so\.13"):
        refuse_without_torch("mobility")
