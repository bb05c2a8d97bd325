"""Tensors of a PyTorch checkpoint, read without executing anything in it."""

from __future__ import annotations

import pickle
import struct
import warnings
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from models.networks.weights import read_weights
from node.store.errors import ConfigurationError

MOST_BYTES: Final = 2 << 30


def read_published(path: Path) -> dict[str, Tensor]:
    """Read published weights: safetensors by their suffix, all else as `read_state`.

    Raises
    ------
    ConfigurationError
        As `read_state`, or where the file is not safetensors.
    """
    return read_weights(path) if path.suffix == ".safetensors" else read_state(path)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dictionary written by ``torch.save``, in its old or its new layout.

    The pickle inside is interpreted by torch's reader of weights, which knows how to make tensors and plain containers and
    refuses every other name; nothing that the file names is imported or called.

    Raises
    ------
    ConfigurationError
        Where the file is missing, damaged, names anything but tensors, or holds something else than tensors by name.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigurationError(f"{path.name} is larger than {MOST_BYTES >> 30} GB")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the pickle's protocol: what cannot be read is told below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as missing:
        raise ConfigurationError(f"{path.name} cannot be read: {missing.strerror}") from missing
    except pickle.UnpicklingError as hostile:
        raise ConfigurationError(f"{path.name} holds more than tensors, or is damaged: it is not read") from hostile
    except (struct.error, RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError) as damaged:
        raise ConfigurationError(f"{path.name} is no checkpoint, or is cut short ({type(damaged).__name__})") from damaged
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise ConfigurationError(f"{path.name} holds something else than tensors by name")
    return dict(content)
