"""`skin-7`: which of seven kinds a lesion on a dermoscopic picture most likely is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.image import Image
from models.manifest import Manifest
from models.networks.lesion_net import LesionNet
from models.networks.weights import load_weights
from models.prediction import HeatMap, Prediction, Rating
from models.runtimes.film import Letterbox
from models.runtimes.heat_map import Place, attribute, heat, lay_out
from models.runtimes.lesion_views import SIDE, Colours, centre, square, turned
from node.store.errors import Refused

LEAST_SIDE: Final = 100
"""Pixels of the shorter side below which nothing of a lesion can be seen."""

LEAST_COLOUR: Final = 6.0
"""Difference, of 255, between largest and smallest colour that half of the pixels reach: less is grey stored in colour, or a
screen. Of lesions that were learned from the least has 11."""


class SkinLesion:
    """Rates all kinds from the central square of the picture, the mean over networks, turns and mirrors.

    Parameters
    ----------
    manifest
        Findings in the order of the networks' outputs; parameters ``networks``, ``temperature`` and ``strange``.
    weights
        One file with all networks.
    device
        As torch spells it.

    Raises
    ------
    ConfigurationError
        Where the manifest lacks a parameter, or the weights do not fit.
    """

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        self._keys = tuple(finding.key for finding in manifest.findings)
        self._temperature, self._strange = (manifest.number(name) for name in ("temperature", "strange"))
        self._networks = [LesionNet(len(self._keys)) for _ in range(int(manifest.number("networks")))]
        together = nn.ModuleList(self._networks)
        load_weights(together, weights[manifest.weights[0].file])
        together.eval().to(device)
        self._device = device

    def predict(self, image: Image) -> Prediction:
        """Rate the picture.

        Raises
        ------
        Refused
            Where this is not one colour picture, or is unlike those that were learned from.
        """
        colours = take_picture(image)
        squares = turned(square(colours)).to(self._device)
        with torch.inference_mode():
            seen = [network.see(squares) for network in self._networks]
            pooled = [network.pool(features) for network, features in zip(self._networks, seen, strict=True)]
            strange = torch.stack([net.strangeness(one).mean() for net, one in zip(self._networks, pooled, strict=True)]).mean()
            if float(strange) > self._strange:
                raise Refused(
                    "unlike the dermoscopic pictures that this model learned from: "
                    f"{float(strange):.2f} times as far from them as usual, {self._strange:.2f} at most",
                    "out-of-distribution",
                )
            logits = torch.stack([network.head(one) for network, one in zip(self._networks, pooled, strict=True)])
        each = torch.softmax(logits / self._temperature, -1).flatten(0, 1).cpu().double().numpy()
        mean = torch.softmax(logits.mean((0, 1)) / self._temperature, -1).cpu().double().numpy()
        ratings = tuple(
            Rating(key, float(value), float(spread)) for key, value, spread in zip(self._keys, mean, each.std(0), strict=True)
        )
        return Prediction(ratings=ratings, heat_maps=(self._heat_map(int(mean.argmax()), seen, colours),))

    def _heat_map(self, kind: int, seen: list[Tensor], colours: Colours) -> HeatMap:
        """What speaks for the likeliest kind, from the picture as it is (the first of the turns)."""
        places = torch.stack(
            [
                attribute(features[:1], lambda one, network=network: network.head(network.pool(one))[:, kind])[0]  # type: ignore[misc]
                for network, features in zip(self._networks, seen, strict=True)
            ]
        ).mean(0)
        top, left, side = centre(colours)
        laid = lay_out(places, Place(Letterbox(side, side, SIDE), top, left), colours.shape[:2])
        return HeatMap(self._keys[kind], heat(laid)[np.newaxis], "HiResCAM")


def take_picture(image: Image) -> Colours:
    """The one colour picture of an image.

    Raises
    ------
    Refused
        ``not-colour``, ``not-one-image`` or ``too-small``.
    """
    if image.array.ndim != 4:
        raise Refused("reads dermoscopic pictures in colour, this is a grey image", "not-colour")
    if len(image.array) != 1:
        raise Refused(f"reads single pictures, this has {len(image.array)} frames", "not-one-image")
    colours: NDArray[np.uint8] = image.array[0].astype(np.uint8)
    rows, columns = colours.shape[:2]
    if min(rows, columns) < LEAST_SIDE:
        raise Refused(f"a picture of {columns} x {rows} pixels is too small to see a lesion on", "too-small")
    difference = float(np.median(colours.max(-1).astype(np.int16) - colours.min(-1)))
    if difference < LEAST_COLOUR:
        raise Refused("most of it is grey: no picture of skin", "not-colour")
    return colours
