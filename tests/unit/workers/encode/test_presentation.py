from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from models.image import Image
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
