import numpy as np
import pytest
import torch

from models.runtimes.film import Letterbox
from models.runtimes.heat_map import Place, attribute, enlarge, heat, integrate, lay_out, smooth


def test_the_map_and_the_bias_add_up_to_the_logit() -> None:
    torch.manual_seed(0)
    features = torch.randn(3, 8, 5, 6).relu()
    weight, bias = torch.randn(16), 0.7

    def head(maps: torch.Tensor) -> torch.Tensor:
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1) @ weight + bias

    places = attribute(features, head)
    assert places.shape == (3, 5, 6)
    assert torch.allclose(places.sum((1, 2)) + bias, head(features), atol=1e-5)


def test_it_points_at_what_speaks_for_the_finding_and_marks_what_speaks_against_it() -> None:
    features = torch.zeros(1, 2, 4, 4)
    features[0, 0, 1, 2], features[0, 1, 3, 0] = 5, 5
    with torch.inference_mode():  # runtimes predict inside one
        places = attribute(features, lambda maps: maps[:, 0].mean((1, 2)) - maps[:, 1].mean((1, 2)))
    assert places.argmax() == 1 * 4 + 2
    assert places.argmin() == 3 * 4 + 0
    assert not places.requires_grad


def test_the_way_from_nothing_adds_up_to_what_the_picture_changed() -> None:
    torch.manual_seed(0)
    picture, weight = torch.rand(1, 1, 6, 7), torch.randn(42)

    def logit(pictures: torch.Tensor) -> torch.Tensor:
        return (pictures.flatten(1) @ weight) ** 2

    with torch.inference_mode():
        pixels = integrate(picture, 0.5, logit, steps=2)
    changed = logit(picture) - logit(torch.full_like(picture, 0.5))
    assert pixels.shape == (6, 7)
    assert float(pixels.sum()) == pytest.approx(float(changed), rel=1e-4)  # two steps are exact for a square


def test_a_smooth_map_keeps_its_sum_and_its_place() -> None:
    pixels = np.zeros((100, 120), dtype=np.float32)
    pixels[40, 70] = 1
    places = smooth(pixels)
    assert places.sum() == pytest.approx(1, abs=1e-3)
    assert np.unravel_index(places.argmax(), places.shape) == (40, 70)
    assert places.max() < 0.01


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (90, 90)])
def test_a_place_of_the_square_is_laid_out_where_it_came_from(shape: tuple[int, int]) -> None:
    part = np.zeros(shape, dtype=np.float32)
    row, column = shape[0] // 4, 3 * shape[1] // 4
    part[row - 8 : row + 8, column - 8 : column + 8] = 1
    box = Letterbox(*shape, 224)
    seen = torch.nn.functional.avg_pool2d(box.shrink(part), 16)[0, 0]
    laid = lay_out(seen, Place(box, rows=40, columns=7), (400, 400))
    assert laid.shape == (400, 400)
    found = np.average(np.indices(laid.shape).reshape(2, -1), axis=1, weights=laid.ravel())
    assert found == pytest.approx([40 + row, 7 + column], abs=max(shape) / 14)
    assert laid.sum() == pytest.approx(float(seen.sum()), rel=0.02)
    assert not laid[:40].any()
    assert not laid[:, :7].any()


def test_an_enlarged_map_keeps_its_places() -> None:
    small = np.zeros((10, 20), dtype=np.float32)
    small[2, 15] = 1
    large = enlarge(small, (1000, 1500))
    row, column = np.unravel_index(large.argmax(), large.shape)
    assert row == pytest.approx(250, abs=50)
    assert column == pytest.approx(1162, abs=38)


def test_heat_is_zero_to_one_and_all_zero_where_nothing_speaks_for_the_finding() -> None:
    assert heat(np.array([[-2.0, 0.5], [2.0, 0.0]], dtype=np.float32)).tolist() == [[0, 0.25], [1, 0]]
    assert heat(np.array([[-2.0, -1.0]], dtype=np.float32)).tolist() == [[0, 0]]
