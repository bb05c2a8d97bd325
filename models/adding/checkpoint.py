"""Checkpoints of torch, read by its restricted reader: tensors and plain values, nothing is executed."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from node.store.errors import ConfigurationError


def _plain_numpy() -> list[Any]:
    """What checkpoints hold besides tensors: numbers of numpy, under the names of both of its ages."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in ("f4", "f8", "f2", "i4", "i8", "u1", "?")]
    return [np.dtype, *kinds, scalar, (scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar")]


def read_checkpoint(path: Path) -> Any:
    """What `torch.save` wrote, where it is tensors, numbers, texts, lists and tables.

    Raises
    ------
    ConfigurationError
        Where the file is missing or damaged, or wants to call anything; nothing was called then.
    """
    try:
        with torch.serialization.safe_globals(_plain_numpy()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as unsafe:
        wanted = re.search(r"(?:GLOBAL|global|class|function) ([\w.]+)", str(unsafe))
        named = f" ({wanted[1]})" if wanted else ""
        raise ConfigurationError(
            f"{path.name} holds more than numbers{named}: it would execute code when it is read; refused"
        ) from unsafe
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError, AttributeError, IndexError, ImportError) as broken:
        first = str(broken).strip().splitlines()[0][:160] if str(broken).strip() else type(broken).__name__
        raise ConfigurationError(f"{path.name} cannot be read as a checkpoint: {first}") from broken


def tensors_of(checkpoint: Any, path: Path) -> dict[str, Tensor]:
    """A network's tensors by name: the checkpoint itself, or what it keeps as ``state_dict``, ``model`` or ``network_weights``.

    Raises
    ------
    ConfigurationError
        Where there are none.
    """
    for key in ("network_weights", "state_dict", "model", "network"):
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
            break
    if not isinstance(checkpoint, dict) or not checkpoint:
        raise ConfigurationError(f"{path.name} holds no network's weights")
    found = {str(name).removeprefix("module."): tensor for name, tensor in checkpoint.items() if isinstance(tensor, Tensor)}
    if len(found) != len(checkpoint):
        raise ConfigurationError(f"{path.name} holds other things than tensors where weights should be")
    return found
