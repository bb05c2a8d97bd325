"""Heat maps as Parametric Maps, read back by pydicom and highdicom."""

from __future__ import annotations

from io import BytesIO

import highdicom
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from models.image import Image, SpacingKind
from models.prediction import HeatMap, Prediction, Rating
from node.store.errors import Permanent
from tests.unit.workers.encode.samples import SERIES, affine_of, identity, manifest, radiograph, slices_of, volume
from workers.encode.encode import encode

SHAPE = (3, 6, 5)
HEAT = np.random.default_rng(0).random(SHAPE, dtype=np.float32)


def maps(heat: np.ndarray, image: Image, sources: list[Dataset], *, kinds: tuple[str, ...] = ("heatmap",)) -> list[bytes]:
    said = Prediction(ratings=(Rating("pneumonia", 0.9),), heat_maps=(HeatMap("pneumonia", heat, "HiResCAM"),))
    return [
        bytes(one.content) for one in encode(said, image, sources, manifest(), identity(), extras=kinds) if one.kind == "heatmap"
    ]


def test_the_values_are_read_back_as_they_were() -> None:
    image = volume(affine_of(), SHAPE)
    (content,) = maps(HEAT, image, slices_of(image))

    made = dcmread(BytesIO(content))
    read = highdicom.imread(BytesIO(content))

    assert made.SOPClassUID == "1.2.840.10008.5.1.4.1.1.30"
    assert np.array_equal(made.pixel_array, HEAT)
    assert np.array_equal(read.get_frames(apply_real_world_transform=True), HEAT)
    mapping = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert (mapping.DoubleFloatRealWorldValueFirstValueMapped, mapping.DoubleFloatRealWorldValueLastValueMapped) == (0, 1)
    assert mapping.LUTExplanation == "HiResCAM for Pneumonia: 0 nothing, 1 most"
    assert made.ContentDescription == "What spoke for Pneumonia, not where it is (HiResCAM)"
    assert made.Modality == "CT"


def test_each_frame_lies_where_its_source_does_and_names_it() -> None:
    image = volume(affine_of(((0.8, 0.6, 0.0), (-0.36, 0.48, 0.8))), SHAPE)
    sources = slices_of(image)
    (content,) = maps(HEAT, image, sources)

    made = dcmread(BytesIO(content))

    geometry = highdicom.imread(BytesIO(content)).get_volume_geometry()
    assert geometry is not None
    expected = np.asarray(image.affine)
    assert np.allclose(np.abs(np.linalg.det(geometry.affine)), abs(np.linalg.det(expected)))
    for group, source in zip(made.PerFrameFunctionalGroupsSequence, sources, strict=True):
        assert group.PlanePositionSequence[0].ImagePositionPatient == source.ImagePositionPatient
        named = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert named == source.SOPInstanceUID
    assert made.FrameOfReferenceUID == sources[0].FrameOfReferenceUID
    assert len(made.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == SHAPE[0]


@pytest.mark.parametrize("kind", list(SpacingKind)[1:])
def test_a_films_map_lies_on_the_film(kind: SpacingKind) -> None:
    image, source = radiograph(kind)
    heat = np.random.default_rng(1).random(image.array.shape, dtype=np.float32)
    (content,) = maps(heat, image, [source])
    made = dcmread(BytesIO(content))
    assert np.array_equal(made.pixel_array, heat[0])
    assert made.PatientOrientation == ["L", "F"]
    assert made.FrameOfReferenceUID == identity().frame_of_reference_uid(f"{SERIES}.200")


def test_without_a_place_there_is_no_map_and_the_answer_stands() -> None:
    image = volume(affine_of(), SHAPE)
    sources = slices_of(image)
    for source in sources:
        del source.FrameOfReferenceUID
    said = Prediction(ratings=(Rating("pneumonia", 0.9),), heat_maps=(HeatMap("pneumonia", HEAT, "HiResCAM"),))
    made = encode(said, image, sources, manifest(), identity(), extras=("heatmap", "capture"))
    assert [one.kind for one in made] == ["measurements", "report", "capture"]


def test_maps_are_made_only_where_asked_for() -> None:
    image = volume(affine_of(), SHAPE)
    assert maps(HEAT, image, slices_of(image), kinds=("capture",)) == []


def test_a_map_on_another_grid_is_the_models_fault() -> None:
    image = volume(affine_of(), SHAPE)
    with pytest.raises(Permanent, match="heat map"):
        maps(HEAT[:, :4], image, slices_of(image))
