"""A Snakemake profile, read as Snakemake finds it, without Snakemake."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from glideflow.errors import ConfigurationError

_FILE = re.compile(r"(?:profile|config)(?:\.v(\d+)\+)?\.yaml")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A profile.

    Attributes:
        file: where it lies.
        keys: its content, keys as on Snakemake's command line.
    """

    file: Path
    keys: Mapping[str, Any]

    @property
    def default_resources(self) -> dict[str, str]:
        """Resources of jobs whose rule names no others."""
        return _pairs(self.keys.get("default-resources"))

    def partitions(self, rules: Iterable[str]) -> tuple[str, ...]:
        """Partitions to which the jobs of some rules go; none where Slurm's default is used."""
        per_rule = _rule_sections(self.keys.get("set-resources"))
        default = self.default_resources
        chosen = [per_rule.get(rule, {}).get("slurm_partition") or default.get("slurm_partition", "") for rule in rules]
        return tuple(dict.fromkeys(part.strip() for text in chosen for part in text.split(",") if part.strip()))

    @property
    def accounts(self) -> tuple[str, ...]:
        """Accounts that its jobs go to."""
        return tuple(part for part in re.split(r"[,\s]+", self.default_resources.get("slurm_account", "")) if part)

    @property
    def configuration(self) -> dict[str, Any]:
        """Values of the run's configuration that it sets, as ``snakemake --config`` would; unreadable ones left out."""
        values: dict[str, Any] = {}
        for key, text in _pairs(self.keys.get("config")).items():
            with suppress(yaml.YAMLError, RecursionError, ValueError):
                values[key] = yaml.safe_load(text)
        return values

    def text(self, key: str, default: str = "") -> str:
        """A value as text."""
        value = self.keys.get(key)
        return default if value is None else str(value)

    def number(self, key: str) -> int | None:
        """A value as a whole number, None if it is none."""
        value = self.text(key)
        return int(value) if value.isascii() and value.isdigit() else None


def find_profile(name: str, base: Path) -> Path | None:
    """File of a profile by its name, folder or file, looked for where Snakemake looks; None if there is none.

    Args:
        name: as given to ``snakemake --profile``.
        base: folder in which Snakemake would be started.
    """
    given = base / Path(name).expanduser()
    if given.is_file():
        return given
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "snakemake"
    site = [Path(folder) / "snakemake" for folder in (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")]
    folders = [given] if given.exists() else [folder / name for folder in (settings, *site[:1])]
    for folder in folders:
        files = [(int(found.group(1) or 0), file) for file, found in _candidates(folder)]
        if files:
            return max(files)[1]
    return None


def _candidates(folder: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        found = _FILE.fullmatch(file.name)
        if found:
            yield file, found


def read_profile(file: Path) -> Profile:
    """Read a profile; what it computes by templates (``__use_yte__``) is left as it stands.

    Raises:
        ConfigurationError: the file cannot be read, or is no YAML mapping.
    """
    try:
        keys = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigurationError(
            f"cannot read the profile {file}: {' '.join(str(error).split())}",
            expected="a YAML mapping of Snakemake's options",
            next_step="correct it, or write another one with `glideflow doctor --write-profile DIR`",
        ) from error
    if not isinstance(keys, dict):
        raise ConfigurationError(
            f"the profile {file} holds a {type(keys).__name__}",
            expected="a YAML mapping of Snakemake's options",
            next_step="write another one with `glideflow doctor --write-profile DIR`",
        )
    return Profile(file=file, keys={str(key): value for key, value in keys.items()})


def _pairs(section: object) -> dict[str, str]:
    """Resources as a mapping, from a mapping or from a list of ``key=value``."""
    if isinstance(section, Mapping):
        return {str(key): str(value) for key, value in section.items()}
    if isinstance(section, list):
        parts = [str(item).partition("=") for item in section]
        return {key: value for key, separator, value in parts if separator}
    return {}


def _rule_sections(per_rule: object) -> dict[str, dict[str, str]]:
    """Resources of single rules, from a mapping or from a list of ``rule:key=value``."""
    if isinstance(per_rule, Mapping):
        return {str(rule): _pairs(section) for rule, section in per_rule.items()}
    sections: dict[str, dict[str, str]] = {}
    for item in per_rule if isinstance(per_rule, list) else ():
        rule, _, pair = str(item).partition(":")
        sections.setdefault(rule, {}).update(_pairs([pair]))
    return sections
