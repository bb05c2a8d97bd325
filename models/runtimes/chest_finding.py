"""`cxr-pneumonia`, `cxr-tb`: the calibrated probability of one finding on frontal chest radiographs, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray

from models.image import Image
from models.manifest import Manifest
from models.networks.film_classifier import Ensemble, FilmClassifier
from models.networks.weights import load_weights
from models.prediction import HeatMap, Prediction, Rating
from models.runtimes.chest_views import Shown, Views, origin, show, square
from models.runtimes.film import Grey, Letterbox, reduce, squash
from models.runtimes.frontal_chest import Chest, FrontalChest
from models.runtimes.heat_map import Contributions, Place, enlarge, heat, integrate, lay_out, smooth
from models.runtimes.lung_fields import LungFinder, Mask
from models.runtimes.radiograph import take_film
from node.store.errors import ConfigurationError, Refused

METHOD: Final = "integrated gradients"

NOTHING: Final = 0.5
"""The grey that hidden places and the margins of a square are shown as."""


class ChestFinding:
    """Rates one finding with an ensemble, from one or several parts of the film, each as it is and mirrored.

    Parameters
    ----------
    manifest
        One finding; parameters ``slope`` and ``offset`` of the calibration, ``members`` of the ensemble, ``views``, ``sides``
        and ``shares`` (`models.runtimes.chest_views.Views`), ``learned_side`` and ``squashed`` of the films that were learned
        from (`as_learned`), and ``strangest``: how strange a film may be (`FilmClassifier.strangeness`).
    weights
        The ensemble's file first, the lung network's second.
    device
        As torch spells it.

    Raises
    ------
    ConfigurationError
        Where the manifest lacks a parameter or names other files.
    """

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        if len(manifest.weights) != 2 or len(manifest.findings) != 1:
            raise ConfigurationError(
                f"{manifest.name}: needs one finding and two files of weights, its own and the lung network's"
            )
        own, lungs = (weights[one.file] for one in manifest.weights)
        self._finding = manifest.findings[0].key
        self._slope, self._offset = (manifest.number(name) for name in ("slope", "offset"))
        self._learned_side = int(manifest.number("learned_side"))
        self._squashed = bool(manifest.parameters.get("squashed"))
        self._strangest = manifest.number("strangest")
        self._views = views_of(manifest)
        self._chest = FrontalChest(LungFinder(lungs, device))
        self._ensemble = Ensemble(int(manifest.number("members")), len(self._views.shown))
        load_weights(self._ensemble, own)
        self._ensemble.eval().requires_grad_(requires_grad=False).to(device)
        self._device = device
        self._part: Shown | None = None
        self._mapping = True

    def showing(self, part: Shown) -> ChestFinding:
        """The same model that is shown one part of the film only, to learn what its answer rests on."""
        return self._twin(_part=part, _mapping=False)

    def rating_only(self) -> ChestFinding:
        """The same model without heat maps, which take most of its time."""
        return self._twin(_mapping=False)

    def _twin(self, **other: object) -> ChestFinding:
        twin = object.__new__(ChestFinding)
        twin.__dict__.update(self.__dict__, **other)
        return twin

    def predict(self, image: Image) -> Prediction:
        """Rate the finding, and map what speaks for it.

        Raises
        ------
        Refused
            Where the image is no frontal chest radiograph, is upside down, turned or inverted, or with code ``unfamiliar`` where
            it is unlike all films that were learned from.
        """
        upright = take_film(image)
        chest = self._chest.read(as_learned(upright.film, self._learned_side, squashed=self._squashed))
        lungs = both(chest)
        answer = self.read(chest.film, lungs)
        # A part that is shown alone is strange by nature.
        if self._part is None and answer.strangeness > self._strangest:
            raise Refused(
                "the film is unlike those that the model learned from in its grey values or detail "
                f"({answer.strangeness:.2f}; up to {self._strangest:.2f} is read)",
                "unfamiliar",
            )
        probabilities = self.probability(answer.logits)
        rating = Rating(self._finding, float(self.probability(answer.logits.mean())), float(probabilities.std()))
        heat_maps: tuple[HeatMap, ...] = ()
        if self._mapping:
            mapped = upright.back(heat(enlarge(self.explain(chest.film, lungs), upright.film.shape)))
            heat_maps = (HeatMap(self._finding, mapped[np.newaxis], METHOD),)
        return Prediction(ratings=(rating,), notes=chest.notes, heat_maps=heat_maps)

    def look(self, film: Grey) -> Chest:
        """The lung fields of a film that is reduced as `as_learned` does it, without a verdict."""
        return self._chest.look(film)

    def probability(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probabilities of logits."""
        calibrated: NDArray[np.float64] = 1 / (1 + np.exp(-(self._slope * logits + self._offset)))
        return calibrated

    def read(self, film: Grey, lungs: Mask, hidden: Mask | None = None) -> Answer:
        """What the ensemble says of a film.

        Parameters
        ----------
        film
            ``(row, column)``, upright, reduced as the films that were learned from.
        lungs
            Both lung fields on the same grid.
        hidden
            Places that are not shown, to learn what they add.
        """
        heads, shares = self._heads()
        logits = np.zeros((len(heads), len(self._ensemble.members), 2))
        strangeness = np.zeros(logits.shape[:2])
        with torch.inference_mode():
            for index, (part, head) in enumerate(heads):
                seen = show(film, lungs, part)
                if hidden is not None:
                    row, column = origin(lungs, part)
                    seen = np.where(hidden[row : row + seen.shape[0], column : column + seen.shape[1]], np.float32(NOTHING), seen)
                one = square(seen, self._views.sides[head]).to(self._device)
                for member, network in enumerate(self._members()):
                    described = network.describe(torch.cat([one, one.flip(3)]))
                    logits[index, member] = network.rate_as(described, head).cpu().numpy()
                    strangeness[index, member] = float(network.strangeness(described[:1], head))
        return Answer(shares @ logits.reshape(len(heads), -1), float(strangeness.mean()))

    def explain(self, film: Grey, lungs: Mask) -> Contributions:
        """What each place of a film adds to the logit; film and lungs as in `read`."""
        heads, shares = self._heads()
        added = np.zeros(film.shape, dtype=np.float32)
        for share, (part, head) in zip(shares, heads, strict=True):
            seen, side = show(film, lungs, part), self._views.sides[head]
            one = square(seen, side).to(self._device)
            place = Place(Letterbox(seen.shape[0], seen.shape[1], side), *origin(lungs, part))
            for network in self._members():
                pixels = integrate(one, NOTHING, lambda way, by=network, of=head: by.rate_as(by.describe(way), of))  # type: ignore[misc]
                added += np.float32(share / len(self._ensemble.members)) * lay_out(pixels, place, film.shape)
        return smooth(added)

    def _heads(self) -> tuple[list[tuple[Shown, int]], NDArray[np.float64]]:
        """The parts that are shown, each with its head, and their shares."""
        if self._part is not None:
            return [(self._part, self._views.head(self._part))], np.ones(1)
        return list(zip(self._views.shown, range(len(self._views.shown)), strict=True)), np.asarray(self._views.shares)

    def _members(self) -> list[FilmClassifier]:
        return [cast("FilmClassifier", member) for member in self._ensemble.members]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an ensemble says of a film.

    Parameters
    ----------
    logits
        ``(2 x members,)``, of the film and of its mirror image by each member, their views combined.
    strangeness
        Mean over views and members (`FilmClassifier.strangeness`).
    """

    logits: NDArray[np.float64]
    strangeness: float


def as_learned(film: Grey, side: int, *, squashed: bool) -> Grey:
    """A film reduced as those were that the model learned from, so that detail looks the same.

    Parameters
    ----------
    side
        Longer side of those, in pixels.
    squashed
        Whether they were made square, their aspect lost.
    """
    return squash(film, side) if squashed else reduce(film, side)


def views_of(manifest: Manifest) -> Views:
    """What the model of a manifest is shown.

    Raises
    ------
    ConfigurationError
        Where its parameters do not say it.
    """
    views, sides, shares = (manifest.parameters.get(name) for name in ("views", "sides", "shares"))
    if not (isinstance(views, list) and isinstance(sides, list) and isinstance(shares, list)):
        raise ConfigurationError(f"{manifest.name}: parameters must hold the lists views, sides and shares")
    try:
        return Views(
            tuple(Shown(str(one)) for one in views), tuple(int(one) for one in sides), tuple(float(one) for one in shares)
        )
    except ValueError as unfit:
        raise ConfigurationError(f"{manifest.name}: {unfit}") from unfit


def both(chest: Chest) -> Mask:
    """Both lung fields in one mask; all of the film where there are none."""
    left, right = chest.outlines()
    fields: Mask = left | right
    return fields if fields.any() else np.ones_like(fields)
