"""Single images that do not move with their cycle are named; hearts that beat, strongly and near the apex too, are not."""

from __future__ import annotations

import numpy as np
import pytest

from models.image import Header, Image, SpacingKind
from models.prediction import Cycle, Moment
from models.runtimes.cycle_doubts import LEAST_PHASES, doubts, out_of_line

PHASES = 20


def image(slices: int, phases: int = PHASES) -> Image:
    array = np.zeros((slices * phases, 64, 64), np.float32)
    return Image(array, np.diag([8, 1.3, 1.3, 1.0]), (8.0, 1.3, 1.3), SpacingKind.PATIENT, Header(modality="MR"), phases=phases)


def beating(radii: list[float], least: float = 0.6, phases: int = PHASES, middle: tuple[int, int] = (32, 32)) -> np.ndarray:
    """Discs that shrink to `least` of their radius within a third of the cycle and widen slowly again."""
    rows, columns = np.ogrid[:64, :64]
    times = np.arange(phases) / phases
    shrunk = np.where(times < 0.35, times / 0.35, (1 - times) / 0.65)
    found = [
        np.hypot(rows - middle[0], columns - middle[1]) < radius * (1 - (1 - least) * part) for radius in radii for part in shrunk
    ]
    return np.stack(found)


@pytest.mark.parametrize("least", [0.9, 0.7, 0.5, 0.3])
@pytest.mark.parametrize("phases", [LEAST_PHASES, 20, 30])
def test_a_heart_that_beats_raises_no_doubt(least: float, phases: int) -> None:
    radii = [20.0, 18.0, 14.0, 9.0, 5.0]
    assert not out_of_line(beating(radii, least, phases), image(len(radii), phases)).any()


def wrong(kind: str, cavity: np.ndarray, at: int) -> np.ndarray:
    made = cavity.copy()
    if kind == "missing":
        made[at] = False
    elif kind == "elsewhere":
        made[at] = np.roll(made[at], 15, axis=1)
    elif kind == "leaks":
        made[at, 10:50, 10:50] = True
    elif kind == "half":
        made[at, :32] = False
    return made


@pytest.mark.parametrize("kind", ["missing", "elsewhere", "leaks", "half"])
@pytest.mark.parametrize("phase", [0, 7, 13, PHASES - 1])
def test_an_image_that_does_not_fit_is_named_and_no_other(kind: str, phase: int) -> None:
    cavity = wrong(kind, beating([20.0, 18.0, 14.0]), PHASES + phase)
    assert np.argwhere(out_of_line(cavity, image(3))).tolist() == [[1, phase]]


def test_an_outline_where_there_is_none_before_and_after_is_named() -> None:
    cavity = np.concatenate([beating([18.0]), np.zeros((PHASES, 64, 64), bool)])
    cavity[PHASES + 4, 20:40, 20:40] = True
    assert np.argwhere(out_of_line(cavity, image(2))).tolist() == [[1, 4]]


def test_too_few_phases_and_too_few_pixels_are_not_judged() -> None:
    few = LEAST_PHASES - 1
    assert not out_of_line(wrong("missing", beating([18.0], phases=few), 3), image(1, few)).any()
    assert not out_of_line(wrong("missing", beating([4.0]), 3), image(1)).any()


def test_notes_name_slice_and_phases_and_what_rests_on_them() -> None:
    odd = np.zeros((3, PHASES), bool)
    odd[1, [2, 6, 8]] = odd[2, 8] = True
    cycle = Cycle("lv_cavity", {Moment.END_DIASTOLE: 0, Moment.END_SYSTOLE: 8}, (0, 1, 2))
    assert doubts(odd, cycle) == (
        "Slice 2: in phase 3, 7 and 9 of 20 the outlined cavity does not fit those of the phases before and after; "
        "check these images.",
        "Slice 3: in phase 9 of 20 the outlined cavity does not fit those of the phases before and after; check these images.",
        "What was measured rests on such an image: phase 9, taken for end systole, on slice 2 and 3.",
    )
    assert len(doubts(odd, Cycle("lv_cavity", {Moment.END_SYSTOLE: 8}, (0,)))) == 2
    assert doubts(np.zeros((3, PHASES), bool), cycle) == ()
