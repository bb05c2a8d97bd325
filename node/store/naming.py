"""How a destination wants series of results named: templates of Series Number and Series Description (PS3.3 section C.7.3.1)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

from node.store.nearest import nearest

DESCRIPTION: Final[Mapping[str, str]] = {
    "model": "its name",
    "version": "of the model",
    "kind": "segmentation, measurements, report, pictures, key images, outlines, findings, heat map or rejection",
    "revision": "of the study; revision.run for a second run of it",
    "source": "Series Description of what was read",
    "description": "what it would be without a template, in the language of the texts",
}
"""Fields of a Series Description, and what stands for each."""

NUMBER: Final[Mapping[str, str]] = {
    "kind": "a digit: 1 segmentation, 2 measurements, 3 report, 4 pictures, 5 key images, 6 outlines, 7 findings, 8 heat map, "
    "9 rejection",
    "revision": "of the study",
    "source": "Series Number of what was read; 0 where it has none",
    "number": "what it would be without a template: five digits that tell models and series apart",
}
"""Fields of a Series Number."""

LONGEST_DESCRIPTION: Final = 64
"""Characters of an LO (PS3.5 section 6.2)."""
LARGEST_NUMBER: Final = 2**31 - 1
"""Of an IS (PS3.5 section 6.2)."""
_WIDTH: Final = re.compile(r"|0[1-9]")
_SHORTEST: Final = {**dict.fromkeys(DESCRIPTION, ""), "kind": "segmentation"}
_USUAL: Final = {"kind": 9, "revision": 99, "source": 9999, "number": 99999}


def _fields(template: str, known: Iterable[str], what: str) -> Iterable[tuple[str, str]]:
    """Field and width of each replacement; raises ``ValueError`` where one cannot be used."""
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as broken:
        raise ValueError(f"{what} {template!r} is no template ({broken}): a brace that is meant is written twice") from broken
    for _, field, width, conversion in parsed:
        if field is None:
            continue
        if field not in known:
            raise ValueError(f"{what} {template!r} has an unknown field {{{field}}}: {nearest(field, known)}")
        if conversion:
            raise ValueError(f"{what} {template!r} converts {{{field}}}, which it cannot: leave out !{conversion}")
        yield field, width or ""


def _description(template: str) -> str:
    what = "series_description"
    for field, width in _fields(template, DESCRIPTION, what):
        if width:
            raise ValueError(f"{what} {template!r} states a width for {{{field}}}, which only numbers have")
    if "\\" in template or not template.isprintable() or not template.strip():
        raise ValueError(f"{what} must be printable text without backslashes (LO)")
    least = len(template.format(**_SHORTEST))
    if least > LONGEST_DESCRIPTION:
        raise ValueError(f"{what} {template!r} makes at least {least} characters, LO holds {LONGEST_DESCRIPTION}: shorten it")
    return template


def _number(template: str) -> str:
    what = "series_number"
    for field, width in _fields(template, NUMBER, what):
        if not _WIDTH.fullmatch(width):
            raise ValueError(f"{what} {template!r} states {width!r} for {{{field}}}: only widths as in {{{field}:03}} can be")
    made = template.format(**_USUAL)
    if not (made.isascii() and made.isdigit()):
        raise ValueError(f"{what} {template!r} makes {made!r}, which is no whole number (IS): use digits and fields alone")
    if int(made) > LARGEST_NUMBER:
        raise ValueError(f"{what} {template!r} makes numbers such as {made}, IS holds at most {LARGEST_NUMBER}: shorten it")
    return template


def _as_text(value: object) -> object:
    """A number stands for itself."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


DescriptionTemplate = Annotated[str, AfterValidator(_description)]
NumberTemplate = Annotated[str, BeforeValidator(_as_text), AfterValidator(_number)]


@dataclass(frozen=True, slots=True)
class SeriesNaming:
    """Templates of a destination; None: as Overread names series.

    What is named otherwise is another object, with UIDs of its own: the same UID must not have two Series Numbers.
    """

    number: str | None = None
    description: str | None = None

    @property
    def key(self) -> str:
        """Tells objects of one naming from those of another in the catalog; empty for Overread's own naming."""
        if self.number is None and self.description is None:
            return ""
        return hashlib.sha256(f"{self.number!r} {self.description!r}".encode()).hexdigest()[:8]

    def numbered(self, values: Mapping[str, int]) -> int:
        """Series Number of `values`, which name every field of `NUMBER`; Overread's own where IS cannot hold it."""
        made = int(self.number.format(**values)) if self.number is not None else values["number"]
        return made if made <= LARGEST_NUMBER else values["number"]

    def described(self, values: Mapping[str, str]) -> str:
        """Series Description of `values`, which name every field of `DESCRIPTION`; it may be longer than LO holds."""
        return self.description.format(**values) if self.description is not None else values["description"]


OWN: Final = SeriesNaming()
"""How Overread names series."""


def closest(wanted: str, there: Iterable[str]) -> str | None:
    """Of the keys of what is there, that which is wanted; else Overread's own naming, else any, always the same one."""
    found = set(there)
    return next((key for key in (wanted, OWN.key, *sorted(found)) if key in found), None)
