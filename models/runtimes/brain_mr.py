"""`brain-mr`: the brain on MR of a head, any orientation, with the two networks of deepbet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from models.image import Image
from models.manifest import Manifest
from models.prediction import Prediction, Segmentation
from models.runtimes.brain_mr_network import (
    COARSE,
    FINE,
    brain_probability,
    grey_range,
    load_network,
    smoothly_stretched,
    stretched,
)
from models.runtimes.head import Box, Mask, check_head, largest_piece, touches_edge
from models.runtimes.patient_frame import patient_frame
from node.store.errors import ConfigurationError, Refused

STRUCTURE: Final = "brain"
LOCATOR: Final = "bbox_model.pt"
OUTLINER: Final = "model.pt"
MARGIN: Final = 0.1
"""Share of the brain's extent that is added on each side before it is outlined."""
FILLED_SHARE: Final = 0.02
"""A plane belongs to the box if the brain fills more than this share of it."""
CUT_OFF: Final = "the brain reaches the edge of the stack: the volume is that of the part inside"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a brain may look like; from the manifest's parameters."""

    fewest_slices: int
    longest_echo_ms: float
    smallest_ml: float
    largest_ml: float
    unsure_share: float
    disagreement: float


class BrainMr:
    """Brain extraction; the volume is what lies inside the outline, fluid in and around the brain included.

    Parameters
    ----------
    manifest
        Of the model; its parameters hold `Limits`.
    weights
        ``bbox_model.pt`` and ``model.pt`` of deepbet 1.0.2.
    device
        As torch spells it.
    """

    executes_weights = True

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        missing = {LOCATOR, OUTLINER} - weights.keys()
        if missing:
            raise ConfigurationError(f"model {manifest.name}: weights {', '.join(sorted(missing))} are missing in model.toml")
        self._limits = _limits(manifest)
        self._device = device
        self._locator = load_network(weights[LOCATOR], device)
        self._outliner = load_network(weights[OUTLINER], device)

    def predict(self, image: Image) -> Prediction:
        """Outline the brain.

        Raises
        ------
        Refused
            For what is not a volume of an MR of a head of a weighting that the networks know, or where they find no brain.
        """
        # T1 is what the networks were trained on, PD was seen to work
        limits = self._limits
        affine = check_head(
            image, fewest_slices=limits.fewest_slices, longest_echo_ms=limits.longest_echo_ms, read="T1 and PD are"
        )
        shape = (image.array.shape[0], image.array.shape[1], image.array.shape[2])
        frame = patient_frame(affine, shape, directions="RAS")
        turned = np.ascontiguousarray(frame.turn(image.array.astype(np.float32, copy=False)))
        brain = self._outline(turned, float(np.prod(frame.spacing_mm)) / 1000.0)
        notes = (CUT_OFF,) if touches_edge(brain) else ()
        return Prediction(Segmentation({STRUCTURE: frame.turn_back(brain)}), notes=notes)

    def _outline(self, volume: NDArray[np.float32], voxel_ml: float) -> Mask:
        """The brain on an array whose axes lead to the right, to the front and upwards."""
        tensor = torch.from_numpy(volume)
        small = stretched(tensor, COARSE)
        bounds = grey_range(small)
        if not bounds[1] > bounds[0]:
            raise Refused("the images are of one grey: there is nothing to see", "no-brain")
        located = brain_probability(self._locator, small, bounds, self._device).numpy()
        rough = largest_piece(located > 0.5)
        unsure = float(((located > 0.1) & (located < 0.9)).sum()) / max(1, int(rough.sum()))
        if unsure > self._limits.unsure_share:
            raise Refused(
                f"the network is not sure of what it sees ({unsure:.0%} of its size): not a head of a weighting that it knows",
                "no-brain",
            )
        box = _box(rough, volume.shape)
        fine = brain_probability(self._outliner, stretched(tensor[box], FINE), bounds, self._device)
        part = tensor[box].shape
        outlined = smoothly_stretched(fine, (part[0], part[1], part[2])).numpy() > 0.5
        brain = np.zeros(volume.shape, dtype=bool)
        brain[box] = _filled(largest_piece(outlined))
        self._check_volume(float(brain.sum()) * voxel_ml, float(rough.mean()) * volume.size * voxel_ml)
        return brain

    def _check_volume(self, fine_ml: float, rough_ml: float) -> None:
        low, high = self._limits.smallest_ml, self._limits.largest_ml
        if not low <= fine_ml <= high:
            raise Refused(f"what was found has {fine_ml:.0f} ml; a brain has {low:.0f} to {high:.0f} ml", "no-brain")
        if abs(fine_ml - rough_ml) > self._limits.disagreement * fine_ml:
            raise Refused(
                f"the two networks disagree ({rough_ml:.0f} and {fine_ml:.0f} ml): not a head of a weighting that they know",
                "no-brain",
            )


def _limits(manifest: Manifest) -> Limits:
    number = manifest.number
    return Limits(
        fewest_slices=int(number("fewest_slices")),
        longest_echo_ms=number("longest_echo_ms"),
        smallest_ml=number("smallest_ml"),
        largest_ml=number("largest_ml"),
        unsure_share=number("unsure_share"),
        disagreement=number("disagreement"),
    )


def _filled(mask: Mask) -> Mask:
    """With its inner cavities; `scipy.ndimage.binary_fill_holes` takes ten times as long."""
    labels, count = ndimage.label(~mask)
    outside = np.zeros(count + 1, dtype=bool)
    for axis in range(3):
        for end in (0, -1):
            outside[np.unique(np.take(labels, end, axis=axis))] = True
    outside[0] = False
    return np.asarray(~outside[labels])


def _box(rough: Mask, shape: tuple[int, ...]) -> Box:
    """The brain's box with a margin, on the grid of the image.

    Raises
    ------
    Refused
        Where the brain fills no plane noticeably.
    """
    sides = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        filled = np.flatnonzero(rough.mean(axis=others) > FILLED_SHARE)
        if not filled.size:
            raise Refused("no brain was found", "no-brain")
        scale = shape[axis] / rough.shape[axis]
        centre = scale * (filled[0] + filled[-1] + 1) / 2
        half = scale * (filled[-1] + 1 - filled[0]) * (1 + 2 * MARGIN) / 2
        sides.append(slice(max(0, round(centre - half)), min(shape[axis], round(centre + half))))
    return sides[0], sides[1], sides[2]
