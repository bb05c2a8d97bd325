"""Any network of `models.networks.architectures` with safetensors, as `overread train --arch` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from models.image import Image
from models.manifest import Manifest
from models.networks.architectures import Answers, find_architecture
from models.networks.weights import load_weights
from models.prediction import LabelMap, Prediction, Rating
from models.runtimes.preparation import Preparation
from node.store.errors import ConfigurationError

KNOWN: Final = frozenset(
    {"arch", "width", "size", "channels", "scale", "window", "mean", "deviation", "frames", "classes", "slope", "offsets"}
)
"""Parameters of a ``model.toml`` that this runtime reads; others are faults, for a misspelt one would change answers unseen."""


class NetworkModel:
    """One network, one image at a time.

    Parameters
    ----------
    manifest
        Parameters: ``arch``, ``width`` where the family has one, those of `Preparation`, and for findings ``classes`` (what each
        output stands for; a class without a finding is what is normal), ``slope`` and ``offsets`` of the calibration:
        probabilities are the softmax of ``slope x logits + offsets``. The outputs of a network that outlines are the background
        and then the structures in their order.
    weights
        One safetensors file.
    device
        As torch spells it.

    Raises
    ------
    ConfigurationError
        Where parameters and weights do not make a network.
    """

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        given = manifest.parameters
        odd = sorted(given.keys() - KNOWN)
        if odd:
            raise ConfigurationError(f"model {manifest.name}: no parameter {odd[0]}; there are {', '.join(sorted(KNOWN))}")
        architecture = find_architecture(str(given.get("arch", "")))
        self._preparation = Preparation.from_parameters(architecture.reads, given)
        check_grid(architecture.multiple, architecture.smallest, self._preparation.size)
        self._finds = architecture.answers is Answers.FINDINGS
        self._keys = tuple(structure.key for structure in manifest.structures)
        classes = given.get("classes", [])
        self._classes = [str(one) for one in classes] if isinstance(classes, list) else []
        if self._finds:
            self._check_classes(manifest)
        elif not self._keys or manifest.findings:
            raise ConfigurationError(f"model {manifest.name}: {architecture.name} outlines structures, and rates no findings")
        outputs = len(self._classes) if self._finds else len(self._keys) + 1
        width = given.get("width")
        self._network = architecture.build(self._preparation.channels, outputs, int(width) if isinstance(width, int) else None)
        if len(manifest.weights) != 1:
            raise ConfigurationError(f"model {manifest.name}: model.toml must name one file of weights")
        load_weights(self._network, weights[manifest.weights[0].file])
        self._network.eval().to(device)
        self._device = device
        self._slope, self._offsets = _calibration(manifest, outputs)

    def predict(self, image: Image) -> Prediction:
        """Answer for one image.

        Raises
        ------
        Refused
            As `Preparation.place`.
        """
        placed = self._preparation.place(image)
        logits = self.logits(placed.tensor)
        if not self._finds:
            return Prediction(LabelMap(placed.label_map(logits), self._keys))
        likely = torch.softmax(logits[0].double() * self._slope + self._offsets, 0).tolist()
        by_class = dict(zip(self._classes, likely, strict=True))
        return Prediction(ratings=tuple(Rating(key, by_class[key]) for key in self._findings))

    def logits(self, batch: Tensor) -> Tensor:
        """What the network says of a prepared batch, on the CPU."""
        with torch.inference_mode():
            answered: Tensor = self._network(batch.to(self._device)).float().cpu()
        return answered

    def _check_classes(self, manifest: Manifest) -> None:
        self._findings = tuple(finding.key for finding in manifest.findings)
        missing = [key for key in self._findings if key not in self._classes]
        if len(set(self._classes)) != len(self._classes) or len(self._classes) < 2:
            raise ConfigurationError(f"model {manifest.name}: parameters.classes must name at least two different outputs")
        if missing or not self._findings or manifest.structures:
            reason = f"no output is named {missing[0]}" if missing else "the network rates findings, and outlines no structures"
            raise ConfigurationError(f"model {manifest.name}: {reason}")


def check_grid(multiple: int, smallest: int, size: tuple[int, ...]) -> None:
    """Refuse a grid that the network cannot work on.

    Raises
    ------
    ConfigurationError
        Where a side is too short or not a multiple.
    """
    for side in size:
        if side < smallest or side % multiple:
            raise ConfigurationError(f"size {side} does not fit the network: {smallest} or more, a multiple of {multiple}")


def _calibration(manifest: Manifest, outputs: int) -> tuple[float, Tensor]:
    slope = manifest.parameters.get("slope", 1.0)
    offsets = manifest.parameters.get("offsets", [0.0] * outputs)
    if not isinstance(slope, int | float) or not isinstance(offsets, list) or len(offsets) != outputs:
        raise ConfigurationError(f"model {manifest.name}: slope must be a number and offsets one for each of {outputs} outputs")
    return float(slope), torch.tensor([float(one) for one in offsets], dtype=torch.float64)
