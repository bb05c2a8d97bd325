"""The same object in another transfer syntax, losslessly: what a peer is offered, and the bytes that it is then sent.

An object keeps its SOP Instance UID: only how it is written changes, and no value of it. The same file gives the same bytes each
time.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from pydicom import dcmread, dcmwrite
from pydicom.uid import UID

from node.implicit import implicit
from node.store import part10
from node.store.attributes import BROKEN, quietly
from node.store.errors import NotUnderstood
from node.store.part10 import FileHead
from node.store.syntaxes import Syntax
from node.uids import (
    DEFLATED_LITTLE_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    JPEG_LS_LOSSLESS,
    LABEL_MAP_SEGMENTATION,
    RLE_LOSSLESS,
    SECONDARY_CAPTURE,
)

UIDS: Final[dict[Syntax, str]] = {
    "explicit": EXPLICIT_LITTLE_ENDIAN,
    "implicit": IMPLICIT_LITTLE_ENDIAN,
    "deflated": DEFLATED_LITTLE_ENDIAN,
    "rle": RLE_LOSSLESS,
    "jpeg-ls": JPEG_LS_LOSSLESS,
}

WHOLE_BYTES: Final = frozenset({SECONDARY_CAPTURE, LABEL_MAP_SEGMENTATION})
"""SOP classes of ours whose pixels are whole bytes, as the compressed syntaxes need them. Binary segmentations have a bit a
pixel, Parametric Maps floating point, the others no pixels (PS3.5 section 8.2)."""

_ENCODERS: Final = {RLE_LOSSLESS: "pylibjpeg", JPEG_LS_LOSSLESS: "pyjpegls"}
"""By compressed transfer syntax: pydicom's plugin. Named, for others that may be there give other bytes, or end the process.
JPEG 2000 is left out: its encoder here refuses images of fewer than 32 rows or columns."""

_PLAIN: Final = frozenset({EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, DEFLATED_LITTLE_ENDIAN})


def forms(head: FileHead, wanted: Sequence[Syntax]) -> tuple[str, ...]:
    """UIDs of the transfer syntaxes that an object of ours can be sent in, of those wanted and in their order; none twice.

    An object that was made otherwise than ours are, in Explicit VR Little Endian or compressed, goes as it was made.
    """
    made = head.transfer_syntax_uid
    if made != EXPLICIT_LITTLE_ENDIAN and made not in _ENCODERS:
        return (made,)
    whole_bytes = made in _ENCODERS or head.sop_class_uid in WHOLE_BYTES
    uids = (made if name == "made" else UIDS[name] for name in wanted)
    return tuple(dict.fromkeys(uid for uid in uids if uid in _PLAIN or whole_bytes))


def recoded(path: Path, head: FileHead, transfer_syntax_uid: str) -> bytes:
    """The data set of a file in another transfer syntax, one of `forms`.

    Raises
    ------
    NotUnderstood
        Where the file cannot be decoded.
    OSError
        Where it cannot be read.
    """
    compressed = head.transfer_syntax_uid in _ENCODERS or transfer_syntax_uid in _ENCODERS
    try:
        content = _rewritten(path, transfer_syntax_uid) if compressed else _data_set(path.read_bytes())
        if transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN:
            return implicit(content)
    except (*BROKEN, EOFError, RuntimeError) as broken:
        raise NotUnderstood(f"it cannot be written in {UID(transfer_syntax_uid).name}") from broken
    return _deflated(content) if transfer_syntax_uid == DEFLATED_LITTLE_ENDIAN else content


@contextmanager
def as_wanted(path: Path, wanted: Sequence[Syntax]) -> Iterator[tuple[BinaryIO, int, str]]:
    """A whole file (PS3.10) in the first of its `forms`, for whom nothing is negotiated with.

    Yields
    ------
    The file from its start, its length in bytes, and its transfer syntax in words; no words where it is as it was made.

    Raises
    ------
    NotUnderstood, OSError
        As `recoded` does.
    """
    with path.open("rb") as file:
        if wanted[0] != "made":
            head = part10.read_head(file)
            file.seek(0)
            syntax = forms(head, wanted)[0]
            if syntax != head.transfer_syntax_uid:
                target = FileHead(0, head.sop_class_uid, head.sop_instance_uid, syntax)
                content = part10.encode_head(target) + recoded(path, head, syntax)
                yield io.BytesIO(content), len(content), in_words(syntax)
                return
        yield file, os.fstat(file.fileno()).st_size, ""


def in_words(transfer_syntax_uid: str) -> str:
    """What an object that was not sent as it was made was sent as."""
    return f"as {UID(transfer_syntax_uid).name}"


def _rewritten(path: Path, transfer_syntax_uid: str) -> bytes:
    """The data set with its pixels compressed as that syntax has them; in Explicit VR Little Endian where it is none of these."""
    with quietly():
        dataset = dcmread(path)
        made = dataset.file_meta.TransferSyntaxUID
        if made in _ENCODERS:
            dataset.decompress(as_rgb=False, generate_instance_uid=False, decoding_plugin=_ENCODERS[made])
        if transfer_syntax_uid in _ENCODERS:
            dataset.compress(transfer_syntax_uid, generate_instance_uid=False, encoding_plugin=_ENCODERS[transfer_syntax_uid])
        buffer = io.BytesIO()
        dcmwrite(buffer, dataset, enforce_file_format=True)
    return _data_set(buffer.getvalue())


def _data_set(file: bytes) -> bytes:
    return file[part10.read_head(io.BytesIO(file)).offset :]


def _deflated(plain: bytes) -> bytes:
    """A data set as a raw deflated stream, padded to even length (PS3.5 section A.5)."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(plain) + packer.flush()
    return packed + b"\0" * (len(packed) % 2)
