"""`overread train cxr-pneumonia`: cross-validation inside train, calibration on its answers, then one network on all of train."""

from __future__ import annotations

import copy
import hashlib
import math
from typing import Any, Final

import numpy as np
import torch

from models.manifest import library_folder
from models.networks.squeezenet import FilmClassifier, load_imagenet
from models.networks.weights import save_weights
from models.runtimes.chest_views import SHOWN, combine
from models.runtimes.frontal_chest import FrontalChest
from models.runtimes.lung_fields import LungFinder
from models.training.calibration import fit_platt, unsure_band
from models.training.curve import draw_curve
from models.training.fit import History, Plan, fit
from models.training.metrics import classification
from models.training.pneumonia import POSITIVE, PneumoniaRecipe, Stems, compute_stems, fit_heads, outline, pool_stems, rate_stems
from models.training.request import Request, Watch
from models.training.tables import folds_by_patient, read_rows, split_rows
from node.store.errors import ConfigurationError

WEIGHTS: Final = "cxr-pneumonia.safetensors"
VARIANTS: Final = 4
BATCH: Final = 24
RATE: Final = 1e-4
THRESHOLD: Final = 0.5


def train_pneumonia(request: Request, watch: Watch) -> dict[str, Any]:
    """Train the classifier and return the record that is also written as ``training.json``.

    Raises
    ------
    ConfigurationError
        Where the folder, the ImageNet weights (`Request.init`) or the lung network's cannot be read.
    """
    if request.init is None:
        raise ConfigurationError("cxr-pneumonia starts from SqueezeNet 1.0 weights of ImageNet: give them with --init PATH")
    torch.manual_seed(request.seed)
    rows = split_rows(read_rows(request.dataset, "label"), "train")
    labels = np.asarray([row["label"] == POSITIVE for row in rows])
    start = FilmClassifier(len(SHOWN))
    load_imagenet(start.features, request.init)
    stems = _stems(request, start, watch)
    watch.stage("features", len(rows))
    pooled = pool_stems(start, stems, watch.advance)
    folds = np.asarray(folds_by_patient(rows, request.folds, request.seed))
    logits = np.zeros((len(rows), len(SHOWN)))
    histories: dict[str, History] = {}
    for fold in range(request.folds):
        held = stems.take(folds == fold)
        network = copy.deepcopy(start)
        kept = torch.from_numpy(folds != fold)
        fit_heads(network, pooled[kept], stems.labels[kept])
        if request.epochs:
            name = f"fold-{fold + 1}"
            network, histories[name] = _refine(request, network, stems.take(folds != fold), held, name=name, watch=watch)
        logits[folds == fold] = rate_stems(network, held)
    mean = combine(logits)
    platt = fit_platt(labels, mean)
    probabilities = platt.probability(mean)
    band = unsure_band(labels, probabilities, THRESHOLD)
    network = copy.deepcopy(start)
    fit_heads(network, pooled, stems.labels)
    if request.epochs:
        network, histories["all"] = _refine(request, network, stems, None, name="all", watch=watch)
    weights = request.out / WEIGHTS
    save_weights(network.state_dict(), weights)
    if histories:
        draw_curve(histories, request.out / "learning-curve.png", "AUROC, held-out fold")
    groups = [row["patient"] for row in rows]
    record = {
        "model": "cxr-pneumonia",
        "dataset": request.dataset.name,
        "seed": request.seed,
        "epochs": request.epochs,
        "rows": len(rows),
        "folds": request.folds,
        "slope": platt.slope,
        "offset": platt.offset,
        "threshold": THRESHOLD,
        "unsure": list(band),
        "cross_validation": classification(labels, probabilities, groups, THRESHOLD, band),
        "cross_validation_by_view": {
            one.value: classification(labels, platt.probability(logits[:, index]), groups, THRESHOLD, band)["auroc"]
            for index, one in enumerate(SHOWN)
        },
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }
    request.write_record(record)
    return record


def _stems(request: Request, start: FilmClassifier, watch: Watch) -> Stems:
    rows = split_rows(read_rows(request.dataset, "label"), "train")
    lungs = request.lungs or library_folder() / "cxr-lungs" / "cxr-lungs.safetensors"
    watch.stage("lung fields", len(rows))
    films = outline(request.dataset, rows, FrontalChest(LungFinder(lungs)), watch.advance)
    watch.stage("variants of films", len(rows))
    generator = torch.Generator().manual_seed(request.seed)
    labels = [row["label"] == POSITIVE for row in rows]
    return compute_stems(start.features, films, labels, variants=VARIANTS, generator=generator, advance=watch.advance)


def _refine(
    request: Request, network: FilmClassifier, stems: Stems, held: Stems | None, *, name: str, watch: Watch
) -> tuple[FilmClassifier, History]:
    """Train the network's later half and its heads, from where the heads alone were fitted."""
    for frozen in ("conv1", "fire2", "fire3", "fire4"):
        network.features.get_submodule(frozen).requires_grad_(False)
    steps = math.ceil(request.epochs * len(stems.labels) / BATCH)
    plan = Plan(steps=steps, rate=RATE, decay=1e-2, averaging=0.98, every=max(1, steps // 5), seed=request.seed)
    watch.stage(name, steps)
    recipe = PneumoniaRecipe(stems, held, BATCH)
    return fit(network, recipe, plan, checkpoint=request.checkpoint(name), report=lambda _step, loss: watch.advance(loss))
