"""`overread train skin-7`: a network for each of some folds of lesions, rated on the lesions that it never saw, and shipped."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models.networks.lesion_net import LesionNet
from models.networks.squeezenet import load_imagenet
from models.networks.weights import save_weights
from models.training.curve import draw_curve
from models.training.finding_figures import choice, confusion
from models.training.fit import History, Plan, fit
from models.training.lesions import LesionRecipe, describe, fit_head, rate, read_squares
from models.training.metrics import recalls, roc_auc
from models.training.request import Request, Watch
from models.training.tables import folds_by_patient, read_rows, split_rows
from node.store.download import sha256_of
from node.store.errors import ConfigurationError

WEIGHTS: Final = "skin-7.safetensors"
KINDS: Final = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
"""In the order of the network's outputs and of the manifest's findings."""

NETWORKS: Final = 3
"""Folds whose network is made; the figures are those of the lesions that these held out. More would be better, and slower."""

FROZEN: Final = ("conv1", "fire2")
"""Layers that stay as ImageNet left them: edges and colours are the same everywhere, and tuning these takes half of the time."""

_LOOKED_AT: Final = 600
"""Pictures from which the first head is fitted, and from which the usual is learned."""

BATCH: Final = 16
RATE: Final = 3e-4
SENSITIVE: Final = 0.85
"""Part of the melanomas that the operating point shall find, on lesions that the network did not learn from."""

STRANGE: Final = 99.5
"""Percentile of the strangeness of lesions that the network did not learn from, beyond which a picture is refused."""

_SCORED: Final = 150


def train_skin(request: Request, watch: Watch) -> dict[str, Any]:
    """Fine-tune the networks and return the record that is also written as ``training.json``.

    Raises
    ------
    ConfigurationError
        Where the folder or the ImageNet weights (`Request.init`) cannot be read, or a label is unknown.
    """
    if request.init is None:
        raise ConfigurationError("skin-7 starts from SqueezeNet 1.0 weights of ImageNet: give them with --init PATH")
    rows = split_rows(read_rows(request.dataset, "label"), "train")
    if strange := {row["label"] for row in rows} - set(KINDS):
        raise ConfigurationError(f"column label holds {min(strange)}; there are {', '.join(KINDS)}")
    squares, kinds = read_squares(request.dataset, rows), torch.tensor([KINDS.index(row["label"]) for row in rows])
    folds = torch.tensor(folds_by_patient(rows, request.folds, request.seed))
    networks, histories = nn.ModuleList(), dict[str, History]()
    logits, strangeness = torch.zeros(len(rows), len(KINDS)), torch.zeros(len(rows))
    parts = min(NETWORKS, request.folds)
    for fold in range(parts):
        learned, held = torch.nonzero(folds != fold)[:, 0], torch.nonzero(folds == fold)[:, 0]
        name = f"fold {fold + 1} of {request.folds}"
        network, histories[name] = _learn(request, watch, (squares, kinds), (name, fold, learned, held))
        logits[held], strangeness[held] = rate(network, squares[held])
        networks.append(network)
    seen = torch.nonzero(folds < parts)[:, 0]
    weights = request.out / WEIGHTS
    save_weights(networks.state_dict(), weights)
    draw_curve(histories, request.out / "learning-curve.png", "balanced accuracy, held out")
    groups = [rows[index]["patient"] for index in seen.tolist()]
    record = {
        "model": "skin-7",
        "dataset": request.dataset.name,
        "seed": request.seed,
        "rows": len(rows),
        "folds": request.folds,
        "epochs": request.epochs,
        "networks": len(networks),
        **calibrate(logits[seen], kinds[seen], groups),
        "strange": float(np.percentile(strangeness[seen].numpy(), STRANGE)),
        "sha256": sha256_of(weights),
    }
    request.write_record(record)
    return record


def _learn(
    request: Request, watch: Watch, pictures: tuple[Tensor, Tensor], part: tuple[str, int, Tensor, Tensor]
) -> tuple[LesionNet, History]:
    """One network: its name, its number, the pictures that it learns from and those that are held out."""
    (squares, kinds), (name, number, learned, held) = pictures, part
    network = LesionNet(len(KINDS))
    if request.init is not None:
        load_imagenet(network.features, request.init)
    for frozen in FROZEN:
        network.features.get_submodule(frozen).requires_grad_(False)
    some = learned[torch.randperm(len(learned), generator=torch.Generator().manual_seed(request.seed))[:_LOOKED_AT]]
    fit_head(network, describe(network.eval(), squares[some]), kinds[some])
    scored = held[:: max(1, len(held) // _SCORED)]
    recipe = LesionRecipe(squares[learned], kinds[learned], (squares[scored], kinds[scored]), BATCH)
    plan = Plan(math.ceil(request.epochs * len(learned) / BATCH), RATE, decay=1e-2, every=100, seed=request.seed + number)
    watch.stage(name, plan.steps)
    checkpoint = request.checkpoint(f"fold-{number}")
    network, history = fit(network, recipe, plan, checkpoint=checkpoint, report=lambda _step, loss: watch.advance(loss))
    network.learn_usual(describe(network, squares[some]))
    return network, history


def calibrate(logits: Tensor, kinds: Tensor, groups: list[str]) -> dict[str, Any]:
    """Temperature, melanoma's operating point, and figures, from logits of lesions that their network did not learn from.

    The temperature is that of the least cross-entropy with all kinds counting alike: the probabilities hold for lesions of which
    each kind is equally common, as nobody knows how common they are where the model is used.
    """
    weights = 1 / torch.bincount(kinds, minlength=len(KINDS)).clamp(min=1).float()
    found = minimize_scalar(lambda value: float(cross_entropy(logits / value, kinds, weights)), bounds=(0.2, 5), method="bounded")
    probabilities = torch.softmax(logits / float(found.x), 1).double().numpy()
    truth = kinds.numpy()
    melanoma = KINDS.index("mel")
    threshold = round(float(np.quantile(probabilities[truth == melanoma, melanoma], 1 - SENSITIVE)), 3)
    sensitivity, specificity = recalls(truth == melanoma, probabilities[:, melanoma] >= threshold)
    headline, by_kind = choice(truth, probabilities, groups)
    return {
        "temperature": float(found.x),
        "melanoma": {
            "threshold": threshold,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "auroc": roc_auc(truth == melanoma, probabilities[:, melanoma]),
        },
        "cross_validation": headline,
        "recall": {kind: figures["recall"] for kind, figures in zip(KINDS, by_kind, strict=True)},
        "confusion": confusion(truth, probabilities.argmax(1), len(KINDS)),
    }
