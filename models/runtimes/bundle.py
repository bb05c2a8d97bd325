"""A MONAI bundle that outlines, converted by `overread models add`: the network by MONAI, everything around it here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from models.image import Image
from models.manifest import Manifest
from models.networks.weights import read_weights
from models.prediction import LabelMap, Prediction, Segmentation
from models.runtimes.patient_frame import PatientFrame, turned_volume
from models.runtimes.sliding_window import Window, slide
from node.store.errors import ConfigurationError

BUNDLE: Final = "bundle.json"
"""What of the config is needed; written by `models.adding.bundle`, pinned by its SHA-256 as the weights are."""
NETWORKS: Final = {
    "UNet": "UNet",
    "Unet": "UNet",
    "BasicUNet": "BasicUNet",
    "BasicUnet": "BasicUNet",
    "DynUNet": "DynUNet",
    "DynUnet": "DynUNet",
    "SegResNet": "SegResNet",
    "SegResNetDS": "SegResNetDS",
    "VNet": "VNet",
    "AttentionUnet": "AttentionUnet",
    "UNETR": "UNETR",
    "SwinUNETR": "SwinUNETR",
}
"""Names in configs, and in `monai.networks.nets`."""
Floats = NDArray[np.float32]


class BundleModel:
    """One network.

    Parameters
    ----------
    manifest
        Structures in the order of the outputs, after the background where one structure excludes the others.
    weights
        ``bundle.json`` and one safetensors file.
    device
        As torch spells it.

    Raises
    ------
    ConfigurationError
        Where the description and the weights do not belong together.
    """

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        files = [one.file for one in manifest.weights if one.file != BUNDLE]
        try:
            self._bundle: dict[str, Any] = json.loads(weights[BUNDLE].read_text(encoding="utf-8"))
            self._steps = [dict(step) for step in self._bundle["steps"]]
            self._several, self._threshold = bool(self._bundle["several"]), float(self._bundle["threshold"])
            self._window = _window(self._bundle)
            network = build(str(self._bundle["network"]), self._bundle["arguments"])
        except (KeyError, ValueError, TypeError, OSError) as broken:
            raise ConfigurationError(f"model {manifest.name}: {BUNDLE} is missing or damaged: {broken}") from broken
        if len(files) != 1:
            raise ConfigurationError(f"model {manifest.name}: model.toml must name {BUNDLE} and one file of weights")
        try:
            network.load_state_dict(read_weights(weights[files[0]]))
        except RuntimeError as unfit:
            raise ConfigurationError(f"model {manifest.name}: {files[0]} does not fit the network: {str(unfit)[:300]}") from unfit
        self._network, self._device = network.eval().to(device), device
        self._keys = tuple(structure.key for structure in manifest.structures)
        self._name = manifest.name

    def predict(self, image: Image) -> Prediction:
        """Outline the structures.

        Raises
        ------
        Refused
            Where the image is no grey volume in the patient.
        ConfigurationError
            Where the network has another number of outputs than there are structures.
        """
        axes = next((str(step["axes"]) for step in self._steps if step["step"] == "orientation"), "LPS")
        frame, turned = turned_volume(image, axes)
        likely = self._likely(np.ascontiguousarray(turned), frame)
        wanted = len(self._keys) + (not self._several)
        if likely.shape[0] != wanted:
            raise ConfigurationError(f"model {self._name}: the network has {likely.shape[0]} outputs, {wanted} were expected")
        if self._several:
            pairs = zip(self._keys, likely, strict=True)
            return Prediction(Segmentation({key: frame.turn_back(one >= self._threshold) for key, one in pairs}))
        return Prediction(LabelMap(frame.turn_back(likely.argmax(0).astype(np.uint8)), self._keys))

    def _likely(self, volume: Floats, frame: PatientFrame) -> Floats:
        """Probabilities of each output on the turned volume's grid."""
        shown, spacing = volume, frame.spacing_mm
        for step in self._steps:
            if step["step"] == "spacing":
                target = tuple(here if mm <= 0 else mm for mm, here in zip(step["mm"], spacing, strict=True))
                shown = respaced(shown, spacing, target, int(step["order"]))
                spacing = (target[0], target[1], target[2])
            elif step["step"] != "orientation":
                shown = graded(shown, step)
        with torch.inference_mode():
            logits = self._infer(torch.from_numpy(np.ascontiguousarray(shown))[None])
            likely = (torch.sigmoid(logits) if self._several else torch.softmax(logits, 0)).numpy()
        if shown.shape == volume.shape:
            return np.asarray(likely, dtype=np.float32)
        factors = [before / after for before, after in zip(frame.spacing_mm, spacing, strict=True)]
        return np.stack(
            [ndimage.affine_transform(one, factors, output_shape=volume.shape, order=1, mode="nearest") for one in likely]
        )

    def _infer(self, volume: Tensor) -> Tensor:
        """``(channels, slice, row, column)`` to logits on that grid, on the CPU."""
        if self._window is None:
            return self._answer(volume[None])[0]
        whole: list[Tensor] = []

        def keep(first: int, planes: Tensor) -> None:
            if not whole:
                whole.append(planes.new_empty((planes.shape[0], *volume.shape[1:])))
            whole[0][:, first : first + planes.shape[1]] = planes

        sides = tuple(side if side > 0 else length for side, length in zip(self._window.shape, volume.shape[1:], strict=True))
        slide(self._answer, volume, replace(self._window, shape=(sides[0], sides[1], sides[2])), keep)
        return whole[0]

    def _answer(self, batch: Tensor) -> Tensor:
        return _first(self._network(batch.to(self._device))).float().cpu()


def _window(bundle: Mapping[str, Any]) -> Window | None:
    """How the inferer cuts the volume, a side of 0 or less being that of the volume; none where it does not cut it.

    Raises
    ------
    ValueError
        Where it has not three sides.
    """
    roi = [int(side) for side in bundle["roi"]]
    if not roi:
        return None
    if len(roi) != 3:
        raise ValueError(f"roi has {len(roi)} sides, not three")
    return Window((roi[0], roi[1], roi[2]), float(bundle["overlap"]), gaussian=bundle["mode"] == "gaussian")


def build(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a network of the allow-list.

    Raises
    ------
    ValueError, TypeError
        Where it is none, or the arguments do not fit it.
    """
    if name not in NETWORKS:
        raise ValueError(f"network {name} is not one of {', '.join(NETWORKS)}")
    from monai.networks import nets

    built: object = getattr(nets, NETWORKS[name])(**arguments)
    if not isinstance(built, nn.Module):
        raise TypeError(f"{name} is no network")
    return built


def respaced(volume: Floats, spacing: tuple[float, ...], target: tuple[float, ...], order: int) -> Floats:
    """On a grid of another spacing whose first voxel's centre is the same, as MONAI's ``Spacing`` lays it."""
    sides = [round((side - 1) * before / after + 1) for side, before, after in zip(volume.shape, spacing, target, strict=True)]
    factors = [after / before for before, after in zip(spacing, target, strict=True)]
    resampled = ndimage.affine_transform(volume, factors, output_shape=tuple(sides), order=order, mode="nearest")
    return np.asarray(resampled, dtype=np.float32)


def graded(volume: Floats, step: Mapping[str, Any]) -> Floats:
    """One of MONAI's intensity transforms."""
    if step["step"] == "range":
        low, high, new_low, new_high = step["ends"]
        scaled = (volume - low) / (high - low) * (new_high - new_low) + new_low
        return np.asarray(np.clip(scaled, new_low, new_high) if step["clip"] else scaled, dtype=np.float32)
    if step["step"] == "stretch":
        low, high = float(volume.min()), float(volume.max())
        if high <= low:
            return volume
        new_low, new_high = step["ends"]
        return np.asarray((volume - low) / (high - low) * (new_high - new_low) + new_low, dtype=np.float32)
    if step["step"] == "normal":
        counted = volume != 0 if step["nonzero"] else np.ones(volume.shape, dtype=bool)
        if not counted.any():
            return volume
        mean = float(volume[counted].mean()) if step["subtrahend"] is None else float(step["subtrahend"])
        deviation = float(volume[counted].std()) if step["divisor"] is None else float(step["divisor"])
        return np.where(counted, (volume - mean) / (deviation or 1.0), volume).astype(np.float32)
    raise ConfigurationError(f"step {step['step']} is not known")


def _first(answered: Any) -> Tensor:
    """Networks with deep supervision answer several times; the first is at full resolution."""
    found = answered[0] if isinstance(answered, list | tuple) else answered
    if not isinstance(found, Tensor):
        raise ConfigurationError("the network answers with something that is no tensor")
    return found
