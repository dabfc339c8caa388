"""NIST Interatomic Potentials Repository, through its own package ``potentials``.

A run reads a local copy and never the network; `fetch` fills the copy. Records are read with the package's record
classes one by one, not through its ``Database``, which writes an index into the copy and answers nothing about missing
files. What was read is kept in the cache until a record of the copy changes.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from glideflow.atomic import write_text
from glideflow.errors import DependencyError, GlideflowError, PotentialError
from glideflow.potentials.cache import cache_folder, folder_made_once
from glideflow.potentials.folder import read_manifest_text, without_outside_files
from glideflow.potentials.identifiers import METALS, NATIVE_STRUCTURES, slug
from glideflow.potentials.listing import Skipped, SourceListing
from glideflow.potentials.manifest import FILE_NAME, SCHEMA, listing_of, parse_manifest, usable_entries, write_manifest
from glideflow.potentials.record import Potential, file_sha256
from glideflow.potentials.references import citation
from glideflow.potentials.relatives import relative

SOURCE: Final = "NIST Interatomic Potentials Repository"
RECORDS: Final = "potential_LAMMPS"
ENTRIES: Final = "Potential"
READING_VERSION: Final = 2
"""Raised whenever records are read differently, so that what the cache holds is read again."""

STYLES: Final = frozenset(
    {"eam", "eam/alloy", "eam/fs", "eam/he", "adp", "meam", "meam/spline", "meam/sw/spline", "snap"}
)
"""Pair styles that need one atom type and nothing but parameter files."""

DIGESTS: Final = "SHA256SUMS"
"""In the folder of each record: what its files were when they were downloaded."""
MAX_DOWNLOAD_BYTES: Final = 256 * 2**20
TIMEOUT_S: Final = 60.0
_BLOCK_BYTES: Final = 2**16
_DIGEST_LINE: Final = re.compile(r"([0-9a-f]{64}) [ *](.+)")

_PLACE: Final = "GLIDEFLOW-FOLDER"
"""Stands for the folder of the files in the commands that the package builds."""
_SAFE_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+ -]{0,119}")


@dataclass(frozen=True, kw_only=True)
class FetchReport:
    """What a fetch brought.

    Attributes:
        folder: the local copy.
        records: ids of the records that it holds now and that were asked for.
        missing: what could not be had: parameter files, as ``record id: file name``, and publications.
    """

    folder: Path
    records: tuple[str, ...]
    missing: tuple[str, ...]


def load_nist(path: str, base: Path, cache: Path | None = None) -> SourceListing:
    """The usable potentials of a local copy, for every metal that they cover.

    Potentials whose parameter files are not there are listed as skipped, with the names of the files.

    Args:
        path: folder of the copy, laid out as the ``potentials`` package does (``potential_LAMMPS/*.json``).
        base: folder to which a relative ``path`` refers.
        cache: folder for what was read; `glideflow.potentials.cache.cache_folder` by default.

    Raises:
        PotentialError: there is no copy.
        DependencyError: the ``potentials`` package is needed for it and not installed.
        StorageError: the cache cannot be written.
    """
    folder = base / Path(path).expanduser()
    records = _json_files(folder / RECORDS)
    if not records:
        raise PotentialError(
            f"{folder} holds no LAMMPS potentials of the NIST repository",
            expected=f"a local copy with {RECORDS}/*.json",
            next_step="`glideflow potentials fetch` makes one (it needs a network)",
        )
    read = folder_made_once(
        (cache or cache_folder()) / "nist" / _key(folder, records), lambda made: _read(folder, records, made)
    )
    manifest = parse_manifest(read_manifest_text(read), str(read / FILE_NAME))
    listing = listing_of(manifest, folder, SOURCE, default_source=SOURCE)
    return _without_missing(without_outside_files(listing, folder))


def fetch(
    path: str,
    base: Path,
    *,
    elements: Sequence[str] = METALS,
    pair_styles: Iterable[str] = STYLES,
    database: Any = None,  # noqa: ANN401 - a potentials.Database, which has no types
) -> FetchReport:
    """Download records and parameter files into a local copy; what is there already stays.

    Args:
        path: folder of the copy, made if needed.
        base: folder to which a relative ``path`` refers.
        elements: chemical symbols.
        pair_styles: LAMMPS pair styles.
        database: where to fetch from; potentials.nist.gov by default.

    Raises:
        DependencyError: the ``potentials`` package is not installed, or the repository cannot be reached.
    """
    folder = base / Path(path).expanduser()
    database = _database(folder) if database is None else database
    records: dict[str, Any] = {}
    for symbol in elements:
        for record in _remote_records(database, symbol, sorted(pair_styles)):
            records.setdefault(str(record.id), record)
    missing = [f"{name}: {file}" for name, record in records.items() for file in _download(database, record, folder)]
    missing += _download_entries(database, {str(record.potid) for record in records.values() if record.potid})
    return FetchReport(folder=folder, records=tuple(records), missing=tuple(missing))


def _json_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json")) if folder.is_dir() else []


def _key(folder: Path, records: Iterable[Path]) -> str:
    digest = hashlib.sha256(f"{READING_VERSION} {folder.resolve()}".encode())
    digests = sorted((folder / RECORDS).glob(f"*/{DIGESTS}"))
    for file in (*records, *_json_files(folder / ENTRIES), *digests):
        status = file.stat()
        digest.update(f"\n{file.relative_to(folder)} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:20]


def _read(folder: Path, records: Iterable[Path], target: Path) -> None:
    entries = _citations(folder)
    potentials: list[Mapping[str, Any]] = []
    skipped: list[Mapping[str, Any]] = []
    for file in records:
        try:
            potentials.extend(_with_digests(entry, folder) for entry in _entries(_record(file), entries))
        except _UnusableError as error:
            skipped.append({"id": file.stem[:200], "elements": list(error.elements), "reason": str(error)})
    usable, refused = usable_entries(potentials)
    write_manifest({"schema": SCHEMA, "potentials": usable, "skipped": skipped + refused}, target)


def _with_digests(entry: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """The entry with what its files were when they were downloaded, if that was noted of all of them."""
    known = _noted_digests(folder / entry["dir"])
    found = [known[name] for name in entry["files"] if name in known]
    return {**entry, "sha256": found} if len(found) == len(entry["files"]) else entry


class _UnusableError(Exception):
    """A record cannot be used; the message says why."""

    def __init__(self, reason: str, elements: Iterable[str] = ()) -> None:
        super().__init__(reason)
        self.elements = tuple(elements)


def _record(file: Path) -> Any:  # noqa: ANN401 - the package has no types
    """One record as the package reads it."""
    try:
        from potentials.record.PotentialLAMMPS import PotentialLAMMPS
    except ImportError as error:
        raise _no_package() from error
    try:
        return PotentialLAMMPS(model=str(file), pot_dir=_PLACE)
    except Exception as error:  # the package raises whatever a damaged record makes it stumble over
        raise _UnusableError(f"the record cannot be read: {type(error).__name__}: {error!s:.200}") from error


def _entries(record: Any, citations: Mapping[str, Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401
    elements = [str(element) for element in record.elements()]
    metals = [(symbol, element) for symbol, element in zip(record.symbols, elements, strict=True) if element in METALS]
    if not metals:
        return
    if record.pair_style not in STYLES or record.units != "metal" or record.atom_style != "atomic":
        what = f"pair style {record.pair_style}, units {record.units}, atom style {record.atom_style}"
        raise _UnusableError(f"{what}: one of {', '.join(sorted(STYLES))} in metal units is used", elements)
    if record.allsymbols and len(elements) > 1:
        raise _UnusableError("it wants an atom type for every element", elements)
    files = [str(artifact.filename) for artifact in record.artifacts or []]
    if not files or not all(_SAFE_FILE.fullmatch(name) for name in files):
        raise _UnusableError("its files have no plain names", elements)
    for symbol, element in metals:
        yield _entry(record, str(symbol), element, files, citations.get(str(record.potid), {}))


def _entry(record: Any, symbol: str, element: str, files: list[str], about: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ANN401
    pair_style, pair_coeff = _commands(record, symbol)
    label = element if symbol == element else f"{element}_{symbol}"
    known = relative(str(record.id), element)
    dois = [str(doi) for doi in record.dois or []]
    return {
        "id": f"{label}_{slug(str(record.id))}"[:128],
        "element": element,
        "structure": NATIVE_STRUCTURES[element],
        "pair_style": pair_style,
        "pair_coeff": pair_coeff,
        "dir": f"{RECORDS}/{record.id}",
        "files": [name for name in files if any(name in line for line in pair_coeff)],
        "status": record.status if record.status in ("superseded", "retracted") else known.status if known else "ok",
        "flags": list(known.flags) if known else [],
        "fictional": bool(about.get("fictional")),
        "family": known.family if known else "",
        "citation": str(about.get("text") or f"{SOURCE}, entry {record.potid}"),
        "doi": dois[0] if dois else "",
        "license": "as stated by its authors; the repository states none",
        "source": {"id": str(record.id), "source": SOURCE},
    }


def _commands(record: Any, symbol: str) -> tuple[str, list[str]]:  # noqa: ANN401 - the package has no types
    """Pair style and arguments of ``pair_coeff`` that the package gives for one atom type."""
    style, lines = "", []
    for line in record.pair_info(symbols=[symbol], comments=False).splitlines():
        command, _, arguments = line.strip().partition(" ")
        if command == "pair_style":
            style = arguments.strip()
        elif command == "pair_coeff":
            # One atom type: `1 1` and `* *` are the same.
            lines.append(re.sub(r"^1 1 ", "* * ", arguments.strip()).replace(f"{_PLACE}/", "{dir}/"))
        elif command not in ("", "mass"):
            raise _UnusableError(f"it needs the command {command}", record.elements())
    return style, lines


def _citations(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """Publication and ``fictional`` flag by the id of the repository's entry, where the copy holds entries.

    Read as the JSON that they are: the package's own class makes BibTeX of them on the way, for which it needs a
    release of bibtexparser that it does not insist on.
    """
    about: dict[str, Mapping[str, Any]] = {}
    for file in _json_files(folder / ENTRIES):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # costs a citation, not a potential
            entry = json.loads(file.read_text(encoding="utf-8"))["interatomic-potential"]
            papers = _as_list(entry["description"].get("citation"))
            about[str(entry["id"])] = {
                "text": _paper(papers[0]) if papers else "",
                "fictional": bool(entry.get("fictional-element")),
            }
    return about


def _paper(paper: Mapping[str, Any]) -> str:
    names = [(author["surname"], author.get("given-name", "")) for author in _as_list(paper.get("author"))]
    fields = {
        "author": " and ".join(f"{surname}, {given}" for surname, given in names),
        "title": paper.get("title"),
        "journal": paper.get("publication-name"),
        "volume": paper.get("volume"),
        "pages": paper.get("pages"),
        "year": paper.get("publication-date", {}).get("year"),
    }
    return citation({key: str(value) for key, value in fields.items() if value})


def _as_list(value: Any) -> list[Any]:  # noqa: ANN401 - the data model writes one item without a list
    return value if isinstance(value, list) else [] if value is None else [value]


def _without_missing(listing: SourceListing) -> SourceListing:
    there: list[Potential] = []
    skipped = list(listing.skipped)
    for potential in listing.potentials:
        absent = [file.path.name for file in potential.files if not file.path.is_file()]
        if absent:
            reason = f"missing in the local copy: {', '.join(absent)}; `glideflow potentials fetch` brings them"
            skipped.append(
                Skipped(id=potential.id, source=potential.source, elements=(potential.element,), reason=reason)
            )
        else:
            there.append(potential)
    return SourceListing(name=listing.name, potentials=tuple(there), skipped=tuple(skipped))


def _no_package() -> DependencyError:
    return DependencyError(
        "the package potentials is not installed",
        expected="potentials 0.4.2 or newer, which reads the records of the NIST repository",
        next_step='pip install "glideflow[nist]"',
    )


def _database(folder: Path) -> Any:  # noqa: ANN401 - the package has no types
    try:
        import potentials
    except ImportError as error:
        raise _no_package() from error
    try:
        return potentials.Database(local=True, remote=True, localpath=str(folder))
    except OSError as error:  # requests' errors are OSErrors
        raise _unreachable(error) from error


def _remote_records(database: Any, symbol: str, pair_styles: Sequence[str]) -> Iterable[Any]:  # noqa: ANN401
    # Not database.get_records(remote=True), which takes a failed connection for an empty answer.
    try:
        return list(database.remote_database.get_records(RECORDS, elements=symbol, pair_style=list(pair_styles)))
    except OSError as error:
        raise _unreachable(error) from error


def _download(database: Any, record: Any, folder: Path) -> list[str]:  # noqa: ANN401 - the package has no types
    """Save one record and its files; names of files that are still missing."""
    urls = {str(artifact.filename): str(artifact.url) for artifact in record.artifacts or []}
    plain = all(_SAFE_FILE.fullmatch(name) and name != DIGESTS for name in urls)
    if not plain or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", str(record.id)):
        return [f"{name!r:.120} (refused: not a plain file name)" for name in urls]
    target = folder / RECORDS / record.id
    target.mkdir(parents=True, exist_ok=True)
    missing: list[str] = []
    for name, url in urls.items():
        if not (target / name).is_file() and (problem := _download_file(url, target / name)) is not None:
            missing.append(f"{name}{problem}")
    with redirect_stdout(sys.stderr):
        database.save_record(record=record, overwrite=True)
    return missing


def _download_file(url: str, target: Path) -> str | None:
    """Bring one file and note its digest; what went wrong if anything did, empty if the file is not there."""
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as made:
            file = download(url, Path(made, target.name))
            _note_digest(target.parent, target.name, file_sha256(file))
            file.replace(target)  # so that no file is ever there in part
    except FileNotFoundError:
        return ""
    except GlideflowError as error:
        return f" ({error.found:.120})"
    except OSError as error:
        return f" ({error!s:.120})"
    return None


def download(url: str, target: Path, limit_bytes: int = MAX_DOWNLOAD_BYTES) -> Path:
    """Bring a file over HTTP(S) in blocks, which the ``potentials`` package would take into memory whole.

    Args:
        url: address.
        target: file to write.
        limit_bytes: size beyond which it is broken off.

    Raises:
        PotentialError: the address is of another kind, or the file is larger than the limit.
        FileNotFoundError: the server does not have it.
        OSError: the server does not answer, or the file cannot be written.
    """
    import requests

    if urlsplit(url).scheme not in ("http", "https"):
        raise PotentialError(f"the address {url!r:.80}", expected="http or https", next_step="tell the repository")
    size = 0
    with requests.get(url, stream=True, timeout=TIMEOUT_S) as response, target.open("wb") as stream:
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise FileNotFoundError(url)
        response.raise_for_status()
        for block in response.iter_content(_BLOCK_BYTES):
            size += len(block)
            if size > limit_bytes:
                raise PotentialError(
                    f"larger than {limit_bytes} bytes",
                    expected="a parameter file",
                    next_step="download it by hand if it is one",
                )
            stream.write(block)
    return target


def _note_digest(folder: Path, name: str, digest: str) -> None:
    """Note what was downloaded, as ``sha256sum`` does: the repository states no digests, later changes are seen."""
    known = _noted_digests(folder) | {name: digest}
    write_text(folder / DIGESTS, "".join(f"{known[name]}  {name}\n" for name in sorted(known)))


def _noted_digests(folder: Path) -> dict[str, str]:
    """Digests by file name."""
    try:
        lines = (folder / DIGESTS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return {match[2]: match[1] for line in lines if (match := _DIGEST_LINE.fullmatch(line))}


def _download_entries(database: Any, ids: Collection[str]) -> list[str]:  # noqa: ANN401 - the package has no types
    """Save the repository's entries, which hold the publications; what went wrong if they cannot be had."""
    try:
        for entry in database.remote_database.get_records(ENTRIES, id=sorted(ids)) if ids else ():
            database.save_record(record=entry, overwrite=True)
    except Exception as error:  # whatever the package makes of an entry: citations fall back to the identifier
        return [f"publications of {len(ids)} entries ({type(error).__name__}: {error!s:.120})"]
    return []


def _unreachable(error: OSError) -> DependencyError:
    return DependencyError(
        f"the NIST repository cannot be reached: {error!s:.200}",
        expected="a network that reaches potentials.nist.gov",
        next_step="fetch on a machine with a network, and copy the folder",
    )
