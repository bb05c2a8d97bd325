from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, config, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from models.image import SpacingKind
from models.prediction import Prediction, Rating, Segmentation
from node.store.errors import Refused
from tests.unit.workers.encode.samples import CALIBRATION, affine_of, identity, manifest, patient, radiograph, slices_of, volume
from workers.encode.encode import EncodedObject, encode, measure, summary

SHAPE = (3, 4, 5)


def answer() -> Prediction:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:, 1:3, 2] = True
    return Prediction(Segmentation({"bone": mask}, absent=("body",)), (Rating("pneumonia", 0.7),), ("A note.",))


def encoded() -> tuple[EncodedObject, ...]:
    image = volume(affine_of(), SHAPE)
    return encode(answer(), image, slices_of(image), manifest(), identity())


def digests() -> list[str]:
    return [hashlib.sha256(one.content).hexdigest() for one in encoded()]


def test_another_process_on_another_day_in_another_zone_makes_the_same_bytes() -> None:
    code = (
        "import datetime, json, time\n"
        "real = time.time\n"
        "time.time = lambda: real() + 86400 * 400\n"
        "class Later(datetime.datetime):\n"
        "    @classmethod\n"
        "    def now(cls, tz=None): return super().now(tz) + datetime.timedelta(days=400)\n"
        "datetime.datetime = Later\n"
        "from tests.unit.workers.encode.test_encode import digests\n"
        "print(json.dumps(digests()))\n"
    )
    root = Path(__file__).parents[4]
    environment = {**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "99", "PYTHONPATH": str(root)}

    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=root)

    assert json.loads(other.stdout) == digests()


def test_the_sources_are_left_as_they_were() -> None:
    image = volume(affine_of(), SHAPE)
    sources = slices_of(image)
    before = [source.to_json() for source in sources]

    encode(answer(), image, sources, manifest(), identity())

    assert [source.to_json() for source in sources] == before


def test_what_is_said_of_an_object_is_what_is_in_it() -> None:
    for one in encoded():
        assert one.sop_instance_uid.encode() in one.content
        assert one.series_uid.encode() in one.content
        assert one.content[128:132] == b"DICM"


def test_no_two_objects_share_an_identifier() -> None:
    assert len({one.sop_instance_uid for one in encoded()}) == 4


def test_the_summary_says_how_much_variants_of_the_image_differ() -> None:
    image = volume(affine_of(), SHAPE)
    said = replace(answer(), ratings=(Rating("pneumonia", 0.7, 0.04321),))
    (finding,) = summary(said, measure(said, image, manifest()), slices_of(image), manifest())["findings"]
    assert finding["spread"] == 0.0432


def test_the_summary_has_the_calibration_in_numbers() -> None:
    image = volume(affine_of(), SHAPE)
    said = replace(answer(), ratings=(Rating("pneumonia", 0.7, None, CALIBRATION),))
    told = summary(said, measure(said, image, manifest()), slices_of(image), manifest())
    (finding,) = json.loads(json.dumps(told))["findings"]
    assert finding["calibration"] == {
        "error": 0.1017,
        "interval": [0.0664, 0.1719],
        "bins": 10,
        "n": 151,
        "by_chance": 0.0625,
        "by_chance_range": [0.0331, 0.0974],
        "measured_on": "unseen images",
        "images": "films/val",
    }


def test_the_summary_is_json_without_the_patient() -> None:
    image = volume(affine_of(), SHAPE)

    told = summary(answer(), measure(answer(), image, manifest()), slices_of(image), manifest())

    assert told["findings"] == [
        {"key": "pneumonia", "name": "Pneumonia", "probability": 0.7, "verdict": "present", "raised": True, "calibration": None}
    ]
    assert told["measurements"][0] == {"name": "Bone", "quantity": "volume", "value": pytest.approx(0.00672), "unit": "ml"}
    assert told["notes"] == ["Looked for and not found in this image: Body.", "A note."]
    text = json.dumps(told)
    for element in patient():
        if element.keyword.startswith(("Patient", "Accession", "Referring")) and len(str(element.value)) > 1:
            assert str(element.value) not in text, element.keyword


def test_a_volume_without_a_frame_of_reference_is_refused() -> None:
    image = volume(affine_of(), SHAPE)
    sources = slices_of(image)
    for source in sources:
        del source.FrameOfReferenceUID

    with pytest.raises(Refused):
        encode(answer(), image, sources, manifest(), identity())


def test_a_classifier_needs_no_place_in_the_patient() -> None:
    image, source = radiograph(SpacingKind.NONE)

    made = encode(Prediction(ratings=(Rating("pneumonia", 0.1),)), image, [source], manifest(), identity())

    assert [one.kind for one in made] == ["measurements", "report"]


def test_a_large_volume_takes_seconds_not_minutes() -> None:
    """No timing is asserted: the suite's own limit is. A SEG of 96 x 256 x 256 with odd rows exercises the unaligned packing."""
    shape = (96, 255, 257)
    image = volume(affine_of(), shape)
    mask = np.ones(shape, dtype=bool)

    made = encode(Prediction(Segmentation({"body": mask})), image, slices_of(image), manifest(), identity())

    assert len(made[0].content) > mask.size / 8


ODD: dict[str, dict[str, Any]] = {
    "a uid with a leading zero": {"StudyInstanceUID": "1.02.3", "SeriesInstanceUID": "1.2.03", "FrameOfReferenceUID": "1.2.00.4"},
    "an identifier that is too long": {"PatientID": "P" * 90, "AccessionNumber": "A" * 30},
    "a name with too many carets": {"PatientName": "A^B^C^D^E^F^G"},
    "a name that is too long": {"PatientName": "N" * 100},
    "numbers that are none": {"SliceThickness": "thin", "PatientWeight": "heavy", "SeriesNumber": "first"},
    "dates that are none": {"StudyDate": "yesterday", "StudyTime": "25:61", "PatientBirthDate": "unknown"},
    "a sex that is none": {"PatientSex": "unknown", "PatientAge": "62"},
    "no character set that exists": {"SpecificCharacterSet": "ISO_IR 999"},
    "a time zone that is none": {"TimezoneOffsetFromUTC": "Berlin"},
    "a compression that is none": {"LossyImageCompression": "01", "LossyImageCompressionRatio": "much"},
    "control characters": {"SeriesDescription": "two\nlines\x00", "StudyDescription": "a\x07bell"},
}
"""Attributes as archives hold them; none is a reason not to deliver a result."""


@pytest.mark.parametrize("fault", ODD)
def test_a_fault_of_the_source_does_not_stop_the_result(fault: str) -> None:
    image = volume(affine_of(), SHAPE)
    sources = [read_from_file(source, ODD[fault]) for source in slices_of(image)]

    made = encode(answer(), image, sources, manifest(), identity())
    told = summary(answer(), measure(answer(), image, manifest()), sources, manifest())

    assert [one.kind for one in made] == ["seg", "measurements", "measurements", "report"]
    for one in made:
        again = dcmread(BytesIO(one.content))
        for keyword in {"StudyInstanceUID", "PatientID", "AccessionNumber"} & ODD[fault].keys():
            with config.disable_value_validation():
                assert str(again[keyword].value) == ODD[fault][keyword]
    assert json.dumps(told)


def read_from_file(source: Dataset, faults: dict[str, Any]) -> Dataset:
    """The source as pydicom reads it when a file holds `faults`."""
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in faults.items():
            tag, vr = tag_for_keyword(keyword), dictionary_VR(keyword)
            source[tag] = RawDataElement(BaseTag(tag), vr, len(value), value.encode(), 0, False, True)  # type: ignore[arg-type]
    return source


@pytest.mark.parametrize(("title", "character_set"), [("Plain", "ISO_IR 100"), ("Größe", "ISO_IR 100"), ("肺", "ISO_IR 192")])
def test_a_models_own_words_decide_the_character_set_only_where_they_must(title: str, character_set: str) -> None:
    image = volume(affine_of(), SHAPE)

    made = encode(answer(), image, slices_of(image), manifest(title=title), identity())

    for one in made:
        again = dcmread(BytesIO(one.content))
        assert again.SpecificCharacterSet == character_set
        assert again.ContributingEquipmentSequence[0].ContributionDescription.startswith(
            f"Processing Algorithm: {title}, device UID"
        )
        assert again.PatientName == "Doe^Jane"
