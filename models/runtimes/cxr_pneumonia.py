"""`cxr-pneumonia`: a calibrated probability of pneumonia on frontal chest radiographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.image import Image
from models.manifest import Manifest
from models.networks.squeezenet import FilmClassifier
from models.networks.weights import load_weights
from models.prediction import Prediction, Rating
from models.runtimes.chest_views import SHOWN, Shown, combine, show, square
from models.runtimes.film import Grey, reduce
from models.runtimes.frontal_chest import Chest, FrontalChest
from models.runtimes.lung_fields import LungFinder, Mask
from models.runtimes.radiograph import take_film
from node.store.errors import ConfigurationError

FINDING: Final = "pneumonia"

LEARNED_SIDE: Final = 320
"""Longer side, in pixels, of the films that were learned from: larger ones are reduced to it, so that detail looks the same."""


class CxrPneumonia:
    """Rates pneumonia from the whole film, the part around the lungs and the lungs alone, each as it is and mirrored.

    Parameters
    ----------
    manifest
        Finding ``pneumonia``; parameters ``slope`` and ``offset`` of the calibration.
    weights
        The classifier's file first, the lung network's second.
    device
        As torch spells it.
    part
        Show the classifier only this part of the film, to learn what its answer rests on; None in the hospital.

    Raises
    ------
    ConfigurationError
        Where the manifest lacks the calibration or names other files.
    """

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str, part: Shown | None = None) -> None:
        if len(manifest.weights) != 2:
            raise ConfigurationError(f"{manifest.name}: needs two files of weights, the classifier's and the lung network's")
        classifier, lungs = (weights[one.file] for one in manifest.weights)
        self._slope, self._offset = (_number(manifest, name) for name in ("slope", "offset"))
        self._chest = FrontalChest(LungFinder(lungs, device))
        self._network = FilmClassifier(len(SHOWN))
        load_weights(self._network, classifier)
        self._network.eval().to(device)
        self._device = device
        self._shown = SHOWN if part is None else (part,)

    def showing(self, part: Shown) -> CxrPneumonia:
        """The same model that is shown one part of the film only."""
        twin = object.__new__(CxrPneumonia)
        twin.__dict__.update(self.__dict__, _shown=(part,))
        return twin

    def predict(self, image: Image) -> Prediction:
        """Rate pneumonia.

        Raises
        ------
        Refused
            Where the image is no frontal chest radiograph, or is upside down, turned or inverted.
        """
        chest = self._chest.read(reduce(take_film(image).film, LEARNED_SIDE))
        logits = self._logits(chest.film, _both(chest))
        probabilities = 1 / (1 + np.exp(-(self._slope * logits + self._offset)))
        probability = 1 / (1 + np.exp(-(self._slope * logits.mean() + self._offset)))
        rating = Rating(FINDING, float(probability), float(probabilities.std()))
        return Prediction(ratings=(rating,), notes=chest.notes)

    def _logits(self, film: Grey, lungs: Mask) -> NDArray[np.float64]:
        """Logits of the film and of its mirror image, each combined from its views."""
        # A part that has no head of its own is rated as a whole film is.
        heads = torch.tensor([SHOWN.index(one) if one in SHOWN else 0 for one in self._shown], device=self._device)
        with torch.inference_mode():
            rated = self._network.rate(see(self._network, film, lungs, self._shown), heads)
        logits: NDArray[np.float64] = rated.cpu().double().numpy()
        return combine(logits) if self._shown == SHOWN else logits.mean(axis=1)


def see(network: FilmClassifier, film: Grey, lungs: Mask, shown: Sequence[Shown]) -> torch.Tensor:
    """``(2, view, 1024)`` pooled features of a film and its mirror image in each way of showing it.

    Parameters
    ----------
    film
        ``(row, column)``, upright, its longer side at most `LEARNED_SIDE`.
    lungs
        Both lung fields on the same grid.
    """
    device = next(network.parameters()).device
    views = []
    for one in shown:
        film_square = square(show(film, lungs, one), one).to(device)
        views.append(network.pool(torch.cat([film_square, film_square.flip(3)])))
    return torch.stack(views, dim=1)


def _both(chest: Chest) -> Mask:
    left, right = chest.outlines()
    both: Mask = left | right
    return both


def _number(manifest: Manifest, name: str) -> float:
    value = manifest.parameters.get(name)
    if not isinstance(value, int | float):
        raise ConfigurationError(f"{manifest.name}: parameters must hold the number {name}")
    return float(value)
