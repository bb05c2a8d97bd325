"""`mammo-lesion`: how likely a marked region of a mammogram is malignant. For research only: see its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.image import Image, Region, SpacingKind
from models.manifest import Manifest
from models.networks.weights import read_weights
from models.prediction import Located, Prediction, Rating
from models.runtimes.lesion_features import NAMES, describe
from node.store.errors import ConfigurationError, Refused

WEIGHTS: Final = "mammo-lesion.safetensors"
RADIUS_MM: Final = (2.0, 60.0)
"""Of regions that are rated; those of the training set have 0.6 to 39 mm, and below 2 mm a disc is a few pixels."""


class MammoLesion:
    """A logistic regression over what the region looks like.

    Parameters
    ----------
    manifest
        Of the model; its one finding is what is rated.
    weights
        ``mammo-lesion.safetensors``: mean, deviation and weight of each feature, and the offset.
    device
        Without effect.
    """

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        del device
        if WEIGHTS not in weights:
            raise ConfigurationError(f"model {manifest.name}: weights {WEIGHTS} are missing in model.toml")
        tensors = {name: tensor.double().numpy() for name, tensor in read_weights(weights[WEIGHTS]).items()}
        wanted = {"mean": (len(NAMES),), "deviation": (len(NAMES),), "weight": (len(NAMES),), "offset": (1,)}
        if {name: array.shape for name, array in tensors.items()} != wanted:
            raise ConfigurationError(
                f"model {manifest.name}: {WEIGHTS} does not hold {', '.join(wanted)} of {len(NAMES)} features"
            )
        self._tensors = tensors
        (self._key,) = (finding.key for finding in manifest.findings)

    def predict(self, image: Image) -> Prediction:
        """Rate the marked region.

        Raises
        ------
        Refused
            Where nothing is marked, what is marked lies outside the image, or the image is no mammogram with a pixel spacing.
        """
        region = image.region
        if region is None:
            raise Refused(
                "rates a region that a person marked, and none is: "
                "overread run mammo-lesion FILE --out DIR --region COLUMN,ROW,RADIUS",
                "no-region",
            )
        if image.header.modality != "MG" or image.array.ndim != 3 or image.array.shape[0] != 1:
            raise Refused("reads one grey mammogram", "not-mg")
        if image.spacing_mm is None or image.spacing_kind is SpacingKind.NONE:
            raise Refused("the mammogram states no pixel spacing: how large the region is cannot be known", "no-spacing")
        pixels, pixel_mm = np.asarray(image.array[0], dtype=np.float32), float(np.mean(image.spacing_mm[1:]))
        rows, columns = pixels.shape
        if not (0 <= region.row < rows and 0 <= region.column < columns):
            raise Refused(f"the region's middle lies outside the image of {rows} rows and {columns} columns", "region-outside")
        if not RADIUS_MM[0] <= region.radius * pixel_mm <= RADIUS_MM[1]:
            raise Refused(
                f"the region's radius is {region.radius * pixel_mm:.1f} mm; "
                f"{RADIUS_MM[0]:.0f} to {RADIUS_MM[1]:.0f} mm are rated",
                "odd-region",
            )
        if not float(pixels.max()) > float(pixels.min()):
            raise Refused("the image is of one grey: there is nothing to see", "one-grey")
        probability = self._rate(pixels, region, pixel_mm)
        varied = [
            self._rate(pixels, one, pixel_mm) for one in variants(region) if 0 <= one.row < rows and 0 <= one.column < columns
        ]
        note = f"rated was the region about column {region.column:g}, row {region.row:g}, radius {region.radius:g} pixels"
        located = (Located(self._key, probability, 0, region),)
        rating = Rating(self._key, probability, float(np.std([probability, *varied])))
        return Prediction(ratings=(rating,), notes=(note,), located=located)

    def _rate(self, pixels: NDArray[np.float32], region: Region, pixel_mm: float) -> float:
        place = self._tensors
        found = (describe(pixels, region, pixel_mm) - place["mean"]) / place["deviation"]
        return float(1 / (1 + np.exp(-(found @ place["weight"] + place["offset"][0]))))


def variants(region: Region) -> tuple[Region, ...]:
    """The region as others might have marked it: a tenth of its radius larger, smaller, or aside."""
    tenth = region.radius / 10
    return (
        *(replace(region, radius=region.radius + change) for change in (-tenth, tenth)),
        *(replace(region, column=region.column + change) for change in (-tenth, tenth)),
        *(replace(region, row=region.row + change) for change in (-tenth, tenth)),
    )
