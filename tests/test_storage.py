from __future__ import annotations

import os
import resource
import tempfile
import typing
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from glideflow.crystals.lattices import FloatArray
from glideflow.errors import StorageError
from glideflow.properties.results import (
    CoreResult,
    ElasticResult,
    GammaSurfaceResult,
    LatticeResult,
    LoadingCurve,
    PeierlsStressResult,
)
from glideflow.records import Library, LibraryEntry, PotentialSummary, Provenance, StageFailure, StageRecord
from glideflow.storage import WrongKindError, describe, read_record, record, unit_of, write_record

RECORDS = (
    LatticeResult,
    ElasticResult,
    GammaSurfaceResult,
    CoreResult,
    LoadingCurve,
    PeierlsStressResult,
    PotentialSummary,
    Provenance,
    StageFailure,
    StageRecord,
    LibraryEntry,
    Library,
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_+:-]{0,20}", fullmatch=True)
"""What names groups in a file: potentials, properties, directions."""
IDENTIFIERS = {
    "id",
    "name",
    "property",
    "slip_system",
    "character",
    "direction",
    "potential",
    "model",
    "split",
    "control",
}
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
ARRAYS = arrays(float, array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9), elements=NUMBERS) | arrays(
    np.int64, array_shapes(min_dims=1, max_dims=1, max_side=80)
)


def strategy(hint: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Values of an annotated field of a record."""
    options, origin = typing.get_args(hint), typing.get_origin(hint)
    if is_dataclass(hint):
        return instances(hint)
    if hint is str:
        return NAMES if name in IDENTIFIERS else TEXTS
    if hint in (float, int, bool):
        return {float: NUMBERS, int: st.integers(-(2**62), 2**62), bool: st.booleans()}[hint]
    if origin is np.ndarray or hint == FloatArray:
        return ARRAYS
    if origin is tuple and options[0] is str:
        return st.lists(TEXTS, max_size=4).map(tuple)
    if origin is tuple and is_dataclass(options[0]):
        named = lambda member: getattr(member, "record_name", id(member))
        return st.lists(instances(options[0]), max_size=2, unique_by=named).map(tuple)
    if type(None) in options:
        return st.one_of(st.none(), *(strategy(option, name) for option in options if option is not type(None)))
    raise AssertionError(f"no strategy for {hint}")


def instances(cls: type) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls, localns={"FloatArray": NDArray[np.float64], "property": str})
    return st.builds(cls, **{field.name: strategy(hints[field.name], field.name) for field in fields(cls)})


def equal(first: Any, second: Any, *, promoted: bool = False) -> bool:
    """Whether two values are the same; ``promoted``: integers in arrays may have become floats."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key], promoted=promoted) for key in first)
    if isinstance(first, tuple | list):
        pairs = zip(first, second, strict=False)
        return len(first) == len(second) and all(equal(one, other, promoted=promoted) for one, other in pairs)
    if isinstance(first, np.ndarray):
        first = first.astype(second.dtype) if promoted else first
        return first.dtype == second.dtype and np.array_equal(first, second, equal_nan=True)
    if isinstance(first, float):
        return type(second) is float and (first == second or (np.isnan(first) and np.isnan(second)))
    return type(first) is type(second) and first == second


QUICK = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
@QUICK
@given(data=st.data())
def test_every_record_comes_back_as_it_was(tmp_path: Path, cls: type, data: st.DataObject) -> None:
    value = data.draw(instances(cls))
    path = tmp_path / "record.h5"
    write_record(path, value, {"note": "Å γ"})
    found = read_record(path, cls)
    assert equal(asdict(found), asdict(value))
    first = path.read_bytes()
    write_record(path, found, {"note": "Å γ"})
    assert path.read_bytes() == first, "the same record gives the same bytes"
    write_record(path, value, layout="columns")
    assert equal(asdict(value), asdict(read_record(path, cls)), promoted=True)
    assert list(tmp_path.iterdir()) == [path], "no temporary files are left"


CURVE = LoadingCurve(
    direction="forward",
    peierls_mpa=3.0,
    stable_mpa=2.9,
    unstable_mpa=3.1,
    stress_mpa=np.linspace(0, 3, 200),
    outcome=("stable", "glides"),
    core_position_angstrom=np.random.default_rng(0).normal(size=2000),
    shear_strain=np.zeros(3),
    largest_force_ev_per_angstrom=np.ones(2),
    energy_ev=np.zeros(2),
    evaluations=np.array([3, 4]),
    jumps=0,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "with space" / "curve γ.h5"
    write_record(path, CURVE)
    return path


def test_units_stand_beside_the_numbers(file: Path) -> None:
    with h5py.File(file) as content:
        assert content["stress_mpa"].attrs["unit"] == "MPa"
        assert content["core_position_angstrom"].attrs["unit"] == "Å"
        assert content["largest_force_ev_per_angstrom"].attrs["unit"] == "eV/Å"
        assert content["jumps"].attrs["unit"] == "1"
        assert content.attrs["schema"] == "glideflow/LoadingCurve"
        assert content.attrs["schema_version"] == 1


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("c11_gpa", "GPa"),
        ("gamma_isf_mj_m2", "mJ/m²"),
        ("energy_ev_per_atom", "eV/atom"),
        ("volume_angstrom3", "Å³"),
        ("wavevectors_per_angstrom", "1/Å"),
        ("wall_time_s", "s"),
        ("atoms", "1"),
        ("evaluations", "1"),
        ("born_stable", "1"),
    ],
)
def test_units_by_name(name: str, unit: str) -> None:
    assert unit_of(name) == unit


def test_every_cut_is_noticed(file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    cut = tmp_path / "cut.h5"
    for length in [*range(0, len(content), 1000), len(content) - 1]:
        cut.write_bytes(content[:length])
        with pytest.raises(StorageError) as caught:
            read_record(cut, LoadingCurve)
        assert str(cut) in caught.value.found
        assert "again" in caught.value.next_step


@pytest.mark.parametrize("garbage", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 4096])
def test_what_is_no_hdf5_is_refused(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "garbage.h5"
    path.write_bytes(garbage)
    for read in (lambda: read_record(path, LoadingCurve), lambda: list(describe(path))):
        with pytest.raises(StorageError, match="HDF5"):
            read()


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        read_record(tmp_path / "nowhere.h5", LoadingCurve)


def test_a_folder_is_refused_and_a_file_in_it_named(tmp_path: Path) -> None:
    for read in (lambda: read_record(tmp_path, LoadingCurve), lambda: list(describe(tmp_path))):
        with pytest.raises(WrongKindError, match="is a folder") as caught:
            read()
        assert "holds no HDF5 file" in caught.value.next_step
        (tmp_path / "in").mkdir(exist_ok=True)
    inside = tmp_path / "in/lattice.h5"
    inside.touch()
    with pytest.raises(WrongKindError) as caught:
        list(describe(tmp_path))
    assert str(inside) in caught.value.next_step


def test_a_file_that_never_was_hdf5_is_not_to_be_deleted(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("name: quick\n")
    with pytest.raises(WrongKindError) as caught:
        list(describe(path))
    assert "delete" not in caught.value.next_step
    assert ".h5" in caught.value.expected


def test_foreign_hdf5_is_refused_but_described(tmp_path: Path) -> None:
    path = tmp_path / "foreign.h5"
    with h5py.File(path, "w") as content:
        content["weights"] = np.arange(10.0)
    with pytest.raises(StorageError, match="schema 'none'"):
        read_record(path, LoadingCurve)
    assert [row[0] for row in describe(path)] == ["weights"]


def test_another_record_is_refused(file: Path) -> None:
    with pytest.raises(WrongKindError, match="schema 'glideflow/LoadingCurve'") as caught:
        read_record(file, LatticeResult)
    assert "glideflow/LatticeResult" in caught.value.expected


def altered(file: Path, change: Callable[[h5py.File], Any]) -> Path:
    with h5py.File(file, "r+") as content:
        change(content)
    return file


def test_another_schema_version_is_refused(file: Path) -> None:
    altered(file, lambda content: content.attrs.modify("schema_version", 99))
    with pytest.raises(StorageError, match="schema version 99"):
        read_record(file, LoadingCurve)


@pytest.mark.parametrize("field", ["peierls_mpa", "stress_mpa", "outcome", "direction"])
def test_missing_fields_are_named(file: Path, field: str) -> None:
    altered(file, lambda content: content.__delitem__(field))
    with pytest.raises(StorageError, match=field):
        read_record(file, LoadingCurve)


def test_missing_optional_field_is_none(file: Path) -> None:
    path = file.with_name("jump.h5")
    write_record(path, replace(CURVE, before_jump_mpa=1.5))
    assert read_record(path, LoadingCurve).before_jump_mpa == 1.5
    altered(path, lambda content: content.__delitem__("before_jump_mpa"))
    assert read_record(path, LoadingCurve).before_jump_mpa is None


def test_texts_that_hdf5_cannot_hold_are_stored_with_replacements(tmp_path: Path) -> None:
    failure = StageFailure(error_class="Crashed", reason="zero \0 and \udcff byte", evidence="α\0β")
    write_record(tmp_path / "odd.h5", failure)
    found = read_record(tmp_path / "odd.h5", StageFailure)
    assert found.reason.startswith("zero \N{REPLACEMENT CHARACTER} and")
    assert found.evidence == "α\N{REPLACEMENT CHARACTER}β"


def test_two_records_of_one_name_are_a_mistake_of_the_programmer(tmp_path: Path) -> None:
    potential = PotentialSummary(
        **dict.fromkeys(PotentialSummary.__dataclass_fields__, "a") | {"source_flags": (), "fictional": False}
    )
    entry = LibraryEntry(potential=potential, stages=())
    library = Library(name="twice", glideflow_version="0", settings_json="{}", entries=(entry, entry))
    with pytest.raises(ValueError, match="same name"):
        write_record(tmp_path / "twice.h5", library)
    assert not list(tmp_path.iterdir())


def test_only_frozen_dataclasses_are_records(tmp_path: Path) -> None:
    @dataclass
    class Open:
        value_ev: float

    with pytest.raises(TypeError, match="not a frozen dataclass"):
        record(Open)
    with pytest.raises(TypeError, match="not decorated"):
        write_record(tmp_path / "open.h5", Open(1.0))


def test_a_failed_write_leaves_what_was_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()

    def fail(path: Path, content: bytes) -> int:
        with path.open("wb") as stream:
            stream.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(StorageError, match="No space left on device"):
        write_record(file, CURVE)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot write"):
        write_record(tmp_path / "file" / "record.h5", CURVE)


def in_a_fork(task: Callable[[], None]) -> int:
    """Exit status of a task in a forked process, 99 if it raised something unexpected."""
    pid = os.fork()
    if pid == 0:
        try:
            task()
            os._exit(0)
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def expect_storage_error(path: Path, value: object) -> None:
    try:
        write_record(path, value)
    except StorageError:
        os._exit(42)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_read_only_folder() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)

        def task() -> None:
            if os.geteuid() == 0:  # nothing is read-only to root
                os.setuid(65534)
            expect_storage_error(folder / "record.h5", CURVE)

        assert in_a_fork(task) == 42
        assert not list(folder.iterdir())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("limit", [100, 3000, 12_000])
def test_full_disk(tmp_path: Path, limit: int) -> None:
    """A limit on the size of files ends a write in the middle, as a disk that fills up does."""
    path = tmp_path / "record.h5"

    def task() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        expect_storage_error(path, CURVE)

    assert in_a_fork(task) == 42
    assert not list(tmp_path.iterdir())
