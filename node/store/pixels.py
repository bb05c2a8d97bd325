"""Finding the pixel data of a file without reading it."""

from __future__ import annotations

from typing import BinaryIO, Final, Literal

from pydicom.dataset import FileDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

PIXEL_DATA: Final = frozenset({(0x7FE0, 0x0008), (0x7FE0, 0x0009), (0x7FE0, 0x0010)})
"""Float Pixel Data, Double Float Pixel Data, Pixel Data."""
UNDEFINED: Final = 0xFFFFFFFF
"""Length of encapsulated pixel data (PS3.5 section A.4)."""


def is_deflated(dataset: FileDataset) -> bool:
    """Whether the data set is one compressed stream, in which nothing can be found by its place in the file."""
    return bool(dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian)


def seek_pixels(file: BinaryIO, dataset: FileDataset) -> int:
    """Go to the value of the pixel data, before which ``dcmread(file, stop_before_pixels=True)`` stopped (PS3.5 section 7.1).

    Returns
    -------
    int
        Length of the value in bytes, `UNDEFINED` where it is encapsulated, 0 where there is none.
    """
    implicit, little = dataset.original_encoding
    order: Literal["little", "big"] = "little" if little else "big"
    head = file.read(8)
    if (int.from_bytes(head[0:2], order), int.from_bytes(head[2:4], order)) not in PIXEL_DATA:
        return 0
    return int.from_bytes(head[4:8] if implicit else file.read(4), order)
