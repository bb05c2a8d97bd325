"""Rejection notes: which earlier results a new one replaces (IHE Imaging Object Change Management; PS3.16 TID 2010, CID 7010)."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from node.store.profiles import rejected
from node.store.records import SupersededObject
from workers.encode.case import Case
from workers.encode.document import evidence_item
from workers.encode.identity import Kind
from workers.encode.keys import key_objects

_IMAGES = frozenset({Kind.SEG, Kind.LABELMAP, Kind.FRACTIONAL, Kind.CAPTURE, Kind.HEAT_MAP})


def rejection_notes(case: Case, extras: Collection[str]) -> Iterator[tuple[str, Dataset]]:
    """A note for each kind of object that is replaced, so that every destination is told of what it was sent, and of no more.

    Yields
    ------
    tuple
        The note's kind, `node.store.profiles.rejected` of what it rejects, and the note.
    """
    gone: dict[str, list[SupersededObject]] = {}
    for one in case.superseded.objects if case.superseded else ():
        gone.setdefault(one.kind, []).append(one)
    for kind, objects in sorted(gone.items()):
        if rejected(kind) in extras:
            yield rejected(kind), _note(kind, objects, case)


def _note(kind: str, objects: list[SupersededObject], case: Case) -> Dataset:
    manifest, identity = case.manifest, case.identity
    evidence = [(one.series_uid, one.sop_class_uid, one.sop_instance_uid) for one in objects]
    return key_objects(
        codes.DCM.RejectedForQualityReasons,
        [_named(one, is_image=kind.partition(".")[0] in _IMAGES) for one in objects],
        f"Replaced by revision {identity.revision} of the study, run {identity.run}, of {manifest.title}.",
        case,
        series=(Kind.REJECTION, f"Replaced AI results (Overread {manifest.name})", kind),
        evidence=evidence_item(identity.study_uid, evidence),
    )


def _named(one: SupersededObject, *, is_image: bool) -> Dataset:
    """What a reference needs of an object; an image is told by its rows and columns."""
    named = Dataset()
    named.SOPClassUID, named.SOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
    if is_image:
        named.Rows = named.Columns = 1
    return named
