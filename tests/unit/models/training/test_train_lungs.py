import json
from pathlib import Path

import pytest
import torch

from models.networks.lung_net import Kind, LungNet
from models.networks.weights import load_weights, read_weights
from models.training.request import NoWatch, Request
from models.training.tables import read_rows, split_rows
from models.training.train_lungs import divide, train_lungs
from node.store.errors import ConfigurationError


def test_a_short_run_writes_weights_curve_and_record(lung_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    record = train_lungs(Request(lung_folder, out, epochs=2, folds=2), NoWatch())
    load_weights(LungNet(), out / "cxr-lungs.safetensors")
    assert json.loads((out / "training.json").read_text()) == record
    assert record["learned_rows"] == 6
    assert record["held_out_rows"] == 4
    assert set(record["kinds"]["refused_share_by_kind"]) == {kind.value for kind in Kind}
    assert (out / "learning-curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_makes_the_same_weights(lung_folder: Path, tmp_path: Path) -> None:
    weights = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        train_lungs(Request(lung_folder, tmp_path / name, epochs=1, folds=2), NoWatch())
        weights.append(read_weights(tmp_path / name / "cxr-lungs.safetensors"))
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_only_open_licences_are_learned_from(lung_folder: Path, tmp_path: Path) -> None:
    learned, held = divide(split_rows(read_rows(lung_folder), "train"), Request(lung_folder, tmp_path, epochs=1))
    assert {row["licence"] for row in learned} == {"CC BY 4.0"}
    assert not {row["patient"] for row in learned} & {row["patient"] for row in held}


def test_without_licences_a_fold_is_held_out(lung_folder: Path, tmp_path: Path) -> None:
    rows = [{key: value for key, value in row.items() if key != "licence"} for row in read_rows(lung_folder)]
    learned, held = divide(rows, Request(lung_folder, tmp_path, epochs=1, folds=4))
    assert len(learned) == 9
    assert len(held) == 3


def test_outlines_nobody_can_trust_end_the_run(lung_folder: Path, label_folder: Path, tmp_path: Path) -> None:
    request = Request(lung_folder, tmp_path, epochs=1, folds=2, unlabelled=(label_folder,))
    with pytest.raises(ConfigurationError, match="no film whose outlines can be trusted"):
        train_lungs(request, NoWatch())
