"""`cxr-pneumonia`, `cxr-tb`: the calibrated probability of one finding on frontal chest radiographs, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray

from models.image import Image
from models.manifest import Manifest
from models.networks.film_classifier import SQUEEZENET, Ensemble, FilmClassifier
from models.networks.weights import load_weights
from models.prediction import HeatMap, Prediction, Rating
from models.runtimes.chest_views import Shown, View, Views, origin, show, square
from models.runtimes.film import Grey, Letterbox, reduce, squash
from models.runtimes.frontal_chest import Chest, FrontalChest
from models.runtimes.heat_map import Contributions, Maps, Place, enlarge, heat, integrate, lay_out, smooth
from models.runtimes.lung_fields import LungFinder, Mask
from models.runtimes.radiograph import take_film
from node.store.errors import ConfigurationError, Refused

METHOD: Final = "integrated gradients"

NOTHING: Final = 0.5
"""The grey that hidden places and the margins of a square are shown as."""


class ChestFinding(Maps):
    """Rates one finding with an ensemble of each family, from one or several parts of the film, each as it is and mirrored.

    Parameters
    ----------
    manifest
        One finding; parameters ``slope`` and ``offset`` of the calibration, ``views``, ``sides``, ``shares`` and ``networks``
        (`views_of`), ``members`` of each network's ensemble (`members_of`), ``learned_side`` and ``squashed`` of the films that
        were learned from (`as_learned`), and ``strangest``: how strange a film may be (`FilmClassifier.strangeness`).
    weights
        The files of the ensembles, each named after its network where there are several, then the lung network's.
    device
        As torch spells it.

    Raises
    ------
    ConfigurationError
        Where the manifest lacks a parameter or names other files.
    """

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        self._views = views_of(manifest)
        networks = self._views.networks
        *own, lungs = (one.file for one in manifest.weights)
        files = files_of(own, networks)
        if not all(files.values()) or sum(map(len, files.values())) != len(own) or len(manifest.findings) != 1:
            raise ConfigurationError(
                f"{manifest.name}: needs one finding, and files of weights: of {', '.join(networks)}, each named after its "
                "network where there are several, and last the lung network's"
            )
        self._finding = manifest.findings[0].key
        self._slope, self._offset = (manifest.number(name) for name in ("slope", "offset"))
        self._learned_side = int(manifest.number("learned_side"))
        self._squashed = bool(manifest.parameters.get("squashed"))
        self._strangest = manifest.number("strangest")
        self._chest = FrontalChest(LungFinder(weights[lungs], device))
        self._members = {
            network: read_members([weights[file] for file in files[network]], count, self._views, network, device)
            for network, count in zip(networks, members_of(manifest, networks), strict=True)
        }
        self._device = device
        self._part: Shown | None = None

    def showing(self, part: Shown) -> ChestFinding:
        """The same model that is shown the film in part (`models.runtimes.chest_views.Views.alone`), to learn what it rests on.

        Raises
        ------
        ConfigurationError
            Where the part says nothing of this model.
        """
        self._views.alone(part)
        return self._twin(_part=part, _mapping=False)

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
        logits = {network: np.zeros((len(members), 2)) for network, members in self._members.items()}
        strangeness = []
        with torch.inference_mode():
            for part, view, share in self._views.asked(self._part):
                seen = show(film, lungs, part)
                if hidden is not None:
                    row, column = origin(lungs, part)
                    seen = np.where(hidden[row : row + seen.shape[0], column : column + seen.shape[1]], np.float32(NOTHING), seen)
                one = square(seen, view.side).to(self._device)
                head, rated, strange = self._views.head(view), [], []
                for network in self._members[view.network]:
                    described = network.describe(torch.cat([one, one.flip(3)]))
                    rated.append(network.rate_as(described, head).double().cpu().numpy())
                    strange.append(float(network.strangeness(described[:1], head)))
                logits[view.network] += share * np.stack(rated)
                strangeness.append(np.mean(strange))
        return Answer(together(list(logits.values())), float(np.mean(strangeness)))

    def explain(self, film: Grey, lungs: Mask) -> Contributions:
        """What each place of a film adds to the logit; film and lungs as in `read`."""
        added = np.zeros(film.shape, dtype=np.float32)
        for part, view, share in self._views.asked(self._part):
            seen, head, members = show(film, lungs, part), self._views.head(view), self._members[view.network]
            one = square(seen, view.side).to(self._device)
            place = Place(Letterbox(seen.shape[0], seen.shape[1], view.side), *origin(lungs, part))
            for network in members:
                pixels = integrate(one, NOTHING, lambda way, by=network, of=head: by.rate_as(by.describe(way), of))  # type: ignore[misc]
                added += np.float32(share / len(members)) * lay_out(pixels, place, film.shape)
        return smooth(added)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an ensemble says of a film.

    Parameters
    ----------
    logits
        Of the film and of its mirror image by each choice of one member of every family (`together`).
    strangeness
        Mean over views of the mean over the members that see each (`FilmClassifier.strangeness`).
    """

    logits: NDArray[np.float64]
    strangeness: float


def together(families: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """What all families say together, by each choice of one member of every family: its spread is that of all of them.

    Parameters
    ----------
    families
        Of each ``(member, 2)``: what its members add for the film and for its mirror image.

    Returns
    -------
    ndarray
        Two numbers for each choice, in one row.
    """
    chosen = np.zeros((1, 2))
    for family in families:
        chosen = (chosen[:, np.newaxis] + family).reshape(-1, 2)
    return chosen.ravel()


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
    """What the model of a manifest is shown: parameters ``views``, ``sides``, ``shares`` and, where not all are SqueezeNets,
    ``networks``, each a list (`models.runtimes.chest_views.View`).

    Raises
    ------
    ConfigurationError
        Where its parameters do not say it.
    """
    views, sides, shares = (manifest.parameters.get(name) for name in ("views", "sides", "shares"))
    if not (isinstance(views, list) and isinstance(sides, list) and isinstance(shares, list)):
        raise ConfigurationError(f"{manifest.name}: parameters must hold the lists views, sides and shares")
    named = manifest.parameters.get("networks")
    networks = named if isinstance(named, list) else [SQUEEZENET] * len(views)
    try:
        parts, numbers = [Shown(str(one)) for one in views], [int(side) for side in sides]
        lines = zip(parts, numbers, [float(share) for share in shares], [str(name) for name in networks], strict=True)
        return Views(tuple(View(*line) for line in lines))
    except ValueError as unfit:
        raise ConfigurationError(f"{manifest.name}: views, sides, shares and networks: {unfit}") from unfit


def members_of(manifest: Manifest, networks: tuple[str, ...]) -> list[int]:
    """The number of members of each network's ensemble: parameter ``members``, one number for all or a list.

    Raises
    ------
    ConfigurationError
        Where the list is of another length.
    """
    stated = manifest.parameters.get("members")
    counts = stated if isinstance(stated, list) else [manifest.number("members")] * len(networks)
    if len(counts) != len(networks) or not all(isinstance(one, int | float) for one in counts):
        raise ConfigurationError(f"{manifest.name}: members must be one number, or one for each of {', '.join(networks)}")
    return [int(one) for one in counts]


def files_of(names: Sequence[str], networks: tuple[str, ...]) -> dict[str, list[str]]:
    """The files of weights of each network: all are those of a single one, and of several each is named after its own."""
    return {network: [name for name in names if len(networks) == 1 or network in name] for network in networks}


def read_members(files: Sequence[Path], count: int, views: Views, network: str, device: str) -> tuple[FilmClassifier, ...]:
    """The members of one family's ensemble, ready to answer.

    Raises
    ------
    ConfigurationError
        Where the files hold others.
    """
    ensemble = Ensemble(count, len(views.of(network)), network)
    load_weights(ensemble, *files)
    ensemble.eval().requires_grad_(requires_grad=False).to(device)
    return tuple(cast("FilmClassifier", member) for member in ensemble.members)


def both(chest: Chest) -> Mask:
    """Both lung fields in one mask; all of the film where there are none."""
    left, right = chest.outlines()
    fields: Mask = left | right
    return fields if fields.any() else np.ones_like(fields)
