"""What is like the images that were learned from is read, what is unlike them refused."""

import numpy as np
import pytest
import torch
from torch import Tensor

from models.networks.architectures import Reads
from models.runtimes.usual import LEAST_IMAGES, Usual, describe
from node.store.errors import ConfigurationError, Refused


def drawn(seed: int, reads: Reads = Reads.PICTURE) -> Tensor:
    """Bright above, dark below, with noise, each a little different."""
    generator = torch.Generator().manual_seed(seed)
    shape = {Reads.PICTURE: (1, 1, 64, 64), Reads.VOLUME: (1, 1, 16, 32, 32), Reads.SEQUENCE: (1, 4, 1, 32, 32)}[reads]
    slope = torch.linspace(0.9, 0.1, shape[-2])[:, None].expand(shape)
    change = 0.05 * torch.randn((), generator=generator)
    return (slope + change + 0.05 * torch.randn(shape, generator=generator)).clamp(0, 1)


def learned(reads: Reads = Reads.PICTURE, count: int = 30) -> Usual | None:
    return Usual.from_images(np.stack([describe(drawn(seed, reads), reads) for seed in range(count)]))


@pytest.mark.parametrize("reads", list(Reads))
def test_others_of_the_kind_pass(reads: Reads) -> None:
    usual = learned(reads)
    assert usual is not None
    for seed in range(100, 130):
        usual.check("mine", drawn(seed, reads), reads)


@pytest.mark.parametrize("reads", list(Reads))
@pytest.mark.parametrize("change", ["inverted", "upside down", "turned", "smooth", "noise"])
def test_what_is_unlike_them_is_refused(reads: Reads, change: str) -> None:
    usual, image = learned(reads), drawn(200, reads)
    assert usual is not None
    other = {
        "inverted": 1 - image,
        "upside down": image.flip(-2),
        "turned": image.transpose(-1, -2),
        "smooth": torch.linspace(0.9, 0.1, image.shape[-2])[:, None].expand(image.shape),
        "noise": torch.rand(image.shape, generator=torch.Generator().manual_seed(0)),
    }[change]
    with pytest.raises(Refused, match="unlike the images that the model learned from") as refused:
        usual.check("mine", other, reads)
    assert refused.value.code == "unfamiliar"


def test_of_few_images_nothing_is_said() -> None:
    assert learned(count=LEAST_IMAGES - 1) is None
    assert learned(count=LEAST_IMAGES) is not None


def test_it_goes_through_a_manifest() -> None:
    usual = learned()
    assert usual is not None
    again = Usual.from_parameters("mine", usual.parameters())
    assert again is not None
    assert again.distance(describe(drawn(5), Reads.PICTURE)) == usual.distance(describe(drawn(5), Reads.PICTURE))
    assert Usual.from_parameters("mine", {"size": [3]}) is None


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"usual": [1.0]}, "go together"),
        ({"usual": [1.0], "usual_deviation": [1.0, 2.0], "strangest": 1.0}, "as many"),
        ({"usual": [1.0], "usual_deviation": [0.0], "strangest": 1.0}, "above 0"),
    ],
)
def test_what_makes_no_sense_is_refused(parameters: dict[str, list[float] | float], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        Usual.from_parameters("mine", parameters)


def test_numbers_of_another_kind_of_image_are_named() -> None:
    usual = Usual.from_parameters("mine", {"usual": [1.0], "usual_deviation": [1.0], "strangest": 9.0})
    assert usual is not None
    with pytest.raises(ConfigurationError, match="usual must hold 24 numbers, it holds 1"):
        usual.check("mine", drawn(0), Reads.PICTURE)
