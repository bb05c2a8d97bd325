"""What replaces earlier results says so: documents by their predecessors, others in words, and by rejection notes where asked for."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from models.prediction import HeatMap, Measurement, Prediction, Rating, Segmentation
from node.store.destinations import FolderDestination
from node.store.profiles import rejected
from node.store.records import Superseded, SupersededObject
from tests.unit.workers.encode.samples import STUDY, affine_of, identity, manifest, slices_of, volume
from tests.unit.workers.encode.test_findings import FRACTION
from workers.encode.encode import EncodedObject, encode
from workers.encode.identity import ResultIdentity

SHAPE = (3, 12, 10)
KINDS = ("seg", "measurements", "report", "capture", "keys", "presentation", "heatmap")
EXTRAS = (*KINDS, *(rejected(kind) for kind in KINDS))


def made(
    who: ResultIdentity, superseded: Superseded | None = None, extras: tuple[str, ...] = EXTRAS
) -> tuple[EncodedObject, ...]:
    image = volume(affine_of(), SHAPE)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:, 2:8, 3:7] = True
    said = Prediction(
        Segmentation({"bone": mask}),
        (Rating("pneumonia", 0.9),),
        heat_maps=(HeatMap("pneumonia", np.full(SHAPE, 0.5, np.float32), "HiResCAM"),),
        measurements=(Measurement("ef", FRACTION.name, FRACTION.code, FRACTION.value, FRACTION.unit),),
    )
    return encode(said, image, slices_of(image), manifest(), who, extras=extras, superseded=superseded)


def as_superseded(objects: tuple[EncodedObject, ...], who: ResultIdentity, **changes: str) -> Superseded:
    named = tuple(SupersededObject(one.kind, one.sop_class_uid, one.sop_instance_uid, one.series_uid) for one in objects)
    return Superseded(who.revision, who.run, changes.get("fingerprint", who.fingerprint), named)


@pytest.fixture(scope="module")
def first() -> tuple[EncodedObject, ...]:
    return made(identity())


@pytest.fixture(scope="module")
def second(first: tuple[EncodedObject, ...]) -> tuple[EncodedObject, ...]:
    return made(identity(revision=2), as_superseded(first, identity()))


def of(objects: tuple[EncodedObject, ...], kind: str) -> list[Dataset]:
    return [dcmread(BytesIO(one.content)) for one in objects if one.kind == kind]


def predecessors(document: Dataset) -> list[str]:
    return [
        instance.ReferencedSOPInstanceUID
        for study in document.get("PredecessorDocumentsSequence") or []
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]


def test_first_results_replace_nothing(first: tuple[EncodedObject, ...]) -> None:
    assert {one.kind for one in first} == set(KINDS)
    for kind in KINDS:
        for one in of(first, kind):
            assert "PredecessorDocumentsSequence" not in one
            assert "revision" not in one.SeriesDescription


def test_each_document_names_the_very_one_that_it_replaces(
    first: tuple[EncodedObject, ...], second: tuple[EncodedObject, ...]
) -> None:
    old, new = of(first, "measurements"), of(second, "measurements")
    assert len(old) == len(new) == 3  # regions, ratings, numbers
    assert [predecessors(one) for one in new] == [[one.SOPInstanceUID] for one in old]
    assert [predecessors(one) for one in of(second, "report")] == [[one.SOPInstanceUID for one in of(first, "report")]]
    study = new[0].PredecessorDocumentsSequence[0]
    assert study.StudyInstanceUID == STUDY
    assert study.ReferencedSeriesSequence[0].SeriesInstanceUID == old[0].SeriesInstanceUID


def test_after_a_model_of_another_version_all_documents_of_the_kind_are_named(first: tuple[EncodedObject, ...]) -> None:
    before = as_superseded(first, identity(), fingerprint="0" * 64)
    old = {one.sop_instance_uid for one in first if one.kind == "measurements"}
    for one in of(made(identity(revision=2), before), "measurements"):
        assert set(predecessors(one)) == old


@pytest.mark.parametrize("kind", KINDS)
def test_every_object_says_which_revision_it_is_of(
    kind: str, first: tuple[EncodedObject, ...], second: tuple[EncodedObject, ...]
) -> None:
    for old, new in zip(of(first, kind), of(second, kind), strict=True):
        assert new.SeriesDescription.endswith(", revision 2")
        assert len(new.SeriesDescription) <= 64
        assert new.SOPInstanceUID != old.SOPInstanceUID
        assert new.SeriesInstanceUID != old.SeriesInstanceUID
        assert new.SeriesNumber == old.SeriesNumber


def test_the_report_and_the_pictures_say_what_they_replace(
    first: tuple[EncodedObject, ...], second: tuple[EncodedObject, ...]
) -> None:
    assert "Replaces the results of revision 1, run 1." in of(second, "report")[0].to_json()
    assert "Replaces" not in of(first, "report")[0].to_json()
    old, new = of(first, "capture")[0], of(second, "capture")[0]
    assert new.DerivationDescription.endswith("burned in, revision 2")
    assert new.Rows > old.Rows, "a line more above the image"


def test_another_run_is_told_too(first: tuple[EncodedObject, ...]) -> None:
    again = of(made(identity(run=3), as_superseded(first, identity())), "seg")[0]
    assert again.SeriesDescription.endswith(", revision 1, run 3")


def test_rejection_notes_name_all_that_is_replaced_kind_by_kind(
    first: tuple[EncodedObject, ...], second: tuple[EncodedObject, ...]
) -> None:
    uids = set()
    for kind in KINDS:
        (note,) = of(second, rejected(kind))
        uids.add(note.SOPInstanceUID)
        assert (note.Modality, note.ContentTemplateSequence[0].TemplateIdentifier) == ("KO", "2010")
        title = note.ConceptNameCodeSequence[0]
        assert (title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning) == (
            "113001",
            "DCM",
            "Rejected for Quality Reasons",
        )
        named = [item for item in note.ContentSequence if "ReferencedSOPSequence" in item]
        assert [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in named] == [
            one.sop_instance_uid for one in first if one.kind == kind
        ]
        evidence = note.CurrentRequestedProcedureEvidenceSequence[0]
        assert evidence.StudyInstanceUID == STUDY
        assert sum(len(series.ReferencedSOPSequence) for series in evidence.ReferencedSeriesSequence) == len(named)
        assert note.SeriesDescription.endswith(", revision 2")
    assert len(uids) == len(KINDS)


def test_notes_are_made_only_where_asked_for_and_only_of_what_was_there(first: tuple[EncodedObject, ...]) -> None:
    before = as_superseded(tuple(one for one in first if one.kind != "capture"), identity())
    plain = made(identity(revision=2), before, KINDS)
    assert {one.kind for one in plain} == set(KINDS)
    asked = made(identity(revision=2), before, (*KINDS, "rejected-seg", "rejected-capture"))
    assert {one.kind for one in asked} - set(KINDS) == {"rejected-seg"}


def test_a_destination_that_asks_for_notes_gets_those_of_its_own_kinds() -> None:
    folder = FolderDestination(name="a", folder="/tmp/a", kinds=("seg", "report", "rejection"), seg="labelmap")  # type: ignore[arg-type]
    assert folder.wanted == ("labelmap", "report", "rejected-labelmap", "rejected-report")
    assert not any(kind.startswith("rejected") for kind in FolderDestination(name="a", folder="/tmp/a").wanted)  # type: ignore[arg-type]


def test_the_same_answer_gives_the_same_bytes(first: tuple[EncodedObject, ...], second: tuple[EncodedObject, ...]) -> None:
    assert made(identity(revision=2), as_superseded(first, identity())) == second


def test_a_document_in_another_language_replaces_the_one_in_that_language() -> None:
    extras = ("report.de", "rejected-report.de")
    before = made(identity(), extras=extras)
    after = made(identity(revision=2), as_superseded(before, identity()), extras=extras)
    for kind in ("report", "report.de"):
        assert predecessors(of(after, kind)[0]) == [of(before, kind)[0].SOPInstanceUID]
    assert of(after, "report.de")[0].SeriesDescription.endswith(", Revision 2")
    assert "Ersetzt die Ergebnisse von Revision 1, Lauf 1." in of(after, "report.de")[0].to_json()
    (note,) = of(after, "rejected-report.de")
    assert of(before, "report.de")[0].SOPInstanceUID in str(note)
