"""Synthetic objects for the tests of the listener."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from node.store.part10 import FileHead, encode_head

CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG2000 = "1.2.840.10008.1.2.4.90"


def image(instance: int = 1, *, study: str = "1.2.3", pixels: bytes = b"\1\2" * 32, name: str = "Doe^Jane") -> Dataset:
    """A small CT image without anything that is not needed."""
    made = Dataset()
    made.SOPClassUID = UID(CT)
    made.SOPInstanceUID = UID(f"{study}.4.{instance}")
    made.StudyInstanceUID = UID(study)
    made.SeriesInstanceUID = UID(f"{study}.4")
    made.Modality = "CT"
    made.Manufacturer = "Maker"
    made.PatientName = name
    made.PatientID = "4711"
    made.Rows = made.Columns = 8
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit = 7
    made.PixelRepresentation = 0
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = "MONOCHROME2"
    if pixels:
        made.PixelData = pixels
        made["PixelData"].VR = "OB"
    return made


def contributing(manufacturer: str) -> Sequence:
    item = Dataset()
    item.Manufacturer = manufacturer
    item.ManufacturerModelName = "model"
    return Sequence([item])


def encode(made: Dataset, syntax: str = EXPLICIT) -> bytes:
    """The data set as bytes in a transfer syntax."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax == IMPLICIT
    buffer.is_little_endian = syntax != BIG_ENDIAN
    write_dataset(buffer, made)
    encoded = buffer.getvalue()
    if syntax == DEFLATED:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        encoded = deflater.compress(encoded) + deflater.flush()
    return bytes(encoded)


def file_bytes(made: Dataset, syntax: str = EXPLICIT) -> bytes:
    """The object as a DICOM file."""
    head = FileHead(0, str(made.SOPClassUID), str(made.SOPInstanceUID), syntax)
    return encode_head(head) + encode(made, syntax)


def write(folder: Path, made: Dataset, syntax: str = EXPLICIT) -> Path:
    path = folder / f"{made.SOPInstanceUID}.dcm"
    path.write_bytes(file_bytes(made, syntax))
    return path


def opened(content: bytes, folder: Path) -> io.BufferedReader:
    path = folder / "data-set"
    path.write_bytes(content)
    return path.open("rb")
