"""`overread train cxr-lungs`: labelled films, then, where folders of films without masks are given, those too."""

from __future__ import annotations

import math
from typing import Any, Final

import torch

from models.networks.lung_net import Kind, LungNet
from models.networks.weights import load_weights, save_weights
from models.runtimes.film import Letterbox, window
from models.runtimes.frontal_chest import LEAST_UPRIGHT
from models.runtimes.lung_fields import SIZE, LungFinder
from models.training.curve import draw_curve
from models.training.film_kinds import describe_films, fit_kinds
from models.training.fit import History, Plan, fit
from models.training.lungs import Films, LungRecipe, outline_films, read_films
from models.training.request import Request, Watch
from models.training.tables import OPEN_LICENCES, Row, folds_by_patient, read_grey, read_rows, split_rows
from node.store.download import sha256_of

WEIGHTS: Final = "cxr-lungs.safetensors"
BATCH: Final = 8
_OTHERS_STRIDE: Final = 4
_SCORED: Final = 80
"""Held-out films that are scored during training; all would take longer than the training."""


def train_lungs(request: Request, watch: Watch) -> dict[str, Any]:
    """Train the lung network and return the record that is also written as ``training.json``.

    Three stages: labelled films; labelled films and the network's own outlines of films without masks; and, with the U-Net held
    still, the head that tells frontal chests from what must be refused.

    Only rows with an open licence are learned from where the folder has a column ``licence``; the other rows of ``train``,
    of other patients, are what the score of the learning curve is measured on. Without that column a fold is held out.

    Raises
    ------
    ConfigurationError
        Where the folder or a file of it cannot be read.
    """
    torch.manual_seed(request.seed)
    learned, held = divide(split_rows(read_rows(request.dataset, "mask"), "train"), request)
    films, held_films = read_films(request.dataset, learned), read_films(request.dataset, held[:: max(1, len(held) // _SCORED)])
    network = LungNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    if request.init is not None:
        load_weights(network, request.init)
    histories: dict[str, History] = {}
    weights = request.out / WEIGHTS
    plan = Plan(steps=math.ceil(request.epochs * len(films) / BATCH), every=100, seed=request.seed)
    outlined: Films | None = None
    for stage in ("labelled", "outlined") if request.unlabelled else ("labelled",):
        if stage == "outlined":
            outlined = _outline(request, LungFinder(weights))
        watch.stage(f"{stage} films", plan.steps)
        recipe = LungRecipe(films, held_films, outlined, batch_size=BATCH)
        checkpoint = request.checkpoint(stage)
        network, histories[stage] = fit(
            network, recipe, plan, checkpoint=checkpoint, report=lambda _step, loss: watch.advance(loss)
        )
        save_weights(network.state_dict(), weights)
    draw_curve(histories, request.out / "learning-curve.png", "Dice, held-out rows of train")
    kinds = learn_kinds(request, network, films if outlined is None else films + outlined, watch)
    save_weights(network.state_dict(), weights)
    record = {
        "model": "cxr-lungs",
        "dataset": request.dataset.name,
        "seed": request.seed,
        "epochs": request.epochs,
        "learned_rows": len(learned),
        "held_out_rows": len(held),
        "outlined_rows": 0 if outlined is None else len(outlined),
        "held_out_dice": {name: history.scores[-1] for name, history in histories.items()},
        "kinds": kinds,
        "sha256": sha256_of(weights),
    }
    request.write_record(record)
    return record


def _outline(request: Request, teacher: LungFinder) -> Films:
    parts = [outline_films(folder, split_rows(read_rows(folder), "train"), teacher) for folder in request.unlabelled]
    return sum(parts[1:], parts[0])


def learn_kinds(request: Request, network: LungNet, films: Films, watch: Watch) -> dict[str, Any]:
    """Fit the head of kinds in place; return what cross-validation by film says of it."""
    others = [
        Letterbox(grey.shape[0], grey.shape[1], SIZE).shrink(window(grey))
        for folder in request.others
        for grey in (read_grey(folder / row["image"]) for row in split_rows(read_rows(folder), "train")[::_OTHERS_STRIDE])
    ]
    pictures = torch.cat(others) if others else torch.zeros(0, 1, SIZE, SIZE)
    generator = torch.Generator().manual_seed(request.seed)
    watch.stage("kinds of films", math.ceil(len(films) / 32))
    described = describe_films(network, films, pictures, generator, watch.advance)
    # Pictures that were made from no film are dealt out one by one.
    folds = torch.where(described.films >= 0, described.films, torch.arange(len(described.films))) % request.folds
    upright = torch.zeros(len(folds))
    for fold in range(request.folds):
        weight, bias = fit_kinds(described, folds != fold)
        held = folds == fold
        upright[held] = torch.softmax(described.descriptions[held] @ weight.T + bias, 1)[:, 0]
    weight, bias = fit_kinds(described)
    with torch.no_grad():
        network.kind.weight.copy_(weight)
        network.kind.bias.copy_(bias)
    refused = upright < LEAST_UPRIGHT
    shares = {kind.value: float(refused[described.kinds == index].float().mean()) for index, kind in enumerate(Kind)}
    return {"refused_share_by_kind": shares, "pictures": len(folds)}


def divide(rows: list[Row], request: Request) -> tuple[list[Row], list[Row]]:
    """Rows to learn from and rows of other patients to score on."""
    if "licence" in rows[0]:
        learned = [row for row in rows if row["licence"] in OPEN_LICENCES]
        patients = {row["patient"] for row in learned}
        held = [row for row in rows if row["licence"] not in OPEN_LICENCES and row["patient"] not in patients]
        if learned and held:
            return learned, held
        rows = learned or rows
    folds = folds_by_patient(rows, request.folds, request.seed)
    return (
        [row for row, fold in zip(rows, folds, strict=True) if fold],
        [row for row, fold in zip(rows, folds, strict=True) if not fold],
    )
