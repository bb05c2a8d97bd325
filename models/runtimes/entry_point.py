"""A model in Python of one's own: a file beside ``model.toml``. Code, so it runs only where its SHA-256 was approved."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from models.image import Image
from models.manifest import Manifest
from models.prediction import Prediction
from models.runtime import Model, Runtime
from node.store.errors import ConfigurationError


class EntryPoint:
    """What a Python file makes of an image.

    Parameters
    ----------
    manifest
        Parameters: ``entry``, ``FILE.py:CALLABLE``; the file is one of the manifest's files of weights, so its SHA-256 is
        checked as theirs are. The callable is a `models.runtime.Runtime`: it takes manifest, weights and device and returns
        an object with ``predict``. Whatever the file imports besides must be installed.
    weights
        All files by name.
    device
        As torch spells it.

    Raises
    ------
    ConfigurationError
        Where the file or the callable is missing, or it cannot be imported.
    """

    executes_weights = True

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        file, _, name = str(manifest.parameters.get("entry", "")).partition(":")
        if file not in weights or not file.endswith(".py") or not name:
            raise ConfigurationError(
                f"model {manifest.name}: parameters.entry must be FILE.py:CALLABLE, the file one of [[weights]]"
            )
        module_name = f"overread_model_{manifest.fingerprint[:16]}"
        spec = importlib.util.spec_from_file_location(module_name, weights[file])
        if spec is None or spec.loader is None:
            raise ConfigurationError(f"model {manifest.name}: {file} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module  # dataclasses and pickling of the module's own look it up there
        try:
            spec.loader.exec_module(module)
            runtime = getattr(module, name)
        except (ImportError, AttributeError, SyntaxError) as broken:
            raise ConfigurationError(f"model {manifest.name}: {file}: {broken}") from broken
        self._model: Model = cast("Runtime", runtime)(manifest, weights, device)
        self._name = manifest.name

    def predict(self, image: Image) -> Prediction:
        """What the file's model says.

        Raises
        ------
        Refused
            Where it refuses.
        ConfigurationError
            Where it returns anything but a `Prediction`.
        """
        prediction: object = self._model.predict(image)
        if not isinstance(prediction, Prediction):
            raise ConfigurationError(f"model {self._name} returned {type(prediction).__name__}, not models.prediction.Prediction")
        return prediction
