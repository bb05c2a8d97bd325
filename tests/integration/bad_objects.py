"""Bad DICOM objects, and good ones that look bad: the phantom of `phantom.ct_phantom` with one thing changed."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEGExtended12Bit, JPEGLSLossless, RLELossless

from node.store.part10 import read_head
from tests.dicom import CORONAL, big_endian, place, report, uid
from tests.integration.phantom import ct_phantom


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
        datasets[0].StudyInstanceUID,
        tuple(map(as_sent, datasets)),
        tuple(map(as_sent, again)),
        tuple(at % len(datasets) for at in odd),
    )


def each(change: Callable[[FileDataset], None]) -> Callable[[Path], Input]:
    """The phantom with the same change to every slice."""

    def make(folder: Path) -> Input:
        datasets = _slices(folder)
        for dataset in datasets:
            change(dataset)
        return _input(datasets)

    return make


def without(*keywords: str) -> Callable[[Path], Input]:
    def change(dataset: FileDataset) -> None:
        for keyword in keywords:
            delattr(dataset, keyword)

    return each(change)


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
    name = _study_uid(one)
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


def empty(folder: Path) -> Input:
    one = good(folder).sent[0]
    return Input("", (Sent(one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax_uid, b""),))


def short_pixels(folder: Path) -> Input:
    """A whole data set whose pixel data element holds less than its rows and columns."""
    datasets = _slices(folder)
    datasets[2].PixelData = datasets[2].PixelData[:1000]
    return _input(datasets)


def damaged_stream(folder: Path) -> Input:
    datasets = _slices(folder)
    datasets[2].compress(RLELossless, generate_instance_uid=False)
    datasets[2].PixelData = encapsulate([b"\xff" * 500])
    return _input(datasets)


def no_rescale(dataset: FileDataset) -> None:
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
        delattr(dataset, keyword)


def other_unit(dataset: FileDataset) -> None:
    dataset.RescaleType = "OD"


def another_patient(folder: Path) -> Input:
    datasets = _slices(folder)
    datasets[2].PatientID = "SOMEBODY-ELSE"
    return _input(datasets)


def copied_slice(folder: Path) -> Input:
    datasets = _slices(folder)
    copy = dcmread(folder / "0002.dcm")
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = uid(copy.SOPInstanceUID, "copy")
    return _input([*datasets, copy])


def nameless(dataset: FileDataset) -> None:
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"):
        setattr(dataset, keyword, "")


def backwards(folder: Path) -> Input:
    """Sent from the last slice to the first, without Instance Numbers."""
    datasets = _slices(folder)[::-1]
    for dataset in datasets:
        del dataset.InstanceNumber
    return _input(datasets)


def other_byte_order(folder: Path) -> Input:
    return _input(map(big_endian, _slices(folder)))


def unstated_characters(dataset: FileDataset) -> None:
    """A name in UTF-8 bytes, and no word of it: what it says nobody can know, and nobody changes."""
    del dataset.SpecificCharacterSet
    dataset.add_new("PatientName", "PN", "Müller^Jürgen".encode())


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
