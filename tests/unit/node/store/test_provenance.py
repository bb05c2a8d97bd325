from __future__ import annotations

import pytest
from pydicom.uid import UID

from node.store.provenance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, MANUFACTURER, says_overread


@pytest.mark.parametrize("manufacturer", [MANUFACTURER, "OVERREAD", "overread ", "Overread\0"])
def test_known_in_whatever_case(manufacturer: str) -> None:
    assert says_overread(["Maker", manufacturer])


@pytest.mark.parametrize("manufacturers", [[], [""], ["Maker"], ["Overreader"], ["Not Overread"]])
def test_others_are_not(manufacturers: list[str]) -> None:
    assert not says_overread(manufacturers)


def test_what_is_negotiated_is_valid() -> None:
    assert UID(IMPLEMENTATION_CLASS_UID).is_valid
    assert len(IMPLEMENTATION_VERSION_NAME) <= 16
