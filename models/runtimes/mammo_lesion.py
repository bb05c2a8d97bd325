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
from models.prediction import HeatMap, Located, Prediction, Rating
from models.runtimes.heat_map import Contributions, Maps, heat
from models.runtimes.lesion_features import NAMES, Spot, enlarged, factor_of, reach, scaled
from node.store.errors import ConfigurationError, Refused

WEIGHTS: Final = "mammo-lesion.safetensors"
RADIUS_MM: Final = (2.0, 60.0)
"""Of regions that are rated; those of the training set have 0.6 to 39 mm, and below 2 mm a disc is a few pixels."""

CELLS: Final = 8
"""A side of the square about the region and its surroundings: places that are hidden, one after another, for the heat map."""
METHOD: Final = "occlusion"


class MammoLesion(Maps):
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
        """Rate the marked region, and map what in and around it speaks for a malignant lesion.

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
        factor = factor_of(pixel_mm)
        film = scaled(pixels, factor)
        spot = Spot(film, enlarged(region, factor))
        inside = [one for one in variants(region) if 0 <= one.row < rows and 0 <= one.column < columns]
        varied = [self._rate(Spot(film, enlarged(one, factor)).describe()) for one in inside]
        probability = self._rate(spot.describe())
        note = f"rated was the region about column {region.column:g}, row {region.row:g}, radius {region.radius:g} pixels"
        located = (Located(self._key, probability, 0, region),)
        rating = Rating(self._key, probability, float(np.std([probability, *varied])))
        heat_maps: tuple[HeatMap, ...] = ()
        if self._mapping:
            added = lay_out(self.explain(spot), region, factor, (rows, columns))
            heat_maps = (HeatMap(self._key, heat(added)[np.newaxis], METHOD),)
        return Prediction(ratings=(rating,), notes=(note,), located=located, heat_maps=heat_maps)

    def explain(self, spot: Spot) -> Contributions:
        """How much the log odds fall where a cell of region and surroundings is hidden (Zeiler and Fergus 2014, section 4.2).

        Returns
        -------
        ndarray
            `CELLS` x `CELLS`, over the square about the surroundings.
        """
        far = reach(float(spot.radius))
        numbers = [np.floor((part + far) / (2 * far) * CELLS).astype(int) for part in (spot.down, spot.right)]
        near, known = spot.distance <= far, self._log_odds(spot.describe())
        added = np.zeros((CELLS, CELLS), dtype=np.float32)
        for cell in np.ndindex(CELLS, CELLS):
            gone = (numbers[0] == cell[0]) & (numbers[1] == cell[1]) & near
            if gone.any():
                added[cell] = known - self._log_odds(spot.describe(spot.without(gone)))
        return added

    def _log_odds(self, features: NDArray[np.float64]) -> float:
        tensors = self._tensors
        return float((features - tensors["mean"]) / tensors["deviation"] @ tensors["weight"] + tensors["offset"][0])

    def _rate(self, features: NDArray[np.float64]) -> float:
        return float(1 / (1 + np.exp(-self._log_odds(features))))


def lay_out(cells: Contributions, region: Region, factor: float, shape: tuple[int, int]) -> Contributions:
    """What cells add on the grid of the image: bilinear within the region and its surroundings, 0 beyond.

    Parameters
    ----------
    cells
        As of `MammoLesion.explain`.
    region
        In pixels of the image.
    factor
        Side of a pixel, as a part of `models.runtimes.lesion_features.PIXEL_MM`.
    shape
        Rows and columns of the image.
    """
    far = reach(region.radius, factor)
    middles = region.row, region.column
    first = [max(0, int(np.ceil(middle - far))) for middle in middles]
    end = [min(side, int(middle + far) + 1) for side, middle in zip(shape, middles, strict=True)]
    down, right = (np.arange(start, stop) - middle for start, stop, middle in zip(first, end, middles, strict=True))
    # one direction after the other: all coordinates at once are half a gigabyte for a large region of a large mammogram
    part = _shares(down / far) @ cells @ _shares(right / far).T
    laid = np.zeros(shape, dtype=np.float32)
    laid[first[0] : end[0], first[1] : end[1]] = np.where(np.hypot(down[:, None], right) <= far, part, 0)
    return laid


def _shares(places: NDArray[np.floating]) -> NDArray[np.float32]:
    """``(n, CELLS)``: what the middle of each cell counts for, 0 to 1, at places from -1 to 1 along a side of the square."""
    at = np.clip((places + 1) / 2 * CELLS - 0.5, 0, CELLS - 1)
    shares: NDArray[np.float32] = np.clip(1 - np.abs(at[:, None] - np.arange(CELLS)), 0, None).astype(np.float32)
    return shares


def variants(region: Region) -> tuple[Region, ...]:
    """The region as others might have marked it: a tenth of its radius larger, smaller, or aside."""
    tenth = region.radius / 10
    return (
        *(replace(region, radius=region.radius + change) for change in (-tenth, tenth)),
        *(replace(region, column=region.column + change) for change in (-tenth, tenth)),
        *(replace(region, row=region.row + change) for change in (-tenth, tenth)),
    )
