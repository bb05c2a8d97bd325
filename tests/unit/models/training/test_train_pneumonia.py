import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.manifest import library_folder
from models.networks.squeezenet import FilmClassifier, SqueezeNet, load_imagenet
from models.networks.weights import load_weights
from models.training.metrics import roc_auc
from models.training.pneumonia import describe, fit_heads, rate_films, tune, tuning_steps
from models.training.request import NoWatch, Request
from models.training.train_pneumonia import train_pneumonia
from node.store.errors import ConfigurationError
from tests.unit.models.networks.test_squeezenet import published


def test_without_weights_to_start_from_it_says_what_to_give(label_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--init PATH"):
        train_pneumonia(Request(label_folder, tmp_path, epochs=1), NoWatch())


def test_a_run_writes_weights_calibration_and_record(label_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(published(SqueezeNet()), str(tmp_path / "start.safetensors"))
    lines = (label_folder / "index.csv").read_text().splitlines(keepends=True)
    (label_folder / "index.csv").write_text("".join(lines[:9]))
    out = tmp_path / "out"
    out.mkdir()
    record = train_pneumonia(Request(label_folder, out, epochs=0, folds=2, init=tmp_path / "start.safetensors"), NoWatch())
    load_weights(FilmClassifier(3), out / "cxr-pneumonia.safetensors")
    assert json.loads((out / "training.json").read_text()) == record
    assert record["rows"] == 8
    assert record["cross_validation"]["n"] == 8
    assert set(record["cross_validation_auroc_by_view"]) == {"whole", "chest", "lungs-only"}
    assert (out / "learning-curve.png").read_bytes().startswith(b"\x89PNG")
    low, high = record["unsure"]
    assert 0 < low < 0.5 < high < 1


def test_heads_learn_what_parts_the_films() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0.0, 1.0]).repeat(30)
    features = torch.randn(60, 2, 3, 1024)
    features[labels > 0, :, 0, :100] += 2
    features[labels > 0, :, 2, 100:200] += 2
    network = FilmClassifier(3).eval()
    fit_heads(network, features[:40], labels[:40])
    logits = rate_films(network, features[40:])
    held = labels[40:].numpy() > 0.5
    assert roc_auc(held, logits[:, 0]) > 0.95
    assert roc_auc(held, logits[:, 2]) > 0.95
    assert 0.1 < roc_auc(held, logits[:, 1]) < 0.9


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
    fit_heads(start, describe(start, squares), labels)
    before = {name: weight.clone() for name, weight in start.features.named_parameters()}
    losses: list[float] = []
    first = tune(copy.deepcopy(start), squares, labels, epochs=2, seed=1, advance=losses.append)
    second = tune(copy.deepcopy(start), squares, labels, epochs=2, seed=1, advance=lambda _loss: None)
    assert len(losses) == 2 * tuning_steps(40)
    for name, weight in first.features.named_parameters():
        assert not torch.equal(weight, before[name]), name
    assert all(torch.equal(one, two) for one, two in zip(first.parameters(), second.parameters(), strict=True))
    assert roc_auc(labels.numpy() > 0.5, rate_films(first, describe(first, squares))[:, 0]) > 0.95


@pytest.mark.shared
def test_the_shipped_network_is_ours_in_every_layer(shared: Path) -> None:
    published_network, shipped = SqueezeNet(), FilmClassifier(3)
    load_imagenet(published_network, shared / "weights" / "squeezenet_v1_0_imagenet_fp16.safetensors")
    load_weights(shipped, library_folder() / "cxr-pneumonia" / "cxr-pneumonia.safetensors")
    untouched = dict(published_network.named_parameters())
    for name, weight in shipped.features.named_parameters():
        assert not torch.equal(weight, untouched[name]), f"{name} is as published: train it, or do not ship it"
