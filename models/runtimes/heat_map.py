"""Where a classifier's answer comes from: what each place of its last features adds to a finding, on the grid of the image."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import interpolate

from models.runtimes.film import Letterbox

STEPS: Final = 4
"""Of `integrate`; with two, edges ranked the places of a film as well."""

WIDTH: Final = 1 / 16
"""Of `smooth`, as a part of the longer side; chosen with `STEPS` by `models.training.deletion` on films of train."""

Contributions = NDArray[np.float32]
"""``(row, column)``, signed; above 0 speaks for the finding, below 0 against it."""


class Maps:
    """A model that draws heat maps, unless it is told to leave them out (`models.runtime.RatesOnly`)."""

    _mapping = True

    def rating_only(self) -> Self:
        """The same model without heat maps, which take most of its time."""
        twin = copy.copy(self)
        twin._mapping = False
        return twin


def attribute(features: Tensor, head: Callable[[Tensor], Tensor]) -> Tensor:
    """What each place of the features adds to a logit: gradient times feature, summed over channels (HiResCAM).

    Unlike Grad-CAM (Selvaraju 2017) the gradient is not averaged over the film first, so a place counts by what it did for the
    answer. With one linear layer behind the features, pooled by mean or maximum, the map and the bias add up to the logit
    (Draelos and Carin 2020, arXiv 2011.08891, section 3); with more layers the map is an approximation.

    Parameters
    ----------
    features
        ``(n, channel, row, column)`` of the last layer that still has places.
    head
        The rest of the network: features to ``(n,)`` logits of one finding.

    Returns
    -------
    Tensor
        ``(n, row, column)``, without a gradient.
    """
    with torch.inference_mode(False), torch.enable_grad():
        leaf = features.detach().clone().requires_grad_()
        (slope,) = torch.autograd.grad(head(leaf).sum(), leaf)
    return (slope * leaf.detach()).sum(1)


def integrate(picture: Tensor, baseline: float | Tensor, logit: Callable[[Tensor], Tensor], steps: int = STEPS) -> Tensor:
    """What each pixel adds to a logit, on the way from nothing to be seen to the picture (Sundararajan 2017, arXiv 1703.01365).

    Dearer than `attribute`, about `steps` times three answers of the network, and finer: it goes through all layers.

    Parameters
    ----------
    picture
        ``(1, channel, row, column)`` as the network is shown it.
    baseline
        What stands for nothing to be seen: a grey, or a picture as large.
    logit
        The network: ``(n, channel, row, column)`` to ``(n,)`` logits of one finding.

    Returns
    -------
    Tensor
        ``(row, column)``; with many steps it adds up to the logit less that of the baseline.
    """
    with torch.inference_mode(False), torch.enable_grad():
        change = picture.clone() - baseline
        parts = (torch.arange(steps, device=change.device) + 0.5) / steps
        way = (baseline + parts.view(-1, 1, 1, 1) * change).requires_grad_()
        (slopes,) = torch.autograd.grad(logit(way).sum(), way)
    return (slopes.mean(0) * change[0]).sum(0)


def log_odds(logits: Tensor, number: int) -> Tensor:
    """``(n,)`` log odds of one output against all others, of ``(n, output)`` logits of which one is right."""
    others = [other for other in range(logits.shape[1]) if other != number]
    return logits[:, number] - logits[:, others].logsumexp(1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the square that a network saw lies in the image.

    Parameters
    ----------
    box
        How the part that was shown lies in the square.
    rows, columns
        First row and column of that part in the image.
    """

    box: Letterbox
    rows: int = 0
    columns: int = 0


def lay_out(places: Tensor, place: Place, shape: tuple[int, int]) -> Contributions:
    """Contributions of one square on the grid of the image.

    What a coarse place adds is spread over the pixels that it covers, so that maps of other scales may be added, and the sum
    over the image stays what it was, but for what the square's filled margin added.

    Parameters
    ----------
    places
        ``(row, column)`` of `attribute` or `integrate`, for the whole square.
    shape
        Rows and columns of the image; outside of the part that was shown the map is 0.
    """
    size = (place.box.size, place.box.size)
    square = interpolate(places[None, None].float().cpu(), size=size, mode="bilinear", align_corners=False)
    part = place.box.grow(square)[0]
    rows, columns = part.shape
    inner_rows, inner_columns = place.box.inner
    laid = np.zeros(shape, dtype=np.float32)
    density = places.numel() / place.box.size**2 * (inner_rows * inner_columns) / (rows * columns)
    laid[place.rows : place.rows + rows, place.columns : place.columns + columns] = part * np.float32(density)
    return laid


def enlarge(contributions: Contributions, shape: tuple[int, int]) -> Contributions:
    """A map of a reduced image on the grid of the image itself, bilinear."""
    tensor = torch.from_numpy(np.ascontiguousarray(contributions))[None, None]
    enlarged: Contributions = interpolate(tensor, size=shape, mode="bilinear", align_corners=False)[0, 0].numpy()
    return enlarged


def smooth(contributions: Contributions, width: float = WIDTH) -> Contributions:
    """A map of pixels as a map of places: what single pixels add is noise, what a place adds is not.

    Parameters
    ----------
    width
        Of the blur, as a part of the longer side.
    """
    smoothed: Contributions = ndimage.gaussian_filter(contributions, width * max(contributions.shape))
    return smoothed


def heat(contributions: Contributions, most: float | None = None) -> NDArray[np.float32]:
    """What speaks for the finding, 0 to 1: the strongest place is 1, all that speaks against it is 0.

    Parameters
    ----------
    most
        What becomes 1, for maps that share a scale; the strongest of these very contributions by default.
    """
    positive = np.clip(contributions, 0, None)
    most = float(positive.max()) if most is None else most
    scaled: NDArray[np.float32] = positive / np.float32(most) if most > 0 else np.zeros_like(positive)
    return scaled.astype(np.float32)
