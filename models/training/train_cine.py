"""`overread train cine-lv`: networks that hold out a fold of patients, for the figures, and one of all; all are shipped."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from models.networks.unet import UNet
from models.networks.weights import save_weights
from models.runtimes.cine_lv import borders
from models.runtimes.short_axis import OUTPUTS, VentricleFinder
from models.training.curve import draw_curve
from models.training.fit import History, Plan, fit
from models.training.hearts import HeartRecipe, Slices, read_slices
from models.training.metrics import dice, segmentation
from models.training.request import Request, Watch
from models.training.tables import folds_by_patient, read_rows, split_rows
from node.store.download import sha256_of

WEIGHTS: Final = "cine-lv.safetensors"
BATCH: Final = 6
"""Slices of a batch shown from near; two from far come with them."""

NETWORKS: Final = 3
"""Folds whose network is made, besides one of all patients; the figures are those of the patients that these held out."""

SMALL: Final = 200
"""Masks of fewer pixels are reported apart."""

_SCORED: Final = 60


def train_cine(request: Request, watch: Watch) -> dict[str, Any]:
    """Train the networks and return the record that is also written as ``training.json``.

    Raises
    ------
    ConfigurationError
        Where the folder or a file of it cannot be read.
    """
    rows = split_rows(read_rows(request.dataset, "endo", "epi"), "train")
    slices = read_slices(request.dataset, rows)
    folds = np.asarray(folds_by_patient(rows, request.folds, request.seed))
    networks = nn.ModuleList()
    histories: dict[str, History] = {}
    found: dict[str, list[float]] = {"cavity": [math.nan] * len(rows), "within": [math.nan] * len(rows)}
    parts = min(NETWORKS, request.folds)
    for fold in range(parts + 1):
        # the last one learns from all patients, and no figure is taken from it
        learned, held = np.flatnonzero((folds != fold) | (fold == parts)), np.flatnonzero((folds == fold) & (fold < parts))
        name = f"fold {fold + 1} of {request.folds}" if held.size else "all patients"
        network, histories[name] = _learn(request, watch, slices, (name, fold, learned.tolist(), held.tolist()))
        networks.append(network)
        if held.size:
            _score(VentricleFinder(nn.ModuleList([network])), slices, held.tolist(), found)
    weights = request.out / WEIGHTS
    save_weights(networks.state_dict(), weights)
    draw_curve(histories, request.out / "learning-curve.png", "Dice, patients held out")
    record = {
        "model": "cine-lv",
        "dataset": request.dataset.name,
        "seed": request.seed,
        "rows": len(rows),
        "folds": request.folds,
        "epochs": request.epochs,
        "networks": len(networks),
        "cross_validation": _figures(slices, found, [row["patient"] for row in rows]),
        "sha256": sha256_of(weights),
    }
    request.write_record(record)
    return record


def _learn(request: Request, watch: Watch, slices: Slices, part: tuple[str, int, list[int], list[int]]) -> tuple[UNet, History]:
    """One network: its name, its number, the slices that it learns from and those that are held out."""
    name, number, learned, held = part
    torch.manual_seed(request.seed * request.folds + number)
    plan = Plan(math.ceil(request.epochs * len(learned) / BATCH), rate=3e-3, every=100, seed=request.seed + number)
    scored = slices.take(held[:: max(1, len(held) // _SCORED)]) if held else None
    recipe = HeartRecipe(slices.take(learned), scored, near=BATCH)
    network = UNet(OUTPUTS).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    watch.stage(name, plan.steps)
    checkpoint = request.checkpoint(f"fold-{number}" if held else "all")
    return fit(network, recipe, plan, checkpoint=checkpoint, report=lambda _step, loss: watch.advance(loss))


def _score(finder: VentricleFinder, slices: Slices, held: list[int], found: dict[str, list[float]]) -> None:
    """Dice of each held-out slice, found and outlined as in the hospital but by one network."""
    for index in held:
        (answer,) = finder.outline(slices.images[index : index + 1], None)
        outlines = borders(answer, (slices.images.shape[-2], slices.images.shape[-1]))
        for part, (key, outline) in enumerate(zip(found, outlines, strict=True)):
            if slices.drawn[index, part]:
                found[key][index] = dice(outline, slices.masks[index, part].numpy() > 0)


def _figures(slices: Slices, found: dict[str, list[float]], patients: list[str]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    areas = slices.masks.sum((2, 3)).numpy()
    for part, (key, scores) in enumerate(found.items()):
        values = np.asarray(scores)
        for name, chosen in ((key, areas[:, part] >= SMALL), (f"{key}, small", areas[:, part] < SMALL)):
            kept = np.flatnonzero(chosen & ~np.isnan(values) & (slices.drawn[:, part].numpy() > 0))
            if kept.size:
                figures[name] = segmentation(values[kept], [patients[index] for index in kept])
    return figures
