from __future__ import annotations

import numpy as np
import pytest

from models.runtimes.ct_tissue_body import Coarse
from models.runtimes.ct_tissue_lungs import coarse_lungs
from tests.unit.models.runtimes.ct_phantom import dice

SHAPE = (30, 70, 100)
SPACING_MM = (4.0, 3.0, 3.0)


def chest(
    bridge_mm: float = 0.0, left_hu: float = -850.0, spread_hu: float = 25.0
) -> tuple[Coarse, np.ndarray, np.ndarray, np.ndarray]:
    """Two lungs in water, joined in front of the heart by a bridge of lung."""
    z, y, x = (index * step for index, step in zip(np.indices(SHAPE, sparse=True), SPACING_MM, strict=True))
    body = np.broadcast_to(((x - 150) / 140) ** 2 + ((y - 105) / 95) ** 2 < 1, SHAPE)
    right = ((x - 85) / 52) ** 2 + ((y - 105) / 65) ** 2 + ((z - 60) / 70) ** 2 < 1
    left = ((x - 215) / 52) ** 2 + ((y - 105) / 65) ** 2 + ((z - 60) / 70) ** 2 < 1
    bridge = (np.abs(y - 95) < bridge_mm / 2) & (np.abs(x - 150) < 50) & (np.abs(z - 60) < 30)
    hu = np.where(body, 50.0, -1000.0)
    hu[right | bridge] = -850.0
    hu[left & ~bridge] = left_hu
    hu = hu + np.random.default_rng(0).normal(0, spread_hu, SHAPE)
    return Coarse(hu.astype(np.float32), (1, 1, 1), SPACING_MM, (1, 2)), body, right, left


@pytest.mark.parametrize("bridge_mm", [0.0, 8.0, 20.0])
def test_parts_lungs_that_touch_and_tells_right_from_left(bridge_mm: float) -> None:
    coarse, body, right, left = chest(bridge_mm)

    found = coarse_lungs(coarse, body)

    assert found is not None
    assert dice(found[0], right) > 0.93
    assert dice(found[1], left) > 0.93
    assert not (found[0] & found[1]).any()


def test_one_lung_alone_is_given_its_side() -> None:
    coarse, body, right, _ = chest(left_hu=50.0)

    found = coarse_lungs(coarse, body)

    assert found is not None
    assert dice(found[0], right) > 0.93
    assert not found[1].any()


def test_pure_gas_walled_in_by_tissue_is_no_lung() -> None:
    coarse, body, _, _ = chest(left_hu=-1000.0, spread_hu=10.0)

    found = coarse_lungs(coarse, body)

    assert found is not None
    assert found[0].any()
    assert not found[1].any()


def test_a_dense_lung_is_still_one() -> None:
    coarse, body, _, left = chest(left_hu=-620.0)

    found = coarse_lungs(coarse, body)

    assert found is not None
    assert dice(found[1], left) > 0.93
