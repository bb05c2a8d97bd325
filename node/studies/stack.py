"""A stack: one part of a series that is read, or refused, as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from node.store.geometry import Grid
from node.studies.frame import Frame


@dataclass(frozen=True, slots=True)
class Stack:
    """One part of a series that is read, or refused, as a whole.

    Parameters
    ----------
    frames
        In slice order; identical copies left out.
    part
        Which part of its series it is, in words; ``""`` where the series is one stack.
    grid
        None for what has no place in the patient, or has a fault.
    localizer
        By Image Type, or because its planes cross those of its series.
    fault, code
        Why no model may read it; ``""`` where nothing is wrong.
    notes
        What a person should know, e.g. that copies were left out.
    group
        Name of a group of images that are read together though they make no volume, in whatever series; ``""`` for all else.
    phases
        Of a cycle (`node.studies.cycles`): `frames` then holds all phases of the first slice, then all of the second, and so on.
    """

    series_uid: str
    frames: tuple[Frame, ...]
    part: str = ""
    grid: Grid | None = None
    localizer: bool = False
    fault: str = ""
    code: str = ""
    notes: tuple[str, ...] = ()
    group: str = ""
    phases: int = 1

    @property
    def order(self) -> tuple[float, str, int]:
        """Stacks of a series are numbered by this: the same whatever order the images came in."""
        return min((*frame.header.order, frame.index) for frame in self.frames)
