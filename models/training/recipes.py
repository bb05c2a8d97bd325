"""Which models can be trained here, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from models.networks.architectures import find_architecture
from models.training.request import Request, Watch
from models.training.train_cine import train_cine
from models.training.train_finding import train_pneumonia, train_tuberculosis
from models.training.train_lesion import train_lesion
from models.training.train_lungs import train_lungs
from models.training.train_network import EPOCHS, train_network
from models.training.train_skin import train_skin
from node.store.errors import ConfigurationError
from node.store.nearest import nearest


@dataclass(frozen=True, slots=True)
class Recipe:
    """One model's training.

    Parameters
    ----------
    architecture
        The network that it trains.
    epochs
        How often each film is seen, by default; 0 where the network itself is not trained.
    run
        Trains and returns the record.
    """

    architecture: str
    epochs: int
    run: Callable[[Request, Watch], dict[str, Any]]


RECIPES: Final = {
    "cine-lv": Recipe("unet", 40, train_cine),
    "cxr-lungs": Recipe("unet", 100, train_lungs),
    "cxr-pneumonia": Recipe("squeezenet", 1, train_pneumonia),
    "cxr-tb": Recipe("squeezenet", 1, train_tuberculosis),
    "skin-7": Recipe("squeezenet", 12, train_skin),
    "mammo-lesion": Recipe("logistic", 0, train_lesion),
}


def find_recipe(model: str, architecture: str | None) -> Recipe:
    """The recipe of a model: its own, or the one that trains any architecture.

    Raises
    ------
    ConfigurationError
        Where no model of that name has a recipe and no architecture is named, or there is no such architecture.
    """
    if model in RECIPES and architecture in {None, RECIPES[model].architecture}:
        return RECIPES[model]
    if architecture is not None:
        return Recipe(find_architecture(architecture).name, EPOCHS, train_network)
    raise ConfigurationError(
        f"no recipe for {model}; {nearest(model, RECIPES)}; any other model is trained by its architecture: --arch NAME"
    )
