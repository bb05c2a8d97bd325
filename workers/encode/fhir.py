"""An answer as a FHIR R4 transaction: a preliminary DiagnosticReport and its Observations, created once."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from workers.encode import concepts
from workers.encode.case import Case
from workers.encode.equipment import local_time
from workers.encode.identity import Kind
from workers.encode.observations import Observation
from workers.encode.report import Reading
from workers.encode.uids import NAMESPACE

URI: Final = "urn:ietf:rfc3986"
DICOM_UID: Final = "urn:dicom:uid"
STATUS: Final = "preliminary"
_SYSTEMS: Final = {
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": "http://unitsofmeasure.org",
    "UMLS": "http://www.nlm.nih.gov/research/umls",
}
"""By DICOM's designator. Codes of other schemes are told by their names alone."""
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"

Resource = dict[str, Any]


def transaction(observed: Sequence[Observation], said: Reading, case: Case) -> bytes:
    """The Bundle as JSON in UTF-8. The same answer gives the same bytes.

    Every resource has a business identifier made of the answer's identity and is created only where none with that identifier is
    there (``If-None-Exist``): a transaction that is sent again changes nothing. Patient, study, order and device are referred to
    by their identifiers, and neither made nor changed.
    """
    entries = [_entry(_observation(one, case)) for one in observed]
    references = [{"reference": entry["fullUrl"]} for entry in entries]
    entries.append(_entry(_report(said, references, case)))
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    return json.dumps(bundle, ensure_ascii=False, indent=1).encode("utf-8")


def _entry(resource: Resource) -> Resource:
    identifier = resource["identifier"][0]
    return {
        "fullUrl": f"urn:uuid:{uuid.uuid5(NAMESPACE, identifier['value'])}",
        "resource": resource,
        "request": {
            "method": "POST",
            "url": resource["resourceType"],
            "ifNoneExist": f"identifier={identifier['system']}|{identifier['value']}",
        },
    }


def _report(said: Reading, results: list[Resource], case: Case) -> Resource:
    attributes, source = case.subject.attributes, case.sources[0]
    sentences = [*said.caution, *(one.text for one in said.findings), *said.told]
    report: Resource = {
        "resourceType": "DiagnosticReport",
        "language": case.identity.language,
        "identifier": [_identifier(case, "")],
        "status": STATUS,
        "category": [{"coding": [{"system": f"{_TERMINOLOGY}v2-0074", "code": "RAD", "display": "Radiology"}]}],
        "code": _concept(concepts.procedure_reported(str(source.get("Modality") or ""))),
        **_shared(case),
        "issued": _issued(case),
        "imagingStudy": [_study(attributes)],
        "conclusion": "\n".join(sentences),
    }
    if results:
        report["result"] = results
    if codes := [_concept(concepts.as_code(one.code)) for one in said.findings if one.code is not None]:
        report["conclusionCode"] = codes
    if accession := str(attributes.get("AccessionNumber") or ""):
        sort = {"coding": [{"system": f"{_TERMINOLOGY}v2-0203", "code": "ACSN"}]}
        report["basedOn"] = [{"type": "ServiceRequest", "identifier": {"type": sort, "value": accession}}]
    return report


def _observation(one: Observation, case: Case) -> Resource:
    made: Resource = {
        "resourceType": "Observation",
        "language": case.identity.language,
        "identifier": [_identifier(case, one.key)],
        "status": STATUS,
        "category": [{"coding": [{"system": f"{_TERMINOLOGY}observation-category", "code": "imaging", "display": "Imaging"}]}],
        "code": _concept(one.code, one.text),
        **_shared(case),
        "issued": _issued(case),
        "derivedFrom": [_study(case.subject.attributes)],
        "device": {
            "type": "Device",
            "identifier": {"system": URI, "value": f"urn:oid:{case.identity.device_uid}"},
            "display": f"{case.speech.say(case.manifest.title)} ({case.manifest.name} {case.manifest.version})",
        },
        "note": [{"text": case.speech.say("AI RESULT. Preliminary, not verified by a physician.")}],
    }
    if one.note:
        made["note"].append({"text": one.note})
    if isinstance(one.value, Code):
        made["valueCodeableConcept"] = _concept(one.value, one.said)
    else:
        made["valueQuantity"] = _quantity(one.value, one.unit)
    if one.derivation is not None:
        made["method"] = _concept(one.derivation)
    if one.site is not None:
        made["bodySite"] = _concept(one.site)
    if one.laterality is not None:
        made["component"] = [{"code": _concept(concepts.LATERALITY), "valueCodeableConcept": _concept(one.laterality)}]
    return made


def _shared(case: Case) -> Resource:
    """Whose it is, and when the images were made, as far as these say."""
    attributes = case.subject.attributes
    shared: Resource = {}
    if subject := _patient(attributes):
        shared["subject"] = subject
    with contextlib.suppress(ValueError):  # a date that the calendar does not have
        shared["effectiveDateTime"] = datetime.strptime(str(attributes.get("StudyDate") or ""), "%Y%m%d").date().isoformat()
    return shared


def _patient(attributes: Dataset) -> Resource:
    """The patient by identifier, its system the universal id of who gave it, where the images state that."""
    identifier: Resource = {}
    qualifiers = attributes.get("IssuerOfPatientIDQualifiersSequence") or [Dataset()]
    if qualifiers[0].get("UniversalEntityIDType") == "ISO" and qualifiers[0].get("UniversalEntityID"):
        identifier["system"] = f"urn:oid:{qualifiers[0].UniversalEntityID}"
    if number := str(attributes.get("PatientID") or "").strip():
        identifier["value"] = number
        if issuer := str(attributes.get("IssuerOfPatientID") or "").strip():
            identifier["assigner"] = {"display": issuer}
    patient: Resource = {"type": "Patient", "identifier": identifier} if "value" in identifier else {}
    if name := str(attributes.get("PatientName") or "").split("=")[0].replace("^", " ").strip():
        patient["display"] = " ".join(name.split())
    return patient


def _study(attributes: Dataset) -> Resource:
    uid = str(attributes.StudyInstanceUID)
    return {"type": "ImagingStudy", "identifier": {"system": DICOM_UID, "value": f"urn:oid:{uid}"}}


def _identifier(case: Case, key: str) -> Resource:
    return {"system": URI, "value": f"urn:oid:{case.identity.instance_uid(Kind.FHIR, key)}"}


def _issued(case: Case) -> str:
    return local_time(case.subject.attributes, case.identity).isoformat(timespec="seconds")


def _concept(code: Code, text: str = "") -> Resource:
    concept: Resource = {"text": text or code.meaning}
    if system := _SYSTEMS.get(code.scheme_designator):
        concept["coding"] = [{"system": system, "code": code.value, "display": code.meaning}]
    return concept


def _quantity(value: float, unit: Code | None) -> Resource:
    quantity: Resource = {"value": value}
    if unit is not None:
        quantity |= {"unit": unit.meaning, "system": _SYSTEMS["UCUM"], "code": unit.value}
    return quantity
