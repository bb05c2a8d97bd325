"""Whether there is room for what arrives, and whether it can be written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from node.check.verdict import Checked, fault, note, ok
from node.store.settings import Settings

NETWORK_FILE_SYSTEMS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs"})
"""SQLite's locks and the order of syncs cannot be relied on there."""


def check_disk(settings: Settings, mounts: Path = Path("/proc/mounts")) -> Iterator[Checked]:
    """Look at the data folder: writable, local, with more room than the reserve."""
    folder = settings.data.absolute()
    place = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        yield fault(
            "disk",
            str(folder),
            "cannot be written by this user",
            f"give this user the folder, or choose another with --data ({place})",
        )
    free_mb = shutil.disk_usage(place).free // 1_000_000
    reserve_mb = settings.limits.disk_reserve_mb
    if free_mb < reserve_mb:
        yield fault(
            "disk",
            str(folder),
            f"{free_mb} MB free, {reserve_mb} MB are kept in reserve: associations are rejected, images answered with A700",
            "make room, set [retention], or lower limits.disk_reserve_mb; intake goes on by itself then",
        )
    elif free_mb < 4 * reserve_mb:
        yield note("disk", str(folder), f"{free_mb} MB free, images are refused below {reserve_mb} MB", "make room soon")
    else:
        yield ok("disk", str(folder), f"{free_mb / 1000:.1f} GB free, images are refused below {reserve_mb} MB")
    kind = _file_system(place, mounts)
    if settings.catalog_url is None and kind in NETWORK_FILE_SYSTEMS:
        yield fault(
            "disk",
            str(folder),
            f"lies on a network file system ({kind}), where SQLite is not safe",
            "choose a local disk, or set catalog_url",
        )


def _file_system(place: Path, mounts: Path) -> str:
    """Kind of the file system that `place` lies on; empty where this system does not say."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    resolved = place.resolve()
    best, kind = -1, ""
    for line in lines:
        _, point, found, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if resolved.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), found
    return kind
