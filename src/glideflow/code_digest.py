"""Digest of the code that a module runs, so that a workflow reruns what a change of that code affects.

A workflow manager sees changes of files and parameters, but not of an installed package. A rule that carries
``code_digest("glideflow.properties.elastic")`` as a parameter is rerun when that module changes, or any module of
this package that it imports, directly or not. Comments, docstrings, formatting, type-checking imports and the
package's version number do not count. Nothing is imported: the source files are parsed.

Followed are import statements wherever they stand, literal strings that name a module of the package (as
``importlib.import_module`` takes them), and literal strings that name a data file or a folder of data files beside
the module or in ``glideflow/data``. Names put together at run time are not seen.

Every step of a workflow asks for these digests anew. What a source file says by itself is therefore kept beside what
Python has compiled of it, in ``__pycache__``, and read again as long as not a byte of the file has changed.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

PACKAGE_FOLDER = Path(__file__).resolve().parent
DATA_FOLDER = "data"
FILE_NAME = re.compile(r"[\w./-]+\.\w+")
FOLDER_NAME = re.compile(r"[A-Za-z]\w*")
DOTTED_NAME = re.compile(r"[^\W\d]\w*\.")


def code_digest(*modules: str) -> str:
    """Hexadecimal SHA-256 of what modules of this package execute, their package-internal imports included.

    Args:
        modules: dotted names, e.g. ``glideflow.properties.elastic``.

    Raises:
        ModuleNotFoundError: this package has no such module.
    """
    return closure_digest(PACKAGE_FOLDER, *modules)


@functools.cache
def closure_digest(package: Path, *modules: str) -> str:
    """The same for a package in any folder; the folder's name is the package's."""
    digest = hashlib.sha256()
    for name in sorted({name for module in modules for name in import_closure(package, module)}):
        digest.update(f"{name} {_parsed(package, name).digest}\n".encode())
    return digest.hexdigest()


@functools.cache
def import_closure(package: Path, module: str) -> tuple[str, ...]:
    """Sorted names of the package's modules that importing and running ``module`` can load, itself included.

    Raises:
        ModuleNotFoundError: the package has no such module.
    """
    if _module_file(package, module) is None:
        raise ModuleNotFoundError(f"no module {module!r} in {package}")
    closure: set[str] = set()
    pending = [module]
    while pending:
        name = pending.pop()
        if name in closure:
            continue
        closure.add(name)
        pending.extend(_parents(name))
        pending.extend(_parsed(package, name).imports)
    return tuple(sorted(closure))


@dataclass(frozen=True)
class _Module:
    """What counts of one source file: the digest of its code and data, and the modules it imports."""

    digest: str
    imports: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    """What a source file says by itself: a digest of its code, what it imports, and strings that may name files."""

    digest: str
    imports: tuple[str, ...]
    strings: tuple[str, ...]


@functools.cache
def _parsed(package: Path, module: str) -> _Module:
    file = _module_file(package, module)
    if file is None:
        return _Module(digest="", imports=())  # a folder without an __init__.py
    source = _source(file, module)
    named = {*source.imports, *_named_modules(package, source.strings)}
    return _Module(
        digest=_with_data(source.digest, sorted(_data_files(package, file.parent, source.strings))),
        imports=tuple(sorted(name for name in named if _module_file(package, name))),
    )


def _with_data(digest: str, files: Iterable[Path]) -> str:
    """Digest of code and of the data files that it names; that of the code if it names none."""
    data = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return hashlib.sha256(" ".join([digest, *data]).encode()).hexdigest() if data else digest


def _source(file: Path, module: str) -> _Source:
    """What a source file says, as it was kept or parsed now."""
    content = file.read_bytes()
    key = hashlib.sha256(b"\0".join((_own_code(), module.encode(), content))).hexdigest()
    kept = _kept_file(file)
    known = _read_kept(kept, key)
    if known is None:
        known = _parse(content, file, module)
        _keep(kept, key, known)
    return known


def _parse(content: bytes, file: Path, module: str) -> _Source:
    tree = _without_inert_code(ast.parse(content, filename=str(file)))
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return _Source(
        digest=hashlib.sha256("\0".join(_tokens(tree)).encode()).hexdigest(),
        imports=tuple(sorted(set(_imported_names(tree, _anchor(module, file))))),
        strings=tuple(sorted(filter(_may_name_something, strings))),
    )


def _may_name_something(text: str) -> bool:
    """Whether a string can be the name of a file, of a folder or of a module."""
    return bool(FILE_NAME.fullmatch(text) or FOLDER_NAME.fullmatch(text) or DOTTED_NAME.match(text))


@functools.cache
def _own_code() -> bytes:
    """The code of this module, so that nothing is kept beyond a change of how files are read."""
    return Path(__file__).read_bytes()


def _kept_file(file: Path) -> Path | None:
    """Where what a source file says is kept: beside its bytecode, for the same Python; None if that has no place."""
    try:
        return Path(importlib.util.cache_from_source(str(file))).with_suffix(".digest")
    except NotImplementedError:
        return None


def _read_kept(path: Path | None, key: str) -> _Source | None:
    """What was kept under this key; None for whatever is anything else."""
    if path is None:
        return None
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(path.read_bytes())
        if found["key"] == key:
            imports, strings = (tuple(map(str, found[name])) for name in ("imports", "strings"))
            return _Source(digest=str(found["digest"]), imports=imports, strings=strings)
    return None


def _keep(path: Path | None, key: str, source: _Source) -> None:
    """Keep it, where Python would keep bytecode; a package that cannot be written is parsed again each time."""
    if path is None or sys.dont_write_bytecode:
        return
    draft = path.with_suffix(f".pyc.{os.getpid()}")  # as Python names its own
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        draft.write_text(json.dumps({"key": key} | asdict(source)), encoding="utf-8")
        draft.replace(path)


def _module_file(package: Path, module: str) -> Path | None:
    first, *rest = module.split(".")
    if first != package.name:
        return None
    folder = package.joinpath(*rest)
    candidates = (folder / "__init__.py", folder.with_suffix(".py") if rest else folder / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    for length in range(1, len(parts)):
        yield ".".join(parts[:length])


def _anchor(module: str, file: Path) -> str:
    """Package against which the relative imports of a module are resolved."""
    return module if file.name == "__init__.py" else module.rpartition(".")[0]


def _imported_names(tree: ast.AST, anchor: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, anchor)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _absolute(node: ast.ImportFrom, anchor: str) -> str:
    if not node.level:
        return node.module or ""
    parts = anchor.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def _named_modules(package: Path, strings: Iterable[str]) -> Iterator[str]:
    for text in strings:
        name = text.partition(":")[0]  # "module:attribute", as entry points are written
        if name.startswith(f"{package.name}.") and all(part.isidentifier() for part in name.split(".")):
            yield name


def _data_files(package: Path, folder: Path, strings: Iterable[str]) -> set[Path]:
    found: set[Path] = set()
    for text in strings:
        if FILE_NAME.fullmatch(text):
            candidates = (folder / text, package / text, package / DATA_FOLDER / text)
            found |= {path.resolve() for path in candidates if path.suffix != ".py" and path.is_file()}
        elif FOLDER_NAME.fullmatch(text) and (folder / text).is_dir() and not (folder / text / "__init__.py").exists():
            found |= {path for path in (folder / text).rglob("*") if path.is_file() and _is_data(path)}
    return {path for path in found if path.is_relative_to(package)}


def _is_data(path: Path) -> bool:
    return path.suffix != ".py" and "__pycache__" not in path.parts


def _without_inert_code(tree: ast.Module) -> ast.Module:
    """Drop docstrings, other statements that are a bare string, type-checking imports and the version number."""
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                setattr(node, field, [statement for statement in statements if not _is_inert(statement)])
    return tree


def _is_inert(statement: ast.AST) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"), orelse=[]):
            return True
        case ast.Assign(targets=[ast.Name(id="__version__")]):
            return True
    return False


def _tokens(tree: ast.AST) -> Iterator[str]:
    """The tree in prefix order, without positions: node types, field names and values."""
    stack: list[object] = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, ast.AST):
            yield type(item).__name__
            for field in reversed(item._fields):
                stack.append(getattr(item, field, None))
        elif isinstance(item, list):
            yield f"[{len(item)}"
            stack.extend(reversed(item))
        else:
            yield repr(item)
