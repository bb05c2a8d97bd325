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
from models.networks.efficientnet import EfficientNetLite
from models.networks.film_classifier import EFFICIENTNET, FAMILIES, SQUEEZENET, Ensemble, FilmClassifier
from models.networks.squeezenet import SqueezeNet
from models.networks.weights import load_weights, save_weights
from models.runtimes.chest_finding import members_of, views_of
from models.runtimes.chest_views import Views
from models.training.film_tuning import FilmRecipe, gentle_steps, long_steps, tune_gently, tune_long, varied
from models.training.finding import PNEUMONIA, TUBERCULOSIS, Subject, describe, fit_heads, rate_films
from models.training.metrics import roc_auc
from models.training.request import NoWatch, Request
from models.training.tables import read_rows
from models.training.train_finding import LEARNERS, train_finding
from node.store.errors import ConfigurationError
from tests.unit.models.networks import test_efficientnet, test_squeezenet

DESCRIBED = FAMILIES[SQUEEZENET].described


def test_without_weights_to_start_from_it_says_what_to_give(label_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--init FOLDER must hold squeezenet"):
        train_finding(PNEUMONIA, Request(label_folder, tmp_path, epochs=1), NoWatch())


@pytest.fixture
def request_of(label_folder: Path, tmp_path: Path) -> Callable[[str], Request]:
    """Asks to train on eight small films of either label."""
    torch.manual_seed(0)
    init = tmp_path / "init"
    init.mkdir()
    save_file(test_squeezenet.published(SqueezeNet()), str(init / "squeezenet.safetensors"))
    torch.save(test_efficientnet.published(EfficientNetLite()), init / "efficientnet-lite0.pth")

    def make(label: str) -> Request:
        lines = (label_folder / "index.csv").read_text().replace("pneumonia", label).splitlines(keepends=True)
        (label_folder / "index.csv").write_text("".join(lines[:9]))
        out = tmp_path / "out"
        out.mkdir()
        return Request(label_folder, out, epochs=0, folds=2, init=init)

    return make


def small(subject: Subject) -> Subject:
    """The same, shown in squares that take a tenth of the time."""
    return dataclasses.replace(subject, views=Views(tuple(dataclasses.replace(view, side=64) for view in subject.views.every)))


def test_a_run_writes_weights_calibration_and_record(request_of: Callable[[str], Request]) -> None:
    request = request_of("pneumonia")
    record = train_finding(small(PNEUMONIA), request, NoWatch())
    load_weights(Ensemble(2, 2), request.out / "cxr-pneumonia-squeezenet.safetensors")
    load_weights(
        Ensemble(3, 1, EFFICIENTNET),
        *(request.out / f"cxr-pneumonia-efficientnet-lite0-{number}.safetensors" for number in (1, 2, 3)),
    )
    assert json.loads((request.out / "training.json").read_text()) == record
    assert record["rows"] == 8
    assert record["cross_validation"]["n"] == 8
    assert record["members"] == [2, 3]
    assert set(record["cross_validation_auroc_by_view"]) == {
        "whole, squeezenet",
        "lungs-only, squeezenet",
        "lungs-only, efficientnet-lite0",
    }
    logits = np.load(request.out / "held-out.npy")
    assert logits.shape == (8, 3)
    labels = np.array([row["label"] == "pneumonia" for row in read_rows(request.dataset, "label")])
    alone = record["cross_validation_auroc_by_part"]
    assert set(alone) == {"whole", "lungs-only"}
    assert alone["lungs-only"] == roc_auc(labels, logits[:, 1] + logits[:, 2])
    assert (request.out / "learning-curve.png").read_bytes().startswith(b"\x89PNG")
    low, high = record["unsure"]
    assert 0 < low < 0.5 < high < 1


def test_an_interrupted_run_goes_on_with_the_networks_that_it_kept(request_of: Callable[[str], Request]) -> None:
    subject, request = small(TUBERCULOSIS), request_of("tuberculosis")
    first = train_finding(subject, request, NoWatch())
    kept = dataclasses.replace(request, resume=True).checkpoint("squeezenet-1")
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
    first = tune_gently(copy.deepcopy(start), squares, labels, epochs=2, seed=1, advance=losses.append)
    second = tune_gently(copy.deepcopy(start), squares, labels, epochs=2, seed=1, advance=lambda _loss: None)
    assert len(losses) == gentle_steps(40, 2)
    for name, weight in first.features.named_parameters():
        assert not torch.equal(weight, before[name]), name
    # Not to the last bit: the processor's threads add gradients up in any order.
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-4)
    assert roc_auc(labels.numpy() > 0.5, rate_films(first, describe(first, squares, mirrored=True))[:, 0]) > 0.95


def test_tuning_long_leaves_the_first_layers_as_they_were_and_moves_all_others() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0.0, 1.0]).repeat(8)
    squares = squares_of(labels)[:1]
    start = FilmClassifier(1, EFFICIENTNET).eval()
    fit_heads(start, describe(start, squares, mirrored=True), labels, 0.02)
    losses: list[float] = []
    tuned = tune_long(copy.deepcopy(start), squares, labels, epochs=1, seed=1, advance=losses.append)
    assert len(losses) == long_steps(16, 1) == 8
    before = dict(start.features.named_parameters())
    # Not to the last bit: the mean over steps of what stays the same is rounded.
    still = {
        name for name, weight in tuned.features.named_parameters() if torch.allclose(weight, before[name], rtol=1e-5, atol=0)
    }
    first = ("stem.", *(f"blocks.{number}." for number in range(5)))
    assert still == {name for name in before if name.startswith(first)}
    assert not torch.equal(tuned.weight, start.weight)


def test_each_film_of_a_batch_learns_by_the_head_of_its_own_view() -> None:
    torch.manual_seed(0)
    network = FilmClassifier(2, EFFICIENTNET).eval()
    recipe = FilmRecipe(squares_of(torch.tensor([0.0, 1.0]).repeat(8))[:2], torch.ones(16))
    films, views, labels = recipe.batch(torch.Generator().manual_seed(0))
    assert set(views.tolist()) == {0, 1}
    network.bias.data[1] = 5.0
    losses = [recipe.loss(network, (films[views == one], views[views == one], labels[views == one])).item() for one in (0, 1)]
    assert losses[0] > 0.6 > losses[1]


def test_hidden_places_are_not_regraded() -> None:
    squares = torch.full((4, 1, 64, 64), 128, dtype=torch.uint8)
    squares[:, :, 20:44, 20:44] = 200
    films = varied(squares, torch.Generator().manual_seed(0))
    hidden = (films * 255).round() == 128
    assert hidden[:, :, :8].all()
    assert 0.05 < float((~hidden).float().mean()) < 0.4


@pytest.mark.shared
@pytest.mark.parametrize("name", ["cxr-pneumonia", "cxr-tb"])
def test_the_shipped_networks_are_ours_in_every_layer(name: str, shared: Path) -> None:
    manifest = read_manifest(library_folder() / name)
    views, published = views_of(manifest), {SQUEEZENET: shared / "weights" / "squeezenet_v1_0_imagenet_fp16.safetensors"}
    for network, count in zip(views.networks, members_of(manifest, views.networks), strict=True):
        shipped = Ensemble(count, len(views.of(network)), network)
        files = [manifest.folder / one.file for one in manifest.weights[:-1]]
        load_weights(shipped, *(file for file in files if network in file.name or len(views.networks) == 1))
        if network not in published:
            first, *others = shipped.members
            for other in others:
                alike = [
                    layer
                    for layer, weight in first.features.named_parameters()
                    if torch.equal(weight, other.features.get_parameter(layer))
                ]
                # half precision rounds away what the mean over steps of a layer that stayed as it was does
                assert all(layer.startswith(("stem.", *(f"blocks.{number}." for number in range(5)))) for layer in alike)
            continue
        untouched = FAMILIES[network].make()
        LEARNERS[network].load(untouched, published[network])
        for member in shipped.members:
            for layer, weight in member.features.named_parameters():
                assert not torch.equal(weight, untouched.get_parameter(layer)), f"{layer} is as published: train it"
