"""A destination is sent the objects whose series are named as it wants them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from node.store.destinations import Destination
from node.store.settings import Settings
from tests.story import LEASE_S, Story, chosen, results

NUMBERED = {"series_number": "90{kind}"}


def to(name: str, **changes: object) -> Destination:
    where = {"name": name, "ae_title": "PACS", "host": "h", "port": 104, "kinds": ("seg", "report")}
    return Destination.model_validate({**where, **changes})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    instead = {"seg": "capture"}
    return Settings(
        data=tmp_path / "data", destinations=(to("own"), to("named", **NUMBERED, instead=instead), to("third", series_number=7))
    )


def publish(story: Story, *namings: str) -> None:
    story.arrive(1)
    story.revise(chosen("a", "own", "named", "third"))
    (job,) = story.catalog.worklist.due_jobs(10)
    sets = [results("seg", "report", "capture", of=str(number)) for number, _ in enumerate(namings)]
    objects = tuple(
        replace(one, naming=naming, path=f"{naming}/{one.path}")
        for naming, made in zip(namings, sets, strict=True)
        for one in made.objects
    )
    story.catalog.desk.publish(story.claim(job), replace(sets[0], objects=objects))


def sent(story: Story, destination: str) -> list[tuple[str, str]]:
    """Kind and naming of what is claimed for a destination, which refuses segmentations."""
    items = story.catalog.outbox.claim(destination, "d1", LEASE_S, 100)
    for item in items:
        if item.result.kind == "seg":
            story.catalog.outbox.fail(item, "0122: no", refused=True)
        else:
            story.catalog.outbox.stored(item, 0)
    return [(item.result.kind, item.result.naming) for item in items]


def test_each_gets_its_own_and_who_has_none_gets_ours(story: Story) -> None:
    key = to("named", **NUMBERED).naming.key
    publish(story, "", key)
    assert sent(story, "own") == [("seg", ""), ("report", "")]
    assert sent(story, "named") == [("seg", key), ("report", key)]
    assert sent(story, "third") == [("seg", ""), ("report", "")], "it was configured after the job was read"
    assert sent(story, "named") == [("capture", key)], "what goes in place of what is refused is named alike"


def test_what_there_is_goes_where_nothing_is_named_as_wanted(story: Story) -> None:
    publish(story, "0123abcd")
    assert sent(story, "own") == [("seg", "0123abcd"), ("report", "0123abcd")]


def test_what_a_revision_replaces_is_known_by_its_naming(story: Story) -> None:
    key = to("named", **NUMBERED).naming.key
    publish(story, "", key)
    story.arrive(2)
    story.revise(chosen("a", "own", "named", "third"))
    (job,) = story.catalog.worklist.due_jobs(10)
    superseded = story.claim(job).superseded
    assert superseded is not None
    assert [(one.kind, one.naming) for one in superseded.objects] == [
        (kind, naming) for naming in ("", key) for kind in ("seg", "report", "capture")
    ]
