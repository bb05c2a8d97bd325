"""From the instances of a complete study to the plan of what is read, by which model, and why the rest is not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from models.manifest import Manifest
from node.routing.facts import KEYWORDS, NO_CONTRAST, Kind
from node.routing.route import DEFAULT, Router
from node.store.frames import PROJECTION_MODALITIES
from node.store.records import Decision, Facts, Outcome, StackPlan, StoredInstance
from node.store.settings import Settings
from node.studies.frame import Frame
from node.studies.header import read_headers
from node.studies.stack import Stack
from node.studies.stacks import split_study
from node.studies.views import four_views

_ORIENTATIONS: Final = ("sagittal", "coronal", "axial")
"""By the axis, LPS, that is nearest to the normal."""
_STRAIGHT: Final = float(np.cos(np.radians(25)))
"""A normal within 25 degrees of an axis still has that axis's name."""


class Planner:
    """Plans studies with rules that were compiled once.

    Parameters
    ----------
    settings
        Routes, destinations and the spool's place.
    library
        Models by name.
    spool_root
        What `Arrival.path` is relative to; ``settings.spool`` where absent.

    Raises
    ------
    ConfigurationError
        Where a rule of a route or a model cannot be used.
    """

    def __init__(self, settings: Settings, library: Mapping[str, Manifest], spool_root: Path | None = None) -> None:
        self._router = Router(settings, library)
        self._root = spool_root or settings.spool

    def __call__(self, instances: Sequence[StoredInstance]) -> tuple[StackPlan, ...]:
        """Split and route; the same instances give the same plan in whatever order they are given."""
        images = [one for one in instances if not one.arrival.own_result]
        removed = {one.arrival.series_uid for one in images if one.removed_at is not None}
        headers = read_headers((one for one in images if one.arrival.series_uid not in removed), self._root)
        stacks = [self._plan(key, stack) for key, stack in split_study(headers)]
        views = None if removed else four_views(headers)
        if views is not None:
            stacks.append(self._plan(f"{views.series_uid}#{views.group}", views))
        return (*stacks, *(_without_originals(uid, images) for uid in sorted(removed)))

    def _plan(self, key: str, stack: Stack) -> StackPlan:
        facts = stack_facts(stack)
        arrival = stack.frames[0].header.stored.arrival
        return StackPlan(
            key=key,
            series_uid=stack.series_uid,
            description=describe(stack, facts),
            instance_ids=tuple(dict.fromkeys(frame.header.stored.instance_id for frame in stack.frames)),
            digest=_digest(stack),
            facts=facts,
            decisions=self._decide(stack, facts, arrival.calling_ae, arrival.called_ae),
        )

    def _decide(self, stack: Stack, facts: Facts, calling_ae: str, called_ae: str) -> tuple[Decision, ...]:
        if stack.code in {"unreadable", "no-pixel-data"}:
            return (_refused(stack.fault),)
        decisions = self._router.decide(facts, calling_ae, called_ae)
        if not stack.fault:
            return decisions
        # nobody reads a stack with a fault: those who would have say so, and where nobody would have, the stack does
        spoiled = tuple(
            replace(one, outcome=Outcome.REFUSED, reason=stack.fault, fingerprint="", destinations=())
            if one.outcome is Outcome.CHOSEN
            else one
            for one in decisions
        )
        return spoiled if spoiled != decisions else (*decisions, _refused(stack.fault))


def stack_facts(stack: Stack) -> Facts:
    """All facts of a stack (`node.routing.facts.FACTS`), and ``frame_numbers`` where it is only a part of a multi-frame object.

    ``notes`` are sentences about what was left out or assumed.
    """
    first = stack.frames[0]
    if not first.header.slices:
        return {**first.header.facts, "slices": 0, "phases": 1, "orientation": "unknown", "localizer": False, "part": ""}
    facts = {**first.header.facts, **_of_frame(first)}
    spacing = first.slice.pixel_spacing_mm
    count = len(stack.frames) // stack.phases
    several = stack.grid is not None and count > 1
    between = stack.grid.spacing_mm[0] if stack.grid is not None and several else None
    facts.update(
        orientation=_orientation(stack),
        slices=count,
        phases=stack.phases,
        slice_spacing_mm=None if between is None else round(between, 4),
        pixel_spacing_mm=None if spacing is None else max(spacing),
        extent_mm=None if between is None else round(between * (count - 1), 3),
        localizer=stack.localizer,
        part=stack.part,
        group=stack.group,
    )
    if stack.group:
        facts["standard_view"] = ""
    part_of_object = first.header.enhanced and len(stack.frames) < len(first.header.slices)
    if part_of_object or (stack.phases > 1 and len(first.header.slices) > 1):
        facts["frame_numbers"] = [frame.index + 1 for frame in stack.frames]
    if stack.notes:
        facts["notes"] = list(stack.notes)
    return facts


def _of_frame(frame: Frame) -> Facts:
    """What the functional groups of an enhanced object say of this very frame, which its first frame need not share."""
    if not frame.header.enhanced:
        return {}
    own: Facts = {}
    for keyword, value in frame.technique.items():
        if KEYWORDS.get(keyword) is Kind.NUMBER and isinstance(value, float):
            own[keyword] = value
        elif KEYWORDS.get(keyword) is Kind.TEXTS and isinstance(value, tuple):
            own[keyword] = list(value)
        elif KEYWORDS.get(keyword) is Kind.TEXT and isinstance(value, str):
            own[keyword] = value
    if "ImageType" in own:
        own["derived"] = own["ImageType"][:1] == ["DERIVED"]
    if "ContrastBolusAgent" in own:
        own["contrast"] = own["ContrastBolusAgent"].upper() not in NO_CONTRAST
    return own


def describe(stack: Stack, facts: Facts) -> str:
    """One line for a table: series description, part, orientation, number of images."""
    count = len(stack.frames)
    named = facts.get("SeriesDescription") or facts.get("modality") or stack.frames[0].header.stored.arrival.modality
    orientation = "localizer" if facts.get("localizer") else facts["orientation"]
    pieces = (
        str(named or "series"),
        stack.part,
        orientation if orientation not in {"unknown", "projection"} else "",
        f"{count} images" if count > 1 else "1 image" if stack.frames[0].header.has_pixels else "1 object without pixels",
    )
    return ", ".join(piece for piece in pieces if piece)


def _orientation(stack: Stack) -> str:
    first = stack.frames[0]
    if not first.header.cross_sectional:
        return "projection" if first.header.facts.get("modality") in PROJECTION_MODALITIES else "unknown"
    if first.slice.plane is None:
        return "unknown"
    across = np.abs(first.slice.plane.normal)
    nearest = int(np.argmax(across))
    return _ORIENTATIONS[nearest] if across[nearest] >= _STRAIGHT else "oblique"


def _without_originals(series_uid: str, images: Sequence[StoredInstance]) -> StackPlan:
    """A series of which images were removed by retention: what is here of it is not the whole, and is not read."""
    series = [one for one in images if one.arrival.series_uid == series_uid]
    here = tuple(one.instance_id for one in series if one.removed_at is None)
    moment = max(one.removed_at for one in series if one.removed_at is not None)
    gone = f"{len(series) - len(here)} of {len(series)}"
    reason = f"images were removed from here on {moment:%Y-%m-%d}, {gone}: what was said of them stands"
    if here:
        reason += "; to have new ones read, send the whole series again"
    described = series[0].arrival.modality + ", removed"
    return StackPlan(
        f"{series_uid}#removed", series_uid, described, here, "", {"slices": len(here)}, (_refused(reason),), stands=True
    )


def _digest(stack: Stack) -> str:
    digest = hashlib.sha256(stack.part.encode())
    for frame in stack.frames:
        digest.update(f"\0{frame.header.digest}#{frame.index}".encode())
    return digest.hexdigest()


def _refused(reason: str) -> Decision:
    return Decision(model="", outcome=Outcome.REFUSED, reason=reason, route=DEFAULT)
