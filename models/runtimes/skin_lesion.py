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
from models.runtimes.heat_map import Maps, Place, heat, integrate, lay_out, log_odds, smooth
from models.runtimes.lesion_views import Colours, blurred, centre, square, turned
from node.store.errors import Refused

LEAST_SIDE: Final = 100
"""Pixels of the shorter side below which nothing of a lesion can be seen."""

LEAST_COLOUR: Final = 6.0
"""Difference, of 255, between largest and smallest colour that half of the pixels reach: less is grey stored in colour, or a
screen. Of lesions that were learned from the least has 11."""

STEPS: Final = 8
"""Of the heat map's way from the blurred picture. With `WIDTH` chosen by `models.training.deletion` on lesions of train: with
four steps, or twice the width, the map marks hardly better than edges do."""

WIDTH: Final = 1 / 32
"""Of the heat map's blur, as a part of the square's side."""

FAMILIES: Final = ("squeezenet", "efficientnet-lite0")
"""Of the networks in each file of weights, in the manifest's order. Both families count alike, however many networks each has."""


class SkinLesion(Maps):
    """Rates all kinds from the central square of the picture: the mean over two families of networks, of the mean over turns and
    mirrors and the networks of each.

    Parameters
    ----------
    manifest
        Findings in the order of the networks' outputs; a file of weights for each of `FAMILIES`; parameters ``temperature``,
        ``strange`` and, named as the families, the number of networks in each file.
    weights
        The files.
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
        self._families: list[list[LesionNet]] = []
        for family, file in zip(FAMILIES, manifest.weights, strict=True):
            networks = [LesionNet(len(self._keys), family) for _ in range(int(manifest.number(family)))]
            together = nn.ModuleList(networks)
            load_weights(together, weights[file.file])
            together.eval().to(device)
            self._families.append(networks)
        self._device = device

    def predict(self, image: Image) -> Prediction:
        """Rate the picture.

        Raises
        ------
        Refused
            Where this is not one colour picture, or is unlike those that were learned from.
        """
        colours = take_picture(image)
        with torch.inference_mode():
            seen = [self._see(networks, colours) for networks in self._families]
            strange = _evenly([[network.strangeness(pooled).mean() for network, pooled in family] for family in seen])
            if float(strange) > self._strange:
                raise Refused(
                    "unlike the dermoscopic pictures that this model learned from: "
                    f"{float(strange):.2f} times as far from them as usual, {self._strange:.2f} at most",
                    "out-of-distribution",
                )
            logits = [[network.head(pooled) for network, pooled in family] for family in seen]
        each = torch.softmax(torch.cat([torch.cat(family) for family in logits]) / self._temperature, -1).cpu().double().numpy()
        together = _evenly([[one.mean(0) for one in family] for family in logits])
        mean = torch.softmax(together / self._temperature, -1).cpu().double().numpy()
        ratings = tuple(
            Rating(key, float(value), float(spread)) for key, value, spread in zip(self._keys, mean, each.std(0), strict=True)
        )
        heat_maps = (self._heat_map(int(mean.argmax()), colours),) if self._mapping else ()
        return Prediction(ratings=ratings, heat_maps=heat_maps)

    def _see(self, networks: list[LesionNet], colours: Colours) -> list[tuple[LesionNet, Tensor]]:
        """The networks of one family, each with its pooled features in each of the turns."""
        squares = turned(square(colours, networks[0].family.side)).to(self._device)
        return [(network, network.pool(network.see(squares))) for network in networks]

    def _heat_map(self, kind: int, colours: Colours) -> HeatMap:
        """What each place adds to the log odds of the likeliest kind, from a wide blur on, in which no lesion can be told."""
        top, left, side = centre(colours)
        laid = []
        for networks in self._families:
            shown = square(colours, networks[0].family.side).to(self._device)
            nothing = blurred(shown)
            added = [self._explain(one, kind, shown, nothing) for one in networks]
            places = torch.from_numpy(smooth(torch.stack(added).mean(0).cpu().numpy(), WIDTH))
            place = Place(Letterbox(side, side, networks[0].family.side), top, left)
            laid.append(lay_out(places, place, colours.shape[:2]))
        return HeatMap(self._keys[kind], heat(np.mean(laid, axis=0))[np.newaxis], "integrated gradients")

    def _explain(self, network: LesionNet, kind: int, shown: Tensor, nothing: Tensor) -> Tensor:
        """What each pixel of the square adds to the log odds of a kind against all others, for one network."""
        return integrate(shown, nothing, lambda way: log_odds(network(way) / self._temperature, kind), STEPS)


def _evenly(families: list[list[Tensor]]) -> Tensor:
    """The mean over families of the mean over the networks of each."""
    return torch.stack([torch.stack(family).mean(0) for family in families]).mean(0)


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
