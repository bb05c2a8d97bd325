import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.manifest import library_folder, read_manifest
from models.networks.film_classifier import DESCRIBED, Ensemble, FilmClassifier
from models.networks.squeezenet import SqueezeNet, load_imagenet
from models.networks.weights import load_weights, save_weights
from models.runtimes.chest_finding import views_of
from models.training.finding import PNEUMONIA, TUBERCULOSIS, Subject, describe, fit_heads, rate_films, tune, tuning_steps
from models.training.metrics import roc_auc
from models.training.request import NoWatch, Request
from models.training.train_finding import train_finding
from node.store.errors import ConfigurationError
from tests.unit.models.networks.test_squeezenet import published


def test_without_weights_to_start_from_it_says_what_to_give(label_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--init PATH"):
        train_finding(PNEUMONIA, Request(label_folder, tmp_path, epochs=1), NoWatch())


@pytest.fixture
def request_of(label_folder: Path, tmp_path: Path) -> Callable[[str], Request]:
    """Asks to train on eight small films of either label."""
    torch.manual_seed(0)
    save_file(published(SqueezeNet()), str(tmp_path / "start.safetensors"))

    def make(label: str) -> Request:
        lines = (label_folder / "index.csv").read_text().replace("pneumonia", label).splitlines(keepends=True)
        (label_folder / "index.csv").write_text("".join(lines[:9]))
        out = tmp_path / "out"
        out.mkdir()
        return Request(label_folder, out, epochs=0, folds=2, init=tmp_path / "start.safetensors")

    return make


def small(subject: Subject) -> Subject:
    """The same, shown in squares that take a tenth of the time."""
    return dataclasses.replace(subject, views=dataclasses.replace(subject.views, sides=(64,) * len(subject.views.shown)))


def test_a_run_writes_weights_calibration_and_record(request_of: Callable[[str], Request]) -> None:
    request = request_of("pneumonia")
    record = train_finding(small(PNEUMONIA), request, NoWatch())
    load_weights(Ensemble(2, 2), request.out / "cxr-pneumonia.safetensors")
    assert json.loads((request.out / "training.json").read_text()) == record
    assert record["rows"] == 8
    assert record["cross_validation"]["n"] == 8
    assert record["members"] == 2
    assert set(record["cross_validation_auroc_by_view"]) == set(record["views"]) == {"whole", "lungs-only"}
    assert np.load(request.out / "held-out.npy").shape == (8, 2)
    assert (request.out / "learning-curve.png").read_bytes().startswith(b"\x89PNG")
    low, high = record["unsure"]
    assert 0 < low < 0.5 < high < 1


def test_an_interrupted_run_goes_on_with_the_networks_that_it_kept(request_of: Callable[[str], Request]) -> None:
    subject, request = small(TUBERCULOSIS), request_of("tuberculosis")
    first = train_finding(subject, request, NoWatch())
    kept = dataclasses.replace(request, resume=True).checkpoint("fold-1")
    other = FilmClassifier(1)
    load_weights(other, kept)
    with torch.no_grad():
        other.bias += 1
    save_weights(other.state_dict(), kept)
    assert train_finding(subject, dataclasses.replace(request, resume=True), NoWatch())["sha256"] != first["sha256"]
    assert train_finding(subject, request, NoWatch())["sha256"] == first["sha256"]


def test_heads_learn_what_parts_the_films() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0.0, 1.0]).repeat(30)
    features = torch.randn(60, 2, 3, DESCRIBED)
    features[labels > 0, :, 0, :100] += 2
    features[labels > 0, :, 2, 100:200] += 2
    network = FilmClassifier(3).eval()
    fit_heads(network, features[:40], labels[:40], 0.3)
    logits = rate_films(network, features[40:])
    held = labels[40:].numpy() > 0.5
    assert roc_auc(held, logits[:, 0]) > 0.95
    assert roc_auc(held, logits[:, 2]) > 0.95
    assert 0.1 < roc_auc(held, logits[:, 1]) < 0.9


def test_a_higher_penalty_makes_smaller_weights() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0.0, 1.0]).repeat(10)
    features = torch.randn(20, 2, 1, DESCRIBED) + 0.1 * labels.view(-1, 1, 1, 1)
    sizes = []
    for penalty in (0.1, 1.0, 10.0):
        network = FilmClassifier(1)
        fit_heads(network, features, labels, penalty)
        sizes.append(float(network.weight.detach().norm()))
    assert sizes[0] > sizes[1] > sizes[2] > 0


def squares_of(labels: torch.Tensor) -> list[torch.Tensor]:
    """Films that are brighter in the middle where the label is 1."""
    films = torch.randint(60, 120, (len(labels), 1, 64, 64), dtype=torch.uint8)
    films[labels > 0, :, 16:48, 16:48] += 100
    return [films, films.flip(2), films.clone()]


def test_tuning_moves_every_weight_and_is_the_same_again() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0.0, 1.0]).repeat(20)
    squares = squares_of(labels)
    start = FilmClassifier(3).eval()
    fit_heads(start, describe(start, squares, mirrored=True), labels, 0.3)
    before = {name: weight.clone() for name, weight in start.features.named_parameters()}
    losses: list[float] = []
    first = tune(copy.deepcopy(start), squares, labels, epochs=2, seed=1, advance=losses.append)
    second = tune(copy.deepcopy(start), squares, labels, epochs=2, seed=1, advance=lambda _loss: None)
    assert len(losses) == 2 * tuning_steps(40)
    for name, weight in first.features.named_parameters():
        assert not torch.equal(weight, before[name]), name
    # Not to the last bit: the processor's threads add gradients up in any order.
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-4)
    assert roc_auc(labels.numpy() > 0.5, rate_films(first, describe(first, squares, mirrored=True))[:, 0]) > 0.95


@pytest.mark.shared
@pytest.mark.parametrize("name", ["cxr-pneumonia", "cxr-tb"])
def test_the_shipped_networks_are_ours_in_every_layer(name: str, shared: Path) -> None:
    manifest = read_manifest(library_folder() / name)
    published_network, shipped = SqueezeNet(), Ensemble(int(str(manifest.parameters["members"])), len(views_of(manifest).shown))
    load_imagenet(published_network, shared / "weights" / "squeezenet_v1_0_imagenet_fp16.safetensors")
    load_weights(shipped, manifest.folder / manifest.weights[0].file)
    untouched = dict(published_network.named_parameters())
    for member in shipped.members:
        for layer, weight in member.features.named_parameters():
            assert not torch.equal(weight, untouched[layer]), f"{layer} is as published: train it, or do not ship it"
