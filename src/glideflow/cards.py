"""Cards: JSON files that say what a file of arrays is, and notice when one of the two is changed or mixed up.

The card names the digest of the arrays and carries one of itself. Digests are against damage and mix-ups, not against
forgery.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glideflow.atomic import write_text
from glideflow.errors import StorageError
from glideflow.tensor_files import Arrays, read_tensors, write_tensors

LARGEST_CARD_BYTES = 4 * 2**20

_SCHEMA = "schema"
_ARRAYS_DIGEST = "tensors_sha256"
_SELF_DIGEST = "card_sha256"


def card_path(path: Path) -> Path:
    """Card that belongs to a file of arrays."""
    return path.with_suffix(".json")


def write_with_card(
    path: Path, arrays: Arrays, content: Mapping[str, Any], *, schema: str, metadata: Mapping[str, str]
) -> None:
    """Write arrays, then the card that belongs to them; numbers that JSON cannot say become null.

    Args:
        path: file of the arrays, ``*.safetensors``; the card gets the ending ``.json``.
        arrays: arrays by name.
        content: the card, as JSON.
        schema: name and version of what the card says.
        metadata: texts for the header of the arrays.

    Raises:
        StorageError: a file cannot be written, or the name does not end in ``.safetensors``.
    """
    _refuse_other_ending(path)
    digest = write_tensors(path, arrays, {_SCHEMA: schema, **metadata})
    whole = plain_json({_SCHEMA: schema, _ARRAYS_DIGEST: digest, **content})
    text = json.dumps(whole | {_SELF_DIGEST: _self_digest(whole)}, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(card_path(path), text + "\n")


def read_with_card(path: Path, *, schema: str) -> tuple[Arrays, dict[str, Any]]:
    """Read what `write_with_card` wrote.

    Args:
        path: file of the arrays.
        schema: what the card has to be.

    Raises:
        StorageError: a file is missing, damaged, changed or too large, or the card belongs to other arrays.
    """
    _refuse_other_ending(path)
    digest, content = read_card_content(card_path(path), schema=schema)
    file = read_tensors(path, kind="the arrays of a model")
    if file.sha256 != digest:
        raise StorageError(
            f"{path} has the SHA-256 {file.sha256}",
            expected=f"{digest}, as {card_path(path).name} says: one of the two was changed or is another model's",
            next_step="get both files of the model again",
        )
    return file.arrays, content


def read_card_content(path: Path, *, schema: str) -> tuple[str, dict[str, Any]]:
    """Digest of the arrays, and what else a card says.

    Raises:
        StorageError: the card is missing, damaged, of another schema, or was changed.
    """
    content = _json(path)
    stated = content.pop(_SELF_DIGEST, "")
    if content.get(_SCHEMA) != schema:
        raise no_card(path, f"its schema is {content.get(_SCHEMA, 'none')!r:.80}")
    if stated != _self_digest(content) or not isinstance(content.get(_ARRAYS_DIGEST), str):
        raise no_card(path, "its content is not what was written")
    content.pop(_SCHEMA)
    return content.pop(_ARRAYS_DIGEST), content


def no_card(path: Path, reason: str) -> StorageError:
    """The error for a file that should be a card."""
    return StorageError(
        f"{path} is damaged or no card of a model: {reason}",
        expected="the card as it was written",
        next_step="get both files of the model again",
    )


def plain_json(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same with null for what JSON cannot say: NaN and infinity."""
    if isinstance(value, Mapping):
        return {str(name): plain_json(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_CARD_BYTES + 1)
        if len(content) > LARGEST_CARD_BYTES:
            raise no_card(path, f"it has more than {LARGEST_CARD_BYTES} bytes")
        found = json.loads(content)
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror}",
            expected="the card of a model, beside its .safetensors file",
            next_step="keep the two files of a model together",
        ) from error
    except (ValueError, RecursionError) as error:
        raise no_card(path, f"it is no JSON ({type(error).__name__})") from error
    if not isinstance(found, dict):
        raise no_card(path, f"it holds a {type(found).__name__}")
    return found


def _self_digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _refuse_other_ending(path: Path) -> None:
    if path.suffix != ".safetensors":
        raise StorageError(
            f"{path} as a file of a model", expected="a name that ends in .safetensors", next_step="rename it"
        )
