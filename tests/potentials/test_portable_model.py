from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glideflow.errors import PotentialError
from glideflow.potentials.portable_model import read_portable_model

NAME = "EAM_Dynamo_Someone_2020_Cu__MO_000000000001_000"


def test_a_model_is_read_as_it_was_written(make_model: Callable[..., bytes]) -> None:
    files = {"first.eam": b"\x00\x01binary\xff", "second": b"x" * 5000, "empty": b" "}
    content = make_model(NAME, "EAM_Dynamo__MD_120291908751_005", files, {"kimspec.edn": b"{}"})
    model = read_portable_model(content)
    assert (model.name, model.driver) == (NAME, "EAM_Dynamo__MD_120291908751_005")
    assert model.files == files
    assert list(model.files) == list(files)
    assert model.metadata == {"kimspec.edn": b"{}"}


def test_a_simulator_model_has_its_specification_among_the_metadata(make_model: Callable[..., bytes]) -> None:
    content = make_model(NAME, "", {"a.adp": b"1"}, {"kimspec.edn": b"{}"}, ("smspec.edn", b'{"x" 1}'))
    model = read_portable_model(content)
    assert model.driver == ""
    assert model.metadata["smspec.edn"] == b'{"x" 1}'


def test_a_model_without_parameter_files(make_model: Callable[..., bytes]) -> None:
    assert read_portable_model(make_model(NAME, "", {}, {"kimspec.edn": b"{}"})).files == {}


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF" + b"\xff" * 200, b"text", b"\x00" * 4096])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(PotentialError, match="no readable OpenKIM model"):
        read_portable_model(content)


def test_a_library_that_is_no_model_is_refused(make_model: Callable[..., bytes]) -> None:
    content = make_model(NAME, "", {}, {"kimspec.edn": b"{}"})
    with pytest.raises(PotentialError, match="does not export"):
        read_portable_model(content.replace(b"kim_shared_library_schema\x00", b"kim_shared_library_schemb\x00"))


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_damage_never_does_more_than_raise(make_model: Callable[..., bytes], data: st.DataObject) -> None:
    content = bytearray(_model_once(make_model))
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(content)))
    for damaged in (bytes(content), bytes(content[:cut])):
        try:
            model = read_portable_model(damaged)
        except PotentialError:
            continue
        assert all(len(file) <= len(content) for file in model.files.values())


_built: list[bytes] = []


def _model_once(make_model: Callable[..., bytes]) -> bytes:
    if not _built:
        _built.append(make_model(NAME, "EAM_Dynamo__MD_120291908751_005", {"a": b"1" * 40}, {"kimspec.edn": b"{}"}))
    return _built[0]
