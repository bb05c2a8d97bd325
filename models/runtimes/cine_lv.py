"""`cine-lv`: cavity and myocardium of the left ventricle on every image of a short-axis cine, and what changes over the cycle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.image import Image
from models.manifest import Manifest
from models.networks.weights import load_weights
from models.prediction import Prediction, Segmentation
from models.runtimes.cycle_doubts import doubts, out_of_line
from models.runtimes.cycle_volumes import measure_cycle
from models.runtimes.film import window
from models.runtimes.short_axis import Answer, VentricleFinder, largest, make_networks
from models.runtimes.ventricle_shape import judge
from node.store.errors import ConfigurationError, Refused

CAVITY: Final = "lv_cavity"
MYOCARDIUM: Final = "lv_myocardium"

LONG_AXIS: Final = (0.66, -0.50, -0.56)
"""From the base of a usual heart to its apex, LPS: to the left, to the front, down."""

ACROSS: Final = 0.70
"""Least cosine between the images' normal and `LONG_AXIS`: a heart may lie 45 degrees off the usual one. Planes along the axis
(two, three and four chambers) are at 0 to 0.5, transverse ones at 0.56, coronal ones at 0.5, sagittal ones at 0.66."""

Mask = NDArray[np.bool_]


class CineLv:
    """Outlines the ventricle image by image, each seen where it lies over the whole cycle.

    Parameters
    ----------
    manifest
        Structures ``lv_cavity`` and ``lv_myocardium``; parameter ``networks``.
    weights
        One file with all networks.
    device
        As torch spells it.

    Raises
    ------
    ConfigurationError
        Where the manifest names other structures, or the weights do not fit.
    """

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        if {one.key for one in manifest.structures} != {CAVITY, MYOCARDIUM}:
            raise ConfigurationError(f"{manifest.name}: structures must be {CAVITY} and {MYOCARDIUM}")
        count = manifest.parameters.get("networks")
        if not isinstance(count, int) or count < 1:
            raise ConfigurationError(f"{manifest.name}: parameters must hold the number networks")
        networks = make_networks(count)
        load_weights(networks, weights[manifest.weights[0].file])
        self._finder = VentricleFinder(networks, device)

    def predict(self, image: Image) -> Prediction:
        """Outline, and measure the cycle where there is one.

        Raises
        ------
        Refused
            Where these are no MR images, or not across the heart's long axis, or show no left ventricle as such images do.
        """
        check_view(image)
        answers = self._answers(image)
        shape = image.array.shape[1], image.array.shape[2]
        outlines = [borders(answer, shape) for answer in answers]
        seen = [one for one in (judge(answer, *both) for answer, both in zip(answers, outlines, strict=True)) if one]
        shown = sum(one.usual for one in seen)
        # beyond base and apex there is no ventricle, so not every image has to show one
        if shown < max(1, len(answers) // 4):
            worst = min(seen, key=lambda one: one.usual).fault if seen else "none was found"
            raise Refused(
                f"no left ventricle as on short-axis images: {worst} ({shown} of {len(answers)} images look right)",
                "no-ventricle",
            )
        cavity = np.stack([inner for inner, _ in outlines])
        wall = np.stack([outer & ~inner for inner, outer in outlines])
        measurements, notes, cycle = measure_cycle(cavity, image, CAVITY)
        notes += doubts(out_of_line(cavity, image), cycle)
        masks = {CAVITY: cavity, MYOCARDIUM: wall}
        absent = tuple(key for key, mask in masks.items() if not mask.any())
        found = {key: mask for key, mask in masks.items() if key not in absent}
        return Prediction(Segmentation(found, absent), notes=notes, measurements=measurements, cycle=cycle)

    def _answers(self, image: Image) -> list[Answer | None]:
        """An answer for each image; all phases of a slice are looked at in the same place."""
        spacing = None if image.spacing_mm is None else (image.spacing_mm[1], image.spacing_mm[2])
        answers: list[Answer | None] = []
        for first in range(0, len(image.array), image.phases):
            phases = [window(one.astype(np.float32)) for one in image.array[first : first + image.phases]]
            answers += self._finder.outline(torch.from_numpy(np.stack(phases))[:, None], spacing)
        return answers


def check_view(image: Image) -> None:
    """Make sure that these are grey MR images that lie, as far as they say, across the heart's long axis.

    Raises
    ------
    Refused
        ``not-grey``, ``not-mr`` or ``not-short-axis``.
    """
    if image.array.ndim != 3:
        raise Refused("reads grey MR images, these are in colour", "not-grey")
    if image.header.modality not in {"MR", ""}:
        raise Refused(f"reads cine MR of the heart, this is {image.header.modality}", "not-mr")
    if image.affine is None:
        return
    normal = np.cross(image.affine[:3, 2], image.affine[:3, 1])
    axis = np.asarray(LONG_AXIS) / np.linalg.norm(LONG_AXIS)
    cosine = abs(float(normal @ axis / np.linalg.norm(normal)))
    if cosine < ACROSS:
        degrees = np.degrees(np.arccos(cosine))
        raise Refused(
            f"not a short-axis view: the images lie {degrees:.0f} degrees off the plane across a usual heart's long axis; "
            "long-axis and transverse views are not read",
            "not-short-axis",
        )


def borders(answer: Answer | None, shape: tuple[int, int], threshold: float = 0.5) -> tuple[Mask, Mask]:
    """The cavity, and all within the myocardium's outer border: one component each, without holes, the first in the second."""
    if answer is None:
        return np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    inner, outer = (largest(one > threshold) for one in answer.probabilities)
    return inner, largest(inner | outer) if (inner & outer).any() else inner.copy()
