"""Who made an object: Overread with one model, as equipment, as algorithm and as observer."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from models.manifest import Manifest
from node.store.naming import LONGEST_DESCRIPTION
from node.store.provenance import MANUFACTURER
from workers.encode.concepts import ARTIFICIAL_INTELLIGENCE, NEIGHBORHOOD_ANALYSIS, PROCESSING_EQUIPMENT, code_item
from workers.encode.identity import Kind, ResultIdentity
from workers.encode.language import speech

_OFFSET: Final = re.compile(r"[+-](?:0[0-9]|1[0-4])[0-5][0-9]")
"""Timezone Offset From UTC, from -1200 to +1400 (PS3.3 section C.12.1.1.8)."""

_FAMILIES: Final = {"ai": ARTIFICIAL_INTELLIGENCE, "threshold": NEIGHBORHOOD_ANALYSIS}


def algorithm_family(manifest: Manifest) -> Code:
    """Family of the algorithm, from CID 7162."""
    return _FAMILIES[manifest.algorithm.family]


def algorithm_item(manifest: Manifest, identity: ResultIdentity) -> Dataset:
    """Algorithm Identification (PS3.3 section 10.16, table 10-19)."""
    item = Dataset()
    item.AlgorithmFamilyCodeSequence = [code_item(algorithm_family(manifest))]
    item.AlgorithmName = manifest.name
    item.AlgorithmVersion = manifest.version
    item.AlgorithmParameters = f"fingerprint {identity.fingerprint}"
    item.AlgorithmSource = MANUFACTURER
    return item


def put_equipment(target: Dataset, manifest: Manifest, identity: ResultIdentity) -> None:
    """Write the Enhanced General Equipment module and Contributing Equipment (PS3.3 sections C.7.5.2, C.12.1).

    The fingerprint of the model is the serial number: retrained weights are other equipment.
    """
    target.Manufacturer = MANUFACTURER
    target.ManufacturerModelName = manifest.name
    target.DeviceSerialNumber = identity.device_serial
    target.SoftwareVersions = manifest.version
    item = Dataset()
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = manifest.name
    item.DeviceSerialNumber = identity.device_serial
    item.SoftwareVersions = manifest.version
    item.ContributionDateTime = local_time(target, identity).strftime("%Y%m%d%H%M%S%z")
    # Device UID (0018,1002) came to this sequence late: validators in use take it for an attribute of no standard object
    item.ContributionDescription = clip(f"Processing Algorithm: {manifest.title}, device UID {identity.device_uid}", 1024)
    item.PurposeOfReferenceCodeSequence = [code_item(PROCESSING_EQUIPMENT)]
    target.ContributingEquipmentSequence = [item]


def put_series(
    target: Dataset, identity: ResultIdentity, kind: Kind, description: str, variant: str = "", *, part: int = 1, place: str = ""
) -> None:
    """Write series, instance and SOP Common attributes with all dates and times from the identity (PS3.3 section C.7.3.1).

    Parameters
    ----------
    variant
        Tells a second object of the same kind, in the same series, from the first one; ``""`` is the first.
    part
        Of one answer that takes several objects, from 1.
    place
        Of what cannot share a series with others of its kind: what it lies on.
    """
    moment = local_time(target, identity)
    date, time = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")
    target.Modality = identity.modality(kind)
    target.SeriesInstanceUID = identity.series_uid(kind, place)
    target.SeriesNumber = identity.series_number(kind)
    revised = "" if "{revision}" in (identity.naming.description or "") else revision_of(identity)
    described = identity.series_description(kind, description)
    target.SeriesDescription = clip(described, LONGEST_DESCRIPTION - len(revised)) + revised
    target.SeriesDate = target.ContentDate = target.InstanceCreationDate = date
    target.SeriesTime = target.ContentTime = target.InstanceCreationTime = time
    target.SOPInstanceUID = identity.instance_uid(kind, variant, part)
    target.InstanceNumber = 2 if variant else part


def revision_of(identity: ResultIdentity) -> str:
    """What a description ends in, so that a person tells results that replace others: empty for the first ones."""
    say = speech(identity.language).say
    if identity.run > 1:
        return ", " + say("revision {revision}, run {run}", revision=identity.revision, run=identity.run)
    return ", " + say("revision {revision}", revision=identity.revision) if identity.revision > 1 else ""


def local_time(target: Dataset, identity: ResultIdentity) -> datetime:
    """When the result was made, in the time zone that the object states, else in that of `ResultIdentity.created_at`."""
    offset = str(target.get("TimezoneOffsetFromUTC") or "")
    if not _OFFSET.fullmatch(offset):
        return identity.created_at
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return identity.created_at.astimezone(timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes)))


def clip(text: str, length: int = 64) -> str:
    """`text` as a DICOM string of at most `length` characters without backslashes; what is cut off ends in three dots."""
    text = " ".join(text.replace("\\", "/").split())
    return text if len(text) <= length else text[: length - 3].rstrip(" ,") + "..."
