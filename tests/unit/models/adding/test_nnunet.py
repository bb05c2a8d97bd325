"""Folders of nnU-Net v2: converted once, rebuilt from the plans, run as nnU-Net runs them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.adding.add import add_model
from models.adding.draft import Wishes
from models.adding.nnunet import plan_json
from models.manifest import Manifest, read_manifest
from models.networks.nnunet import NnUNet
from models.prediction import LabelMap
from models.runtime import load_model
from models.runtimes.nnunet import NnUNetModel, plan_of
from models.weights import ensure_weights
from node.store.errors import ConfigurationError, Refused
from tests.unit.models.adding.folders import hostile_checkpoint, picture, volume

ARCHITECTURE = {
    "n_stages": 3,
    "features_per_stage": [4, 8, 8],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "n_conv_per_stage": [2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2],
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}


def plans(**changes: Any) -> dict[str, Any]:
    """To the layout of nnU-Net 2.3 and later."""
    resampling = {"is_seg": False, "order_z": 0, "force_separate_z": None}
    configuration = {
        "patch_size": [8, 16, 16],
        "spacing": [3.0, 1.0, 1.0],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {**resampling, "order": 3},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": dict(ARCHITECTURE),
        },
    }
    intensity = {"mean": 100.0, "std": 80.0, "percentile_00_5": -80.0, "percentile_99_5": 350.0, "max": 400.0}
    return {
        "dataset_name": "Dataset501_Blob",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": {**configuration, **changes}},
        "foreground_intensity_properties_per_channel": {"0": intensity},
    }


def twins(state: dict[str, torch.Tensor], residual: bool = False) -> dict[str, torch.Tensor]:
    """As the checkpoint holds them: each unit's layers a second time by number, and the encoder again inside the decoder."""
    found: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        copies = [name]
        for number, part in (("0", "conv"), ("1", "norm")):
            if f".{part}." in name:
                copies.append(name.replace(f".{part}.", f".all_modules.{number}."))
        for copy in copies:
            found[copy] = tensor
            if copy.startswith("encoder."):
                found[f"decoder.{copy}"] = tensor
    return found


def trained(folder: Path, content: dict[str, Any] | None = None, labels: dict[str, Any] | None = None, folds: int = 1) -> Path:
    """A trained model's folder with random weights."""
    content = content or plans()
    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(content))
    dataset = {"channel_names": {"0": "CT"}, "labels": labels or {"background": 0, "left blob": 1, "right blob": 2}}
    (folder / "dataset.json").write_text(json.dumps(dataset))
    network = plan_of(plan_json(plans(), "3d_fullres", None)["network"])
    for fold in range(folds):
        torch.manual_seed(fold)
        checkpoint = {
            "network_weights": twins(NnUNet(network, 1, 3).state_dict()),
            "trainer_name": "nnUNetTrainer",
            "init_args": {"configuration": "3d_fullres", "fold": fold},
            "inference_allowed_mirroring_axes": (0, 1, 2),
            "_best_ema": np.float64(0.5),
            "logging": {"mean_fg_dice": [np.float32(0.25)]},
        }
        (folder / f"fold_{fold}").mkdir()
        torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder


def added(folder: Path, tmp_path: Path, **wishes: Any) -> Manifest:
    return add_model(folder, tmp_path / "shelf", Wishes(**wishes)).manifest


def predict(manifest: Manifest, tmp_path: Path, **place: Any) -> np.ndarray:
    model = load_model(manifest, ensure_weights(manifest, tmp_path, pull=False))
    found = model.predict(volume(**place)).segmentation
    assert isinstance(found, LabelMap)
    return found.array


def test_a_folder_is_converted_and_reads(tmp_path: Path) -> None:
    manifest = added(trained(tmp_path / "Dataset501_Blob" / "nnUNetTrainer__nnUNetPlans__3d_fullres", folds=2), tmp_path)
    assert manifest.name == "dataset501-blob"
    assert manifest.research_only
    assert [one.key for one in manifest.structures] == ["left_blob", "right_blob"]
    assert [one.file for one in manifest.weights] == ["plan.json", "fold_0.safetensors", "fold_1.safetensors"]
    found = predict(manifest, tmp_path)
    assert found.shape == (10, 20, 24)
    assert set(np.unique(found)) <= {0, 1, 2}


def test_the_answer_does_not_depend_on_how_the_series_lies(tmp_path: Path) -> None:
    """The same head shown from the feet, and with rows and columns swapped, is labelled voxel by voxel the same."""
    manifest = added(trained(tmp_path / "blob"), tmp_path)
    model = load_model(manifest, ensure_weights(manifest, tmp_path, pull=False))
    from dataclasses import replace

    image = volume()
    assert image.affine is not None
    straight = model.predict(image).segmentation
    turned_affine = image.affine[:, [0, 2, 1, 3]].copy()
    turned_affine[:3, 3] += image.affine[:3, 0] * (image.array.shape[0] - 1)
    turned_affine[:, 0] *= -1
    turned = replace(image, array=np.ascontiguousarray(image.array[::-1].transpose(0, 2, 1)), affine=turned_affine)
    other = model.predict(turned).segmentation
    assert isinstance(straight, LabelMap)
    assert isinstance(other, LabelMap)
    np.testing.assert_array_equal(other.array.transpose(0, 2, 1)[::-1], straight.array)


def test_a_residual_network_is_rebuilt(tmp_path: Path) -> None:
    given = {**ARCHITECTURE, "n_blocks_per_stage": [1, 2, 2]}
    del given["n_conv_per_stage"]
    content = plans(architecture={"network_class_name": "x.ResidualEncoderUNet", "arch_kwargs": given})
    plan = plan_json(content, "3d_fullres", [0, 1, 2])
    network = NnUNet(plan_of(plan["network"]), 1, 3).eval()
    assert network(torch.rand(1, 1, 8, 16, 16)).shape == (1, 3, 8, 16, 16)
    names = set(network.state_dict())
    assert {"encoder.stem.convs.0.conv.weight", "encoder.stages.1.blocks.0.skip.1.norm.weight"} <= names
    assert "encoder.stages.2.blocks.0.skip.0.norm.weight" not in names  # eight channels in and out: averaged only


def test_plans_from_before_2_3_and_inheritance_are_read() -> None:
    old = plans()
    configuration = old["configurations"]["3d_fullres"]
    del configuration["architecture"]
    configuration.update(
        UNet_class_name="PlainConvUNet",
        UNet_base_num_features=4,
        unet_max_num_features=8,
        n_conv_per_stage_encoder=[2, 2, 2],
        n_conv_per_stage_decoder=[2, 2],
        conv_kernel_sizes=ARCHITECTURE["kernel_sizes"],
        pool_op_kernel_sizes=ARCHITECTURE["strides"],
    )
    old["configurations"]["3d_child"] = {"inherits_from": "3d_fullres", "patch_size": [8, 32, 32]}
    new = plan_json(plans(), "3d_fullres", None)
    assert plan_json(old, "3d_fullres", None) == new
    assert plan_json(old, "3d_child", None) == {**new, "patch_size": [8, 32, 32]}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"normalization_schemes": ["CTNormalization"] * 2}, "it reads 2 channels"),
        ({"normalization_schemes": ["Evil"]}, "normalisation Evil is not known"),
        ({"previous_stage": "3d_lowres"}, "second stage of a cascade"),
        ({"resampling_fn_data": "resample_torch_fornnunet"}, "resample_torch_fornnunet is not known"),
        ({"architecture": {"network_class_name": "os.system", "arch_kwargs": {}}}, "network system is not rebuilt here"),
        ({"architecture": {"network_class_name": "a.PlainConvUNet", "arch_kwargs": {**ARCHITECTURE, "dropout_op": "x"}}}, "dropout"),
        ({"architecture": {"network_class_name": "a.PlainConvUNet", "arch_kwargs": {}}}, "not those of an nnU-Net v2"),
        ({"architecture": {"network_class_name": "a.PlainConvUNet", "arch_kwargs": {**ARCHITECTURE, "features_per_stage": [4, 8]}}}, "do not belong together"),
        ({"architecture": {"network_class_name": "a.PlainConvUNet", "arch_kwargs": {**ARCHITECTURE, "features_per_stage": [4, 8, 9]}}}, "is not of the network of the plans"),
        ({"architecture": {"network_class_name": "a.PlainConvUNet", "arch_kwargs": {**ARCHITECTURE, "n_conv_per_stage": [2, 2, 3]}}}, "is missing"),
    ],
)  # fmt: skip
def test_plans_that_are_not_rebuilt_exactly_are_refused(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        added(trained(tmp_path / "blob", plans(**changes)), tmp_path)
    assert not list((tmp_path / "shelf").iterdir())


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"background": 0, "whole": [1, 2]}, "regions that overlap"),
        ({"background": 0, "a": 1, "b": 3}, "count from 1 without gaps"),
        ({"background": 0}, "count from 1 without gaps"),
    ],
)
def test_labels_that_are_not_read_are_refused(labels: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        added(trained(tmp_path / "blob", labels=labels), tmp_path)


def test_a_hostile_checkpoint_executes_nothing(tmp_path: Path) -> None:
    folder, marker = trained(tmp_path / "blob"), tmp_path / "marker"
    hostile_checkpoint(folder / "fold_0" / "checkpoint_final.pth", marker)
    with pytest.raises(ConfigurationError, match=r"holds more than numbers.*would execute code when it is read; refused"):
        added(folder, tmp_path)
    assert not marker.exists()
    torch.load(folder / "fold_0" / "checkpoint_final.pth", weights_only=False)
    assert marker.exists(), "the checkpoint of this test makes a file when it is read carelessly"


def test_a_checkpoint_cut_short_or_with_unequal_twins_is_refused(tmp_path: Path) -> None:
    folder = trained(tmp_path / "blob")
    file = folder / "fold_0" / "checkpoint_final.pth"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigurationError, match="cannot be read as a checkpoint"):
        added(folder, tmp_path)
    file.write_bytes(whole)
    from models.adding.checkpoint import read_checkpoint

    checkpoint = read_checkpoint(file)
    weights = checkpoint["network_weights"]
    weights["encoder.stages.0.0.convs.0.all_modules.0.weight"] = weights["encoder.stages.0.0.convs.0.conv.weight"] + 1
    torch.save(checkpoint, file)
    with pytest.raises(ConfigurationError, match="should be equal and differ"):
        added(folder, tmp_path)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    folder = trained(tmp_path / "set" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    with pytest.raises(ConfigurationError, match="several trainings of nnU-Net; add one of them"):
        added(tmp_path / "set", tmp_path)
    with pytest.raises(ConfigurationError, match="three letters, slices first"):
        added(folder, tmp_path, orientation="SPS")
    (folder / "fold_0" / "checkpoint_final.pth").unlink()
    with pytest.raises(ConfigurationError, match=r"no fold_X/checkpoint_final\.pth"):
        added(folder, tmp_path)


def test_images_that_are_not_read_are_refused(tmp_path: Path) -> None:
    manifest = added(trained(tmp_path / "blob"), tmp_path)
    model = load_model(read_manifest(manifest.folder), ensure_weights(manifest, tmp_path, pull=False))
    with pytest.raises(Refused, match="no place in the patient"):
        model.predict(picture())
    from dataclasses import replace

    with pytest.raises(Refused, match="nothing but zeros"):
        model.predict(replace(volume(), array=np.zeros((4, 8, 8), np.float32)))


REAL = Path(__file__).parent / "trained-nnunet"
"""Trained for two epochs by nnunetv2 2.8.1 on drawn blobs (its optimiser's state taken out), and what its own predictor says of one
image at two spacings other than that of the plans: resampled, with slices apart, tiled, mirrored."""


@pytest.mark.parametrize("spacing", ["fine", "coarse"])
def test_a_model_that_nnunet_trained_answers_voxel_by_voxel_as_nnunet_does(spacing: str, tmp_path: Path) -> None:
    manifest = added(REAL, tmp_path, name="blobs")
    model = load_model(manifest, ensure_weights(manifest, tmp_path, pull=False))
    assert isinstance(model, NnUNetModel)
    reference = np.load(REAL / f"{spacing}.npz")
    assert (reference["seg"] == 1).sum() > 500
    steps = tuple(float(step) for step in reference["spacing_mm"])
    found = model.label(reference["image"].astype(np.float32), steps)
    assert (found != reference["seg"]).sum() <= 3  # nnU-Net weighs tiles in half precision
