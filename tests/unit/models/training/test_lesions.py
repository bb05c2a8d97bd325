import numpy as np
import torch

from models.networks.lesion_net import LesionNet
from models.training.lesions import KEPT_SIDE, LEARNED_SIDE, LesionRecipe, fit_head, recolour
from models.training.train_skin import KINDS, SENSITIVE, calibrate


def _squares() -> tuple[torch.Tensor, torch.Tensor]:
    """Plain pictures: 20 brown, 4 red."""
    kinds = torch.tensor([0] * 20 + [1] * 4)
    squares = torch.zeros(24, 3, KEPT_SIDE, KEPT_SIDE, dtype=torch.uint8)
    squares[kinds == 0] = torch.tensor([150, 110, 80], dtype=torch.uint8).view(1, 3, 1, 1)
    squares[kinds == 1] = torch.tensor([220, 60, 70], dtype=torch.uint8).view(1, 3, 1, 1)
    return squares, kinds


def test_batches_are_varied_and_show_rare_kinds_more_often() -> None:
    squares, kinds = _squares()
    recipe = LesionRecipe(squares, kinds, 160, batch_size=64)
    generator = torch.Generator().manual_seed(0)
    drawn = [recipe.batch(generator) for _ in range(5)]
    pictures, labels = drawn[0]
    assert pictures.shape == (64, 3, LEARNED_SIDE, LEARNED_SIDE)
    assert 0 <= float(pictures.min()) <= float(pictures.max()) <= 1
    assert float(pictures.flatten(1).mean(1).std()) > 0.01
    share = float(torch.cat([one[1] for one in drawn]).float().mean())
    assert 4 / 24 + 0.05 < share < 0.5
    red = pictures[labels == 1].mean((0, 2, 3))
    assert red[0] > red[1]


def test_of_a_network_that_is_shown_larger_squares_a_smaller_part_is_learned_from() -> None:
    """A picture as wide as a ramp of red: what is drawn of it spans the less, the larger the whole is shown."""
    ramp = torch.linspace(0, 255, KEPT_SIDE).round().to(torch.uint8).expand(2, 3, KEPT_SIDE, KEPT_SIDE)
    spans = {}
    for side in (160, 320):
        pictures, _ = LesionRecipe(ramp, torch.tensor([0, 1]), side, batch_size=32).batch(torch.Generator().manual_seed(0))
        spans[side] = float((pictures.amax((1, 2, 3)) - pictures.amin((1, 2, 3))).mean())
    assert spans[320] < 0.8 * spans[160]


def test_recolouring_keeps_the_range_and_is_seeded() -> None:
    pictures = torch.rand(8, 3, 16, 16)
    one, two = (recolour(pictures, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert 0 <= float(one.min()) <= float(one.max()) <= 1
    assert not torch.allclose(one, pictures, atol=0.02)


def test_the_first_head_tells_kinds_apart_that_are_apart() -> None:
    torch.manual_seed(0)
    kinds = torch.tensor([0] * 40 + [1] * 10 + [2] * 10)
    pooled = torch.randn(60, 1024) * 0.1 + torch.nn.functional.one_hot(kinds, 1024) * 3
    network = LesionNet(3, "squeezenet")
    fit_head(network, pooled, kinds)
    assert torch.equal(network.head((pooled - network.mean) / network.spread).argmax(1), kinds)


def test_the_operating_point_finds_as_many_melanomas_as_was_asked_for() -> None:
    random = np.random.default_rng(0)
    kinds = torch.from_numpy(np.repeat(np.arange(7), 60))
    logits = torch.from_numpy(random.normal(0, 1, (420, 7)).astype(np.float32)) + torch.nn.functional.one_hot(kinds, 7) * 2.0
    record = calibrate(logits, kinds, [str(index) for index in range(420)])
    assert abs(record["melanoma"]["sensitivity"] - SENSITIVE) < 0.03
    assert 0.5 < record["melanoma"]["specificity"] < 1
    assert set(record["recall"]) == set(KINDS)
    hotter = calibrate(logits * 3, kinds, [str(index) for index in range(420)])
    assert abs(hotter["temperature"] / record["temperature"] - 3) < 0.05
