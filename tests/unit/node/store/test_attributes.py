"""A broken attribute is nothing, never an exception."""

from __future__ import annotations

import warnings

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from node.store.attributes import item, number, numbers, quietly, text, texts, values


def raw(keyword: str, vr: str, value: bytes) -> Dataset:
    dataset = Dataset()
    tag = Tag(keyword)
    dataset._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    return dataset


@pytest.mark.parametrize(
    "dataset",
    [
        None,
        Dataset(),
        raw("PixelSpacing", "DS", b""),
        raw("PixelSpacing", "DS", b"abc\\1 "),
        raw("PixelSpacing", "DS", b"nan\\1 "),
        raw("PixelSpacing", "DS", b"1e999\\1 "),
    ],
)
def test_a_number_that_is_none_is_nothing(dataset: Dataset | None) -> None:
    with quietly():
        assert numbers(dataset, "PixelSpacing") == ()
        assert number(dataset, "PixelSpacing") is None


def test_numbers_are_read_as_they_stand() -> None:
    assert numbers(raw("PixelSpacing", "DS", b"0.5\\0.25 "), "PixelSpacing") == (0.5, 0.25)


def test_text_is_stripped_and_joined() -> None:
    dataset = Dataset()
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.SeriesDescription = " Thorax "
    assert text(dataset, "ImageType") == "ORIGINAL\\PRIMARY"
    assert texts(dataset, "SeriesDescription") == ("Thorax",)
    assert text(dataset, "BodyPartExamined") == ""


def test_items_of_sequences() -> None:
    inner, dataset = Dataset(), Dataset()
    inner.CodeMeaning = "Chest"
    dataset.AnatomicRegionSequence = [inner]
    assert text(item(dataset, "AnatomicRegionSequence"), "CodeMeaning") == "Chest"
    assert item(dataset, "AnatomicRegionSequence", 1) is None
    assert item(dataset, "ViewCodeSequence") is None
    assert len(values(dataset, "AnatomicRegionSequence")) == 1


def test_warnings_that_quote_values_are_kept_back() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with quietly():
            warnings.warn("Invalid value 'Doe^Jane'", UserWarning, stacklevel=1)
