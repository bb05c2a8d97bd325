import numpy as np
import pytest

from models.image import Header, Image, SpacingKind
from models.prediction import Cycle, Moment
from models.runtimes.cycle_volumes import measure_cycle

PHASES = 8


def _image(slices: int, thickness_mm: float = 8.0) -> Image:
    affine = np.diag([thickness_mm, 1.25, 1.25, 1.0])
    array = np.zeros((slices * PHASES, 64, 64), np.float32)
    return Image(array, affine, (thickness_mm, 1.25, 1.25), SpacingKind.PATIENT, Header(modality="MR"), phases=PHASES)


def _beating(radii: list[float]) -> np.ndarray:
    """Discs of these radii, one a slice, that shrink to 70 % in phase 4 and come back."""
    rows, columns = np.ogrid[:64, :64]
    discs = []
    for radius in radii:
        for phase in range(PHASES):
            shrunk = radius * (1 - 0.3 * (1 - abs(phase - 3) / 4 if abs(phase - 3) < 4 else 0))
            discs.append((rows - 32) ** 2 + (columns - 32) ** 2 < shrunk**2)
    return np.stack(discs)


FULL = [20, 20, 19, 18, 17, 15, 12, 9, 5]


def test_volumes_and_ejection_fraction_where_the_slices_span_the_ventricle() -> None:
    cavity = _beating(FULL)
    found, notes, cycle = measure_cycle(cavity, _image(len(FULL)), "lv_cavity")
    values = {one.key: one.value for one in found}
    volumes = cavity.reshape(len(FULL), PHASES, -1).sum((0, 2)) * 8 * 1.25 * 1.25 / 1000
    assert values["lv_end_diastolic_volume"] == pytest.approx(volumes.max(), abs=0.06)
    assert values["lv_end_systolic_volume"] == pytest.approx(volumes[3], abs=0.06)
    assert values["lv_ejection_fraction"] == pytest.approx(100 * (1 - volumes[3] / volumes.max()), abs=0.06)
    assert values["lv_stroke_volume"] == pytest.approx(volumes.max() - volumes[3], abs=0.11)
    assert "smallest in phase 4 of 8" in notes[0]
    assert cycle == Cycle("lv_cavity", {Moment.END_DIASTOLE: 7, Moment.END_SYSTOLE: 3}, tuple(range(len(FULL))))
    assert {one.key for one in found if one.moment is Moment.END_SYSTOLE} == {"lv_end_systolic_volume"}


@pytest.mark.parametrize(
    ("radii", "why"),
    [
        ([20], "on 1 of them, 8 mm"),
        ([20, 18, 16], "the slices do not span the ventricle"),
        ([20] * 9, "do not reach the apex"),
        ([20, 19, 0, 18, 17, 15, 12, 9, 5], "not found on a slice between"),
    ],
)
def test_without_slices_that_span_it_there_is_a_change_of_area_and_no_ejection_fraction(radii: list[float], why: str) -> None:
    found, notes, cycle = measure_cycle(_beating(radii), _image(len(radii)), "lv_cavity")
    assert [one.key for one in found] == ["lv_area_change"]
    assert found[0].value == pytest.approx(51, abs=3)
    assert notes[0].startswith("No ejection fraction: ")
    assert why in notes[0]
    assert cycle is not None
    assert cycle.slices == (radii.index(max(radii)),)


def test_one_image_has_no_cycle() -> None:
    image = Image(np.zeros((1, 64, 64), np.float32), None, None, SpacingKind.NONE, Header(modality="MR"))
    assert measure_cycle(_beating([20])[:1], image, "lv_cavity") == ((), (), None)


def test_a_slice_that_is_lost_in_some_phases_gives_no_number() -> None:
    cavity = _beating([20])
    cavity[2] = False
    found, notes, cycle = measure_cycle(cavity, _image(1), "lv_cavity")
    assert (found, cycle) == ((), None)
    assert "not found in every phase" in notes[0]
