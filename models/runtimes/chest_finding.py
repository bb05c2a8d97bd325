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
from models.networks.film_classifier import Ensemble, FilmClassifier, pooled
from models.networks.weights import load_weights
from models.prediction import HeatMap, Prediction, Rating
from models.runtimes.chest_views import Shown, Views, origin, show, square
from models.runtimes.film import Grey, Letterbox, reduce, squash
from models.runtimes.frontal_chest import Chest, FrontalChest
from models.runtimes.heat_map import Contributions, Place, enlarge, heat, lay_out
from models.runtimes.lung_fields import LungFinder, Mask
from models.runtimes.radiograph import take_film
from node.store.errors import ConfigurationError, Refused

METHOD: Final = "class activation of five levels"


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
        self._slope, self._offset = (_number(manifest, name) for name in ("slope", "offset"))
        self._learned_side = int(_number(manifest, "learned_side"))
        self._squashed = bool(manifest.parameters.get("squashed"))
        self._strangest = _number(manifest, "strangest")
        self._views = views_of(manifest)
        self._chest = FrontalChest(LungFinder(lungs, device))
        self._ensemble = Ensemble(int(_number(manifest, "members")), len(self._views.shown))
        load_weights(self._ensemble, own)
        self._ensemble.eval().to(device)
        self._device = device
        self._part: Shown | None = None

    def showing(self, part: Shown) -> ChestFinding:
        """The same model that is shown one part of the film only, to learn what its answer rests on."""
        twin = object.__new__(ChestFinding)
        twin.__dict__.update(self.__dict__, _part=part)
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
        answer = self.read(chest.film, both(chest))
        # A part that is shown alone is strange by nature.
        if self._part is None and answer.strangeness > self._strangest:
            raise Refused(
                "the film is unlike those that the model learned from in its grey values or detail "
                f"({answer.strangeness:.2f}; up to {self._strangest:.2f} is read)",
                "unfamiliar",
            )
        probabilities = self.probability(answer.logits)
        rating = Rating(self._finding, float(self.probability(answer.logits.mean())), float(probabilities.std()))
        mapped = upright.back(heat(enlarge(answer.contributions, upright.film.shape)))
        heat_map = HeatMap(self._finding, mapped[np.newaxis], METHOD)
        return Prediction(ratings=(rating,), notes=chest.notes, heat_maps=(heat_map,))

    def look(self, film: Grey) -> Chest:
        """The lung fields of a film that is reduced as `as_learned` does it, without a verdict."""
        return self._chest.look(film)

    def probability(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probabilities of logits."""
        calibrated: NDArray[np.float64] = 1 / (1 + np.exp(-(self._slope * logits + self._offset)))
        return calibrated

    def read(self, film: Grey, lungs: Mask) -> Answer:
        """What the ensemble says of a film.

        Parameters
        ----------
        film
            ``(row, column)``, upright, reduced as the films that were learned from.
        lungs
            Both lung fields on the same grid.
        """
        parts = self._views.shown if self._part is None else (self._part,)
        shares = np.asarray(self._views.shares if self._part is None else (1.0,))
        members = self._ensemble.members
        logits, strangeness = np.zeros((len(parts), len(members), 2)), np.zeros((len(parts), len(members)))
        added = np.zeros(film.shape, dtype=np.float32)
        with torch.inference_mode():
            for index, part in enumerate(parts):
                head = self._views.head(part)
                seen, side = show(film, lungs, part), self._views.sides[head]
                one = square(seen, side).to(self._device)
                place = Place(Letterbox(seen.shape[0], seen.shape[1], side), *origin(lungs, part))
                for member, network in enumerate(members):
                    said = _one(cast("FilmClassifier", network), torch.cat([one, one.flip(3)]), head)
                    logits[index, member], strangeness[index, member] = said.logits, said.strangeness
                    for level in said.maps:
                        added += np.float32(shares[index] / len(members)) * lay_out(level, place, film.shape)
        return Answer(shares @ logits.reshape(len(parts), -1), added, float(strangeness.mean()))


@dataclass(frozen=True, slots=True)
class Answer:
    """What an ensemble says of a film.

    Parameters
    ----------
    logits
        ``(2 x members,)``, of the film and of its mirror image by each member, their views combined.
    contributions
        What each place adds to the mean logit, on the film's grid.
    strangeness
        Mean over views and members (`FilmClassifier.strangeness`).
    """

    logits: NDArray[np.float64]
    contributions: Contributions
    strangeness: float


@dataclass(frozen=True, slots=True)
class _Said:
    """What one member says of a square and its mirror image: two logits, by level the mean map of both, how strange it is."""

    logits: NDArray[np.float64]
    maps: list[torch.Tensor]
    strangeness: float


def _one(network: FilmClassifier, both_ways: torch.Tensor, head: int) -> _Said:
    levels = network.features.levels(both_ways)
    described = pooled(levels)
    logits = network.rate(described, torch.tensor([head], device=both_ways.device).expand(2))
    maps = [(level[0] + level[1].flip(1)) / 2 for level in network.contributions(levels, head)]
    return _Said(logits.cpu().double().numpy(), maps, float(network.strangeness(described[:1], head)))


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


def _number(manifest: Manifest, name: str) -> float:
    value = manifest.parameters.get(name)
    if not isinstance(value, int | float):
        raise ConfigurationError(f"{manifest.name}: parameters must hold the number {name}")
    return float(value)
