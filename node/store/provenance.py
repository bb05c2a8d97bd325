"""How objects say that Overread made them, and how it knows its own again when they come back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MANUFACTURER: Final = "Overread"
"""Manufacturer (0008,0070) of our objects, and of our item in the Contributing Equipment Sequence of derived ones."""

IMPLEMENTATION_CLASS_UID: Final = "2.25.197506471531043018644851804928225107561"
"""Who wrote the file meta information or negotiates (PS3.7 section D.3.3.2); changes with the implementation's behaviour."""

IMPLEMENTATION_VERSION_NAME: Final = "OVERREAD_0_1"
"""At most 16 characters (PS3.7 section D.3.3.2.3)."""


def says_overread(manufacturers: Iterable[str]) -> bool:
    """Whether one of these manufacturers (equipment and contributing equipment) is Overread, in whatever case and padding.

    AE titles and patient identification may have been coerced on the way; the equipment is what stays.
    """
    return any(manufacturer.strip(" \0").casefold() == MANUFACTURER.casefold() for manufacturer in manufacturers)
