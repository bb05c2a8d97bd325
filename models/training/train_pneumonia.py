"""`overread train cxr-pneumonia`: cross-validation inside train, calibration on its answers, then all of train."""

from __future__ import annotations

import copy
import hashlib
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.manifest import library_folder
from models.networks.squeezenet import FilmClassifier, load_imagenet
from models.networks.weights import save_weights
from models.runtimes.chest_views import SHOWN, combine
from models.runtimes.frontal_chest import FrontalChest
from models.runtimes.lung_fields import LungFinder
from models.training.calibration import fit_platt, unsure_band
from models.training.curve import draw_sizes
from models.training.metrics import classification, roc_auc
from models.training.pneumonia import POSITIVE, Squares, describe, fit_heads, rate_films, show_films, tune, tuning_steps
from models.training.request import Request, Watch
from models.training.tables import Row, folds_by_patient, read_rows, split_rows
from node.store.errors import ConfigurationError

WEIGHTS: Final = "cxr-pneumonia.safetensors"
THRESHOLD: Final = 0.5
_PARTS: Final = (0.125, 0.25, 0.5, 0.75, 1.0)
"""Parts of the films of the other folds that the learning curve's points learn from."""


def train_pneumonia(request: Request, watch: Watch) -> dict[str, Any]:
    """Fine-tune the classifier and return the record that is also written as ``training.json``.

    First each view's head is fitted to what the network sees as ImageNet left it, then all of it is tuned for
    `Request.epochs`. The answers that calibrate it are those for films that their network never saw.

    Raises
    ------
    ConfigurationError
        Where the folder, the ImageNet weights (`Request.init`) or the lung network's cannot be read.
    """
    if request.init is None:
        raise ConfigurationError("cxr-pneumonia starts from SqueezeNet 1.0 weights of ImageNet: give them with --init PATH")
    rows = split_rows(read_rows(request.dataset, "label"), "train")
    start = FilmClassifier(len(SHOWN)).eval()
    load_imagenet(start.features, request.init)
    lungs = request.lungs or library_folder() / "cxr-lungs" / "cxr-lungs.safetensors"
    watch.stage("films", len(rows))
    squares = show_films(request.dataset, rows, FrontalChest(LungFinder(lungs)), watch.advance)
    return learn(request, watch, start, rows, squares)


def learn(request: Request, watch: Watch, start: FilmClassifier, rows: list[Row], squares: Squares) -> dict[str, Any]:
    """Cross-validate, calibrate, learn from all films, and write weights, learning curve and record.

    Parameters
    ----------
    start
        The network as ImageNet left it.
    squares
        What it is shown of the films (`models.training.pneumonia.show_films`).
    """
    labels = np.asarray([row["label"] == POSITIVE for row in rows])
    folds = np.asarray(folds_by_patient(rows, request.folds, request.seed))
    features = describe(start, squares)
    by_size = {part: _held_out_by_heads(request, start, (features, labels, folds), part) for part in _PARTS}
    logits = np.zeros((len(labels), len(SHOWN)))
    for fold in range(request.folds):
        learned, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        watch.stage(f"fold {fold + 1} of {request.folds}", request.epochs * tuning_steps(len(learned)))
        tuned = _learned(request, watch, start, (features, squares, labels), learned)
        logits[held] = rate_films(tuned, describe(tuned, [view[held] for view in squares]))
    platt = fit_platt(labels, combine(logits))
    probabilities = platt.probability(combine(logits))
    band = unsure_band(labels, probabilities, THRESHOLD)
    watch.stage("all films", request.epochs * tuning_steps(len(labels)))
    network = _learned(request, watch, start, (features, squares, labels), np.arange(len(labels)))
    weights = request.out / WEIGHTS
    save_weights(network.state_dict(), weights)
    curve = {round(part * len(rows) * (1 - 1 / request.folds)): combine(answers) for part, answers in by_size.items()}
    draw_sizes({count: roc_auc(labels, answers) for count, answers in curve.items()}, request.out / "learning-curve.png")
    groups = [row["patient"] for row in rows]
    record = {
        "model": "cxr-pneumonia",
        "dataset": request.dataset.name,
        "seed": request.seed,
        "rows": len(rows),
        "folds": request.folds,
        "epochs": request.epochs,
        "slope": platt.slope,
        "offset": platt.offset,
        "threshold": THRESHOLD,
        "unsure": list(band),
        "cross_validation": classification(labels, probabilities, groups, THRESHOLD, band),
        "cross_validation_auroc_of_heads_alone": roc_auc(labels, combine(by_size[1.0])),
        "cross_validation_auroc_by_view": {one.value: roc_auc(labels, logits[:, index]) for index, one in enumerate(SHOWN)},
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }
    request.write_record(record)
    return record


def _learned(
    request: Request,
    watch: Watch,
    start: FilmClassifier,
    films: tuple[torch.Tensor, Squares, NDArray[np.bool_]],
    learned: NDArray[np.int_],
) -> FilmClassifier:
    """The network after learning from some of the films."""
    features, squares, labels = films
    network = copy.deepcopy(start)
    targets = torch.from_numpy(labels[learned]).float()
    fit_heads(network, features[learned], targets)
    return tune(
        network, [view[learned] for view in squares], targets, epochs=request.epochs, seed=request.seed, advance=watch.advance
    )


def _held_out_by_heads(
    request: Request,
    network: FilmClassifier,
    films: tuple[torch.Tensor, NDArray[np.bool_], NDArray[np.int_]],
    part: float,
) -> NDArray[np.float64]:
    """``(film, view)`` logits of each film by heads that learned from a part of the other folds' films."""
    features, labels, folds = films
    logits = np.zeros((len(labels), len(SHOWN)))
    random = np.random.default_rng(request.seed)
    for fold in range(request.folds):
        others = np.flatnonzero(folds != fold)
        learned = random.permutation(others)[: max(2, round(part * len(others)))]
        fit_heads(network, features[learned], torch.from_numpy(labels[learned]).float())
        logits[folds == fold] = rate_films(network, features[np.flatnonzero(folds == fold)])
    return logits
