"""Reading attributes of a data set that may be absent, empty or broken: a value, or nothing, never an exception."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final
from warnings import catch_warnings, simplefilter

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

BROKEN: Final = (
    *(ValueError, TypeError, OverflowError, NotImplementedError, AttributeError, LookupError, ArithmeticError),
    BytesLengthException,
)
"""What pydicom raises when it converts a value that breaks the rules of its value representation."""


@cache
def _tag(keyword: str) -> BaseTag:
    return Tag(keyword)


@contextmanager
def quietly() -> Iterator[None]:
    """Keep pydicom's warnings back: they quote attribute values, and what is broken is reported by our own reasons."""
    with catch_warnings():
        simplefilter("ignore")
        yield


def values(dataset: Dataset | None, keyword: str) -> tuple[Any, ...]:
    """All values of an attribute; empty where it is absent, empty or cannot be read."""
    value = _value(dataset, keyword)
    if value is None or value == "":
        return ()
    return tuple(value) if isinstance(value, MultiValue | Sequence | list | tuple) else (value,)


def text(dataset: Dataset | None, keyword: str) -> str:
    """The attribute as text without outer spaces, several values joined by a backslash; ``""`` where absent."""
    return "\\".join(texts(dataset, keyword))


def texts(dataset: Dataset | None, keyword: str) -> tuple[str, ...]:
    """Its values as texts without outer spaces."""
    return tuple(str(value).strip(" \0") for value in values(dataset, keyword))


def numbers(dataset: Dataset | None, keyword: str) -> tuple[float, ...]:
    """Its values as finite numbers; empty where any is none."""
    read = []
    for value in values(dataset, keyword):
        try:
            number = float(value)
        except BROKEN:
            return ()
        if not math.isfinite(number):
            return ()
        read.append(number)
    return tuple(read)


def number(dataset: Dataset | None, keyword: str) -> float | None:
    """Its first value as a finite number, or None."""
    read = numbers(dataset, keyword)
    return read[0] if read else None


def item(dataset: Dataset | None, keyword: str, index: int = 0) -> Dataset | None:
    """An item of a sequence, or None."""
    sequence = _value(dataset, keyword)
    return sequence[index] if isinstance(sequence, Sequence) and index < len(sequence) else None


def items(dataset: Dataset | None, keyword: str) -> tuple[Dataset, ...]:
    """Items of a sequence; none where it is absent, empty or no sequence."""
    return tuple(one for one in values(dataset, keyword) if isinstance(one, Dataset))


def _value(dataset: Dataset | None, keyword: str) -> Any:
    if dataset is None or (tag := _tag(keyword)) not in dataset:
        return None
    try:
        return dataset[tag].value
    except BROKEN:
        return None
