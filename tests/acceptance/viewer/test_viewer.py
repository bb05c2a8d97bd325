"""What a radiologist sees: studies of every kind, read by the node, delivered to Orthanc, shown by OHIF in a browser."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from scipy import ndimage

from models.manifest import library_folder, read_manifest
from models.prediction import Prediction, Segmentation
from tests import dicom
from tests.acceptance.viewer.conftest import Site
from tests.acceptance.viewer.delivered import colour, drawn_areas, objects, places, shown_as, texts
from tests.acceptance.viewer.ohif import Ohif, plain
from tests.acceptance.viewer.studies import Study, abdominal_ct, chest_film, cine_mr, demo_film, dermoscopy, head_mr, odd_film
from tests.unit.workers.encode.samples import identity, manifest
from workers.encode.encode import encode
from workers.series.stack import load_stack

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.promise, pytest.mark.timeout(900)]

TOLERANCE = 6.0
"""Of 255: rounding, and the screen's smoothing between pixels."""

KINDS: dict[str, tuple[Callable[[Path], Study], str, list[str]]] = {
    "chest radiograph": (chest_film, "cxr-lungs", ["Right lung field", "Left lung field"]),
    "chest film of an odd number of pixels": (odd_film, "cxr-lungs", ["Right lung field", "Left lung field"]),
    "abdominal CT": (abdominal_ct, "ct-tissue", ["Body", "Bone", "Right lung", "Left lung"]),
    "head MR": (head_mr, "brain-mr", ["Brain"]),
    "cine series": (cine_mr, "cine-lv", ["Left ventricular cavity", "Left ventricular myocardium"]),
    "dermoscopy image": (dermoscopy, "skin-7", []),
}

DRAWN = {"chest radiograph": 1, "chest film of an odd number of pixels": 1, "cine series": 1}
"""Reports with drawn measurements of each kind of study."""


@pytest.fixture(scope="module")
def studies(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Study]:
    """All of them sent at once, so that the node reads the next while one is looked at."""
    folder = tmp_path_factory.mktemp("studies")
    made = {kind: draw(folder / kind) for kind, (draw, _, _) in KINDS.items()}
    for study in made.values():
        site.send(study)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_a_study_is_shown_as_it_was_written(kind: str, site: Site, studies: dict[str, Study]) -> None:
    _, model, names = KINDS[kind]
    found = see_study(site, studies[kind], model)
    assert [str(segment.SegmentLabel) for one in found if one.Modality == "SEG" for segment in one.SegmentSequence] == names
    assert sum(bool(drawn_areas(one)) for one in found if one.Modality == "SR") == DRAWN.get(kind, 0)


def test_the_film_of_the_demonstration_is_shown_as_it_was_written(site: Site, tmp_path: Path) -> None:
    study = demo_film(tmp_path)
    site.send(study)
    found = see_study(site, study, "cxr-lungs", picture=False)
    (seg,) = (one for one in found if one.Modality == "SEG")
    assert (seg.SegmentationType, seg.Rows * seg.Columns % 8) == ("FRACTIONAL", 3)


def test_structures_of_a_label_map_have_their_own_colours(site: Site, tmp_path: Path) -> None:
    film = dicom.radiograph(np.full((401, 301), 900, np.uint16), study="viewer label map", series="film")
    loaded = load_stack(dicom.write([film], tmp_path))
    masks = {key: np.zeros(loaded.image.array.shape, dtype=bool) for key in ("bone", "right_lung", "body")}
    for place, mask in enumerate(masks.values()):
        mask[0, 40 + 110 * place : 130 + 110 * place, 60:240] = True
    who = identity(study_uid=film.StudyInstanceUID, stack_key="1")
    made = encode(Prediction(Segmentation(masks)), loaded.image, loaded.sources, manifest(), who, extras=("labelmap",))
    site.orthanc.take(*tmp_path.rglob("*.dcm"))
    (content,) = (one.content for one in made if one.kind == "labelmap")
    site.orthanc.post("/instances", bytes(content))

    site.ohif.open(str(film.StudyInstanceUID), 2)
    see_segments(site.ohif, dcmread(BytesIO(content)))
    assert site.ohif.browser.faults() == []


def see_study(site: Site, study: Study, model: str, *, picture: bool = True) -> list[Dataset]:
    """Look at everything that the archive has of a study, once the model has read it; what it has.

    Parameters
    ----------
    picture
        Look at the picture too: not where it is too finely drawn to have evenly coloured places on the screen.
    """
    if model not in site.read(study):
        pytest.skip(f"{model} gave no answer: no way to its weights?")
    found = objects(site.orthanc, study.uid)
    site.ohif.open(study.uid, len({str(one.SeriesInstanceUID) for one in found}))
    for seg in (one for one in found if one.Modality == "SEG"):
        see_segments(site.ohif, seg)
        check_colours(seg, model)
    for findings in (one for one in found if one.Modality == "SR" and drawn_areas(one)):
        see_measurements(site.ohif, findings)
    see_report(site.ohif, next(one for one in found if one.get("SeriesDescription", "").startswith("AI report")))
    if picture:
        see_picture(site.ohif, next(one for one in found if one.Modality == "OT"))
    assert site.ohif.browser.faults() == []
    return found


def see_segments(ohif: Ohif, seg: Dataset) -> None:
    """Names in the panel; at given pixels the segment's colour over the image, beside them the image as it was."""
    wanted = places(seg)
    bare = {}
    for place in wanted:
        ohif.turn_to(place.sop_instance_uid, place.frame)
        bare[place] = ohif.colours(np.array([[place.row, place.column]]))[0]
    ohif.load_until(str(seg.SeriesDescription), "it asks about the segmentation", ohif.asks)
    ohif.confirm()
    labels = [str(one.SegmentLabel) for one in sorted(seg.SegmentSequence, key=lambda one: int(one.SegmentNumber))]
    assert ohif.segments(len(labels)) == labels
    ohif.open_panel("panelSegmentation-btn")
    ohif.reads("Segmentations", *labels)
    for place in wanted:
        ohif.turn_to(place.sop_instance_uid, place.frame)
        expected = colour(bare[place], place, seg)
        ohif.shows(np.array([[place.row, place.column]]), expected[np.newaxis], TOLERANCE, f"segments {place.segments}")


def check_colours(seg: Dataset, model: str) -> None:
    """Of all colours in the model's manifest, that of the structure itself is the nearest to what is shown of it."""
    manifest = {one.name: np.array(one.color, dtype=np.float64) for one in read_manifest(library_folder() / model).structures}
    for one in seg.SegmentSequence:
        shown = shown_as(one.RecommendedDisplayCIELabValue)
        assert min(manifest, key=lambda name: float(np.abs(manifest[name] - shown).sum())) == one.SegmentLabel
        assert np.abs(manifest[str(one.SegmentLabel)] - shown).max() < 30


def see_measurements(ohif: Ohif, findings: Dataset) -> None:
    """Every drawn area is taken over as a measurement that can be edited, and what OHIF measures in it is what was written."""
    areas = drawn_areas(findings)
    ohif.load_until(str(findings.SeriesDescription), "it asks about the findings", ohif.asks)
    ohif.confirm()
    ohif.takes_over(areas)
    ohif.open_panel("trackedMeasurements-btn")
    ohif.reads(f"Measurements ({len(areas)})", *(f"{area:.0f}" for area in ohif.areas()))


def see_report(ohif: Ohif, report: Dataset) -> None:
    """Every text of the report can be read on the page."""
    written = texts(report)
    ohif.load_until(str(report.SeriesDescription), "the report is shown", lambda: plain(written[0]) in plain(ohif.browser.text()))
    assert any("AI RESULT" in text for text in written)
    ohif.reads(*written)


def see_picture(ohif: Ohif, picture: Dataset) -> None:
    """A picture with its answer burned in: at evenly coloured places the screen has the picture's own colours."""
    stored = picture.pixel_array.astype(np.float64)
    spread = ndimage.maximum_filter(stored, (9, 9, 1)) - ndimage.minimum_filter(stored, (9, 9, 1))
    even = spread.max(axis=-1) <= 12
    even[: len(even) // 4] = False  # OHIF lays its own words and buttons over the upper part
    strength = np.where(even, stored.max(axis=-1) - stored.min(axis=-1), -1)
    bright = np.where(even, stored.min(axis=-1), -1)
    points = np.array([np.unravel_index(one.argmax(), one.shape) for one in (strength, bright)])
    uid = str(picture.SOPInstanceUID)
    ohif.load_until(str(picture.SeriesDescription), "the picture is there", lambda: ohif.has(uid))
    ohif.turn_to(uid)
    ohif.shows(points, stored[tuple(points.T)], 2 * TOLERANCE, "the picture with the answer burned in")
