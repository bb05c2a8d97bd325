"""Whether a destination knows a study as the same patient's, and under the same accession number, before results go there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from node.query.find import find, query
from node.store.attributes import BROKEN, quietly, text
from node.store.destinations import Destination
from node.store.errors import NotUnderstood

COMPARED: Final = {"PatientID": "Patient ID", "AccessionNumber": "Accession Number"}
_OPTIONAL: Final = frozenset({"AccessionNumber"})
"""Compared only where both state it, for archives fill it in."""
_AFTERWARDS: Final = "send again, or release it as it is"


@dataclass(frozen=True, slots=True)
class KnownStudy:
    """What a destination says of a study. Holds patient data: for comparison only, never for logs.

    Parameters
    ----------
    answers
        Values of `COMPARED` by keyword, one for each answer; none where it has no such study.
    doubt
        Why its answers cannot be compared; empty where they can.
    """

    answers: tuple[dict[str, str], ...] = field(default=(), repr=False)
    doubt: str = ""

    def differs(self, path: Path) -> str:
        """What differs between a result and the study as the destination knows it; empty where nothing does.

        The values are not told: they are patient data.
        """
        if self.doubt or not self.answers:
            return self.doubt
        ours = _values(path)
        if ours is None:
            return f"whose the result is cannot be read in its file: restore it, then {_AFTERWARDS}"
        for keyword, name in COMPARED.items():
            mine, theirs = ours[keyword], [one[keyword] for one in self.answers]
            if any(mine != other for other in theirs if keyword not in _OPTIONAL or (mine and other)):
                return (
                    f"the destination knows this study under another {name}: correct it there or at the source and {_AFTERWARDS}"
                )
        return ""


def known(destination: Destination, calling_ae: str, study_uid: str) -> KnownStudy:
    """Ask a destination what it knows of a study.

    An answer counts only where it names the study that was asked about (PS3.4 section C.4.1.1.3.2: the unique key comes back in
    each): what else comes says nothing of whose this study is, and that is no reason to send.

    Raises
    ------
    OverreadError
        Where the destination does not answer.
    """
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study_uid, **dict.fromkeys(COMPARED, "")}
    try:
        with query(destination, calling_ae) as dialogue:
            answers = list(find(dialogue, keys))
    except NotUnderstood:
        return KnownStudy(doubt=f"the destination's answer about this study cannot be read: see its log, then {_AFTERWARDS}")
    if any(text(one, "StudyInstanceUID") != study_uid for one in answers):
        return KnownStudy(
            doubt="asked about this study, the destination answered with another one, or did not say with which: "
            f"see its log, then {_AFTERWARDS}"
        )
    return KnownStudy(tuple(_compared(one) for one in answers))


def _compared(dataset: Dataset) -> dict[str, str]:
    return {keyword: text(dataset, keyword).strip() for keyword in COMPARED}


def _values(path: Path) -> dict[str, str] | None:
    """Those of a result; None where it cannot be read."""
    try:
        with quietly():
            return _compared(dcmread(path, stop_before_pixels=True, specific_tags=list(COMPARED)))
    except (InvalidDicomError, OSError, EOFError, *BROKEN):
        return None
