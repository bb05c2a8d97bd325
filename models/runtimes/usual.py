"""What the images that a network learned from looked like, and how far another one is from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d

from models.networks.architectures import Reads
from models.runtimes.preparation import Parameter
from node.store.errors import ConfigurationError, Refused

USUAL: Final = frozenset({"usual", "usual_deviation", "strangest"})
"""Parameters of a manifest that describe a `Usual`."""

LEAST_IMAGES: Final = 20
"""With fewer nothing can be said of what is usual."""

MARGIN: Final = 1.5
"""How much stranger than the strangest image that was learned from another may be."""

_PARTS: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_CELLS: Final = 4
"""Places along each axis of a picture whose mean is told; half as many along those of a volume."""
_SCALES: Final = (1, 2, 4)
"""Steps, in pixels of the network's grid, over which detail is told."""
_LEAST_DEVIATION: Final = 0.02
"""Images that were all alike in something do not make it matter beyond measure."""

Described = NDArray[np.float64]


def describe(batch: Tensor, reads: Reads) -> Described:
    """Grey values or colours, their layout, and how much detail there is; of a prepared image.

    Parameters
    ----------
    batch
        A batch of one, as `reads` says.

    Returns
    -------
    Described
        ``(number,)``: for each channel five quantiles, then means of places, then the logarithm of the mean step.
    """
    image = batch[0].float()
    if reads is Reads.SEQUENCE:
        image = image.mean(0)
    # every so many values: quantiles of a volume of millions would take seconds
    flat = image.flatten(1)[:, :: max(1, image[0].numel() // 200_000)]
    greys = torch.quantile(flat, torch.tensor(_PARTS), dim=1).T
    pooled = adaptive_avg_pool3d(image, _CELLS // 2) if reads is Reads.VOLUME else adaptive_avg_pool2d(image, _CELLS)
    steps = [(image[..., scale:] - image[..., :-scale]).abs().mean() for scale in _SCALES if image.shape[-1] > scale]
    steps += [torch.zeros(())] * (len(_SCALES) - len(steps))
    detail = torch.log(torch.stack(steps) + 1e-3)
    return torch.cat([greys.flatten(), pooled.flatten(), detail]).double().numpy()


@dataclass(frozen=True, slots=True)
class Usual:
    """What was learned from.

    Parameters
    ----------
    mean, deviation
        ``(number,)`` of `describe` over all images.
    strangest
        How far an image may be.
    """

    mean: Described
    deviation: Described
    strangest: float

    @classmethod
    def from_images(cls, described: NDArray[np.float64]) -> Usual | None:
        """Of the images that were learned from, ``(image, number)``; None where they are too few.

        How far an image may be follows from how far each of ten parts of them is from the others.
        """
        if len(described) < LEAST_IMAGES:
            return None
        part = np.arange(len(described)) % 10
        farthest = 0.0
        for one in range(10):
            others = cls(*_moments(described[part != one]), 0.0)
            farthest = max(farthest, *(others.distance(row) for row in described[part == one]))
        mean, deviation = _moments(described)
        return cls(mean.round(4), deviation.round(4), round(farthest * MARGIN, 3))

    @classmethod
    def from_parameters(cls, name: str, given: Mapping[str, Parameter]) -> Usual | None:
        """Of a ``model.toml``; None where it says nothing of this.

        Raises
        ------
        ConfigurationError
            Where it says a part of it, or what makes no sense.
        """
        if not USUAL & given.keys():
            return None
        mean, deviation, strangest = given.get("usual"), given.get("usual_deviation"), given.get("strangest")
        if not (isinstance(mean, list) and isinstance(deviation, list) and isinstance(strangest, int | float)):
            raise ConfigurationError(f"model {name}: usual, usual_deviation and strangest go together: two lists and a number")
        found = cls(np.asarray(mean, dtype=float), np.asarray(deviation, dtype=float), float(strangest))
        if found.mean.shape != found.deviation.shape or not (found.deviation > 0).all():
            raise ConfigurationError(f"model {name}: usual and usual_deviation must be as many, the latter above 0")
        return found

    def parameters(self) -> dict[str, list[float] | float]:
        """As `from_parameters` reads them."""
        return {"usual": self.mean.tolist(), "usual_deviation": self.deviation.tolist(), "strangest": self.strangest}

    def distance(self, described: Described) -> float:
        """Root mean square of the differences, in deviations."""
        return float(np.sqrt(np.square((described - self.mean) / self.deviation).mean()))

    def check(self, name: str, batch: Tensor, reads: Reads) -> None:
        """Let an image pass that is like those that were learned from.

        Raises
        ------
        Refused
            With code ``unfamiliar`` where it is not.
        ConfigurationError
            Where the parameters belong to another kind of image.
        """
        described = describe(batch, reads)
        if described.shape != self.mean.shape:
            raise ConfigurationError(f"model {name}: usual must hold {described.size} numbers, it holds {self.mean.size}")
        distance = self.distance(described)
        if distance > self.strangest:
            raise Refused(
                f"unlike the images that the model learned from in grey values or colours, layout or detail ({distance:.1f}; up "
                f"to {self.strangest:.1f} is read)",
                "unfamiliar",
            )


def _moments(described: NDArray[np.float64]) -> tuple[Described, Described]:
    return described.mean(0), np.maximum(described.std(0), _LEAST_DEVIATION)
