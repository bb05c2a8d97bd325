"""What all objects of one result set share."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from models.manifest import Manifest
from node.store.profiles import Language
from node.store.records import Superseded
from workers.encode.identity import ResultIdentity
from workers.encode.language import Speech, speech
from workers.encode.patient import PatientAndStudy


@dataclass(frozen=True, slots=True)
class Case:
    """Whose images, read by which model, under which identity.

    Parameters
    ----------
    sources
        Header datasets in slice order; one for a multi-frame source.
    superseded
        Earlier results that these replace.
    urgent
        Names of findings that were raised and that are urgent here.
    """

    sources: Sequence[Dataset]
    subject: PatientAndStudy
    manifest: Manifest
    identity: ResultIdentity
    superseded: Superseded | None = None
    urgent: tuple[str, ...] = ()

    @property
    def speech(self) -> Speech:
        """The language of its texts."""
        return speech(self.identity.language)

    def spoken(self, language: Language) -> Case:
        """The same in another language, its attributes apart: what changes the character set of one must not reach the other."""
        subject = replace(self.subject, attributes=copy.deepcopy(self.subject.attributes))
        return replace(self, subject=subject, identity=replace(self.identity, language=language))
