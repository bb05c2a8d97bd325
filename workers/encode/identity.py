"""Whose result an object is: all that its identifiers, dates and times are made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from node.store.naming import OWN, SeriesNaming
from node.store.profiles import ENGLISH, Language
from workers.encode.uids import derived_number, derived_uid


class Kind(StrEnum):
    """What a result object is for."""

    SEG = "seg"
    MEASUREMENTS = "measurements"
    REPORT = "report"
    CAPTURE = "capture"
    KEYS = "keys"
    PRESENTATION = "presentation"
    FINDINGS = "findings"
    HEAT_MAP = "heatmap"
    REJECTION = "rejection"
    LABELMAP = "labelmap"
    LABELMAP_MEASUREMENTS = "labelmap-measurements"
    FRACTIONAL = "fractional"
    FRACTIONAL_MEASUREMENTS = "fractional-measurements"
    HL7 = "hl7"
    FHIR = "fhir"


_LAST_DIGIT: Final = {
    Kind.SEG: 1,
    Kind.MEASUREMENTS: 2,
    Kind.REPORT: 3,
    Kind.CAPTURE: 4,
    Kind.KEYS: 5,
    Kind.PRESENTATION: 6,
    Kind.FINDINGS: 7,
    Kind.HEAT_MAP: 8,
    Kind.REJECTION: 9,
    Kind.LABELMAP: 1,
    Kind.LABELMAP_MEASUREMENTS: 2,
    Kind.FRACTIONAL: 1,
    Kind.FRACTIONAL_MEASUREMENTS: 2,
}
_WORDS: Final = {
    Kind.SEG: "segmentation",
    Kind.MEASUREMENTS: "measurements",
    Kind.REPORT: "report",
    Kind.CAPTURE: "pictures",
    Kind.KEYS: "key images",
    Kind.PRESENTATION: "outlines",
    Kind.FINDINGS: "findings",
    Kind.HEAT_MAP: "heat map",
    Kind.REJECTION: "rejection",
    Kind.LABELMAP: "segmentation",
    Kind.LABELMAP_MEASUREMENTS: "measurements",
    Kind.FRACTIONAL: "segmentation",
    Kind.FRACTIONAL_MEASUREMENTS: "measurements",
}
"""Of `node.store.naming.DESCRIPTION`."""
_MODALITY: Final = {
    Kind.SEG: "SEG",
    Kind.LABELMAP: "SEG",
    Kind.FRACTIONAL: "SEG",
    Kind.CAPTURE: "OT",
    Kind.KEYS: "KO",
    Kind.REJECTION: "KO",
    Kind.PRESENTATION: "PR",
}


@dataclass(frozen=True, slots=True)
class ResultIdentity:
    """One model's work on one stack of one revision of a study.

    Two equal identities give byte-identical objects, as long as the manifest's words (titles, names, calibration) stay; any
    difference but `created_at` gives other UIDs.

    Parameters
    ----------
    installation
        UUID of this installation.
    stack_key
        `node.store.records.StackPlan.key`.
    model, version, fingerprint
        As the manifest states them; the fingerprint covers code entry, weights, parameters and thresholds.
    revision, run
        Number of the study's revision and of the analysis of it, from 1.
    created_at
        When the job was made; timezone-aware. The only source of dates and times in the objects.
    language
        RFC 5646, of texts for people. One that is not English has objects and series of its own; what is tracked over
        revisions is the same in all.
    naming
        How its series are named; one that is not Overread's own has objects and series of its own too.
    source
        Series Number and Series Description of what was read, for that naming; no UID depends on it.
    """

    installation: str
    study_uid: str
    stack_key: str
    model: str
    version: str
    fingerprint: str
    revision: int
    run: int
    created_at: datetime
    language: Language = ENGLISH
    naming: SeriesNaming = OWN
    source: tuple[int, str] = (0, "")

    def instance_uid(self, kind: Kind, variant: str = "", part: int = 1) -> str:
        """SOP Instance UID of one object."""
        return self._uid("instance", kind, variant, part)

    def series_uid(self, kind: Kind, place: str = "") -> str:
        """Series Instance UID of all objects of one kind, or of those of it that lie on one of several images."""
        return self._uid("series", kind, place, 1)

    def dimension_uid(self, kind: Kind) -> str:
        """Dimension Organization UID of one multi-frame object (PS3.3 section C.7.6.17)."""
        return self._uid("dimension", kind, "", 1)

    def series_number(self, kind: Kind) -> int:
        """Series Number as `naming` says, else five digits, the same for all revisions: SEG before measurements before report."""
        base, digit = derived_number(9000, self.installation, self.study_uid, self.stack_key, self.model), _LAST_DIGIT[kind]
        number = 10000 + base * 10 + digit
        return self.naming.numbered({"kind": digit, "revision": self.revision, "source": self.source[0], "number": number})

    def series_description(self, kind: Kind, description: str) -> str:
        """Series Description, as `naming` says: else `description`."""
        return self.naming.described(
            {
                "model": self.model,
                "version": self.version,
                "kind": _WORDS[kind],
                "revision": f"{self.revision}.{self.run}" if self.run > 1 else str(self.revision),
                "source": self.source[1],
                "description": description,
            }
        )

    def tracking_uid(self, key: str) -> str:
        """Tracking UID of a structure or finding: the same over revisions, runs and versions of the model."""
        return derived_uid(self.installation, self.study_uid, self.stack_key, self.model, "tracking", key)

    def frame_of_reference_uid(self, source_instance_uid: str) -> str:
        """Frame of Reference UID for an image that has none; one per image, whichever model reads it."""
        return derived_uid(self.installation, self.study_uid, source_instance_uid, "frame of reference")

    @staticmethod
    def modality(kind: Kind) -> str:
        """Modality (0008,0060) of the series of that kind."""
        return _MODALITY.get(kind, "SR")

    @property
    def device_serial(self) -> str:
        """The fingerprint, cut to what tells devices apart and a person can compare."""
        return self.fingerprint[:16]

    @property
    def device_uid(self) -> str:
        """UID of the algorithm as a device: other weights, parameters or thresholds are another device."""
        return derived_uid(self.model, self.version, self.fingerprint, "device")

    def _uid(self, *purpose: str | int) -> str:
        return derived_uid(
            self.installation,
            self.study_uid,
            self.stack_key,
            self.model,
            self.version,
            self.fingerprint,
            self.revision,
            self.run,
            *purpose,
            *(() if self.language == ENGLISH else (self.language,)),
            *(("naming", self.naming.key) if self.naming.key else ()),
        )
