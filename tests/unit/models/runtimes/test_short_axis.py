import pytest
import torch
from torch.nn.functional import grid_sample

from models.runtimes.short_axis import (
    NEAR,
    REFERENCE_MM,
    SIDE,
    VentricleFinder,
    make_networks,
    near_grid,
    spread_out,
    to_reference,
)


def test_what_is_seen_from_near_comes_back_to_its_place() -> None:
    slices = torch.zeros(1, 1, 256, 256)
    slices[..., 100:130, 140:180] = 1
    centre = torch.tensor([[118.0, 155.0]])
    near = grid_sample(slices, near_grid(centre, (256, 256)), align_corners=False)
    assert near.shape == (1, 1, SIDE, SIDE)
    assert float(near.sum()) == pytest.approx(30 * 40 / NEAR**2, rel=0.02)
    back = spread_out(near, [118.0, 155.0], (256, 256), (256, 256))
    assert ((back > 0.5) == (slices > 0.5)).all()


def test_the_way_back_goes_to_a_finer_grid_of_the_source() -> None:
    slices = torch.zeros(1, 1, 400, 320)
    slices[..., 200:260, 120:200] = 1
    reference = to_reference(slices, (REFERENCE_MM / 2, REFERENCE_MM / 2))
    assert reference.shape[-2:] == (200, 160)
    near = grid_sample(reference, near_grid(torch.tensor([[115.0, 80.0]]), (200, 160)), align_corners=False)
    back = spread_out(near, [115.0, 80.0], (200, 160), (400, 320)) > 0.5
    wrong = (back != (slices > 0.5)).sum() / (slices > 0.5).sum()
    assert float(wrong) < 0.03


def test_a_picture_without_spacing_is_as_wide_as_those_that_were_learned_from() -> None:
    assert to_reference(torch.zeros(2, 1, 512, 384), None).shape == (2, 1, 256, 192)


def test_networks_are_asked_in_four_turns_and_nothing_is_found_by_none() -> None:
    torch.manual_seed(0)
    finder = VentricleFinder(make_networks(2))
    reference = torch.rand(1, 1, 256, 256)
    near = finder.near(reference, torch.tensor([[128.0, 128.0]]))
    assert near.shape == (8, 1, 2, SIDE, SIDE)
    dark = make_networks(1)
    for network in dark:
        torch.nn.init.constant_(network.head.bias, -20.0)
        torch.nn.init.zeros_(network.head.weight)
    assert VentricleFinder(dark).outline(reference, None) == [None]
