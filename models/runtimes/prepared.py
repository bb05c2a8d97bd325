"""What all runtimes have in common whose network is shown a prepared image and answers with logits."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.image import Image
from models.manifest import Manifest
from models.networks.architectures import Answers
from models.prediction import LabelMap, Prediction, Rating
from models.runtimes.preparation import Preparation
from node.store.errors import ConfigurationError


class PreparedModel:
    """One network, one image at a time.

    Parameters
    ----------
    manifest
        Its findings or structures; parameters for findings: ``classes`` (what each output stands for; a class without a finding
        is what is normal), ``slope`` and ``offsets`` of the calibration: probabilities are the softmax of
        ``slope x logits + offsets``. The outputs of a network that outlines are the background and then the structures in order.
    preparation
        How images are shown.
    answers
        What the logits are.
    network
        Takes a batch on the CPU, as `models.networks.architectures.Reads` says, to logits on the CPU.

    Raises
    ------
    ConfigurationError
        Where findings, structures, classes and calibration do not belong together.
    """

    def __init__(
        self, manifest: Manifest, preparation: Preparation, answers: Answers, network: Callable[[Tensor], Tensor]
    ) -> None:
        self._name = manifest.name
        self._preparation, self._network = preparation, network
        self._finds = answers is Answers.FINDINGS
        self._outputs = outputs_of(manifest, answers)
        self._classes = _classes(manifest)
        self._findings = tuple(finding.key for finding in manifest.findings)
        self._structures = tuple(structure.key for structure in manifest.structures)
        self._slope, self._offsets = _calibration(manifest, self._outputs)

    def predict(self, image: Image) -> Prediction:
        """Answer for one image.

        Raises
        ------
        Refused
            As `Preparation.place`.
        ConfigurationError
            Where the network's answer has another shape than it should.
        """
        placed = self._preparation.place(image)
        logits = self._network(placed.tensor)
        wanted = (1, self._outputs, *(() if self._finds else self._grid(placed.tensor)))
        if tuple(logits.shape) != wanted:
            raise ConfigurationError(f"model {self._name}: the network answers {tuple(logits.shape)}, {wanted} was expected")
        if not self._finds:
            return Prediction(LabelMap(placed.label_map(logits), self._structures))
        likely = torch.softmax(logits[0].double() * self._slope + self._offsets, 0).tolist()
        by_class = dict(zip(self._classes, likely, strict=True))
        return Prediction(ratings=tuple(Rating(key, by_class[key]) for key in self._findings))

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
