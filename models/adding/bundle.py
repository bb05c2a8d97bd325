"""A MONAI bundle that outlines: its inference config is read as data, its weights are converted once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safetensors.torch import save_file

from models.adding.bundle_config import INFERERS, STEPS, BundleConfig, class_of
from models.adding.checkpoint import read_checkpoint, tensors_of
from models.adding.draft import Described, Wishes, read_json, volume_manifest
from models.manifest_text import render
from models.runtimes.bundle import BUNDLE, NETWORKS
from node.store.errors import ConfigurationError

CONFIG: Final = Path("configs", "inference.json")
METADATA: Final = Path("configs", "metadata.json")
WEIGHTS: Final = Path("models", "model.pt")


def is_bundle(path: Path) -> bool:
    """Whether a folder looks like a bundle."""
    return (path / "configs" / "inference.json").is_file() or (path / "configs" / "inference.yaml").is_file()


def take_bundle(path: Path, into: Path, wishes: Wishes) -> None:
    """Convert a bundle.

    Raises
    ------
    ConfigurationError
        Where it would run code, names what is not on the lists, needs steps that are not known here, or is incomplete.
    """
    if not (path / CONFIG).is_file():
        raise ConfigurationError(f"the config must be {CONFIG}; YAML is not read: write it as JSON")
    config = BundleConfig(read_json(path / CONFIG))
    metadata = read_json(path / METADATA)
    described = distil(config)
    tensors = tensors_of(read_checkpoint(path / WEIGHTS), path / WEIGHTS)
    weights = into / "model.safetensors"
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, str(weights))
    (into / BUNDLE).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    names, modality = _said(metadata, described["several"])
    said = Described(
        format="monai-bundle",
        name=path.name,
        title=str(metadata.get("name") or path.name),
        licence="",
        structures=tuple(names),
        modality=(modality,),
    )
    content = volume_manifest(said, wishes, [into / BUNDLE, weights])
    (into / "model.toml").write_text(render(content), encoding="utf-8")


def distil(config: BundleConfig) -> dict[str, Any]:
    """What `models.runtimes.bundle` needs of the config.

    Raises
    ------
    ConfigurationError
        Where it is incomplete or needs steps that are not known.
    """
    network = config.get("network_def") or config.get("network")
    if not isinstance(network, Mapping) or "_target_" not in network or class_of(network, "network_def") not in NETWORKS:
        raise ConfigurationError(f"network_def must be one of {', '.join(sorted(NETWORKS))}")
    arguments = {key: value for key, value in network.items() if not key.startswith("_")}
    _check_plain(arguments)
    inferer = config.get("inferer") or {"_target_": "SimpleInferer"}
    if class_of(inferer, "inferer") not in INFERERS:
        raise ConfigurationError(f"inferer must be one of {', '.join(sorted(INFERERS))}")
    last = {class_of(one, "postprocessing"): one for one in _transforms(config, "postprocessing")}
    activation, discrete = last.get("Activationsd", {}), last.get("AsDiscreted", {})
    return {
        "network": class_of(network, "network_def"),
        "arguments": arguments,
        "steps": [_step(one) for one in _transforms(config, "preprocessing") if class_of(one, "preprocessing") in STEPS],
        "roi": [int(side) for side in inferer.get("roi_size", [])],
        "overlap": float(inferer.get("overlap", 0.25)),
        "mode": str(inferer.get("mode", "constant")),
        "several": bool(activation.get("sigmoid") or (discrete.get("threshold") is not None and not discrete.get("argmax"))),
        "threshold": float(discrete.get("threshold") or 0.5),
    }


def _transforms(config: BundleConfig, key: str) -> list[Mapping[str, Any]]:
    found = config.get(key)
    listed = found.get("transforms", []) if isinstance(found, Mapping) else found or []
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) and "_target_" in one for one in listed):
        raise ConfigurationError(f"{key} must be a list of transforms")
    return [one for one in listed if not one.get("_disabled_")]


def _step(given: Mapping[str, Any]) -> dict[str, Any]:
    """One preprocessing step in words of our own.

    Raises
    ------
    ConfigurationError
        Where a setting is not read here.
    """
    name = class_of(given, "preprocessing")
    try:
        if name == "Orientationd":
            return {"step": "orientation", "axes": str(given["axcodes"])}
        if name == "Spacingd":
            mode = given.get("mode", "bilinear")
            mode = mode[0] if isinstance(mode, list) else mode
            if mode not in {"bilinear", "nearest"}:
                raise ConfigurationError(f"Spacingd with mode {mode} is not read")
            return {"step": "spacing", "mm": [float(step) for step in given["pixdim"]], "order": int(mode == "bilinear")}
        if name == "ScaleIntensityRanged":
            ends = [float(given[key]) for key in ("a_min", "a_max", "b_min", "b_max")]
            return {"step": "range", "ends": ends, "clip": bool(given.get("clip", False))}
        if name == "ScaleIntensityd":
            if given.get("factor") is not None:
                raise ConfigurationError("ScaleIntensityd with a factor is not read")
            return {"step": "stretch", "ends": [float(given.get("minv", 0.0)), float(given.get("maxv", 1.0))]}
        if name == "NormalizeIntensityd":
            known = {key: given.get(key) for key in ("subtrahend", "divisor")}
            plain = {key: None if value is None else float(value) for key, value in known.items()}
            return {"step": "normal", "nonzero": bool(given.get("nonzero", False)), **plain}
    except (KeyError, TypeError, ValueError) as broken:
        raise ConfigurationError(f"preprocessing: {name}: {broken}") from broken
    raise ConfigurationError(f"preprocessing: {name} is not known before the network")


def _check_plain(value: Any) -> None:
    if isinstance(value, Mapping):
        if "_target_" in value:
            raise ConfigurationError("arguments of network_def must be plain values")
        for one in value.values():
            _check_plain(one)
    elif isinstance(value, list):
        for one in value:
            _check_plain(one)


def _said(metadata: Mapping[str, Any], several: bool) -> tuple[list[str], str]:
    """Structures in the order of the outputs, and a word for the modality."""
    try:
        form = metadata["network_data_format"]
        (read,) = form["inputs"].values()
        defined = {int(number): str(name) for number, name in next(iter(form["outputs"].values()))["channel_def"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as broken:
        raise ConfigurationError(f"{METADATA} must say one input and the channel_def of the output: {broken}") from broken
    if int(read.get("num_channels", 1)) != 1:
        raise ConfigurationError(f"it reads {read['num_channels']} channels; one stack of images is one channel")
    if sorted(defined) != list(range(len(defined))) or len(defined) < (1 if several else 2):
        raise ConfigurationError("channel_def must count from 0 without gaps, the background first")
    return [defined[number] for number in sorted(defined)][0 if several else 1 :], str(read.get("modality", ""))
