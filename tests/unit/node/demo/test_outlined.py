"""Pictures of what came back: shades as the header wants them, outlines where the delivered masks are, and nowhere else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from scipy import ndimage

from models.prediction import Prediction, Segmentation
from node.demo.outlined import SIDE, outlined, plain, unmarked
from tests.unit.workers.encode.samples import affine_of, identity, manifest, slices_of, volume
from workers.encode.encode import encode

SHAPE = (3, 40, 32)


def sources() -> list[Dataset]:
    """Three CT slices with pixels: brighter from slice to slice, and from left to right."""
    made = slices_of(volume(affine_of(spacing_mm=(3.0, 0.8, 0.8)), SHAPE))
    for index, one in enumerate(made):
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 0
        one.BitsAllocated, one.BitsStored, one.HighBit = 16, 12, 11
        one.RescaleSlope, one.RescaleIntercept, one.WindowCenter, one.WindowWidth = "1", "-1000", "50", "400"
        values = np.broadcast_to(900 + 100 * index + 8 * np.arange(SHAPE[2]), SHAPE[1:])
        one.PixelData = values.astype(np.uint16).tobytes()
        one["PixelData"].VR = "OW"
    return made


def masks() -> dict[str, np.ndarray]:
    """A square of bone on the last slice, a lung on the two others, larger on the first."""
    bone, lung = np.zeros(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)
    bone[2, 4:16, 6:20] = True
    lung[0, 20:36, 8:28] = True
    lung[1, 22:30, 8:20] = True
    return {"bone": bone, "right_lung": lung}


def delivered(images: list[Dataset]) -> Dataset:
    """The SEG of these masks, as its bytes."""
    image = volume(affine_of(spacing_mm=(3.0, 0.8, 0.8)), SHAPE)
    objects = encode(Prediction(Segmentation(masks(), absent=("body",)), (), ()), image, images, manifest(), identity())
    return dcmread(io.BytesIO(bytes(next(one.content for one in objects if one.kind == "seg"))))


def test_outlines_lie_on_the_inner_edge_of_the_masks_and_the_rest_is_the_image() -> None:
    images = sources()
    by_uid = {one.SOPInstanceUID: one for one in images}
    pictures = outlined(delivered(images), by_uid.get)
    assert [one.caption for one in pictures] == ["CT series 3, image 3", "CT series 3, image 1"]
    assert [[name for _, name in one.legend] for one in pictures] == [["Bone"], ["Right lung"]]
    for picture, index, key in zip(pictures, (2, 0), ("bone", "right_lung"), strict=True):
        (colour, _) = picture.legend[0]
        bare = unmarked(images[index]).pixels
        assert picture.pixels.shape == bare.shape == (SIDE, SIDE * SHAPE[2] // SHAPE[1], 3)
        changed = (picture.pixels != bare).any(axis=-1)
        scale = SIDE // SHAPE[1]
        mask = np.kron(masks()[key][index], np.ones((scale, scale), dtype=bool))
        assert np.array_equal(changed, mask & ~ndimage.binary_erosion(mask, iterations=2))
        assert (picture.pixels[changed] == colour).all()


def test_colours_are_those_that_the_manifest_names() -> None:
    images = sources()
    pictures = outlined(delivered(images), {one.SOPInstanceUID: one for one in images}.get)
    wanted = {one.name: one.color for one in manifest().structures}
    for picture in pictures:
        for colour, name in picture.legend:
            assert np.abs(np.subtract(colour, wanted[name])).max() <= 30  # of highdicom, that takes D65 for the white


def test_shades_follow_rescale_and_window() -> None:
    grey = plain(sources()[1])[0, :, 0].astype(float)
    hounsfield = 8.0 * np.arange(SHAPE[2])
    low, high = 50 - 0.5 - 399 / 2, 50 - 0.5 + 399 / 2
    shades = np.clip((hounsfield - low) / (high - low), 0, 1)
    wanted = (shades - shades[0]) / (shades[-1] - shades[0]) * 255
    assert np.abs(grey - wanted).max() <= 2


def test_what_is_stored_inverted_is_shown_upright() -> None:
    film = sources()[0]
    upright = plain(film)
    film.PhotometricInterpretation = "MONOCHROME1"
    assert np.abs(plain(film).astype(int) - (255 - upright.astype(int))).max() <= 1


def test_without_a_window_the_spread_of_the_values_is_shown() -> None:
    film = sources()[0]
    del film.WindowCenter, film.WindowWidth
    shown = plain(film)
    assert (int(shown.min()), int(shown.max())) == (0, 255)


@pytest.mark.parametrize("kind", ["FRACTIONAL", "LABELMAP"])
def test_of_other_kinds_there_is_no_picture(kind: str) -> None:
    seg = delivered(sources())
    seg.SegmentationType = kind
    assert outlined(seg, {}.get) == []


def test_images_that_were_not_sent_are_left_out() -> None:
    images = sources()
    seg = delivered(images)
    assert [one.caption for one in outlined(seg, {one.SOPInstanceUID: one for one in images[:2]}.get)] == ["CT series 3, image 1"]
