"""Datasets into the bytes of a file (PS3.10 section 7)."""

from __future__ import annotations

import io

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from node.store.provenance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from workers.encode.characters import settle_character_set


def file_bytes(dataset: Dataset, transfer_syntax_uid: UID = ExplicitVRLittleEndian) -> bytes:
    """Settle the character set and write preamble, file meta information and `dataset`.

    Parameters
    ----------
    transfer_syntax_uid
        Explicit VR Little Endian, or one that is written like it with compressed pixels.
    """
    settle_character_set(dataset)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax_uid
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    dataset.file_meta = meta
    dataset.preamble = bytes(128)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
