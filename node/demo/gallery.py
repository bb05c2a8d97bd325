"""The demonstration's last page: what a radiologist would see, made of what came back and of the images it is about."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from node.demo.document import Line, lines
from node.demo.outlined import SIDE, Picture, outlined, unmarked
from node.demo.show import answers

if TYPE_CHECKING:
    from pydicom import Dataset

    from node.demo.play import Played

PAGE: Final = "pictures.html"
OVERVIEW: Final = "pictures.jpg"
QUALITY: Final = 88
CAUTION: Final = "AI results, not verified by a physician, not for diagnosis"
_CELL: Final = 420
"""Side of one study in the overview, pixels."""
_TITLE: Final = (255, 220, 90)
_WORDS: Final = (225, 225, 225)
_FAULT: Final = (255, 123, 114)


@dataclass(frozen=True, slots=True)
class Document:
    """A structured report that came back: Series Description, file name, and what it says."""

    title: str
    file: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """One study on the page.

    Parameters
    ----------
    unread
        Why nothing came back, in the node's words; empty where something did.
    faults
        What keeps it from its stated outcome.
    """

    title: str
    outcome: str
    pictures: tuple[Picture, ...]
    documents: tuple[Document, ...]
    unread: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def gallery(played: Sequence[Played], out: Path) -> tuple[Path, Path]:
    """Write page and picture into `out`; their paths. Both stand for themselves: nothing is loaded from anywhere."""
    shown = [look_at(one) for one in played]
    page, overview = out / PAGE, out / OVERVIEW
    page.write_text(_page(shown), encoding="utf-8")
    overview.write_bytes(_overview(shown))
    return page, overview


def look_at(played: Played) -> Shown:
    """Everything of one study that can be seen: told from the files of its results, and of the images that were sent."""
    from pydicom import dcmread

    results = [(path, dcmread(path)) for path in played.files]
    sent = _sent(played.case.paths)
    pictures, missing = _pictures([one for _, one in results if one.Modality == "SEG"], sent)
    documents = [
        Document(str(one.get("SeriesDescription", "")), path.name, tuple(lines(one)))
        for path, one in results
        if one.Modality == "SR"
    ]
    documents.sort(key=lambda one: one.title.startswith("AI measurements"))
    unread = () if results else tuple(f"{model}: {reason}" for model, reason in answers(played))
    return Shown(played.case.title, played.case.outcome, tuple(pictures), tuple(documents), unread, (*played.faults, *missing))


def _pictures(segs: Sequence[Dataset], sent: Mapping[str, Path]) -> tuple[list[Picture], list[str]]:
    """Pictures of a study, and why there is none where its pixels cannot be decoded here."""
    from pydicom import dcmread

    def image_of(sop_instance_uid: str) -> Dataset | None:
        return dcmread(sent[sop_instance_uid]) if sop_instance_uid in sent else None

    try:
        pictures = [picture for seg in segs for picture in outlined(seg, image_of)]
        if not pictures and sent:
            pictures = [unmarked(dcmread(list(sent.values())[len(sent) // 2]))]
    except (
        RuntimeError,
        NotImplementedError,
        ValueError,
        AttributeError,
    ) as fault:  # what pydicom raises for pixels it cannot decode
        return [], [f"no picture of it: {fault}"]
    return pictures, []


def _sent(paths: Sequence[Path]) -> dict[str, Path]:
    """The images that were sent, by SOP Instance UID."""
    from pydicom import dcmread

    found = {}
    for path in paths:
        head = dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID", "Modality", "Rows"])
        if head.get("Rows") and head.get("Modality") != "SEG":
            found[str(head.SOPInstanceUID)] = path
    return found


def _page(shown: Sequence[Shown]) -> str:
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("node.demo"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["embedded"] = lambda picture: "data:image/jpeg;base64," + base64.b64encode(_jpeg(picture)).decode()
    return environment.get_template("pictures.html").render(studies=shown, side=SIDE)


def _jpeg(picture: Picture) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture.pixels).save(stream, "JPEG", quality=QUALITY, subsampling=0)
    return stream.getvalue()


def _overview(shown: Sequence[Shown]) -> bytes:
    """The first picture of every study side by side, with its title, its outcome and its legend below."""
    from PIL import Image, ImageDraw, ImageFont

    font, text = ImageFont.load_default(16), 22
    rows = 3 + max((len(one.pictures[0].legend) for one in shown if one.pictures), default=0)
    sheet = Image.new("RGB", (max(1, len(shown)) * (_CELL + 12) + 12, _CELL + (rows + 1) * text + 24), (16, 18, 22))
    pen = ImageDraw.Draw(sheet)
    for number, one in enumerate(shown):
        left, top = 12 + number * (_CELL + 12), _CELL + 20
        if one.pictures:
            small = Image.fromarray(one.pictures[0].pixels)
            small.thumbnail((_CELL, _CELL), Image.Resampling.LANCZOS)
            sheet.paste(small, (left + (_CELL - small.width) // 2, 12 + (_CELL - small.height) // 2))
        pen.text((left, top), _fitting(one.title, font), _TITLE, font)
        said, ink = ("; ".join(one.faults), _FAULT) if one.faults else (one.outcome, _WORDS)
        for place, words in enumerate(_wrapped(said, font)[:2], start=1):
            pen.text((left, top + place * text), words, ink, font)
        for place, (colour, name) in enumerate(one.pictures[0].legend if one.pictures else (), start=3):
            pen.rectangle((left, top + place * text + 4, left + 12, top + place * text + 16), fill=colour)
            pen.text((left + 20, top + place * text), _fitting(name, font), _WORDS, font)
    pen.text((12, sheet.height - text - 6), CAUTION, _TITLE, font)
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def _wrapped(words: str, font: object) -> list[str]:
    made = [""]
    for word in words.split():
        longer = f"{made[-1]} {word}".strip()
        if made[-1] and font.getlength(longer) > _CELL:  # type: ignore[attr-defined]
            made.append(word)
        else:
            made[-1] = longer
    return made


def _fitting(words: str, font: object) -> str:
    return _wrapped(words, font)[0]
