"""Key object selection: which of the source's images a person should look at (PS3.3 section A.35.4, PS3.16 TID 2010)."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.ko import KeyObjectSelection
from highdicom.sr import DeviceObserverIdentifyingAttributes, ObserverContext
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
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
    say = case.speech.say
    return key_objects(
        codes.DCM.OfInterest,
        chosen,
        say("AI RESULT, not verified by a physician. Images that {title} outlined most of.", title=say(case.manifest.title)),
        case,
        series=(Kind.KEYS, say("AI key images, not verified (Overread {model})", model=case.manifest.name), ""),
        evidence=evidence_item(str(case.subject.attributes.StudyInstanceUID), instances_of(chosen)),
    )


def key_objects(
    title: Code, named: Sequence[Dataset], description: str, case: Case, *, series: tuple[Kind, str, str], evidence: Dataset
) -> Dataset:
    """Build a Key Object Selection Document.

    Parameters
    ----------
    named
        Header datasets of what is selected.
    description
        For a person.
    series
        Kind, series description and variant.
    evidence
        Item that names the same objects by study and series.
    """
    manifest, identity = case.manifest, case.identity
    device = DeviceObserverIdentifyingAttributes(
        uid=identity.device_uid,
        name=manifest.title,
        manufacturer_name=MANUFACTURER,
        model_name=manifest.name,
        serial_number=identity.device_serial,
    )
    content = KeyObjectSelection(
        document_title=title,
        referenced_objects=list(named),
        observer_device_context=ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device),
        description=description,
    )
    made = Dataset()
    made.update(case.subject.attributes)
    made.SOPClassUID = KeyObjectSelectionDocumentStorage
    kind, series_description, variant = series
    put_series(made, identity, kind, series_description, variant=variant)
    put_equipment(made, manifest, identity)
    made.ReferencedPerformedProcedureStepSequence = []
    made.CurrentRequestedProcedureEvidenceSequence = [evidence]
    made.update(content[0])
    return made
