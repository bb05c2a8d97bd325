from __future__ import annotations

import numpy as np
import pytest

from models.image import SpacingKind
from node.store.errors import Permanent, Refused
from tests.unit.workers.encode.samples import (
    FRAME_OF_REFERENCE,
    affine_of,
    identity,
    multi_frame_of,
    radiograph,
    slices_of,
    volume,
)
from workers.encode.grid import decimal, grid_of

OBLIQUE = ((0.8, 0.6, 0.0), (0.0, 0.0, -1.0))


def test_a_volume_lies_where_its_sources_say() -> None:
    image = volume(affine_of(OBLIQUE), (3, 4, 5))
    sources = slices_of(image)

    grid = grid_of(image, sources, identity())

    assert grid.frame_of_reference_uid == FRAME_OF_REFERENCE
    assert np.allclose(grid.orientation, [float(value) for value in sources[0].ImageOrientationPatient])
    assert np.allclose(grid.positions_mm, [[float(value) for value in source.ImagePositionPatient] for source in sources])
    assert np.allclose(grid.spacing, [0.8, 0.7])
    assert grid.slice_distance_mm == pytest.approx(3.0)
    assert [frame.sop_instance_uid for frame in grid.frames] == [source.SOPInstanceUID for source in sources]
    assert not grid.is_projection


def test_slices_that_are_not_quite_even_keep_their_stated_places() -> None:
    image = volume(affine_of(), (3, 4, 5))
    sources = slices_of(image)
    sources[1].ImagePositionPatient = ["-50.5", "20.25", "-696.95"]

    grid = grid_of(image, sources, identity())

    assert grid.positions_mm[1] == (-50.5, 20.25, -696.95)


def test_sources_in_another_order_are_found_by_their_place() -> None:
    image = volume(affine_of(), (4, 4, 5))
    sources = slices_of(image)

    grid = grid_of(image, sources[::-1], identity())

    assert [frame.sop_instance_uid for frame in grid.frames] == [source.SOPInstanceUID for source in sources]


def test_sources_of_another_place_are_a_defect() -> None:
    image = volume(affine_of(), (3, 4, 5))
    elsewhere = slices_of(volume(affine_of(origin_mm=(0.0, 0.0, 0.0)), (3, 4, 5)))

    with pytest.raises(Permanent, match="slice 1 of 3"):
        grid_of(image, elsewhere, identity())


def test_without_a_frame_of_reference_there_is_no_place() -> None:
    image = volume(affine_of(), (3, 4, 5))
    sources = slices_of(image)
    for source in sources:
        del source.FrameOfReferenceUID

    with pytest.raises(Refused) as refused:
        grid_of(image, sources, identity())

    assert refused.value.code == "no-frame-of-reference"


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
def test_frames_of_a_multi_frame_source_are_found_in_any_order(order: list[int]) -> None:
    image = volume(affine_of(), (4, 4, 5))

    grid = grid_of(image, [multi_frame_of(image, order)], identity())

    assert [frame.frame_number for frame in grid.frames] == [order.index(index) + 1 for index in range(4)]


def test_a_stack_that_is_part_of_a_multi_frame_source() -> None:
    image = volume(affine_of(), (4, 4, 5))
    source = multi_frame_of(image, [0, 1, 2, 3, 0, 1, 2, 3])

    told = grid_of(image, [source], identity(), [(0, 5), (0, 6), (0, 7), (0, 8)])
    guessed = grid_of(image, [source], identity())

    assert [frame.frame_number for frame in told.frames] == [5, 6, 7, 8]
    assert [frame.frame_number for frame in guessed.frames] == [None] * 4, "two frames lie there, and neither is named"
    assert {frame.sop_instance_uid for frame in guessed.frames} == {source.SOPInstanceUID}


def test_a_radiograph_gets_a_plane_of_its_own() -> None:
    image, source = radiograph()

    grid = grid_of(image, [source], identity())

    assert grid.orientation == (1, 0, 0, 0, 1, 0)
    assert grid.positions_mm == ((0, 0, 0),)
    assert grid.spacing == (0.2, 0.25)
    assert grid.spacing_kind is SpacingKind.DETECTOR
    assert grid.is_projection
    assert grid.frame_of_reference_uid == identity(model="another").frame_of_reference_uid(source.SOPInstanceUID)


def test_a_radiograph_is_never_put_into_the_patients_frame_of_reference() -> None:
    image, source = radiograph()
    source.FrameOfReferenceUID = FRAME_OF_REFERENCE

    assert grid_of(image, [source], identity()).frame_of_reference_uid != FRAME_OF_REFERENCE


def test_a_radiograph_without_spacing_counts_pixels() -> None:
    image, source = radiograph(SpacingKind.NONE)

    grid = grid_of(image, [source], identity())

    assert grid.spacing == (1.0, 1.0)
    assert grid.spacing_kind is SpacingKind.NONE


def test_many_frames_without_a_place_are_refused() -> None:
    image, source = radiograph()
    cine = type(image)(np.repeat(image.array, 3, axis=0), None, image.spacing_mm, image.spacing_kind, image.header)

    with pytest.raises(Refused) as refused:
        grid_of(cine, [source], identity())

    assert refused.value.code == "no-geometry"


@pytest.mark.parametrize("value", [1 / 3, -1 / 3, 1e-17, -123456.789012345, 0.0, -0.0])
def test_a_decimal_string_has_at_most_16_characters(value: float) -> None:
    assert len(decimal(value)) <= 16
    assert float(decimal(value)) == pytest.approx(value, abs=1e-8)
    assert decimal(0.0) == decimal(-0.0)
