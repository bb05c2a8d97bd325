"""What a classifier is shown of a chest: the whole film, the part around the lungs, the lungs alone, or those evened out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from models.networks.film_classifier import FAMILIES, SQUEEZENET
from models.runtimes.film import Grey, Letterbox, window
from models.runtimes.lung_fields import Mask
from node.store.errors import ConfigurationError

MARGIN: Final = 0.06
"""Width left around the lungs, as a part of their extent."""


class Shown(StrEnum):
    """Which part of the film is left to see."""

    WHOLE = "whole"
    CHEST = "chest"  # the box around both lungs
    LUNGS = "lungs-only"  # that box, all outside the lung fields hidden
    EVENED = "lungs-evened"  # the lungs alone, mean and contrast made the same everywhere: no grey scale of a machine is left
    BORDER = "border-only"  # the outer frame of the film alone: what a shortcut could live on
    HIDDEN = "border-hidden"  # the film without that frame


@dataclass(frozen=True, slots=True)
class View:
    """One way of showing a film to one network.

    Parameters
    ----------
    shown
        Part of the film.
    side
        Of the square that it is shown as, in pixels.
    share
        In the answer.
    network
        Family of the network that sees it (`models.networks.film_classifier.FAMILIES`).
    """

    shown: Shown
    side: int
    share: float
    network: str = SQUEEZENET


@dataclass(frozen=True, slots=True)
class Views:
    """What classifiers are shown of each film.

    Parameters
    ----------
    every
        Each once; their shares add up to 1.

    Raises
    ------
    ConfigurationError
        Where they do not, or a network is unknown.
    """

    every: tuple[View, ...]

    def __post_init__(self) -> None:
        if abs(sum(view.share for view in self.every) - 1) > 1e-6 or len(set(self.every)) < len(self.every):
            raise ConfigurationError("views must be given once each, and their shares add up to 1")
        if unknown := set(self.networks) - set(FAMILIES):
            raise ConfigurationError(f"no network is called {min(unknown)}; there are {', '.join(FAMILIES)}")

    @property
    def networks(self) -> tuple[str, ...]:
        """Families, each once, in the order in which they first come."""
        return tuple(dict.fromkeys(view.network for view in self.every))

    def of(self, network: str) -> tuple[View, ...]:
        """Those that one family sees, in the order of its heads."""
        return tuple(view for view in self.every if view.network == network)

    def head(self, view: View) -> int:
        """The head of its network that rates a view."""
        return self.of(view.network).index(view)

    def alone(self, part: Shown) -> tuple[tuple[Shown, View, float], ...]:
        """Who rates a part of the film that is shown alone: what each is shown, the view whose head rates it, and its share.

        Those who know the part, or else those who see what comes first. A film without its border is rated by all, for the other
        views of it stay as they are.

        Raises
        ------
        ConfigurationError
            Where the border shall be hidden from a model that is never shown it.
        """
        if part is Shown.HIDDEN:
            if all(view.shown is not Shown.WHOLE for view in self.every):
                raise ConfigurationError("this model is never shown the border of a film: hiding it would change nothing")
            return tuple((part if view.shown is Shown.WHOLE else view.shown, view, view.share) for view in self.every)
        known = part if any(view.shown is part for view in self.every) else self.every[0].shown
        rated = [view for view in self.every if view.shown is known]
        return tuple((part, view, view.share / sum(one.share for one in rated)) for view in rated)

    def asked(self, part: Shown | None) -> tuple[tuple[Shown, View, float], ...]:
        """Who rates a film of which a part is shown alone, as `alone`; None: all of the film, by all."""
        return tuple((view.shown, view, view.share) for view in self.every) if part is None else self.alone(part)

    def combine(self, logits: NDArray[np.float64], part: Shown | None = None) -> NDArray[np.float64]:
        """``(…)`` logits of ``(…, view)`` logits, by those who are asked of a part (`asked`)."""
        shares = np.zeros(len(self.every))
        for _, view, share in self.asked(part):
            shares[self.every.index(view)] = share
        combined: NDArray[np.float64] = logits @ shares
        return combined


BOXED: Final = frozenset({Shown.CHEST, Shown.LUNGS, Shown.EVENED})
"""Parts that are cut out of the film."""

BORDER: Final = 1 / 32
"""Width of the border, as a part of the film's side: 10 of 320 pixels."""

EVENING: Final = 1 / 8
"""Width of the neighbourhood whose mean and contrast are evened out, as a part of the box's height."""


def chest_box(lungs: Mask) -> tuple[slice, slice]:
    """Rows and columns of the box around the lungs, with its margin, inside the film."""
    rows, columns = np.flatnonzero(lungs.any(axis=1)), np.flatnonzero(lungs.any(axis=0))
    box = []
    for line, size in ((rows, lungs.shape[0]), (columns, lungs.shape[1])):
        margin = round(MARGIN * (line[-1] - line[0]))
        box.append(slice(max(0, int(line[0]) - margin), min(size, int(line[-1]) + 1 + margin)))
    return box[0], box[1]


def show(film: Grey, lungs: Mask, shown: Shown) -> Grey:
    """The part of a film that is shown, windowed to 0 to 1.

    Parameters
    ----------
    film
        ``(row, column)``, any scale.
    lungs
        Both lung fields on the same grid.
    """
    if shown in BOXED:
        rows, columns = chest_box(lungs)
        part, inside = film[rows, columns], lungs[rows, columns]
        return window(part) if shown is Shown.CHEST else _lungs(part, inside, evened=shown is Shown.EVENED)
    whole = window(film)
    if shown is Shown.WHOLE:
        return whole
    frame = np.ones(film.shape, dtype=bool)
    depth_rows, depth_columns = (max(1, round(BORDER * side)) for side in film.shape)
    frame[depth_rows:-depth_rows, depth_columns:-depth_columns] = False
    kept = frame if shown is Shown.BORDER else ~frame
    return np.where(kept, whole, np.float32(0.5)).astype(np.float32)


def _lungs(part: Grey, inside: Mask, *, evened: bool) -> Grey:
    """The lungs of the box around them, all else mid grey."""
    reach = max(1, round(0.02 * part.shape[0]))
    near = ndimage.distance_transform_edt(~inside) <= reach
    graded = window(np.where(near, part, np.median(part[near])).astype(np.float32))
    if evened:
        graded = _even(graded, near)
    return np.where(near, graded, np.float32(0.5)).astype(np.float32)


def _even(graded: Grey, near: Mask) -> Grey:
    """Make mean and standard deviation about 0.5 and 0.2 around each place, measured on the lungs alone."""
    width = EVENING * graded.shape[0]
    weight = ndimage.gaussian_filter(near.astype(np.float32), width) + np.float32(1e-3)
    mean = ndimage.gaussian_filter(graded * near, width) / weight
    deviation = np.sqrt(np.maximum(ndimage.gaussian_filter(np.square(graded - mean) * near, width) / weight, 0))
    evened: Grey = np.clip(0.5 + 0.2 * (graded - mean) / (deviation + np.float32(0.01)), 0, 1).astype(np.float32)
    return evened


def square(film: Grey, side: int) -> torch.Tensor:
    """``(1, 1, side, side)`` of a film that `show` gave, filled up with mid grey."""
    return Letterbox(film.shape[0], film.shape[1], side).shrink(film, fill=0.5)


def origin(lungs: Mask, shown: Shown) -> tuple[int, int]:
    """First row and column of the part of the film that `show` gave."""
    if shown not in BOXED:
        return 0, 0
    rows, columns = chest_box(lungs)
    return rows.start, columns.start
