"""What scanners put into one series, or one object, besides a volume: each part is told apart and routed, or refused, alone.

All with the shipped models, as a node routes them; `brain-mr`, `ct-tissue` and `cine-lv` read by default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileDataset

from models.manifest import read_library
from node.routing.facts import KEYWORDS
from node.store.records import Outcome, StackPlan
from node.store.settings import Settings
from node.studies.plan import Planner
from tests import dicom
from workers.series.stack import load_stack

SETTINGS = Settings.model_validate({"destinations": [{"name": "pacs", "ae_title": "PACS", "host": "a", "port": 104}]})
LIBRARY = read_library()


@dataclass(frozen=True)
class Case:
    """A series, and for each part what it is called, how many images it has and which models read it."""

    make: Callable[[], list[FileDataset]]
    parts: dict[str, tuple[int, set[str]]]


def item(**values: object) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def several(count: int, change: Callable[[Dataset, int], None], *, modality: str = "MR", slices: int = 12) -> list[FileDataset]:
    """The same positions again and again, each set changed in its own way."""
    made = []
    for turn in range(count):
        series = dicom.ct_series if modality == "CT" else dicom.mr_series
        for dataset in series(slices=slices, first_number=1 + turn * slices):
            change(dataset, turn)
            made.append(dataset)
    return made


def frames(count: int, change: Callable[[Dataset, int], None], *, modality: str = "MR", slices: int = 12) -> list[FileDataset]:
    """The same in one enhanced multi-frame object: each set of frames is changed in its functional groups."""
    dataset = dicom.enhanced(modality=modality, slices=slices, echo_times=[12.0] * count)
    dataset.BodyPartExamined = "BRAIN" if modality == "MR" else "CHEST"
    for place, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        if modality == "CT":
            del group.MREchoSequence
        change(group, place // slices)
    return [dataset]


def set_values(**values: list[object]) -> Callable[[Dataset, int], None]:
    def change(dataset: Dataset, turn: int) -> None:
        for keyword, each in values.items():
            setattr(dataset, keyword, each[turn])

    return change


def set_group(macro: str, **values: list[object]) -> Callable[[Dataset, int], None]:
    def change(group: Dataset, turn: int) -> None:
        if macro not in group:
            setattr(group, macro, [Dataset()])
        set_values(**values)(getattr(group, macro)[0], turn)

    return change


def diffusion(group: Dataset, turn: int) -> None:
    group.MRDiffusionSequence = [
        item(DiffusionBValue=float((0, 1000)[turn]), DiffusionDirectionality=("NONE", "ISOTROPIC")[turn])
    ]
    group.MREchoSequence[0].EffectiveEchoTime = 85.0


def scout_frames() -> list[FileDataset]:
    """Three planes of one frame each, then the volume, in one enhanced CT object."""
    dataset = dicom.enhanced(modality="CT", slices=15)
    for place, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        kind = "LOCALIZER" if place < 3 else "VOLUME"
        group.CTImageFrameTypeSequence = [item(FrameType=["ORIGINAL", "PRIMARY", kind, "NONE"])]
    return [dataset]


READ = {"ct-tissue"}
BRAIN = {"brain-mr"}
NOBODY: set[str] = set()

CASES = {
    "localizers inside a CT series": Case(
        lambda: [*dicom.localizers(), *dicom.ct_series(slices=12, first_number=3)],
        {"CT, localizer, 1 image": (1, NOBODY), "CT, axial, 12 images": (12, READ)},
    ),
    "localizer frames inside an enhanced CT": Case(
        scout_frames, {"CT, localizer, 3 images": (3, NOBODY), "CT, axial, 12 images": (12, READ)}
    ),
    "contrast phases of a CT, by acquisition": Case(
        lambda: several(
            3, set_values(AcquisitionNumber=[1, 2, 3], AcquisitionTime=["100000", "100030", "100110"]), modality="CT"
        ),
        {f"CT, acquisition {number}, axial, 12 images": (12, READ) for number in (1, 2, 3)},
    ),
    "a CT without and with contrast medium": Case(
        lambda: several(2, set_values(ContrastBolusAgent=["", "IOHEXOL"]), modality="CT"),
        {"CT, no contrast, axial, 12 images": (12, READ), "CT, contrast IOHEXOL, axial, 12 images": (12, READ)},
    ),
    "contrast phases of an enhanced CT": Case(
        lambda: frames(2, set_group("FrameContentSequence", FrameAcquisitionNumber=[1, 2]), modality="CT"),
        {f"CT, acquisition {number}, axial, 12 images": (12, READ) for number in (1, 2)},
    ),
    "an enhanced CT without and with contrast medium": Case(
        lambda: frames(2, set_group("ContrastBolusUsageSequence", ContrastBolusAgentAdministered=["NO", "YES"]), modality="CT"),
        {f"CT, contrast {given}, axial, 12 images": (12, READ) for given in ("NO", "YES")},
    ),
    "echoes": Case(
        lambda: several(2, set_values(EchoNumbers=["1", "2"], EchoTime=["12", "95"])),
        {"MR, echo 1, axial, 12 images": (12, BRAIN), "MR, echo 2, axial, 12 images": (12, BRAIN)},
    ),
    "echoes of an enhanced MR": Case(
        lambda: frames(2, set_group("MREchoSequence", EffectiveEchoTime=[12.0, 95.0])),
        {f"MR, echo time {echo} ms, axial, 12 images": (12, BRAIN) for echo in (12, 95)},
    ),
    "b-values": Case(
        lambda: several(2, set_values(DiffusionBValue=[0.0, 1000.0])),
        {f"MR, b-value {value} s/mm2, axial, 12 images": (12, BRAIN) for value in (0, 1000)},
    ),
    "b-values of an enhanced MR": Case(
        lambda: frames(2, diffusion),
        {f"MR, b-value {value} s/mm2, axial, 12 images": (12, BRAIN) for value in (0, 1000)},
    ),
    "inversion times of an enhanced MR": Case(
        lambda: frames(2, set_group("MRModifierSequence", InversionTimes=[400.0, 900.0])),
        {f"MR, inversion time {time} ms, axial, 12 images": (12, BRAIN) for time in (400, 900)},
    ),
    "time points": Case(
        lambda: several(3, set_values(TemporalPositionIdentifier=[1, 2, 3])),
        {f"MR, time point {number}, axial, 12 images": (12, BRAIN) for number in (1, 2, 3)},
    ),
    "time points of an enhanced MR": Case(
        lambda: frames(3, set_group("FrameContentSequence", TemporalPositionIndex=[1, 2, 3])),
        {f"MR, time point {number}, axial, 12 images": (12, BRAIN) for number in (1, 2, 3)},
    ),
    "cardiac phases": Case(
        lambda: several(
            6, set_values(TriggerTime=[str(40 * turn) for turn in range(6)], BodyPartExamined=["HEART"] * 6), slices=3
        ),
        {
            **{f"MR, trigger time {40 * turn} ms, axial, 3 images": (3, NOBODY) for turn in range(6)},
            "MR, cycle of 6 phases, axial, 18 images": (18, {"cine-lv"}),
        },
    ),
    "cardiac phases of an enhanced MR": Case(
        lambda: frames(
            6,
            set_group("CardiacSynchronizationSequence", NominalPercentageOfCardiacPhase=[float(turn * 16) for turn in range(6)]),
            slices=3,
        ),
        {
            **{f"MR, cardiac phase {turn * 16} %, axial, 3 images": (3, NOBODY) for turn in range(6)},
            "MR, cycle of 6 phases, axial, 18 images": (18, NOBODY),  # the object says that it shows a brain
        },
    ),
}


def plan(datasets: list[FileDataset], folder: Path) -> list[StackPlan]:
    return list(Planner(SETTINGS, LIBRARY, folder)(dicom.stored(datasets, folder)))


def readers(stack: StackPlan) -> set[str]:
    return {one.model for one in stack.decisions if one.outcome is Outcome.CHOSEN}


@pytest.mark.parametrize("name", CASES)
def test_each_part_is_told_apart_and_routed_alone(name: str, tmp_path: Path) -> None:
    stacks = plan(CASES[name].make(), tmp_path)

    found = {stack.description: (stack.facts["slices"] * stack.facts["phases"], readers(stack)) for stack in stacks}

    assert found == CASES[name].parts
    for stack in stacks:
        if not readers(stack):
            assert all(one.reason for one in stack.decisions), "who does not read says why"


@pytest.mark.parametrize(
    ("name", "keyword", "values"),
    [
        ("echoes of an enhanced MR", "EchoTime", [12.0, 95.0]),
        ("b-values of an enhanced MR", "DiffusionBValue", [0.0, 1000.0]),
        ("inversion times of an enhanced MR", "InversionTime", [400.0, 900.0]),
        ("time points of an enhanced MR", "TemporalPositionIdentifier", [1.0, 2.0, 3.0]),
        ("contrast phases of an enhanced CT", "AcquisitionNumber", [1.0, 2.0]),
        ("an enhanced CT without and with contrast medium", "contrast", [False, True]),
    ],
)
def test_facts_of_a_part_of_an_enhanced_object_are_its_own(name: str, keyword: str, values: list[object], tmp_path: Path) -> None:
    stacks = plan(CASES[name].make(), tmp_path)

    assert [stack.facts[keyword] for stack in stacks] == values
    assert keyword in KEYWORDS or keyword == "contrast"


def test_a_rule_refuses_the_late_echo_of_an_enhanced_object_and_reads_the_early_one(tmp_path: Path) -> None:
    routes = {"routes": [{"name": "regions", "when": "modality == 'MR'", "models": ["brain-regions"]}]}
    settings = Settings.model_validate({**SETTINGS.model_dump(mode="json", exclude_unset=True), **routes})
    made = frames(2, set_group("MREchoSequence", EffectiveEchoTime=[12.0, 95.0]), slices=64)
    made[0].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness = "1"
    for place, group in enumerate(made[0].PerFrameFunctionalGroupsSequence):
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, place % 64]

    early, late = Planner(settings, LIBRARY, tmp_path)(dicom.stored(made, tmp_path))

    assert readers(early) == {"brain-regions"}
    assert readers(late) == NOBODY
    assert "an echo time of 95" in next(one.reason for one in late.decisions if one.model == "brain-regions")


@pytest.mark.parametrize("name", [name for name in CASES if "enhanced" in name and "cardiac" not in name])
def test_a_part_of_an_enhanced_object_is_loaded_without_the_others(name: str, tmp_path: Path) -> None:
    made = CASES[name].make()
    pixels = made[0].pixel_array.astype(float) - (1024 if made[0].Modality == "CT" else 0)
    stacks = plan(made, tmp_path)
    (path,) = dicom.write(made, tmp_path / "one")

    seen = []
    for stack in stacks:
        loaded = load_stack([path], stack.facts["frame_numbers"])
        numbers = [frame - 1 for _, frame in loaded.frames]
        assert (loaded.image.array == pixels[numbers]).all()
        assert loaded.image.array.shape[0] == stack.facts["slices"]
        if "echoes" in name:
            assert loaded.image.header.echo_time_ms == stack.facts["EchoTime"]
        if "localizer" in name:
            assert ("LOCALIZER" in loaded.image.header.image_type) is stack.facts["localizer"]
        seen += numbers
    assert sorted(seen) == list(range(len(pixels)))
