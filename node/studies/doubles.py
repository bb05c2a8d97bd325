"""Positions that hold more than one image: phases, time points and the like are told apart, copies left out, the rest refused."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from node.store.geometry import SAME_PLACE_MM
from node.studies.frame import Frame
from node.studies.technique import ATTRIBUTES, Attribute, Use, Value, label

_TOGETHER: Final = 0.5
"""Part of all positions that each time point must hold: a single repeated slice is no time point."""
_IN_PLANE_MM: Final = 1.0
"""Images of one level whose corners are farther apart than this, mm, lie side by side."""


@dataclass(frozen=True, slots=True)
class PartOf:
    """Frames that belong together.

    Parameters
    ----------
    names
        What told them apart from the others, in words.
    copies
        How many identical copies were left out.
    fault
        Where positions stay doubled; names the first of them.
    """

    frames: tuple[Frame, ...]
    names: tuple[str, ...] = ()
    copies: int = 0
    fault: str = ""


def separate(frames: Sequence[Frame]) -> list[PartOf]:
    """Split parallel frames so that every part has one image at each position.

    An attribute tells doubles apart if each of its values (or, for times, each rank of its values at a position) makes a part
    without doubles, if need be with the help of further attributes. Where none does, the parts are refused as one.
    """
    if any(frame.slice.plane is None for frame in frames):
        return [PartOf(tuple(frames))]
    unique, copies = _without_copies(frames, same_technique=True)
    parts = _split(unique, ATTRIBUTES)
    if parts is None:
        unique, dropped = _without_copies(unique, same_technique=False)
        copies += dropped
        parts = _split(unique, ATTRIBUTES)
    if parts is None:
        return [PartOf(tuple(unique), copies=copies, fault=_say(unique))]
    return [replace(part, copies=copies if place == 0 else 0) for place, part in enumerate(parts)]


def places(frames: Sequence[Frame]) -> list[int]:
    """Number of the position of each frame, counted along the normal of the first."""
    along = _along(frames)
    order = np.argsort(along, kind="stable")
    numbers = np.zeros(len(frames), dtype=int)
    numbers[order] = np.concatenate([[0], np.cumsum(np.diff(along[order]) > SAME_PLACE_MM)])
    return [int(number) for number in numbers]


def _along(frames: Sequence[Frame]) -> np.ndarray:
    planes = [frame.slice.plane for frame in frames]
    corners = np.array([plane.position_mm for plane in planes if plane is not None])
    return corners @ planes[0].normal if planes[0] is not None else corners


def _split(frames: Sequence[Frame], attributes: Sequence[Attribute]) -> list[PartOf] | None:
    """Parts without doubles, or None where no attribute of `attributes` gives them."""
    at = places(frames)
    most = max(Counter(at).values())
    if most == 1:
        return [PartOf(tuple(frames))]
    beside = _side_by_side(frames, at)
    if beside:
        return beside
    for row, attribute in enumerate(attributes):
        for groups in _candidates(frames, at, attribute):
            if not 1 < len(groups) <= most or not _whole_sets(groups, at, frames, attribute):
                continue
            parts: list[PartOf] = []
            for name, group in groups:
                finer = _split(group, attributes[row + 1 :])
                if finer is None:
                    break
                parts += [replace(part, names=(name, *part.names)) for part in finer]
            else:
                return parts
    return None


Named = list[tuple[str, list[Frame]]]


def _candidates(frames: Sequence[Frame], at: Sequence[int], attribute: Attribute) -> list[Named]:
    """Ways in which one attribute splits the frames: by its values and, for ordered ones, by rank at each position."""
    read = [frame.technique.get(attribute.keyword) for frame in frames]
    groups: dict[Value | None, list[Frame]] = defaultdict(list)
    for frame, value in zip(frames, read, strict=True):
        groups[value].append(frame)
    keys = sorted(groups, key=lambda value: (value is None, value if isinstance(value, float) else 0.0, str(value)))
    ways: list[Named] = [[(label(attribute, key), groups[key]) for key in keys]]
    if attribute.ordered and (ranked := _ranked(frames, at, read, attribute)):
        ways.append(ranked)
    return ways


def _ranked(frames: Sequence[Frame], at: Sequence[int], read: Sequence[Value | None], attribute: Attribute) -> Named:
    """Group by rank of the value at each position; empty unless every position holds equally many different values."""
    held: dict[int, list[tuple[Value, int]]] = defaultdict(list)
    for index, (place, value) in enumerate(zip(at, read, strict=True)):
        if value is None:
            return []
        held[place].append((value, index))
    sizes = {len(rows) for rows in held.values()}
    if len(sizes) != 1 or len(held) < 2:
        return []
    ranks: dict[int, list[Frame]] = defaultdict(list)
    for rows in held.values():
        if len({value for value, _ in rows}) != len(rows):
            return []
        for rank, (_, index) in enumerate(sorted(rows, key=lambda row: (row[0], row[1]))):
            ranks[rank].append(frames[index])
    return [(label(attribute, None, rank), ranks[rank]) for rank in sorted(ranks)]


def _whole_sets(groups: Named, at: Sequence[int], frames: Sequence[Frame], attribute: Attribute) -> bool:
    if attribute.use is not Use.TIME:
        return True
    where = {id(frame): place for frame, place in zip(frames, at, strict=True)}
    total = len(set(at))
    return all(len({where[id(frame)] for frame in group}) >= _TOGETHER * total for _, group in groups)


def _side_by_side(frames: Sequence[Frame], at: Sequence[int]) -> list[PartOf]:
    """Split images of one level that lie beside each other, e.g. the right and the left breast."""
    plane = frames[0].slice.plane
    if plane is None:
        return []
    directions = np.array([plane.row_direction, plane.column_direction])
    sides: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, frame in enumerate(frames):
        if frame.slice.plane is not None:
            corner = directions @ np.asarray(frame.slice.plane.position_mm)
            sides[tuple(int(value) for value in np.rint(corner / _IN_PLANE_MM))].append(index)
    unique = all(len({at[index] for index in side}) == len(side) for side in sides.values())
    if len(sides) != max(Counter(at).values()) or not unique:
        return []
    return [
        PartOf(tuple(frames[index] for index in side), (f"corner at {corner[0]}, {corner[1]} mm",))
        for corner, side in sorted(sides.items())
    ]


def _without_copies(frames: Sequence[Frame], *, same_technique: bool) -> tuple[list[Frame], int]:
    """Leave out all but the first of images with the same pixels at the same place."""
    kept: list[Frame] = []
    seen: dict[int, list[Frame]] = defaultdict(list)
    for frame, place in zip(frames, places(frames), strict=True):
        if any(
            frame.is_copy_of(other) and (not same_technique or frame.technique == other.technique) and _same_corner(frame, other)
            for other in seen[place]
        ):
            continue
        seen[place].append(frame)
        kept.append(frame)
    return kept, len(frames) - len(kept)


def _same_corner(frame: Frame, other: Frame) -> bool:
    one, two = frame.slice.plane, other.slice.plane
    return one is not None and two is not None and bool(np.allclose(one.position_mm, two.position_mm, atol=SAME_PLACE_MM))


def _say(frames: Sequence[Frame]) -> str:
    at = places(frames)
    place, count = min((place, count) for place, count in Counter(at).items() if count > 1)
    doubled = [frame for frame, one in zip(frames, at, strict=True) if one == place]
    where = float(_along(frames)[at.index(place)])
    names = " and ".join(frame.slice.name for frame in doubled[:2])
    total = sum(1 for number in Counter(at).values() if number > 1)
    more = f"; so do {total - 1} more positions" if total > 1 else ""
    return (
        f"a doubled slice with other pixels: position {where:.2f} mm holds {count} different images ({names}) "
        f"and nothing tells them apart{more}"
    )
