"""The walker agrees with pydicom on what pydicom writes, and notices what is missing from it."""

from __future__ import annotations

import contextlib
import tempfile
import tracemalloc
import warnings
import zlib
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_files
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from node.listener.source import OpenFile
from node.listener.walk import Outline, outline
from node.store import part10
from node.store.errors import NotUnderstood
from tests.unit.node.listener.encoded import BIG_ENDIAN, CT, DEFLATED, EXPLICIT, IMPLICIT, JPEG2000, contributing, encode, image

SYNTAXES = [IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN]
EXPECTED = Outline(CT, "1.2.3.4.1", "1.2.3", "1.2.3.4", "CT", ("Maker",))


def walk(content: bytes, syntax: str, offset: int = 0) -> Outline:
    with tempfile.TemporaryFile() as file:
        file.write(b"\xaa" * offset + content)
        file.flush()
        return outline(OpenFile(file.fileno()), offset, syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("offset", [0, 345])
def test_reads_what_the_listener_needs(syntax: str, offset: int) -> None:
    assert walk(encode(image(), syntax), syntax, offset) == EXPECTED


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
def test_finds_the_contributing_equipment(syntax: str, undefined: bool) -> None:
    made = image()
    made.ContributingEquipmentSequence = contributing("Overread")
    made["ContributingEquipmentSequence"].is_undefined_length = undefined
    made.ContributingEquipmentSequence[0].is_undefined_length_sequence_item = undefined
    assert walk(encode(made, syntax), syntax).manufacturers == ("Maker", "Overread")


def test_private_syntax_of_any_encoding() -> None:
    for syntax in SYNTAXES:
        assert walk(encode(image(), syntax), "1.2.840.113619.5.2").study_uid == "1.2.3"


def test_what_begins_like_file_meta_information_is_refused() -> None:
    """Behind the head of a file it could not be told from that, and (0002,0010) in it would change the transfer syntax."""
    meta = b"\x02\x00\x10\x00UI\x14\x00" + b"1.2.840.10008.1.2.1\0"
    with pytest.raises(NotUnderstood, match="group 0002"):
        walk(meta + encode(image(), EXPLICIT), EXPLICIT)


def values() -> st.SearchStrategy[DataElement]:
    text = st.text("ABC 012", max_size=16).map(str.strip)
    return st.one_of(
        st.tuples(st.just("LO"), text),
        st.tuples(st.just("UT"), text),
        st.tuples(st.just("UC"), text),
        st.tuples(st.just("SH"), text),
        st.tuples(st.just("US"), st.integers(0, 65535)),
        st.tuples(st.just("FD"), st.floats(allow_nan=False)),
        st.tuples(st.just("OB"), st.binary(max_size=40).map(lambda content: content + b"\0" * (len(content) % 2))),
        st.tuples(st.just("UN"), st.binary(max_size=40).map(lambda content: content + b"\0" * (len(content) % 2))),
        st.tuples(st.just("AT"), st.integers(0x00080000, 0x0009FFFF)),
    )


def datasets() -> st.SearchStrategy[Dataset]:
    """Data sets of private elements, with sequences in sequences, of defined and undefined lengths."""

    def build(rows: list[tuple[str, object, bool]]) -> Dataset:
        made = Dataset()
        for number, (vr, value, undefined) in enumerate(rows):
            if vr == "SQ":
                assert isinstance(value, list)
                for item in value:
                    item.is_undefined_length_sequence_item = undefined
                element = DataElement(0x00091000 + number, "SQ", Sequence(value))
                element.is_undefined_length = undefined
            else:
                element = DataElement(0x00091000 + number, vr, value)
            made.add(element)
        return made

    plain = st.tuples(values(), st.booleans()).map(lambda pair: (*pair[0], pair[1]))
    return st.recursive(
        st.lists(plain, max_size=4).map(build),
        lambda inner: st.lists(
            st.one_of(plain, st.tuples(st.just("SQ"), st.lists(inner, max_size=3), st.booleans())), max_size=4
        ).map(build),
        max_leaves=12,
    )


@settings(max_examples=150, deadline=None)
@given(datasets(), st.sampled_from(SYNTAXES), st.data())
def test_whole_is_taken_and_truncated_is_not(private: Dataset, syntax: str, data: st.DataObject) -> None:
    made = image()
    made.update(private)
    content = encode(made, syntax)
    assert walk(content, syntax) == EXPECTED

    cut = data.draw(st.integers(1, len(content) - 1))
    boundaries, end = set(), 0
    for element in made:
        alone = Dataset()
        alone.add(element)
        end += len(encode(alone, EXPLICIT if syntax == DEFLATED else syntax))
        boundaries.add(end)
    try:
        walk(content[:cut], syntax)
    except NotUnderstood:
        return
    assert syntax != DEFLATED
    assert cut in boundaries or content[max(end for end in boundaries if end < cut) : cut].strip(b"\0") == b""


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=5), st.data())
def test_encapsulated_pixels(frames: list[bytes], data: st.DataObject) -> None:
    made = image(pixels=encapsulate(frames, has_bot=data.draw(st.booleans())))
    made["PixelData"].is_undefined_length = True
    content = encode(made, JPEG2000)
    assert walk(content, JPEG2000) == EXPECTED
    start = len(encode(image(pixels=b""), JPEG2000))
    cut = data.draw(st.integers(start + 1, len(content) - 1))
    with pytest.raises(NotUnderstood):
        walk(content[:cut], JPEG2000)


def unknown_sequence(item: bytes) -> bytes:
    """A private element of VR UN and undefined length that holds one item of undefined length."""
    start, end = b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    return b"\x09\x00\x01\x10UN\0\0\xff\xff\xff\xff" + start + item + end


@pytest.mark.parametrize("inner", [IMPLICIT, EXPLICIT])
def test_unknown_value_representation_of_undefined_length(inner: str) -> None:
    content = encode(image(pixels=b""), EXPLICIT)
    at = content.index(b"\x10\x00\x10\x00PN")
    content = content[:at] + unknown_sequence(encode(image(), inner)) + content[at:]
    assert walk(content, EXPLICIT) == EXPECTED, "what is in the sequence is not taken for the object's own"
    with pytest.raises(NotUnderstood):
        walk(content[: at + 100], EXPLICIT)


def test_writers_that_fall_into_implicit_are_followed() -> None:
    inner = image(pixels=b"")
    content = encode(inner, EXPLICIT) + b"\x51\x00\x01\x10" + (4).to_bytes(4, "little") + b"abcd"
    assert walk(content, EXPLICIT) == EXPECTED


def test_padding_after_the_end_is_no_fault() -> None:
    assert walk(encode(image()) + b"\0" * 3, EXPLICIT) == EXPECTED
    assert walk(encode(image(), DEFLATED) + b"\0", DEFLATED) == EXPECTED


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        b"Dear colleague, please find enclosed",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        b"\xff" * 100,
        b"\0" * 4096,
    ],
)
@pytest.mark.parametrize("syntax", [*SYNTAXES, JPEG2000, "1.2.3.4"])
def test_not_dicom(content: bytes, syntax: str) -> None:
    with pytest.raises(NotUnderstood):
        walk(content, syntax)


@given(st.binary(max_size=300), st.sampled_from([*SYNTAXES, JPEG2000, "1.2.3.4"]))
def test_any_bytes_end_in_an_outline_or_a_reason(content: bytes, syntax: str) -> None:
    with contextlib.suppress(NotUnderstood):
        assert isinstance(walk(content, syntax), Outline)


def test_sequences_without_end_are_refused() -> None:
    head = b"\x08\x00\x16\x00UI\x06\x001.2.3\0"
    nested = head + (b"\x09\x00\x01\x10SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 100_000
    with pytest.raises(NotUnderstood, match="nested deeper"):
        walk(nested, EXPLICIT)


def test_inflates_in_bounded_memory() -> None:
    made = image(pixels=bytes(80_000_000))
    content = encode(made, EXPLICIT)
    deflater = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    small = deflater.compress(content) + deflater.flush()
    del made, content, deflater
    tracemalloc.start()
    assert walk(small, DEFLATED) == EXPECTED
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def samples() -> list[Path]:
    return [Path(name) for name in get_testdata_files() if name.endswith(".dcm")]


def test_every_whole_file_that_pydicom_comes_with() -> None:
    walked = 0
    for path in samples():
        with path.open("rb") as file:
            try:
                head = part10.read_head(file)
            except NotUnderstood:
                continue
            if "truncated" in path.name:
                with pytest.raises(NotUnderstood, match="truncated"):
                    outline(OpenFile(file.fileno()), head.offset, head.transfer_syntax_uid)
                continue
            with warnings.catch_warnings(action="ignore"):  # of faults that these files have on purpose
                expected = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            if "StudyInstanceUID" not in expected:
                continue
            found = outline(OpenFile(file.fileno()), head.offset, head.transfer_syntax_uid)
            assert found.study_uid == str(expected.StudyInstanceUID)
            assert found.sop_instance_uid == str(expected.get("SOPInstanceUID", ""))
            walked += 1
    assert walked > 50


@pytest.mark.shared
def test_every_real_object(shared: Path) -> None:
    walked = 0
    for path in sorted((shared / "data" / "dicom").rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                try:
                    head = part10.read_head(file)
                except NotUnderstood:
                    continue
                outline(OpenFile(file.fileno()), head.offset, head.transfer_syntax_uid)
                walked += 1
    assert walked > 50
