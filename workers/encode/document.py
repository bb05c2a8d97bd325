"""What all Structured Reports share around their content (PS3.3 sections A.35, C.17.1, C.17.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from highdicom.sr import AlgorithmIdentification, DeviceObserverIdentifyingAttributes, ObservationContext, ObserverContext
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from models.manifest import Manifest
from node.store.profiles import in_language
from node.store.provenance import MANUFACTURER
from workers.encode.case import Case
from workers.encode.equipment import algorithm_family, put_equipment, put_series
from workers.encode.identity import Kind
from workers.encode.references import instance_item

Instance = tuple[str, str, str]
"""Series Instance UID, SOP Class UID, SOP Instance UID."""


def instances_of(sources: Sequence[Dataset]) -> list[Instance]:
    """The sources as evidence."""
    return [(str(source.SeriesInstanceUID), str(source.SOPClassUID), str(source.SOPInstanceUID)) for source in sources]


def observation_context(case: Case) -> ObservationContext:
    """The model as the device that observed (PS3.16 TID 1001, 1004)."""
    device = DeviceObserverIdentifyingAttributes(
        uid=case.identity.device_uid,
        name=case.manifest.title,
        manufacturer_name=MANUFACTURER,
        model_name=case.manifest.name,
        serial_number=case.identity.device_serial,
    )
    return ObservationContext(
        observer_device_context=ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    )


def algorithm_identification(manifest: Manifest) -> AlgorithmIdentification:
    """The model as an algorithm (PS3.16 TID 4019)."""
    return AlgorithmIdentification(
        name=manifest.name, version=manifest.version, family=algorithm_family(manifest), manufacturer=MANUFACTURER
    )


def document(
    content: Dataset,
    case: Case,
    *,
    kind: Kind,
    sop_class_uid: str,
    description: str,
    evidence: Iterable[Instance],
    variant: str = "",
) -> Dataset:
    """Wrap a content tree as a complete, preliminary, unverified document.

    Parameters
    ----------
    content
        The root container.
    evidence
        Everything that was read and everything that the content refers to.
    variant
        As `workers.encode.equipment.put_series` takes it.
    """
    report = Dataset()
    report.update(case.subject.attributes)
    report.SOPClassUID = sop_class_uid
    put_series(report, case.identity, kind, description, variant)
    put_equipment(report, case.manifest, case.identity)
    report.ReferencedPerformedProcedureStepSequence = []
    report.PerformedProcedureCodeSequence = []
    if predecessors := _predecessors(case, kind, variant):
        report.PredecessorDocumentsSequence = [evidence_item(str(case.subject.attributes.StudyInstanceUID), predecessors)]
    report.CompletionFlag = "COMPLETE"
    report.VerificationFlag = "UNVERIFIED"
    report.PreliminaryFlag = "PRELIMINARY"
    report.CurrentRequestedProcedureEvidenceSequence = [evidence_item(str(case.subject.attributes.StudyInstanceUID), evidence)]
    report.update(content)
    return report


def _predecessors(case: Case, kind: Kind, variant: str) -> list[Instance]:
    """The document that this one replaces (PS3.3 section C.17.2): of the same kind, the very one of several where it is known."""
    if case.superseded is None:
        return []
    old = case.superseded
    before = replace(case.identity, revision=old.revision, run=old.run, fingerprint=old.fingerprint).instance_uid(kind, variant)
    same = [one for one in old.objects if one.kind == in_language(kind, case.identity.language)]
    # another version of the model made UIDs that cannot be told: then it is all of the kind
    same = [one for one in same if one.sop_instance_uid == before] or same
    return [(one.series_uid, one.sop_class_uid, one.sop_instance_uid) for one in same]


def evidence_item(study_uid: str, evidence: Iterable[Instance]) -> Dataset:
    """Hierarchical SOP Instance Reference Macro (PS3.3 section C.17.2.1, table C.17-3)."""
    item = Dataset()
    item.StudyInstanceUID = study_uid
    item.ReferencedSeriesSequence = []
    ordered = sorted(dict.fromkeys(evidence), key=lambda instance: instance[0])
    for series_uid, instances in groupby(ordered, key=lambda instance: instance[0]):
        series = Dataset()
        series.SeriesInstanceUID = series_uid
        series.ReferencedSOPSequence = [instance_item(*named) for _, *named in instances]
        item.ReferencedSeriesSequence.append(series)
    return item
