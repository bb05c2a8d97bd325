"""A model of nnU-Net v2, converted by `overread models add`: everything around the network is done as its plans say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.image import Image
from models.manifest import Manifest
from models.networks.nnunet import NnUNet, UNetPlan
from models.networks.weights import load_weights
from models.prediction import LabelMap, Prediction
from models.runtimes.nnunet_grid import Tiles, Volume, crop_to_nonzero, new_shape, normalise, resample
from models.runtimes.patient_frame import TOWARDS_LPS, turned_volume
from node.store.errors import ConfigurationError

PLAN: Final = "plan.json"
"""What of the plans is needed; written by `models.adding.nnunet`, pinned by its SHA-256 as the weights are."""


class NnUNetModel:
    """One or more folds of one configuration; their logits are averaged.

    Parameters
    ----------
    manifest
        Structures in the order of nnU-Net's labels; ``weights``: ``plan.json`` and a safetensors file for each fold; parameters:
        ``orientation``, where the axes of the arrays that it was trained on lead, slices first (nnU-Net's plans do not say it),
        ``mirror`` (true by default) and ``step`` (0.5 of a tile by default).
    weights
        By name.
    device
        As torch spells it.

    Raises
    ------
    ConfigurationError
        Where plan, weights and structures do not belong together.
    """

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        self._device = device
        try:
            plan = json.loads(weights[PLAN].read_text(encoding="utf-8"))
            self._network = plan_of(plan["network"])
            self._tile = tuple(int(side) for side in plan["patch_size"])
            self._spacing = tuple(float(step) for step in plan["spacing"])
            self._order = tuple(int(axis) for axis in plan["transpose_forward"])
            self._mirror_axes = tuple(int(axis) for axis in plan["mirror_axes"])
            self._scheme, self._of_nonzero = str(plan["normalisation"]), bool(plan["use_mask_for_norm"])
            self._intensity = {str(key): float(value) for key, value in plan["intensity"].items()}
            self._orders = (int(plan["order"]), int(plan["order_z"]), int(plan["order_back"]), int(plan["order_z_back"]))
        except (KeyError, ValueError, TypeError, AttributeError, OSError) as broken:
            raise ConfigurationError(f"model {manifest.name}: {PLAN} is missing or damaged: {broken}") from broken
        self._orientation = str(manifest.parameters.get("orientation", "SPL"))
        check_orientation(self._orientation)
        if not manifest.parameters.get("mirror", True):
            self._mirror_axes = ()
        self._step = float(str(manifest.parameters.get("step", 0.5)))
        self._keys = tuple(structure.key for structure in manifest.structures)
        self._folds = []
        for one in manifest.weights:
            if one.file != PLAN:
                network = NnUNet(self._network, 1, len(self._keys) + 1)
                load_weights(network, weights[one.file])
                self._folds.append(network.eval().to(device))
        if not self._folds or len(self._tile) != self._network.axes or sorted(self._order) != [0, 1, 2]:
            raise ConfigurationError(f"model {manifest.name}: {PLAN} and the weights do not belong together")

    def predict(self, image: Image) -> Prediction:
        """Outline the structures.

        Raises
        ------
        Refused
            Where the image is no grey volume in the patient, or has nothing but zeros.
        """
        frame, volume = turned_volume(image, self._orientation)
        turned = volume.transpose(self._order)
        spacing = tuple(frame.spacing_mm[axis] for axis in self._order)
        labels = self.label(np.ascontiguousarray(turned), spacing)
        back = labels.transpose([self._order.index(axis) for axis in range(3)])
        return Prediction(LabelMap(frame.turn_back(np.ascontiguousarray(back)), self._keys))

    def label(self, volume: NDArray[np.float32], spacing_mm: Sequence[float]) -> NDArray[np.uint8]:
        """The label of each voxel of an array on nnU-Net's own axes (after its ``transpose_forward``).

        Raises
        ------
        Refused
            Where all voxels are zero.
        """
        box, inside = crop_to_nonzero(volume)
        cropped = volume[box]
        target = self._spacing if len(self._spacing) == 3 else (spacing_mm[0], *self._spacing)
        shape = new_shape(cropped.shape, spacing_mm, target)
        order, order_z, order_back, order_z_back = self._orders
        values = normalise(cropped, inside if self._of_nonzero else None, self._scheme, self._intensity)
        data = resample(values[np.newaxis], shape, Volume(tuple(spacing_mm), target), order, order_z)
        tiles = Tiles(self._tile, self._step, self._mirror_axes)
        logits = torch.stack([tiles.logits(network, torch.from_numpy(data), self._device) for network in self._folds]).mean(0)
        fine = resample(logits.numpy(), cropped.shape, Volume(target, tuple(spacing_mm)), order_back, order_z_back)
        labels = np.zeros(volume.shape, dtype=np.uint8)
        labels[box] = fine.argmax(0)
        return labels


def plan_of(given: Mapping[str, Any]) -> UNetPlan:
    """`UNetPlan` of JSON.

    Raises
    ------
    KeyError, TypeError, ValueError
        Where it is none.
    """

    def sides(rows: Any) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(int(side) for side in row) for row in rows)

    return UNetPlan(
        residual=bool(given["residual"]),
        channels=tuple(int(one) for one in given["channels"]),
        kernels=sides(given["kernels"]),
        strides=sides(given["strides"]),
        encoder_blocks=tuple(int(one) for one in given["encoder_blocks"]),
        decoder_blocks=tuple(int(one) for one in given["decoder_blocks"]),
        bias=bool(given["bias"]),
        epsilon=float(given["epsilon"]),
        affine=bool(given["affine"]),
    )


def check_orientation(letters: str) -> None:
    """Refuse what are not three directions along the three axes of the patient.

    Raises
    ------
    ConfigurationError
        With an example.
    """
    if len(letters) != 3 or {TOWARDS_LPS[one][0] for one in letters if one in TOWARDS_LPS} != {0, 1, 2}:
        raise ConfigurationError(f"orientation {letters!r}: three letters, slices first, e.g. SPL (DICOM) or SAL (dcm2niix)")
