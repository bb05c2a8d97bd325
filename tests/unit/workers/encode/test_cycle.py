"""Results of a cycle: each phase's outline refers to its own image, and numbers of the model's own are handed on."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import MRImageStorage

from models.labels import Code
from models.prediction import Measurement, Prediction, Segmentation
from tests import dicom
from tests.unit.workers.encode.samples import identity, manifest
from workers.encode.encode import encode, measure, summary
from workers.series.stack import Stack, load_stack

PHASES, SLICES = 4, 3
EJECTION = Measurement(
    "ejection_fraction",
    "Left ventricular ejection fraction",
    Code(scheme="LN", value="8811-2", meaning="Left ventricular ejection fraction by MR"),
    55.3,
    Code(scheme="UCUM", value="%", meaning="Percent"),
)


def _single_frames(folder: Path) -> Stack:
    phases = [dicom.mr_series(slices=SLICES, first_number=1 + phase * SLICES) for phase in range(PHASES)]
    datasets = [phases[phase][place] for place in range(SLICES) for phase in range(PHASES)]
    return load_stack(dicom.write(datasets, folder), phases=PHASES)


def _film(folder: Path) -> Stack:
    dataset = dicom.image(np.zeros((PHASES, 16, 12), np.uint8), modality="MR", sop_class=MRImageStorage)
    dataset.FrameTime = "40"
    dicom.place(dataset, (1, 2, 3))
    return load_stack(dicom.write([dataset], folder), phases=PHASES)


def _answer(stack: Stack, empty: int) -> Prediction:
    mask = np.zeros(stack.image.array.shape, dtype=bool)
    for index in range(len(mask)):
        mask[index, 2 : 4 + index, 3:6] = True
    mask[empty] = False
    return Prediction(Segmentation({"bone": mask}, absent=("body",)), measurements=(EJECTION,))


def _objects(stack: Stack, prediction: Prediction) -> dict[str, FileDataset]:
    made = encode(prediction, stack.image, stack.sources, manifest(), identity(), frames=stack.frames)
    return {one.kind: dcmread(BytesIO(one.content)) for one in made}


def _source(group: Dataset) -> Dataset:
    source: Dataset = group.DerivationImageSequence[0].SourceImageSequence[0]
    return source


def test_each_frame_of_the_seg_refers_to_the_image_of_its_phase(tmp_path: Path) -> None:
    stack = _single_frames(tmp_path)
    seg = _objects(stack, _answer(stack, empty=5))["seg"]
    shown = [index for index in range(PHASES * SLICES) if index != 5]
    groups = seg.PerFrameFunctionalGroupsSequence
    assert [_source(group).ReferencedSOPInstanceUID for group in groups] == [
        stack.sources[index].SOPInstanceUID for index in shown
    ]
    content = [group.FrameContentSequence[0] for group in groups]
    assert [list(one.DimensionIndexValues) for one in content] == [
        [1, index // PHASES + 1, index % PHASES + 1] for index in shown
    ]
    assert [one.TemporalPositionIndex for one in content] == [index % PHASES + 1 for index in shown]
    assert [item.DimensionDescriptionLabel for item in seg.DimensionIndexSequence][2] == "Temporal Position Index"
    positions = [[float(value) for value in group.PlanePositionSequence[0].ImagePositionPatient] for group in groups]
    assert positions == [[float(value) for value in stack.sources[index].ImagePositionPatient] for index in shown]
    assert seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices == pytest.approx(5)
    mask = _answer(stack, empty=5).segmentation
    assert isinstance(mask, Segmentation)
    assert np.array_equal(seg.pixel_array.astype(bool), mask.masks["bone"][shown])


def test_frames_of_one_object_are_told_apart_by_their_number(tmp_path: Path) -> None:
    stack = _film(tmp_path)
    seg = _objects(stack, _answer(stack, empty=0))["seg"]
    assert [_source(group).ReferencedFrameNumber for group in seg.PerFrameFunctionalGroupsSequence] == [2, 3, 4]
    assert [list(group.FrameContentSequence[0].DimensionIndexValues) for group in seg.PerFrameFunctionalGroupsSequence] == [
        [1, 1, 2],
        [1, 1, 3],
        [1, 1, 4],
    ]


def test_numbers_of_the_models_own_are_in_both_reports_and_in_the_summary(tmp_path: Path) -> None:
    stack = _single_frames(tmp_path)
    prediction = _answer(stack, empty=5)
    objects = _objects(stack, prediction)
    report = objects["report"].to_json()
    assert "Left ventricular ejection fraction: 55.3 %." in report
    assert "Bone: outlined on 11 of 12 images." in report
    measured = [item for item in _walk(objects["measurements"]) if item.get("ValueType") == "NUM"]
    assert [item.ConceptNameCodeSequence[0].CodeValue for item in measured] == ["8811-2"]
    assert [float(item.MeasuredValueSequence[0].NumericValue) for item in measured] == [55.3]
    told = summary(prediction, measure(prediction, stack.image, manifest()), stack.sources, manifest())
    assert told["measurements"] == [
        {
            "name": "Left ventricular ejection fraction",
            "quantity": "left ventricular ejection fraction by mr",
            "value": 55.3,
            "unit": "%",
        }
    ]


def test_what_an_outline_holds_over_all_phases_together_is_not_measured(tmp_path: Path) -> None:
    stack = _single_frames(tmp_path)
    assert measure(_answer(stack, empty=5), stack.image, manifest()).taken == ()


def _walk(item: Dataset) -> list[Dataset]:
    inner = item.get("ContentSequence") or []
    return [item, *(one for child in inner for one in _walk(child))]
