from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.image import SpacingKind
from models.prediction import Prediction, Rating, Segmentation
from node.store.errors import Refused
from tests.unit.workers.encode.samples import affine_of, identity, manifest, patient, radiograph, slices_of, volume
from workers.encode.encode import EncodedObject, encode, summary

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


def test_the_summary_is_json_without_the_patient() -> None:
    image = volume(affine_of(), SHAPE)

    told = summary(answer(), image, slices_of(image), manifest())

    assert told["findings"] == [{"name": "Pneumonia", "probability": 0.7, "verdict": "present"}]
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
