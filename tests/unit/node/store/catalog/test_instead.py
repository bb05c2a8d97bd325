"""What a destination refuses for good is followed by what the profile has for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.store.destinations import Destination
from node.store.settings import Settings
from node.store.states import DeliveryState
from tests.story import LEASE_S, Story, chosen, results


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    def to(name: str, **changes: object) -> Destination:
        return Destination.model_validate({"name": name, "ae_title": "PACS", "host": "h", "port": 104, **changes})

    both = {"kinds": ("seg", "report"), "instead": {"seg": "capture"}}
    return Settings(
        data=tmp_path / "data",
        destinations=(
            to("pacs", **both),
            to("german", **both, language="de"),
            to("bytes", **both, seg="whole-bytes"),
            to("plain"),
        ),
    )


@pytest.fixture
def made(story: Story) -> Story:
    story.arrive(1)
    story.revise(chosen("a", "pacs", "german", "bytes", "plain"))
    (job,) = story.catalog.worklist.due_jobs(10)
    kinds = ("seg", "measurements", "report", "report.de", "capture", "capture.de")
    story.catalog.desk.publish(story.claim(job), results(*kinds, of="1"))
    return story


def settle(story: Story, destination: str, *, refused: bool = True) -> list[tuple[str, str]]:
    """Refuse the segmentation and take the rest; kind and state of what the destination is sent."""
    for item in story.catalog.outbox.claim(destination, "d1", LEASE_S, 10):
        if item.result.kind == "seg":
            story.catalog.outbox.fail(item, "0122: it does not take this SOP class", refused=refused)
        else:
            story.catalog.outbox.stored(item, 0)
    return sorted((one.kind, str(one.state)) for one in story.study().deliveries if one.destination == destination)


@pytest.mark.parametrize(
    ("destination", "capture", "report"),
    [("pacs", "capture", "report"), ("german", "capture.de", "report.de"), ("bytes", "capture", "report")],
)
def test_pictures_go_where_the_segmentation_is_refused(made: Story, destination: str, capture: str, report: str) -> None:
    expected = [("seg", DeliveryState.FAILED), (report, DeliveryState.SENT)]
    assert settle(made, destination) == sorted([*expected, (capture, DeliveryState.DUE)])
    assert settle(made, destination) == sorted([*expected, (capture, DeliveryState.SENT)])
    assert ("sent instead", f"{capture} to {destination}, for seg") in [(kind, detail) for _, kind, detail in made.study().events]


def test_nothing_follows_what_was_given_up_or_has_nothing_for_it(made: Story) -> None:
    assert settle(made, "pacs", refused=False) == [("report", "sent"), ("seg", "failed")]
    assert settle(made, "plain") == [("measurements", "sent"), ("report", "sent"), ("seg", "failed")]
    assert "sent instead" not in made.kinds()
