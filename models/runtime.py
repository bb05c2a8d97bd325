"""How a manifest becomes something that answers: the port every model implements, and the loader."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

from models.image import Image
from models.manifest import Manifest
from models.prediction import Prediction
from node.store.errors import ConfigurationError


class Model(Protocol):
    """A model that is loaded and ready; one instance serves many images, one after another."""

    def predict(self, image: Image) -> Prediction:
        """Answer for one image.

        Raises
        ------
        Refused
            Where this image is not one that the model was made for; the reason says why.
        """
        ...


class Runtime(Protocol):
    """What ``runtime`` in a manifest names: builds a model from its manifest and its weights."""

    def __call__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> Model:
        """Load the model.

        Parameters
        ----------
        manifest
            The model's manifest.
        weights
            By `models.manifest.Weights.file`: paths of files whose SHA-256 has been checked.
        device
            ``cpu`` or ``cuda``, as torch spells it.
        """
        ...


def load_model(manifest: Manifest, weights: Mapping[str, Path], device: str = "cpu") -> Model:
    """Import the manifest's runtime and build the model.

    Raises
    ------
    ConfigurationError
        Where ``runtime`` names nothing inside `models.runtimes`.
    """
    module_name, _, attribute = manifest.runtime.partition(":")
    if not module_name.startswith("models.runtimes.") or not attribute:
        raise ConfigurationError(f"model {manifest.name}: runtime {manifest.runtime!r} is not models.runtimes.MODULE:CLASS")
    try:
        runtime = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as missing:
        raise ConfigurationError(f"model {manifest.name}: runtime {manifest.runtime!r} cannot be loaded: {missing}") from missing
    return cast("Runtime", runtime)(manifest, weights, device)
