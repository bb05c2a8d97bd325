"""How far a model's outlines change when the same study is stored or made in another way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.image import Image
from models.manifest import Manifest
from models.prediction import LabelMap, Prediction
from models.runtime import Model
from models.training.copies import Copy
from models.training.grids import at_voxels
from models.training.metrics import dice
from node.store.errors import ConfigurationError, Refused

LEAST_ML: Final = 1.0
"""Structures below it are in no largest difference: there single voxels decide."""

Mask = NDArray[np.bool_]


def steadiness(
    manifest: Manifest,
    model: Model,
    image: Image,
    copies: Mapping[str, Copy],
    prediction: Prediction,
    *,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Let the model read copies of a volume, and compare.

    Parameters
    ----------
    image
        A grey volume that has a place in the patient.
    copies
        By name, from `models.training.copies.copies_of`.
    prediction
        What the model says of `image` itself.
    advance
        Called after each reading.

    Returns
    -------
    dict
        ``volumes_ml`` of each structure in the volume itself, and ``copies``. Each of these has ``by_structure``: ``volume_ml``,
        its ``difference`` to that of the part of the volume which the copy shows (0.01: a hundredth more; None where that part
        has none), and ``dice`` there; besides ``largest_difference`` and ``least_dice`` (None where no structure has `LEAST_ML`),
        and ``largest_at``. Of a copy that the model refuses there is ``refused``, the reason.

    Raises
    ------
    ConfigurationError
        Where the model outlines nothing.
    """
    if not manifest.structures:
        raise ConfigurationError(f"{manifest.name} outlines nothing: copies are compared by what was outlined")
    whole = outlines_of(manifest, prediction, image.array.shape)
    made: dict[str, Any] = {}
    for name, copy in copies.items():
        try:
            shown = copy.make(image)
            found = outlines_of(manifest, model.predict(shown), shown.array.shape)
            made[name] = _compared(image, whole, shown, found, copy)
        except Refused as refused:
            made[name] = {"refused": refused.reason}
        advance()
    voxel_ml = _voxel_ml(image)
    return {"volumes_ml": {key: int(mask.sum()) * voxel_ml for key, mask in whole.items()}, "copies": made}


def outlines_of(manifest: Manifest, prediction: Prediction, shape: tuple[int, ...]) -> dict[str, Mask]:
    """``(slice, row, column)`` mask of each structure of the manifest; empty for what was not found."""
    found = prediction.segmentation
    if found is None:
        raise ConfigurationError(f"{manifest.name} outlined nothing")
    nothing = np.zeros(shape, dtype=bool)
    if isinstance(found, LabelMap):
        there = {key: np.asarray(found.array == value) for value, key in enumerate(found.keys, start=1)}
    else:
        there = dict(found.masks)
    return {structure.key: there.get(structure.key, nothing) for structure in manifest.structures}


def _compared(image: Image, whole: Mapping[str, Mask], copy: Image, found: Mapping[str, Mask], made: Copy) -> dict[str, Any]:
    if image.affine is None or copy.affine is None:
        raise Refused("copies are compared by their place in the patient", "no-geometry")
    way = np.linalg.inv(copy.affine) @ made.motion(image) @ image.affine
    shape = (image.array.shape[0], image.array.shape[1], image.array.shape[2])
    source_ml, copy_ml = _voxel_ml(image), _voxel_ml(copy)
    by_structure: dict[str, dict[str, float | None]] = {}
    differences: dict[str, float] = {}
    for key, mask in whole.items():
        there, covered = at_voxels(found[key], way, shape)
        shown = mask & covered
        before_ml, after_ml = int(shown.sum()) * source_ml, int(found[key].sum()) * copy_ml
        difference = after_ml / before_ml - 1 if before_ml else None
        by_structure[key] = {"volume_ml": after_ml, "difference": difference, "dice": dice(there, shown)}
        if difference is not None and before_ml >= LEAST_ML:
            differences[key] = difference
    at = max(differences, key=lambda key: abs(differences[key]), default=None)
    return {
        "largest_difference": None if at is None else differences[at],
        "largest_at": at,
        "least_dice": min((float(by_structure[key]["dice"] or 0.0) for key in differences), default=None),
        "by_structure": by_structure,
    }


def _voxel_ml(image: Image) -> float:
    if image.affine is None:
        raise Refused("volumes are of images that have a place in the patient", "no-geometry")
    return abs(float(np.linalg.det(image.affine[:3, :3]))) / 1000
