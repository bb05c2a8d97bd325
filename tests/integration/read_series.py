"""Files of one series as a `models.image.Image`, for tests of models alone: the product's own reader is in `workers.series`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom

from models.image import Header, Image, SpacingKind


def read_series(paths: list[Path]) -> Image:
    """Sort by position, apply the rescale, build the affine (PS3.3 section C.7.6.2.1.1)."""
    datasets = [pydicom.dcmread(path) for path in paths]
    first = datasets[0]
    row = np.array(first.ImageOrientationPatient[:3], dtype=float)
    column = np.array(first.ImageOrientationPatient[3:], dtype=float)
    normal = np.cross(row, column)
    datasets.sort(key=lambda one: float(normal @ np.array(one.ImagePositionPatient, dtype=float)))
    positions = np.array([one.ImagePositionPatient for one in datasets], dtype=float)
    step = (positions[-1] - positions[0]) / (len(datasets) - 1) if len(datasets) > 1 else 5.0 * normal
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = step, column * first.PixelSpacing[0], row * first.PixelSpacing[1]
    affine[:3, 3] = positions[0]
    array = np.stack(
        [
            one.pixel_array.astype(np.float32) * float(one.get("RescaleSlope", 1)) + float(one.get("RescaleIntercept", 0))
            for one in datasets
        ]
    )
    header = Header(
        modality=first.Modality,
        image_type=tuple(first.get("ImageType", ())),
        rescale_type=first.get("RescaleType", ""),
        has_rescale="RescaleSlope" in first,
        body_part_examined=first.get("BodyPartExamined", ""),
        echo_time_ms=float(first.EchoTime) if first.get("EchoTime") else None,
    )
    spacing = (float(np.linalg.norm(step)), float(first.PixelSpacing[0]), float(first.PixelSpacing[1]))
    return Image(array.astype(np.float32), affine, spacing, SpacingKind.PATIENT, header)


def read_nifti(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Labels of an uncompressed-header NIfTI-1 of bytes that lies right, back and up, as ``(slice, row, column)`` in LPS."""
    import gzip

    content = gzip.decompress(path.read_bytes())
    start = int(np.frombuffer(content, dtype="<f4", count=1, offset=108)[0])
    srow = np.frombuffer(content, dtype="<f4", count=12, offset=280).reshape(3, 4)
    slices, rows, columns = shape
    labels = np.frombuffer(content, dtype=np.uint8, count=int(np.prod(shape)), offset=start).reshape(slices, rows, columns)
    # x of NIfTI leads to the right, y to the front: the signs say which axes run against LPS
    flips = tuple(axis for axis, value in ((2, srow[0, 0]), (1, srow[1, 1])) if value > 0)
    return np.flip(labels, flips)
