"""An answer as an HL7 v2.5.1 message ORU^R01: patient, order, one OBX an observation and a sentence (HL7 v2.5.1 chapter 7)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.valuerep import PersonName

from node.store.provenance import MANUFACTURER
from workers.encode import concepts
from workers.encode.case import Case
from workers.encode.equipment import local_time
from workers.encode.identity import Kind
from workers.encode.observations import Observation
from workers.encode.report import Reading
from workers.encode.uids import derived_number

VERSION: Final = "2.5.1"
STATUS: Final = "P"
"""Preliminary: what no physician has verified (tables 0085 and 0123)."""
_STUDY: Final = Code("113014", "DCM", "DICOM Study")
_SYSTEMS: Final = {"SCT": "SCT", "LN": "LN", "DCM": "DCM", "UCUM": "UCUM", "UMLS": "UML"}
"""By DICOM's designator: the code of table 0396. Others are told as local ones, as that table has it: ``99`` before them."""
_ESCAPES: Final = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})
_DIGITS: Final = re.compile(r"\d{4,14}")


def escaped(value: object, most: int | None = None) -> str:
    """A text as a component may hold it (HL7 v2.5.1 section 2.7): delimiters escaped, what is no letter a space.

    Parameters
    ----------
    most
        Characters, before they are escaped; what is longer is cut off.
    """
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in str(value or "")).split())
    return text[:most].translate(_ESCAPES)


def result_message(observed: Sequence[Observation], said: Reading, case: Case) -> bytes:
    """The whole message, in UTF-8, its segments ended by carriage returns. The same answer gives the same bytes.

    Sending and receiving applications are left to the sender, who knows them.
    """
    segments = [_header(case), _patient(case.subject.attributes), *_visit(case), _order(case)]
    segments += [_segment("OBX", str(number), *fields) for number, fields in enumerate(_results(observed, said, case), start=1)]
    return "".join(f"{segment}\r" for segment in segments).encode("utf-8")


def _segment(name: str, *fields: str) -> str:
    return f"{name}|{'|'.join(fields)}".rstrip("|")


def _header(case: Case) -> str:
    """MSH. The control id is the same whenever the same message is sent again; it has 20 characters."""
    control = f"{derived_number(10**20, case.identity.instance_uid(Kind.HL7)):020d}"
    made = _made(case)
    return f"MSH|^~\\&|||||{made}||ORU^R01^ORU_R01|{control}|P|{VERSION}||||||UNICODE UTF-8"


def _made(case: Case) -> str:
    return local_time(case.subject.attributes, case.identity).strftime("%Y%m%d%H%M%S%z")


def _patient(attributes: Dataset) -> str:
    """PID: identifier with its authority, names in each representation, birth date, sex."""
    stated = str(attributes.get("PatientSex") or "")
    fields = [""] * 8
    fields[0] = "1"
    fields[2] = _identifier(attributes)
    fields[4] = _names(attributes.get("PatientName")) or "^"
    fields[6] = _digits(attributes.get("PatientBirthDate"), 8)
    fields[7] = stated if stated in {"M", "F", "O"} else "U" if stated else ""
    return _segment("PID", *fields)


def _identifier(attributes: Dataset) -> str:
    """CX: the id, and who gave it, as far as the images say."""
    qualifiers = attributes.get("IssuerOfPatientIDQualifiersSequence") or [Dataset()]
    universal = str(qualifiers[0].get("UniversalEntityID") or "")
    sort = str(qualifiers[0].get("UniversalEntityIDType") or "")
    authority = [escaped(attributes.get("IssuerOfPatientID"), 20), escaped(universal, 199), escaped(sort, 6) if universal else ""]
    return f"{escaped(attributes.get('PatientID'))}^^^{'&'.join(authority).rstrip('&')}".rstrip("^")


def _names(name: PersonName | str | None) -> str:
    """XPN, one for each component group that there is (PS3.5 section 6.2.1.1): its parts stand in another order here."""
    groups = PersonName(str(name or "")) if not isinstance(name, PersonName) else name
    told = []
    for group, code in ((groups.alphabetic, "A"), (groups.ideographic, "I"), (groups.phonetic, "P")):
        if not group:
            continue
        family, given, middle, prefix, suffix = (escaped(part) for part in (group.split("^") + [""] * 5)[:5])
        told.append(f"{family}^{given}^{middle}^{suffix}^{prefix}^^^{code}")
    return "~".join(told)


def _visit(case: Case) -> Iterator[str]:
    """PV1, where the images name a referring physician or an admission; of what class it is they do not say: U."""
    referring = _names(case.subject.attributes.get("ReferringPhysicianName")).split("~")[0].split("^^^")[0]
    admission = escaped(case.sources[0].get("AdmissionID"))
    if not referring.strip("^") and not admission:
        return
    fields = [""] * 19
    fields[0], fields[1] = "1", "U"
    fields[7] = f"^{referring}" if referring.strip("^") else ""
    fields[18] = admission
    yield _segment("PV1", *fields)


def _order(case: Case) -> str:
    """OBR: orders as the images name them, with the accession number in OBR-18 (IHE RAD TF-2 table 4.28)."""
    source, attributes, identity = case.sources[0], case.subject.attributes, case.identity
    number = identity.tracking_uid("order")
    fields = [""] * 25
    fields[0] = "1"
    fields[1] = escaped(source.get("PlacerOrderNumberImagingServiceRequest"))
    fields[2] = f"{number}^{MANUFACTURER.upper()}^{number}^ISO"
    fields[3] = _coded(concepts.procedure_reported(str(source.get("Modality") or "")))
    fields[6] = _study_moment(attributes)
    fields[17] = escaped(attributes.get("AccessionNumber"))
    fields[18] = escaped(source.get("RequestedProcedureID"))
    fields[21] = _made(case)
    fields[23] = "RAD"
    fields[24] = STATUS
    return _segment("OBR", *fields)


def _results(observed: Sequence[Observation], said: Reading, case: Case) -> Iterator[list[str]]:
    yield _result("HD", _STUDY, "", f"^{case.subject.attributes.StudyInstanceUID}^ISO", case)
    numbers = {name: number for number, name in enumerate(dict.fromkeys(one.group for one in observed), start=1)}
    groups: dict[str, int] = {}
    for one in observed:
        # no two results of one code share a sub-id (OBX-4): a receiver would take the second for the first one's correction
        group = numbers[one.group]
        for sort, code, value, more in _of_observation(one, first=one.group not in groups):
            groups[one.group] = groups.get(one.group, 0) + 1
            yield _result(sort, code, f"{group}.{groups[one.group]}", value, case, **more)
    texts = (
        (codes.DCM.Summary, said.caution),
        (codes.DCM.Finding, [one.text for one in said.findings]),
        (codes.DCM.ProcedureDescription, said.told),
    )
    for heading, sentences in texts:
        for place, sentence in enumerate(sentences, start=1):
            yield _result("TX", heading, str(place), escaped(sentence), case)


def _of_observation(one: Observation, *, first: bool) -> Iterator[tuple[str, Code, str, dict[str, Code | None]]]:
    """Value type, code, value, and unit and derivation; before the first of a structure where that is."""
    if first and one.site is not None:
        yield "CE", concepts.FINDING_SITE, _coded(one.site), {}
    if first and one.laterality is not None:
        yield "CE", concepts.LATERALITY, _coded(one.laterality), {}
    if isinstance(one.value, Code):
        yield "CE", one.code, _coded(one.value), {}
    else:
        value = format(Decimal(f"{one.value:.10g}"), "f")
        yield "NM", one.code, value, {"unit": one.unit, "derivation": one.derivation}


def _result(
    sort: str, code: Code, place: str, value: str, case: Case, *, unit: Code | None = None, derivation: Code | None = None
) -> list[str]:
    """OBX from its second field on. Abnormal flags (OBX-8) are never set: no model states what is normal."""
    identity, manifest = case.identity, case.manifest
    fields = [""] * 17
    fields[0], fields[1], fields[2], fields[3], fields[4] = sort, _coded(code), place, value, _coded(unit) if unit else ""
    fields[9] = STATUS
    fields[12] = _made(case)
    method = f"{manifest.name}^{escaped(manifest.title, 199)}^99{MANUFACTURER.upper()}"
    fields[15] = f"{_coded(derivation)}~{method}" if derivation else method
    fields[16] = f"{identity.device_serial}^{MANUFACTURER.upper()}^{identity.device_uid}^ISO"
    return fields


def _coded(code: Code) -> str:
    system = _SYSTEMS.get(code.scheme_designator, f"99{code.scheme_designator}")
    return f"{escaped(code.value)}^{escaped(code.meaning, 199)}^{escaped(system)}"


def _study_moment(attributes: Dataset) -> str:
    """TS of Study Date and Time, as exact as they are stated."""
    date = _digits(attributes.get("StudyDate"), 8)
    time = _digits(str(attributes.get("StudyTime") or "").partition(".")[0], 6)
    return date + (time if len(date) == 8 and len(time) in {4, 6} else "")


def _digits(value: object, most: int) -> str:
    text = str(value or "").strip()
    return text if _DIGITS.fullmatch(text) and len(text) <= most else ""
