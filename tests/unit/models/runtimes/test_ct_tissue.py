from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.image import Header, Image
from models.manifest import library_folder, read_manifest
from models.prediction import Prediction, Segmentation
from models.runtime import load_model
from node.store.errors import Refused
from tests.unit.models.runtimes.ct_phantom import CT, Phantom, dice, make_phantom, permuted


def predict(image: Image) -> tuple[Prediction, Segmentation]:
    prediction = load_model(read_manifest(library_folder() / "ct-tissue"), {}).predict(image)
    assert isinstance(prediction.segmentation, Segmentation)
    return prediction, prediction.segmentation


def check(phantom: Phantom, found: Segmentation, body: float = 0.98, bone: float = 0.9, lung: float = 0.97) -> None:
    assert dice(found.masks["body"], phantom.truth["body"]) > body
    assert dice(found.masks["bone"], phantom.truth["bone"]) > bone
    for key in ("lung_right", "lung_left"):
        assert dice(found.masks[key], phantom.truth[key]) > lung


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"table_gap_mm": 12.0},
        {"contrast_hu": 160.0},
        {"contrast_hu": 220.0},
        {"contrast_hu": 380.0},
        {"noise_hu": 40.0},
        {"off_centre_mm": 35.0},
    ],
    ids=str,
)
def test_outlines_at_any_table_height_with_any_contrast(settings: dict[str, float]) -> None:
    phantom = make_phantom(**settings)

    _, found = predict(phantom.image())

    check(phantom, found)
    assert found.absent == ()
    for name in ("aorta", "heart", "kidneys"):
        assert (found.masks["bone"] & phantom.parts[name]).sum() < 0.03 * phantom.parts[name].sum(), name
    for name in ("gas", "trachea"):
        for side in ("lung_right", "lung_left"):
            assert (found.masks[side] & phantom.parts[name]).sum() < 0.05 * phantom.parts[name].sum(), name


@pytest.mark.parametrize(
    ("order", "flips"),
    [((0, 1, 2), (0,)), ((0, 1, 2), (1, 2)), ((2, 0, 1), ()), ((1, 0, 2), (1,)), ((2, 1, 0), (0, 2))],
)
def test_the_same_patient_stored_along_other_axes_gives_the_same_answer(
    order: tuple[int, int, int], flips: tuple[int, ...]
) -> None:
    phantom = make_phantom()
    _, straight = predict(phantom.image())

    _, turned = predict(permuted(phantom.image(), order, flips))

    for key, mask in straight.masks.items():
        assert np.array_equal(turned.masks[key], np.flip(np.transpose(mask, order), flips)), key


def test_prone_and_feet_first_patients_keep_their_sides() -> None:
    phantom = make_phantom()
    image = phantom.image()
    assert image.affine is not None
    # half a turn about the long axis of the body: the patient lies on the belly, rows and columns run the other way
    prone = permuted(image, (0, 1, 2), (1, 2))

    _, found = predict(prone)

    right = np.argwhere(found.masks["lung_right"]).mean(axis=0)
    left = np.argwhere(found.masks["lung_left"]).mean(axis=0)
    x = [float((prone.affine @ np.append(centre, 1.0))[0]) for centre in (right, left)]  # type: ignore[operator]
    assert x[0] < x[1]


def test_reads_a_tilted_gantry() -> None:
    phantom = make_phantom(contrast_hu=200.0)

    _, found = predict(phantom.image(tilt_deg=20.0))

    check(phantom, found)


@pytest.mark.parametrize(("index", "present"), [(24, True), (6, False)])
def test_reads_a_single_slice(index: int, present: bool) -> None:
    phantom = make_phantom(contrast_hu=200.0)
    image = phantom.image()
    single = replace(image, array=image.array[index : index + 1])

    _, found = predict(single)

    assert dice(found.masks["body"][0], phantom.truth["body"][index]) > 0.97
    assert dice(found.masks["bone"][0], phantom.truth["bone"][index]) > 0.85
    assert (set(found.absent) == set()) == present
    if present:
        assert dice(found.masks["lung_left"][0], phantom.truth["lung_left"][index]) > 0.95
    else:
        assert set(found.absent) == {"lung_right", "lung_left"}


def test_reads_a_single_coronal_slice_and_leaves_the_side_open_on_a_sagittal_one() -> None:
    image = make_phantom().image()
    coronal = permuted(image, (1, 0, 2), ())
    sagittal = permuted(image, (2, 0, 1), ())
    one_coronal = replace(coronal, array=coronal.array[72:73], spacing_mm=coronal.spacing_mm)
    one_sagittal = replace(sagittal, array=sagittal.array[72:73], spacing_mm=sagittal.spacing_mm)

    _, on_coronal = predict(one_coronal)
    notes, on_sagittal = predict(one_sagittal)

    assert on_coronal.absent == ()
    assert set(on_sagittal.absent) >= {"lung_right", "lung_left"}
    assert any("right and left" in note for note in notes.notes)


def test_finds_no_lungs_where_there_are_none() -> None:
    phantom = make_phantom(lungs=False)

    _, found = predict(phantom.image())

    assert set(found.absent) == {"lung_right", "lung_left"}
    assert dice(found.masks["body"], phantom.truth["body"]) > 0.98


def test_says_that_the_body_is_cut_off() -> None:
    image = make_phantom().image()
    narrow = replace(image, array=np.ascontiguousarray(image.array[:, :, 50:167]))

    prediction, found = predict(narrow)

    assert any("cut off" in note for note in prediction.notes)
    assert found.masks["lung_right"].any()
    assert found.masks["lung_left"].any()


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (replace(CT, modality="MR"), "not-ct"),
        (replace(CT, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")), "localizer"),
        (replace(CT, rescale_type="US"), "not-hounsfield"),
        (replace(CT, has_rescale=False), "no-rescale"),
    ],
)
def test_refuses_what_is_not_a_cross_section_in_hounsfield_units(header: Header, code: str) -> None:
    with pytest.raises(Refused) as refused:
        predict(make_phantom().image(header))

    assert refused.value.code == code


def test_an_absent_rescale_type_means_hounsfield_units() -> None:
    predict(make_phantom().image(replace(CT, rescale_type="")))


def test_refuses_stored_values_that_were_never_rescaled() -> None:
    image = make_phantom().image()

    with pytest.raises(Refused) as refused:
        predict(replace(image, array=image.array + 1024))

    assert refused.value.code == "not-hounsfield"


def test_refuses_an_image_without_a_place_in_the_patient() -> None:
    with pytest.raises(Refused) as refused:
        predict(replace(make_phantom().image(), affine=None))

    assert refused.value.code == "no-geometry"


def test_refuses_an_empty_table() -> None:
    image = make_phantom().image()
    empty = np.full_like(image.array, -1000.0)
    empty[:, 150:152] = 120.0

    with pytest.raises(Refused) as refused:
        predict(replace(image, array=empty))

    assert refused.value.code in {"no-body", "not-hounsfield"}
