"""YAML as text: reading with line numbers and without duplicate keys, writing with the models' descriptions."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import yaml
from pydantic import BaseModel

from glideflow.errors import ConfigurationError

KeyPath = tuple[str | int, ...]
COMMENT_WIDTH = 110
MAX_REPEATED_VALUES = 100_000
"""Values that aliases may repeat: a document of a kilobyte can stand for more values than there is memory for."""

# Constructors of tagged scalars (`!!bool perhaps`, `!!int ''`, 2024-13-01) raise what Python happens to raise.
YAML_ERRORS = (
    yaml.YAMLError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading a malformed document can raise."""


@dataclass(frozen=True, kw_only=True)
class YamlText:
    """A parsed YAML document.

    Attributes:
        source: name of the document for messages, usually its path.
        data: the content, made of mappings, sequences and scalars only.
        lines: line number (from 1) of each key and each sequence element, by its path from the top.
    """

    source: str
    data: object
    lines: Mapping[KeyPath, int]

    def line(self, path: KeyPath) -> int | None:
        """Line of a key, or of the closest of its parents that is written in the document."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def parse_yaml(text: str, source: str) -> YamlText:
    """Parse YAML with the safe loader, refusing keys that are given twice.

    Args:
        text: the document.
        source: its name in messages.

    Raises:
        ConfigurationError: the text is no YAML, repeats a key, or asks for a Python object.
    """
    # The pure-Python loader: the C one keeps no usable marks for its messages, and configurations are short.
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        lines = {} if node is None else _key_lines(node, source)
        data = construct(loader, node)
    except YAML_ERRORS as error:
        raise _syntax_error(error, source) from error
    return YamlText(source=source, data=data, lines=lines)


def construct(loader: Any, node: yaml.Node | None) -> object:  # noqa: ANN401 - the C loader has no types
    """Build the data of a composed document, unless its aliases stand for unreasonably much.

    Args:
        loader: the safe loader that composed it.
        node: its top, None for an empty document.

    Raises:
        yaml.YAMLError: aliases repeat more than `MAX_REPEATED_VALUES`, a value contains itself, or a tag is unknown.
    """
    if node is None:
        return None
    sizes = _expanded_sizes(node)
    repeated = sizes[id(node)] - len(sizes)
    if repeated > MAX_REPEATED_VALUES:
        raise yaml.MarkedYAMLError(problem=f"found aliases that repeat more than {MAX_REPEATED_VALUES} values")
    return cast(object, loader.construct_document(node))


def _expanded_sizes(root: yaml.Node) -> dict[int, int]:
    """Number of values that each node stands for, those behind aliases counted as often as they are named."""
    sizes: dict[int, int] = {}
    opened: set[int] = set()
    stack = [root]
    while stack:
        node = stack[-1]
        children = _child_nodes(node)
        waiting = [child for child in children if id(child) not in sizes]
        if waiting and id(node) not in opened:
            opened.add(id(node))
            stack += waiting
        elif any(id(child) in opened for child in waiting):
            raise yaml.MarkedYAMLError(problem="found a list or mapping within itself", problem_mark=node.start_mark)
        else:
            sizes[id(stack.pop())] = 1 + sum(sizes[id(child)] for child in children)
    return sizes


def _child_nodes(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def shortened(value: object, characters: int) -> str:
    """A value as it is shown in a message, cut to a length."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write integers of more than some thousand digits
        text = "a number of too many digits"
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _key_lines(root: yaml.Node, source: str) -> dict[KeyPath, int]:
    lines: dict[KeyPath, int] = {}
    seen: set[int] = set()
    stack: list[tuple[KeyPath, yaml.Node]] = [((), root)]
    while stack:
        path, node = stack.pop()
        if id(node) in seen:  # an alias; following it again could take forever
            continue
        seen.add(id(node))
        for key, line, child in _children(node, source):
            lines[(*path, key)] = line
            stack.append(((*path, key), child))
    return lines


def _children(node: yaml.Node, source: str) -> Iterator[tuple[str | int, int, yaml.Node]]:
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield index, child.start_mark.line + 1, child
    elif isinstance(node, yaml.MappingNode):
        first_lines: dict[str, int] = {}
        for key, child in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in first_lines:
                raise ConfigurationError(
                    f"{source}, line {line}: the key {name!r} is given twice (first in line {first_lines[name]})",
                    expected="each key once",
                    next_step="remove one of the two, or merge their contents",
                )
            first_lines[name] = line
            yield name, line, child


def _syntax_error(error: Exception, source: str) -> ConfigurationError:
    where = source
    problem = str(error) if isinstance(error, yaml.YAMLError) else f"a value cannot be read: {error}"
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark
        where = source if mark is None else f"{source}, line {mark.line + 1}, column {mark.column + 1}"
        problem = ", ".join(part for part in (error.context, error.problem) if part)
    return ConfigurationError(
        f"{where}: {problem}",
        expected="YAML made of plain mappings, lists, numbers and strings",
        next_step="correct that line; `glideflow config show` prints a complete example",
    )


def settings_yaml(settings: BaseModel) -> str:
    """Write settings as YAML, each key below its description and its constraints.

    Args:
        settings: any section of the configuration, nested as it comes.

    Returns:
        A document that reads back to the same settings.
    """
    return "\n".join(_section_lines(settings, indent=0, described=set())) + "\n"


def _section_lines(section: BaseModel, *, indent: int, described: set[type[BaseModel]]) -> Iterator[str]:
    model = type(section)
    comment = model not in described  # the fields of a list's elements are described once
    described.add(model)
    properties = model.model_json_schema()["properties"] if comment else {}
    for name in model.model_fields:
        value = getattr(section, name)
        if comment:
            # A blank line sets the sections apart, but not the keys inside them.
            yield from [""] if indent == 0 and _holds_sections(value) else []
            yield from _comment_lines(properties[name], indent)
        yield from _entry_lines(name, value, indent=indent, described=described)


def _holds_sections(value: object) -> bool:
    return isinstance(value, BaseModel) or _is_section_list(value)


def _is_section_list(value: object) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(item, BaseModel) for item in value)


def _entry_lines(name: str, value: object, *, indent: int, described: set[type[BaseModel]]) -> Iterator[str]:
    margin = " " * indent
    if isinstance(value, BaseModel):
        yield f"{margin}{name}:"
        yield from _section_lines(value, indent=indent + 2, described=described)
    elif _is_section_list(value):
        yield f"{margin}{name}:"
        for item in cast("tuple[BaseModel, ...]", value):
            yield from _item_lines(item, indent=indent + 2, described=described)
    else:
        yield f"{margin}{name}: {_scalar_text(value)}"


def _item_lines(item: BaseModel, *, indent: int, described: set[type[BaseModel]]) -> Iterator[str]:
    # Comments of the first key stand above the dash, so that the dash can replace two blanks of that key's line.
    dashed = False
    for line in _section_lines(item, indent=indent + 2, described=described):
        if dashed or line.lstrip().startswith("#"):
            yield line
        else:
            yield " " * indent + "- " + line[indent + 2 :]
            dashed = True


def _scalar_text(value: object) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def _comment_lines(schema: Mapping[str, Any], indent: int) -> Iterator[str]:
    text = " ".join(str(schema.get("description", "")).replace("``", "`").split())
    constraint = constraint_text(schema)
    if constraint:
        text = f"{text} [{constraint}]".strip()
    for line in textwrap.wrap(text, COMMENT_WIDTH - indent, break_long_words=False, break_on_hyphens=False):
        yield f"{' ' * indent}# {line}"


def constraint_text(schema: Mapping[str, Any]) -> str:
    """What the JSON schema of a field allows, in words: ``"4 to 400"``, ``"slab | tilted"``; empty if anything."""
    if "enum" in schema:
        return " | ".join(str(choice) for choice in schema["enum"])
    if schema.get("type") == "array" and "enum" in schema.get("items", {}):
        return "any of: " + ", ".join(str(choice) for choice in schema["items"]["enum"])
    if "minimum" in schema and "maximum" in schema:
        return f"{schema['minimum']:g} to {schema['maximum']:g}"
    bounds = (
        ("minimum", "at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "below"),
    )
    return ", ".join(f"{word} {schema[key]:g}" for key, word in bounds if key in schema)
