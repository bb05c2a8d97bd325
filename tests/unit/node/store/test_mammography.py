"""Which view a mammogram is, by its codes."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from node.store.mammography import STANDARD_VIEWS, standard_view
from tests import dicom


@pytest.mark.parametrize("view", STANDARD_VIEWS)
def test_the_four_views(view: str) -> None:
    assert standard_view(dicom.mammogram(view)) == view


def test_older_codes_and_no_code_at_all() -> None:
    image = dicom.mammogram("R-MLO")
    image.ViewCodeSequence[0].CodeValue = "R-10226"
    assert standard_view(image) == "R-MLO"
    del image.ViewCodeSequence
    assert standard_view(image) == "R-MLO"
    del image.ImageLaterality
    image.Laterality = "L"
    assert standard_view(image) == "L-MLO"


def _modified(image: Dataset, value: str) -> None:
    modifier = Dataset()
    modifier.CodeValue, modifier.CodingSchemeDesignator, modifier.CodeMeaning = value, "SCT", "a modifier"
    image.ViewCodeSequence[0].ViewModifierCodeSequence = [modifier]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: setattr(image, "Modality", "CR"),
        lambda image: setattr(image, "ImageLaterality", "B"),
        lambda image: setattr(image, "ImageLaterality", ""),
        lambda image: setattr(image, "PartialView", "YES"),
        lambda image: setattr(image, "NumberOfFrames", 30),
        lambda image: setattr(image.ViewCodeSequence[0], "CodeValue", "399260004"),
        lambda image: _modified(image, "399055006"),
    ],
)
def test_every_other_image_is_none_of_them(change: object) -> None:
    image = dicom.mammogram("L-CC")

    change(image)  # type: ignore[operator]

    assert standard_view(image) == ""


def test_a_nipple_in_profile_changes_nothing() -> None:
    image = dicom.mammogram("L-CC")

    _modified(image, "442581004")

    assert standard_view(image) == "L-CC"
