"""Files that were stripped of their UIDs: for `overread run` they get new ones, in copies, said aloud.

A node never does this: an object without UIDs is refused at the door. But research data sets are published so, and a
result has to refer to something. What is made up is identifiers only, never geometry, never a patient, and the same
folder gives the same UIDs.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset

NAMESPACE: Final = uuid.UUID("9d2a5a0c-7a43-5c5e-8a58-3f6d1d3c9e21")

COPIES: Final = "identified-sources"
"""Folder of the copies, beside the results that refer to them."""

NOTE: Final = f"The files had lost their UIDs: copies with new ones are in the folder {COPIES}, and this result refers to those."


def missing_identity(header: Dataset) -> tuple[str, ...]:
    """Keywords of the UIDs that an instance must have and this one lacks (PS3.3 sections C.7.2.1, C.7.3.1 and C.12.1)."""
    keywords = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
    return tuple(keyword for keyword in keywords if not str(header.get(keyword, "") or "").strip())


def identified_copy(path: Path, out: Path) -> Path:
    """Write a copy of a file with the UIDs that it lacks below ``out/<Study Instance UID>/``; returns its path.

    SOP class and instance come from the file meta information where it has them (PS3.10 section 7.1 makes them equal); study and
    series are one for each folder, patient, Frame of Reference and series description.
    """
    dataset = dcmread(path)
    meta = dataset.file_meta
    study = (str(path.resolve().parent), dataset.get("PatientID"), dataset.get("StudyID"), dataset.get("StudyDate"))
    series = (*study, dataset.get("FrameOfReferenceUID"), dataset.get("SeriesNumber"), dataset.get("SeriesDescription"))
    invented = {
        "StudyInstanceUID": _uid("study", *study),
        "SeriesInstanceUID": _uid("series", *series),
        "SOPInstanceUID": str(meta.get("MediaStorageSOPInstanceUID", "") or "") or _uid("instance", path.resolve()),
        "SOPClassUID": str(meta.get("MediaStorageSOPClassUID", "") or ""),
    }
    for keyword in missing_identity(dataset):
        setattr(dataset, keyword, invented[keyword])
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    copy = out / str(dataset.StudyInstanceUID) / COPIES / path.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(copy)
    return copy


def _uid(*words: object) -> str:
    return f"2.25.{uuid.uuid5(NAMESPACE, repr([str(word) for word in words])).int}"
