from __future__ import annotations

import ast
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from glideflow.code_digest import PACKAGE_FOLDER, _parsed, closure_digest, code_digest, import_closure

FILES = {
    "__init__.py": '"""A package."""\n__version__ = "1"\n',
    "physics.py": '''
"""Physics."""
from __future__ import annotations
from typing import TYPE_CHECKING
from . import engines
from .records import Record
if TYPE_CHECKING:
    from pkg.unrelated import Nothing

def compute(x: float) -> Record:
    """Compute."""
    from pkg.lazy import helper
    return Record(helper(x))  # a comment
''',
    "records.py": """
from pkg.deep.constants import FACTOR
class Record:
    '''A record.'''
    field = FACTOR
    '''A field.'''
""",
    "lazy.py": "def helper(x):\n    return 2 * x\n",
    "unrelated.py": "Nothing = None\n",
    "deep/__init__.py": "",
    "deep/constants.py": "FACTOR = 3\n",
    "engines/__init__.py": 'ADAPTERS = {"fast": "pkg.engines.fast:Fast"}\n',
    "engines/fast.py": 'class Fast:\n    table = "numbers.yaml"\n    pages = "templates"\n',
    "engines/unused.py": "class Unused: ...\n",
    "engines/templates/page.html": "<p>",
    "data/numbers.yaml": "a: 1\n",
    "data/other.yaml": "a: 1\n",
}
Digest = Callable[..., str]
copies = itertools.count()


@pytest.fixture
def digest(tmp_path: Path) -> Digest:
    """Digest of ``pkg.physics`` after replacing text in files; each call works on a fresh copy of the package."""

    def changed(edits: dict[str, tuple[str, str]] | None = None) -> str:
        package = tmp_path / str(next(copies)) / "pkg"
        for name, content in FILES.items():
            file = package / name
            file.parent.mkdir(parents=True, exist_ok=True)
            old, new = (edits or {}).get(name, ("", ""))
            assert old in content
            file.write_text(content.replace(old, new) if old else content + new)
        return closure_digest(package, "pkg.physics")

    return changed


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("physics.py", "  # a comment", ""),
        ("physics.py", '"""Compute."""', '"""Compute the thing."""'),
        ("physics.py", '"""Compute."""', ""),
        ("physics.py", '"""Physics."""', ""),
        ("physics.py", "from pkg.unrelated import Nothing", "from pkg.unrelated import Something"),
        ("physics.py", "def compute(x: float) -> Record:", "def compute(\n    x: float,\n) -> Record:"),
        ("records.py", "'''A field.'''", "'''Another field.'''"),
        ("records.py", "", "\n\n# the end\n"),
        ("__init__.py", '"1"', '"2"'),
        ("unrelated.py", "None", "1"),
        ("engines/unused.py", "Unused", "StillUnused"),
        ("data/other.yaml", "1", "2"),
    ],
)
def test_what_changes_nothing_that_runs_keeps_the_digest(digest: Digest, file: str, old: str, new: str) -> None:
    assert digest({file: (old, new)}) == digest()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("physics.py", "helper(x)", "helper(x + 1)"),
        ("physics.py", "x: float", "x: int"),
        ("lazy.py", "2 * x", "3 * x"),
        ("records.py", "field", "column"),
        ("deep/constants.py", "3", "3.0"),
        ("deep/__init__.py", "", "import os\n"),
        ("engines/fast.py", "Fast", "Faster"),
        ("engines/templates/page.html", "<p>", "<h1>"),
        ("data/numbers.yaml", "1", "2"),
    ],
)
def test_code_and_data_of_a_transitive_dependency_change_the_digest(
    digest: Digest, file: str, old: str, new: str
) -> None:
    assert digest({file: (old, new)}) != digest()


def test_closure_holds_what_can_be_loaded_and_nothing_else(tmp_path: Path, digest: Digest) -> None:
    digest()
    package = next(tmp_path.iterdir()) / "pkg"
    assert import_closure(package, "pkg.physics") == (
        "pkg",
        "pkg.deep",
        "pkg.deep.constants",
        "pkg.engines",
        "pkg.engines.fast",
        "pkg.lazy",
        "pkg.physics",
        "pkg.records",
    )


def test_import_cycles_end(tmp_path: Path) -> None:
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").write_text("from pkg import a\n")
    (package / "a.py").write_text("from pkg import b\n")
    (package / "b.py").write_text("import pkg.a\n")
    assert import_closure(package, "pkg.b") == ("pkg", "pkg.a", "pkg.b")


def test_unknown_module_is_refused() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"glideflow\.nowhere"):
        code_digest("glideflow.nowhere")


def test_closure_of_the_real_package_matches_what_python_loads() -> None:
    module = "glideflow.config.load"
    script = f"import sys, {module}; print(*(n for n in sys.modules if n.partition('.')[0] == 'glideflow'))"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    assert set(loaded) <= set(import_closure(PACKAGE_FOLDER, module))


def test_digest_does_not_depend_on_the_process() -> None:
    script = "from glideflow.code_digest import code_digest; print(code_digest('glideflow.config.run'))"
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == code_digest("glideflow.config.run")


class TestKept:
    """What source files say is kept beside their bytecode, and is read again by the next process."""

    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(sys, "dont_write_bytecode", False)
        for name, content in FILES.items():
            file = tmp_path / "pkg" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return tmp_path / "pkg"

    @staticmethod
    def anew(package: Path) -> str:
        """The digest as another process finds it."""
        for function in (closure_digest, import_closure, _parsed):
            function.cache_clear()
        return closure_digest(package, "pkg.physics")

    def kept(self, package: Path) -> list[Path]:
        return sorted(package.rglob("*.digest"))

    def test_nothing_is_parsed_twice(self, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first, closure = self.anew(package), import_closure(package, "pkg.physics")
        assert len(self.kept(package)) == len(closure)
        monkeypatch.setattr(ast, "parse", None)
        assert self.anew(package) == first
        assert import_closure(package, "pkg.physics") == closure

    def test_data_files_are_looked_at_again(self, package: Path) -> None:
        first = self.anew(package)
        (package / "data/numbers.yaml").write_text("a: 2\n")
        assert self.anew(package) != first

    def test_a_changed_file_is_parsed_again_whatever_its_size_and_time(self, package: Path) -> None:
        first, file = self.anew(package), package / "lazy.py"
        status = file.stat()
        file.write_text(FILES["lazy.py"].replace("2", "3"))
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert self.anew(package) != first

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"key": 1', "\0", None])
    def test_what_is_damaged_is_made_again(self, package: Path, content: str | None) -> None:
        first = self.anew(package)
        whole = {file: file.read_text() for file in self.kept(package)}
        for file, text in whole.items():
            file.write_text(text.replace('"imports"', '"others"') if content is None else content)
        assert self.anew(package) == first
        assert {file: file.read_text() for file in self.kept(package)} == whole

    def test_nothing_is_kept_where_python_keeps_nothing(self, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        first = self.anew(package)
        assert self.kept(package) == []
        monkeypatch.setattr(sys, "dont_write_bytecode", False)
        (package / "__pycache__").write_text("no folder")
        assert self.anew(package) == first
        assert package / "deep/__pycache__" in {file.parent for file in self.kept(package)}
