"""`overread train skin-7` on a handful of drawn pictures, from weights that are no more than of the right shapes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from safetensors.torch import save_file

from models.image import Header, Image, SpacingKind
from models.manifest import read_manifest
from models.networks.efficientnet import EfficientNetLite
from models.networks.squeezenet import SqueezeNet
from models.runtime import load_model
from models.training.request import NoWatch, Request
from models.training.train_skin import KINDS, train_skin
from node.store.errors import ConfigurationError
from tests.research import RESEARCH
from tests.unit.models.networks import test_efficientnet, test_squeezenet


@pytest.fixture
def request_of_lesions(tmp_path: Path) -> Request:
    """Two pictures of each kind, plain but for noise."""
    folder, init, out = (tmp_path / name for name in ("lesions", "init", "out"))
    for one in (folder, init, out):
        one.mkdir()
    torch.manual_seed(0)
    save_file(test_squeezenet.published(SqueezeNet()), str(init / "squeezenet.safetensors"))
    torch.save(test_efficientnet.published(EfficientNetLite()), init / "efficientnet-lite0.pth")
    random = np.random.default_rng(0)
    with (folder / "index.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["split", "image", "label", "patient"])
        table.writeheader()
        for number in range(2 * len(KINDS)):
            picture = random.integers(0, 60, (120, 120, 3)) + random.integers(0, 190, 3)
            Picture.fromarray(picture.astype(np.uint8)).save(folder / f"{number}.png")
            kind = KINDS[number % len(KINDS)]
            table.writerow({"split": "train", "image": f"{number}.png", "label": kind, "patient": str(number)})
    return Request(folder, out, epochs=1, folds=2, init=init)


def test_a_run_writes_what_the_model_reads(request_of_lesions: Request) -> None:
    request = request_of_lesions
    record = train_skin(request, NoWatch())
    assert json.loads((request.out / "training.json").read_text()) == record
    assert record["networks"] == {"squeezenet": 2, "efficientnet-lite0": 1}
    assert record["rows_rated"] == record["rows"] == 14
    assert sum(map(sum, record["confusion"])) == 14
    for family in record["networks"]:
        assert (request.out / f"learning-curve-{family}.png").stat().st_size > 1000
    shipped = read_manifest(RESEARCH / "skin-7")
    assert {one.file for one in shipped.weights} == set(record["sha256"])
    parameters = record["networks"] | {"temperature": record["temperature"], "strange": 1e9}
    model = load_model(
        shipped.model_copy(update={"parameters": parameters}), {name: request.out / name for name in record["sha256"]}
    )
    colours = np.random.default_rng(1).integers(0, 256, (1, 120, 130, 3), dtype=np.uint8)
    prediction = model.predict(Image(colours, None, None, SpacingKind.NONE, Header(modality="XC")))
    assert sum(one.probability for one in prediction.ratings) == pytest.approx(1)


def test_it_says_which_weights_to_start_from_are_missing(request_of_lesions: Request) -> None:
    assert request_of_lesions.init is not None
    (request_of_lesions.init / "efficientnet-lite0.pth").unlink()
    with pytest.raises(ConfigurationError, match="--init FOLDER must hold efficientnet-lite0"):
        train_skin(request_of_lesions, NoWatch())
