"""Key object selection: which of the source's images a person should look at (PS3.3 section A.35.4, PS3.16 TID 2010)."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.ko import KeyObjectSelection
from highdicom.sr import DeviceObserverIdentifyingAttributes, ObserverContext
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import KeyObjectSelectionDocumentStorage

from node.store.provenance import MANUFACTURER
from workers.encode.case import Case
from workers.encode.document import evidence_item, instances_of
from workers.encode.equipment import put_equipment, put_series
from workers.encode.identity import Kind


def key_images(chosen: Sequence[Dataset], case: Case) -> Dataset:
    """Build the selection of the images that matter.

    Parameters
    ----------
    chosen
        Header datasets among the case's sources; not empty.
    """
    manifest, identity, say = case.manifest, case.identity, case.speech.say
    device = DeviceObserverIdentifyingAttributes(
        uid=identity.device_uid,
        name=manifest.title,
        manufacturer_name=MANUFACTURER,
        model_name=manifest.name,
        serial_number=identity.device_serial,
    )
    content = KeyObjectSelection(
        document_title=codes.DCM.OfInterest,
        referenced_objects=list(chosen),
        observer_device_context=ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device),
        description=say(
            "AI RESULT, not verified by a physician. Images that {title} outlined most of.", title=say(manifest.title)
        ),
    )
    made = Dataset()
    made.update(case.subject.attributes)
    made.SOPClassUID = KeyObjectSelectionDocumentStorage
    put_series(made, identity, Kind.KEYS, say("AI key images, not verified (Overread {model})", model=manifest.name))
    put_equipment(made, manifest, identity)
    made.ReferencedPerformedProcedureStepSequence = []
    made.CurrentRequestedProcedureEvidenceSequence = [
        evidence_item(str(case.subject.attributes.StudyInstanceUID), instances_of(chosen))
    ]
    made.update(content[0])
    return made
