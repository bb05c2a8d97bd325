from __future__ import annotations

import io
from typing import Any

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian

from tests.unit.workers.encode.samples import patient
from workers.encode.characters import UNICODE
from workers.encode.files import file_bytes
from workers.encode.patient import patient_and_study

JAPANESE = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
KOREAN = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
"""The names of the standard's own examples (PS3.5 annexes H.3.2 and I.2)."""


def source_with(name: bytes, character_set: Any, **changes: Any) -> Dataset:
    """A source as it is read from a file that holds these very bytes."""
    made = patient(PatientName="NAME", SpecificCharacterSet=character_set, **changes)
    buffer = io.BytesIO()
    dcmwrite(buffer, made, implicit_vr=False, little_endian=True)
    placeholder = b"PN\x04\x00NAME"
    padded = name + b" " * (len(name) % 2)
    raw = buffer.getvalue().replace(placeholder, b"PN" + len(padded).to_bytes(2, "little") + padded)
    return dcmread(io.BytesIO(raw), force=True)


def written(source: Dataset, **ours: Any) -> tuple[bytes, Dataset]:
    result = Dataset()
    result.update(patient_and_study([source]).attributes)
    result.SOPClassUID = BasicTextSRStorage
    result.SOPInstanceUID = "1.2.3"
    for keyword, value in ours.items():
        setattr(result, keyword, value)
    content = file_bytes(result)
    again = dcmread(io.BytesIO(content))
    assert again.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    return content, again


@pytest.mark.parametrize(
    ("name", "character_set"),
    [(JAPANESE, ["", "ISO 2022 IR 87"]), (KOREAN, ["", "ISO 2022 IR 149"]), (b"Buc^J\xe9r\xf4me", "ISO_IR 100")],
)
def test_a_name_keeps_its_bytes_and_its_character_set(name: bytes, character_set: Any) -> None:
    content, again = written(source_with(name, character_set), SeriesDescription="plain text of ours")

    assert name in content
    assert again.SpecificCharacterSet == character_set


@pytest.mark.parametrize(
    ("name", "character_set", "groups"),
    [
        (JAPANESE, ["", "ISO 2022 IR 87"], ("Yamada^Tarou", "山田^太郎", "やまだ^たろう")),
        (KOREAN, ["", "ISO 2022 IR 149"], ("Hong^Gildong", "洪^吉洞", "홍^길동")),
    ],
)
def test_text_that_does_not_fit_brings_unicode_and_leaves_the_groups_of_a_name(
    name: bytes, character_set: Any, groups: tuple[str, ...]
) -> None:
    content, again = written(source_with(name, character_set), SeriesDescription="Größe 山")

    assert again.SpecificCharacterSet == UNICODE
    assert again.PatientName.components == groups
    assert "=".join(groups).encode() in content
    assert again.SeriesDescription == "Größe 山"


def test_text_that_fits_the_sources_set_does_not_change_it() -> None:
    _, again = written(source_with(JAPANESE, ["", "ISO 2022 IR 87"]), SeriesDescription="肺")

    assert again.SpecificCharacterSet == ["", "ISO 2022 IR 87"]
    assert again.SeriesDescription == "肺"


def test_bytes_beyond_ascii_in_a_source_without_a_set_are_passed_on() -> None:
    content, again = written(source_with(b"M\xfcller^Eva", ""), SeriesDescription="plain")

    assert b"M\xfcller^Eva" in content
    assert "SpecificCharacterSet" not in again


def test_text_of_ours_beyond_ascii_needs_a_set() -> None:
    _, again = written(source_with(b"Miller^Eva", ""), SeriesDescription="Größe")

    assert again.SpecificCharacterSet == UNICODE
    assert again.SeriesDescription == "Größe"


def test_an_unknown_set_is_not_written_on() -> None:
    source = source_with(b"Miller^Eva", "ISO_IR 100")
    source.SpecificCharacterSet = "ISO_IR 999"

    _, again = written(source, SeriesDescription="plain")

    assert again.SpecificCharacterSet == UNICODE
    assert again.PatientName == "Miller^Eva"
