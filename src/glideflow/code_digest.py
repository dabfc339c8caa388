"""Digest of the code that a module runs, so that a workflow reruns what a change of that code affects.

A workflow manager sees changes of files and parameters, but not of an installed package. A rule that carries
``code_digest("glideflow.properties.elastic")`` as a parameter is rerun when that module changes, or any module of
this package that it imports, directly or not. Comments, docstrings, formatting, type-checking imports and the
package's version number do not count. Nothing is imported: the source files are parsed.

Followed are import statements wherever they stand, literal strings that name a module of the package (as
``importlib.import_module`` takes them), and literal strings that name a data file or a folder of data files beside
the module or in ``glideflow/data``. Names put together at run time are not seen.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE_FOLDER = Path(__file__).resolve().parent
DATA_FOLDER = "data"
FILE_NAME = re.compile(r"[\w./-]+\.\w+")
FOLDER_NAME = re.compile(r"[A-Za-z]\w*")


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


@functools.cache
def _parsed(package: Path, module: str) -> _Module:
    file = _module_file(package, module)
    if file is None:
        return _Module(digest="", imports=())  # a folder without an __init__.py
    tree = _without_inert_code(ast.parse(file.read_bytes(), filename=str(file)))
    digest = hashlib.sha256("\0".join(_tokens(tree)).encode())
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for data_file in sorted(_data_files(package, file.parent, strings)):
        digest.update(hashlib.sha256(data_file.read_bytes()).digest())
    named = {name for name in _imported_names(tree, _anchor(module, file)) if _module_file(package, name)}
    named |= {name for name in _named_modules(package, strings) if _module_file(package, name)}
    return _Module(digest=digest.hexdigest(), imports=tuple(sorted(named)))


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


def _named_modules(package: Path, strings: set[str]) -> Iterator[str]:
    for text in strings:
        name = text.partition(":")[0]  # "module:attribute", as entry points are written
        if name.startswith(f"{package.name}.") and all(part.isidentifier() for part in name.split(".")):
            yield name


def _data_files(package: Path, folder: Path, strings: set[str]) -> set[Path]:
    found: set[Path] = set()
    for text in strings:
        if FILE_NAME.fullmatch(text):
            candidates = (folder / text, package / text, package / DATA_FOLDER / text)
            found |= {path.resolve() for path in candidates if path.suffix != ".py" and path.is_file()}
        elif FOLDER_NAME.fullmatch(text) and (folder / text).is_dir() and not (folder / text / "__init__.py").exists():
            found |= {
                path for path in (folder / text).rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")
            }
    return {path for path in found if path.is_relative_to(package)}


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
