"""Stored pixel values of single frames, whatever the transfer syntax; a decoder that is absent is refused by name."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import iter_pixels, pixel_array
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    MPEGTransferSyntaxes,
    RLETransferSyntaxes,
)

from node.store.attributes import BROKEN, number, text
from node.store.errors import Refused
from node.store.pixels import is_deflated

_UNDECODABLE: Final = (*BROKEN, RuntimeError, OSError, EOFError, struct.error, InvalidDicomError, ImportError, AssertionError)
"""What pydicom and its plug-ins raise for pixel data that is not what its header says."""
TWELVE_BIT: Final = "pylibjpeg-libjpeg (GPL version 3, for you to decide)"


def is_colour(dataset: Dataset) -> bool:
    """Whether the image has three samples a pixel, or a palette."""
    return int(number(dataset, "SamplesPerPixel") or 1) >= 3 or text(dataset, "PhotometricInterpretation") == "PALETTE COLOR"


def check_decoder(dataset: FileDataset) -> None:
    """Make sure that the pixel data of this object can be decoded here.

    Raises
    ------
    Refused
        ``no-decoder``, naming transfer syntax and the package that brings the decoder.
    """
    syntax = UID(text(dataset.file_meta, "TransferSyntaxUID"))
    told = f"{syntax.name} ({syntax})" if syntax.name != syntax else str(syntax)
    if syntax in MPEGTransferSyntaxes:
        raise Refused(f"the images are a video ({told}), which is not read", "no-decoder")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as unknown:
        raise Refused(f"there is no decoder for transfer syntax {told}: send it in another one", "no-decoder") from unknown
    twelve_bit = syntax == JPEGExtended12Bit and (number(dataset, "BitsStored") or 8) > 8
    if not decoder.is_available or (twelve_bit and "pylibjpeg" not in decoder.available_plugins):
        raise Refused(
            f"the decoder for transfer syntax {told} is not installed: pip install {package_for(syntax, twelve_bit=twelve_bit)}, "
            "or send the images uncompressed",
            "no-decoder",
        )


def check_length(path: Path, header: FileDataset) -> None:
    """Make sure that an uncompressed file is as long as its header says, before memory is taken for its pixels.

    Raises
    ------
    Refused
        ``bad-pixel-data``.
    """
    if is_deflated(header) or UID(text(header.file_meta, "TransferSyntaxUID")).is_compressed:
        return
    counts = ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "BitsAllocated")
    needed = math.prod(int(number(header, keyword) or 1) for keyword in counts) // 8
    subsampled = text(header, "PhotometricInterpretation").startswith("YBR_FULL_42")
    if path.stat().st_size < (needed // 2 if subsampled else needed):
        raise Refused(
            f"the pixel data of {instance_name(header)} is cut short: {needed} bytes are due, the whole file has "
            f"{path.stat().st_size}; send it again",
            "bad-pixel-data",
        )


def package_for(syntax: str, *, twelve_bit: bool = False) -> str:
    """Name on the package index of what decodes a transfer syntax."""
    if twelve_bit:
        return TWELVE_BIT
    tables = (
        (JPEG2000TransferSyntaxes, "pylibjpeg pylibjpeg-openjpeg"),
        (JPEGLSTransferSyntaxes, "pyjpegls"),
        (RLETransferSyntaxes, "pylibjpeg pylibjpeg-rle"),
        (JPEGTransferSyntaxes, "python-gdcm"),
    )
    return next((package for syntaxes, package in tables if syntax in syntaxes), "pylibjpeg pylibjpeg-openjpeg")


def instance_name(dataset: Dataset) -> str:
    """How a reason names an instance."""
    return f"instance {text(dataset, 'SOPInstanceUID')}"


def decode(path: Path, header: FileDataset, frames: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Yield the stored values of frames (from 0), in the order asked for.

    Parameters
    ----------
    header
        The object without its pixel data.

    Yields
    ------
    numpy.ndarray
        ``(row, column)`` of the stored integers or floats, sign and unused bits put right (PS3.5 section 8.1.1); or
        ``(row, column, 3)`` uint8 RGB for colour.

    Raises
    ------
    Refused
        ``bad-pixel-data``.
    """
    try:
        # straight from the file, which stops at the pixel data: what some senders append to it is not parsed
        source = _whole(path) if is_deflated(header) or _is_high(header) else path
        colour = is_colour(header)
        stored = (pixel_array(source, index=frames[0]),) if len(frames) == 1 else iter_pixels(source, indices=frames)
        for frame in stored:
            yield _to_rgb(frame, header) if colour else frame
    except _UNDECODABLE as broken:
        raise Refused(
            f"the pixel data of {instance_name(header)} is damaged or not what its header says ({type(broken).__name__}): "
            "send it again",
            "bad-pixel-data",
        ) from broken


def _is_high(header: FileDataset) -> bool:
    """Whether values sit in the upper bits, as old equipment stored them (High Bit above Bits Stored - 1)."""
    stored, high = number(header, "BitsStored"), number(header, "HighBit")
    native = not UID(text(header.file_meta, "TransferSyntaxUID")).is_compressed
    return native and stored is not None and high is not None and high > stored - 1 and number(header, "BitsAllocated") == 16


def _whole(path: Path) -> FileDataset:
    dataset = pydicom.dcmread(path)
    if _is_high(dataset):
        order = "<" if dataset.original_encoding[1] else ">"
        values = np.frombuffer(dataset.PixelData, dtype=f"{order}u2") >> (dataset.HighBit + 1 - dataset.BitsStored)
        dataset.PixelData = values.astype(f"{order}u2").tobytes()
        dataset.HighBit = dataset.BitsStored - 1
    return dataset


def _to_rgb(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    bits = int(number(dataset, "BitsStored") or 8)
    if text(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)[..., :3]
        # tables of 16 bits that hold 8-bit colours are met often enough
        bits = 8 if stored.max() <= 255 else 16
    return (stored >> (bits - 8) if bits > 8 else stored).astype(np.uint8)
