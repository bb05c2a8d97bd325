"""A trained model's folder of nnU-Net v2 (``plans.json``, ``dataset.json``, ``fold_X/checkpoint_final.pth``), converted once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor

from models.adding.checkpoint import read_checkpoint, tensors_of
from models.adding.draft import Described, Wishes, read_json, volume_manifest
from models.manifest_text import render
from models.networks.nnunet import NnUNet
from models.runtimes.nnunet import PLAN, check_orientation, plan_of
from models.runtimes.nnunet_grid import SCHEMES
from node.store.errors import ConfigurationError

CHECKPOINT: Final = "checkpoint_final.pth"
_PLAIN: Final = "PlainConvUNet"
_RESIDUAL: Final = "ResidualEncoderUNet"
_TWINS: Final = (".all_modules.", "decoder.encoder.")
"""In names of tensors that a checkpoint holds twice."""


def is_nnunet(path: Path) -> bool:
    """Whether a folder looks like a trained model of nnU-Net."""
    return (path / "plans.json").is_file() and (path / "dataset.json").is_file()


def take_nnunet(path: Path, into: Path, wishes: Wishes) -> None:
    """Convert plans and checkpoints; ``nnunetv2`` is not needed, and nothing of the checkpoint is executed.

    Raises
    ------
    ConfigurationError
        Where something is missing or damaged, where the plans ask for what is not rebuilt here (other networks, regions,
        cascades, several channels), or where a checkpoint's tensors are not exactly those of the network of the plans.
    """
    plans, dataset = read_json(path / "plans.json"), read_json(path / "dataset.json")
    checkpoints = sorted(path.glob(f"fold_*/{CHECKPOINT}"))
    if not checkpoints:
        raise ConfigurationError(f"{path} has no fold_X/{CHECKPOINT}")
    check_orientation(wishes.orientation)
    names = _labels(dataset)
    try:
        read = [(file, read_checkpoint(file)) for file in checkpoints]
        configuration = str(read[0][1]["init_args"]["configuration"])
        plan = plan_json(plans, configuration, read[0][1].get("inference_allowed_mirroring_axes"))
        network = NnUNet(plan_of(plan["network"]), 1, len(names) + 1)
    except (KeyError, TypeError, ValueError, AttributeError) as broken:
        raise ConfigurationError(f"the plans are not those of an nnU-Net v2 that is known here: {broken}") from broken
    (into / PLAN).write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
    files = [into / PLAN]
    for file, checkpoint in read:
        tensors = single(tensors_of(checkpoint, file), file)
        check_fits(network, tensors, file)
        files.append(into / f"{file.parent.name}.safetensors")
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, str(files[-1]))
    channels = dataset.get("channel_names") or dataset.get("modality") or {}
    described = Described(
        format="nnunet",
        name=path.parent.name if path.name.startswith("nnUNet") else path.name,
        title=f"nnU-Net of {dataset.get('name') or path.parent.name}",
        licence=str(dataset.get("licence") or dataset.get("license") or ""),
        structures=tuple(names),
        modality=tuple(str(one) for one in channels.values()),
    )
    content = volume_manifest(described, wishes, files, {"orientation": wishes.orientation})
    (into / "model.toml").write_text(render(content), encoding="utf-8")


def plan_json(plans: Mapping[str, Any], configuration: str, mirror_axes: Sequence[int] | None) -> dict[str, Any]:
    """What `models.runtimes.nnunet` needs of the plans.

    Raises
    ------
    ConfigurationError
        Where they ask for what is not rebuilt here.
    KeyError, TypeError, ValueError
        Where they are none.
    """
    chosen = _inherited(plans["configurations"], configuration)
    if chosen.get("previous_stage"):
        raise ConfigurationError(f"{configuration} is the second stage of a cascade, which is not read")
    schemes, masks = chosen["normalization_schemes"], chosen["use_mask_for_norm"]
    if len(schemes) != 1:
        raise ConfigurationError(f"it reads {len(schemes)} channels; one stack of images is one channel")
    if schemes[0] not in SCHEMES:
        raise ConfigurationError(f"normalisation {schemes[0]} is not known; there are {', '.join(SCHEMES)}")
    for key in ("resampling_fn_data", "resampling_fn_probabilities"):
        if chosen.get(key, "resample_data_or_seg_to_shape") != "resample_data_or_seg_to_shape":
            raise ConfigurationError(f"{key} {chosen[key]} is not known")
    data = chosen["resampling_fn_data_kwargs"]
    back = chosen["resampling_fn_probabilities_kwargs"]
    if data.get("force_separate_z") is not None or back.get("force_separate_z") is not None:
        raise ConfigurationError("a forced separate resampling of slices is not known")
    intensity = plans.get("foreground_intensity_properties_per_channel", {}).get("0", {})
    kept = ("mean", "std", "percentile_00_5", "percentile_99_5")
    return {
        "network": _network(chosen),
        "patch_size": [int(side) for side in chosen["patch_size"]],
        "spacing": [float(step) for step in chosen["spacing"]],
        "transpose_forward": [int(axis) for axis in plans["transpose_forward"]],
        "mirror_axes": [int(axis) for axis in mirror_axes or ()],
        "normalisation": schemes[0],
        "use_mask_for_norm": bool(masks[0]),
        "intensity": {key: float(intensity[key]) for key in kept if key in intensity},
        "order": int(data["order"]),
        "order_z": int(data["order_z"]),
        "order_back": int(back["order"]),
        "order_z_back": int(back["order_z"]),
    }


def single(tensors: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """The tensors without their twins, which must be equal.

    Raises
    ------
    ConfigurationError
        Where twins differ.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        plain = name.removeprefix("decoder.").removeprefix("_orig_mod.") if name.startswith("decoder.encoder.") else name
        if any(mark in name for mark in _TWINS):
            plain = _untwinned(plain, tensors)
        if plain in found and not torch.equal(found[plain], tensor):
            raise ConfigurationError(f"{file.name}: {name} and {plain} should be equal and differ")
        found[plain] = tensor.float() if tensor.is_floating_point() else tensor
    return found


def check_fits(network: NnUNet, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Refuse weights that are not exactly those of the network.

    Raises
    ------
    ConfigurationError
        With one tensor that is missing, too many or of another shape.
    """
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if own != given:
        odd = min(name for name in own.keys() | given.keys() if own.get(name) != given.get(name))
        raise ConfigurationError(
            f"{file.name} is not of the network of the plans: {odd} is {given.get(odd, 'missing')}, "
            f"{own.get(odd, 'nothing')} was expected"
        )


def _untwinned(name: str, tensors: Mapping[str, Tensor]) -> str:
    """``….all_modules.0.weight`` is ``….conv.weight``, ``….all_modules.1.weight`` the normalisation's (no dropout is read)."""
    for number, part in (("0", "conv"), ("1", "norm")):
        candidate = name.replace(f".all_modules.{number}.", f".{part}.")
        if candidate != name and candidate in tensors:
            return candidate
    return name


def _network(chosen: Mapping[str, Any]) -> dict[str, Any]:
    if "architecture" in chosen:
        name = str(chosen["architecture"]["network_class_name"]).rpartition(".")[2]
        given = chosen["architecture"]["arch_kwargs"]
    else:  # plans of nnU-Net before 2.3
        name, given = str(chosen["UNet_class_name"]), _of_old_plans(chosen)
    if name not in {_PLAIN, _RESIDUAL}:
        raise ConfigurationError(f"network {name} is not rebuilt here; {_PLAIN} and {_RESIDUAL} are")
    norm, nonlin = str(given["norm_op"]), str(given["nonlin"])
    slope = (given.get("nonlin_kwargs") or {}).get("negative_slope", 0.01)
    odd = [one for one in (given.get("dropout_op"), given.get("nonlin_first")) if one]
    if "InstanceNorm" not in norm or not nonlin.endswith("LeakyReLU") or odd or slope != 0.01:
        raise ConfigurationError(f"{name} with {norm}, {nonlin} or dropout is not rebuilt here")
    residual = name == _RESIDUAL
    blocks = given["n_blocks_per_stage" if residual else "n_conv_per_stage"]
    kwargs = given.get("norm_op_kwargs") or {}
    stages = int(given["n_stages"])
    return {
        "residual": residual,
        "channels": list(given["features_per_stage"]),
        "kernels": [list(one) for one in given["kernel_sizes"]],
        "strides": [list(one) for one in given["strides"]],
        "encoder_blocks": [blocks] * stages if isinstance(blocks, int) else list(blocks),
        "decoder_blocks": _list(given["n_conv_per_stage_decoder"], stages - 1),
        "bias": bool(given.get("conv_bias", False)),
        "epsilon": float(kwargs.get("eps", 1e-5)),
        "affine": bool(kwargs.get("affine", False)),
    }


def _list(given: Any, length: int) -> list[int]:
    return [given] * length if isinstance(given, int) else list(given)


def _of_old_plans(chosen: Mapping[str, Any]) -> dict[str, Any]:
    axes = len(chosen["patch_size"])
    stages = len(chosen["n_conv_per_stage_encoder"])
    base, most = int(chosen["UNet_base_num_features"]), int(chosen["unet_max_num_features"])
    return {
        "n_stages": stages,
        "features_per_stage": [min(base * 2**stage, most) for stage in range(stages)],
        "kernel_sizes": chosen["conv_kernel_sizes"],
        "strides": chosen["pool_op_kernel_sizes"],
        "n_conv_per_stage": chosen["n_conv_per_stage_encoder"],
        "n_blocks_per_stage": chosen["n_conv_per_stage_encoder"],
        "n_conv_per_stage_decoder": chosen["n_conv_per_stage_decoder"],
        "conv_bias": True,
        "norm_op": f"InstanceNorm{axes}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": "LeakyReLU",
    }


def _inherited(configurations: Mapping[str, Any], name: str, depth: int = 0) -> dict[str, Any]:
    if depth > 5:
        raise ConfigurationError(f"configuration {name} inherits from itself")
    own = dict(configurations[name])
    parent = own.pop("inherits_from", None)
    return {**_inherited(configurations, str(parent), depth + 1), **own} if parent else own


def _labels(dataset: Mapping[str, Any]) -> list[str]:
    try:
        labels = {str(name): value for name, value in dataset["labels"].items()}
    except (KeyError, AttributeError) as broken:
        raise ConfigurationError("dataset.json names no labels") from broken
    labels.pop("background", None)
    if "ignore" in labels:
        labels.pop("ignore")
    if any(not isinstance(value, int) for value in labels.values()):
        raise ConfigurationError("it was trained on regions that overlap, which is not read")
    ordered = sorted(labels, key=lambda name: labels[name])
    if [labels[name] for name in ordered] != list(range(1, len(ordered) + 1)) or not ordered:
        raise ConfigurationError(f"labels must count from 1 without gaps, dataset.json has {labels}")
    return ordered
