import pytest
import torch

from models.training.augment import Strength, degrade, opacify, random_grid, regrade, sample, surround


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _films() -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.full((4, 1, 64, 64), 0.7)
    lungs = torch.zeros(4, 1, 64, 64)
    lungs[:, :, 20:44, 14:26] = 1
    lungs[:, :, 20:44, 38:50] = 1
    return torch.where(lungs > 0, 0.3, images), lungs


def test_without_strength_a_film_stays_where_it_is() -> None:
    images, _ = _films()
    images[:, :, :10, :10] = 1
    grid, mirrored = random_grid(4, 64, Strength(0, (1, 1), 0, 0), _generator())
    assert not mirrored.any()
    # The side ratio is the one thing that always varies.
    assert (sample(images, grid) - images).abs().mean() < 0.05


def test_mirrored_films_are_named() -> None:
    images = torch.zeros(8, 1, 64, 64)
    images[..., :32] = 1
    grid, mirrored = random_grid(8, 64, Strength(0, (1, 1), 0, 0.5), _generator())
    assert 0 < mirrored.sum() < 8
    left = sample(images, grid)[:, 0, :, :24].mean((1, 2))
    assert torch.equal(left < 0.5, mirrored)


def test_beyond_the_film_lies_the_fill() -> None:
    grid, _ = random_grid(1, 32, Strength(0, (0.5, 0.5), 0, 0), _generator())
    filled = sample(torch.full((1, 1, 32, 32), 0.5), grid, torch.tensor([1.0]))
    assert filled[0, 0, 0, 0] == 1
    assert filled[0, 0, 16, 16] == pytest.approx(0.5)


@pytest.mark.parametrize("change", [regrade, degrade])
def test_grey_values_stay_between_0_and_1(change: object) -> None:
    images, _ = _films()
    varied = change(images.clone(), _generator())  # type: ignore[operator]
    assert varied.shape == images.shape
    assert varied.min() >= 0
    assert varied.max() <= 1
    assert not torch.equal(varied, images)


def test_opacities_brighten_lungs_only() -> None:
    images, lungs = _films()
    varied = opacify(images, lungs, _generator(), probability=1.0)
    assert torch.equal(varied[lungs == 0], images[lungs == 0])
    assert (varied >= images - 1e-6).all()
    assert varied[lungs > 0].mean() > images[lungs > 0].mean() + 0.02


def test_surroundings_are_dark_and_lungs_untouched() -> None:
    images, lungs = _films()
    varied = surround(images, lungs, _generator(), probability=1.0)
    assert torch.allclose(varied[lungs > 0], images[lungs > 0], atol=0.05)
    assert varied[:, :, 0, 0].max() <= 0.15
    assert torch.equal(surround(images, lungs, _generator(), probability=0.0), images)


def test_one_seed_makes_one_variant() -> None:
    images, _ = _films()
    assert torch.equal(regrade(images, _generator(3)), regrade(images, _generator(3)))
    assert not torch.equal(regrade(images, _generator(3)), regrade(images, _generator(4)))
