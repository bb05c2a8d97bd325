"""What all objects of one result set share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from models.manifest import Manifest
from node.store.records import Superseded
from workers.encode.identity import ResultIdentity
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
    """

    sources: Sequence[Dataset]
    subject: PatientAndStudy
    manifest: Manifest
    identity: ResultIdentity
    superseded: Superseded | None = None
