"""Data sets of messages, decoded whole and encoded: small ones, never images."""

from __future__ import annotations

import io
import struct

from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from node.store.attributes import BROKEN, quietly
from node.store.errors import NotUnderstood
from node.uids import EXPLICIT_BIG_ENDIAN, IMPLICIT_LITTLE_ENDIAN


def read_data_set(content: bytes, transfer_syntax_uid: str) -> Dataset:
    """Decode a data set in one of the uncompressed transfer syntaxes, every value of it.

    Raises
    ------
    NotUnderstood
        Where it cannot be decoded.
    """
    try:
        with quietly():
            implicit, little = transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN, transfer_syntax_uid != EXPLICIT_BIG_ENDIAN
            dataset: Dataset = decode(io.BytesIO(content), implicit, little)
            for _ in dataset.iterall():
                pass
    except (*BROKEN, OSError, EOFError, RecursionError, struct.error) as broken:  # pydicom raises OSError for a tag cut short
        raise NotUnderstood("the data set cannot be decoded") from broken
    return dataset


def write_data_set(dataset: Dataset, transfer_syntax_uid: str) -> bytes:
    """Encode a data set, implicit or explicit little endian.

    Raises
    ------
    NotUnderstood
        Where it cannot be encoded.
    """
    encoded: bytes | None = encode(dataset, transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN, True)
    if encoded is None:
        raise NotUnderstood("the data set cannot be encoded")
    return encoded
