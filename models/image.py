"""What a model is given: one stack of a series as an array with its place in the patient, free of DICOM objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class SpacingKind(StrEnum):
    """What a distance in the image plane is measured at."""

    PATIENT = "patient"  # cross-sectional: in the patient (PS3.3 section C.7.6.2)
    CALIBRATED = "calibrated"  # projection, corrected for magnification (PS3.3 section 10.7)
    DETECTOR = "detector"  # projection, at the detector plane: Imager Pixel Spacing
    NONE = "none"  # nothing is stated: distances are in pixels, areas are not in mm2


@dataclass(frozen=True, slots=True)
class Header:
    """What the source says of the image, as the standard's own words; an absent attribute is ``""`` or None.

    No patient data but what a model may need to refuse: no name, no identifiers, no dates.
    """

    modality: str = ""
    sop_class_uid: str = ""
    photometric_interpretation: str = ""
    body_part_examined: str = ""
    view_position: str = ""
    view_code: str = ""
    """Code meaning or value of View Code Sequence's first item."""
    patient_orientation: tuple[str, ...] = ()
    image_laterality: str = ""
    standard_view: str = ""
    """Of a mammogram: L-CC, R-CC, L-MLO or R-MLO."""
    presentation_intent: str = ""
    image_type: tuple[str, ...] = ()
    series_description: str = ""
    protocol_name: str = ""
    manufacturer: str = ""
    contrast_agent: str = ""
    rescale_type: str = ""
    has_rescale: bool = False
    """Rescale Slope and Intercept (or a Modality LUT) were stated and are applied in `Image.array`."""
    scanning_sequence: tuple[str, ...] = ()
    sequence_variant: tuple[str, ...] = ()
    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None
    inversion_time_ms: float | None = None
    patient_position: str = ""
    bits_stored: int = 0


@dataclass(frozen=True, slots=True)
class Region:
    """A disc that a person marked on an image, in pixels of it; fractions are allowed.

    Parameters
    ----------
    row, column
        Of its middle, from 0 at the middle of the upper left pixel.
    radius
        In pixels, above 0.
    """

    row: float
    column: float
    radius: float


@dataclass(frozen=True, slots=True)
class Image:
    """One stack, ready for a model.

    Parameters
    ----------
    array
        ``(slice, row, column)`` float32 for grey images (a 2D image has one slice), ``(slice, row, column, 3)`` uint8 RGB
        for colour ones. Modality LUT or rescale applied (CT: HU; see `Header.has_rescale`). Projection images: higher is
        brighter as displayed (MONOCHROME1 already inverted), scale as stored.
    affine
        ``(4, 4)`` float64, maps (slice, row, column, 1) indices to the patient's LPS millimetres, or None for images without
        patient geometry (projection radiographs, photographs).
    spacing_mm
        Distances between slices, rows and columns in mm (column spacing last); None where nothing is stated, in which case
        `spacing_kind` is ``NONE``. For 2D projection images the first value is 1.0 and means nothing.
    spacing_kind
        What `spacing_mm` is measured at.
    header
        What the source says.
    together
        Of a group that is read together (the four standard mammograms): all its images, this first one among them. They may
        differ in size. Empty for all else.
    region
        What a person marked for a model that rates marked regions; None where nothing is marked.
    phases
        Phases of a cycle that was imaged again and again, as the heart's is: `array` then holds all phases of the first slice,
        then all of the second, and so on; `affine` and `spacing_mm` are about slices. 1 for all else.
    """

    array: NDArray[np.float32] | NDArray[np.uint8]
    affine: NDArray[np.float64] | None
    spacing_mm: tuple[float, float, float] | None
    spacing_kind: SpacingKind
    header: Header = field(default_factory=Header)
    together: tuple[Image, ...] = ()
    region: Region | None = None
    phases: int = 1

    @property
    def slices(self) -> int:
        """Number of slices, each with all its phases."""
        return int(self.array.shape[0]) // self.phases

    @property
    def is_projection(self) -> bool:
        """Whether the image has no place in the patient."""
        return self.affine is None
