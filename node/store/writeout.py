"""Early write-out: lets the disk begin on a file while its bytes still come, so that the sync at its end is short.

It promises nothing and reports nothing: that is for `os.fdatasync`, to which a write that failed here is known.
"""

from __future__ import annotations

import ctypes
from typing import Final

STEP: Final = 1 << 18
"""Bytes after which the next write-out begins."""

_START_WRITING: Final = 2
"""SYNC_FILE_RANGE_WRITE of sync_file_range(2), which Linux alone has."""

_sync_file_range = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def begin(descriptor: int, offset: int, length: int) -> None:
    """Have the system begin to write these bytes of a file; does nothing where it cannot."""
    if _sync_file_range is not None:
        _sync_file_range(descriptor, offset, length, _START_WRITING)
