"""Patient and study attributes of the sources, carried over as they are."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import validate_value

from node.store.errors import Refused

IDENTITY: Final = ("StudyInstanceUID", "PatientID", "IssuerOfPatientID", "AccessionNumber")
"""Kept to the letter, legal or not: an archive matches by them."""

REQUIRED: Final = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
)
"""Type 1 and 2 of the Patient and General Study modules (PS3.3 sections C.7.1.1, C.7.2.1): present, even if empty."""

OPTIONAL: Final = (
    "IssuerOfAccessionNumberSequence",
    "StudyDescription",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "TypeOfPatientID",
    "PatientBirthTime",
    "OtherPatientIDsSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "TimezoneOffsetFromUTC",
)
"""Carried over where they are stated and legal."""

_TERMS: Final = {"PatientSex": ("M", "F", "O"), "PatientIdentityRemoved": ("YES", "NO")}

_SAME_STUDY: Final = ("StudyInstanceUID", "PatientID", "IssuerOfPatientID")
_SAME_STACK: Final = ("SeriesInstanceUID", "FrameOfReferenceUID", "Rows", "Columns")


@contextmanager
def leniently() -> Iterator[None]:
    """Read and write values of sources whatever they are, and keep pydicom's warnings back.

    A fault of a source is no reason not to deliver its result; the warnings quote the patient's values, and what was left out is
    said without them, see `PatientAndStudy.dropped`.
    """
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True, slots=True)
class PatientAndStudy:
    """What every result object of one study begins with.

    Parameters
    ----------
    attributes
        Patient and study attributes with the source's Specific Character Set.
    dropped
        Keywords of attributes whose value the standard does not allow, and which were therefore left empty or out.
    """

    attributes: Dataset
    dropped: tuple[str, ...]


def patient_and_study(sources: Sequence[Dataset], *, grouped: bool = False) -> PatientAndStudy:
    """Copy patient and study attributes from the first source, after making sure that all agree on who it is.

    Raises
    ------
    Refused
        ``mixed-sources`` where two sources belong to different patients, studies, series or frames of reference;
        ``no-study`` where the source names no study.
    """
    if not sources:
        raise Refused("there is no source image to make a result for", "no-source")
    for keyword in _SAME_STUDY if grouped else (*_SAME_STUDY, *_SAME_STACK):
        if len({str(source.get(keyword) or "") for source in sources}) > 1:
            raise Refused(
                f"the images of one stack differ in {keyword}; nothing is written for two of them at once", "mixed-sources"
            )
    source = sources[0]
    if not source.get("StudyInstanceUID"):
        raise Refused("the images have no Study Instance UID, so a result cannot be filed with them", "no-study")
    attributes = Dataset()
    dropped = []
    with leniently():
        if source.get("SpecificCharacterSet"):
            attributes.SpecificCharacterSet = source.SpecificCharacterSet
        for keyword in (*REQUIRED, *OPTIONAL):
            element = source.get(keyword) and source[keyword]
            if element and keyword not in IDENTITY and not is_legal(element):
                dropped.append(keyword)
                element = None
            if element:
                attributes[element.tag] = copy.deepcopy(element)
            elif keyword in REQUIRED:
                setattr(attributes, keyword, None)
    return PatientAndStudy(attributes, tuple(dropped))


def is_legal(element: DataElement) -> bool:
    """Whether a value follows the rules of its value representation and its enumerated values (PS3.5 section 6.2)."""
    if element.VR == "SQ":
        return all(is_legal(inner) for item in element.value for inner in item)
    values = element.value if element.VM > 1 else [element.value]
    terms = _TERMS.get(element.keyword)
    for value in values:
        if terms and str(value) not in terms:
            return False
        try:
            # numbers are checked as they were written
            validate_value(element.VR, str(value) if element.VR in ("DS", "IS") else value, config.RAISE)
        except (ValueError, TypeError):
            return False
    return True
