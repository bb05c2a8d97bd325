"""Which models can be trained here, and how."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from models.training.request import Request, Watch
from models.training.train_finding import train_pneumonia, train_tuberculosis
from models.training.train_lungs import train_lungs
from node.store.errors import ConfigurationError


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
    "cxr-lungs": Recipe("unet", 100, train_lungs),
    "cxr-pneumonia": Recipe("squeezenet", 1, train_pneumonia),
    "cxr-tb": Recipe("squeezenet", 1, train_tuberculosis),
}


def find_recipe(model: str, architecture: str | None) -> Recipe:
    """The recipe of a model.

    Raises
    ------
    ConfigurationError
        Where no model of that name can be trained, or not with that architecture.
    """
    if model not in RECIPES:
        close = difflib.get_close_matches(model, RECIPES, n=1)
        raise ConfigurationError(
            f"no recipe for {model}; {'did you mean ' + close[0] if close else 'there are ' + ', '.join(RECIPES)}"
        )
    recipe = RECIPES[model]
    if architecture not in {None, recipe.architecture}:
        raise ConfigurationError(f"{model} is trained as {recipe.architecture}; there is no {architecture} for it")
    return recipe
