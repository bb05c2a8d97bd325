import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.networks.squeezenet import FilmClassifier, SqueezeNet
from models.networks.weights import load_weights
from models.training.metrics import roc_auc
from models.training.pneumonia import fit_heads, rate_films
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
