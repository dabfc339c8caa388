"""From a YAML file to checked settings: every problem at once, each with its line, what was found and expected."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from glideflow.config.base import Section
from glideflow.config.consistency import Problem, consistency_problems
from glideflow.config.run import RunSettings
from glideflow.config.yaml_text import KeyPath, YamlText, parse_yaml, shortened
from glideflow.errors import ConfigurationError

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
DEFAULTS = "built-in defaults"
MAX_FOUND_CHARACTERS = 80
MAX_PROBLEMS = 50
TEMPLATE_KEY = "__use_yte__"
"""Key with which Snakemake takes a YAML file for a template."""
MAX_FILE_BYTES = 4 * 2**20
_SHOW_EXAMPLE = "`glideflow config show` prints a complete example"
_SHOW_KEYS = "correct them; `glideflow config show` prints every key with its meaning and limits"

S = TypeVar("S", bound=Section)


def load_settings(path: Path | None) -> RunSettings:
    """Read, validate and cross-check the configuration of a run.

    Args:
        path: YAML file; ``None`` gives the built-in defaults.

    Raises:
        ConfigurationError: the file cannot be read, is no YAML, or cannot be run; it lists every problem.
    """
    if path is None:
        return RunSettings()
    return settings_from_yaml(read_yaml(path))


def read_yaml(path: Path) -> YamlText:
    """Read a YAML file with the line numbers of its keys.

    Raises:
        ConfigurationError: the file cannot be read, or is no plain YAML.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the configuration {path}: {error.strerror}",
            expected="a readable YAML file",
            next_step="check the path; `glideflow config show > my.yaml` writes one to start from",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path} is not UTF-8 text (byte {error.start})",
            expected="a YAML file in UTF-8",
            next_step="save it as UTF-8",
        ) from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigurationError(
            f"{path} has more than {MAX_FILE_BYTES} bytes",
            expected="the YAML file of a run",
            next_step="check which file --config names; a long list of potentials belongs into a manifest",
        )
    return parse_yaml(text, str(path))


def settings_from_mapping(mapping: Mapping[str, object], source: str) -> RunSettings:
    """Validate a configuration that is already in memory, e.g. Snakemake's after its command-line overrides.

    Args:
        mapping: keys as in the YAML file.
        source: where it comes from, for messages.

    Raises:
        ConfigurationError: it cannot be run; the message lists every problem.
    """
    return settings_from_yaml(YamlText(source=source, data=dict(mapping), lines={}))


def settings_from_files(merged: Mapping[str, object], files: Sequence[Path]) -> RunSettings:
    """Validate a configuration that another program merged from YAML files and overrides of its own.

    The files are read once more, since the merged mapping can neither show a key that was given twice nor tell lines.

    Args:
        merged: the effective configuration, e.g. Snakemake's ``config``.
        files: the YAML files that went into it, in order.

    Raises:
        ConfigurationError: a file is malformed, or the merged configuration cannot be run.
    """
    documents = [read_yaml(file) for file in files]
    for document in documents:
        _refuse_template(document)
    if len(documents) == 1 and documents[0].data == merged:
        return settings_from_yaml(documents[0])
    names = ", ".join(document.source for document in documents)
    return settings_from_mapping(merged, f"{names} with overrides" if names else "the command line")


def _refuse_template(document: YamlText) -> None:
    if isinstance(document.data, dict) and TEMPLATE_KEY in document.data:
        raise ConfigurationError(
            f"{document.source} is a template ({TEMPLATE_KEY}), whose Python Snakemake executes while reading it",
            expected="plain YAML",
            next_step="if the file is somebody else's, look at what it has done; `glideflow config check` would have "
            "refused it without executing anything",
        )


def settings_from_yaml(document: YamlText) -> RunSettings:
    """Validate a parsed document; an empty one gives the defaults.

    Raises:
        ConfigurationError: it cannot be run; the message lists every problem.
    """
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        raise ConfigurationError(
            f"{document.source}: found a {type(data).__name__} at the top level",
            expected="a mapping of sections, such as `name: quick`",
            next_step=_SHOW_EXAMPLE,
        )
    try:
        settings = RunSettings.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems = [_problem(detail, data, RunSettings) for detail in details]
        raise configuration_error(document, [*problems, *_contradictions_beside(details, data)]) from error
    contradictions = consistency_problems(settings)
    if contradictions:
        raise configuration_error(document, contradictions)
    return settings


def load_section(path: Path, kind: type[S], next_step: str) -> S:
    """Read a YAML or JSON file that holds one section of its own, not the configuration of a run.

    Args:
        path: the file.
        kind: the section.
        next_step: what to do when it is not valid, and after a semicolon where to see an example, for the message.

    Raises:
        ConfigurationError: the file cannot be read, or is not valid; it lists every problem.
    """
    try:
        document = read_yaml(path)
    except ConfigurationError as error:  # after what to do, it points to the configuration of a run
        action, pointer = error.next_step.partition(";")[0], next_step.partition("; ")[2]
        raise ConfigurationError(error.found, expected=error.expected, next_step=f"{action}; {pointer}") from error
    try:
        return kind.model_validate(document.data)
    except ValidationError as error:
        problems = [_problem(detail, document.data, kind) for detail in error.errors(include_url=False)]
        raise configuration_error(document, problems, next_step) from error


def _contradictions_beside(details: Sequence[Mapping[str, Any]], data: Mapping[str, object]) -> tuple[Problem, ...]:
    """Contradictions in the sections that are valid but for unknown keys, so that one look shows everything.

    A section with an impossible value is left out: what its other values have to agree with is not known.
    """
    kept = copy.deepcopy(dict(data))
    invalid = {detail["loc"][0] for detail in details if detail["type"] != "extra_forbidden"}
    for key in invalid:
        kept.pop(key, None)
    for detail in details:
        if detail["loc"][0] not in invalid:
            _remove(kept, _locate(tuple(detail["loc"]), data, RunSettings).path)
    try:
        settings = RunSettings.model_validate(kept)
    except ValidationError:
        return ()
    return tuple(problem for problem in consistency_problems(settings) if problem.path[0] not in invalid)


def _remove(data: object, path: KeyPath) -> None:
    *parents, last = path
    for parent in parents:
        data = _child(data, parent)
    if isinstance(data, dict):
        data.pop(last, None)


def configuration_error(
    document: YamlText, problems: Iterable[Problem], next_step: str = _SHOW_KEYS
) -> ConfigurationError:
    """One error that lists all problems of a document, in the order of its lines."""
    ordered = sorted(problems, key=lambda problem: document.line(problem.path) or 0)
    count = f"{len(ordered)} problem" + ("s" if len(ordered) > 1 else "")
    blocks = [f"{document.source}: {count}"]
    for problem in ordered[:MAX_PROBLEMS]:
        line = document.line(problem.path)
        where = f"line {line}, " if line else ""
        blocks.append(f"  {where}{key_text(problem.path):.200}: {problem.found}\n    expected: {problem.expected}")
    if len(ordered) > MAX_PROBLEMS:
        blocks.append(f"  ... and {len(ordered) - MAX_PROBLEMS} more")
    return ConfigurationError(
        "\n".join(blocks),
        next_step=next_step,
    )


def key_text(path: KeyPath) -> str:
    """Write a key path as ``potentials.sources[0].path``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "(top level)"


def json_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of the configuration, generated from the models."""
    return {"$schema": JSON_SCHEMA_DIALECT} | RunSettings.model_json_schema()


def json_schema_text() -> str:
    """The schema as it lies in ``config/schema.json``."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class _Location:
    """Where an error of pydantic lies: the keys as written, and the model that holds the last of them."""

    path: KeyPath
    model: type[BaseModel] | None


def _problem(detail: Mapping[str, Any], data: object, kind: type[BaseModel]) -> Problem:
    location = _locate(tuple(detail["loc"]), data, kind)
    if detail["type"] == "extra_forbidden":
        return _unknown_key(location)
    found = (
        "the key is missing"
        if detail["type"] == "missing"
        else f"found {shortened(detail['input'], MAX_FOUND_CHARACTERS)}"
    )
    return Problem(path=location.path, found=found, expected=_expectation(detail))


def _expectation(detail: Mapping[str, Any]) -> str:
    """Pydantic's message in the words of a configuration file."""
    context = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return "a value"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "a mapping of keys"
        case "string_pattern_mismatch":
            return f"text that matches {context['pattern']}"
        case "union_tag_invalid":
            return f"a `kind` of {context['expected_tags']}"
        case "union_tag_not_found":
            return "a key `kind` that says which sort it is"
        case "invalid_key":
            return "a key that is text"
        case "int_parsing" | "int_type" | "int_from_float":
            return "an integer"
        case "float_parsing" | "float_type":
            return "a number"
        case "too_short":
            return f"at least {context['min_length']} values"
        case "too_long":
            return f"at most {context['max_length']} values"
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return message + _closest_choice(detail)


def _closest_choice(detail: Mapping[str, Any]) -> str:
    if detail["type"] != "literal_error" or not isinstance(detail["input"], str):
        return ""
    choices = str(detail["ctx"]["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
    close = difflib.get_close_matches(detail["input"], choices, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def _unknown_key(location: _Location) -> Problem:
    key = str(location.path[-1])
    known = list(location.model.model_fields) if location.model else []
    units_missing = [name for name in known if name.startswith(f"{key}_")]  # isf for isf_mj_m2
    close = units_missing[:1] or difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    expected = f"did you mean {close[0]!r}?" if close else "one of " + ", ".join(known)
    return Problem(path=location.path, found=f"unknown key {shortened(key, MAX_FOUND_CHARACTERS)}", expected=expected)


def _locate(loc: tuple[str | int, ...], data: object, kind: type[BaseModel]) -> _Location:
    # Pydantic's location also holds the tag of a discriminated union ("folder"), which no key of the file is called.
    path: list[str | int] = []
    annotation: object = kind
    model: type[BaseModel] | None = None
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        tagged = _variants(annotation).get(str(part))
        if tagged is not None and not (isinstance(data, dict) and part in data):
            annotation = tagged
            continue
        model = _model(annotation, data)
        path.append(part)
        if not last:
            annotation = _element(annotation, model, part)
            data = _child(data, part)
    return _Location(path=tuple(path), model=model)


def _model(annotation: object, data: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    kind = data.get("kind") if isinstance(data, dict) else None
    return _variants(annotation).get(str(kind))


def _variants(annotation: object) -> dict[str, type[BaseModel]]:
    """Models of a union by the value of their ``kind``, e.g. ``{"bundled": BundledSource}``."""
    models = [item for item in _flatten(annotation) if isinstance(item, type) and issubclass(item, BaseModel)]
    return {str(model.model_fields["kind"].default): model for model in models if "kind" in model.model_fields}


def _flatten(annotation: object) -> list[object]:
    arguments = get_args(annotation)
    return [annotation] if not arguments else [item for part in arguments for item in _flatten(part)]


def _element(annotation: object, model: type[BaseModel] | None, part: str | int) -> object:
    if model is not None and isinstance(part, str) and part in model.model_fields:
        return model.model_fields[part].annotation
    if isinstance(part, int) and get_origin(annotation) is tuple:
        return get_args(annotation)[0]
    return None


def _child(data: object, part: str | int) -> object:
    if isinstance(data, dict):
        return data.get(part)
    if isinstance(data, list | tuple) and isinstance(part, int) and part < len(data):
        return data[part]
    return None
