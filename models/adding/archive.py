"""A model in a ZIP archive, as it is downloaded: unpacked into a folder that is then taken as any other."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from node.store.errors import ConfigurationError


def unpack(archive: Path, into: Path) -> Path:
    """Unpack a model; nothing of it is run.

    Parameters
    ----------
    into
        Empty folder.

    Returns
    -------
    Path
        The folder of the model: `into`, or the one folder that it holds.

    Raises
    ------
    ConfigurationError
        Where this is no ZIP archive or is damaged, where a file would lie outside of `into` or is a link, or where the disk does
        not hold it.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            _check(opened, archive, into)
            opened.extractall(into)
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as broken:  # RuntimeError: encrypted, or an odd way
        hint = "fetch it again, or unpack it and add the folder"
        raise ConfigurationError(f"{archive} cannot be unpacked ({broken}): {hint}") from broken
    inside = [one for one in into.iterdir() if one.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else into


def _check(opened: zipfile.ZipFile, archive: Path, into: Path) -> None:
    for one in opened.infolist():
        name = PurePosixPath(one.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or stat.S_ISLNK(one.external_attr >> 16):
            raise ConfigurationError(f"{archive} holds {one.filename!r}, which would lie elsewhere: do not use it")
    size, free = sum(one.file_size for one in opened.infolist()), shutil.disk_usage(into).free
    if size > free:
        raise ConfigurationError(f"{archive} unpacks to {size / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB: make room first")
