"""`overread train cxr-pneumonia` and `cxr-tb`: cross-validation inside train; its networks are the ensemble that ships."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.manifest import library_folder
from models.networks import efficientnet, squeezenet
from models.networks.film_classifier import EFFICIENTNET, SQUEEZENET, FilmClassifier
from models.networks.weights import load_weights, save_apart, save_weights
from models.runtimes.frontal_chest import FrontalChest
from models.runtimes.lung_fields import LungFinder
from models.training.calibration import fit_platt, unsure_band
from models.training.curve import draw_sizes
from models.training.film_tuning import gentle_steps, long_steps, tune_gently, tune_long
from models.training.finding import (
    PNEUMONIA,
    TUBERCULOSIS,
    Squares,
    Subject,
    describe,
    fit_heads,
    rate_films,
    show_films,
    strangeness,
)
from models.training.metrics import classification, roc_auc
from models.training.request import Request, Watch
from models.training.starts import find_start
from models.training.tables import Row, folds_by_patient, read_rows, split_rows
from node.store.download import sha256_of

THRESHOLD: Final = 0.5
STRANGER: Final = 1.1
"""A film may be this much stranger than the strangest of train, of which no network had seen it."""

_PARTS: Final = (0.25, 0.5, 1.0)
"""Parts of the films of the other folds that the learning curve's points learn from."""


@dataclass(frozen=True, slots=True)
class Learner:
    """How the networks of one family learn.

    Parameters
    ----------
    load
        Puts published weights of ImageNet into the features.
    penalty
        Of the squared weights of a head, chosen by cross-validation inside train.
    tune, steps
        Tunes the network, and in how many steps, of films and epochs.
    whole
        Whether networks that learned from all of train are shipped, not those of the folds.
    alike
        Networks that learn from the same films and differ by their seed alone; their mean answers.
    """

    load: Callable[[Any, Path], None]
    penalty: float
    tune: Callable[..., FilmClassifier]
    steps: Callable[[int, int], int]
    whole: bool
    alike: int


LEARNERS: Final = {
    SQUEEZENET: Learner(squeezenet.load_imagenet, 0.3, tune_gently, gentle_steps, whole=False, alike=1),
    EFFICIENTNET: Learner(efficientnet.load_imagenet, 0.02, tune_long, long_steps, whole=True, alike=3),
}


def train_finding(subject: Subject, request: Request, watch: Watch) -> dict[str, Any]:
    """Fine-tune the classifiers and return the record that is also written as ``training.json``.

    For each fold each view's head is fitted to what the network sees as ImageNet left it, then the network is tuned. The
    answers that calibrate are those for films that their network never saw. Of a family the networks of all folds together are
    what ships, or one that learned from all of train (`Learner.whole`).

    Raises
    ------
    ConfigurationError
        Where the folder, the ImageNet weights (`Request.init`) or the lung network's cannot be read.
    """
    views = subject.views
    starts = {network: find_start(request, subject.model, network, views.networks) for network in views.networks}
    rows = split_rows(read_rows(request.dataset, "label"), "train")
    lungs = request.lungs or library_folder() / "cxr-lungs" / "cxr-lungs.safetensors"
    watch.stage("films", len(rows))
    squares = show_films(request.dataset, rows, FrontalChest(LungFinder(lungs)), subject, watch.advance)
    labels = np.asarray([row["label"] == subject.positive for row in rows])
    folds = np.asarray(folds_by_patient(rows, request.folds, request.seed))
    learned = []
    for network, file in starts.items():
        start = FilmClassifier(len(views.of(network)), network).eval()
        LEARNERS[network].load(start.features, file)
        seen = [one for one, view in zip(squares, views.every, strict=True) if view.network == network]
        features = describe(start, seen, mirrored=False)
        name = f"{subject.model}-{network}" if len(starts) > 1 else subject.model
        learned.append(_learn(_Course(network, request, watch, start, seen, features, labels, folds), name))
    return _conclude(subject, request, rows, labels, learned)


train_pneumonia = partial(train_finding, PNEUMONIA)
train_tuberculosis = partial(train_finding, TUBERCULOSIS)


@dataclass(frozen=True, slots=True)
class _Course:
    """One family's training: the network as ImageNet left it, and the films, what it sees of them, their labels and folds."""

    network: str
    request: Request
    watch: Watch
    start: FilmClassifier
    squares: Squares
    features: torch.Tensor
    labels: NDArray[np.bool_]
    folds: NDArray[np.int_]


@dataclass(frozen=True, slots=True)
class _Learned:
    """What came of one family.

    Parameters
    ----------
    network
        The family.
    weights
        Files of what ships.
    members
        How many that are.
    by_size
        By the part of the films learned from, ``(film, view)`` logits of heads alone.
    logits, strange
        ``(film, view)`` and ``(film,)`` of the tuned networks; each film by the one that did not learn from it.
    """

    network: str
    weights: tuple[Path, ...]
    members: int
    by_size: dict[float, NDArray[np.float64]]
    logits: NDArray[np.float64]
    strange: NDArray[np.float64]


def _learn(course: _Course, name: str) -> _Learned:
    """Cross-validate one family, and write its weights under a name."""
    request, labels, squares = course.request, course.labels, course.squares
    by_size = {part: _held_out_by_heads(course, part) for part in _PARTS}
    logits, strange, members = np.zeros((len(labels), len(squares))), np.zeros(len(labels)), []
    alike = range(LEARNERS[course.network].alike)
    for fold in range(request.folds):
        held = np.flatnonzero(course.folds == fold)
        for number in alike:
            members.append(_tuned(course, fold, number))
            described = describe(members[-1], [view[held] for view in squares], mirrored=True)
            logits[held] += rate_films(members[-1], described) / len(alike)
            strange[held] += strangeness(members[-1], described) / len(alike)
    file = request.out / f"{name}.safetensors"
    if LEARNERS[course.network].whole:
        members = [_tuned(course, None, number) for number in alike]
        files = save_apart(members, "members.", file)
    else:
        save_weights(torch.nn.ModuleDict({"members": torch.nn.ModuleList(members)}).state_dict(), file)
        files = (file,)
    return _Learned(course.network, files, len(members), by_size, logits, strange)


def _conclude(
    subject: Subject, request: Request, rows: list[Row], labels: NDArray[np.bool_], learned: list[_Learned]
) -> dict[str, Any]:
    """Calibrate what the families answer together, and write learning curve and record."""
    views = subject.views
    logits = _side_by_side(subject, {one.network: one.logits for one in learned})
    strange = np.average([one.strange for one in learned], axis=0, weights=[len(views.of(one.network)) for one in learned])
    np.save(request.out / "held-out.npy", logits)  # to repeat the calibration, or to weigh the views anew, without training
    combined = views.combine(logits)
    platt = fit_platt(labels, combined)
    probabilities = platt.probability(combined)
    band = unsure_band(labels, probabilities, THRESHOLD)
    by_size = {
        part: roc_auc(labels, views.combine(_side_by_side(subject, {one.network: one.by_size[part] for one in learned})))
        for part in _PARTS
    }
    curve = {round(part * len(rows) * (1 - 1 / request.folds)): figure for part, figure in by_size.items()}
    draw_sizes(curve, request.out / "learning-curve.png")
    groups = [row["patient"] for row in rows]
    record = {
        "model": subject.model,
        "dataset": request.dataset.name,
        "seed": request.seed,
        "rows": len(rows),
        "epochs": request.epochs,
        "members": [one.members for one in learned],
        "views": [view.shown.value for view in views.every],
        "sides": [view.side for view in views.every],
        "shares": [view.share for view in views.every],
        "networks": [view.network for view in views.every],
        "learned_side": subject.learned_side,
        "squashed": subject.squashed,
        "strangest": round(STRANGER * float(strange.max()), 2),
        "slope": platt.slope,
        "offset": platt.offset,
        "threshold": THRESHOLD,
        "unsure": list(band),
        "cross_validation": classification(labels, probabilities, groups, THRESHOLD, band),
        "cross_validation_auroc_of_heads_alone": by_size[1.0],
        "cross_validation_auroc_by_view": {
            f"{view.shown}, {view.network}": roc_auc(labels, logits[:, index]) for index, view in enumerate(views.every)
        },
        "cross_validation_auroc_by_part": {
            part.value: roc_auc(labels, views.combine(logits, part)) for part in dict.fromkeys(view.shown for view in views.every)
        },
        "sha256": {file.name: sha256_of(file) for one in learned for file in one.weights},
    }
    request.write_record(record)
    return record


def _side_by_side(subject: Subject, logits: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """``(film, view)`` of all views, of ``(film, view)`` by family."""
    views = subject.views
    return np.stack([logits[view.network][:, views.head(view)] for view in views.every], 1)


def _tuned(course: _Course, fold: int | None, alike: int) -> FilmClassifier:
    """The network that learned from all films but those of a fold; the one that an interrupted run kept, where it goes on.

    Parameters
    ----------
    fold
        None: it learned from all films.
    alike
        Which of those that differ by their seed alone.
    """
    request, network, learner = course.request, copy.deepcopy(course.start), LEARNERS[course.network]
    learned = np.arange(len(course.labels)) if fold is None else np.flatnonzero(course.folds != fold)
    number = alike * (request.folds + 1) + (request.folds if fold is None else fold)
    name = "all films" if fold is None else f"fold {fold + 1} of {request.folds}"
    stage = f"{course.network} {alike + 1} of {learner.alike}, {name}"
    course.watch.stage(stage, learner.steps(len(learned), request.epochs))
    kept = request.checkpoint(f"{course.network}-{number + 1}")
    if not kept.exists():
        targets = torch.from_numpy(course.labels[learned]).float()
        fit_heads(network, course.features[learned], targets, learner.penalty)
        shown = [view[learned] for view in course.squares]
        network = learner.tune(
            network, shown, targets, epochs=request.epochs, seed=request.seed + number, advance=course.watch.advance
        )
        save_weights(network.state_dict(), kept)
    load_weights(network, kept)  # in half precision, as it ships: what is measured is what is kept
    return network.eval()


def _held_out_by_heads(course: _Course, part: float) -> NDArray[np.float64]:
    """``(film, view)`` logits of each film by heads that learned from a part of the other folds' films."""
    features, labels, network = course.features, course.labels, copy.deepcopy(course.start)
    logits = np.zeros((len(labels), features.shape[2]))
    random = np.random.default_rng(course.request.seed)
    for fold in range(course.request.folds):
        others = np.flatnonzero(course.folds != fold)
        learned = random.permutation(others)[: max(2, round(part * len(others)))]
        fit_heads(network, features[learned], torch.from_numpy(labels[learned]).float(), LEARNERS[course.network].penalty)
        held = np.flatnonzero(course.folds == fold)
        logits[held] = rate_films(network, features[held])
    return logits
