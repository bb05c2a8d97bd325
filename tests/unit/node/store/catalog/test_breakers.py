"""Destinations that are down, as rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from node.store.records import Broken
from tests.story import Story


def test_what_is_down_stays_so_until_it_answers_and_is_told_once(story: Story) -> None:
    breakers, now = story.catalog.breakers, story.clock.now()
    first = Broken(now, 3, now + timedelta(seconds=5), "PACS@host:104 does not answer")
    breakers.open("pacs", first)
    breakers.open("pacs", replace(first, failures=4, next_at=now + timedelta(seconds=10)))
    assert breakers.all() == {"pacs": replace(first, failures=4, next_at=now + timedelta(seconds=10))}
    breakers.close("pacs")
    breakers.close("pacs")
    assert breakers.all() == {}
    told = [(event.kind, event.detail) for event in story.catalog.views.node_events(now - timedelta(days=1), 10)]
    assert sorted(told) == [
        ("destination back", "pacs"),
        ("destination down", "pacs: PACS@host:104 does not answer; results wait for it"),
    ]
