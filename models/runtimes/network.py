"""Any network of `models.networks.architectures` with safetensors, as `overread train --arch` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from models.manifest import Manifest
from models.networks.architectures import find_architecture
from models.networks.weights import load_weights
from models.runtimes.preparation import INPUT, Preparation, check_grid, check_known
from models.runtimes.prepared import PreparedModel, outputs_of
from node.store.errors import ConfigurationError

KNOWN: Final = INPUT | {"arch", "width", "classes", "slope", "offsets"}


class NetworkModel(PreparedModel):
    """One network of ours.

    Parameters
    ----------
    manifest
        Parameters: ``arch``, ``width`` where the family has one, those of `Preparation` and of `PreparedModel`.
    weights
        One safetensors file.
    device
        As torch spells it.

    Raises
    ------
    ConfigurationError
        Where parameters and weights do not make a network.
    """

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        given = manifest.parameters
        check_known(manifest.name, given, KNOWN)
        architecture = find_architecture(str(given.get("arch", "")))
        preparation = Preparation.from_parameters(architecture.reads, given)
        check_grid(architecture.multiple, architecture.smallest, preparation.size)
        outputs = outputs_of(manifest, architecture.answers)
        width = given.get("width")
        network = architecture.build(preparation.channels, outputs, int(width) if isinstance(width, int) else None)
        if len(manifest.weights) != 1:
            raise ConfigurationError(f"model {manifest.name}: model.toml must name one file of weights")
        load_weights(network, weights[manifest.weights[0].file])
        network.eval().to(device)

        def answer(batch: Tensor) -> Tensor:
            with torch.inference_mode():
                logits: Tensor = network(batch.to(device)).float().cpu()
            return logits

        super().__init__(manifest, preparation, architecture.answers, answer)
