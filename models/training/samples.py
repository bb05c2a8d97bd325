"""What a row's ``image`` and ``mask`` may be: a picture, a folder of pictures, an array, a NIfTI volume."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageSequence, UnidentifiedImageError

from models.image import Header, Image, SpacingKind
from models.training.nifti import read_nifti
from node.store.errors import ConfigurationError

VOLUME_KEYS: Final = ("image", "mask", "array")
"""Names of the array in an ``.npz``; ``spacing_mm`` beside it is the distance of slices, rows and columns."""
_PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".bmp"})
_VOLUMES: Final = (".nii", ".nii.gz", ".npy", ".npz")


def is_volume(name: str) -> bool:
    """Whether a row's ``image`` or ``mask`` is an array or a NIfTI volume, by its name."""
    return name.endswith(_VOLUMES)


def read_sample(path: Path, *, colour: bool = False, modality: str = "OT") -> Image:
    """The image of a row.

    Parameters
    ----------
    path
        A picture (several frames where the file has them), a folder of pictures in the order of their names, ``.npy`` or ``.npz``
        with ``(row, column)`` or ``(slice, row, column)``, ``.nii`` or ``.nii.gz``. NIfTI and arrays of several slices have a
        place in the patient: that which the file states, or for arrays axes that run upwards, backwards and to the left,
        1 mm a step unless ``spacing_mm`` says otherwise.
    colour
        Whether pictures are read in colour.

    Raises
    ------
    ConfigurationError
        Where it is missing or none of these.
    """
    photometric = "RGB" if colour else "MONOCHROME2"
    header = Header(modality=modality, photometric_interpretation=photometric)
    if path.name.endswith((".nii", ".nii.gz")):
        values, affine = read_nifti(path)
    elif path.suffix in {".npy", ".npz"}:
        values, spacing_mm = _array(path)
        if values.shape[0] == 1:
            return Image(values, None, None, SpacingKind.NONE, header)
        affine = _standing(spacing_mm)
    else:
        return Image(_pictures(path, colour=colour), None, None, SpacingKind.NONE, header)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    spacing = (float(lengths[0]), float(lengths[1]), float(lengths[2]))
    return Image(values, affine, spacing, SpacingKind.PATIENT, header)


def read_label_map(path: Path, structures: int) -> NDArray[np.uint8]:
    """``(slice, row, column)``: 0 is background, n the n-th structure.

    Where there is one structure, any value above half of the largest is it, so that masks of 0 and 255 need no change.

    Raises
    ------
    ConfigurationError
        Where it is missing, or holds numbers beyond the structures.
    """
    values = read_sample(path).array
    if structures == 1:
        top = float(values.max())
        return (values > top / 2).astype(np.uint8) if top > 0 else np.zeros(values.shape, np.uint8)
    if values.max() > structures or values.min() < 0 or (values != np.round(values)).any():
        raise ConfigurationError(f"{path} holds other values than 0 to {structures}, one for each structure")
    return values.astype(np.uint8)


def _pictures(path: Path, *, colour: bool) -> NDArray[np.float32] | NDArray[np.uint8]:
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in _PICTURES) if path.is_dir() else [path]
    frames = []
    try:
        for file in files:
            with Picture.open(file) as picture:
                for frame in ImageSequence.Iterator(picture):
                    grey = "I;16" if frame.mode.startswith("I") else "L"
                    shown = frame if not colour and grey == "I;16" else frame.convert("RGB" if colour else "L")
                    frames.append(np.asarray(shown, dtype=np.uint8 if colour else np.float32))
    except (OSError, UnidentifiedImageError) as broken:
        raise ConfigurationError(f"{path} cannot be read as a picture") from broken
    if not frames or len({frame.shape for frame in frames}) != 1:
        raise ConfigurationError(f"{path} holds no pictures, or pictures of several sizes")
    return np.stack(frames)


def _array(path: Path) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    spacing: tuple[float, ...] = (1.0, 1.0, 1.0)
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            values = found
        else:
            with found:
                name = next((key for key in VOLUME_KEYS if key in found), None)
                if name is None:
                    raise ConfigurationError(f"{path} holds none of {', '.join(VOLUME_KEYS)}")
                values = found[name]
                spacing = tuple(float(step) for step in found["spacing_mm"]) if "spacing_mm" in found else spacing
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as broken:
        raise ConfigurationError(f"{path} cannot be read as an array: {broken}") from broken
    values = values[np.newaxis] if values.ndim == 2 else values
    if values.ndim != 3 or values.dtype.kind not in "biuf" or len(spacing) != 3 or min(spacing) <= 0:
        raise ConfigurationError(f"{path} is not (slice, row, column) numbers with three spacings")
    return values.astype(np.float32), spacing


def _standing(spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """Slices upwards, rows backwards, columns to the left: LPS is (column, row, slice)."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = (*spacing_mm, 1.0)
    return affine
