"""`overread train skin-7`: networks of two families for some folds of lesions each, rated together on those that neither saw."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models.networks import efficientnet, squeezenet
from models.networks.lesion_net import LesionNet
from models.networks.weights import save_weights
from models.training.curve import draw_curve
from models.training.finding_figures import choice, confusion
from models.training.fit import History, Plan, fit
from models.training.lesions import LesionRecipe, describe, fit_head, rate, read_squares
from models.training.metrics import recalls, roc_auc
from models.training.request import Request, Watch
from models.training.starts import find_start
from models.training.tables import folds_by_patient, read_rows, split_rows
from node.store.download import sha256_of
from node.store.errors import ConfigurationError

KINDS: Final = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
"""In the order of the networks' outputs and of the manifest's findings."""

NETWORKS: Final = 3
"""Folds whose networks are made; the figures are those of the lesions that these held out. More would be better, and slower."""


@dataclass(frozen=True, slots=True)
class Learner:
    """How the networks of one family are tuned.

    Parameters
    ----------
    family
        As in `models.networks.lesion_net.FAMILIES`.
    load
        Puts published weights of ImageNet into the features.
    frozen
        Layers that stay as ImageNet left them: edges and colours are the same everywhere, and these take half of the time.
    rate
        Highest learning rate.
    passes
        How often each picture is seen, as a part of `Request.epochs`.
    whole
        Whether one network that learned from all of train is shipped, not those of the folds.
    """

    family: str
    load: Callable[[Any, Path], None]
    frozen: tuple[str, ...]
    rate: float
    passes: float
    whole: bool


LEARNERS: Final = (
    Learner("squeezenet", squeezenet.load_imagenet, ("conv1", "fire2"), 3e-4, 1, whole=False),
    Learner(
        "efficientnet-lite0",
        efficientnet.load_imagenet,
        efficientnet.EARLY,
        5e-4,
        2 / 3,
        whole=True,
    ),
)

_LOOKED_AT: Final = 600
"""Pictures from which the first head is fitted, and from which the usual is learned."""

BATCH: Final = 16
SENSITIVE: Final = 0.85
"""Part of the melanomas that the operating point shall find, on lesions that the network did not learn from."""

STRANGE: Final = 99.5
"""Percentile of the strangeness of lesions that the network did not learn from, beyond which a picture is refused."""

_SCORED: Final = 150


@dataclass(frozen=True, slots=True)
class Lesions:
    """What is learned from.

    Parameters
    ----------
    squares
        As `models.training.lesions.read_squares` gives them.
    kinds, folds
        ``(n,)`` index of the kind, and the fold, of each.
    groups
        The lesion of each.
    """

    squares: Tensor
    kinds: Tensor
    folds: Tensor
    groups: list[str]


def train_skin(request: Request, watch: Watch) -> dict[str, Any]:
    """Fine-tune the networks and return the record that is also written as ``training.json``.

    Raises
    ------
    ConfigurationError
        Where the folder or the ImageNet weights (a file for each family in `Request.init`) cannot be read, or a label is unknown.
    """
    families = [learner.family for learner in LEARNERS]
    starts = [find_start(request, "skin-7", family, families) for family in families]
    lesions = read_lesions(request)
    parts = min(NETWORKS, request.folds)
    rated, hashes = [], dict[str, str]()
    for learner, start in zip(LEARNERS, starts, strict=True):
        networks, histories = dict[str, LesionNet](), dict[str, History]()
        for fold in range(parts):
            name = f"fold {fold + 1} of {request.folds}"
            held = lesions.folds == fold
            networks[name], histories[name] = _learn(request, watch, lesions, Task(learner, start, name, fold, held))
        rated.append(rate_held_out(list(networks.values()), lesions))
        draw_curve(histories, request.out / f"learning-curve-{learner.family}.png", "balanced accuracy, held out")
        if learner.whole:
            nothing = torch.zeros_like(lesions.folds, dtype=torch.bool)
            networks = {"all": _learn(request, watch, lesions, Task(learner, start, "all", parts, nothing))[0]}
        weights = request.out / f"skin-7-{learner.family}.safetensors"
        save_weights(nn.ModuleList(networks.values()).state_dict(), weights)
        hashes[weights.name] = sha256_of(weights)
    record = record_of(request, lesions, rated, parts) | {"sha256": hashes}
    request.write_record(record)
    return record


def read_lesions(request: Request) -> Lesions:
    """The lesions of train.

    Raises
    ------
    ConfigurationError
        Where the folder cannot be read, or a label is unknown.
    """
    rows = split_rows(read_rows(request.dataset, "label"), "train")
    if strange := {row["label"] for row in rows} - set(KINDS):
        raise ConfigurationError(f"column label holds {min(strange)}; there are {', '.join(KINDS)}")
    kinds = torch.tensor([KINDS.index(row["label"]) for row in rows])
    folds = torch.tensor(folds_by_patient(rows, request.folds, request.seed))
    return Lesions(read_squares(request.dataset, rows), kinds, folds, [row["patient"] for row in rows])


@dataclass(frozen=True, slots=True)
class Task:
    """One network: how and from what it starts, its name and number, and which lesions, ``(n,)``, it does not learn from."""

    learner: Learner
    start: Path
    name: str
    number: int
    held: Tensor


def _learn(request: Request, watch: Watch, lesions: Lesions, task: Task) -> tuple[LesionNet, History]:
    """One network, rounded to half precision as it is shipped, and its history."""
    squares, kinds, learner = lesions.squares, lesions.kinds, task.learner
    learned, held = torch.nonzero(~task.held)[:, 0], torch.nonzero(task.held)[:, 0]
    network = LesionNet(len(KINDS), learner.family)
    learner.load(network.features, task.start)
    for frozen in learner.frozen:
        network.features.get_submodule(frozen).requires_grad_(False)
    some = learned[torch.randperm(len(learned), generator=torch.Generator().manual_seed(request.seed))[:_LOOKED_AT]]
    fit_head(network, describe(network.eval(), squares[some]), kinds[some])
    scored = held[:: max(1, len(held) // _SCORED)]
    held_out = (squares[scored], kinds[scored]) if len(scored) else None
    recipe = LesionRecipe(squares[learned], kinds[learned], network.family.side, held_out, BATCH)
    steps = math.ceil(round(request.epochs * learner.passes) * len(learned) / BATCH)
    plan = Plan(steps, learner.rate, decay=1e-2, every=100, seed=request.seed + task.number)
    watch.stage(f"{learner.family}, {task.name}", plan.steps)
    checkpoint = request.checkpoint(f"{learner.family}-{task.number}")
    network, history = fit(network, recipe, plan, checkpoint=checkpoint, report=lambda _step, loss: watch.advance(loss))
    network.learn_usual(describe(network, squares[some]))
    return network.half().float(), history


def rate_held_out(networks: list[LesionNet], lesions: Lesions) -> tuple[Tensor, Tensor]:
    """Logits, ``(n, kind)``, and strangeness, ``(n,)``, of the lesions that each network held out, as one; 0 for all others."""
    logits, strangeness = torch.zeros(len(lesions.kinds), len(KINDS)), torch.zeros(len(lesions.kinds))
    for fold, network in enumerate(networks):
        held = lesions.folds == fold
        logits[held], strangeness[held] = rate(network, lesions.squares[held])
    return logits, strangeness


def record_of(request: Request, lesions: Lesions, rated: list[tuple[Tensor, Tensor]], parts: int) -> dict[str, Any]:
    """What was done, and figures on the lesions of the first `parts` folds; `rated` as `rate_held_out` gives it, by family."""
    seen = torch.nonzero(lesions.folds < parts)[:, 0]
    logits, strangeness = (torch.stack(one).mean(0)[seen] for one in zip(*rated, strict=True))
    groups = [lesions.groups[index] for index in seen.tolist()]
    return {
        "model": "skin-7",
        "dataset": request.dataset.name,
        "seed": request.seed,
        "rows": len(lesions.kinds),
        "folds": request.folds,
        "folds_rated": parts,
        "rows_rated": len(seen),
        "epochs": {learner.family: round(request.epochs * learner.passes) for learner in LEARNERS},
        "networks": {learner.family: 1 if learner.whole else parts for learner in LEARNERS},
        **calibrate(logits, lesions.kinds[seen], groups),
        "strange": float(np.percentile(strangeness.numpy(), STRANGE)),
    }


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
