"""NIfTI-1 volumes (Cox et al. 2004, https://nifti.nimh.nih.gov/nifti-1), single files, compressed or not: data, never code."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.store.errors import ConfigurationError

_TYPES: Final = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_HEADER: Final = 348


def read_nifti(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Values as ``(slice, row, column)``, and the affine from these indices to LPS millimetres.

    NIfTI's first axis is the column here, its third the slice; its coordinates run to the right, to the front and upwards.

    Raises
    ------
    ConfigurationError
        Where the file is none, or does not say where its voxels lie.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    except (OSError, EOFError, zlib.error) as broken:
        raise ConfigurationError(f"{path} cannot be read: {broken}") from broken
    order = "<" if len(content) >= _HEADER and struct.unpack_from("<i", content)[0] == _HEADER else ">"
    if len(content) < _HEADER or struct.unpack_from(order + "i", content)[0] != _HEADER or content[344:347] != b"n+1":
        raise ConfigurationError(f"{path} is no NIfTI-1 file of one piece")
    dimensions = struct.unpack_from(order + "8h", content, 40)
    code = struct.unpack_from(order + "h", content, 70)[0]
    offset, slope, intercept = struct.unpack_from(order + "3f", content, 108)
    shape = dimensions[1:4]
    if dimensions[0] < 3 or any(extent != 1 for extent in dimensions[4 : dimensions[0] + 1]) or min(shape) < 1:
        raise ConfigurationError(f"{path} is not one volume: its axes are {dimensions[1 : dimensions[0] + 1]}")
    if code not in _TYPES:
        raise ConfigurationError(f"{path} has values of type {code}, which is not read")
    count = shape[0] * shape[1] * shape[2]
    kind = np.dtype(order + _TYPES[code])
    if len(content) < int(offset) + count * kind.itemsize:
        raise ConfigurationError(f"{path} is cut short")
    values = np.frombuffer(content, kind, count, int(offset)).reshape(shape[::-1]).astype(np.float32)
    if slope not in {0.0, 1.0} or (slope and intercept):
        values = values * np.float32(slope) + np.float32(intercept)
    return values, _affine(content, order, path)


def _affine(content: bytes, order: str, path: Path) -> NDArray[np.float64]:
    quaternion, rows = struct.unpack_from(order + "2h", content, 252)
    to_ras = np.eye(4)
    if rows > 0:
        to_ras[:3] = np.asarray(struct.unpack_from(order + "12f", content, 280)).reshape(3, 4)
    elif quaternion > 0:
        to_ras[:3] = _from_quaternion(content, order)
    else:
        raise ConfigurationError(f"{path} does not say where its voxels lie (neither sform nor qform)")
    if abs(np.linalg.det(to_ras[:3, :3])) < 1e-9:
        raise ConfigurationError(f"{path} says that its voxels have no volume")
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ to_ras
    return np.asarray(to_lps[:, [2, 1, 0, 3]])


def _from_quaternion(content: bytes, order: str) -> NDArray[np.float64]:
    b, c, d, x, y, z = struct.unpack_from(order + "6f", content, 256)
    spacing = struct.unpack_from(order + "8f", content, 76)
    a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    rotation = np.asarray(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    sizes = np.asarray([spacing[1], spacing[2], spacing[3] * (-1.0 if spacing[0] < 0 else 1.0)])
    return np.column_stack([rotation * sizes, [x, y, z]])
