"""Cine series: the phases of a position, or of several, are one cycle beside the volumes that they make phase by phase."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import MRImageStorage

from node.studies.header import read_headers
from node.studies.plan import stack_facts
from node.studies.stack import Stack
from node.studies.stacks import split_study
from tests import dicom

PHASES = 8


def short_axis(slices: int = 3, phases: int = PHASES, **options: object) -> list[FileDataset]:
    """Single-frame cine images: all positions of the first phase, then of the next; each position has trigger times of its own."""
    made = []
    for phase in range(phases):
        volume = dicom.mr_series(slices=slices, first_number=1 + phase * slices, **options)
        for index, dataset in enumerate(volume):
            dataset.TriggerTime = f"{phase * 40 + index * 3}"
        made += volume
    return made


def film(frames: int = 16) -> FileDataset:
    """A multi-frame MR object without functional groups, its frames one after the other in time."""
    pixels = (np.arange(frames * 8 * 10) % 251).astype(np.uint8).reshape(frames, 8, 10)
    dataset = dicom.image(pixels, modality="MR", sop_class=MRImageStorage)
    dataset.FrameTime = "40"
    dataset.FrameIncrementPointer = 0x00181063
    dicom.place(dataset, (1, 2, 3))
    return dataset


def enhanced(slices: int = 2, phases: int = PHASES) -> FileDataset:
    """An enhanced object whose frames say to which temporal position they belong, latest phase first."""
    dataset = dicom.enhanced(modality="MR", slices=slices, echo_times=[1.5] * phases)
    for place, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        group.FrameContentSequence[0].TemporalPositionIndex = phases - place // slices
    return dataset


def split(datasets: list[FileDataset], folder: Path) -> dict[str, Stack]:
    stacks = split_study(read_headers(dicom.stored(datasets, folder), folder))
    return {key.split("#")[1]: stack for key, stack in stacks}


def test_phases_of_all_positions_are_one_cycle_slice_by_slice(tmp_path: Path) -> None:
    datasets = short_axis()
    random.Random(5).shuffle(datasets)
    stacks = split(datasets, tmp_path)
    assert [key for key in stacks if key.startswith("cycle")] == ["cycle-1"]
    cycle = stacks["cycle-1"]
    assert (cycle.phases, cycle.fault, cycle.part) == (PHASES, "", "cycle of 8 phases")
    numbers = [frame.header.number for frame in cycle.frames]
    assert numbers == [1 + phase * 3 + place for place in range(3) for phase in range(PHASES)]
    facts = stack_facts(cycle)
    assert (facts["phases"], facts["slices"]) == (PHASES, 3)
    assert facts["slice_spacing_mm"] == 5
    assert "frame_numbers" not in facts


def test_the_volumes_of_each_phase_stay_as_they_are(tmp_path: Path) -> None:
    with_cycle = split(short_axis(), tmp_path)
    volumes = [stack for key, stack in with_cycle.items() if not key.startswith("cycle")]
    assert [len(stack.frames) for stack in volumes] == [3] * PHASES
    assert {stack_facts(stack)["phases"] for stack in volumes} == {1}


def test_one_position_is_a_cycle_too(tmp_path: Path) -> None:
    cycle = split(short_axis(slices=1), tmp_path)["cycle-1"]
    assert (cycle.phases, len(cycle.frames)) == (PHASES, PHASES)
    assert stack_facts(cycle)["slice_spacing_mm"] is None


def test_few_images_of_one_place_are_no_cycle(tmp_path: Path) -> None:
    assert not [key for key in split(short_axis(phases=5), tmp_path) if key.startswith("cycle")]


def test_echoes_are_no_cycle(tmp_path: Path) -> None:
    datasets = []
    for echo in range(8):
        volume = dicom.mr_series(slices=2, first_number=1 + echo * 2)
        for dataset in volume:
            dataset.EchoTime = f"{10 + echo * 10}"
        datasets += volume
    assert not [key for key in split(datasets, tmp_path) if key.startswith("cycle")]


def test_a_film_is_a_cycle_and_nothing_else(tmp_path: Path) -> None:
    stacks = split([film()], tmp_path)
    assert list(stacks) == ["cycle-1"]
    assert (stacks["cycle-1"].phases, stacks["cycle-1"].fault) == (16, "")
    assert stack_facts(stacks["cycle-1"])["frame_numbers"] == list(range(1, 17))


def test_a_film_without_a_place_is_refused(tmp_path: Path) -> None:
    dataset = film()
    del dataset.ImagePositionPatient
    stacks = split([dataset], tmp_path)
    assert list(stacks) == ["1"]
    assert stacks["1"].code == "no-position"


@pytest.mark.shared
def test_the_real_multi_frame_cine_has_no_place_and_says_so(tmp_path: Path, shared: Path) -> None:
    import pydicom

    stacks = split([pydicom.dcmread(shared / "data" / "dicom" / "syntaxes" / "explicit_little.dcm")], tmp_path)
    assert [stack.code for stack in stacks.values()] == ["no-position"]


def test_temporal_positions_of_an_enhanced_object_are_a_cycle_in_order(tmp_path: Path) -> None:
    cycle = split([enhanced()], tmp_path)["cycle-1"]
    assert cycle.phases == PHASES
    # frames run phase by phase, the latest first: those of the first slice are 15, 13 … 1 in order of time
    assert stack_facts(cycle)["frame_numbers"] == [*range(15, 0, -2), *range(16, 0, -2)]
