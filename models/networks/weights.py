"""Weights as safetensors, stored in half precision: read without executing anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from node.store.errors import ConfigurationError


def save_weights(state: dict[str, Tensor], path: Path) -> None:
    """Write `state` to `path`; floating point tensors in half precision, counters of batches left out."""
    kept = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    tensors = {name: (t.half() if t.is_floating_point() else t).contiguous().cpu() for name, t in kept.items()}
    save_file(tensors, str(path))
    path.chmod(0o644)


def save_apart(members: Sequence[nn.Module], before: str, path: Path) -> tuple[Path, ...]:
    """Write each member of an ensemble to a numbered file of its own, so that none is large; `load_weights` takes them all.

    Parameters
    ----------
    before
        What stands before a member's number in the names of the ensemble's tensors.
    path
        Of the one file that would hold all.
    """
    files = []
    for number, member in enumerate(members):
        files.append(path.with_name(f"{path.stem}-{number + 1}{path.suffix}"))
        save_weights({f"{before}{number}.{name}": tensor for name, tensor in member.state_dict().items()}, files[-1])
    return tuple(files)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read tensors, those in half precision as single.

    Raises
    ------
    ConfigurationError
        Where the file is missing or not safetensors.
    """
    try:
        tensors = load_file(str(path))
    except (OSError, SafetensorError) as broken:
        raise ConfigurationError(f"{path.name} cannot be read as safetensors: {broken}") from broken
    return {name: tensor.float() if tensor.dtype == torch.float16 else tensor for name, tensor in tensors.items()}


def load_weights(network: nn.Module, *paths: Path) -> None:
    """Put weights into `network`: those of one file, or of several that hold a part each.

    Raises
    ------
    ConfigurationError
        Where a file is not safetensors, or they hold other tensors than the network has.
    """
    tensors = {name: tensor for path in paths for name, tensor in read_weights(path).items()}
    files = " and ".join(path.name for path in paths)
    wanted = {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}
    if wanted != set(tensors):
        odd = min(wanted ^ set(tensors))
        raise ConfigurationError(f"{files} does not fit the network: {odd} is in only one of them")
    try:
        network.load_state_dict(tensors, strict=False)
    except RuntimeError as unfit:
        raise ConfigurationError(f"{files} does not fit the network: {unfit}") from unfit


def start_from(network: nn.Module, path: Path) -> tuple[int, int]:
    """Put into `network` whatever of `path` fits it by name and shape; what does not, a head for other classes, stays as it is.

    Names as torchvision and Caffe publish them are understood: ``fire2/squeeze`` for ``fire2.squeeze``, and layers that are
    ``features.…`` here.

    Returns
    -------
    tuple
        Number of tensors that were put in, and of tensors of the network.

    Raises
    ------
    ConfigurationError
        Where less than half of the network's tensors are in the file: it is another network's.
    """
    own = {name: tensor for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    fitting: dict[str, Tensor] = {}
    for published, tensor in read_weights(path).items():
        name = published.replace("/", ".")
        for candidate in (name, f"features.{name}"):
            if candidate in own and own[candidate].shape == tensor.shape:
                fitting[candidate] = tensor
    if 2 * len(fitting) < len(own):
        raise ConfigurationError(f"{path.name} is not of this network: {len(fitting)} of its {len(own)} tensors are in it")
    network.load_state_dict(fitting, strict=False)
    return len(fitting), len(own)
