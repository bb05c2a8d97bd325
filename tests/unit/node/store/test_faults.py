from __future__ import annotations

import json

import pytest

from node.store.destinations import Destination
from node.store.errors import NotUnderstood
from node.store.faults import tell


def test_our_own_errors_are_told_as_they_are() -> None:
    assert tell(NotUnderstood("the object ends in its header")) == "the object ends in its header"


def test_a_librarys_error_is_told_by_kind_and_place() -> None:
    with pytest.raises(ValueError, match="Yamada") as caught:
        Destination(name="Yamada^Tarou", ae_title="A", host="h", port=1)
    assert tell(caught.value) == "ValidationError"  # raised from here, which is not our code


def test_the_place_is_the_last_one_in_our_code() -> None:
    with pytest.raises(KeyError) as caught:
        tell_by_way_of_our_code()
    told = tell(caught.value)
    assert told.startswith("KeyError at node/store/")
    assert "Yamada" not in told


def tell_by_way_of_our_code() -> None:
    from node.store import settings

    settings._table_at(Destination, ("Yamada^Tarou",))


def test_an_error_from_elsewhere_has_no_place() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{Yamada")
    assert tell(caught.value) == "JSONDecodeError"
