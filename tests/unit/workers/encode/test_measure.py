from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.image import Image, SpacingKind
from models.prediction import Segmentation
from tests.unit.workers.encode.samples import affine_of, manifest, radiograph, volume
from workers.encode.measure import Measure, Quantity, Unit, measures
from workers.encode.segments import outlines

SHAPE = (4, 6, 5)


def taken(image: Image, pixels: int = 10) -> dict[Quantity, Measure]:
    mask = np.zeros(image.array.shape[:3], dtype=bool)
    mask.flat[:pixels] = True
    answer = Segmentation({"bone": mask})
    slices, rows, columns = image.array.shape[:3]
    return {one.quantity: one for one in measures(outlines(answer, manifest(), (slices, rows, columns)), image)}


def test_a_volume_is_voxels_times_what_they_hold() -> None:
    found = taken(volume(affine_of(spacing_mm=(3.0, 0.8, 0.7)), SHAPE))

    assert found[Quantity.VOLUME].value == pytest.approx(10 * 3.0 * 0.8 * 0.7 / 1000)
    assert found[Quantity.VOLUME].unit is Unit.MILLILITER
    assert Quantity.AREA not in found


def test_a_sheared_grid_counts_its_height_not_its_step() -> None:
    slope = (0.0, 0.6, 0.8)

    found = taken(volume(affine_of(spacing_mm=(5.0, 1.0, 1.0), step=slope), SHAPE))

    assert found[Quantity.VOLUME].value == pytest.approx(10 * 5.0 * 0.8 / 1000)


def test_diameters_are_those_of_the_patient() -> None:
    found = taken(volume(affine_of(spacing_mm=(3.0, 0.8, 0.7)), SHAPE), pixels=5)

    assert found[Quantity.SLICE_DIAMETER].value == pytest.approx(np.hypot(5 * 0.7, 0.8), rel=1e-4)
    assert found[Quantity.DIAMETER].value == pytest.approx(np.sqrt(3.5**2 + 0.8**2 + 9), rel=1e-4)
    assert found[Quantity.DIAMETER].unit is Unit.MILLIMETER


def test_one_slice_has_an_area_and_no_volume() -> None:
    found = taken(volume(affine_of(spacing_mm=(3.0, 0.8, 0.7)), (1, 6, 5)))

    assert found[Quantity.AREA].value == pytest.approx(10 * 0.8 * 0.7)
    assert found[Quantity.AREA].unit is Unit.SQUARE_MILLIMETER
    assert Quantity.VOLUME not in found


@pytest.mark.parametrize("kind", [SpacingKind.DETECTOR, SpacingKind.CALIBRATED])
def test_a_projection_says_what_its_area_is_measured_at(kind: SpacingKind) -> None:
    found = taken(radiograph(kind)[0])

    assert found[Quantity.AREA] == replace(found[Quantity.AREA], unit=Unit.SQUARE_MILLIMETER, spacing_kind=kind)
    assert found[Quantity.AREA].value == pytest.approx(10 * 0.2 * 0.25)
    assert set(found) == {Quantity.AREA, Quantity.SLICE_DIAMETER}
    assert found[Quantity.SLICE_DIAMETER].spacing_kind is kind


def test_without_spacing_there_are_pixels_only() -> None:
    found = taken(radiograph(SpacingKind.NONE)[0])

    assert (found[Quantity.AREA].value, found[Quantity.AREA].unit) == (10.0, Unit.PIXELS)
    assert set(found) == {Quantity.AREA}


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ({"modality": "CT", "has_rescale": True, "rescale_type": "HU"}, Unit.HOUNSFIELD),
        ({"modality": "CT", "has_rescale": True, "rescale_type": ""}, Unit.HOUNSFIELD),
        ({"modality": "CT", "has_rescale": True, "rescale_type": "US"}, Unit.ARBITRARY),
        ({"modality": "CT", "has_rescale": False, "rescale_type": ""}, Unit.ARBITRARY),
        ({"modality": "MR", "has_rescale": True, "rescale_type": "HU"}, Unit.ARBITRARY),
    ],
)
def test_only_rescaled_ct_is_in_hounsfield_units(header: dict[str, object], unit: Unit) -> None:
    image = volume(affine_of(), SHAPE, **header)

    found = taken(image)

    values = image.array.ravel()[:10]
    assert found[Quantity.MEAN].unit is unit
    assert found[Quantity.MEAN].value == pytest.approx(values.mean())
    assert (found[Quantity.MINIMUM].value, found[Quantity.MAXIMUM].value) == pytest.approx((values.min(), values.max()))
    assert found[Quantity.STANDARD_DEVIATION].value == pytest.approx(values.std(), rel=1e-4)


def test_grey_values_of_other_modalities_are_left_out() -> None:
    assert Quantity.MEAN not in taken(volume(affine_of(), SHAPE, modality="PT"))
