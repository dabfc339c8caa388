from __future__ import annotations

import pytest

from glideflow.errors import StorageError
from glideflow.shipped_data import shipped_file


@pytest.mark.parametrize("name", ["strength_library.h5", "mobility_trajectories.h5", "strength_models/bcc"])
def test_what_ships_is_found(name: str) -> None:
    with shipped_file(name, what="the data", instead="another") as path:
        assert path.exists()


def test_what_does_not_ship_is_named_with_what_to_give_instead() -> None:
    with pytest.raises(StorageError) as caught, shipped_file("absent.h5", what="the library", instead="another one"):
        pass
    assert caught.value.found == "this installation has no absent.h5"
    assert caught.value.expected == "the library that ships with glideflow"
    assert caught.value.next_step == "install glideflow again, or name another one"
