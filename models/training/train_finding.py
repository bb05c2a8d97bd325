"""`overread train cxr-pneumonia` and `cxr-tb`: cross-validation inside train; its networks are the ensemble that ships."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.manifest import library_folder
from models.networks.film_classifier import Ensemble, FilmClassifier
from models.networks.squeezenet import load_imagenet
from models.networks.weights import load_weights, save_weights
from models.runtimes.frontal_chest import FrontalChest
from models.runtimes.lung_fields import LungFinder
from models.training.calibration import fit_platt, unsure_band
from models.training.curve import draw_sizes
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
    tune,
    tuning_steps,
)
from models.training.metrics import classification, roc_auc
from models.training.request import Request, Watch
from models.training.tables import Row, folds_by_patient, read_rows, split_rows
from node.store.download import sha256_of
from node.store.errors import ConfigurationError

THRESHOLD: Final = 0.5
STRANGER: Final = 1.1
"""A film may be this much stranger than the strangest of train, of which no network had seen it."""

_PARTS: Final = (0.25, 0.5, 1.0)
"""Parts of the films of the other folds that the learning curve's points learn from."""


def train_finding(subject: Subject, request: Request, watch: Watch) -> dict[str, Any]:
    """Fine-tune the classifiers and return the record that is also written as ``training.json``.

    For each fold each view's head is fitted to what the network sees as ImageNet left it, then all of it is tuned for
    `Request.epochs`. The answers that calibrate are those for films that their network never saw; the networks of all folds
    together are what ships.

    Raises
    ------
    ConfigurationError
        Where the folder, the ImageNet weights (`Request.init`) or the lung network's cannot be read.
    """
    if request.init is None:
        raise ConfigurationError(f"{subject.model} starts from SqueezeNet 1.0 weights of ImageNet: give them with --init PATH")
    rows = split_rows(read_rows(request.dataset, "label"), "train")
    start = FilmClassifier(len(subject.views.shown)).eval()
    load_imagenet(start.features, request.init)
    lungs = request.lungs or library_folder() / "cxr-lungs" / "cxr-lungs.safetensors"
    watch.stage("films", len(rows))
    squares = show_films(request.dataset, rows, FrontalChest(LungFinder(lungs)), subject, watch.advance)
    labels = np.asarray([row["label"] == subject.positive for row in rows])
    folds = np.asarray(folds_by_patient(rows, request.folds, request.seed))
    return _learn(_Course(subject, request, watch, start, squares, describe(start, squares, mirrored=False), labels, folds), rows)


train_pneumonia = partial(train_finding, PNEUMONIA)
train_tuberculosis = partial(train_finding, TUBERCULOSIS)


@dataclass(frozen=True, slots=True)
class _Course:
    """One training run: the network as ImageNet left it, and the films, what it sees of them, their labels and folds."""

    subject: Subject
    request: Request
    watch: Watch
    start: FilmClassifier
    squares: Squares
    features: torch.Tensor
    labels: NDArray[np.bool_]
    folds: NDArray[np.int_]


def _learn(course: _Course, rows: list[Row]) -> dict[str, Any]:
    """Cross-validate, calibrate, and write weights, learning curve and record."""
    subject, request, labels, squares = course.subject, course.request, course.labels, course.squares
    by_size = {part: _held_out_by_heads(course, part) for part in _PARTS}
    logits = np.zeros((len(labels), len(squares)))
    strange = np.zeros(len(labels))
    ensemble = Ensemble(request.folds, len(squares))
    for fold in range(request.folds):
        tuned = _tuned(course, fold)
        held = np.flatnonzero(course.folds == fold)
        described = describe(tuned, [view[held] for view in squares], mirrored=True)
        logits[held], strange[held] = rate_films(tuned, described), strangeness(tuned, described)
        ensemble.members[fold] = tuned
    np.save(request.out / "held-out.npy", logits)  # to repeat the calibration, or to weigh the views anew, without training
    combined = subject.views.combine(logits)
    platt = fit_platt(labels, combined)
    probabilities = platt.probability(combined)
    band = unsure_band(labels, probabilities, THRESHOLD)
    weights = request.out / f"{subject.model}.safetensors"
    save_weights(ensemble.state_dict(), weights)
    curve = {round(part * len(rows) * (1 - 1 / request.folds)): answers for part, answers in by_size.items()}
    draw_sizes({count: roc_auc(labels, answers) for count, answers in curve.items()}, request.out / "learning-curve.png")
    groups = [row["patient"] for row in rows]
    record = {
        "model": subject.model,
        "dataset": request.dataset.name,
        "seed": request.seed,
        "rows": len(rows),
        "epochs": request.epochs,
        "members": request.folds,
        "views": [one.value for one in subject.views.shown],
        "sides": list(subject.views.sides),
        "shares": list(subject.views.shares),
        "learned_side": subject.learned_side,
        "squashed": subject.squashed,
        "strangest": round(STRANGER * float(strange.max()), 2),
        "slope": platt.slope,
        "offset": platt.offset,
        "threshold": THRESHOLD,
        "unsure": list(band),
        "cross_validation": classification(labels, probabilities, groups, THRESHOLD, band),
        "cross_validation_auroc_of_heads_alone": roc_auc(labels, by_size[1.0]),
        "cross_validation_auroc_by_view": {
            one.value: roc_auc(labels, logits[:, index]) for index, one in enumerate(subject.views.shown)
        },
        "sha256": sha256_of(weights),
    }
    request.write_record(record)
    return record


def _tuned(course: _Course, fold: int) -> FilmClassifier:
    """The network that learned from all films but those of a fold; the one that an interrupted run kept, where it goes on."""
    request, network = course.request, copy.deepcopy(course.start)
    learned = np.flatnonzero(course.folds != fold)
    course.watch.stage(f"fold {fold + 1} of {request.folds}", request.epochs * tuning_steps(len(learned)))
    kept = request.checkpoint(f"fold-{fold + 1}")
    if not kept.exists():
        targets = torch.from_numpy(course.labels[learned]).float()
        fit_heads(network, course.features[learned], targets, course.subject.penalty)
        shown = [view[learned] for view in course.squares]
        seed = request.seed + fold
        network = tune(network, shown, targets, epochs=request.epochs, seed=seed, advance=course.watch.advance)
        save_weights(network.state_dict(), kept)
    load_weights(network, kept)  # in half precision, as it ships: what is measured is what is kept
    return network.eval()


def _held_out_by_heads(course: _Course, part: float) -> NDArray[np.float64]:
    """``(film,)`` logits of each film by heads that learned from a part of the other folds' films."""
    features, labels, network = course.features, course.labels, copy.deepcopy(course.start)
    logits = np.zeros((len(labels), features.shape[2]))
    random = np.random.default_rng(course.request.seed)
    for fold in range(course.request.folds):
        others = np.flatnonzero(course.folds != fold)
        learned = random.permutation(others)[: max(2, round(part * len(others)))]
        fit_heads(network, features[learned], torch.from_numpy(labels[learned]).float(), course.subject.penalty)
        held = np.flatnonzero(course.folds == fold)
        logits[held] = rate_films(network, features[held])
    return course.subject.views.combine(logits)
