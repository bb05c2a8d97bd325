"""Folders of models to add, made in the test."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from models.image import Header, Image, SpacingKind
from models.networks.architectures import find_architecture

MANIFEST = """
name = "{name}"
format = "{format}"
[parameters]
{parameters}
[input]
require = [{{ rule = "modality == 'DX'", otherwise = "reads DX, this is {{modality}}" }}]
[[findings]]
key = "tumour"
name = "Tumour"
code = ["SCT", "108369006", "Neoplasm"]
threshold = 0.5
[[weights]]
file = "{file}"
{sha256}
"""
GRAPH = 'reads = "picture"\nanswers = "findings"\nsize = [32]\nclasses = ["normal", "tumour"]'


class Hostile:
    """What makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def write_manifest(folder: Path, form: str, file: str, parameters: str = GRAPH, sha256: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    line = f'sha256 = "{sha256}"' if sha256 else ""
    text = MANIFEST.format(name=folder.name, format=form, file=file, parameters=parameters, sha256=line)
    (folder / "model.toml").write_text(text)
    return folder


def network_folder(folder: Path, sha256: str = "") -> Path:
    write_manifest(
        folder, "safetensors", "net.safetensors", 'arch = "squeezenet"\nsize = [32]\nclasses = ["normal", "tumour"]', sha256
    )
    torch.manual_seed(0)
    state = find_architecture("squeezenet").build(1, 2).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, str(folder / "net.safetensors"))
    return folder


def picture(side: int = 40) -> Image:
    array = np.random.default_rng(0).integers(0, 255, (1, side, side)).astype(np.float32)
    return Image(array, None, None, SpacingKind.NONE, Header(modality="DX"))


def volume(shape: tuple[int, int, int] = (10, 20, 24), spacing: tuple[float, float, float] = (3.0, 1.0, 1.0)) -> Image:
    """Axial: slices upwards, rows backwards, columns to the left; a bright block in air."""
    array = np.random.default_rng(0).normal(0, 20, shape).astype(np.float32)
    array[3:7, 5:12, 6:14] += 300
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = (*spacing, 1.0)
    return Image(array, affine, spacing, SpacingKind.PATIENT, Header(modality="CT"))


def hostile_pickle(path: Path, marker: Path) -> None:
    path.write_bytes(pickle.dumps({"weights": Hostile(marker)}))


def hostile_checkpoint(path: Path, marker: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"network_weights": {"a": torch.zeros(1)}, "extra": Hostile(marker)}, path)
