"""Any network of `models.networks.architectures` with safetensors, as `overread train --arch` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from models.manifest import Manifest
from models.networks.architectures import Answers, find_architecture
from models.networks.weights import load_weights
from models.runtimes.evidence import Features
from models.runtimes.preparation import Preparation, check_grid, check_known
from models.runtimes.prepared import SAID, PreparedModel, on_device, only_file, outputs_of
from models.runtimes.quickened import quickened

KNOWN: Final = SAID | {"arch", "width"}


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
        load_weights(network, weights[only_file(manifest)])
        network.eval().requires_grad_(requires_grad=False).to(device)
        evidence = None
        if architecture.answers is Answers.STRUCTURES:  # heat maps of findings look inside a network as it was built
            network = quickened(network)
        else:
            evidence = Features(architecture.reads, network, architecture.features, device)
        super().__init__(manifest, preparation, architecture.answers, on_device(network, device), evidence)
