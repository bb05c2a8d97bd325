"""The table of bad input: what is sent, what the sender is answered, what becomes of the study, what a person reads.

`docs/bad-input.md` shows the same rows and `test_bad_input.py` sends them; neither can change without the other.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEGExtended12Bit, JPEGLSLossless

from node.store.part10 import read_head
from tests.dicom import CORONAL, place, report, uid
from tests.integration.phantom import ct_phantom

SUCCESS, A700, A900, C000, INVALID_UID = 0x0000, 0xA700, 0xA900, 0xC000, 0x0117
LOST = -1
"""The connection is gone before there is an answer."""


class Fate(Enum):
    """What becomes of a study."""

    NOTHING = "nothing is kept"
    KEPT = "kept, not analysed"
    READ = "kept, read"


@dataclass(frozen=True, slots=True)
class Sent:
    """One C-STORE, to the byte.

    Parameters
    ----------
    content
        The data set without file meta information.
    part
        How much of it is sent before the sender hangs up.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    content: bytes
    part: float = 1.0


@dataclass(frozen=True, slots=True)
class Input:
    """What a case sends.

    Parameters
    ----------
    again
        Sent once the study is finished.
    odd
        Places in `sent` of the objects that the case is about; all where empty. The others are good and are stored.
    """

    study_uid: str
    sent: tuple[Sent, ...]
    again: tuple[Sent, ...] = ()
    odd: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A row.

    Parameters
    ----------
    title
        The input, for a person.
    status
        Answer to what is odd in it; `LOST` for none.
    detail
        What is right about the result, or what becomes of the rest.
    words
        The sentence that a person reads, ``…`` for what differs from study to study.
    make
        Writes what it needs below the folder.
    """

    title: str
    status: int
    fate: Fate
    detail: str
    words: str
    make: Callable[[Path], Input] = field(repr=False)

    @property
    def row(self) -> str:
        """The row in Markdown."""
        answer = "none: the connection is lost" if self.status == LOST else f"`{self.status:04X}`"
        fate = f"{self.fate.value}: {self.detail}" if self.detail else self.fate.value
        return f"| {self.title} | {answer} | {fate} | {self.words} |"


def as_sent(dataset: FileDataset) -> Sent:
    """An object as its sender has it."""
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return from_file(buffer)


def from_file(file: io.BytesIO) -> Sent:
    file.seek(0)
    head = read_head(file)
    file.seek(head.offset)
    return Sent(head.sop_class_uid, head.sop_instance_uid, head.transfer_syntax_uid, file.read())


def good(folder: Path) -> Input:
    """The phantom with nothing wrong: what all others are held against."""
    return _input(_slices(folder))


def _slices(folder: Path, **options: int) -> list[FileDataset]:
    return [dcmread(path) for path in ct_phantom(folder, **options).paths]


def _input(datasets: Iterable[FileDataset], *odd: int, again: Iterable[FileDataset] = ()) -> Input:
    datasets = list(datasets)
    return Input(
        datasets[0].StudyInstanceUID, tuple(map(as_sent, datasets)), tuple(map(as_sent, again)), tuple(at % len(datasets) for at in odd)
    )


def _each(change: Callable[[FileDataset], None]) -> Callable[[Path], Input]:
    """The phantom with the same change to every slice."""

    def make(folder: Path) -> Input:
        datasets = _slices(folder)
        for dataset in datasets:
            change(dataset)
        return _input(datasets)

    return make


def _without(*keywords: str) -> Callable[[Path], Input]:
    def change(dataset: FileDataset) -> None:
        for keyword in keywords:
            delattr(dataset, keyword)

    return _each(change)


def not_dicom(folder: Path) -> Input:
    one = good(folder).sent[0]
    page = b"<html><body>This is no image, whatever it was called.</body></html>" * 40
    return Input("", (Sent(one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax_uid, page),))


def truncated(folder: Path) -> Input:
    whole = good(folder)
    one = whole.sent[2]
    cut = Sent(one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax_uid, one.content[: len(one.content) // 2])
    return Input(whole.study_uid, (cut,))


def path_as_instance_uid(folder: Path) -> Input:
    one = good(folder).sent[0]
    return Input("", (Sent(one.sop_class_uid, "1.2.3/../../../evil", one.transfer_syntax_uid, one.content),))


def path_as_study_uid(folder: Path) -> Input:
    one = good(folder).sent[0]
    name = next(piece for piece in (_study_uid(one),))
    evil = ("../../../../evil" + "/." * 40)[: len(name)]
    content = one.content.replace(name.encode(), evil.encode())
    return Input("", (Sent(one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax_uid, content),))


def _study_uid(one: Sent) -> str:
    dataset = dcmread(io.BytesIO(one.content), force=True)
    return str(dataset.StudyInstanceUID)


def no_study_uid(folder: Path) -> Input:
    [first, *_] = _slices(folder)
    del first.StudyInstanceUID
    return Input("", (as_sent(first),))


def other_instance_uid(folder: Path) -> Input:
    one = good(folder).sent[0]
    return Input("", (Sent(one.sop_class_uid, "1.2.3.4.5", one.transfer_syntax_uid, one.content),))


def aborted(folder: Path) -> Input:
    """Three slices, half of the fourth, and the connection is gone; later the sender tries the whole study again."""
    whole = good(folder)
    broken = whole.sent[3]
    half = Sent(broken.sop_class_uid, broken.sop_instance_uid, broken.transfer_syntax_uid, broken.content, part=0.5)
    return Input(whole.study_uid, (*whole.sent[:3], half), whole.sent, odd=(3,))


def no_pixels(folder: Path) -> Input:
    return _input([report(study=str(uuid.uuid4()))])


def unknown_modality(dataset: FileDataset) -> None:
    dataset.Modality = "ZZ"


def missing_slice(folder: Path) -> Input:
    return _input(_slices(folder, missing_slice=3))


def doubled_slice(folder: Path) -> Input:
    datasets = _slices(folder)
    other = dcmread(folder / "0002.dcm")
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = uid(other.SOPInstanceUID, "again")
    other.PixelData = _pixels(other)[::-1].tobytes()
    return _input([*datasets, other], -1)


def mixed_orientations(folder: Path) -> Input:
    axial, coronal = _slices(folder), _slices(folder / "coronal")
    for number, dataset in enumerate(coronal, start=len(axial) + 1):
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = axial[0].StudyInstanceUID, axial[0].SeriesInstanceUID
        dataset.InstanceNumber = number
        dataset.PatientID = axial[0].PatientID
        spacing = tuple(float(value) for value in dataset.PixelSpacing)
        place(
            dataset,
            (-230.0, number * 5.0, 230.0),
            orientation=CORONAL,
            spacing=(spacing[0], spacing[1]),
            frame_of_reference=axial[0].FrameOfReferenceUID,
        )
    return _input([*axial, *coronal])


def other_bytes(folder: Path) -> Input:
    """Two slices come again under their UIDs with other pixels, after the study was read."""
    datasets = _slices(folder)
    changed = dcmread(folder / "0002.dcm")
    changed.PixelData = np.roll(_pixels(changed), 3, axis=1).tobytes()
    return _input(datasets, again=[changed])


def inverted_display(dataset: FileDataset) -> None:
    dataset.PhotometricInterpretation = "MONOCHROME1"


def signed(dataset: FileDataset) -> None:
    dataset.PixelData = (_pixels(dataset).astype(np.int32) - 1024).astype(np.int16).tobytes()
    dataset.PixelRepresentation, dataset.RescaleIntercept = 1, "0"


def twelve_bit(dataset: FileDataset) -> None:
    """12 bits stored, and a retired overlay plane in the bits above them, which is no part of the value."""
    stored = _pixels(dataset)
    assert stored.max() < 4096
    stored[::2] |= 0x8000
    dataset.PixelData = stored.tobytes()
    dataset.BitsStored, dataset.HighBit = 12, 11


def signed_twelve_bit(dataset: FileDataset) -> None:
    """12 bits with a sign, which must be taken from bit 11."""
    stored = (_pixels(dataset).astype(np.int32) - 1024) & 0x0FFF
    dataset.PixelData = stored.astype(np.uint16).tobytes()
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.PixelRepresentation, dataset.RescaleIntercept = 1, "0"


def _pixels(dataset: FileDataset) -> NDArray[np.uint16]:
    return np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns).copy()


def jpeg_ls(dataset: FileDataset) -> None:
    dataset.compress(JPEGLSLossless, generate_instance_uid=False)


def twelve_bit_jpeg(folder: Path) -> Input:
    """A real 12-bit JPEG stream, whose only decoder is under a licence that this node does not ship."""
    source = dcmread(get_testdata_file("JPEG-lossy.dcm", download=False))
    [dataset, *_] = _slices(folder)
    dataset.Rows, dataset.Columns = source.Rows, source.Columns
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    dataset.PixelData = encapsulate(list(generate_frames(source.PixelData, number_of_frames=1)))
    dataset["PixelData"].is_undefined_length = True
    return _input([dataset])


def japanese(dataset: FileDataset) -> None:
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    dataset.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def korean(dataset: FileDataset) -> None:
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 149"]
    dataset.PatientName = "Hong^Gildong=洪^吉洞=홍^길동"


CASES = (
    Case("bytes that are not DICOM", C000, Fate.NOTHING, "", "not a DICOM data set in the agreed transfer syntax", not_dicom),
    Case(
        "a truncated object", C000, Fate.NOTHING, "", "the data set is truncated: an element runs past its end", truncated
    ),
    Case(
        "`../` in the SOP Instance UID",
        INVALID_UID,
        Fate.NOTHING,
        "no file anywhere",
        "Affected SOP Instance UID: not a UID: 1 to 64 digits and dots",
        path_as_instance_uid,
    ),
    Case(
        "`../` in the Study Instance UID",
        C000,
        Fate.NOTHING,
        "no file anywhere",
        "Study Instance UID: not a UID: 1 to 64 digits and dots",
        path_as_study_uid,
    ),
    Case("no Study Instance UID", A900, Fate.NOTHING, "", "the object has no Study Instance UID", no_study_uid),
    Case(
        "command and data set name different objects",
        A900,
        Fate.NOTHING,
        "",
        "SOP Instance UID of command and data set differ",
        other_instance_uid,
    ),
    Case(
        "a sender that is lost in mid-study",
        LOST,
        Fate.READ,
        "whole objects are kept and read, the broken one is not; sent again, a revision supersedes",
        "the association of SCRIPT was lost within an object, which is not kept",
        aborted,
    ),
    Case("no pixel data", SUCCESS, Fate.KEPT, "", "no pixel data: stored, not analysed", no_pixels),
    Case("a modality that nobody knows", SUCCESS, Fate.KEPT, "", "reads CT, this is ZZ", _each(unknown_modality)),
    Case(
        "a missing slice",
        SUCCESS,
        Fate.KEPT,
        "the volume is refused",
        "a slice is missing between positions 10.00 and 20.00 mm (after instance …); 5 of 6 are here",
        missing_slice,
    ),
    Case(
        "a doubled slice with other pixels",
        SUCCESS,
        Fate.KEPT,
        "the volume is refused",
        "a doubled slice with other pixels: position 10.00 mm holds 2 different images (instance … and instance …) "
        "and nothing tells them apart",
        doubled_slice,
    ),
    Case(
        "no frame of reference",
        SUCCESS,
        Fate.KEPT,
        "the volume is refused",
        "the images have lost their Frame of Reference UID: a segmentation cannot refer to them",
        _without("FrameOfReferenceUID"),
    ),
    Case(
        "no pixel spacing, cross-sections",
        SUCCESS,
        Fate.KEPT,
        "the volume is refused",
        "Pixel Spacing is absent or not positive (instance …): nothing can be measured in the patient",
        _without("PixelSpacing"),
    ),
    Case(
        "a compressed image whose decoder is absent",
        SUCCESS,
        Fate.KEPT,
        "bytes kept as they came",
        "the decoder for transfer syntax JPEG-LS Lossless Image Compression (1.2.840.10008.1.2.4.80) is not installed: "
        "pip install pyjpegls, or send the images uncompressed",
        _each(jpeg_ls),
    ),
    Case(
        "JPEG with 12 bits, whose decoder is not shipped",
        SUCCESS,
        Fate.KEPT,
        "bytes kept as they came",
        "the decoder for transfer syntax JPEG Extended (Process 2 and 4) (1.2.840.10008.1.2.4.51) is not installed: "
        "pip install …, or send the images uncompressed",
        twelve_bit_jpeg,
    ),
    Case(
        "mixed orientations in one series",
        SUCCESS,
        Fate.READ,
        "two stacks, each read for itself",
        "meets the model's own input selection",
        mixed_orientations,
    ),
    Case(
        "the same UID with other bytes",
        SUCCESS,
        Fate.READ,
        "both are kept; the newer one is read, as a revision that supersedes",
        "… came again with other content: kept as version 2",
        other_bytes,
    ),
    Case(
        "MONOCHROME1 cross-sections",
        SUCCESS,
        Fate.READ,
        "the same result: it says how to show values, not what they mean",
        "",
        _each(inverted_display),
    ),
    Case("signed data", SUCCESS, Fate.READ, "the same result as unsigned", "", _each(signed)),
    Case(
        "12-bit data with an overlay in the upper bits", SUCCESS, Fate.READ, "the same result as without", "", _each(twelve_bit)
    ),
    Case("signed 12-bit data", SUCCESS, Fate.READ, "the same result as unsigned", "", _each(signed_twelve_bit)),
    Case(
        "a name in Japanese (ISO 2022 IR 87)", SUCCESS, Fate.READ, "the name comes back byte for byte", "", _each(japanese)
    ),
    Case("a name in Korean (ISO 2022 IR 149)", SUCCESS, Fate.READ, "the name comes back byte for byte", "", _each(korean)),
)


def film(path: Path) -> Input:
    """A radiograph as it is: MONOCHROME1, JPEG 2000, Pixel Spacing 0."""
    with path.open("rb") as file:
        return Input(_study_uid(sent := from_file(io.BytesIO(file.read()))), (sent,))


def film_turned(path: Path) -> Input:
    """The same radiograph as MONOCHROME2, uncompressed, without any spacing, in a study of its own."""
    dataset = dcmread(path)
    stored = dataset.pixel_array
    dataset.PixelData = ((1 << dataset.BitsStored) - 1 - stored).astype(stored.dtype).tobytes()
    dataset["PixelData"].VR = "OW"
    dataset["PixelData"].is_undefined_length = False
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        if keyword in dataset:
            delattr(dataset, keyword)
    name = str(uuid.uuid4())
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid(name, "study"), uid(name, "series")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid(name, "image")
    return _input([dataset])


FILM_CASES = (
    Case(
        "MONOCHROME1, projection (pixel spacing 0 as well)",
        SUCCESS,
        Fate.READ,
        "the same outline as the image turned round and stored as MONOCHROME2",
        "",
        film,
    ),
    Case("no pixel spacing, projection", SUCCESS, Fate.READ, "areas in pixels, none in mm2", "", film_turned),
)
"""Made of a real chest film; `make` is given its path."""

FULL = Case(
    "less free disk than `disk_reserve_mb`",
    A700,
    Fate.NOTHING,
    "senders try again after A700",
    "less than … MB are free for the spool: make room on its disk",
    good,
)

TABLE = (*CASES, *FILM_CASES, FULL)
