"""`overread train mammo-lesion`: a logistic regression over five features of marked regions."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.networks.weights import save_weights
from models.runtimes.lesion_features import NAMES, describe
from models.runtimes.mammo_lesion import WEIGHTS
from models.training.marked import marked_film
from models.training.metrics import Flags, Floats, bootstrap_interval, roc_auc
from models.training.request import Request, Watch
from models.training.tables import folds_by_patient, read_rows, split_rows
from node.store.download import sha256_of

RIDGE: Final = 3.0
"""Penalty on the weights of scaled features; not tuned."""
SEEDS: Final = 10
"""Cross-validations with other folds: with so few regions one alone is luck."""
STEPS: Final = 50
LEAST_DEVIATION: Final = 1e-3
"""So that a feature that never varies is divided by what half precision still knows."""
POSITIVE: Final = "malignant"


def train_lesion(request: Request, watch: Watch) -> dict[str, Any]:
    """Fit on the rows of train whose region is given by place, and say what cross-validation by patient gives.

    Beside the AUROC of all features stand those of the radius alone and of all but the radius: a mark's size says how the film
    was read before, not what the tissue looks like.
    """
    rows, found = [], []
    table = split_rows(read_rows(request.dataset, "label", "rois"), "train")
    watch.stage("marked regions", len(table))
    for row in table:
        image = marked_film(request.dataset, row)
        if image is not None and image.region is not None and image.spacing_mm is not None:
            rows.append(row)
            found.append(describe(np.asarray(image.array[0], dtype=np.float32), image.region, image.spacing_mm[1]))
        watch.advance()
    features, truth = np.array(found), np.array([row["label"] == POSITIVE for row in rows])
    patients = [row["patient"] for row in rows]
    parts = {"all": list(range(len(NAMES))), "radius alone": [0], "all but the radius": list(range(1, len(NAMES)))}
    figures = {}
    for name, columns in parts.items():
        rated = np.mean([_held_out(features[:, columns], truth, _folds(rows, request, seed)) for seed in range(SEEDS)], axis=0)

        def ranked(chosen: NDArray[np.intp], rated: Floats = rated) -> float:
            return roc_auc(truth[chosen], rated[chosen])

        figures[name] = {"auroc": ranked(np.arange(truth.size)), "auroc_ci": list(bootstrap_interval(ranked, patients))}
    mean, deviation, weight, offset = fit_logistic(features, truth)
    state = {"mean": mean, "deviation": deviation, "weight": weight, "offset": np.array([offset])}
    save_weights({name: torch.from_numpy(array).float() for name, array in state.items()}, request.out / WEIGHTS)
    record = {
        "model": "mammo-lesion",
        "dataset": request.dataset.name,
        "seed": request.seed,
        "regions": int(truth.size),
        "malignant": int(truth.sum()),
        "features": list(NAMES),
        "cross_validated": figures,
        "sha256": sha256_of(request.out / WEIGHTS),
    }
    request.write_record(record)
    return record


def fit_logistic(features: Floats, truth: Flags) -> tuple[Floats, Floats, Floats, float]:
    """Mean and deviation of each feature, its weight, and the offset, by Newton's method with a ridge."""
    mean, deviation = features.mean(0), np.maximum(features.std(0), LEAST_DEVIATION)
    scaled = np.c_[(features - mean) / deviation, np.ones(len(features))]
    penalty = np.diag([RIDGE] * features.shape[1] + [1e-6])
    weights = np.zeros(scaled.shape[1])
    for _ in range(STEPS):
        likely = 1 / (1 + np.exp(-scaled @ weights))
        slope = scaled.T @ (likely - truth) + penalty @ weights
        curvature = scaled.T @ (scaled * (likely * (1 - likely) + 1e-6)[:, None]) + penalty
        weights = weights - np.linalg.solve(curvature, slope)
    return mean, deviation, weights[:-1], float(weights[-1])


def _folds(rows: list[dict[str, str]], request: Request, seed: int) -> NDArray[np.intp]:
    return np.asarray(folds_by_patient(rows, request.folds, request.seed + seed))


def _held_out(features: Floats, truth: Flags, folds: NDArray[np.intp]) -> Floats:
    rated = np.zeros(truth.size)
    for fold in np.unique(folds):
        mean, deviation, weight, offset = fit_logistic(features[folds != fold], truth[folds != fold])
        rated[folds == fold] = ((features[folds == fold] - mean) / deviation) @ weight + offset
    return rated
