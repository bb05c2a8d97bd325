"""Whether a destination knows a study as the same patient's, and under the same accession number, before results go there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydicom import dcmread

from node.query.find import find, query
from node.store.attributes import text
from node.store.destinations import Destination

COMPARED: Final = ("PatientID", "AccessionNumber")


def mismatch(destination: Destination, calling_ae: str, study_uid: str, path: Path) -> str:
    """What differs between a result and the study as the destination knows it; empty where nothing does, or it has no such study.

    A Patient ID must be the same; an Accession Number where both state one, for archives fill it in. The values are not told:
    they are patient data.

    Raises
    ------
    OverreadError
        Where the destination does not answer.
    """
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study_uid, **dict.fromkeys(COMPARED, "")}
    with query(destination, calling_ae) as dialogue:
        answers = list(find(dialogue, keys))
    if not answers:
        return ""
    ours = dcmread(path, stop_before_pixels=True, specific_tags=list(COMPARED))
    for keyword in COMPARED:
        mine, theirs = text(ours, keyword).strip(), [text(one, keyword).strip() for one in answers]
        optional = keyword == "AccessionNumber"
        if any(mine != other for other in theirs if not optional or (mine and other)):
            name = "Patient ID" if keyword == "PatientID" else "Accession Number"
            return (
                f"the destination knows this study under another {name}: correct it there or at the source and send again, "
                "or release it as it is"
            )
    return ""
