from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from models.image import Image
from models.prediction import HeatMap, Prediction, Rating, Segmentation
from tests.unit.workers.encode.samples import affine_of, identity, manifest, radiograph, slices_of, volume
from workers.encode.encode import encode

SHAPE = (6, 20, 24)


def made(prediction: Prediction, image: Image, sources: list[Dataset], *extras: str) -> dict[str, list[Dataset]]:
    found: dict[str, list[Dataset]] = {}
    for one in encode(prediction, image, sources, manifest(), identity(), extras=extras):
        found.setdefault(one.kind, []).append(dcmread(BytesIO(one.content)))
    return found


def outlined() -> Prediction:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1, 4:16, 4:20] = mask[3, 4:8, 4:8] = True
    return Prediction(Segmentation({"bone": mask}))


def test_pictures_and_keys_are_made_only_where_asked_for() -> None:
    image = volume(affine_of(), SHAPE)

    assert set(made(outlined(), image, slices_of(image))) == {"seg", "measurements", "report"}


def test_each_outlined_slice_is_a_picture_of_its_source() -> None:
    image = volume(affine_of(), SHAPE)
    sources = slices_of(image)

    pictures = made(outlined(), image, sources, "capture")["capture"]

    named = [one.SourceImageSequence[0].ReferencedSOPInstanceUID for one in pictures]
    assert named == [sources[1].SOPInstanceUID, sources[3].SOPInstanceUID]
    assert [one.InstanceNumber for one in pictures] == [1, 2]
    assert len({one.SeriesInstanceUID for one in pictures}) == 1
    assert pictures[0].StudyInstanceUID == sources[0].StudyInstanceUID
    color = np.array(manifest().structures[0].color)
    assert (pictures[0].pixel_array == color).all(axis=2).sum() > 500
    assert pictures[0].BurnedInAnnotation == "NO"


def test_key_images_are_the_slices_that_matter() -> None:
    image = volume(affine_of(), SHAPE)
    sources = slices_of(image)

    (keys,) = made(outlined(), image, sources, "keys")["keys"]

    items = [item for item in keys.ContentSequence if item.ValueType == "IMAGE"]
    named = [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in items]
    assert named == [sources[1].SOPInstanceUID, sources[3].SOPInstanceUID]
    evidence = keys.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert [one.ReferencedSOPInstanceUID for one in evidence] == named
    assert keys.Modality == "KO"


def test_a_heat_map_lies_over_its_image_and_a_bare_finding_beside_it() -> None:
    image, source = radiograph(shape=(64, 64))
    rating = (Rating("pneumonia", 0.9),)
    heat = np.zeros((1, 64, 64), dtype=np.float32)
    heat[0, :, 40:] = 1.0

    (plain,) = made(Prediction(ratings=rating), image, [source], "capture")["capture"]
    (warm,) = made(Prediction(ratings=rating, heat_maps=(HeatMap("pneumonia", heat, "CAM"),)), image, [source], "capture")[
        "capture"
    ]

    def tinted(one: Dataset) -> int:
        pixels = one.pixel_array[100:400].astype(int)
        return int((pixels[..., 0] - pixels[..., 2] > 20).sum())

    assert tinted(warm) > 20_000 > 2_000 > tinted(plain)


@pytest.mark.parametrize(("window", "shade"), [((60, 100), 128), (None, 255)])
def test_shades_follow_the_sources_window_or_the_values(window: tuple[int, int] | None, shade: int) -> None:
    image = volume(affine_of(), SHAPE)
    image.array[:] = 60
    image.array[:, :2] = -1000
    sources = slices_of(image)
    if window:
        for source in sources:
            source.WindowCenter, source.WindowWidth = window

    picture = made(outlined(), image, sources, "capture")["capture"][0].pixel_array

    assert picture[picture.shape[0] // 2, picture.shape[1] // 2].tolist() == [shade] * 3
