"""Cycles: what was imaged again and again over the heart's phases, at one position or at several, as one thing to be read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from node.studies.frame import Frame
from node.studies.stack import Stack
from node.studies.technique import Value

LEAST_PHASES: Final = 6
"""Fewer images of one position are no cycle: contrast phases, echoes, repeats."""

_PHASE: Final = ("NominalPercentageOfCardiacPhase", "TriggerTime", "TemporalPositionIdentifier")
"""What orders the phases (PS3.3 sections C.7.6.18.1 and C.8.3.1), in the order in which it is asked."""

_PLACE_MM: Final = 0.1
_MODALITIES: Final = frozenset({"MR"})


def find_cycles(stacks: Sequence[Stack]) -> list[Stack]:
    """Cycles among the stacks of one series, into which splitting by phase has taken it apart.

    The stacks of a cycle lie on the same positions, are of one technique but for the phase, and are in order of their phase. They
    stay as they are: a model that reads single volumes may still read one of them. An object whose frames follow each other in
    time, at one position, is a cycle by itself.

    Returns
    -------
    list
        Stacks whose frames are all phases of the first slice, then all of the second, and so on.
    """
    alike: dict[Hashable, list[Stack]] = defaultdict(list)
    found = []
    for stack in stacks:
        if is_film(stack.frames) and stack.grid is not None:
            found.append(_cycle([replace(stack, frames=(frame,)) for frame in stack.frames], stack))
        elif stack.grid is not None and not stack.fault and stack.frames[0].header.facts.get("modality") in _MODALITIES:
            alike[_kind(stack)].append(stack)
    for group in alike.values():
        if len(group) >= LEAST_PHASES and (ordered := _in_order(group)):
            found += [_cycle(ordered, ordered[0])]
    return found


def is_film(frames: Sequence[Frame]) -> bool:
    """Whether these are all frames of one object in which they follow each other in time (PS3.3 section C.7.6.5)."""
    header = frames[0].header
    facts = header.facts
    return (
        len(frames) >= LEAST_PHASES
        and len(frames) == len(header.slices)
        and not header.enhanced
        and header.film
        and facts.get("modality") in _MODALITIES
        and all(frame.header is header for frame in frames)
    )


def _kind(stack: Stack) -> Hashable:
    """What all phases of a cycle have in common."""
    first = stack.frames[0]
    facts = first.header.facts
    places = tuple(
        tuple(round(value / _PLACE_MM) for value in frame.slice.plane.position_mm) if frame.slice.plane else ()
        for frame in stack.frames
    )
    spacing = first.slice.pixel_spacing_mm
    size = first.slice.rows, first.slice.columns
    of_object = first.header.stored.instance_id if len(first.header.slices) > 1 else None
    technique = first.technique.get("EchoTime"), first.technique.get("ImageType")
    return facts.get("SOPClassUID"), first.slice.frame_of_reference_uid, size, spacing, technique, of_object, places


def _in_order(group: Sequence[Stack]) -> list[Stack]:
    """The stacks by phase; empty where nothing tells their phases apart."""
    for keyword in _PHASE:
        read = [_phases(stack, keyword) for stack in group]
        numbers = [values for values in read if values is not None]
        if len(numbers) == len(group) and len(set(numbers)) == len(group):
            order = sorted(range(len(group)), key=lambda index: numbers[index])
            ordered = [group[index] for index in order]
            if all(_rises(ordered, slice_, keyword) for slice_ in range(len(group[0].frames))):
                return ordered
    return []


def _phases(stack: Stack, keyword: str) -> tuple[float, ...] | None:
    values: list[Value | None] = [frame.technique.get(keyword) for frame in stack.frames]
    numbers = tuple(value for value in values if isinstance(value, float))
    return numbers if len(numbers) == len(values) else None


def _rises(ordered: Sequence[Stack], slice_: int, keyword: str) -> bool:
    values = [stack.frames[slice_].technique[keyword] for stack in ordered]
    numbers = [value for value in values if isinstance(value, float)]
    return all(before < after for before, after in pairwise(numbers))


def _cycle(phases: Sequence[Stack], like: Stack) -> Stack:
    frames = tuple(stack.frames[index] for index in range(len(phases[0].frames)) for stack in phases)
    notes = tuple(dict.fromkeys(note for stack in phases for note in stack.notes))
    return replace(like, frames=frames, part=f"cycle of {len(phases)} phases", phases=len(phases), notes=notes, fault="", code="")
