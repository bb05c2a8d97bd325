"""What all runtimes have in common whose network is shown a prepared image and answers with logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from models.image import Image
from models.manifest import Manifest
from models.networks.architectures import Answers
from models.prediction import HeatMap, LabelMap, Prediction, Rating
from models.runtimes.evidence import Evidence, Hiding
from models.runtimes.heat_map import Maps, heat, log_odds
from models.runtimes.preparation import INPUT, Placed, Preparation
from models.runtimes.usual import USUAL, Usual
from models.runtimes.variants import variants
from node.store.errors import ConfigurationError

SAID: Final = INPUT | USUAL | {"classes", "slope", "offsets", "heat_maps"}
"""Parameters that a `PreparedModel` and its `Preparation` read."""


class PreparedModel(Maps):
    """One network, one image at a time.

    A finding's rating says how much its probability varies where the image is changed slightly
    (`models.runtimes.variants.variants`), and a heat map what spoke for it: of each finding that reaches its threshold, and of
    the likeliest one in any case.

    Parameters
    ----------
    manifest
        Its findings or structures; parameters for findings: ``classes`` (what each output stands for; a class without a finding
        is what is normal), ``slope`` and ``offsets`` of the calibration: probabilities are the softmax of
        ``slope x logits + offsets``; ``heat_maps`` false: none are made. The outputs of a network that outlines are the
        background and then the structures in order. ``usual``, ``usual_deviation`` and ``strangest``
        (`models.runtimes.usual.Usual`): what is unlike all that was learned from is refused.
    preparation
        How images are shown.
    answers
        What the logits are.
    network
        Takes a batch on the CPU, as `models.networks.architectures.Reads` says, to logits on the CPU.
    evidence
        What heat maps are made of; by default places are hidden one after another.

    Raises
    ------
    ConfigurationError
        Where findings, structures, classes and calibration do not belong together.
    """

    def __init__(
        self,
        manifest: Manifest,
        preparation: Preparation,
        answers: Answers,
        network: Callable[[Tensor], Tensor],
        evidence: Evidence | None = None,
    ) -> None:
        self._name = manifest.name
        self._preparation, self._network = preparation, network
        self._finds = answers is Answers.FINDINGS
        self._outputs = outputs_of(manifest, answers)
        self._classes = _classes(manifest)
        self._thresholds = {finding.key: finding.threshold for finding in manifest.findings}
        self._structures = tuple(structure.key for structure in manifest.structures)
        self._slope, self._offsets = _calibration(manifest, self._outputs)
        self._usual = Usual.from_parameters(manifest.name, manifest.parameters)
        self._evidence = evidence or Hiding(preparation.reads, network)
        self._mapping = manifest.parameters.get("heat_maps") is not False

    def predict(self, image: Image) -> Prediction:
        """Answer for one image.

        Raises
        ------
        Refused
            As `Preparation.place` and `Usual.check`.
        ConfigurationError
            Where the network's answer has another shape than it should.
        """
        placed = self._preparation.place(image)
        if self._usual is not None:
            self._usual.check(self._name, placed.tensor, self._preparation.reads)
        logits = self._network(placed.tensor)
        wanted = (1, self._outputs, *(() if self._finds else self._grid(placed.tensor)))
        if tuple(logits.shape) != wanted:
            raise ConfigurationError(f"model {self._name}: the network answers {tuple(logits.shape)}, {wanted} was expected")
        if not self._finds:
            return Prediction(LabelMap(placed.label_map(logits), self._structures))
        likely = self._likely(logits)
        changed = [self._likely(self._network(one)) for one in variants(placed.tensor, self._preparation.reads)]
        spread = torch.stack([likely, *changed]).std(0, correction=0)
        said = zip(self._classes, likely.tolist(), spread.tolist(), strict=True)
        by_class = {key: Rating(key, probability, varies) for key, probability, varies in said}
        ratings = tuple(by_class[key] for key in self._thresholds)
        return Prediction(ratings=ratings, heat_maps=self._heat_maps(placed, ratings) if self._mapping else ())

    def _likely(self, logits: Tensor) -> Tensor:
        """Calibrated probability of each class, double precision."""
        return torch.softmax(self._calibrated(logits)[0], 0)

    def _calibrated(self, logits: Tensor) -> Tensor:
        return logits.double() * self._slope + self._offsets.to(logits.device)

    def _heat_maps(self, placed: Placed, ratings: tuple[Rating, ...]) -> tuple[HeatMap, ...]:
        """Of findings at their threshold, and of the likeliest."""
        likeliest = max(ratings, key=lambda rating: rating.probability)
        chosen = [one for one in ratings if one is likeliest or one.probability >= self._thresholds[one.key]]
        return tuple(self._heat_map(placed, rating.key) for rating in chosen)

    def _heat_map(self, placed: Placed, key: str) -> HeatMap:
        """What raises the log odds of a finding against all other classes."""
        number = self._classes.index(key)
        places = placed.spread_out(self._evidence(placed.tensor, lambda logits: log_odds(self._calibrated(logits), number)))
        return HeatMap(key, heat(places).astype(np.float32), self._evidence.method)

    @staticmethod
    def _grid(tensor: Tensor) -> tuple[int, ...]:
        return tuple(tensor.shape[2:])


def on_device(network: nn.Module, device: str) -> Callable[[Tensor], Tensor]:
    """A network that lies on `device`, as `PreparedModel` asks it: a batch on the CPU to logits on the CPU."""

    def answer(batch: Tensor) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = network(batch.to(device)).float().cpu()
        return logits

    return answer


def only_file(manifest: Manifest) -> str:
    """The model's one file of weights.

    Raises
    ------
    ConfigurationError
        Where there is none, or several.
    """
    if len(manifest.weights) != 1:
        raise ConfigurationError(f"model {manifest.name}: model.toml must name one file of weights")
    return manifest.weights[0].file


def outputs_of(manifest: Manifest, answers: Answers) -> int:
    """How many outputs the network must have.

    Raises
    ------
    ConfigurationError
        Where the manifest does not say it without contradiction.
    """
    name = manifest.name
    if answers is Answers.STRUCTURES:
        if not manifest.structures or manifest.findings:
            raise ConfigurationError(f"model {name}: the network outlines structures, and rates no findings")
        return len(manifest.structures) + 1
    classes = _classes(manifest)
    if not manifest.findings or manifest.structures:
        raise ConfigurationError(f"model {name}: the network rates findings, and outlines no structures")
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise ConfigurationError(f"model {name}: parameters.classes must name at least two different outputs")
    for finding in manifest.findings:
        if finding.key not in classes:
            raise ConfigurationError(f"model {name}: no output is named {finding.key} in parameters.classes")
    return len(classes)


def _classes(manifest: Manifest) -> list[str]:
    given = manifest.parameters.get("classes", [])
    return [str(one) for one in given] if isinstance(given, list) else []


def _calibration(manifest: Manifest, outputs: int) -> tuple[float, Tensor]:
    slope = manifest.parameters.get("slope", 1.0)
    offsets = manifest.parameters.get("offsets", [0.0] * outputs)
    if not isinstance(slope, int | float) or not isinstance(offsets, list) or len(offsets) != outputs:
        raise ConfigurationError(f"model {manifest.name}: slope must be a number and offsets one for each of {outputs} outputs")
    return float(slope), torch.tensor([float(one) for one in offsets], dtype=torch.float64)
