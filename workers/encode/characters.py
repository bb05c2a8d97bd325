"""Which character set an object is written in (PS3.5 section 6.1, PS3.3 section C.12.1.1.2)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Final

from pydicom.charset import convert_encodings, decode_bytes, default_encoding, encode_string
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from workers.encode.patient import OPTIONAL, REQUIRED

UNICODE: Final = "ISO_IR 192"

COPIED: Final = frozenset({*REQUIRED, *OPTIONAL})
"""Keywords whose values are the source's, not ours."""

_TEXT: Final = frozenset({"SH", "LO", "ST", "LT", "UC", "UT", "PN"})
"""Value representations that Specific Character Set governs."""


def settle_character_set(dataset: Dataset) -> None:
    """Keep the Specific Character Set that stands in `dataset` where all its text fits, else change it to Unicode.

    Names keep their component groups in either case (PS3.5 section 6.2.1.1). Where the set is kept, names are written with the
    very bytes of the source. A source that states no set is limited to ASCII; what it holds beyond that is passed on as it is,
    byte for byte, as nobody can know what it means, but text of our own must be ASCII or bring Unicode with it.
    """
    stated = dataset.get("SpecificCharacterSet")
    if stated == UNICODE:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an unknown set, or a text that does not fit, is a warning to pydicom
        try:
            encodings = convert_encodings(stated) if stated else ["ascii"]
            fits = all(_fits(element, encodings) for element in _elements(dataset) if stated or element.keyword not in COPIED)
        except (UserWarning, LookupError, UnicodeError):
            fits = False
    if not fits:
        dataset.SpecificCharacterSet = UNICODE
        _forget_bytes(dataset)


def _fits(element: DataElement, encodings: list[str]) -> bool:
    values = element.value if element.VM > 1 else [element.value]
    for value in values:
        if isinstance(value, PersonName):
            if value.encodings == tuple(encodings) and isinstance(value.original_string, bytes):
                continue  # these bytes are written again
            texts = value.components
        else:
            texts = (str(value or ""),)
        if not all(_can_write(text, encodings) for text in texts):
            return False
    return True


def _can_write(text: str, encodings: list[str]) -> bool:
    # an empty first value is ASCII (PS3.3 section C.12.1.1.2), but pydicom writes the upper half of Latin-1 by it
    if encodings[0] == default_encoding and any("\x80" <= letter <= "\xff" for letter in text):
        return False
    return decode_bytes(encode_string(text, encodings), encodings, set()) == text


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)
        elif element.VR in _TEXT:
            yield element


def _forget_bytes(dataset: Dataset) -> None:
    """Make names be encoded anew: pydicom otherwise writes the bytes that it read."""
    for element in _elements(dataset):
        if element.VR == "PN":
            names = [
                PersonName(str(value)) for value in (element.value if element.VM > 1 else [element.value]) if value is not None
            ]
            element.value = names if len(names) > 1 else (names[0] if names else "")
