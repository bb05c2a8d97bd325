"""Heat maps as Parametric Maps (PS3.3 section A.75): what spoke for a finding, as numbers on the grid of the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ParametricMapStorage

from models.image import Image
from models.prediction import HeatMap
from node.store.errors import Permanent, Refused
from workers.encode import concepts
from workers.encode.body_part import put_body_part
from workers.encode.case import Case
from workers.encode.concepts import code_item
from workers.encode.equipment import clip, put_equipment, put_series
from workers.encode.grid import Grid, decimal, grid_of
from workers.encode.identity import Kind
from workers.encode.references import source_item
from workers.encode.seg import put_dimensions, put_image, put_references, shared_groups


def parametric_map(heat: HeatMap, grid: Grid, case: Case, part: int, member: Image | None = None) -> Dataset:
    """Build the map of one finding: 32-bit floating point from 0, nothing, to 1, most of this map; every slice is a frame.

    Of images that are read together 1 is the most of all their maps.

    Parameters
    ----------
    part
        Which of the answer's maps, from 1.
    member
        Of images that are read together, the one on which the map lies; None for all else. Its maps are a series of their own,
        as a series has one frame of reference (PS3.3 section C.7.4.1) and each of these images has another.

    Raises
    ------
    Permanent
        Where the map is not on the grid: a defect of the model.
    """
    values = np.ascontiguousarray(heat.array, dtype="<f4")
    if values.shape != (len(grid.frames), grid.rows, grid.columns):
        raise Permanent(f"model {case.manifest.name} made a heat map of {values.shape} for {len(grid.frames)} slices")
    finding = case.manifest.finding(heat.key)
    made = Dataset()
    made.update(case.subject.attributes)
    made.SOPClassUID = ParametricMapStorage
    view = f" {member.header.standard_view}".rstrip() if member else ""
    described = f"AI heat map{view}, not for diagnosis (Overread {case.manifest.name})"
    put_series(made, case.identity, Kind.HEAT_MAP, described, part=part, place=str(heat.image) if member else "")
    # the map is an image of the source's modality (PS3.3 section C.8.32.1)
    made.Modality = str(case.sources[0].get("Modality") or "OT")
    put_body_part(made, case.sources)
    put_equipment(made, case.manifest, case.identity)
    made.FrameOfReferenceUID = grid.frame_of_reference_uid
    made.PositionReferenceIndicator = grid.position_reference_indicator
    put_image(made, grid, case.sources[0])
    # no values of the image, but what a network made of it
    made.ImageType = ["DERIVED", "PRIMARY", "STATIC" if grid.is_projection else "VOLUME", "NONE"]
    made.BitsAllocated = 32
    del made.PixelRepresentation
    made.PixelPresentation = "MONOCHROME"
    made.PresentationLUTShape = "IDENTITY"
    made.ContentQualification = "RESEARCH"
    made.RecognizableVisualFeatures = "NO"
    made.ContentLabel = "HEATMAP"
    made.ContentDescription = clip(f"What spoke for {finding.name}, not where it is ({heat.method})")
    made.ContentCreatorName = None
    made.AcquisitionContextSequence = []
    put_references(made, grid, case)
    put_dimensions(made, case.identity.dimension_uid(Kind.HEAT_MAP), by_segment=False, cycle=grid.phases > 1)
    made.SharedFunctionalGroupsSequence = [_shared(made, heat, finding.name, grid)]
    made.PerFrameFunctionalGroupsSequence = [_frame(grid, index) for index in range(len(grid.frames))]
    made.NumberOfFrames = len(grid.frames)
    made.FloatPixelData = values.tobytes()
    return made


def _shared(made: Dataset, heat: HeatMap, name: str, grid: Grid) -> Dataset:
    """What all frames share: their type, what their values mean, and how to show them (PS3.3 sections C.7.6.16.2.10 and .11)."""
    shared = shared_groups(grid)
    kind = Dataset()
    kind.FrameType = list(made.ImageType)
    shared.ParametricMapFrameTypeSequence = [kind]
    window = Dataset()
    window.WindowCenter, window.WindowWidth = "0.5", "1"
    shared.FrameVOILUTSequence = [window]
    rescale = Dataset()
    rescale.RescaleIntercept, rescale.RescaleSlope, rescale.RescaleType = "0", "1", "US"
    shared.PixelValueTransformationSequence = [rescale]
    mapping = Dataset()
    mapping.LUTLabel = "HEAT"
    mapping.LUTExplanation = clip(f"{heat.method} for {name}: 0 nothing, 1 most")
    mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope = 0.0, 1.0
    mapping.DoubleFloatRealWorldValueFirstValueMapped, mapping.DoubleFloatRealWorldValueLastValueMapped = 0.0, 1.0
    mapping.MeasurementUnitsCodeSequence = [code_item(concepts.NO_UNITS)]
    shared.RealWorldValueMappingSequence = [mapping]
    return shared


def _frame(grid: Grid, index: int) -> Dataset:
    place, phase = divmod(index, grid.phases)
    content, position, derivation, groups = Dataset(), Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues = [place + 1] if grid.phases == 1 else [place + 1, phase + 1]
    if grid.phases > 1:
        content.TemporalPositionIndex = phase + 1
    position.ImagePositionPatient = [decimal(value) for value in grid.positions_mm[index]]
    source = source_item(grid.frames[index])
    source.SpatialLocationsPreserved = "YES"
    derivation.DerivationCodeSequence = [code_item(concepts.UNSPECIFIED_CALCULATION)]
    derivation.SourceImageSequence = [source]
    groups.FrameContentSequence = [content]
    groups.PlanePositionSequence = [position]
    groups.DerivationImageSequence = [derivation]
    return groups


def mapped(heat_maps: Sequence[HeatMap], image: Image, case: Case, frames: Sequence[tuple[int, int]] | None) -> Iterator[Dataset]:
    """The maps of one answer, in its order, one after another: those of four mammograms together would fill the memory.

    None of an image whose source states no place for it, which is no reason to refuse a classification.

    Parameters
    ----------
    frames
        As in `workers.encode.grid.grid_of`; without effect where images are read together.
    """
    for part, heat in enumerate(heat_maps, start=1):
        member = image.together[heat.image] if image.together else None
        at = replace(case, sources=[case.sources[heat.image]]) if member else case
        try:
            grid = grid_of(member or image, at.sources, at.identity, None if member else frames)
        except Refused:
            continue
        yield parametric_map(heat, grid, at, part, member)
