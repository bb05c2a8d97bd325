import pytest
import torch

from models.networks.lung_net import DESCRIBED, Kind, LungNet
from models.runtimes.lung_fields import SIZE
from models.training.film_kinds import Described, describe_films, fit_kinds, make, synthetic
from models.training.lungs import Films


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_each_kind_is_made_as_it_is_called() -> None:
    images = torch.rand(2, 1, 32, 32)
    assert torch.equal(make(Kind.UPRIGHT, images, _generator()), images)
    assert torch.equal(make(Kind.INVERTED, images, _generator()), 1 - images)
    down = make(Kind.UPSIDE_DOWN, images, _generator())
    assert torch.equal(down, images.flip(2)) or torch.equal(down, images.flip(2).flip(3))
    turned = make(Kind.TURNED, images, _generator())
    assert torch.equal(torch.rot90(turned, 1, (2, 3)), images) or torch.equal(torch.rot90(turned, 3, (2, 3)), images)
    assert make(Kind.OTHER, images, _generator()).shape == images.shape


def test_synthetic_pictures_fill_the_scale() -> None:
    made = synthetic(5, 32, _generator())
    assert made.shape == (5, 1, 32, 32)
    assert torch.equal(made.amax((1, 2, 3)), torch.ones(5))
    assert synthetic(0, 32, _generator()).shape == (0, 1, 32, 32)


def test_every_film_is_described_in_every_kind() -> None:
    torch.manual_seed(0)
    films = Films(torch.rand(4, 1, SIZE, SIZE), torch.zeros(4, 2, SIZE, SIZE))
    steps: list[int] = []
    described = describe_films(LungNet(), films, torch.rand(1, 1, SIZE, SIZE), _generator(), lambda: steps.append(1))
    assert described.descriptions.shape == (len(described.kinds), DESCRIBED)
    counts = torch.bincount(described.kinds)
    # Four of each made kind twice, upright once as it is and thrice varied; eight turned and inverted others, one synthetic.
    assert counts.tolist() == [16, 8, 8, 8, 4 + 8 + 1]
    assert (described.films < 0).sum() == 9
    assert steps == [1]


def test_kinds_that_part_are_told_apart() -> None:
    generator = _generator()
    kinds = torch.arange(len(Kind)).repeat(40)
    centres = torch.randn(len(Kind), 12, generator=generator) * 3
    descriptions = centres[kinds] + torch.randn(len(kinds), 12, generator=generator)
    described = Described(descriptions * 7 + 2, kinds, torch.arange(len(kinds)))
    weight, bias = fit_kinds(described, torch.arange(len(kinds)) < 150)
    answers = (described.descriptions[150:] @ weight.T + bias).argmax(1)
    assert (answers == kinds[150:]).float().mean() == pytest.approx(1, abs=0.05)
