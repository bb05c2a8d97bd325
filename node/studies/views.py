"""The four standard mammograms of a study as one stack, whatever series they lie in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from node.store.mammography import FOUR_VIEWS, STANDARD_VIEWS
from node.studies.frame import Frame
from node.studies.header import InstanceHeader
from node.studies.stack import Stack

FOR_PROCESSING: Final = "FOR PROCESSING"


def four_views(headers: Iterable[InstanceHeader]) -> Stack | None:
    """The group of a study's standard mammograms, in the order of `STANDARD_VIEWS`; None where the study has none.

    Raw images (Presentation Intent Type FOR PROCESSING) are no views: each has its twin for presentation. Identical copies are
    left out, and what the group has too many or too few of is its fault.
    """
    views = [header for header in headers if not header.fault and header.has_pixels and header.facts.get("standard_view")]
    if not views:
        return None
    views.sort(key=lambda header: (STANDARD_VIEWS.index(header.facts["standard_view"]), *header.order))
    shown = [header for header in views if str(header.facts.get("PresentationIntentType")).upper() != FOR_PROCESSING]
    if not shown:
        return _group(views, "the mammograms are for processing only: the images for presentation are needed", "for-processing")
    by_view: dict[str, dict[bytes, InstanceHeader]] = defaultdict(dict)
    for header in shown:
        by_view[header.facts["standard_view"]].setdefault(header.pixels, header)
    missing = [view for view in STANDARD_VIEWS if view not in by_view]
    doubled = [f"{view} is there {len(found)} times" for view, found in by_view.items() if len(found) > 1]
    kept = [header for found in by_view.values() for header in found.values()]
    if doubled:
        return _group(kept, f"of the four standard views {', '.join(doubled)}: which one counts is not known", "doubled-view")
    if missing:
        told = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        return _group(kept, f"of the four standard views {told}", "missing-view")
    copies = len(shown) - len(kept)
    return _group(kept, notes=(f"identical copies of images were left out: {copies}",) if copies else ())


def _group(headers: list[InstanceHeader], fault: str = "", code: str = "", notes: tuple[str, ...] = ()) -> Stack:
    frames = tuple(Frame(header, 0) for header in headers)
    uid = headers[0].stored.arrival.series_uid
    return Stack(uid, frames, part=FOUR_VIEWS, group=FOUR_VIEWS, fault=fault, code=code, notes=notes)
