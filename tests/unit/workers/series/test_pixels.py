"""Decoders that are absent are named, with the package that brings them; colours come out as RGB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from node.store.errors import Refused
from tests import dicom
from workers.series.pixels import check_decoder, decode, is_colour


def header(syntax: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.BitsStored = 8
    return dataset


@pytest.mark.parametrize(
    ("syntax", "package"),
    [
        (JPEG2000Lossless, "pylibjpeg-openjpeg"),
        (JPEGLSLossless, "pyjpegls"),
        (RLELossless, "pylibjpeg-rle"),
        (JPEGBaseline8Bit, "python-gdcm"),
        (JPEGLosslessSV1, "python-gdcm"),
    ],
)
def test_the_package_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch, syntax: str, package: str) -> None:
    check_decoder(header(syntax))
    monkeypatch.setattr(get_decoder(syntax), "_available", {})
    with pytest.raises(Refused) as caught:
        check_decoder(header(syntax))
    assert caught.value.code == "no-decoder"
    assert package in caught.value.reason
    assert str(syntax) in caught.value.reason


def test_frames_come_in_the_order_asked_for(tmp_path: Path) -> None:
    dataset = dicom.cine(frames=4)
    path = dicom.write([dataset], tmp_path)[0]
    frames = list(decode(path, dataset, [2, 0]))
    assert np.array_equal(frames, dataset.pixel_array[[2, 0]])


@pytest.mark.parametrize("depth", [8, 16])
def test_palettes_become_rgb(tmp_path: Path, depth: int) -> None:
    indices = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    dataset = dicom.image(indices, modality="US", sop_class="1.2.840.10008.5.1.4.1.1.6.1")
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    levels = np.array([0, 50, 100, 255], dtype=np.uint16)
    for colour, factor in (("Red", 1), ("Green", 0), ("Blue", 1)):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [4, 0, 16])
        setattr(dataset, f"{colour}PaletteColorLookupTableData", (levels * factor * (257 if depth == 16 else 1)).tobytes())
    assert is_colour(dataset)
    frame = next(decode(dicom.write([dataset], tmp_path)[0], dataset, [0]))
    assert frame.dtype == np.uint8
    assert frame[..., 0].ravel().tolist() == [0, 50, 100, 255]
    assert frame[..., 1].max() == 0


def test_sixteen_bit_colours_are_brought_to_eight(tmp_path: Path) -> None:
    pixels = (np.arange(12, dtype=np.uint16) * 5000).reshape(2, 2, 3)
    dataset = dicom.image(pixels, modality="XC", sop_class="1.2.840.10008.5.1.4.1.1.7")
    frame = next(decode(dicom.write([dataset], tmp_path)[0], dataset, [0]))
    assert np.array_equal(frame, (pixels >> 8).astype(np.uint8))
