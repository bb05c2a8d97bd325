from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from models.image import Header, Image
from models.prediction import Prediction, Segmentation
from tests.unit.workers.encode.samples import affine_of, identity, manifest, multi_frame_of, radiograph, slices_of, volume
from workers.encode.encode import encode

SHAPE = (4, 20, 24)


def states(image: Image, sources: list[Dataset], mask: np.ndarray) -> list[Dataset]:
    made = encode(Prediction(Segmentation({"bone": mask})), image, sources, manifest(), identity(), extras=("presentation",))
    return [dcmread(BytesIO(one.content)) for one in made if one.kind == "presentation"]


def square() -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2, 5:9, 6:12] = True
    return mask


def test_an_outline_lies_on_the_edges_of_its_pixels_over_its_own_image() -> None:
    image = volume(affine_of(), SHAPE)
    sources = slices_of(image, WindowCenter=40, WindowWidth=400, RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")

    (state,) = states(image, sources, square())

    (note,) = state.GraphicAnnotationSequence
    assert note.ReferencedImageSequence[0].ReferencedSOPInstanceUID == sources[2].SOPInstanceUID
    points = np.reshape(note.GraphicObjectSequence[0].GraphicData, (-1, 2)).tolist()
    assert sorted(map(tuple, points[:-1])) == [(6, 5), (6, 9), (12, 5), (12, 9)]
    assert points[0] == points[-1]
    assert (state.RescaleIntercept, state.SoftcopyVOILUTSequence[0].WindowWidth) == (-1024, 400)
    assert state.PatientName == sources[0].PatientName
    assert state.Modality == "PR"


def test_frames_of_one_object_are_named_by_their_number() -> None:
    image = volume(affine_of(), SHAPE)

    (state,) = states(image, [multi_frame_of(image, [3, 2, 1, 0])], square())

    assert state.GraphicAnnotationSequence[0].ReferencedImageSequence[0].ReferencedFrameNumber == 2


def test_a_window_has_the_function_that_the_image_states() -> None:
    image = volume(affine_of(), SHAPE)
    (state,) = states(image, slices_of(image, WindowCenter=40, WindowWidth=400, VOILUTFunction="SIGMOID"), square())
    assert state.SoftcopyVOILUTSequence[0].VOILUTFunction == "SIGMOID"


def test_values_are_shown_where_the_images_state_no_window() -> None:
    image = volume(affine_of(), SHAPE)
    image.array[:] = np.linspace(-1000, 1000, image.array.size).reshape(image.array.shape)
    (state,) = states(image, slices_of(image), square())

    (item,) = state.SoftcopyVOILUTSequence
    shown = np.sort(image.array[2].ravel())
    low, high = (float(item.WindowCenter) + side * float(item.WindowWidth) / 2 for side in (-1, 1))
    assert shown[0] - 10 < low < high < shown[-1] + 10
    assert high - low > 0.9 * (shown[-1] - shown[0])


@pytest.mark.parametrize(("turned", "centre"), [("MONOCHROME2", 700), ("MONOCHROME1", 4095 - 700)])
def test_the_window_of_a_film_is_in_its_stored_values(turned: str, centre: float) -> None:
    image, source = radiograph()
    image = replace(image, header=Header(modality="CR", photometric_interpretation=turned))
    source.PhotometricInterpretation, source.BitsStored = turned, 12
    image.array[:] = np.linspace(600, 800, image.array.size).reshape(image.array.shape)
    mask = np.zeros(image.array.shape, dtype=bool)
    mask[0, 2:8, 2:8] = True
    (state,) = states(image, [source], mask)
    assert float(state.SoftcopyVOILUTSequence[0].WindowCenter) == pytest.approx(centre, abs=15)


@pytest.mark.parametrize("same", [True, False])
def test_a_table_of_the_images_is_that_of_the_state(same: bool) -> None:
    def table(top: int) -> Dataset:
        made = Dataset()
        made.LUTDescriptor, made.LUTData = [3, 0, 16], np.array([0, 100, top], "<u2").tobytes()
        return made

    image = volume(affine_of(), SHAPE)
    sources = slices_of(image)
    for source in sources:
        source.VOILUTSequence = [table(65535)]
    if not same:
        sources[0].VOILUTSequence = [table(1000)]
    (state,) = states(image, sources, square())
    assert ("SoftcopyVOILUTSequence" in state) == same
    if same:
        assert state.SoftcopyVOILUTSequence[0].VOILUTSequence[0].LUTData == b"\0\0\x64\0\xff\xff"


def test_an_inverse_film_stays_inverse() -> None:
    image, source = radiograph()
    source.PhotometricInterpretation = "MONOCHROME1"
    mask = np.zeros(image.array.shape, dtype=bool)
    mask[0, 2:8, 2:8] = True

    (state,) = states(image, [source], mask)

    assert state.PresentationLUTShape == "INVERSE"


@pytest.mark.parametrize("fault", ["rescale", "specks"])
def test_none_is_made_where_it_could_not_be_right(fault: str) -> None:
    image = volume(affine_of(), SHAPE)
    sources = slices_of(image, RescaleSlope=1, RescaleIntercept=0)
    mask = square()
    if fault == "rescale":
        sources[1].RescaleSlope = 2
    else:
        mask[:] = False
        mask[1, 3, 3] = True

    assert states(image, sources, mask) == []
