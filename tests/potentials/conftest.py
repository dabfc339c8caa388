"""Small real files for the tests of potentials."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from glideflow.potentials.openkim import INSTALLED, MODEL_FILES

PACKAGE_VARIABLE = "GLIDEFLOW_TEST_OPENKIM"


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that no other test and no user shares."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("GLIDEFLOW_CACHE", str(folder))
    return folder


FUNCFL = "Cu by hand\n29 63.55 3.615 FCC\n5 0.1 5 0.5 2.0\n" + "0.5\n" * 15

LIBRARY = """# elt lat z ielement atwt / alpha b0 b1 b2 b3 alat esub asub / t0 t1 t2 t3 rozero ibar
'Cu' 'fcc' 12. 29 63.54  5.1 3.6 2.2 6 2.2 3.62 3.54 1.07  1.0 3.1 2.5 3.0 1. 0
'AlS' 'fcc' 12. 13 26.98  4.6 2.0 3.0 6 1.5 4.05 3.35 1.07  1.0 4.5 -2.3 8.0 1. -5
"""

ATOMIC_NUMBERS = {"H": 1, "Al": 13, "Ni": 28, "Cu": 29, "Zr": 40}


class SmallFiles:
    """Parameter files of a few lines, complete in every format that is told apart."""

    funcfl = FUNCFL
    library = LIBRARY

    @staticmethod
    def setfl(elements: Sequence[str], *, points: int = 4, densities: int = 1) -> str:
        """A setfl file; `densities` is 1 for eam/alloy and the number of elements for eam/fs."""
        pairs = len(elements) * (len(elements) + 1) // 2
        lines = ["one", "two", "three", f"{len(elements)} {' '.join(elements)}", f"{points} 0.1 {points} 0.5 2.0"]
        for element in elements:
            lines.append(f"{ATOMIC_NUMBERS[element]} 1.0 4.0 fcc")
            lines += ["0.5"] * (points + densities * points)
        return "\n".join(lines + ["0.25"] * (pairs * points)) + "\n"


@pytest.fixture(scope="session")
def small_files() -> type[SmallFiles]:
    """Small parameter files."""
    return SmallFiles


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., bytes]:
    """Compile a shared object as the KIM API lays models out, and return its bytes."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc to build a shared object")

    def build(
        name: str,
        driver: str,
        files: Mapping[str, bytes],
        metadata: Mapping[str, bytes],
        simulator_file: tuple[str, bytes] | None = None,
    ) -> bytes:
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        source, shared = folder / "model.c", folder / "model.so"
        source.write_text(_c_source(name, driver, files, metadata, simulator_file), encoding="ascii")
        subprocess.run(["gcc", "-shared", "-fPIC", "-nostdlib", "-o", str(shared), str(source)], check=True)
        return shared.read_bytes()

    return build


def _c_source(
    name: str,
    driver: str,
    files: Mapping[str, bytes],
    metadata: Mapping[str, bytes],
    simulator_file: tuple[str, bytes] | None,
) -> str:
    arrays: list[str] = []

    def entries(group: str, contents: Mapping[str, bytes]) -> str:
        rows = []
        for index, (file, content) in enumerate(contents.items()):
            values = ",".join(str(byte) for byte in content) or "0"
            arrays.append(f"const unsigned char {group}{index}[{max(len(content), 1)}] = {{{values}}};")
            rows.append(f"{{{_text(file)}, 0, {group}{index}}}")
        return f"static struct file {group}_files[] = {{{', '.join(rows) or '{0}'}}};"

    single = {} if simulator_file is None else {simulator_file[0]: simulator_file[1]}
    tables = [entries("parameter", files), entries("metadata", metadata), entries("simulator", single)]
    return "\n".join(
        [
            "struct file { const char *name; unsigned int length; const unsigned char *content; };",
            "struct schema { int type; const char *name; int language; void *create; const char *driver;"
            " struct file *simulator; int file_count; struct file *files;"
            " int metadata_count; struct file *metadata; };",
            *arrays,
            *tables,
            "int kim_shared_library_schema_version = 2;",
            f"struct schema kim_shared_library_schema = {{1, {_text(name)}, 1, 0, {_text(driver) if driver else '0'},"
            f" {'simulator_files' if single else '0'}, {len(files)}, parameter_files,"
            f" {len(metadata)}, metadata_files}};",
        ]
    )


def _text(text: str) -> str:
    return '"' + "".join(f'\\x{byte:02x}""' for byte in text.encode()) + '"'


@pytest.fixture(scope="session")
def openkim_package() -> Path:
    """The real package: an installed one, or the .deb or folder that the environment names."""
    named = os.environ.get(PACKAGE_VARIABLE)
    if named:
        return Path(named)
    for pattern in INSTALLED:
        for folder in Path("/").glob(pattern.lstrip("/")):
            if any(folder.glob(f"*/*/{name}") for name in MODEL_FILES):
                return folder
    pytest.skip(f"needs the Debian package openkim-models, installed or named by {PACKAGE_VARIABLE}")
