"""Series that are named as a destination says, in objects of their own."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from models.prediction import Prediction, Segmentation
from node.store.naming import OWN, SeriesNaming
from node.store.records import Superseded, SupersededObject
from tests.unit.workers.encode.samples import affine_of, identity, manifest, slices_of, volume
from workers.encode.encode import EncodedObject, encode

SHAPE = (4, 12, 14)
KINDS = ("capture", "keys", "presentation", "labelmap", "labelmap-measurements", "report.de")
NAMED = SeriesNaming("9{source:03}{kind}", "AI {model} {kind} of {source}")


def objects(naming: SeriesNaming = OWN, superseded: Superseded | None = None, **changes: int) -> tuple[EncodedObject, ...]:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:3, 3:9, 3:9] = True
    image = volume(affine_of(), SHAPE)
    return encode(
        Prediction(Segmentation({"bone": mask})),
        image,
        slices_of(image),
        manifest(),
        identity(naming=naming, **changes),
        extras=(*KINDS, "rejected-seg"),
        superseded=superseded,
    )


def read(made: tuple[EncodedObject, ...]) -> dict[str, Dataset]:
    return {one.kind: dcmread(BytesIO(one.content)) for one in made}


@pytest.mark.parametrize(
    ("kind", "number", "words"),
    [
        ("seg", 90031, "segmentation"),
        ("measurements", 90032, "measurements"),
        ("report", 90033, "report"),
        ("report.de", 90033, "report"),
        ("capture", 90034, "pictures"),
        ("keys", 90035, "key images"),
        ("presentation", 90036, "outlines"),
        ("labelmap", 90031, "segmentation"),
        ("labelmap-measurements", 90032, "measurements"),
    ],
)
def test_each_series_has_the_number_and_the_description_of_the_template(kind: str, number: int, words: str) -> None:
    named = read(objects(NAMED))[kind]
    assert named.SeriesNumber == number
    assert named.SeriesDescription == f"AI sample-model {words} of Body 3.0"


def test_what_is_named_otherwise_is_another_object_of_the_same_content() -> None:
    own, named = read(objects()), read(objects(NAMED))
    assert own.keys() == named.keys()
    assert not {one.SOPInstanceUID for one in own.values()} & {one.SOPInstanceUID for one in named.values()}
    assert not {one.SeriesInstanceUID for one in own.values()} & {one.SeriesInstanceUID for one in named.values()}
    assert np.array_equal(own["seg"].pixel_array, named["seg"].pixel_array)
    assert own["seg"].SegmentSequence[0].TrackingUID == named["seg"].SegmentSequence[0].TrackingUID
    assert str(named["seg"].SOPInstanceUID) in str(named["measurements"]), "they refer to the segmentation of their own set"
    assert str(own["seg"].SOPInstanceUID) not in str(named["measurements"])


def test_one_set_does_not_change_another() -> None:
    alone = objects(NAMED)
    assert objects() == objects()
    assert objects(NAMED) == alone, "the same bytes, whatever was made before"
    assert {one.naming for one in alone} == {NAMED.key}
    assert {one.naming for one in objects()} == {""}


@pytest.mark.parametrize(
    ("template", "changes", "expected"),
    [
        ("AI {kind}", {}, "AI segmentation"),
        ("AI {kind}", {"revision": 2}, "AI segmentation, revision 2"),
        ("AI {kind} r{revision}", {"revision": 2}, "AI segmentation r2"),
        ("AI {kind} r{revision}", {"revision": 2, "run": 3}, "AI segmentation r2.3"),
        ("A" * 50 + " {source}", {"revision": 2}, "A" * 49 + "..., revision 2"),
        ("KI für {source}", {}, "KI für Body 3.0"),
    ],
)
def test_a_description_tells_its_revision_and_fits(template: str, changes: dict[str, int], expected: str) -> None:
    assert read(objects(SeriesNaming(None, template), **changes))["seg"].SeriesDescription == expected


def test_notes_and_documents_name_what_they_replace() -> None:
    before = objects(NAMED)
    gone = tuple(
        SupersededObject(one.kind, one.sop_class_uid, one.sop_instance_uid, one.series_uid, one.naming) for one in before
    )
    after = read(objects(NAMED, Superseded(1, 1, manifest().fingerprint, gone), revision=2))
    uids = {one.kind: one.sop_instance_uid for one in before}
    assert uids["seg"] in str(after["rejected-seg"])
    assert uids["measurements"] in str(after["measurements"].PredecessorDocumentsSequence)
