"""A series is not a volume: split it into stacks that are each one volume, one image, or refused with the place of the fault."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from node.store.errors import Refused
from node.store.geometry import build_grid
from node.studies.cycles import find_cycles, is_film
from node.studies.doubles import PartOf, separate
from node.studies.frame import Frame
from node.studies.header import InstanceHeader
from node.studies.stack import Stack
from node.studies.technique import ATTRIBUTES, Use, label

LOCALIZER_SLICES: Final = 15
"""Three crossing orientations with at most so many images each are a three-plane localizer."""
CROSSING: Final = 0.7
"""Cosine between two normals below which the planes cross (more than 45 degrees apart)."""


def split_study(headers: Iterable[InstanceHeader]) -> tuple[tuple[str, Stack], ...]:
    """Split all series of a study; returns ``(key, stack)``, the key being ``SERIES-UID#n``, unique in the study.

    Cycles are numbered apart, ``SERIES-UID#cycle-n``: they are made of stacks that keep their own numbers.
    """
    series: dict[str, list[InstanceHeader]] = defaultdict(list)
    for header in headers:
        series[header.stored.arrival.series_uid].append(header)
    found = []
    for uid in sorted(series):
        stacks = sorted(split_series(series[uid]), key=lambda stack: stack.order)
        cycles = find_cycles(stacks)
        stacks = [stack for stack in stacks if not is_film(stack.frames) or stack.grid is None]
        found += [(f"{uid}#{place}", stack) for place, stack in enumerate(stacks, start=1)]
        found += [(f"{uid}#cycle-{place}", stack) for place, stack in enumerate(cycles, start=1)]
    return tuple(found)


def split_series(headers: Sequence[InstanceHeader]) -> list[Stack]:
    """Split the instances of one series."""
    uid = headers[0].stored.arrival.series_uid
    headers = sorted(headers, key=lambda header: header.order)
    unread = [_whole(uid, [header], header.fault, "unreadable") for header in headers if header.fault]
    plain = [header for header in headers if not header.fault and not header.has_pixels]
    if plain:
        unread.append(_whole(uid, plain, "no pixel data: stored, not analysed", "no-pixel-data"))
    images = [header for header in headers if header.has_pixels]
    flat = [_flat(uid, _frames(header)) for header in images if not header.cross_sectional]
    sections = [header for header in images if header.cross_sectional]
    stacks = []
    for header in sections:
        if len(header.slices) > 1:  # each multi-frame object makes stacks of its own
            film = _film(uid, header)
            stacks += [film] if film else _split_frames(uid, _frames(header))
    stacks += _split_frames(uid, [frame for header in sections if len(header.slices) == 1 for frame in _frames(header)])
    return [*unread, *flat, *_mark_crossing(stacks)]


def _split_frames(uid: str, frames: Sequence[Frame]) -> list[Stack]:
    stacks = []
    for kind in _group(frames, _kind):
        for parallel in _parallel(kind):
            for names, part in _by_technique(parallel):
                stacks += [_stack(uid, piece, names) for piece in separate(part)]
    return stacks


def _stack(uid: str, piece: PartOf, names: tuple[str, ...]) -> Stack:
    notes = () if not piece.copies else (f"identical copies of images were left out: {piece.copies}",)
    stack = Stack(uid, piece.frames, ", ".join((*names, *piece.names)), notes=notes, localizer=piece.frames[0].says_localizer)
    if piece.fault:
        return replace(stack, fault=piece.fault, code="doubled-slice")
    try:
        grid = build_grid([frame.slice for frame in piece.frames])
    except Refused as refusal:
        return replace(stack, fault=refusal.reason, code=refusal.code)
    return replace(stack, frames=tuple(piece.frames[index] for index in grid.order), grid=grid, notes=(*notes, *grid.notes))


def _film(uid: str, header: InstanceHeader) -> Stack | None:
    """The frames of an object in which they follow each other in time, where it says where it lies; None otherwise."""
    frames = _frames(header)
    if not is_film(frames):
        return None
    try:
        grid = build_grid([frames[0].slice])
    except Refused:
        return None
    return Stack(uid, frames, grid=grid, localizer=frames[0].says_localizer, notes=grid.notes)


def _whole(uid: str, headers: Sequence[InstanceHeader], fault: str, code: str) -> Stack:
    return Stack(uid, tuple(Frame(header, 0) for header in headers), fault=fault, code=code)


def _frames(header: InstanceHeader) -> tuple[Frame, ...]:
    return tuple(Frame(header, index) for index in range(len(header.slices)))


def _flat(uid: str, frames: tuple[Frame, ...]) -> Stack:
    return Stack(uid, frames, localizer=frames[0].says_localizer)


def _kind(frame: Frame) -> Hashable:
    """What all images of a stack have in common; those without a place stay with the others and spoil them."""
    facts = frame.header.facts
    spacing = frame.slice.pixel_spacing_mm
    return (
        frame.says_localizer,
        facts["SOPClassUID"],
        facts["modality"],
        facts["PhotometricInterpretation"],
        frame.slice.rows,
        frame.slice.columns,
        None if spacing is None else tuple(round(value, 3) for value in spacing),
        frame.slice.frame_of_reference_uid,
    )


def _group(frames: Iterable[Frame], key: Callable[[Frame], Hashable]) -> list[list[Frame]]:
    groups: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[key(frame)].append(frame)
    return list(groups.values())


def _parallel(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Group by orientation; one image without a place spoils its group, because it may belong anywhere in it."""
    if any(frame.slice.plane is None for frame in frames):
        return [list(frames)]
    groups: list[list[Frame]] = []
    for frame in frames:
        plane = frame.slice.plane
        for group in groups:
            first = group[0].slice.plane
            if plane is not None and first is not None and plane.is_parallel(first):
                group.append(frame)
                break
        else:
            groups.append([frame])
    return groups


def _by_technique(frames: Sequence[Frame]) -> list[tuple[tuple[str, ...], list[Frame]]]:
    """Split by what a volume never mixes: echoes, b-values, inversion times."""
    parts: list[tuple[tuple[str, ...], list[Frame]]] = [((), list(frames))]
    for attribute in ATTRIBUTES:
        if attribute.use is not Use.ALWAYS:
            continue
        finer = []
        for names, part in parts:
            groups = _group(part, partial(_value, attribute.keyword))
            for group in groups:
                name = (label(attribute, group[0].technique.get(attribute.keyword)),) if len(groups) > 1 else ()
                finer.append(((*names, *name), group))
        parts = finer
    return parts


def _value(keyword: str, frame: Frame) -> Hashable:
    return frame.technique.get(keyword)


def _mark_crossing(stacks: Sequence[Stack]) -> list[Stack]:
    """Mark localizers that do not say so: a single image across the others, or three crossing sets of few images each.

    Where some images of the series say so, the equipment labels its localizers, and the others are none.
    """
    if any(stack.localizer for stack in stacks):
        return list(stacks)
    marked = []
    for stack in stacks:
        count = len(stack.frames)
        others = [other for other in stacks if other is not stack and _cross(stack, other)]
        alike = [other for other in others if _alike(count, len(other.frames))]
        three_planes = any(_cross(one, two) for one in alike for two in alike)
        marked.append(replace(stack, localizer=(count == 1 and bool(others)) or three_planes))
    return marked


def _alike(one: int, other: int) -> bool:
    """Whether two sets could be planes of one localizer: few images, about equally many."""
    return max(one, other) <= LOCALIZER_SLICES and max(one, other) <= 3 * min(one, other)


def _cross(one: Stack, other: Stack) -> bool:
    mine, theirs = one.frames[0].slice.plane, other.frames[0].slice.plane
    return mine is not None and theirs is not None and abs(float(mine.normal @ theirs.normal)) < CROSSING
