"""Batches and losses of any network over prepared images that are kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from models.networks.architectures import Answers, Architecture
from models.runtimes.preparation import Preparation
from models.training.metrics import dice, roc_auc
from models.training.nudge import nudge
from models.training.request import Only
from models.training.samples import read_sample
from models.training.shortcuts import show_only
from models.training.tables import Row
from node.store.errors import ConfigurationError, Refused

_SMOOTHING: Final = 0.05


class Labeller(Protocol):
    """What knows a row's truth."""

    outputs: int
    """Of the network."""

    def truth(self, folder: Path, row: Row) -> NDArray[np.uint8] | int:
        """A label map of the row's image, or the number of its class."""
        ...


@dataclass(frozen=True, slots=True)
class Samples:
    """Prepared images with their truth.

    Parameters
    ----------
    images
        Half precision, one after another, as `models.networks.architectures.Reads` says.
    truths
        ``(n,)`` classes or ``(n, …)`` label maps on the images' grid.
    """

    images: Tensor
    truths: Tensor


def read_samples(
    folder: Path,
    rows: Sequence[Row],
    preparation: Preparation,
    labeller: Labeller,
    advance: Callable[[], None],
    *,
    colour: bool,
    only: Only = Only.ALL,
) -> Samples:
    """Read and prepare every row's image, or the part of it that is shown.

    Raises
    ------
    ConfigurationError
        Where one is missing, or is not what the network reads.
    """
    images, truths = [], []
    for row in rows:
        image = show_only(read_sample(folder / row["image"], colour=colour), only)
        try:
            placed = preparation.place(image)
        except Refused as unfit:
            raise ConfigurationError(f"{row['image']}: {unfit.reason}") from unfit
        truth = labeller.truth(folder, row)
        if isinstance(truth, int):
            truths.append(torch.tensor([truth]))
        else:
            truths.append(preparation.place_labels(truth, placed, labeller.outputs).to(torch.uint8))
        images.append(placed.tensor.half())
        advance()
    return Samples(torch.cat(images), torch.cat(truths))


class NetworkRecipe:
    """Learns from some samples, scores on others.

    Parameters
    ----------
    samples
        All of them.
    learned, held
        Indices of those that are learned from and of those that are scored; None: none are.
    architecture
        What the network reads and answers.
    batch
        Images of a batch.
    device
        As torch spells it; on CUDA the forward pass is in bfloat16 where that is safe.
    """

    def __init__(
        self,
        samples: Samples,
        learned: NDArray[np.intp],
        held: NDArray[np.intp] | None,
        architecture: Architecture,
        *,
        batch: int,
        device: str,
    ) -> None:
        self._samples, self._held, self._architecture, self._batch, self._device = samples, held, architecture, batch, device
        self._finds = architecture.answers is Answers.FINDINGS
        truths = samples.truths[torch.from_numpy(learned)]
        self._groups = [torch.from_numpy(learned)]
        if self._finds:
            self._groups = [torch.from_numpy(learned[(truths == one).numpy()]) for one in torch.unique(truths)]

    def batch(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Images and truths; classes are drawn equally often."""
        chosen = []
        for _ in range(max(2, self._batch)):  # batch normalisation cannot do with one
            group = self._groups[int(torch.randint(len(self._groups), (), generator=generator))]
            chosen.append(group[int(torch.randint(len(group), (), generator=generator))])
        index = torch.stack(chosen)
        images, truths = self._samples.images[index].float(), self._samples.truths[index].long()
        moved, carried = nudge(images, None if self._finds else truths, self._architecture.reads, generator)
        return moved.to(self._device), (truths if carried is None else carried).to(self._device)

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Cross-entropy, and for outlines one minus soft Dice of the structures beside it."""
        images, truths = batch
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=images.device.type == "cuda"):
            logits: Tensor = network(images)
        logits = logits.float()
        if self._finds:
            return cross_entropy(logits, truths, label_smoothing=_SMOOTHING)
        return cross_entropy(logits, truths) + _dice_loss(logits, truths)

    def score(self, network: nn.Module) -> float:
        """Mean AUROC of each class against the rest, or mean Dice over images and structures, on what is held out."""
        if self._held is None:
            return float("nan")
        index = torch.from_numpy(self._held)
        answers = list(self.answers(network, self._held))
        truths = self._samples.truths[index]
        if self._finds:
            return mean_auroc(torch.softmax(torch.stack(answers), 1).double().numpy(), truths.numpy())
        scores = [dice_of(answer, truth) for answer, truth in zip(answers, truths, strict=True)]
        return float(np.nanmean(scores)) if scores else float("nan")

    @torch.inference_mode()
    def answers(self, network: nn.Module, rows: NDArray[np.intp]) -> Iterator[Tensor]:
        """Logits of classes, ``(output,)``, or likeliest outputs, ``(…)`` uint8, of rows as they are."""
        for part in torch.split(torch.from_numpy(rows), self._batch):
            logits = network(self._samples.images[part].float().to(self._device)).float().cpu()
            yield from logits if self._finds else logits.argmax(1).to(torch.uint8)


def mean_auroc(probabilities: NDArray[np.float64], truths: NDArray[np.int_]) -> float:
    """Mean over classes that some rows have and some have not; NaN where there is no such class."""
    areas = [roc_auc(truths == one, probabilities[:, one]) for one in range(probabilities.shape[1])]
    defined = [area for area in areas if not np.isnan(area)]
    return float(np.mean(defined)) if defined else float("nan")


def dice_of(found: Tensor, truth: Tensor) -> float:
    """Mean Dice over the structures that are in the truth; 1 where none is and none was found, else 0."""
    present = [int(one) for one in torch.unique(truth) if one]
    if not present:
        return float(not found.any())
    return float(np.mean([dice((found == one).numpy(), (truth == one).numpy()) for one in present]))


def _dice_loss(logits: Tensor, truths: Tensor) -> Tensor:
    likely = torch.softmax(logits, 1)[:, 1:]
    wanted = one_hot(truths, logits.shape[1]).movedim(-1, 1)[:, 1:].to(likely.dtype)
    axes = tuple(range(2, likely.ndim))
    overlap, total = (likely * wanted).sum(axes), likely.sum(axes) + wanted.sum(axes)
    return (1 - (2 * overlap + 1) / (total + 1)).mean()
