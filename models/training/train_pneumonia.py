"""`overread train cxr-pneumonia`: cross-validation inside train, calibration on its answers, then heads on all of train."""

from __future__ import annotations

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
from models.training.pneumonia import POSITIVE, describe_films, fit_heads, rate_films
from models.training.request import Request, Watch
from models.training.tables import Row, folds_by_patient, read_rows, split_rows
from node.store.errors import ConfigurationError

WEIGHTS: Final = "cxr-pneumonia.safetensors"
THRESHOLD: Final = 0.5
_PARTS: Final = (0.125, 0.25, 0.5, 0.75, 1.0)
"""Parts of the films of the other folds that the learning curve's points learn from."""


def train_pneumonia(request: Request, watch: Watch) -> dict[str, Any]:
    """Train the classifier's heads and return the record that is also written as ``training.json``.

    The network stays as ImageNet left it: training its later half as well made the answers for held-out films worse
    (see the model card), so there are no epochs.

    Raises
    ------
    ConfigurationError
        Where the folder, the ImageNet weights (`Request.init`) or the lung network's cannot be read.
    """
    if request.init is None:
        raise ConfigurationError("cxr-pneumonia starts from SqueezeNet 1.0 weights of ImageNet: give them with --init PATH")
    rows = split_rows(read_rows(request.dataset, "label"), "train")
    network = FilmClassifier(len(SHOWN)).eval()
    load_imagenet(network.features, request.init)
    lungs = request.lungs or library_folder() / "cxr-lungs" / "cxr-lungs.safetensors"
    watch.stage("films", len(rows))
    features = describe_films(network, request.dataset, rows, FrontalChest(LungFinder(lungs)), watch.advance)
    return learn_heads(request, network, rows, features)


def learn_heads(request: Request, network: FilmClassifier, rows: list[Row], features: torch.Tensor) -> dict[str, Any]:
    """Cross-validate, calibrate, fit the heads on all films, and write weights, learning curve and record.

    Parameters
    ----------
    features
        ``(film, 2, view, 1024)`` of `describe_films`.
    """
    labels = np.asarray([row["label"] == POSITIVE for row in rows])
    folds = np.asarray(folds_by_patient(rows, request.folds, request.seed))
    by_size = {part: _held_out(request, network, (features, labels, folds), part) for part in _PARTS}
    logits = by_size[1.0]
    platt = fit_platt(labels, combine(logits))
    probabilities = platt.probability(combine(logits))
    band = unsure_band(labels, probabilities, THRESHOLD)
    fit_heads(network, features, torch.from_numpy(labels).float())
    weights = request.out / WEIGHTS
    save_weights(network.state_dict(), weights)
    learned = {round(part * len(rows) * (1 - 1 / request.folds)): combine(answers) for part, answers in by_size.items()}
    draw_sizes({count: roc_auc(labels, answers) for count, answers in learned.items()}, request.out / "learning-curve.png")
    groups = [row["patient"] for row in rows]
    record = {
        "model": "cxr-pneumonia",
        "dataset": request.dataset.name,
        "seed": request.seed,
        "rows": len(rows),
        "folds": request.folds,
        "slope": platt.slope,
        "offset": platt.offset,
        "threshold": THRESHOLD,
        "unsure": list(band),
        "cross_validation": classification(labels, probabilities, groups, THRESHOLD, band),
        "cross_validation_auroc_by_view": {one.value: roc_auc(labels, logits[:, index]) for index, one in enumerate(SHOWN)},
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }
    request.write_record(record)
    return record


def _held_out(
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
