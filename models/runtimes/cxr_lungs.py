"""`cxr-lungs`: right and left lung field on frontal chest radiographs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from models.image import Image
from models.manifest import Manifest
from models.prediction import Prediction, Segmentation
from models.runtimes.frontal_chest import FrontalChest
from models.runtimes.lung_fields import Look, LungFinder
from models.runtimes.radiograph import take_film
from node.store.errors import ConfigurationError

UNSTATED_SIDES = "The film states no patient orientation: right and left are named as films are usually displayed."


class CxrLungs:
    """Outlines the lung at the patient's right and the one at the left.

    Parameters
    ----------
    manifest
        Structures ``lung_right`` and ``lung_left``; parameters ``looks``, names of `models.runtimes.lung_fields.Look`, and
        ``threshold``, the probability from which a place counts as lung.
    weights
        One safetensors file of the lung network.
    device
        As torch spells it.

    Raises
    ------
    ConfigurationError
        Where the manifest lacks a parameter or names a look that there is not.
    """

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        finder = LungFinder(weights[manifest.weights[0].file], device, looks_of(manifest))
        self._reader = FrontalChest(finder, manifest.number("threshold"))

    def predict(self, image: Image) -> Prediction:
        """Outline both lungs on the source grid.

        Raises
        ------
        Refused
            Where the image is no frontal chest radiograph, or is upside down, turned or inverted.
        """
        upright = take_film(image)
        chest = self._reader.read(upright.film)
        right, left = (upright.back(mask)[np.newaxis] for mask in chest.outlines())
        notes = list(chest.notes)
        if not upright.oriented:
            notes.append(UNSTATED_SIDES)
        return Prediction(segmentation=Segmentation({"lung_right": right, "lung_left": left}), notes=tuple(notes))


def looks_of(manifest: Manifest) -> tuple[Look, ...]:
    """In which looks a film is shown.

    Raises
    ------
    ConfigurationError
        Where the manifest's parameters do not say it, or name another.
    """
    names = manifest.parameters.get("looks")
    if not isinstance(names, list) or not names:
        raise ConfigurationError(f"{manifest.name}: parameters must hold the list looks")
    try:
        return tuple(Look(str(name)) for name in names)
    except ValueError as unknown:
        raise ConfigurationError(f"{manifest.name}: parameter looks: {unknown}; there are {', '.join(Look)}") from unknown
