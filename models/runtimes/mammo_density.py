"""`mammo-density`: breast composition from the histograms of the four standard mammograms (Wu et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.image import Image, SpacingKind
from models.manifest import Manifest
from models.networks.checkpoint import read_state
from models.prediction import Prediction, Rating
from node.store.errors import ConfigurationError, Refused
from node.store.mammography import STANDARD_VIEWS

WEIGHTS: Final = "model.p"
BINS: Final = 50
FIELD: Final = (2600, 2000)
"""Rows and columns of the authors' images."""
PIXEL_MM: Final = 0.07
"""Of their detectors; the field is 182 x 140 mm."""
SPACING_LIMITS_MM: Final = (0.03, 0.2)
"""Pixels of mammography detectors; what states others is no mammogram at full size."""
CROPPED: Final = "{view}: cut or filled up to the field of {rows} x {columns} pixels that the network was trained on"


class MammoDensity:
    """Almost entirely fat, scattered, heterogeneously dense, or extremely dense: one of four.

    Parameters
    ----------
    manifest
        Of the model; its findings are the network's classes, in their order.
    weights
        ``model.p``, the authors' checkpoint.
    device
        Without effect: two small matrices.
    """

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:  # noqa: ARG002 - as every runtime
        if WEIGHTS not in weights:
            raise ConfigurationError(f"model {manifest.name}: weights {WEIGHTS} are missing in model.toml")
        self._state = _checked(read_state(weights[WEIGHTS]), manifest)
        self._keys = tuple(finding.key for finding in manifest.findings)
        self._names = {finding.key: finding.name for finding in manifest.findings}

    def predict(self, image: Image) -> Prediction:
        """Rate the four classes.

        Raises
        ------
        Refused
            For what is not the four standard views, for presentation, in grey.
        """
        shares: list[list[NDArray[np.float64]]] = []
        notes = []
        for view, mammogram in _by_view(image).items():
            pixels, moved = field_of(mammogram, view)
            if moved:
                notes.append(CROPPED.format(view=view, rows=pixels.shape[0], columns=pixels.shape[1]))
            greys, counts = _greys(pixels)
            shares.append([_shares(one, counts) for one in (greys, *variants(greys))])
        each = np.stack([self.probabilities(np.concatenate(views)) for views in zip(*shares, strict=True)])
        ratings = tuple(
            Rating(key, float(value), float(spread)) for key, value, spread in zip(self._keys, each[0], each.std(0), strict=True)
        )
        likeliest = max(ratings, key=lambda rating: rating.probability)
        notes.insert(0, f"most likely: {self._names[likeliest.key]}, probability {likeliest.probability:.2f}")
        return Prediction(ratings=ratings, notes=tuple(notes))

    def probabilities(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the four classes, from the four histograms in the order of `STANDARD_VIEWS`."""
        state = self._state
        hidden = torch.relu(state["fc1.weight"] @ torch.from_numpy(shares) + state["fc1.bias"])
        return np.asarray(torch.softmax(state["fc2.weight"] @ hidden + state["fc2.bias"], 0).numpy())


def histogram(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Share of pixels in each of 50 equal bins from the darkest to the brightest.

    A grey value that lies on the edge of two bins counts half in each. In images of 8 bits four values do; the authors'
    arithmetic let rounding decide, which moves their published probabilities by up to 0.003.

    Raises
    ------
    Refused
        Where the image is of one grey.
    """
    return _shares(*_greys(pixels))


def _greys(pixels: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The greys of a mammogram, from the darkest on, and how many pixels have each."""
    greys, counts = np.unique(pixels, return_counts=True)
    if greys.size < 2:
        raise Refused("a mammogram of one grey: there is nothing to see", "one-grey")
    return greys.astype(np.float64), counts


def _shares(greys: NDArray[np.float64], pixels_of: NDArray[np.intp]) -> NDArray[np.float64]:
    place = (greys - greys[0]) * (BINS / (greys[-1] - greys[0]))
    counts = np.zeros(BINS)
    for nudge in (-1e-9, 1e-9):
        bins = np.clip(np.floor(place + nudge), 0, BINS - 1).astype(np.intp)
        counts += np.bincount(bins, weights=pixels_of, minlength=BINS)
    return np.asarray(counts / counts.sum())


def variants(greys: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """The greys a little darker and brighter in their middle (gamma 1.05, 0.95), and with their brightest hundredth cut off.

    Shifts and mirror images would say nothing: to a histogram they are the same mammogram.
    """
    darkest, reach = greys[0], greys[-1] - greys[0]
    for gamma in (1.05, 0.95):
        yield darkest + reach * ((greys - darkest) / reach) ** gamma
    yield np.minimum(greys, darkest + 0.99 * reach)


def field_of(image: Image, view: str) -> tuple[NDArray[np.float32], bool]:
    """The part of a mammogram that the authors' field shows, and whether that is another than the whole image.

    The chest wall stays at its edge of the field and the breast in the middle of it; what the detector did not cover is filled
    with the darkest grey. Pixels are not resampled: only their shares count.

    Raises
    ------
    Refused
        Where the size differs from the authors' and no pixel spacing is stated to compare it by.
    """
    pixels = np.asarray(image.array[0], dtype=np.float32)
    if pixels.shape == FIELD:
        return pixels, False
    spacing = image.spacing_mm
    if spacing is None or image.spacing_kind is SpacingKind.NONE:
        raise Refused(
            f"{view} has {pixels.shape[0]} x {pixels.shape[1]} pixels and states no spacing: its field cannot be compared "
            f"with the {FIELD[0]} x {FIELD[1]} pixels that the network knows",
            "no-spacing",
        )
    if not all(SPACING_LIMITS_MM[0] <= value <= SPACING_LIMITS_MM[1] for value in spacing[1:]):
        raise Refused(f"{view}: pixels of {spacing[1]:.3g} mm are not those of a mammogram", "odd-spacing")
    rows, columns = (round(length * PIXEL_MM / value) for length, value in zip(FIELD, spacing[1:], strict=True))
    if _chest_wall_right(pixels):
        pixels = pixels[:, ::-1]
    return _fitted(pixels, rows, columns), True


def _chest_wall_right(pixels: NDArray[np.float32]) -> bool:
    """Whether the breast hangs on the right edge of the image."""
    strip = max(1, pixels.shape[1] // 20)
    return float(pixels[:, -strip:].mean()) > float(pixels[:, :strip].mean())


def _fitted(pixels: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    darkest = pixels.min()
    lit = np.flatnonzero((pixels > darkest + 0.05 * (pixels.max() - darkest)).mean(axis=1) > 0.05)
    middle = (int(lit[0]) + int(lit[-1]) + 1) // 2 if lit.size else pixels.shape[0] // 2
    first = min(max(0, middle - rows // 2), max(0, pixels.shape[0] - rows))
    part = pixels[first : first + rows, :columns]
    fitted = np.full((rows, columns), darkest, dtype=np.float32)
    fitted[: part.shape[0], : part.shape[1]] = part
    return fitted


def _by_view(image: Image) -> dict[str, Image]:
    if not image.together:
        raise Refused("reads the four standard mammograms together, this is one image", "not-four-views")
    views = [one.header.standard_view for one in image.together]
    if sorted(views) != sorted(STANDARD_VIEWS):
        raise Refused(
            f"needs {', '.join(STANDARD_VIEWS)}; these are {', '.join(view or 'none' for view in views)}", "not-four-views"
        )
    for one in image.together:
        if one.header.presentation_intent == "FOR PROCESSING":
            raise Refused("reads mammograms for presentation, these are for processing", "for-processing")
        if one.array.ndim != 3 or one.array.shape[0] != 1 or not np.isfinite(one.array).all():
            raise Refused(f"{one.header.standard_view} is not one grey image", "not-grey")
    by_view = dict(zip(views, image.together, strict=True))
    return {view: by_view[view] for view in STANDARD_VIEWS}


def _checked(state: dict[str, Tensor], manifest: Manifest) -> dict[str, Tensor]:
    inputs, classes = BINS * len(STANDARD_VIEWS), len(manifest.findings)
    hidden = len(state.get("fc1.bias", ()))
    expected = {
        "fc1.weight": (hidden, inputs),
        "fc1.bias": (hidden,),
        "fc2.weight": (classes, hidden),
        "fc2.bias": (classes,),
    }
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if found != expected:
        raise ConfigurationError(f"model {manifest.name}: {WEIGHTS} does not hold the two layers of the histogram network")
    return {name: tensor.double() for name, tensor in state.items()}
