import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.networks.squeezenet import FilmClassifier, SqueezeNet
from models.networks.weights import load_weights
from models.training import train_pneumonia as train_pneumonia_module
from models.training.request import NoWatch, Request
from models.training.train_pneumonia import train_pneumonia
from node.store.errors import ConfigurationError
from tests.unit.models.networks.test_squeezenet import published


def test_without_weights_to_start_from_it_says_what_to_give(label_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--init PATH"):
        train_pneumonia(Request(label_folder, tmp_path, epochs=1), NoWatch())


def test_a_short_run_writes_weights_calibration_and_record(
    label_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_pneumonia_module, "VARIANTS", 1)
    monkeypatch.setattr(train_pneumonia_module, "BATCH", 4)
    lines = (label_folder / "index.csv").read_text().splitlines(keepends=True)
    (label_folder / "index.csv").write_text("".join(lines[:9]))
    torch.manual_seed(0)
    save_file(published(SqueezeNet()), str(tmp_path / "start.safetensors"))
    out = tmp_path / "out"
    out.mkdir()
    record = train_pneumonia(Request(label_folder, out, epochs=1, folds=2, init=tmp_path / "start.safetensors"), NoWatch())
    load_weights(FilmClassifier(3), out / "cxr-pneumonia.safetensors")
    assert json.loads((out / "training.json").read_text()) == record
    assert record["rows"] == 8
    assert record["cross_validation"]["n"] == 8
    assert set(record["cross_validation_by_view"]) == {"whole", "chest", "lungs-only"}
    low, high = record["unsure"]
    assert 0 < low < 0.5 < high < 1
