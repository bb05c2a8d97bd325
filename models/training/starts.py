"""Where a training run starts: published weights of ImageNet, a file for each family of networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.training.request import Request
from node.store.errors import ConfigurationError


def find_start(request: Request, model: str, family: str, families: Sequence[str]) -> Path:
    """The published weights of one family: of several in the folder `Request.init`; of a single one that may be the file itself.

    Raises
    ------
    ConfigurationError
        Where there are none.
    """
    if request.init is not None:
        if len(families) == 1 and request.init.is_file():
            return request.init
        for path in (request.init / f"{family}.safetensors", request.init / f"{family}.pth"):
            if path.exists():
                return path
    names = " and ".join(f"{one}.safetensors" for one in families)
    raise ConfigurationError(f"{model} starts from weights of ImageNet, {names} (or .pth): --init FOLDER must hold {family}")
