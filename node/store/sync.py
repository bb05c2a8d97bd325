"""What a path leads to on stable storage. `node.store.spool` remembers what was synced and what failed, and has its own."""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Sync the bytes of a file, or the names in a folder. Raises OSError where the disk did not take them."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
