"""MONAI bundles: read as data, converted once; whatever would run code is refused and runs nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.adding.add import add_model
from models.adding.bundle_config import BundleConfig
from models.adding.draft import Wishes
from models.manifest import read_manifest
from models.prediction import LabelMap, Prediction, Segmentation
from models.runtime import load_model
from models.weights import ensure_weights
from node.store.errors import ConfigurationError, Refused
from tests.unit.models.adding.folders import hostile_checkpoint, picture, volume

NETWORK = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 2,
    "channels": [4, 8],
    "strides": [2],
    "num_res_units": 1,
    "norm": "batch",
}


def config() -> dict[str, Any]:
    return {
        "patch": [16, 16, 16],
        "network_def": dict(NETWORK),
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": [2.0, 2.0, "$1.5 + 1.5"], "mode": "bilinear"},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    "a_min": -50,
                    "a_max": 300,
                    "b_min": 0,
                    "b_max": 1,
                    "clip": True,
                },
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": "@patch", "overlap": 0.5, "mode": "gaussian"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {"_target_": "Invertd", "keys": "pred"},
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            ],
        },
    }


def bundle(folder: Path, content: dict[str, Any] | None = None, channels: dict[str, str] | None = None) -> Path:
    """A bundle to MONAI's layout, with the weights of its own network."""
    from monai.networks.nets import UNet

    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(content or config()))
    form = {
        "inputs": {"image": {"type": "image", "modality": "CT", "num_channels": 1}},
        "outputs": {"pred": {"channel_def": channels or {"0": "background", "1": "left blob"}}},
    }
    (folder / "configs" / "metadata.json").write_text(json.dumps({"name": "Blobs", "network_data_format": form}))
    torch.manual_seed(0)
    network = UNet(**{key: value for key, value in NETWORK.items() if key != "_target_"})
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder


def predict(folder: Path, tmp_path: Path) -> Prediction:
    manifest = read_manifest(folder)
    return load_model(manifest, ensure_weights(manifest, tmp_path, pull=False)).predict(volume())


@pytest.mark.parametrize(("roi", "mode"), [([16, 16, 16], "gaussian"), ([16, -1, 12], "constant")])
def test_a_bundle_answers_as_monai_does(roi: list[int], mode: str, tmp_path: Path) -> None:
    from monai.data import MetaTensor
    from monai.inferers import SlidingWindowInferer
    from monai.networks.nets import UNet
    from monai.transforms import ScaleIntensityRange, Spacing

    content = config()
    content["inferer"] = content["inferer"] | {"roi_size": roi, "mode": mode}
    added = add_model(bundle(tmp_path / "blobs", content), tmp_path / "shelf", Wishes())
    assert not added.needs_approval
    manifest = added.manifest
    assert [one.key for one in manifest.structures] == ["left_blob"]
    assert manifest.input.require[0].rule == "modality in ['CT']"
    found = predict(manifest.folder, tmp_path).segmentation
    assert isinstance(found, LabelMap)

    # the same by MONAI's own classes, on the array with its axes to the right, to the front and upwards
    image = volume()
    turned = image.array.transpose(2, 1, 0)[::-1, ::-1].copy()
    spaced = Spacing(pixdim=(2.0, 2.0, 3.0), mode="bilinear")(MetaTensor(turned[None], affine=np.diag([1.0, 1.0, 3.0, 1.0])))
    scaled = torch.as_tensor(ScaleIntensityRange(-50, 300, 0, 1, clip=True)(spaced))
    network = UNet(**{key: value for key, value in NETWORK.items() if key != "_target_"}).eval()
    network.load_state_dict(torch.load(tmp_path / "blobs" / "models" / "model.pt", weights_only=True))
    with torch.inference_mode():
        logits = SlidingWindowInferer(roi, overlap=0.5, mode=mode)(scaled[None], network)[0]
        likely = torch.softmax(logits, 0).numpy()
    x, y, z = np.meshgrid(*(np.arange(side) for side in turned.shape), indexing="ij")
    from scipy.ndimage import map_coordinates

    fine = np.stack([map_coordinates(one, [x / 2, y / 2, z], order=1, mode="nearest") for one in likely])
    expected = fine.argmax(0)[::-1, ::-1].transpose(2, 1, 0)
    assert found.array.shape == image.array.shape
    assert 0 < expected.mean() < 1
    assert (found.array == expected).mean() > 0.999


def test_outputs_that_overlap_are_masks_of_their_own(tmp_path: Path) -> None:
    content = config()
    content["postprocessing"]["transforms"] = [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
    ]
    added = add_model(bundle(tmp_path / "blobs", content, {"0": "whole", "1": "core"}), tmp_path / "shelf", Wishes())
    found = predict(added.manifest.folder, tmp_path).segmentation
    assert isinstance(found, Segmentation)
    assert set(found.masks) == {"whole", "core"}


def test_what_is_no_volume_is_refused(tmp_path: Path) -> None:
    manifest = add_model(bundle(tmp_path / "blobs"), tmp_path / "shelf", Wishes()).manifest
    model = load_model(manifest, ensure_weights(manifest, tmp_path, pull=False))
    with pytest.raises(Refused, match="no place in the patient"):
        model.predict(picture())


def test_a_bundle_that_imports_os_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    hostile: list[tuple[str, Any]] = [
        ("imports", ["$import os"]),
        ("imports", [f"$import os; os.system('touch {marker}')"]),
        ("patch", f"$__import__('os').system('touch {marker}')"),
        ("patch", f"$(lambda: open({str(marker)!r}, 'w'))()"),
        ("patch", f"$[].__class__.__base__.__subclasses__() or open({str(marker)!r}, 'w')"),
        ("patch", "$[16 for _ in range(3)]"),
        ("patch", "$x"),
        ("patch", "$10 ** 10 ** 10"),
        ("network_def", {"_target_": "os.system", "command": f"touch {marker}"}),
        ("network_def", {"_target_": "builtins.eval", "source": "1"}),
        ("network_def", {**NETWORK, "_target_": "evil.UNet"}),
        ("initialize", [{"_target_": "subprocess.run", "args": ["touch", str(marker)]}]),
        ("inferer", {"_target_": "SlidingWindowInferer", "roi_size": {"_target_": "os.getcwd"}}),
        ("patch", "%configs/other.json::patch"),
    ]
    for number, (key, value) in enumerate(hostile):
        folder = bundle(tmp_path / f"b{number}", {**config(), key: value})
        with pytest.raises(ConfigurationError, match=r"refused, nothing was run|Refused, nothing was run|is a macro") as refusal:
            add_model(folder, tmp_path / "shelf", Wishes())
        assert key in str(refusal.value)
        assert not marker.exists(), key
    assert not list((tmp_path / "shelf").iterdir())


def test_a_hostile_checkpoint_executes_nothing(tmp_path: Path) -> None:
    folder, marker = bundle(tmp_path / "blobs"), tmp_path / "marker"
    hostile_checkpoint(folder / "models" / "model.pt", marker)
    with pytest.raises(ConfigurationError, match="would execute code when it is read; refused"):
        add_model(folder, tmp_path / "shelf", Wishes())
    assert not marker.exists()
    torch.load(folder / "models" / "model.pt", weights_only=False)
    assert marker.exists(), "the checkpoint of this test makes a file when it is read carelessly"


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("network_def", {**NETWORK, "channels": [4, 16]}, "does not fit the network"),
        ("network_def", {"_target_": "SimpleInferer"}, "network_def must be one of"),
        ("network_def", "@nothing", "refers to nothing"),
        ("network_def", "@network_def", "round in a circle"),
        ("patch", "$16 / 0", "divides by zero"),
        ("patch", "$[1] * 3", "for numbers only"),
        ("inferer", {"_target_": "UNet"}, "inferer must be one of"),
        ("preprocessing", {"transforms": [{"_target_": "Activationsd"}]}, "is not known before the network"),
        (
            "preprocessing",
            {"transforms": [{"_target_": "Spacingd", "pixdim": [1, 1, 1], "mode": "bicubic"}]},
            "mode bicubic is not read",
        ),
        ("preprocessing", {"transforms": [{"_target_": "Orientationd"}]}, "Orientationd: 'axcodes'"),
        ("preprocessing", {"transforms": [{"_target_": "RandFlipd"}]}, "class RandFlipd is not one"),
    ],
)
def test_what_cannot_be_read_is_said(key: str, value: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        add_model(bundle(tmp_path / "blobs", {**config(), key: value}), tmp_path / "shelf", Wishes())


def test_expressions_are_arithmetic_on_numbers_and_references() -> None:
    given = BundleConfig({"a": [8, {"b": 3}], "c": "$@a::0 * 2 - 1", "d": "$[@a#1::b, -@c, (1 + 2) // 2]", "e": "@d::1"})
    assert given.get("c") == 15
    assert given.get("d") == [3, -15, 1]
    assert given.get("e") == -15
    assert given.get("nothing") is None


def test_a_checkpoint_cut_short_and_missing_metadata_are_said(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "blobs")
    file = folder / "models" / "model.pt"
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(ConfigurationError, match="cannot be read as a checkpoint"):
        add_model(folder, tmp_path / "shelf", Wishes())
    (bundle(tmp_path / "other") / "configs" / "metadata.json").unlink()
    with pytest.raises(ConfigurationError, match=r"metadata\.json cannot be read"):
        add_model(tmp_path / "other", tmp_path / "shelf", Wishes())
