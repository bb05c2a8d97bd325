"""Studies of a patient or an order, where it is safe to say that they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from node.query.find import find, query
from node.store.attributes import text, texts
from node.store.errors import Permanent
from node.store.peers import Archive
from node.store.spool import check_uid

_WILD: Final = frozenset("*?\\")


@dataclass(frozen=True, slots=True)
class Match:
    """A study that an archive has. Holds patient data: for comparison only, never for logs."""

    study_uid: str
    date: str
    modalities: frozenset[str]
    patient_id: str
    birth_date: str


def studies_with(archive: Archive, calling_ae: str, keys: Mapping[str, str]) -> list[Match]:
    """Studies that match keys of the patient or the order exactly, by date.

    Raises
    ------
    Permanent
        Where a key is empty or has wildcards, or the matches are of more than one patient.
    OverreadError
        Where the archive does not answer.
    """
    if any(not value.strip() or _WILD & set(value) for value in keys.values()):
        raise Permanent("a key that is empty or has wildcards would match other patients too")
    asked = {
        "QueryRetrieveLevel": "STUDY",
        "StudyInstanceUID": "",
        "StudyDate": "",
        "ModalitiesInStudy": "",
        "PatientID": "",
        "PatientBirthDate": "",
        "AccessionNumber": "",
        **keys,
    }
    with query(archive, calling_ae) as dialogue:
        # an archive may match more loosely than it was asked to, without regard to case for example
        found = [one for one in find(dialogue, asked) if all(text(one, keyword) == value for keyword, value in keys.items())]
    matches = [
        Match(
            check_uid(text(one, "StudyInstanceUID")),
            text(one, "StudyDate"),
            frozenset(texts(one, "ModalitiesInStudy")),
            text(one, "PatientID"),
            text(one, "PatientBirthDate"),
        )
        for one in found
    ]
    if len({(match.patient_id, match.birth_date) for match in matches}) > 1:
        raise Permanent(f"{archive.name} has studies of more than one patient under this key: name the study")
    return sorted(matches, key=lambda match: (match.date, match.study_uid))
