"""Findings with their place: read back by highdicom, and in the shape that OHIF takes over."""

from __future__ import annotations

import copy
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from highdicom.sr import MeasurementReport, srread
from pydicom import Dataset, dcmread

from models.image import Header, Image, Region, SpacingKind
from models.labels import Code
from models.prediction import Cycle, Located, Measurement, Moment, Prediction, Segmentation
from node.store.errors import Permanent
from tests.unit.workers.encode.samples import SERIES, affine_of, identity, manifest, radiograph, slices_of, volume
from tests.unit.workers.encode.test_contours import filled
from workers.encode.contours import area, contours, thinned
from workers.encode.encode import encode

FILM = (24, 20)
PHASES, SLICES = 4, 3
_PERCENT, _ML = Code(scheme="UCUM", value="%", meaning="Percent"), Code(scheme="UCUM", value="ml", meaning="milliliter")
FRACTION = Measurement("ef", "Ejection fraction", Code(scheme="LN", value="8811-2", meaning="LVEF"), 55.3, _PERCENT)
EMPTY = Measurement("esv", "End-systolic volume", Code(scheme="LN", value="18148-7", meaning="LVESV"), 41.0, _ML)


def findings(prediction: Prediction, image: Image, sources: list[Dataset]) -> list[Dataset]:
    made = encode(prediction, image, sources, manifest(), identity(), extras=("findings",))
    return [dcmread(BytesIO(one.content)) for one in made if one.kind == "findings"]


def film(prediction: Prediction, kind: SpacingKind = SpacingKind.DETECTOR) -> Dataset:
    image, source = radiograph(kind, FILM)
    (document,) = findings(prediction, image, [source])
    return document


def groups_of(document: Dataset) -> list[Dataset]:
    (container,) = (one for one in document.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == "126010")
    return [one for one in container.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == "125007"]


def item(group: Dataset, value: str) -> Dataset:
    (found,) = (one for one in group.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == value)
    return found


def numbers(group: Dataset) -> dict[str, tuple[float, str]]:
    taken = {}
    for one in group.ContentSequence:
        if one.ValueType == "NUM":
            value = one.MeasuredValueSequence[0]
            unit = value.MeasurementUnitsCodeSequence[0].CodeValue
            taken[one.ConceptNameCodeSequence[0].CodeMeaning] = float(value.NumericValue), unit
    return taken


def points(group: Dataset) -> np.ndarray:
    first = next(one for one in group.ContentSequence if one.ValueType == "NUM")
    return np.reshape(first.ContentSequence[0].GraphicData, (-1, 2))


def two_lungs() -> Segmentation:
    lung = np.zeros((1, *FILM), dtype=bool)
    lung[0, 3:15, 2:8] = lung[0, 5:18, 11:17] = True
    lung[0, 8:10, 3:5] = False  # a hole
    lung[0, 20, 0:3] = True  # too small to outline
    return Segmentation({"right_lung": lung})


def test_a_film_is_outlined_as_it_was_predicted() -> None:
    segmentation = two_lungs()
    document = film(Prediction(segmentation))

    groups = groups_of(document)

    drawn = filled([points(group) for group in groups], FILM)
    outlined = segmentation.masks["right_lung"][0].copy()
    outlined[8:10, 3:5] = True  # within the outer border
    outlined[20, 0:3] = False
    assert np.array_equal(drawn, outlined)
    pixel_mm2 = 0.2 * 0.25
    assert [numbers(group) for group in groups] == [
        {"Area": (pytest.approx(13 * 6 * pixel_mm2), "mm2")},
        {"Area": (pytest.approx(12 * 6 * pixel_mm2), "mm2")},
    ]
    assert item(groups[0], "121071").ConceptCodeSequence[0].CodeMeaning == "Lung"
    site = item(groups[0], "363698007")
    assert site.ConceptCodeSequence[0].CodeMeaning == "Chest"
    assert site.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning == "Right"
    assert document.SeriesDescription == "AI findings (sample-model), not verified, at the detector plane"
    assert (document.PreliminaryFlag, document.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")


def test_each_number_has_one_coordinate_and_a_tool_that_draws_it() -> None:
    """OHIF 3.13 reads the one item below a NUM as its coordinates, and throws where a NUM has none."""
    located = (
        Located("pneumonia", 0.9, 0, Region(10.0, 8.0, 3.0)),
        Located("pneumonia", 0.7, 0, np.array([[2.0, 2], [2, 6], [5, 6]])),
    )
    groups = groups_of(film(Prediction(two_lungs(), located=located)))

    assert len(groups) == 4
    tools = []
    for group in groups:
        tools.append(item(group, "112039").TextValue.rpartition(":")[2])
        for number in (one for one in group.ContentSequence if one.ValueType == "NUM"):
            (scoord,) = number.ContentSequence
            assert (scoord.ValueType, scoord.RelationshipType) == ("SCOORD", "INFERRED FROM")
            assert scoord.GraphicType == ("CIRCLE" if tools[-1] == "CircleROI" else "POLYLINE")
            (image,) = scoord.ContentSequence
            assert (image.ValueType, image.RelationshipType) == ("IMAGE", "SELECTED FROM")
            assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == f"{SERIES}.200"
    assert tools == ["CircleROI", "PlanarFreehandROI", "PlanarFreehandROI", "PlanarFreehandROI"]
    assert all(item(group, "112039").TextValue.startswith("Cornerstone3DTools@^0.1.0:") for group in groups)
    assert len({item(group, "112040").UID for group in groups}) == 4


@pytest.mark.parametrize(("probability", "named"), [(0.87, ["Pneumonia"]), (0.5, []), (0.1, [])])
def test_a_located_finding_is_named_only_where_it_is_present(probability: float, named: list[str]) -> None:
    document = film(Prediction(located=(Located("pneumonia", probability, 0, Region(10.0, 8.0, 3.0)),)), SpacingKind.NONE)

    (group,) = groups_of(document)

    assert points(group).tolist() == [[8.5, 10.5], [11.5, 10.5]]  # the middle of pixel 8 is 8.5 pixels from the image's edge
    assert numbers(group) == {
        "Area": (pytest.approx(np.pi * 9, rel=1e-4), "{pixels}"),
        "Probability": (pytest.approx(100 * probability), "%"),
    }
    findings = [one for one in group.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == "121071"]
    assert [one.ConceptCodeSequence[0].CodeMeaning for one in findings] == named


def test_a_polygon_lies_where_the_model_put_it() -> None:
    corners = np.array([[2.0, 2.0], [2.0, 6.0], [5.0, 6.0]])
    (group,) = groups_of(film(Prediction(located=(Located("pneumonia", 0.9, 0, corners),)), SpacingKind.NONE))
    assert points(group).tolist() == [[2.5, 2.5], [6.5, 2.5], [6.5, 5.5], [2.5, 2.5]]
    assert numbers(group)["Area"] == (6.0, "{pixels}")


@pytest.mark.parametrize("index", [0, 2])
def test_a_place_on_a_slice_of_a_volume_refers_to_that_slice(index: int) -> None:
    image = volume(affine_of(), (3, 12, 14))
    (document,) = findings(
        Prediction(located=(Located("pneumonia", 0.9, index, Region(5.0, 6.0, 2.0)),)), image, slices_of(image)
    )
    (group,) = groups_of(document)
    number = next(one for one in group.ContentSequence if one.ValueType == "NUM")
    named = number.ContentSequence[0].ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert named == f"{SERIES}.{index + 1}"
    assert numbers(group)["Area"] == (pytest.approx(np.pi * 4 * 0.8 * 0.7, rel=1e-4), "mm2")


@pytest.mark.parametrize(
    "place", [(1, Region(5, 5, 2)), (0, Region(-2, 5, 2)), (0, Region(5, FILM[1], 2)), (0, np.array([[0, 0], [0, 30], [9, 9.0]]))]
)
def test_a_place_outside_the_image_is_the_models_fault(place: tuple[int, Any]) -> None:
    with pytest.raises(Permanent, match="outside the image"):
        film(Prediction(located=(Located("pneumonia", 0.9, *place),)))


def cycle() -> tuple[Image, list[Dataset], Prediction]:
    """Three slices at four phases; the cavity is widest on the second, in phase 1, and smallest in phase 3."""
    affine = affine_of()
    still = volume(affine, (SLICES, 16, 12), modality="MR")
    array = np.zeros((SLICES * PHASES, 16, 12), np.float32)
    image = Image(array, affine, still.spacing_mm, SpacingKind.PATIENT, Header(modality="MR"), phases=PHASES)
    sources: list[Dataset] = []
    for place, source in enumerate(slices_of(still)):
        for phase in range(PHASES):
            sources.append(copy.deepcopy(source))
            sources[-1].SOPInstanceUID = f"{SERIES}.{place + 1}.{phase + 1}"
    cavity = np.zeros(array.shape, dtype=bool)
    for place, height in enumerate((5, 9, 3)):
        for phase, less in enumerate((1, 0, 1, 2)):
            cavity[place * PHASES + phase, 2 : 2 + height - less, 3:9] = True
    moments = {Moment.END_DIASTOLE: 1, Moment.END_SYSTOLE: 3}
    measured = (
        Measurement("ef", FRACTION.name, FRACTION.code, FRACTION.value, FRACTION.unit, Moment.END_DIASTOLE),
        Measurement("esv", EMPTY.name, EMPTY.code, EMPTY.value, EMPTY.unit, Moment.END_SYSTOLE),
    )
    said = Prediction(Segmentation({"bone": cavity}), measurements=measured, cycle=Cycle("bone", moments, (0, 1)))
    return image, sources, said


def test_an_ejection_fraction_comes_with_the_outlines_it_rests_on() -> None:
    image, sources, prediction = cycle()

    (document,) = findings(prediction, image, sources)

    pixel_mm2 = 0.8 * 0.7
    told = []
    for group in groups_of(document):
        scoord = next(one for one in group.ContentSequence if one.ValueType == "NUM").ContentSequence[0]
        where = scoord.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        told.append((item(group, "C2348792").TextValue, where.removeprefix(f"{SERIES}."), numbers(group)))
        mask = prediction.segmentation.masks["bone"][[one.SOPInstanceUID for one in sources].index(where)]  # type: ignore[union-attr]
        assert np.array_equal(filled([points(group)], (16, 12)), mask)
    assert told == [
        ("end diastole", "1.2", {"Area": (pytest.approx(30 * pixel_mm2), "mm2")}),
        ("end diastole", "2.2", {"Area": (pytest.approx(54 * pixel_mm2), "mm2"), "LVEF": (55.3, "%")}),
        ("end systole", "1.4", {"Area": (pytest.approx(18 * pixel_mm2), "mm2")}),
        ("end systole", "2.4", {"Area": (pytest.approx(42 * pixel_mm2), "mm2"), "LVESV": (41.0, "ml")}),
    ]


def test_highdicom_reads_the_groups() -> None:
    image, sources, prediction = cycle()
    made = encode(prediction, image, sources, manifest(), identity(), extras=("findings",))
    report = srread(BytesIO(next(one.content for one in made if one.kind == "findings"))).content
    assert isinstance(report, MeasurementReport)
    groups = report.get_image_measurement_groups()
    assert len(groups) == 4
    assert [number.name.meaning for number in groups[1].get_measurements()] == ["Area", "LVEF"]


@pytest.mark.parametrize("shape", [(3, 12, 14)])
def test_outlines_of_a_volume_are_no_findings_of_one_image(shape: tuple[int, int, int]) -> None:
    image = volume(affine_of(), shape)
    assert findings(Prediction(Segmentation({"bone": np.ones(shape, dtype=bool)})), image, slices_of(image)) == []


def test_tracking_stays_when_the_study_is_revised() -> None:
    image, source = radiograph(SpacingKind.DETECTOR, FILM)
    first, second = (
        [
            item(group, "112040").UID
            for one in encode(
                Prediction(two_lungs()), image, [source], manifest(), identity(revision=revision), extras=("findings",)
            )
            if one.kind == "findings"
            for group in groups_of(dcmread(BytesIO(one.content)))
        ]
        for revision in (1, 2)
    )
    assert first == second


def test_an_outline_of_too_many_corners_is_thinned_to_half_a_pixel() -> None:
    rows, columns = np.ogrid[:400, :400]
    disc = (rows - 200) ** 2 + (columns - 200) ** 2 < 180**2
    (border,) = contours(disc)

    fewer = thinned(border, 200)

    assert len(border) > 800
    assert len(fewer) <= 200
    assert fewer[0].tolist() == fewer[-1].tolist()
    assert abs(area(fewer)) == pytest.approx(abs(area(border)), rel=0.01)
    assert thinned(border, len(border)) is border
