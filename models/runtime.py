"""How a manifest becomes something that answers: the port every model implements, and the loader."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from models.approval import check_approved
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


@runtime_checkable
class RatesOnly(Protocol):
    """A model that can leave its heat maps out where nobody looks at them, for they take most of its time."""

    def rating_only(self) -> Model:
        """The same model, without heat maps."""
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


@dataclass(frozen=True, slots=True)
class FoundRuntime:
    """A runtime of ours.

    Parameters
    ----------
    build
        The runtime itself.
    executes_weights
        Whether files of the model are code that runs (its attribute of that name): TorchScript, Python.
    """

    build: Runtime
    executes_weights: bool


def find_runtime(manifest: Manifest) -> FoundRuntime:
    """Import the manifest's runtime; no file of the model is touched.

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
    return FoundRuntime(cast("Runtime", runtime), bool(getattr(runtime, "executes_weights", False)))


def load_model(
    manifest: Manifest, weights: Mapping[str, Path], device: str = "cpu", approvals: Mapping[str, str] | None = None
) -> Model:
    """Import the manifest's runtime and build the model.

    Parameters
    ----------
    approvals
        Fingerprints that the administrator approved, by model (`models.approval.read_approvals`); needed where files of a model
        that does not come with Overread are code.

    Raises
    ------
    ConfigurationError
        Where ``runtime`` names nothing inside `models.runtimes`, or the model's code is not approved; nothing was run then.
    """
    runtime = find_runtime(manifest)
    if runtime.executes_weights:
        check_approved(manifest, approvals or {})
    return runtime.build(manifest, weights, device)


def answer(model: Model, manifest: Manifest, image: Image) -> Prediction:
    """What a model says of an image, each rating with the calibration that the manifest states for its finding.

    A calibration that the model gives itself stays: it may know more of this image.

    Raises
    ------
    Refused
        As `Model.predict`.
    """
    prediction = model.predict(image)
    stated = {finding.key: finding.calibration for finding in manifest.findings}
    ratings = (replace(one, calibration=one.calibration or stated.get(one.key)) for one in prediction.ratings)
    return replace(prediction, ratings=tuple(ratings))
