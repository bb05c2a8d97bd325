"""`mammo-density`: breast composition from the histograms of the four standard mammograms (Wu et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.image import Image, SpacingKind
from models.manifest import Manifest
from models.networks.checkpoint import read_state
from models.prediction import HeatMap, Prediction, Rating
from models.runtimes.heat_map import Maps, heat, log_odds
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
STEPS: Final = 64
"""Of the heat map's way from dark images; what its places add up to is then within 1 % of what they should."""
METHOD: Final = "integrated gradients"
CROPPED: Final = "{view}: cut or filled up to the field of {rows} x {columns} pixels that the network was trained on"


class MammoDensity(Maps):
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
        """Rate the four classes, and map on each mammogram what speaks for the likeliest.

        Raises
        ------
        Refused
            For what is not the four standard views, for presentation, in grey.
        """
        shares: list[list[NDArray[np.float64]]] = []
        notes = []
        views = _by_view(image)
        for view, mammogram in views.items():
            field = field_of(mammogram, view)
            if field.moved:
                notes.append(CROPPED.format(view=view, rows=field.pixels.shape[0], columns=field.pixels.shape[1]))
            greys, counts = _greys(field.pixels)
            shares.append([_shares(one, counts) for one in (greys, *variants(greys))])
        each = np.stack([self.probabilities(np.concatenate(views)) for views in zip(*shares, strict=True)])
        ratings = tuple(
            Rating(key, float(value), float(spread)) for key, value, spread in zip(self._keys, each[0], each.std(0), strict=True)
        )
        likeliest = max(ratings, key=lambda rating: rating.probability)
        notes.insert(0, f"most likely: {self._names[likeliest.key]}, probability {likeliest.probability:.2f}")
        heat_maps: tuple[HeatMap, ...] = ()
        if self._mapping:
            added = self.explain(np.concatenate([every[0] for every in shares]), self._keys.index(likeliest.key))
            heat_maps = tuple(_heat_maps(image, views, added, likeliest.key))
        return Prediction(ratings=ratings, notes=tuple(notes), heat_maps=heat_maps)

    def probabilities(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the four classes, from the four histograms in the order of `STANDARD_VIEWS`."""
        return np.asarray(torch.softmax(self._logits(torch.from_numpy(shares)[None]), 1)[0].numpy())

    def explain(self, shares: NDArray[np.float64], number: int) -> NDArray[np.float64]:
        """What pixels of each bin add to the log odds of a class, compared with as many pixels of the darkest bin.

        Integrated gradients (Sundararajan 2017) on the way from four dark images, in which there is nothing to be seen, to
        these: a pixel that is taken away is one of the background.

        Parameters
        ----------
        shares
            As of `probabilities`.
        number
            Of the class.

        Returns
        -------
        ndarray
            ``(view, bin)``, for an image all of whose pixels lie in the bin; times `shares` it adds up to the log odds less those
            of dark images.
        """
        seen, dark = torch.from_numpy(shares), torch.zeros(shares.shape, dtype=torch.float64)
        dark[::BINS] = 1
        with torch.inference_mode(False), torch.enable_grad():
            parts = (torch.arange(STEPS, dtype=torch.float64) + 0.5) / STEPS
            way = (dark + parts[:, None] * (seen - dark)).requires_grad_()
            (slopes,) = torch.autograd.grad(log_odds(self._logits(way), number).sum(), way)
        slope = slopes.mean(0).view(-1, BINS)
        return np.asarray((slope - slope[:, :1]).numpy())

    def _logits(self, shares: Tensor) -> Tensor:
        """``(n, class)`` of ``(n, view x bin)``."""
        state = self._state
        hidden = torch.relu(shares @ state["fc1.weight"].T + state["fc1.bias"])
        return hidden @ state["fc2.weight"].T + state["fc2.bias"]


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
    counts = np.zeros(BINS)
    for bins in _bins(greys, greys[0], greys[-1]):
        counts += np.bincount(bins, weights=pixels_of, minlength=BINS)
    return np.asarray(counts / counts.sum())


def _bins(greys: NDArray[np.float64], darkest: float, brightest: float) -> Iterator[NDArray[np.intp]]:
    """The bins of greys, once with those on an edge of two bins in the lower and once in the upper one."""
    place = (greys - darkest) * (BINS / (brightest - darkest))
    for nudge in (-1e-9, 1e-9):
        yield np.clip(np.floor(place + nudge), 0, BINS - 1).astype(np.intp)


def _heat_maps(image: Image, views: Mapping[str, Image], added: NDArray[np.float64], key: str) -> Iterator[HeatMap]:
    """One map on each mammogram, in the order of `Image.together`, of what its pixels' bins add; all on one scale."""
    fields = {view: field_of(mammogram, view) for view, mammogram in views.items()}
    painted = {view: field.back(_painted(field.pixels, row)) for (view, field), row in zip(fields.items(), added, strict=True)}
    most = max(float(one.max()) for one in painted.values())
    for number, mammogram in enumerate(image.together):
        contributions = painted.pop(mammogram.header.standard_view)
        yield HeatMap(key, heat(contributions, most)[np.newaxis], METHOD, number)


def _painted(pixels: NDArray[np.float32], added: NDArray[np.float64]) -> NDArray[np.float32]:
    """What the bin of each pixel adds; row by row, for a mammogram in double precision takes a hundred megabytes."""
    darkest, brightest = float(pixels.min()), float(pixels.max())
    rows = (np.mean([added[bins] for bins in _bins(row.astype(np.float64), darkest, brightest)], axis=0) for row in pixels)
    return np.stack([row.astype(np.float32) for row in rows])


def variants(greys: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """The greys a little darker and brighter in their middle (gamma 1.05, 0.95), and with their brightest hundredth cut off.

    Shifts and mirror images would say nothing: to a histogram they are the same mammogram.
    """
    darkest, reach = greys[0], greys[-1] - greys[0]
    for gamma in (1.05, 0.95):
        yield darkest + reach * ((greys - darkest) / reach) ** gamma
    yield np.minimum(greys, darkest + 0.99 * reach)


@dataclass(frozen=True, slots=True)
class Field:
    """The part of a mammogram that the authors' field shows.

    Parameters
    ----------
    pixels
        ``(row, column)``; where the mammogram is another than the authors' its chest wall is on the left.
    moved
        Whether they are other pixels than those of the whole mammogram.
    shape
        Rows and columns of the mammogram.
    first
        Its first row that is shown.
    mirrored
        Whether its chest wall is on the right.
    """

    pixels: NDArray[np.float32]
    moved: bool
    shape: tuple[int, int]
    first: int = 0
    mirrored: bool = False

    def back(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values of the field's pixels on the grid of the mammogram; 0 where the field does not reach."""
        part = values[: self.shape[0] - self.first, : self.shape[1]]
        laid = np.zeros(self.shape, dtype=np.float32)
        laid[self.first : self.first + part.shape[0], : part.shape[1]] = part
        return laid[:, ::-1] if self.mirrored else laid


def field_of(image: Image, view: str) -> Field:
    """The part of a mammogram that the authors' field shows.

    The chest wall stays at its edge of the field and the breast in the middle of it; what the detector did not cover is filled
    with the darkest grey. Pixels are not resampled: only their shares count.

    Raises
    ------
    Refused
        Where the size differs from the authors' and no pixel spacing is stated to compare it by.
    """
    pixels = np.asarray(image.array[0], dtype=np.float32)
    shape = pixels.shape[0], pixels.shape[1]
    if shape == FIELD:
        return Field(pixels, False, shape)
    spacing = image.spacing_mm
    if spacing is None or image.spacing_kind is SpacingKind.NONE:
        raise Refused(
            f"{view} has {shape[0]} x {shape[1]} pixels and states no spacing: its field cannot be compared "
            f"with the {FIELD[0]} x {FIELD[1]} pixels that the network knows",
            "no-spacing",
        )
    if not all(SPACING_LIMITS_MM[0] <= value <= SPACING_LIMITS_MM[1] for value in spacing[1:]):
        raise Refused(f"{view}: pixels of {spacing[1]:.3g} mm are not those of a mammogram", "odd-spacing")
    rows, columns = (round(length * PIXEL_MM / value) for length, value in zip(FIELD, spacing[1:], strict=True))
    mirrored = _chest_wall_right(pixels)
    if mirrored:
        pixels = pixels[:, ::-1]
    first = _first_row(pixels, rows)
    return Field(_fitted(pixels, first, rows, columns), True, shape, first, mirrored)


def _chest_wall_right(pixels: NDArray[np.float32]) -> bool:
    """Whether the breast hangs on the right edge of the image."""
    strip = max(1, pixels.shape[1] // 20)
    return float(pixels[:, -strip:].mean()) > float(pixels[:, :strip].mean())


def _first_row(pixels: NDArray[np.float32], rows: int) -> int:
    """Of so many rows, with the breast in their middle."""
    darkest = pixels.min()
    lit = np.flatnonzero((pixels > darkest + 0.05 * (pixels.max() - darkest)).mean(axis=1) > 0.05)
    middle = (int(lit[0]) + int(lit[-1]) + 1) // 2 if lit.size else pixels.shape[0] // 2
    return min(max(0, middle - rows // 2), max(0, int(pixels.shape[0]) - rows))


def _fitted(pixels: NDArray[np.float32], first: int, rows: int, columns: int) -> NDArray[np.float32]:
    part = pixels[first : first + rows, :columns]
    fitted = np.full((rows, columns), pixels.min(), dtype=np.float32)
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
