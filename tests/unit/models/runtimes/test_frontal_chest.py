import dataclasses

import numpy as np
import pytest

from models.networks.lung_net import Kind
from models.runtimes.film import Letterbox
from models.runtimes.frontal_chest import Chest, Signs, judge, measure
from models.runtimes.lung_fields import SIZE, LungAnswer, LungFields, find_fields
from tests.unit.models.phantom import lung_masks

GOOD = Signs(
    areas=(0.15, 0.13), confidence=0.96, apart=0.38, askew=0.02, tall=1.8, taper=0.8, between=0.04, mirrored=0.9, uneven=0.05
)
SURE = (0.96, 0.01, 0.01, 0.01, 0.01)


def _answer(box: Letterbox) -> LungAnswer:
    """What a network says that is sure of all it sees and finds no lung anywhere."""
    nothing = np.zeros((2, SIZE, SIZE), dtype=np.float32)
    return LungAnswer(nothing[0], nothing, SURE, box)


def _measured(flip: bool = False) -> Signs:
    box = Letterbox(400, 360, SIZE)
    left, right = lung_masks()
    squares = [box.shrink(side.astype(np.float32))[0, 0].numpy() > 0.5 for side in (left, right)]
    if flip:
        squares = [side[::-1] for side in squares]
    return measure(LungFields(squares[0], squares[1], 0.9), _answer(box))


def test_signs_of_a_drawn_chest_are_what_was_drawn() -> None:
    signs = _measured()
    left, right = lung_masks()
    assert signs.areas == pytest.approx((left.mean(), right.mean()), rel=0.03)
    assert signs.apart == pytest.approx(0.38, abs=0.02)
    assert signs.askew < 0.01
    assert signs.taper < 0.8
    assert signs.between == 0
    assert signs.mirrored > 0.95
    assert signs.uneven == 0
    assert judge(SURE, signs) is None


def test_lungs_upside_down_widen_towards_the_top() -> None:
    assert _measured(flip=True).taper > 1.2


def test_a_missing_side_measures_as_nothing() -> None:
    nothing = np.zeros((SIZE, SIZE), dtype=bool)
    some = nothing.copy()
    some[50:150, 30:80] = True
    signs = measure(LungFields(some, nothing, 0.8), _answer(Letterbox(400, 400, SIZE)))
    assert signs.areas[1] == 0
    assert judge(SURE, signs) == ("no lung fields are found on both sides: reads frontal chest radiographs only", "no-lungs")


@pytest.mark.parametrize("kind", [Kind.UPSIDE_DOWN, Kind.TURNED, Kind.INVERTED, Kind.OTHER])
def test_a_picture_of_another_kind_is_refused_by_its_name(kind: Kind) -> None:
    kinds = tuple(0.9 if one is kind else 0.025 for one in Kind)
    fault = judge(kinds, GOOD)
    assert fault is not None
    assert fault[1] == kind.value


@pytest.mark.parametrize(
    "change",
    [{"areas": (0.15, 0.01)}, {"apart": -0.1}, {"tall": 0.5}, {"confidence": 0.6}],
    ids=["small", "swapped", "flat", "unsure"],
)
def test_fields_of_no_lungs_shape_are_refused(change: dict[str, object]) -> None:
    fault = judge(SURE, dataclasses.replace(GOOD, **change))  # type: ignore[arg-type]
    assert fault is not None
    assert fault[1] == "no-lungs"


def test_fields_of_a_lateral_view_are_refused_as_such() -> None:
    assert judge(SURE, dataclasses.replace(GOOD, between=0.2, mirrored=0.6)) == (
        "looks like a lateral view: no mediastinum parts two lung fields that mirror each other; "
        "reads frontal (PA or AP) chest radiographs only",
        "lateral",
    )
    assert judge(SURE, dataclasses.replace(GOOD, between=0.12)) is None
    assert judge(SURE, dataclasses.replace(GOOD, mirrored=0.7)) is None
    assert judge(SURE, dataclasses.replace(GOOD, between=0.2, mirrored=0.6, uneven=0.6)) is None


def test_an_unsure_but_possible_chest_is_read() -> None:
    assert judge((0.2, 0.2, 0.2, 0.2, 0.2), GOOD) is None


@pytest.mark.parametrize("threshold", [0.5, 0.55, 0.7])
def test_outlines_run_where_the_probability_crosses_the_threshold(threshold: float) -> None:
    box = Letterbox(2 * SIZE, 2 * SIZE, SIZE)
    ramp = np.linspace(1, 0, SIZE, dtype=np.float32)
    probabilities = np.stack([np.tile(ramp, (SIZE, 1)), np.zeros((SIZE, SIZE), dtype=np.float32)])
    fields = find_fields(probabilities, threshold)
    left, right = Chest(
        np.zeros((box.rows, box.columns), dtype=np.float32), fields, probabilities, SURE, box, GOOD, threshold
    ).outlines()
    assert left.sum(axis=1) == pytest.approx((1 - threshold) * box.columns, abs=4)
    assert not right.any()
