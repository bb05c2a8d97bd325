"""A grid is right to the position of every slice, and what makes none is refused with number and place."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.store.errors import Refused
from node.store.geometry import Slice, build_grid, parse_plane

angles = st.floats(-math.pi, math.pi)
lengths = st.floats(0.2, 8.0)
places = st.tuples(*[st.floats(-400, 400)] * 3)


def rotation(a: float, b: float, c: float) -> np.ndarray:
    about_x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    about_y = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    about_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def stack(
    count: int,
    *,
    row=(1.0, 0.0, 0.0),
    column=(0.0, 1.0, 0.0),
    step=(0.0, 0.0, 5.0),
    origin=(1.0, 2.0, 3.0),
    spacing=(0.8, 0.7),
    thickness: float | None = 5.0,
) -> list[Slice]:
    return [
        Slice(
            name=f"instance {index + 1}",
            plane=parse_plane(tuple(np.asarray(origin) + index * np.asarray(step)), (*row, *column)),
            pixel_spacing_mm=spacing,
            thickness_mm=thickness,
            rows=10,
            columns=20,
            frame_of_reference_uid="1.2",
        )
        for index in range(count)
    ]


def without(slices: list[Slice], *gone: int) -> list[Slice]:
    return [one for index, one in enumerate(slices) if index not in gone]


@given(angles, angles, angles, places, lengths, lengths, lengths, st.integers(1, 12), st.randoms(use_true_random=False))
def test_index_maps_to_the_position_of_each_slice(a, b, c, origin, between, down, across, count, random) -> None:
    row, column, normal = rotation(a, b, c).T
    slices = stack(count, row=row, column=column, step=normal * between, origin=origin, spacing=(down, across), thickness=between)
    random.shuffle(slices)
    grid = build_grid(slices)
    assert sorted(grid.order) == list(range(count))
    assert grid.spacing_mm == pytest.approx((between, down, across), rel=1e-6)
    for index, source in enumerate(grid.order):
        position = np.asarray(slices[source].plane.position_mm)
        assert grid.affine @ [index, 0, 0, 1] == pytest.approx([*position, 1], abs=1e-6)
        assert grid.affine @ [index, 3, 4, 1] == pytest.approx([*(position + 3 * down * column + 4 * across * row), 1], abs=1e-6)


def test_slices_follow_the_normal_whatever_their_order() -> None:
    grid = build_grid(stack(4, step=(0, 0, -3)))
    assert grid.order == (3, 2, 1, 0)
    assert grid.affine[2, 0] == pytest.approx(3.0)


def test_a_tilted_gantry_is_kept_as_shear() -> None:
    tilt = math.radians(15)
    grid = build_grid(stack(6, row=(1, 0, 0), column=(0, math.cos(tilt), math.sin(tilt)), step=(0, 0, 4)))
    assert grid.affine[:3, 0] == pytest.approx([0, 0, 4])
    assert grid.spacing_mm[0] == pytest.approx(4 * math.cos(tilt))
    assert abs(np.linalg.det(grid.affine)) == pytest.approx(math.prod(grid.spacing_mm))
    assert "15.0 degrees" in grid.notes[0]


def test_positions_rounded_by_the_scanner_are_a_volume() -> None:
    slices = [
        replace(one, plane=replace(one.plane, position_mm=(1.0, 2.0, round(one.plane.position_mm[2], 1))))
        for one in stack(40, step=(0, 0, 0.625))
    ]
    assert build_grid(slices).spacing_mm[0] == pytest.approx(0.625, abs=0.005)


def test_one_slice_is_as_thick_as_it_says() -> None:
    assert build_grid(stack(1, thickness=4.0)).spacing_mm == (4.0, 0.8, 0.7)


def test_one_slice_without_thickness_is_read_with_a_note() -> None:
    grid = build_grid(stack(1, thickness=None))
    assert grid.spacing_mm == (1.0, 0.8, 0.7)
    assert "Slice Thickness" in grid.notes[0]


@pytest.mark.parametrize(
    ("slices", "code", "words"),
    [
        (
            without(stack(20), 3),
            "missing-slice",
            ("a slice is missing between positions 13.00 and 23.00 mm", "instance 3", "19 of 20"),
        ),
        (without(stack(20), 7, 8), "missing-slice", ("2 slices are missing", "18 of 20")),
        (without(stack(20), 4, 11), "missing-slice", ("2 slices are missing", "1 more place")),
        (without(stack(4), 1), "missing-slice", ("3 of 4",)),
        (stack(5) + stack(1, origin=(1, 2, 13.0)), "doubled-slice", ("13.00 mm", "instance 3", "instance 1")),
        (stack(5) + stack(1, origin=(1, 2, 24.6)), "unequal-spacing", ("1.60 mm", "5.00 mm elsewhere")),
        (stack(5, step=(0, 0, 5)) + stack(5, step=(0, 0, 10), origin=(1, 2, 33)), "unequal-spacing", ("10.00 mm",)),
        (stack(5) + stack(1, row=(0, 1, 0), column=(0, 0, -1)), "mixed-orientations", ("mixed orientations",)),
        (without(stack(5), 2) + stack(1, origin=(6, 2, 13)), "shifted-slice", ("to the side",)),
        ([replace(one, plane=None, fault="no position there") for one in stack(2)], "no-position", ("no position there",)),
        ([replace(one, pixel_spacing_mm=None) for one in stack(2)], "no-pixel-spacing", ("Pixel Spacing",)),
        ([replace(one, frame_of_reference_uid="") for one in stack(2)], "no-frame-of-reference", ("Frame of Reference UID",)),
        (
            stack(1) + [replace(one, frame_of_reference_uid="9") for one in stack(3)[1:]],
            "frames-of-reference-differ",
            ("different",),
        ),
        (stack(1) + [replace(one, rows=11) for one in stack(3)[1:]], "sizes-differ", ("10 x 20, 11 x 20",)),
        (stack(1) + [replace(one, pixel_spacing_mm=(0.9, 0.7)) for one in stack(3)[1:]], "spacings-differ", ("Pixel Spacing",)),
    ],
)
def test_what_makes_no_volume_is_refused_by_name(slices: list[Slice], code: str, words: tuple[str, ...]) -> None:
    with pytest.raises(Refused) as refusal:
        build_grid(slices)
    assert refusal.value.code == code
    for word in words:
        assert word in refusal.value.reason


@pytest.mark.parametrize(
    ("position", "orientation", "code"),
    [
        (None, (1, 0, 0, 0, 1, 0), "no-position"),
        ((1, 2), (1, 0, 0, 0, 1, 0), "no-position"),
        ((1, 2, float("nan")), (1, 0, 0, 0, 1, 0), "no-position"),
        ((1, 2, 3), None, "no-orientation"),
        ((1, 2, 3), (1, 0, 0), "no-orientation"),
        ((1, 2, 3), (0, 0, 0, 0, 0, 0), "no-orientation"),
        ((1, 2, 3), (1, 0, 0, 1, 0, 0), "no-orientation"),
        ((1, 2, 3), (2, 0, 0, 0, 1, 0), "no-orientation"),
    ],
)
def test_a_plane_is_never_guessed(position, orientation, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_plane(position, orientation)
    assert refusal.value.code == code


def test_directions_are_made_unit_length() -> None:
    plane = parse_plane((0, 0, 0), (0.9999, 0, 0, 0, 1.0002, 0))
    assert plane.row_direction == (1, 0, 0)
    assert plane.column_direction == (0, 1, 0)
