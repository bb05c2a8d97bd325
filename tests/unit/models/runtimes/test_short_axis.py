import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from models.runtimes.short_axis import (
    NEAR,
    REFERENCE_MM,
    SIDE,
    VentricleFinder,
    even_far,
    even_near,
    make_networks,
    near_grid,
    places,
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


def test_a_dark_heart_is_shown_as_a_bright_one() -> None:
    torch.manual_seed(1)
    square = torch.rand(1, 1, SIDE, SIDE)
    assert torch.allclose(even_near(square), even_near(square * 0.2 + 0.1), atol=1e-5)
    slices = torch.rand(1, 1, 64, 64) * 0.3
    slices[..., :1, :] = 1  # bright fat, a few pixels of it
    assert float(even_far(slices).median()) == pytest.approx(0.5, abs=0.05)


def test_places_from_far_are_the_sure_ones_and_faint_ones_apart_from_these() -> None:
    far = np.zeros((64, 64), dtype=np.float32)
    far[20:30, 20:30] = 0.9
    far[18:20, 20:30] = 0.2  # the rim of the same place
    far[40:50, 40:44] = 0.2
    found = places(far)
    assert [round(total) for total, _ in found] == [90, 8]
    assert found[0][1] == pytest.approx((49.5, 49.5))
    assert places(np.zeros((64, 64), dtype=np.float32)) == []


class Pattern(nn.Module):
    """Stands for a network: from far two places, the greater at the left; from near surer the more is bright."""

    def forward(self, shown: Tensor) -> Tensor:
        logits = torch.full((len(shown), 2, *shown.shape[-2:]), -9.0)
        if shown.shape[-1] == SIDE:
            bright = shown[:, 0] > 0.5
            logits[:, 0][bright] = 6.0 if int(bright.sum()) > 800 else 0.3
        else:
            logits[:, 0, 70:82, 16:28] = 4.0
            logits[:, 0, 70:80, 120:130] = 1.0
        return logits


class OnePlace(nn.Module):
    """From far one place, `off` reference pixels left of the middle; from near sure only of what lies in the middle of the view."""

    def __init__(self, off: int) -> None:
        super().__init__()
        self.off = off
        self.looks = 0

    def forward(self, shown: Tensor) -> Tensor:
        logits = torch.full((len(shown), 2, *shown.shape[-2:]), -9.0)
        if shown.shape[-1] == SIDE:
            self.looks += 1
            bright = shown[:, 0] > 0.5
            logits[:, 0][bright] = 6.0 if bool(bright[:, SIDE // 2, SIDE // 2].all()) else 0.3
        else:
            column = 75 - self.off // 2
            logits[:, 0, 73:77, column - 2 : column + 2] = 4.0
        return logits


def located(*bright: tuple[slice, slice], network: nn.Module | None = None) -> tuple[float, float] | None:
    phases = torch.zeros(3, 1, 300, 300)
    for rows, columns in bright:
        phases[..., rows, columns] = 1.0
    return VentricleFinder(nn.ModuleList([network or Pattern()])).locate(phases)


LEFT, RIGHT, MIDDLE = ((slice(145, 155), slice(40, 50)), (slice(130, 170), slice(230, 270)), (slice(135, 165), slice(135, 165)))


def test_of_two_places_the_one_that_is_surer_from_near_is_taken() -> None:
    assert located(LEFT, RIGHT) == pytest.approx((149.5, 249.5), abs=2)


def test_the_middle_is_looked_at_though_other_places_were_found() -> None:
    assert located(LEFT, RIGHT, MIDDLE) == pytest.approx((149.5, 149.5), abs=0.5)


def test_the_middle_is_looked_at_though_a_place_was_found_not_far_from_it() -> None:
    assert located(MIDDLE, network=OnePlace(24)) == pytest.approx((149.5, 149.5), abs=0.5)


def test_a_place_alone_in_the_middle_is_taken_without_a_look_from_near() -> None:
    network = OnePlace(4)
    assert located(MIDDLE, network=network) == pytest.approx((149.5, 145.5), abs=0.5)
    assert network.looks == 0


def test_a_heart_that_a_view_from_the_middle_would_cut_off_is_looked_at_from_its_own_centre() -> None:
    near_by, far_off = (slice(140, 170), slice(145, 175)), (slice(155, 185), slice(155, 185))
    assert located(near_by) == pytest.approx((149.5, 149.5))
    assert located(far_off) == pytest.approx((169.5, 169.5), abs=0.5)
