"""`overread train MODEL DATASET --arch NAME`: any family of networks, from a labelled folder to a model folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.manifest import Manifest
from models.manifest_text import Value
from models.networks.architectures import Answers, Architecture, Reads, find_architecture
from models.networks.weights import save_weights, start_from
from models.runtimes.preparation import Preparation, Scale, check_grid
from models.runtimes.usual import Usual, describe
from models.training.curve import draw_curve
from models.training.first_card import write_first_card
from models.training.fit import History, Plan, fit
from models.training.model_folder import Labels, Trained, read_labels, requirements, write_model
from models.training.network_figures import Findings, Measured, Outlines, Said
from models.training.network_recipe import NetworkRecipe, Samples, read_samples
from models.training.request import NetworkOptions, Only, Request, Watch
from models.training.tables import Row, folds_by_patient, read_rows, split_rows
from node.store.errors import ConfigurationError

EPOCHS: Final = 20
_GREY: Final = (0.449,), (0.226,)
_COLOUR: Final = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Means and deviations of ImageNet, which published weights expect."""


def train_network(request: Request, watch: Watch) -> dict[str, Any]:
    """Train a network and return the record that is also written as ``training.json``.

    By cross-validation inside ``train``, split by patient, come the figures and the calibration; the weights that are kept are
    then trained on all rows of ``train``. `Request.folds` 0 leaves the cross-validation out: there are no figures then. Where
    only a part of the images is shown (`models.training.request.Only`) there are figures alone: no model is written.

    Raises
    ------
    ConfigurationError
        Where the folder cannot be read, or does not fit the network.
    """
    options = _options(request)
    architecture = find_architecture(options.architecture)
    torch.manual_seed(request.seed)
    column = "mask" if architecture.answers is Answers.STRUCTURES else "label"
    rows = split_rows(read_rows(request.dataset, column), "train")
    labels = read_labels(request.dataset)
    if options.only is not Only.ALL and column == "mask":
        raise ConfigurationError("--only is a check of networks that rate findings: what is outlined lies where it is hidden")
    preparation = prepare(architecture, options)
    said: Said = (
        Outlines(labels, request.dataset, rows) if column == "mask" else Findings(labels, request.dataset, rows, options.normal)
    )
    watch.stage("reading", len(rows))
    samples = read_samples(request.dataset, rows, preparation, said, watch.advance, colour=options.colour, only=options.only)
    run = _Run(request, options, architecture, samples, said.outputs, preparation)
    histories: dict[str, History] = {}
    answers = _cross_validate(run, rows, histories, watch)
    measured = said.measure(answers, samples, [row["patient"] for row in rows])
    record: dict[str, Any] = {
        "model": options.name,
        "architecture": architecture.name,
        "dataset": request.dataset.name,
        "rows": len(rows),
        "patients": len({row["patient"] for row in rows}),
        "epochs": request.epochs,
        "folds": request.folds,
        "seed": request.seed,
        "cross_validation": measured.figures,
    }
    if options.only is Only.ALL:
        network, histories["all"] = run.train("all", np.arange(len(rows)), None, watch)
        manifest = _write_model(run, network, measured, labels)
        record["parameters"] = sum(one.numel() for one in network.parameters())
        record["weights"] = manifest.weights[0].sha256
        write_first_card(request.out, manifest, record, architecture)
    else:
        record["only"] = str(options.only)
    draw_curve(histories, request.out / "learning-curve.png", f"{said.figure}, held-out rows of train")
    request.write_record(record)
    for stage in histories:
        request.checkpoint(stage).unlink(missing_ok=True)
    return record


def prepare(architecture: Architecture, options: NetworkOptions) -> Preparation:
    """Grid and scale of the network's input.

    Raises
    ------
    ConfigurationError
        Where the network cannot work on that grid.
    """
    sides = 3 if architecture.reads is Reads.VOLUME else 1
    size = options.size or (architecture.side,)
    size = size * sides if len(size) == 1 else size
    check_grid(architecture.multiple, architecture.smallest, size)
    scale = Scale.COLOUR if options.colour else Scale.WINDOW if options.window else Scale.PERCENTILES
    channels = 3 if options.colour else 1
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    mean, deviation = _COLOUR if options.colour else _GREY
    if architecture.channels:  # these bring the scale of their published weights with them, and take 0 to 1
        mean, deviation = (0.0,) * channels, (1.0,) * channels
    return Preparation(
        reads=architecture.reads,
        size=size,
        channels=channels,
        scale=scale,
        window=options.window or (0.0, 1.0),
        mean=mean,
        deviation=deviation,
        frames=options.frames,
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """What all trainings of one request have in common."""

    request: Request
    options: NetworkOptions
    architecture: Architecture
    samples: Samples
    outputs: int
    preparation: Preparation

    def train(
        self, stage: str, learned: NDArray[np.intp], held: NDArray[np.intp] | None, watch: Watch
    ) -> tuple[nn.Module, History]:
        """One network on some rows, scored on others."""
        torch.manual_seed(self.request.seed)
        network = self.architecture.build(self.preparation.channels, self.outputs, self.options.width)
        if self.request.init is not None:
            start_from(network, self.request.init)
        network = network.to(self.options.device)
        steps = max(1, math.ceil(self.request.epochs * len(learned) / self.options.batch))
        plan = Plan(steps=steps, rate=self.options.rate, every=max(1, min(50, steps // 4)), seed=self.request.seed)
        recipe = NetworkRecipe(
            self.samples, learned, held, self.architecture, batch=self.options.batch, device=self.options.device
        )
        watch.stage(stage, steps)
        return fit(
            network,
            recipe,
            plan,
            checkpoint=self.request.checkpoint(stage),
            report=lambda _step, loss: watch.advance(loss),
        )


def _write_model(run: _Run, network: nn.Module, measured: Measured, labels: Labels) -> Manifest:
    """Weights and ``model.toml``."""
    request, options, architecture = run.request, run.options, run.architecture
    weights = request.out / f"{options.name}.safetensors"
    save_weights(network.state_dict(), weights)
    parameters: dict[str, Value] = {"arch": architecture.name, **({"width": options.width} if options.width else {})}
    trained = Trained(
        name=options.name,
        structures=measured.structures,
        findings=measured.findings,
        parameters={**parameters, **_plain(run.preparation), **measured.parameters, **_usual(run.samples, architecture.reads)},
        evaluation=measured.evaluation,
        require=_require(architecture, options),
    )
    return write_model(request.out, weights, trained, labels, request.dataset.name)


def _cross_validate(run: _Run, rows: Sequence[Row], histories: dict[str, History], watch: Watch) -> list[Tensor] | None:
    """What networks that did not learn from a row say of it, ``(output, …)``, or None where nothing is to be held out."""
    folds = run.request.folds
    if not folds:
        return None
    patients = len({row["patient"] for row in rows})
    if patients < folds:
        raise ConfigurationError(f"{folds} folds need as many patients, train has {patients}: give --folds, 0 for none")
    fold_of = np.asarray(folds_by_patient(rows, folds, run.request.seed))
    answers: list[Tensor] = [torch.empty(0)] * len(rows)
    for fold in range(folds):
        held = np.flatnonzero(fold_of == fold)
        network, histories[f"fold {fold + 1}"] = run.train(f"fold {fold + 1}", np.flatnonzero(fold_of != fold), held, watch)
        recipe = NetworkRecipe(run.samples, held, held, run.architecture, batch=run.options.batch, device=run.options.device)
        for index, answer in zip(held, recipe.answers(network, held), strict=True):
            answers[index] = answer
    return answers


def _options(request: Request) -> NetworkOptions:
    if request.network is None:
        raise ConfigurationError("an architecture is needed: --arch NAME")
    if request.folds == 1:
        raise ConfigurationError("one fold holds nothing out: give two or more, or 0 for no cross-validation")
    if request.network.only is not Only.ALL and not request.folds:
        raise ConfigurationError("--only is a check whose figures come from cross-validation: give two folds or more")
    return request.network


def _require(architecture: Architecture, options: NetworkOptions) -> Any:
    several = architecture.reads is not Reads.PICTURE
    return requirements(options.modality, pictures=not several, colour=options.colour, several=several)


def _plain(preparation: Preparation) -> dict[str, Value]:
    return {key: list(value) if isinstance(value, list) else value for key, value in preparation.parameters().items()}


def _usual(samples: Samples, reads: Reads) -> dict[str, Value]:
    """What is like the images that were learned from, as parameters; none where they are too few to say."""
    described = np.stack([describe(one[None].float(), reads) for one in samples.images])
    usual = Usual.from_images(described)
    return {} if usual is None else dict(usual.parameters())
