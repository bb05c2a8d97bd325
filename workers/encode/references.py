"""References to the images that an object was made from (PS3.3 sections 10.3, C.7.6.12)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from workers.encode.concepts import SOURCE_IMAGE, code_item
from workers.encode.grid import SourceFrame


def instance_item(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """SOP Instance Reference Macro (PS3.3 section 10.8, table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def source_item(frame: SourceFrame) -> Dataset:
    """An image, or a frame of it, that something was derived from: an item of Source Image Sequence."""
    item = instance_item(frame.sop_class_uid, frame.sop_instance_uid)
    if frame.frame_number is not None:
        item.ReferencedFrameNumber = frame.frame_number
    item.PurposeOfReferenceCodeSequence = [code_item(SOURCE_IMAGE)]
    return item
