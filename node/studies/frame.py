"""One frame of one instance: what stacks are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.store.geometry import Slice
from node.studies.header import InstanceHeader
from node.studies.technique import Technique

_LOCALIZERS: Final = frozenset({"LOCALIZER", "SCOUT"})


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame.

    Parameters
    ----------
    index
        From 0; the only one of a single-frame image.
    """

    header: InstanceHeader
    index: int

    @property
    def slice(self) -> Slice:
        """Where it lies."""
        return self.header.slices[self.index]

    @property
    def technique(self) -> Technique:
        """How it was made."""
        return self.header.techniques[self.index]

    @property
    def says_localizer(self) -> bool:
        """Whether Image Type, of an enhanced object the frame's own Frame Type, says that it is one."""
        said = self.technique.get("ImageType") or self.header.facts.get("ImageType", ())
        return isinstance(said, tuple | list) and bool(_LOCALIZERS & {str(value).upper() for value in said})

    def is_copy_of(self, other: Frame) -> bool:
        """Whether both show the same pixels; frames of one object are never taken for copies."""
        return self.header is not other.header and self.header.pixels == other.header.pixels
