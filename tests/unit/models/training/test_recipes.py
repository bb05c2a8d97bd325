import pytest

from models.training.recipes import RECIPES, find_recipe
from models.training.train_network import train_network
from node.store.errors import ConfigurationError


def test_recipes_are_found_by_name_and_architecture() -> None:
    assert find_recipe("cxr-lungs", None) is RECIPES["cxr-lungs"]
    assert find_recipe("cxr-pneumonia", "squeezenet") is RECIPES["cxr-pneumonia"]


def test_a_misspelt_name_is_put_right() -> None:
    with pytest.raises(ConfigurationError, match="did you mean cxr-lungs"):
        find_recipe("cxr-lung", None)
    with pytest.raises(ConfigurationError, match="there are cine-lv, cxr-lungs, cxr-pneumonia"):
        find_recipe("brain", None)


def test_another_architecture_has_the_recipe_that_trains_any() -> None:
    assert find_recipe("cxr-lungs", "resnet18").run is train_network
    assert find_recipe("mine", "unet3d").architecture == "unet3d"
    with pytest.raises(ConfigurationError, match="did you mean resnet"):
        find_recipe("cxr-lungs", "resnet")
