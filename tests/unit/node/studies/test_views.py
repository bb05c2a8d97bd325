"""Four mammograms of a study become one stack beside their own; what is missing or doubled is its fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.manifest import Manifest
from node.store.mammography import FOUR_VIEWS, STANDARD_VIEWS
from node.store.records import Outcome, StackPlan
from node.store.settings import Settings
from node.studies.plan import Planner
from tests import dicom
from tests.unit.node.routing.manifests import manifest

SINGLE = manifest("mammo-single", ("modality == 'MG'", "reads mammograms"))
TOGETHER = manifest("mammo-together", ("modality == 'MG'", "reads mammograms"))
TOGETHER = TOGETHER.model_copy(update={"input": TOGETHER.input.model_copy(update={"group": FOUR_VIEWS})})
LIBRARY: dict[str, Manifest] = {one.name: one for one in (SINGLE, TOGETHER)}


def plan(datasets: list, folder: Path) -> tuple[list[StackPlan], list[StackPlan]]:
    """The stacks of a study: single ones, and groups."""
    plans = Planner(Settings(), LIBRARY, folder)(dicom.stored(datasets, folder))
    return [one for one in plans if not one.facts.get("group")], [one for one in plans if one.facts.get("group")]


def outcome(stack: StackPlan, model: str) -> tuple[Outcome, str]:
    return next((one.outcome, one.reason) for one in stack.decisions if one.model == model)


@pytest.mark.parametrize("series", [None, "all"])
def test_four_views_are_one_stack_in_one_series_or_in_four(tmp_path: Path, series: str | None) -> None:
    images = [
        dicom.mammogram(view, number=number, series=series or view)
        for number, view in enumerate(reversed(STANDARD_VIEWS), start=1)
    ]

    singles, (group,) = plan(images, tmp_path)

    assert len(singles) == 4
    assert group.instance_ids == (4, 3, 2, 1), "L-CC, R-CC, L-MLO, R-MLO"
    assert group.description == "MG, four standard views, 4 images"
    assert group.facts["standard_view"] == ""
    assert group.facts["slices"] == 4
    assert outcome(group, "mammo-together")[0] is Outcome.CHOSEN
    assert outcome(group, "mammo-single") == (Outcome.NOT_CHOSEN, "reads stacks one by one, this is four standard views")
    for single in singles:
        assert outcome(single, "mammo-single")[0] is Outcome.CHOSEN
        assert outcome(single, "mammo-together") == (Outcome.NOT_CHOSEN, "reads four standard views, this is one stack")
    assert len({one.key for one in (*singles, group)}) == 5
    assert len({one.digest for one in (*singles, group)}) == 5


def test_the_order_of_arrival_changes_nothing(tmp_path: Path) -> None:
    images = [dicom.mammogram(view) for view in STANDARD_VIEWS]
    rows = dicom.stored(images, tmp_path)
    planner = Planner(Settings(), LIBRARY, tmp_path)

    assert planner(rows) == planner(rows[::-1])


def test_raw_images_beside_those_for_presentation_are_not_counted(tmp_path: Path) -> None:
    images = [dicom.mammogram(view) for view in STANDARD_VIEWS]
    raw = [dicom.mammogram(view, series=f"raw {view}", intent="PROCESSING") for view in STANDARD_VIEWS]

    _, (group,) = plan([*raw, *images], tmp_path)

    assert group.instance_ids == (5, 6, 7, 8)
    _, (group,) = plan(raw, tmp_path / "raw")
    assert outcome(group, "mammo-together")[0] is Outcome.REFUSED
    assert "for processing only" in outcome(group, "mammo-together")[1]


def test_missing_and_doubled_views_are_named(tmp_path: Path) -> None:
    images = [dicom.mammogram(view) for view in STANDARD_VIEWS]
    again = dicom.mammogram("R-CC", images[0].pixel_array + 1, series="again")
    spot = dicom.mammogram("L-CC", series="spot")
    spot.PartialView = "YES"

    for name, datasets, reason in (
        ("three", images[:3], "of the four standard views R-MLO is missing"),
        ("two", [*images[1:3], spot], "of the four standard views L-CC, R-MLO are missing"),
        ("five", [*images, again], "of the four standard views R-CC is there 2 times: which one counts is not known"),
    ):
        singles, (group,) = plan(datasets, tmp_path / name)
        assert outcome(group, "mammo-together") == (Outcome.REFUSED, reason)
        assert all(outcome(one, "mammo-single")[0] is Outcome.CHOSEN for one in singles)


def test_an_identical_copy_is_left_out_and_said(tmp_path: Path) -> None:
    images = [dicom.mammogram(view) for view in STANDARD_VIEWS]
    copy = dicom.mammogram("R-CC", images[1].pixel_array, series="copy")

    _, (group,) = plan([*images, copy], tmp_path)

    assert outcome(group, "mammo-together")[0] is Outcome.CHOSEN
    assert len(group.instance_ids) == 4
    assert group.facts["notes"] == ["identical copies of images were left out: 1"]


def test_other_studies_have_no_such_group(tmp_path: Path) -> None:
    assert plan([*dicom.ct_series(slices=3), dicom.radiograph(series="film")], tmp_path)[1] == []
