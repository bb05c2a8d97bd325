"""`brain-regions` and its relatives: regions of the brain on T1-weighted MR, with the MeshNets of brainchop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.image import Header, Image
from models.manifest import Manifest
from models.networks.tfjs import load_meshnet
from models.prediction import LabelMap, Prediction
from models.runtimes.conform import Conformed, conform, labels_on_source
from models.runtimes.head import Box, check_head, largest_piece, touches_edge
from models.runtimes.head_pose import laying
from models.runtimes.slabwise import classes_of
from node.store.errors import ConfigurationError, Refused

Labels = NDArray[np.uint8]

DESCRIPTION: Final = "model.json"
BRIGHT_PLANE: Final = 400
"""A plane of 1 mm voxels belongs to the head where so many of them are bright: a square of 2 cm."""
MARGIN: Final = 2
"""Planes added on each side of the head."""
BRAIN_BELOW_MM: Final = 190
"""No brain reaches further below the top of its head."""
DEEP_MM: Final = ((-60, 60), (40, 140), (-70, 70))
"""Where in the head's box its deep structures lie: about its middle, below its top, about its middle."""
CUT_OFF: Final = "the brain reaches the edge of the stack: the volumes are those of the parts inside"
AS_IT_LIES: Final = "how the head lies could not be told: it was read as it lies, and volumes of other visits compare less well"


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be read, and how; from the manifest's parameters."""

    fewest_slices: int
    longest_echo_ms: float
    coarsest_mm: float
    smallest_ml: float
    largest_ml: float
    bright: float
    """Share of the range of greys from which a voxel counts as head."""
    quantiles: tuple[float, ...]
    """Two shares of voxels whose greys become 0 and 1; none: the whole range."""
    white: tuple[str, ...]
    grey: tuple[str, ...]
    """Structures that show the weighting: on T1 the first are brighter than the second."""
    contrast: float
    """How many times brighter at least."""
    lays_alike: bool
    """Whether the head is laid as every other before it is read, by what a first look finds."""


class BrainRegions:
    """The regions that the manifest lists: the n-th structure is what the network calls class n.

    Parameters
    ----------
    manifest
        Of the model; its parameters hold `Limits`.
    weights
        ``model.json`` and the shards that it names.
    device
        As torch spells it.
    """

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        if DESCRIPTION not in weights:
            raise ConfigurationError(f"model {manifest.name}: weights {DESCRIPTION} are missing in model.toml")
        shards = {name: path for name, path in weights.items() if name != DESCRIPTION}
        self._network = load_meshnet(weights[DESCRIPTION], shards).to(device)
        self._keys = tuple(structure.key for structure in manifest.structures)
        if self._network.head.out_channels != len(self._keys) + 1:
            raise ConfigurationError(
                f"model {manifest.name}: the network has {self._network.head.out_channels} classes, "
                f"model.toml lists {len(self._keys)} structures besides the background"
            )
        self._limits = _limits(manifest)

    def predict(self, image: Image) -> Prediction:
        """Outline the regions.

        Raises
        ------
        Refused
            For what is not a fine T1-weighted volume of a head, or where no brain is found in it.
        """
        affine = check_head(
            image, fewest_slices=self._limits.fewest_slices, longest_echo_ms=self._limits.longest_echo_ms, read="T1 is"
        )
        _check_weighting(image.header)
        _check_spacing(affine, self._limits)
        shape = (image.array.shape[0], image.array.shape[1], image.array.shape[2])
        conformed, notes = self._conformed(image.array.astype(np.float32, copy=False), affine)
        labels = self._labels(conformed.volume)
        self._check(labels, conformed.volume)
        found = labels_on_source(labels, conformed, affine, shape)
        present = np.bincount(found.ravel(), minlength=len(self._keys) + 1)[1:] > 0
        absent = tuple(key for key, there in zip(self._keys, present, strict=True) if not there)
        notes += (CUT_OFF,) if touches_edge(found > 0) else ()
        return Prediction(LabelMap(found, self._keys, absent), notes=notes)

    def _conformed(self, array: NDArray[np.float32], affine: NDArray[np.float64]) -> tuple[Conformed, tuple[str, ...]]:
        """The head on the network's grid, laid as every other where that is wanted; and what is to be noted."""
        as_it_lies = conform(array, affine)
        if not self._limits.lays_alike:
            return as_it_lies, ()
        box = head_box(as_it_lies.volume, self._limits.bright)
        deep = deep_region(box)
        for region in (deep, box) if deep != box else (box,):
            labels = self._classes(as_it_lies.volume, box, region)
            if labels.any():
                labels[~largest_piece(labels > 0, corners=True)] = 0
            moved = as_it_lies.affine.copy()
            moved[:3, 3] += moved[:3, :3] @ [side.start for side in region]
            motion = laying(labels, moved, self._keys)
            if motion is not None:
                return conform(array, affine, motion), ()
        return as_it_lies, (AS_IT_LIES,)

    def _labels(self, volume: NDArray[np.float32]) -> Labels:
        """Classes on the conformed grid, without what is not connected to the brain."""
        box = head_box(volume, self._limits.bright)
        labels = np.zeros(volume.shape, dtype=np.uint8)
        labels[box] = self._classes(volume, box, box)
        labels[~largest_piece(labels > 0, corners=True)] = 0
        return labels

    def _classes(self, volume: NDArray[np.float32], box: Box, region: Box) -> Labels:
        """Of the voxels of `region`, a part of `box`; the network sees all of the box."""
        scaled = np.ascontiguousarray(_scaled(volume, self._limits.quantiles)[box])
        part = tuple(slice(side.start - outer.start, side.stop - outer.start) for side, outer in zip(region, box, strict=True))
        return classes_of(self._network, torch.from_numpy(scaled), region=(part[0], part[1], part[2])).numpy()

    def _check(self, labels: Labels, volume: NDArray[np.float32]) -> None:
        limits = self._limits
        brain_ml = float(np.count_nonzero(labels)) / 1000.0
        if not limits.smallest_ml <= brain_ml <= limits.largest_ml:
            raise Refused(
                f"what was found has {brain_ml:.0f} ml; a brain has {limits.smallest_ml:.0f} to {limits.largest_ml:.0f} ml",
                "no-brain",
            )
        white, grey = (np.isin(labels, [self._keys.index(key) + 1 for key in keys]) for keys in (limits.white, limits.grey))
        if not white.any() or not grey.any():
            raise Refused("no white matter, or no cortex, was found", "no-brain")
        ratio = float(np.median(volume[white])) / max(float(np.median(volume[grey])), 1e-6)
        if ratio < limits.contrast:
            raise Refused(
                f"what was taken for white matter is {ratio:.2f} times as bright as what was taken for cortex: not T1",
                "not-t1",
            )


def head_box(volume: NDArray[np.float32], bright: float) -> Box:
    """The head's box in a conformed volume, its neck left out.

    Raises
    ------
    Refused
        Where nothing is bright.
    """
    lit = volume > bright
    sides = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        planes = np.flatnonzero(lit.sum(axis=others) >= BRIGHT_PLANE)
        if not planes.size:
            raise Refused("the images are dark: there is no head to see", "no-brain")
        last = int(planes[-1])
        if axis == 1:  # downwards
            last = min(last, int(planes[0]) + BRAIN_BELOW_MM)
        sides.append(slice(max(0, int(planes[0]) - MARGIN), min(volume.shape[axis], last + 1 + MARGIN)))
    return sides[0], sides[1], sides[2]


def deep_region(box: Box) -> Box:
    """The part of the head's box that holds the deep structures of the brain, however the head lies; of a thin slab all of it."""
    middles = [(side.start + side.stop) // 2 for side in box]
    middles[1] = box[1].start  # the top of the head: how far the neck reaches differs
    sides = [
        slice(max(side.start, middle + first), min(side.stop, middle + last))
        for side, middle, (first, last) in zip(box, middles, DEEP_MM, strict=True)
    ]
    return (sides[0], sides[1], sides[2]) if all(side.start < side.stop for side in sides) else box


def _scaled(volume: NDArray[np.float32], quantiles: tuple[float, ...]) -> NDArray[np.float32]:
    if not quantiles:
        return volume
    low, high = np.quantile(volume, quantiles)
    if not high > low:
        raise Refused("the images are of one grey: there is nothing to see", "no-brain")
    return np.asarray((volume - low) / (high - low), dtype=np.float32)


def _check_weighting(header: Header) -> None:
    """A spin echo with a long repetition time and no inversion is PD or T2; what is not stated is no objection."""
    sequence = {value.upper() for value in header.scanning_sequence}
    repetition_ms = header.repetition_time_ms
    if repetition_ms is not None and repetition_ms > 1500 and sequence == {"SE"} and not header.inversion_time_ms:
        raise Refused(f"a spin echo with a repetition time of {repetition_ms:.0f} ms is not T1-weighted", "not-t1")


def _check_spacing(affine: NDArray[np.float64], limits: Limits) -> None:
    coarsest = float(np.linalg.norm(affine[:3, :3], axis=0).max())
    if coarsest > limits.coarsest_mm:
        raise Refused(
            f"the voxels are {coarsest:.1f} mm long; small regions need {limits.coarsest_mm:.1f} mm or less, as of a 3D sequence",
            "too-coarse",
        )


def _limits(manifest: Manifest) -> Limits:
    values, number = manifest.parameters, manifest.number

    def listed(key: str) -> list[float] | list[int] | list[str]:
        value = values.get(key, [])
        if not isinstance(value, list):
            raise ConfigurationError(f"model {manifest.name}: parameters.{key} must be a list")
        return value

    known = {structure.key for structure in manifest.structures}
    for key in (*listed("white"), *listed("grey")):
        if key not in known:
            raise ConfigurationError(f"model {manifest.name}: parameters name the structure {key}, which is none")
    quantiles = tuple(float(value) for value in listed("quantiles"))
    if quantiles and (len(quantiles) != 2 or not 0 <= quantiles[0] < quantiles[1] <= 1):
        raise ConfigurationError(f"model {manifest.name}: parameters.quantiles must be two shares, the smaller first")
    return Limits(
        fewest_slices=int(number("fewest_slices")),
        longest_echo_ms=number("longest_echo_ms"),
        coarsest_mm=number("coarsest_mm"),
        smallest_ml=number("smallest_ml"),
        largest_ml=number("largest_ml"),
        bright=number("bright"),
        quantiles=quantiles,
        white=tuple(str(key) for key in listed("white")),
        grey=tuple(str(key) for key in listed("grey")),
        contrast=number("contrast"),
        lays_alike=bool(values.get("lays_alike", False)),
    )
