"""The manifest of a folder of potentials (schema ``potential-library/1``), checked entry by entry.

``docs/potentials.md`` describes the format for those who write one. The catalogue of the files that ship with LAMMPS
and the extracted OpenKIM models are manifests too, so that there is one reader.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from glideflow.config.potentials import Element
from glideflow.config.yaml_text import YAML_ERRORS, construct, shortened
from glideflow.errors import PotentialError
from glideflow.potentials.calculator import ARGUMENT_PATTERN, CALCULATOR_PATTERN, Scalar, arguments_text
from glideflow.potentials.identifiers import ID_PATTERN, MAX_ID_CHARACTERS, NATIVE_STRUCTURES
from glideflow.potentials.listing import Skipped, SourceListing
from glideflow.potentials.record import EngineKind, Potential, PotentialFile, SourceStatus, Structure

SCHEMA: Final = "potential-library/1"
FILE_NAME: Final = "manifest.yaml"
MAX_MANIFEST_BYTES: Final = 64 * 2**20
MAX_DEPTH: Final = 50

_STYLE_PATTERN: Final = r"^[A-Za-z0-9_./ +-]+$"
_COEFFICIENTS_PATTERN: Final = re.compile(r"[A-Za-z0-9_.*/ +-]+")
"""What may reach LAMMPS' parser: no quotes, variables, continuation or comment characters, no line breaks."""


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or any(ord(character) < 32 for character in path):
        raise ValueError("a relative path that stays inside the folder")
    return path


Id = Annotated[str, Field(pattern=ID_PATTERN, max_length=MAX_ID_CHARACTERS)]
InnerPath = Annotated[str, Field(max_length=255), AfterValidator(_inside)]
Argument = StrictStr | StrictBool | StrictInt | StrictFloat | None
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Origin(_Model):
    """Where the files of an entry were taken from."""

    id: str = ""
    source: str = ""
    path: str = ""
    files: tuple[str, ...] = ()
    sha256: tuple[str, ...] = ()
    license: str = ""
    ipr_status: str = ""


class _WithFiles(_Model):
    """What both kinds of entries share: an id, and files with what reads them."""

    id: Id
    dir: InnerPath = "."
    files: tuple[InnerPath, ...] = ()
    sha256: tuple[Sha256, ...] = ()
    pair_style: Annotated[str, Field(pattern=_STYLE_PATTERN, max_length=200)] | None = None
    pair_coeff: tuple[str, ...] = ()
    calculator: Annotated[str, Field(pattern=CALCULATOR_PATTERN, max_length=200)] | None = None
    arguments: dict[Annotated[str, Field(pattern=ARGUMENT_PATTERN, max_length=100)], Argument] = {}
    cutoff: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] | None = None
    status: SourceStatus = "ok"
    flags: tuple[str, ...] = ()
    fictional: bool = False
    family: str = ""
    citation: str | None = None
    doi: str | None = None
    license: str = ""
    modified: str = ""

    @model_validator(mode="before")
    @classmethod
    def _one_digest_is_a_list(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the YAML holds
        if isinstance(data, dict) and isinstance(data.get("sha256"), str):
            return data | {"sha256": [data["sha256"]]}
        return data

    @model_validator(mode="after")
    def _files_and_commands_agree(self) -> Self:
        if self.sha256 and len(self.sha256) != len(self.files):
            raise ValueError(f"one sha256 per file: {len(self.files)}, found {len(self.sha256)}")
        if self.pair_style is not None:
            self.placeholders()
        if self.arguments and self.calculator is None:
            raise ValueError("`arguments`: only for a `calculator`")
        self.calculator_arguments()
        return self

    def calculator_arguments(self) -> str:
        """Arguments of the calculator as the record holds them, with ``{0}``, ``{1}``, ... for the files.

        Raises:
            ValueError: a value names a file that is not listed.
        """
        return arguments_text({key: self._argument(key, value) for key, value in self.arguments.items()})

    def _argument(self, key: str, value: Scalar) -> Scalar:
        if not isinstance(value, str) or not value.startswith("{"):
            return value
        name = value.removeprefix("{dir}/")
        if name not in self.files:
            raise ValueError(f"`arguments`: {key} is {{dir}}/NAME of one of `files`, found {value!r:.80}")
        return f"{{{self.files.index(name)}}}"

    def placeholders(self) -> tuple[str, ...]:
        """The ``pair_coeff`` arguments with ``{0}``, ``{1}``, ... for the files.

        Raises:
            ValueError: a placeholder names no file, a file is never used, or a character is not allowed.
        """
        if not self.pair_coeff:
            raise ValueError("`pair_coeff`: at least one line of arguments")
        by_length = sorted(self.files, key=len, reverse=True)  # so that no name is taken for a part of another
        pattern = re.compile(r"\{dir\}/(" + "|".join(re.escape(name) for name in by_length) + r")(?=\s|$)")
        used: set[str] = set()
        lines = []
        for line in self.pair_coeff:
            used.update(pattern.findall(line))
            if not _COEFFICIENTS_PATTERN.fullmatch(pattern.sub("", line)):
                raise ValueError(f"`pair_coeff`: plain arguments and `{{dir}}/NAME` of one of `files`, found {line!r}")
            lines.append(pattern.sub(lambda match: "{" + str(self.files.index(match[1])) + "}", line))
        if unused := [name for name in self.files if name not in used]:
            raise ValueError(f"`pair_coeff`: every file named as {{dir}}/NAME, but {', '.join(unused)} is not")
        return tuple(lines)


class Entry(_WithFiles):
    """One potential of one element: a LAMMPS pair style with its files, or an ASE calculator."""

    element: Element
    structure: Structure
    family_primary: bool = False
    extracted: str = ""
    source: Origin = Origin()

    @model_validator(mode="after")
    def _one_engine(self) -> Self:
        if (self.pair_style is None) == (self.calculator is None):
            raise ValueError("either `pair_style` with `pair_coeff`, or `calculator`")
        if self.pair_style is not None and not self.files:
            raise ValueError("`files`: at least one parameter file for `pair_style`")
        return self


class MachineLearnedEntry(_WithFiles):
    """One machine-learned potential, which may cover several elements."""

    kind: Annotated[str, Field(min_length=1)]
    covers: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    header: str = ""
    source: str = ""
    source_path: str = ""
    loads_in_calorine_CPUNEP: bool | None = None  # noqa: N815 - a key of the format

    @property
    def engine(self) -> str:
        """Engine that evaluates it: that of a pair style or a calculator, else the first word of its kind."""
        if self.pair_style is not None or self.calculator is not None:
            return "ase" if self.calculator is not None else "lammps"
        return (self.kind.split() or [""])[0].lower()

    @model_validator(mode="after")
    def _one_model_file(self) -> Self:
        if self.pair_style is not None and self.calculator is not None:
            raise ValueError("either `pair_style` with `pair_coeff`, or `calculator`")
        if self.engine == "nep" and len(self.files) != 1:
            raise ValueError(f"`files`: the one nep.txt of a neuroevolution potential, found {len(self.files)}")
        return self


class SkippedEntry(_Model):
    """An entry that is known and not usable, with the reason."""

    id: str
    elements: tuple[str, ...] = ()
    engine: str = ""
    reason: str


class Manifest(_Model):
    """A whole manifest."""

    schema_name: Literal["potential-library/1"] = Field(alias="schema")
    notes: tuple[str, ...] = ()
    potentials: tuple[Entry, ...] = ()
    mlff: tuple[MachineLearnedEntry, ...] = ()
    skipped: tuple[SkippedEntry, ...] = ()


def parse_manifest(text: str, where: str) -> Manifest:
    """Parse and check a manifest.

    Args:
        text: YAML.
        where: what to call it in messages, usually its path.

    Raises:
        PotentialError: it is no YAML or not as the schema says; the message names every entry and key.
    """
    return checked_manifest(_yaml(text, where), where)


def checked_manifest(data: object, where: str) -> Manifest:
    """Check the content of a manifest.

    Args:
        data: plain data, as YAML gives it.
        where: what to call it in messages.

    Raises:
        PotentialError: it is not as the schema says; the message names every entry and key.
    """
    try:
        manifest = Manifest.model_validate(data)
    except ValidationError as error:
        lines = [_problem(detail, data) for detail in error.errors(include_url=False)]
        raise _refused(where, lines) from None
    ids = Counter(entry.id for section in (manifest.potentials, manifest.mlff) for entry in section)
    if repeated := [name for name, count in ids.items() if count > 1]:
        raise _refused(where, [f"the id {name} is given {ids[name]} times; ids are unique" for name in repeated])
    return manifest


def listing_of(manifest: Manifest, folder: Path, name: str, default_source: str) -> SourceListing:
    """The potentials of a manifest, with the paths of their files.

    Args:
        manifest: a checked manifest.
        folder: folder to which ``dir`` is relative.
        name: name of the source.
        default_source: provenance of entries that state none.
    """
    potentials = [_potential(entry, folder, default_source) for entry in manifest.potentials]
    skipped = [Skipped(source=default_source, **dict(entry)) for entry in manifest.skipped]
    for entry in manifest.mlff:
        if reason := _why_unusable(entry):
            skipped.append(_unusable(entry, reason, default_source))
        else:
            potentials.extend(_machine_learned(entry, folder, default_source))
    return SourceListing(name=name, potentials=tuple(_with_primaries(potentials)), skipped=tuple(skipped))


def usable_entries(
    entries: Iterable[Mapping[str, Any]],
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Part entries that a program wrote into those that the schema accepts and, as skipped entries, the others."""
    usable: list[Mapping[str, Any]] = []
    skipped: list[Mapping[str, Any]] = []
    for entry in entries:
        try:
            Entry.model_validate(entry)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            reason = f"it cannot be written as a manifest entry: {key} {first['msg']}".strip()
            skipped.append({"id": str(entry.get("id"))[:200], "elements": [entry.get("element", "")], "reason": reason})
        else:
            usable.append(entry)
    return usable, skipped


def write_manifest(manifest: Mapping[str, Any], folder: Path) -> None:
    """Write a manifest into a folder, keys in the order given."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump(manifest, Dumper=dumper, sort_keys=False, allow_unicode=True, width=120)
    (folder / FILE_NAME).write_text(text, encoding="utf-8")


def load_yaml(text: str) -> Any:  # noqa: ANN401 - whatever the YAML holds
    """Parse YAML with the fast safe loader (libyaml), or with the plain safe one where that is not built.

    Raises:
        yaml.YAMLError: the text is no YAML, or its aliases stand for unreasonably much. Malformed scalars raise more,
            see `glideflow.config.yaml_text.YAML_ERRORS`.
    """
    import yaml

    kind = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # both build plain data only
    _refuse_deep(yaml.parse(text, Loader=kind))
    loader = kind(text)
    return construct(loader, loader.get_single_node())


def _refuse_deep(events: Iterable[Any]) -> None:
    """Raise if lists and mappings are nested too deeply; the fast loader recurses until the stack is used up."""
    import yaml

    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"found more than {MAX_DEPTH} nested levels", problem_mark=event.start_mark
            )


def _yaml(text: str, where: str) -> object:
    try:
        return load_yaml(text)
    except YAML_ERRORS as error:
        raise PotentialError(
            f"{where} is no YAML: {error}".replace("\n", " "),
            expected=f"a manifest of the schema {SCHEMA}",
            next_step="see docs/potentials.md for an example",
        ) from None


def _refused(where: str, problems: Sequence[str]) -> PotentialError:
    shown = [f"  {problem}" for problem in problems[:20]]
    if len(problems) > len(shown):
        shown.append(f"  ... and {len(problems) - len(shown)} more")
    count = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
    return PotentialError(
        "\n".join([f"{where}: {count}", *shown]),
        expected=f"entries as the schema {SCHEMA} says",
        next_step="correct them; docs/potentials.md describes every key",
    )


def _problem(detail: Any, data: object) -> str:  # noqa: ANN401 - pydantic's error dictionary
    path = list(detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = "unknown key"
    says_it_all = detail["type"] in ("missing", "extra_forbidden", "value_error")
    found = "" if says_it_all else f", found {shortened(detail['input'], 80)}"
    return f"{_place(path, data)}: {message}{found}"


def _place(path: list[str | int], data: object) -> str:
    """Name an entry by its id, e.g. ``potentials[3] (id Cu_x), key pair_coeff[0]``."""
    if len(path) >= 2 and isinstance(data, dict) and path[0] in ("potentials", "mlff") and isinstance(path[1], int):
        entry = data[path[0]][path[1]]
        name = f" (id {entry['id']!s:.60})" if isinstance(entry, dict) and "id" in entry else ""
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path[2:]).lstrip(".")
        return f"{path[0]}[{path[1]}]{name}" + (f", key {key:.200}" if key else "")
    return "key " + ".".join(str(part) for part in path)[:200] if path else "top level"


def _files(entry: _WithFiles, folder: Path) -> tuple[PotentialFile, ...]:
    digests = entry.sha256 or ("",) * len(entry.files)
    return tuple(
        PotentialFile(path=folder / entry.dir / name, sha256=digest)
        for name, digest in zip(entry.files, digests, strict=True)
    )


def _potential(entry: Entry, folder: Path, default_source: str) -> Potential:
    return Potential(
        id=entry.id,
        element=entry.element,
        structure=entry.structure,
        engine="ase" if entry.calculator else "lammps",
        pair_style=entry.pair_style or "",
        pair_coeff=entry.placeholders() if entry.pair_style else (),
        **_calculator(entry),
        files=_files(entry, folder),
        family=entry.family,
        family_primary=entry.family_primary,
        source=entry.source.source or default_source,
        source_status=entry.status,
        flags=_flags(entry),
        fictional=entry.fictional,
        citation=entry.citation or "",
        doi=entry.doi or "",
        licence=entry.license or entry.source.license,
    )


def _machine_learned(entry: MachineLearnedEntry, folder: Path, default_source: str) -> Iterable[Potential]:
    metals = [symbol for symbol in entry.covers if symbol in NATIVE_STRUCTURES]
    for symbol in metals:
        yield Potential(
            id=entry.id if len(entry.covers) == 1 else f"{entry.id}:{symbol}",
            element=symbol,
            structure=NATIVE_STRUCTURES[symbol],
            engine=cast("EngineKind", entry.engine),
            pair_style=entry.pair_style or "",
            pair_coeff=entry.placeholders() if entry.pair_style else (),
            **_calculator(entry),
            files=_files(entry, folder),
            family=entry.family or _paper_family(symbol, entry.citation or ""),
            family_primary=False,
            source=entry.source or default_source,
            source_status=entry.status,
            flags=_flags(entry),
            fictional=entry.fictional,
            citation=entry.citation or "",
            doi=entry.doi or "",
            licence=entry.license,
        )


def _calculator(entry: _WithFiles) -> dict[str, Any]:
    """Fields of a potential that say which calculator evaluates it; empty for pair styles and NEP."""
    if entry.calculator is None:
        return {}
    return {
        "calculator": entry.calculator,
        "calculator_arguments": entry.calculator_arguments(),
        "cutoff_angstrom": entry.cutoff or 0.0,
    }


def _flags(entry: _WithFiles) -> tuple[str, ...]:
    return (*entry.flags, f"file modified: {entry.modified}") if entry.modified else entry.flags


def _paper_family(element: str, citation: str) -> str:
    """Family of a machine-learned potential without one: fits of one paper share data and method, so are relatives."""
    author = re.match(r"[^\W\d_]+", citation)
    year = re.search(r"\((\d{4})\)", citation)
    return f"{element}-{author[0]}-{year[1]}" if author and year else ""


def _with_primaries(potentials: list[Potential]) -> list[Potential]:
    """Mark entries without a family, and the first of a family for which the manifest marks none."""
    from dataclasses import replace

    marked = {potential.family for potential in potentials if potential.family_primary}
    result = []
    for potential in potentials:
        if not potential.family or potential.family not in marked:
            potential = replace(potential, family_primary=True)
            marked.add(potential.family)
        result.append(potential)
    return result


def _why_unusable(entry: MachineLearnedEntry) -> str:
    """Why no engine evaluates an entry; empty if one does."""
    from glideflow.engines.nep import calorine_is_installed

    if entry.engine in ("lammps", "ase"):
        return ""
    if entry.engine != "nep":
        return f"needs the engine {entry.engine!r}, which this version does not have"
    if not calorine_is_installed():
        return 'needs calorine: pip install "glideflow[nep]" (it is compiled with a C++ compiler)'
    return ""


def _unusable(entry: MachineLearnedEntry, reason: str, default_source: str) -> Skipped:
    return Skipped(
        id=entry.id,
        source=entry.source or default_source,
        elements=entry.covers or entry.elements,
        engine=entry.engine,
        reason=reason,
    )
